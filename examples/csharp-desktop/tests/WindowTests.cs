using System;
using System.Collections.Generic;
using System.Drawing;
using System.Linq;
using System.Threading.Tasks;
using System.Windows.Forms;
using NUnit.Framework;

namespace Reattn.Desktop.Tests
{
    /// <summary>The window, with the tiny model: what it says means nothing, where it comes from does.</summary>
    [TestFixture]
    [Category("Window")]
    public class WindowTests
    {
        private static readonly string Story = Tiny.Story(40);

        private Scratch scratch;
        private string book;

        [SetUp]
        public void SetUp()
        {
            scratch = new Scratch();
            book = scratch.Write("story.txt", Story);
        }

        [TearDown]
        public void TearDown()
        {
            scratch.Dispose();
        }

        [Test]
        public void A_book_is_read_and_answers_with_its_passages()
        {
            Window.Run(Tiny.Options(Tiny.Path, book), async window =>
            {
                int furthest = 0;
                window.Status.TextChanged += (sender, e) => furthest = Math.Max(furthest, window.Progress.Value);
                await window.UntilSaid("Ask something");
                Assert.That(furthest, Is.EqualTo(window.Progress.Maximum));
                Assert.That(window.BookName.Text, Is.StringMatching("^story.txt, [0-9],[0-9]{3} tokens$"));
                Assert.AreEqual(Story, window.View.Book);
                Assert.IsFalse(window.Ask.Enabled, "there is no question");

                int pieces = 0;
                window.Answer.TextChanged += (sender, e) => pieces++;
                window.AskFor("Which ship? 🐟");
                await window.UntilSaid("recalled");
                Assert.That(pieces, Is.GreaterThan(3), "it came bit by bit");
                Assert.That(window.Answer.Text, Is.StringStarting("» Which ship? 🐟\n").And.Length.GreaterThan(20));

                Passage[] passages = window.Passages.Items.Cast<Passage>().ToArray();
                Assert.That(passages, Has.Length.GreaterThan(1));
                CollectionAssert.AreEquivalent(passages, window.View.Passages);
                foreach (Passage passage in new[] { passages[0], passages.Last() })
                {
                    window.Passages.SelectedItem = passage;
                    Assert.AreSame(passage, window.View.Current);
                    Assert.AreSame(passage, window.Strip.Current);
                    Assert.That(passage.Begin, Is.InRange(window.View.ViewBegin, window.View.ViewEnd));
                }
                await window.Until(() => window.Shows(window.View, BookView.CurrentMark), "the passage is marked in the text");
                await window.Until(() => window.Shows(window.Strip, Strip.Tick), "the passages are on the strip");
                await window.Until(() => window.Shows(window.Passages, BookView.Mark), "the passages are in the list");
                await window.Save("tiny.png");

                // The strip goes to its passages, and to what is between them.
                Rectangle tick = window.Strip.TickOf(passages[0]);
                window.Click(window.Strip, tick.X + 1, tick.Y + 1);
                Passage hit = window.View.Current;
                Assert.That(passages.Any(each => each == hit && window.Strip.TickOf(each).Contains(tick.X + 1, tick.Y + 1)));
                window.Click(window.Strip, 5, window.Strip.Height - 1);
                window.Press(window.View, Keys.End);
                Assert.AreEqual(Story.Length, window.View.ViewEnd);

                // The same again: questions leave no trace.
                string first = window.Answer.Text;
                window.Answer.Clear();
                window.AskFor("Which ship? 🐟");
                await window.UntilSaid("recalled");
                Assert.AreEqual(first, window.Answer.Text);
            });
        }

        [Test]
        public void Between_two_chunks_the_window_does_what_it_is_told()
        {
            Window.Run(Tiny.Options(Tiny.Path, book), async window =>
            {
                int posted = 0;
                int processed = 0;
                var wrong = new List<string>();
                window.Status.TextChanged += (sender, e) =>
                {
                    if (!window.Status.Text.StartsWith("Reading: ")) return;
                    // What the last chunk's progress put into the queue of messages was done before this one's.
                    if (window.Form.InvokeRequired) wrong.Add("of another thread: " + window.Status.Text);
                    if (posted != processed) wrong.Add("not done before " + window.Status.Text);
                    posted++;
                    window.Form.BeginInvoke(new Action(() =>
                    {
                        processed++;
                        window.Question.Text = "typed after chunk " + processed;
                        window.Press(window.View, Keys.Down);
                        if (!window.Stop.Enabled || window.Ask.Enabled) wrong.Add("not reading after chunk " + processed);
                        if (window.View.ViewBegin == 0) wrong.Add("not scrolled after chunk " + processed);
                    }));
                };
                await window.UntilSaid("Ask something");
                Assert.That(posted, Is.GreaterThan(20));
                Assert.IsEmpty(wrong);
                Assert.AreEqual("typed after chunk " + posted, window.Question.Text);
            });
        }

        [Test]
        public void Reading_is_stopped_by_the_button()
        {
            Window.Run(Tiny.Options(Tiny.Path, book), async window =>
            {
                window.WhenSaid("Reading: ", window.Stop.PerformClick);
                await window.UntilSaid("Stopped");
                Assert.IsFalse(window.Stop.Enabled);
                window.Question.Text = "Who?";
                Assert.IsFalse(window.Ask.Enabled, "nothing was read");
                await window.Form.OpenBook(book);
                Assert.IsTrue(window.Ask.Enabled);
            });
        }

        [Test]
        public void An_answer_is_stopped_by_the_button_and_stays()
        {
            Window.Run(Tiny.Options("--max-tokens", "1000000", Tiny.Path, book), async window =>
            {
                await window.UntilSaid("Ask something");
                window.AskFor("Who?");
                await window.UntilSaid("Answering");
                window.Stop.PerformClick();
                await window.UntilSaid("Stopped");
                Assert.That(window.Answer.Text, Is.StringStarting("» Who?\n").And.Length.GreaterThan(7));
                Assert.That(window.Passages.Items.Count, Is.GreaterThan(0));
                Assert.IsTrue(window.Ask.Enabled, "the next can be asked");
            });
        }

        [Test]
        public void Another_book_stops_the_answer()
        {
            string other = scratch.Write("other.txt", "Another book.\r\n" + Tiny.Story(3));
            Window.Run(Tiny.Options("--max-tokens", "1000000", Tiny.Path, book), async window =>
            {
                await window.UntilSaid("Ask something");
                window.AskFor("Who?");
                await window.UntilSaid("Answering");
                await window.Form.OpenBook(other);
                Assert.AreEqual("Ask something about it.", window.Status.Text);
                Assert.That(window.BookName.Text, Is.StringStarting("other.txt"));
                Assert.That(window.View.Book, Is.StringStarting("Another book.\nOn day 0"));
                Assert.IsEmpty(window.Answer.Text);
                Assert.AreEqual(0, window.Passages.Items.Count);
            });
        }

        [Test]
        public void A_book_opened_while_the_model_loads_is_read_by_it()
        {
            Window.Run(Tiny.Options(), async window =>
            {
                Task loading = window.Form.OpenModel(Tiny.Path);
                await window.Form.OpenBook(book);
                await loading;
                Assert.AreEqual("Ask something about it.", window.Status.Text);
            });
        }

        [Test]
        public void The_window_closes_while_a_book_is_read()
        {
            Window.Run(Tiny.Options(Tiny.Path, book), async window =>
            {
                var closing = new TaskCompletionSource<int>();
                window.WhenSaid("Reading: ", () =>
                {
                    window.Form.Close();
                    closing.SetResult(0);
                });
                await closing.Task;
                Assert.IsFalse(window.Form.IsDisposed, "the reading ends first");
            });
            Window.Run(Tiny.Options("--max-tokens", "1000000", Tiny.Path, book), async window =>
            {
                await window.UntilSaid("Ask something");
                window.AskFor("Who?");
                await window.UntilSaid("Answering");
            });
        }

        [Test]
        public void What_goes_wrong_is_said_and_the_window_lives()
        {
            string image = scratch.Write("image.png", new byte[] { 0x89, 0x50, 0x4E, 0x47, 0, 1 });
            string junk = scratch.Write("junk.gguf", "this is no model");
            Window.Run(Tiny.Options(), async window =>
            {
                await window.UntilSaid("Open a model");
                foreach (string path in new[] { scratch.Missing, image })
                {
                    await window.Form.OpenBook(path);
                    Assert.That(window.Status.Text, Is.StringContaining(path));
                }
                foreach (string path in new[] { scratch.Missing, junk })
                {
                    await window.Form.OpenModel(path);
                    Assert.That(window.Status.Text, Is.StringContaining(path));
                }
                await window.Save("failure.png");
                await window.Form.OpenModel(Tiny.Path);
                await window.Form.OpenBook(book);
                Assert.AreEqual("Ask something about it.", window.Status.Text);
                // What is there stays when something else cannot be opened.
                await window.Form.OpenBook(scratch.Missing);
                await window.Form.OpenModel(junk);
                window.AskFor("Who?");
                await window.UntilSaid("recalled");
            });
        }

        [Test]
        public void A_long_book_is_shown_to_its_end()
        {
            string longBook = Tiny.Story(60000) + "The end.";
            Window.Run(Tiny.Options(), async window =>
            {
                await window.Form.OpenBook(scratch.Write("long.txt", longBook));
                Assert.That(longBook.Length, Is.GreaterThan(4000000));
                Assert.AreEqual(0, window.View.ViewBegin);
                window.Press(window.View, Keys.End);
                Assert.AreEqual(longBook.Length, window.View.ViewEnd);
                window.Press(window.View, Keys.Home);
                Assert.AreEqual(0, window.View.ViewBegin);
                // Narrower lines begin with the same words.
                window.View.GoTo(2000000, 2000000);
                int first = window.View.ViewBegin;
                window.Form.Width -= 150;
                Assert.That(window.View.ViewBegin, Is.InRange(first - 120, first));
            });
        }
    }

    /// <summary>Run with REATTN_LIBRARY=/nowhere.</summary>
    [TestFixture]
    [Category("NoLibrary")]
    public class NoLibraryTests
    {
        [Test]
        public void That_there_is_no_library_is_said_in_the_window()
        {
            using (var scratch = new Scratch())
            {
                Window.Run(Tiny.Options(Tiny.Path, scratch.Write("a.txt", "A book.")), async window =>
                {
                    await window.UntilSaid("/nowhere");
                    Assert.That(window.Status.Text, Is.StringContaining("REATTN_LIBRARY"));
                    Assert.AreEqual("A book.", window.View.Book);
                });
            }
        }
    }

    /// <summary>With a real model: a fact that stands where the window does not reach.</summary>
    [TestFixture]
    [Category("RealModel")]
    public class PlantedFactTests
    {
        private const string Fact = "The cat of the mayor of Quimby is called";

        [Test]
        public void A_planted_fact_is_found_beyond_the_window()
        {
            string book = Tiny.Setting("REATTN_BOOK");
            string how = "--raw --n-local 512 --n-anchors 127 --span 16 --chunk 256 --vote-stride 8 --max-tokens 8";
            string model = Tiny.Setting("REATTN_TEST_MODEL");
            Window.Run(Options.Parse(how.Split(' ').Concat(new[] { model, book })), async window =>
            {
                await window.UntilSaid("Ask something");
                int tokens = int.Parse(window.BookName.Text.Split(' ')[1].Replace(",", ""));
                Assert.That(tokens, Is.GreaterThan(8192 + 1024), "the model's window, and the question's own surroundings");
                window.AskFor(Fact);
                await window.UntilSaid("recalled");
                Assert.That(window.Answer.Text, Is.StringMatching(Fact + "\\n *Napoleon"));
                // Where it stands is among what was recalled, and shown when selected.
                int place = window.View.Book.IndexOf("Quimby", StringComparison.Ordinal);
                Passage source = window.Passages.Items.Cast<Passage>().SingleOrDefault(each => each.Begin <= place && place < each.End);
                Assert.NotNull(source, "the planted sentence was recalled");
                window.Passages.SelectedItem = source;
                Assert.That(place, Is.InRange(window.View.ViewBegin, window.View.ViewEnd));
                await window.Until(() => window.Shows(window.View, BookView.CurrentMark), "it is marked");
                await window.Until(() => window.Shows(window.Strip, Strip.CurrentTick), "and on the strip");
                await window.Save("csharp-desktop.png");
            });
        }
    }
}
