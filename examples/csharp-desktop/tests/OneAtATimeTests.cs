using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using NUnit.Framework;

namespace Reattn.Desktop.Tests
{
    [TestFixture]
    public class OneAtATimeTests
    {
        [Test]
        public void A_new_one_stops_the_old_and_waits_for_its_end()
        {
            var work = new OneAtATime();
            var told = new List<string>();
            var mayEnd = new TaskCompletionSource<int>();
            Task first = work.Run(async stop =>
            {
                await mayEnd.Task;
                told.Add("first, stopped: " + stop.IsCancellationRequested);
                stop.ThrowIfCancellationRequested();
            });
            Task second = work.Run(stop =>
            {
                told.Add("second");
                return Task.FromResult(0);
            });
            Task third = work.Run(stop =>
            {
                told.Add("third");
                return Task.FromResult(0);
            });
            Assert.IsFalse(third.IsCompleted);
            mayEnd.SetResult(0);
            third.Wait();
            Assert.AreEqual(new[] { "first, stopped: True", "third" }, told);
            Assert.IsTrue(first.IsCanceled);
            Assert.IsTrue(second.IsCanceled, "it was stopped before it began");
        }

        [Test]
        public void A_failure_is_its_own_and_a_stop_too()
        {
            var work = new OneAtATime();
            Task failing = work.Run(stop => { throw new InvalidOperationException("no"); });
            Assert.That(Assert.Throws<AggregateException>(failing.Wait).InnerException.Message, Is.EqualTo("no"));
            Task stopped = work.Run(stop => Task.Delay(Timeout.Infinite, stop));
            work.Stop();
            Assert.Throws<AggregateException>(stopped.Wait);
            Assert.IsTrue(stopped.IsCanceled);
            work.Run(stop => Task.FromResult(0)).Wait();
        }
    }
}
