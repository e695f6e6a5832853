// Work in the background that the window starts and stops.
using System;
using System.Threading;
using System.Threading.Tasks;

namespace Reattn.Desktop
{
    /// <summary>
    /// One piece of work at a time: a new one stops the one that runs, and begins once that has ended. Of
    /// one thread, which no method here blocks.
    /// </summary>
    public sealed class OneAtATime
    {
        private CancellationTokenSource stop = new CancellationTokenSource();
        private Task last = Task.FromResult(0);

        /// <summary>Runs <paramref name="work"/>; the task fails as it does, or is cancelled.</summary>
        public Task Run(Func<CancellationToken, Task> work)
        {
            stop.Cancel();
            stop = new CancellationTokenSource();
            Task mine = After(last, work, stop.Token);
            last = mine;
            return mine;
        }

        /// <summary>Stops what runs or waits.</summary>
        public void Stop() { stop.Cancel(); }

        private static async Task After(Task before, Func<CancellationToken, Task> work, CancellationToken stop)
        {
            try
            {
                await before;
            }
            catch (Exception)
            {
                // Told to whoever ran it.
            }
            stop.ThrowIfCancellationRequested();
            await work(stop);
        }
    }
}
