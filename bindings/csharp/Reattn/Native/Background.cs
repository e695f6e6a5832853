using System;
using System.Threading;
using System.Threading.Tasks;

namespace Reattn.Native
{
    /// <summary>Where asynchronous calls run.</summary>
    internal static class Background
    {
        /// <summary>On a thread of its own, so that long work does not starve the pool.</summary>
        internal static Task<T> Run<T>(Func<T> work, CancellationToken cancellation)
        {
            return Task.Factory.StartNew(work, cancellation, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach,
                TaskScheduler.Default);
        }
    }
}
