using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Reattn.Desktop.Tests
{
    [TestFixture]
    public class ReaderTests
    {
        private static readonly BookText Story = BookText.Decode("story.txt", Encoding.UTF8.GetBytes(Tiny.Story(20)));

        private static Reader Open(Options options)
        {
            return Reader.OpenAsync(Tiny.Path, options, share => { }, CancellationToken.None).Result;
        }

        private static Book Read(Reader reader, BookText text)
        {
            return reader.ReadAsync(text, (done, total) => { }, CancellationToken.None).Result;
        }

        private static Answer Ask(Book book, string question)
        {
            return book.AskAsync(question, piece => { }, CancellationToken.None).Result;
        }

        [TestCase(false)]
        [TestCase(true)]
        public void A_book_is_read_and_answers(bool raw)
        {
            using (Reader reader = Open(Tiny.Options(raw ? "--raw" : "")))
            {
                Assert.AreEqual(512, reader.Window);
                var far = new List<long>();
                long all = 0;
                using (Book book = reader.ReadAsync(Story, (done, total) => { far.Add(done); all = total; }, CancellationToken.None).Result)
                {
                    Assert.That(far, Is.Ordered.And.Count.GreaterThan(10));
                    Assert.AreEqual(all, far.Last());
                    Assert.That(book.Tokens, Is.GreaterThan(2 * reader.Window));
                    Assert.That(all - book.Tokens, Is.InRange(0, 64), "the words of the template come before it");

                    var pieces = new StringBuilder();
                    Answer answer = book.AskAsync("Which ship? 🐟", piece => pieces.Append(piece), CancellationToken.None).Result;
                    Assert.AreEqual(answer.Text, pieces.ToString());
                    Assert.That(answer.Passages, Is.Not.Empty);
                    Assert.That(answer.Passages.Select(each => each.Votes), Is.Ordered.Descending);
                    foreach (Passage passage in answer.Passages)
                    {
                        string part = Story.Text.Substring(passage.Begin, passage.End - passage.Begin);
                        Assert.DoesNotThrow(() => new UTF8Encoding(false, true).GetBytes(part), "half a character");
                    }
                    // Other questions leave no trace.
                    Ask(book, "And then?");
                    Assert.AreEqual(answer.Text, Ask(book, "Which ship? 🐟").Text);
                }
            }
        }

        [Test]
        public void Passages_are_where_the_tokens_are()
        {
            BookText ascii = BookText.Decode("ascii.txt", Encoding.UTF8.GetBytes(Tiny.Story(20).Replace("🐟", "fish").Replace("日本の船", "x")
                .Replace("—", "-")));
            var boundaries = new HashSet<int> { 0 };
            using (Model model = Model.Open(Tiny.Path))
            {
                int at = 0;
                foreach (int token in model.Tokenize(ascii.Text)) boundaries.Add(at += model.DetokenizeBytes(token).Length);
                Assert.AreEqual(ascii.Text.Length, at);
            }
            using (Reader reader = Open(Tiny.Options("--raw")))
            using (Book book = Read(reader, ascii))
            {
                List<Passage> passages = Ask(book, "On day 7 the ship").Passages.OrderBy(each => each.Begin).ToList();
                Assert.That(passages, Is.Not.Empty);
                Assert.That(passages.All(each => boundaries.Contains(each.Begin) && boundaries.Contains(each.End)));
                for (int i = 1; i < passages.Count; i++) Assert.That(passages[i].Begin, Is.GreaterThanOrEqualTo(passages[i - 1].End));
            }
        }

        [Test]
        public void Reading_can_be_stopped()
        {
            using (Reader reader = Open(Tiny.Options()))
            using (var stop = new CancellationTokenSource())
            {
                Task<Book> reading = reader.ReadAsync(Story, (done, total) => stop.Cancel(), stop.Token);
                Assert.IsInstanceOf<OperationCanceledException>(Assert.Throws<AggregateException>(reading.Wait).InnerException);
                Read(reader, Story).Dispose();
            }
        }

        [Test]
        public void An_answer_can_be_stopped_and_keeps_what_was_said()
        {
            using (Reader reader = Open(Tiny.Options("--max-tokens", "100000")))
            using (Book book = Read(reader, Story))
            using (var stop = new CancellationTokenSource())
            {
                var pieces = new StringBuilder();
                Answer answer = book.AskAsync("Which ship?", piece => { pieces.Append(piece); stop.Cancel(); }, stop.Token).Result;
                Assert.AreEqual(DoneReason.Cancelled, answer.Reason);
                Assert.AreEqual(pieces.ToString(), answer.Text);
                Assert.That(answer.Text, Is.Not.Empty);
                Assert.That(answer.Passages, Is.Not.Empty);
            }
        }

        [Test]
        public void Failures_have_the_librarys_words()
        {
            using (var scratch = new Scratch())
            {
                string junk = scratch.Write("junk.gguf", "this is no model");
                foreach (string path in new[] { scratch.Missing, junk })
                {
                    var failure = Assert.Throws<AggregateException>(
                        () => Reader.OpenAsync(path, Tiny.Options(), share => { }, CancellationToken.None).Wait()).InnerException;
                    Assert.IsInstanceOf<ReattnException>(failure);
                    Assert.That(failure.Message, Is.StringContaining(path));
                }
                using (Reader reader = Open(Tiny.Options("--n-local", "100000")))
                {
                    Task<Book> reading = reader.ReadAsync(Story, (done, total) => { }, CancellationToken.None);
                    Assert.That(Assert.Throws<AggregateException>(reading.Wait).InnerException.Message, Is.StringContaining("n_local"));
                }
            }
        }
    }
}
