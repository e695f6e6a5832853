using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using NUnit.Framework;

namespace Reattn.Tests
{
    /// <summary>Disposing: in any order, from any thread, twice, and by nobody.</summary>
    [TestFixture]
    public class CloseTests
    {
        [Test]
        public void ADisposedObjectSaysSo()
        {
            Model model = Tiny.Open();
            Session session = Tiny.Session(model);
            session.Append(Tiny.Document);
            session.Read();
            Snapshot snapshot = session.TakeSnapshot();
            SessionOptions settings = Tiny.Settings(model);
            Generation generation = session.Generate(Tiny.Tokens(1));
            GenerationQueue queue = model.CreateQueue();
            foreach (ReattnObject each in new ReattnObject[] { model, session, snapshot, generation, queue })
            {
                Assert.That(each.IsDisposed, Is.False);
                each.Dispose();
                each.Dispose();
                Assert.That(each.IsDisposed, Is.True);
            }
            GenerationEvent next;
            QueueEvent other;
            var messages = new[] { ChatMessage.User("x") };
            var uses = new TestDelegate[]
            {
                () => model.Info(), () => model.Metadata(), () => model.Tokenize("x"), () => model.Detokenize(1),
                () => model.Estimate(settings, 1), () => model.TokenizeChat(messages), () => model.RenderChat(messages),
                () => model.CreateSession(), () => model.CreateQueue(), () => model.OpenSnapshot("never"),
                () => new SessionOptions(model),
                () => session.Info(), () => session.Fork(), () => session.TakeSnapshot(), () => session.Read(),
                () => session.Append("x"), () => session.Append(new[] { 1 }), () => session.Append(messages),
                () => session.Append(new MemoryStream(new byte[3])), () => session.Tokens(0, 1), () => session.Text(0, 1),
                () => session.Logprobs(0, 1), () => session.Truncate(0), () => session.Generate(),
                () => snapshot.Info(), () => snapshot.Save("never"),
                () => generation.NextEvent(), () => generation.TryNextEvent(TimeSpan.Zero, out next), () => generation.Answer(),
                () => generation.Finish(), () => generation.Cancel(), () => generation.Recalled(), () => generation.Logits(),
                () => generation.Stats(), () => generation.AddStop("x"), () => generation.SetJsonSchema("{}"),
                () => generation.First(),
                () => queue.Next(), () => queue.TryNext(TimeSpan.Zero, out other), () => queue.Add(generation)
            };
            for (int i = 0; i < uses.Length; i++) Assert.Throws<ObjectDisposedException>(uses[i], "use " + i);
            using (Model open = Tiny.Open())
            using (Session live = Tiny.Session(open))
            using (GenerationQueue itsQueue = open.CreateQueue())
            {
                Assert.Throws<ObjectDisposedException>(() => open.CreateSession(null, snapshot));
                Assert.Throws<ObjectDisposedException>(() => new SessionOptions(open, snapshot));
                Assert.Throws<ObjectDisposedException>(() => itsQueue.Add(generation));
                var late = Assert.Throws<AggregateException>(() => generation.TokensAsync().MoveNextAsync().Wait());
                Assert.That(late.InnerException, Is.InstanceOf<ObjectDisposedException>());
            }
        }

        [Test]
        public void AnyOrderIsSafe()
        {
            for (int seed = 0; seed < 40; seed++)
            {
                Model model = Tiny.Open();
                Session session = Tiny.Session(model);
                session.Append("The north door opens with 4711");
                session.Read();
                Snapshot snapshot = session.TakeSnapshot();
                Session second = model.CreateSession(null, snapshot);
                Session fork = session.Fork();
                Generation first = fork.Generate(Tiny.Tokens(3));
                Generation queued = second.Generate(Tiny.Tokens(3));
                GenerationQueue queue = model.CreateQueue();
                queue.Add(queued);
                var random = new Random(seed);
                var all = new ReattnObject[] { model, session, snapshot, second, fork, queued, queue };
                foreach (ReattnObject each in all.OrderBy(each => random.Next())) each.Dispose();
                Assert.That(first.Count(token => token.Id != Token.NoId), Is.EqualTo(3));
                first.Dispose();
            }
        }

        [Test]
        public void DisposingDuringAPullEndsIt()
        {
            using (Model model = Tiny.Open())
            using (Session session = Tiny.Session(model))
            {
                session.Append("Tea");
                Generation endless = session.Generate(Tiny.Tokens(Tiny.Endless));
                var running = new ManualResetEvent(false);
                Exception ended = null;
                var puller = new Thread(() =>
                {
                    try
                    {
                        foreach (Token token in endless) running.Set();
                    }
                    catch (Exception failure)
                    {
                        ended = failure;
                    }
                });
                puller.Start();
                running.WaitOne();
                endless.Dispose();
                puller.Join();
                // Between two pulls it finds itself disposed, within one it gets the last event.
                Assert.That(ended, Is.Null.Or.InstanceOf<ObjectDisposedException>());
                session.Append(" and oranges");
                Assert.That(session.Read().Reason, Is.EqualTo(DoneReason.Read));
            }
        }

        [Test]
        public void EveryThreadMayDispose()
        {
            for (int round = 0; round < 20; round++)
            {
                Model model = Tiny.Open();
                Session session = Tiny.Session(model);
                session.Append(Tiny.Document);
                Generation generation = session.Generate(Tiny.Tokens(50));
                Exception failed = null;
                var threads = new List<Thread>
                {
                    new Thread(() =>
                    {
                        try
                        {
                            generation.Answer();
                        }
                        catch (ObjectDisposedException)
                        {
                            // The expected end.
                        }
                        catch (Exception failure)
                        {
                            failed = failure;
                        }
                    })
                };
                foreach (ReattnObject each in new ReattnObject[] { model, session, generation, generation, session, model })
                {
                    threads.Add(new Thread(each.Dispose));
                }
                threads.ForEach(thread => thread.Start());
                threads.ForEach(thread => thread.Join());
                Assert.That(failed, Is.Null);
            }
        }

        /// <summary>The library itself says when it is gone: a fork shares pages with the session until then.</summary>
        [Test]
        public void WhatIsForgottenIsFreed()
        {
            using (Model model = Tiny.Open())
            using (Session session = Tiny.Session(model))
            {
                session.Append(Tiny.Document);
                session.Read();
                Assert.That(session.Info().NSharedPages, Is.EqualTo(0));
                session.TakeSnapshot().Dispose();
                using (session.Fork()) Assert.That(session.Info().NSharedPages, Is.GreaterThan(0));
                // On a thread of its own, of whose stack nothing remains: this collector scans stacks conservatively.
                var forgetting = new Thread(() => Forget(session));
                forgetting.Start();
                forgetting.Join();
                while (session.Info().NSharedPages > 0)
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                    Thread.Sleep(1);
                }
            }
        }

        private static void Forget(Session session)
        {
            for (int i = 0; i < 50; i++)
            {
                session.Fork().Generate(Tiny.Tokens(1));
                session.TakeSnapshot();
            }
        }

        /// <summary>While a call runs, its object is reachable, whatever the collector does.</summary>
        [Test]
        public void CollectionDuringCalls()
        {
            bool stop = false;
            var collector = new Thread(() =>
            {
                while (!Volatile.Read(ref stop)) GC.Collect();
            });
            collector.Start();
            try
            {
                using (Model model = Tiny.Open())
                {
                    for (int i = 0; i < 30; i++)
                    {
                        Session session = Tiny.Session(model);
                        session.Append("The north door opens with 4711");
                        // The only use of these objects is the running call.
                        Assert.That(session.Generate(Tiny.Tokens(5)).Count(token => token.Id != Token.NoId), Is.EqualTo(5));
                    }
                }
            }
            finally
            {
                Volatile.Write(ref stop, true);
                collector.Join();
            }
        }
    }
}
