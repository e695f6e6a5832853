// The window: what it does. What it looks like is in MainForm.Layout.cs.
using System;
using System.Collections.Generic;
using System.Drawing;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using System.Windows.Forms;

namespace Reattn.Desktop
{
    /// <summary>
    /// Open a book, watch it being read, ask, and see the answer come and what in the book it is from. All
    /// methods are of the window's thread; nothing here waits for the library.
    /// </summary>
    public sealed partial class MainForm : Form
    {
        private readonly Options options;
        private readonly OneAtATime work = new OneAtATime();
        private Reader reader;
        private BookText text;  // what is shown
        private Book book;      // what was read of it; null: nothing can be asked
        private string loading; // the model that is being opened; a book that is opened meanwhile does not make it forgotten
        private bool closing;
        private bool closed;

        public MainForm(Options options)
        {
            this.options = options;
            LayOut();
            openBook.Click += (sender, e) => ChooseFile("Open a book", "Texts|*.txt;*.md|All files|*.*", OpenBook);
            openModel.Click += (sender, e) => ChooseFile("Open a model", "Models|*.gguf|All files|*.*", OpenModel);
            ask.Click += (sender, e) => Ask();
            stop.Click += (sender, e) => Stop();
            question.TextChanged += (sender, e) => EnableWhatCanBeDone();
            passages.SelectedIndexChanged += (sender, e) => ShowPassage(Selected);
            view.ViewChanged += (sender, e) => strip.ShowSeen(view.ViewBegin, view.ViewEnd);
            strip.PlaceClicked += GoToPlace;
            EnableWhatCanBeDone();
        }

        protected override async void OnShown(EventArgs e)
        {
            base.OnShown(e);
            if (options.Model == null) Say("Open a model (a GGUF file), and a book to ask about.");
            Task shown = options.Book == null ? null : OpenBook(options.Book);
            if (shown != null) await shown;
            if (options.Model != null) await OpenModel(options.Model);
        }

        private async void ChooseFile(string title, string filter, Func<string, Task> open)
        {
            using (var dialog = new OpenFileDialog { Title = title, Filter = filter })
            {
                if (dialog.ShowDialog(this) == DialogResult.OK) await open(dialog.FileName);
            }
        }

        // ---- What can be done ---------------------------------------------------------------------

        /// <summary>Opens a model, and reads the book that is shown with it.</summary>
        public Task OpenModel(string path)
        {
            return Do("Opening " + Path.GetFileName(path),
                async stopped =>
                {
                    await LoadModel(path, stopped);
                    if (text == null)
                        Say("Open a book to ask about.");
                    else
                        await Read(stopped);
                });
        }

        /// <summary>Shows a book, and reads it if there is a model.</summary>
        public Task OpenBook(string path)
        {
            return Do("Opening " + Path.GetFileName(path),
                async stopped =>
                {
                    string missed = loading;
                    BookText opened = await Task.Run(() => BookText.Load(path), stopped);
                    stopped.ThrowIfCancellationRequested();
                    Forget();
                    text = opened;
                    view.Book = text.Text;
                    ShowPassages(new Passage[0]);
                    answer.Clear();
                    bookName.Text = text.Name;
                    if (missed != null) await LoadModel(missed, stopped);
                    if (reader == null)
                        Say("Open a model to ask about it.");
                    else
                        await Read(stopped);
                });
        }

        private async Task LoadModel(string path, CancellationToken stopped)
        {
            loading = path;
            Reader opened;
            try
            {
                opened = await Reader.OpenAsync(path, options, ShowLoading, stopped);
            }
            catch (Exception failure)
            {
                if (!(failure is OperationCanceledException)) loading = null;
                throw;
            }
            loading = null;
            Forget();
            reader?.Dispose();
            reader = opened;
            modelName.Text = $"{Path.GetFileName(path)}, window {Number(reader.Window)}";
        }

        private async Task Read(CancellationToken stopped)
        {
            Say("Reading " + text.Name);
            book = await reader.ReadAsync(text, ShowReading, stopped);
            bookName.Text = $"{text.Name}, {Number(book.Tokens)} tokens";
            Say("Ask something about it.");
            question.Focus();
        }

        /// <summary>Asks what stands in the box of the question.</summary>
        public Task Ask()
        {
            string asked = question.Text.Trim();
            return Do("Reading the question",
                async stopped =>
                {
                    if (book == null) return;
                    ShowPassages(new Passage[0]);
                    answer.AppendText((answer.TextLength > 0 ? "\n\n" : "") + "» " + asked + "\n");
                    Answer given = await book.AskAsync(asked, ShowText, stopped);
                    ShowPassages(given.Passages);
                    string drawnFrom =
                        given.Passages.Count == 0 ? "nothing recalled" : $"{given.Passages.Count} passages recalled";
                    Say(EndOf(given.Reason) + drawnFrom);
                });
        }

        private void Stop()
        {
            loading = null;
            work.Stop();
        }

        /// <summary>What was read is of another book, or by another model.</summary>
        private void Forget()
        {
            ShowPassages(new Passage[0]);
            book?.Dispose();
            book = null;
        }

        /// <summary>Does it when what runs has stopped; whatever comes of it is said in the window.</summary>
        private async Task Do(string what, Func<CancellationToken, Task> todo)
        {
            if (closing) return;
            try
            {
                await work.Run(async stopped =>
                    {
                        Say(what);
                        SetBusy(true);
                        try
                        {
                            await todo(stopped);
                        }
                        finally
                        {
                            SetBusy(false);
                        }
                    });
            }
            catch (OperationCanceledException)
            {
                Say("Stopped.");
            }
            catch (Exception failure)
            {
                Exception cause = failure;
                while (cause is TypeInitializationException && cause.InnerException != null)
                {
                    cause = cause.InnerException;
                }
                SayFailure(cause.Message);
            }
        }

        // ---- What is shown ------------------------------------------------------------------------

        private void ShowLoading(double share) { progress.Value = (int)(share * progress.Maximum); }

        private void ShowReading(long done, long total)
        {
            progress.Value = (int)(done * progress.Maximum / Math.Max(1, total));
            Say($"Reading: {Number(done)} of {Number(total)} tokens");
        }

        private void ShowText(string piece)
        {
            if (status.Text != "Answering") Say("Answering");
            // An answer without a template begins with the space between two words.
            bool first = answer.Text.EndsWith("\n", StringComparison.Ordinal);
            answer.AppendText(first ? piece.TrimStart(' ') : piece);
        }

        private void ShowPassages(IReadOnlyList<Passage> shown)
        {
            view.Passages = shown;
            strip.Show(text == null ? 0 : text.Text.Length, shown);
            passages.BeginUpdate();
            passages.Items.Clear();
            passages.Items.AddRange(shown.Cast<object>().ToArray());
            passages.EndUpdate();
            if (shown.Count > 0) passages.SelectedIndex = 0;
        }

        private Passage Selected => passages.SelectedItem as Passage;

        private void ShowPassage(Passage passage)
        {
            view.Current = passage;
            strip.Current = passage;
        }

        private void GoToPlace(Passage passage, int index)
        {
            if (passage == null)
            {
                view.GoTo(index, index);
            }
            else if (passage == Selected)
            {
                ShowPassage(passage);
            }
            else
            {
                passages.SelectedItem = passage;
            }
        }

        private static string EndOf(DoneReason reason)
        {
            switch (reason)
            {
                case DoneReason.Cancelled: return "Stopped; ";
                case DoneReason.Length: return "Cut off at the most tokens an answer may have; ";
                case DoneReason.Full: return "Cut off, memory is full; ";
                default: return "";
            }
        }

        private void SetBusy(bool busy)
        {
            stop.Enabled = busy;
            progress.Value = 0;
            progress.Visible = busy;
            EnableWhatCanBeDone();
        }

        private void EnableWhatCanBeDone()
        {
            question.ReadOnly = book == null;
            question.BackColor = book == null ? Pale : Color.White;
            ask.Enabled = book != null && !stop.Enabled && question.Text.Trim().Length > 0;
        }

        private static string Number(long number) { return number.ToString("N0", CultureInfo.InvariantCulture); }

        // ---- The end ------------------------------------------------------------------------------

        /// <summary>Stops what runs first: the window goes away once it has ended.</summary>
        protected override async void OnFormClosing(FormClosingEventArgs e)
        {
            base.OnFormClosing(e);
            // The system does not wait, and ends the process.
            if (closed || e.Cancel || e.CloseReason == CloseReason.WindowsShutDown) return;
            e.Cancel = true;
            if (closing) return;
            closing = true;
            try
            {
                await work.Run(stopped => Task.Run(() =>
                                   {
                                       book?.Dispose();
                                       reader?.Dispose();
                                   }));
            }
            catch (Exception)
            {
                // Nobody is left to tell; it ends with the process.
            }
            closed = true;
            Close();
        }
    }
}
