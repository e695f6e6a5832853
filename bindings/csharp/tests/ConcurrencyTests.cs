using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Reattn.Tests
{
    /// <summary>Many threads on one model, and queues.</summary>
    [TestFixture]
    public class ConcurrencyTests
    {
        private const int N = 16;

        private Model model;
        private Snapshot document;

        [SetUp]
        public void Read()
        {
            model = Tiny.Open();
            using (Session session = Tiny.Session(model))
            {
                session.Append(Tiny.Document);
                session.Read();
                document = session.TakeSnapshot();
            }
        }

        [TearDown]
        public void Close()
        {
            document.Dispose();
            model.Dispose();
        }

        private static string Question(int i)
        {
            return "\nWhich door opens with " + (4700 + i) + "? ";
        }

        private static string Passages(Generation generation)
        {
            return string.Join(" ", generation.Recalled().Select(span => span.Begin + "-" + span.End + ":" + span.Votes));
        }

        private string Ask(int i)
        {
            using (Session session = model.CreateSession(null, document))
            {
                session.Append(Question(i));
                using (Generation generation = session.Generate(Tiny.Tokens(20)))
                {
                    return generation.Answer() + Passages(generation);
                }
            }
        }

        [Test]
        public void ThreadsGetTheSame()
        {
            string[] expected = Enumerable.Range(0, N).Select(Ask).ToArray();
            Assert.That(expected.Distinct().Count(), Is.GreaterThan(1));
            var start = new Barrier(N);
            var got = new string[N];
            var threads = Enumerable.Range(0, N).Select(i => new Thread(() =>
            {
                start.SignalAndWait();
                for (int round = 0; round < 5; round++) got[i] = Ask(i);
            })).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
            Assert.That(got, Is.EqualTo(expected));
        }

        [Test]
        public void TasksGetTheSame()
        {
            string[] expected = Enumerable.Range(0, N).Select(Ask).ToArray();
            string[] got = Task.WhenAll(Enumerable.Range(0, N).Select(AskAsync)).Result;
            Assert.That(got, Is.EqualTo(expected));
        }

        private async Task<string> AskAsync(int i)
        {
            using (Session session = model.CreateSession(null, document))
            {
                await session.AppendAsync(Question(i));
                using (Generation generation = session.Generate(Tiny.Tokens(20)))
                {
                    var answer = new StringBuilder();
                    TokenStream tokens = generation.TokensAsync();
                    while (await tokens.MoveNextAsync()) answer.Append(tokens.Current.Text);
                    return answer + Passages(generation);
                }
            }
        }

        [Test]
        public void AQueueGivesWhatEachGivesByItself()
        {
            string[] expected = Enumerable.Range(0, N).Select(Ask).ToArray();
            using (GenerationQueue queue = model.CreateQueue())
            {
                Assert.That(queue.Next(), Is.Null);
                var answers = new Dictionary<Generation, StringBuilder>();
                for (int i = 0; i < N; i++)
                {
                    Session session = model.CreateSession(null, document);
                    session.Append(Question(i));
                    Generation generation = session.Generate(Tiny.Tokens(20));
                    queue.Add(generation);
                    answers[generation] = new StringBuilder();
                }
                Generation first = answers.Keys.First();
                Assert.That(Assert.Throws<ReattnException>(() => first.NextEvent()).Code, Is.EqualTo(ErrorCode.Busy));
                Assert.That(Assert.Throws<ReattnException>(() => queue.Add(first)).Code, Is.EqualTo(ErrorCode.Arg));
                QueueEvent next;
                while ((next = queue.Next()) != null)
                {
                    Assert.That(next.Failure, Is.Null);
                    if (next.Event is Token) answers[next.Generation].Append(((Token)next.Event).Text);
                    if (next.Event is Done) answers[next.Generation].Append(((Done)next.Event).Text);
                }
                Assert.That(answers.Select(each => each.Value + Passages(each.Key)), Is.EquivalentTo(expected));
                foreach (Generation each in answers.Keys)
                {
                    Assert.That(each.Done.Reason, Is.EqualTo(DoneReason.Length));
                    each.Dispose();
                    each.Session.Dispose();
                }
            }
        }

        [Test]
        public void AQueueWhoseGenerationsAreDisposedAndCancelledMeanwhile()
        {
            using (GenerationQueue queue = model.CreateQueue())
            {
                var generations = new List<Generation>();
                for (int i = 0; i < 6; i++)
                {
                    Session session = Tiny.Session(model);
                    session.Append(Question(i));
                    generations.Add(session.Generate(Tiny.Tokens(Tiny.Endless)));
                    queue.Add(generations[i]);
                }
                for (int i = 0; i < 100; i++) Assert.That(queue.Next(), Is.Not.Null);
                generations.Take(3).ToList().ForEach(each => each.Dispose());
                generations.Skip(3).ToList().ForEach(each => each.Cancel());
                int done = 0;
                QueueEvent next;
                while ((next = queue.Next()) != null)
                {
                    Assert.That(generations.IndexOf(next.Generation), Is.GreaterThanOrEqualTo(3));
                    if (!(next.Event is Done)) continue;
                    Assert.That(((Done)next.Event).Reason, Is.EqualTo(DoneReason.Cancelled));
                    done++;
                }
                Assert.That(done, Is.EqualTo(3));
            }
        }

        [Test]
        public void WaitingForAQueueCanBeBrokenOff()
        {
            using (GenerationQueue queue = model.CreateQueue())
            using (Session session = Tiny.Session(model))
            {
                session.Append(Tiny.Repeat(Tiny.Document, 4));
                Generation generation = session.Generate(Tiny.Tokens(2));
                queue.Add(generation);
                var cancelled = new CancellationToken(true);
                Assert.Throws<OperationCanceledException>(() => queue.Next(cancelled));
                int timeouts = 0;
                QueueEvent next = null;
                do
                {
                    if (!queue.TryNext(TimeSpan.Zero, out next)) timeouts++;
                    else if (next == null) break;
                }
                while (true);
                Assert.That(timeouts, Is.GreaterThan(0));
                Assert.That(generation.Done.Reason, Is.EqualTo(DoneReason.Length));
                generation.Dispose();
            }
        }

        /// <summary>Of two threads that pull at once, one is refused, and that changes nothing for the other.</summary>
        [Test]
        public void TwoPullersAreRefused()
        {
            using (Session session = model.CreateSession(null, document))
            using (Generation generation = session.Generate(Tiny.Tokens(Tiny.Endless)))
            {
                ReattnException refused = null;
                ThreadStart pull = () =>
                {
                    try
                    {
                        while (Volatile.Read(ref refused) == null && generation.NextEvent() != null) { }
                    }
                    catch (ReattnException failure)
                    {
                        Volatile.Write(ref refused, failure);
                    }
                };
                var other = new Thread(pull);
                other.Start();
                pull();
                other.Join();
                Assert.That(refused.Code, Is.EqualTo(ErrorCode.Busy));
                Assert.That(generation.NextEvent(), Is.InstanceOf<Token>());
                Assert.That(Assert.Throws<ReattnException>(() => session.Append("x")).Code, Is.EqualTo(ErrorCode.Busy));
            }
        }
    }
}
