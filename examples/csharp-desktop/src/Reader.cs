// The engine of the program: a model, and books that it read. Nothing here knows of windows.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Reattn.Desktop
{
    /// <summary>
    /// A model that reads books. The methods that last are asynchronous, do their work on other threads, and call back in the
    /// caller's context: in a window, on its thread.
    /// </summary>
    public sealed class Reader : IDisposable
    {
        private readonly Model model;
        private readonly Options options;
        private readonly Prompt prompt;

        private Reader(Model model, Options options)
        {
            this.model = model;
            this.options = options;
            prompt = new Prompt(model, options.Raw);
            Window = model.Info().NWindow;
        }

        /// <summary>Tokens of the window the model was trained with.</summary>
        public long Window { get; }

        /// <summary>Opens a model file.</summary>
        /// <param name="onProgress">is told which share of it is loaded, 0 to 1</param>
        public static async Task<Reader> OpenAsync(
            string path, Options options, Action<double> onProgress, CancellationToken stop)
        {
            var progress = new Progress<LoadProgress>(far =>
            {
                if (far.BytesTotal > 0 && !stop.IsCancellationRequested) onProgress((double)far.BytesDone / far.BytesTotal);
        });
        // The first use of the library looks for it, which may take a while too.
        return await Task.Run(async () =>
            {
                var how = new ModelOptions { Device = options.Device, NThreads = options.Threads };
                Model model = await Model.OpenAsync(path, how, progress, stop);
                try
                {
                    return new Reader(model, options);
                }
                catch
                {
                    model.Dispose();
                    throw;
                }
            });
    }

    /// <summary>Reads a book.</summary>
    /// <param name="onProgress">is told how many tokens of how many are read</param>
    public async Task<Book> ReadAsync(BookText text, Action<long, long> onProgress, CancellationToken stop)
    {
        Session session = await Task.Run(() => model.CreateSession(options.Settings(model)));
        try
        {
            await Task.Run(async () =>
                {
                    // One append with the text: together they are what is read before any question.
                    if (prompt.Opening.Length > 0) session.Append(prompt.Opening, AppendFlags.More);
                    using (var utf8 = new MemoryStream(Encoding.UTF8.GetBytes(text.Text)))
                    {
                        await session.AppendAsync(utf8, AppendFlags.None, stop);
                    }
                });
            using (Generation reading = session.Generate())
            {
                GenerationEvent next;
                while ((next = await reading.NextEventAsync(stop)) != null)
                {
                    var far = next as ReadProgress;
                    if (far == null) continue;
                    onProgress(far.NDone, far.NTotal);
                    // Else it would go on at once when the next is there already, and a window would not have its turn.
                    await Task.Yield();
                }
            }
            return new Book(session, text, prompt, options);
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        model.Dispose();
    }
}

/// <summary>A book that was read. Each question is asked of the book alone: others leave no trace in it.</summary>
public sealed class Book : IDisposable
{
    private const int PassageCount = 8;

    private readonly Session session;
    private readonly BookText text;
    private readonly Prompt prompt;
    private readonly Options options;
    private readonly long end; // position after the book's last token

    internal Book(Session session, BookText text, Prompt prompt, Options options)
    {
        this.session = session;
        this.text = text;
        this.prompt = prompt;
        this.options = options;
        end = session.Info().NTokens;
    }

    /// <summary>Tokens of the book.</summary>
    public long Tokens
    {
        get {
            return end - prompt.Opening.Length;
        }
    }

    /// <summary>Asks, and gives what the whole answer was drawn from. When it is stopped, that is what was said until then.</summary>
    /// <param name="onText">is given the answer piece by piece</param>
    public async Task<Answer> AskAsync(string question, Action<string> onText, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        using (Session asked = await Task.Run(() => Append(question))) using (
            Generation answering = asked.Generate(options.Generating()))
        {
            var said = new StringBuilder();
            try
            {
                TokenStream tokens = answering.TokensAsync();
                while (await tokens.MoveNextAsync(stop))
                {
                    if (tokens.Current.Text.Length == 0) continue;
                    said.Append(tokens.Current.Text);
                    onText(tokens.Current.Text);
                    await Task.Yield();
                }
            }
            catch (OperationCanceledException)
            {
                // Done says so.
            }
            return new Answer(said.ToString(), answering.Done.Reason, await Task.Run(() => Recalled(answering)));
        }
    }

    private Session Append(string question)
    {
        Session asked = session.Fork();
        try
        {
            asked.Append(prompt.Question(question));
            return asked;
        }
        catch
        {
            asked.Dispose();
            throw;
        }
    }

    private List<Passage> Recalled(Generation answering)
    {
        var layers = new List<List<Stretch>>();
        for (long layer = 0; layer < session.Model.Info().NLayers; layer++)
        {
            layers.Add(answering.Recalled(layer, RecallScope.Prompt)
                           .Select(span => new Stretch(span.Begin, span.End, span.Votes))
                           .ToList());
        }
        long begin = prompt.Opening.Length;
        return Passages.Place(Passages.Best(layers, begin, end, PassageCount), begin, text.Text, session.Bytes);
    }

    public void Dispose() { session.Dispose(); }
}

/// <summary>An answer that has ended.</summary>
public sealed class Answer
{
    internal Answer(string text, DoneReason reason, IReadOnlyList<Passage> passages)
    {
        Text = text;
        Reason = reason;
        Passages = passages;
    }

    /// <summary>All that was said.</summary>
    public string Text { get; }

    /// <summary>Why it ended.</summary>
    public DoneReason Reason { get; }

    /// <summary>What was recalled of the book for the question, most voted first.</summary>
    public IReadOnlyList<Passage> Passages { get; }
}
}
