using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Reattn.Tests
{
    /// <summary>The ways to pull an answer, each of which gives the same, exactly; progress and cancellation.</summary>
    [TestFixture]
    public class StreamTests
    {
        private const string Question = "pillj oc";
        private const long N = 24;

        private Model model;
        private Session session;

        [SetUp]
        public void Open()
        {
            model = Tiny.Open();
            session = Tiny.Session(model);
            session.Append(Question);
        }

        [TearDown]
        public void Close()
        {
            session.Dispose();
            model.Dispose();
        }

        /// <summary>Has characters of several tokens, and text that only the last event delivers.</summary>
        private string Expected()
        {
            using (Session other = Tiny.Session(model))
            {
                other.Append(Question);
                var text = new StringBuilder();
                using (Generation generation = other.Generate(Tiny.Tokens(N)))
                {
                    GenerationEvent next;
                    while ((next = generation.NextEvent()) != null)
                    {
                        if (next is Token) text.Append(((Token)next).Text);
                        if (next is Done) text.Append(((Done)next).Text);
                    }
                }
                Assert.That(text.Length, Is.GreaterThan(0));
                return text.ToString();
            }
        }

        [Test]
        public void ForEach()
        {
            using (Generation generation = session.Generate(Tiny.Tokens(N)))
            {
                var text = new StringBuilder();
                int n = 0;
                foreach (Token token in generation)
                {
                    text.Append(token.Text);
                    if (token.Id != Token.NoId) n++;
                    if (n == 5) break; // the next loop goes on
                }
                foreach (Token token in generation)
                {
                    text.Append(token.Text);
                    if (token.Id != Token.NoId) n++;
                }
                Assert.That(text.ToString(), Is.EqualTo(Expected()));
                Assert.That(n, Is.EqualTo(N));
                Assert.That(generation.Done.Reason, Is.EqualTo(DoneReason.Length));
                Assert.That(generation.Any(), Is.False);
                Assert.That(generation.NextEvent(), Is.Null);
            }
        }

        [Test]
        public void AtOnce()
        {
            using (Generation generation = session.Generate(Tiny.Tokens(N)))
            {
                Assert.That(generation.Answer(), Is.EqualTo(Expected()));
                Assert.That(generation.Answer(), Is.EqualTo(""));
                Assert.That(generation.Finish(), Is.SameAs(generation.Done));
            }
        }

        [Test]
        public void Asynchronously()
        {
            using (Generation generation = session.Generate(Tiny.Tokens(N)))
            {
                Assert.That(ReadAll(generation).Result, Is.EqualTo(Expected()));
            }
            session.Truncate(0);
            session.Append(Question);
            using (Generation generation = session.Generate(Tiny.Tokens(N)))
            {
                Assert.That(generation.NextEventAsync().Result, Is.InstanceOf<ReadProgress>());
                Assert.That(generation.AnswerAsync().Result, Is.EqualTo(Expected()));
            }
        }

        [Test]
        public void AsAnAsyncEnumerable()
        {
            using (Generation generation = session.Generate(Tiny.Tokens(N)))
            {
                var text = new StringBuilder();
                IAsyncEnumerator<Token> tokens = generation.GetAsyncEnumerator();
                while (tokens.MoveNextAsync().AsTask().Result) text.Append(tokens.Current.Text);
                tokens.DisposeAsync().AsTask().Wait();
                Assert.That(text.ToString(), Is.EqualTo(Expected()));
                tokens = generation.GetAsyncEnumerator(new CancellationToken(true));
                Assert.That(tokens.MoveNextAsync().AsTask().Result, Is.False, "it had ended");
            }
        }

        private static async Task<string> ReadAll(Generation generation)
        {
            var text = new StringBuilder();
            TokenStream tokens = generation.TokensAsync();
            Assert.That(tokens.Current, Is.Null);
            while (await tokens.MoveNextAsync()) text.Append(tokens.Current.Text);
            Assert.That(tokens.Current, Is.Null);
            return text.ToString();
        }

        /// <summary>Text held back for a stop text that did not come is delivered at the end.</summary>
        [Test]
        public void HeldBackText()
        {
            string whole = Expected();
            GenerationOptions options = Tiny.Tokens(N);
            options.Stops.Add(whole.Substring(whole.Length - 2) + "never");
            using (Generation generation = session.Generate(options))
            {
                List<Token> tokens = generation.ToList();
                Assert.That(tokens.Last().Id, Is.EqualTo(Token.NoId));
                Assert.That(string.Concat(tokens.Select(token => token.Text)), Is.EqualTo(whole));
            }
        }

        [Test]
        public void ProgressOfReading()
        {
            session.Append(Tiny.Repeat(Tiny.Document, 4));
            var seen = new List<ReadProgress>();
            Done done = session.ReadAsync(new Told<ReadProgress>(seen.Add)).Result;
            Assert.That(seen.Count, Is.GreaterThan(10));
            for (int i = 1; i < seen.Count; i++) Assert.That(seen[i - 1].NDone, Is.LessThan(seen[i].NDone));
            Assert.That(seen.Last().NDone, Is.EqualTo(seen.Last().NTotal));
            Assert.That(done.NDone, Is.EqualTo(seen.Last().NDone));
            Assert.That(session.Info().NTokens, Is.EqualTo(done.NTotal));
        }

        [Test]
        public void APullThatTakesTooLongGoesOnLater()
        {
            session.Append(Tiny.Repeat(Tiny.Document, 4));
            int timeouts = 0, events = 0;
            using (Generation generation = session.Generate())
            {
                while (true)
                {
                    GenerationEvent next;
                    if (!generation.TryNextEvent(TimeSpan.Zero, out next)) timeouts++;
                    else if (next == null) break;
                    else events++;
                }
                Assert.That(generation.Done.Reason, Is.EqualTo(DoneReason.Read));
            }
            Assert.That(timeouts, Is.GreaterThan(0));
            Assert.That(events, Is.GreaterThan(0));
        }

        // ---- Cancellation ---------------------------------------------------------------------------------

        [Test]
        public void CancellingEndsALoop()
        {
            using (var cancelling = new CancellationTokenSource())
            using (Generation generation = session.Generate(Tiny.Tokens(Tiny.Endless)))
            {
                int n = 0;
                Assert.Throws<OperationCanceledException>(() =>
                {
                    foreach (Token token in generation.Tokens(cancelling.Token))
                    {
                        if (++n == 5) cancelling.Cancel();
                    }
                });
                Assert.That(n, Is.EqualTo(5));
                Assert.That(generation.Done.Reason, Is.EqualTo(DoneReason.Cancelled));
                Assert.That(generation.Stats().NDecodeTokens, Is.GreaterThanOrEqualTo(5));
            }
            session.Append(" again"); // the session can be used at once
            Assert.That(session.Read().Reason, Is.EqualTo(DoneReason.Read));
        }

        [Test]
        public void CancellingEndsARunningTask()
        {
            using (var cancelling = new CancellationTokenSource())
            using (Generation generation = session.Generate(Tiny.Tokens(Tiny.Endless)))
            {
                var running = new ManualResetEvent(false);
                generation.Progress = new Told<ReadProgress>(far => running.Set());
                Task<string> answer = generation.AnswerAsync(cancelling.Token);
                running.WaitOne();
                cancelling.Cancel();
                Assert.That(Assert.Throws<AggregateException>(answer.Wait).InnerException,
                    Is.InstanceOf<OperationCanceledException>());
                Assert.That(answer.IsCanceled, Is.True);
                Assert.That(generation.Done.Reason, Is.EqualTo(DoneReason.Cancelled));
            }
        }

        [Test]
        public void CancellingEndsTheReadingAtAChunk()
        {
            session.Append(Tiny.Repeat(Tiny.Document, 8));
            using (var cancelling = new CancellationTokenSource())
            {
                var stop = new Told<ReadProgress>(far => cancelling.Cancel());
                Task<Done> reading = session.ReadAsync(stop, cancelling.Token);
                Assert.That(Assert.Throws<AggregateException>(reading.Wait).InnerException,
                    Is.InstanceOf<OperationCanceledException>());
            }
            SessionInfo info = session.Info();
            Assert.That(info.NTokens, Is.GreaterThan(0));
            Assert.That(info.NPending, Is.EqualTo(0), "the rest is dropped");
        }

        [Test]
        public void CancelByHandIsNoException()
        {
            using (Generation generation = session.Generate(Tiny.Tokens(Tiny.Endless)))
            {
                int n = 0;
                foreach (Token token in generation)
                {
                    if (++n == 5) generation.Cancel();
                }
                Assert.That(n, Is.EqualTo(5));
                Assert.That(generation.Done.Reason, Is.EqualTo(DoneReason.Cancelled));
            }
        }

        [Test]
        public void OpeningCanBeCancelled()
        {
            var cancelled = new CancellationToken(true);
            Assert.Throws<OperationCanceledException>(() => Model.Open(Tiny.Path, Tiny.Options, null, cancelled));
            using (var cancelling = new CancellationTokenSource())
            {
                var shape = new Geometry
                {
                    NLayers = 24, NEmbd = 512, NHeads = 8, NKvHeads = 8, HeadDim = 64, NFf = 2048, NVocab = 32000, NWindow = 512,
                    RopeFreqBase = 10000
                };
                cancelling.Cancel(); // the loading has begun when it is told
                Assert.Throws<OperationCanceledException>(() => Model.Synthesize(shape, Tiny.Options, cancelling.Token));
            }
            LoadProgress last = null;
            using (Model opened = Model.OpenAsync(Tiny.Path, Tiny.Options, new Told<LoadProgress>(far => last = far)).Result)
            {
                Assert.That(last.Finished, Is.True);
                Assert.That(last.BytesDone, Is.EqualTo(last.BytesTotal));
            }
        }
    }
}
