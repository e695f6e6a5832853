using System;
using System.Threading;
using System.Threading.Tasks;

namespace Reattn.Native
{
    /// <summary>Where asynchronous calls run. An OperationCanceledException ends the task as cancelled.</summary>
    internal static class Background
    {
        /// <summary>On a thread of its own, so that long work does not starve the pool.</summary>
        internal static async Task<T> Run<T>(Func<T> work)
        {
            return await Task.Factory.StartNew(work, CancellationToken.None,
                TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default).ConfigureAwait(false);
        }

        /// <summary>On a thread of the pool: for work that is short or waited for at once.</summary>
        internal static async Task<T> OnPool<T>(Func<T> work)
        {
            return await Task.Run(work).ConfigureAwait(false);
        }
    }
}
