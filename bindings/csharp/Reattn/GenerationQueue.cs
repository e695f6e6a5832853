using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Reattn.Native;

namespace Reattn
{
    /// <summary>An event of a generation that is in a queue.</summary>
    public sealed class QueueEvent
    {
        internal QueueEvent(Generation generation, GenerationEvent made, ReattnException failure)
        {
            Generation = generation;
            Event = made;
            Failure = failure;
        }

        /// <summary>Whose event it is.</summary>
        public Generation Generation { get; private set; }

        /// <summary>The event; null when the generation failed.</summary>
        public GenerationEvent Event { get; private set; }

        /// <summary>What the generation, it alone, ended by; else null.</summary>
        public ReattnException Failure { get; private set; }
    }

    /// <summary>
    /// Generations of several sessions of one model that are pulled, and generate, together: a token of each in one pass over the
    /// weights, which is what generating costs most. One caller at a time pulls. Any thread may add, cancel, dispose and look
    /// meanwhile.
    /// </summary>
    public sealed unsafe class GenerationQueue : ReattnObject
    {
        /// <summary>Tells an error of the queue from one of a generation.</summary>
        private const ulong NoTag = ulong.MaxValue;

        private const int SliceMs = 50;

        private readonly ConcurrentDictionary<ulong, Generation> generations = new ConcurrentDictionary<ulong, Generation>();
        private long lastTag;

        internal GenerationQueue(IntPtr handle) : base(new QueueHandle(handle)) { }

        /// <summary>From now on the generation's events come out of this queue, until the last was delivered; pulling it directly is
        /// refused. Its working memory is shared by all of equal settings: add each before the next is made.</summary>
        public void Add(Generation generation)
        {
            if (generation == null) throw new ArgumentNullException("generation");
            ulong tag = (ulong)Interlocked.Increment(ref lastTag);
            generations[tag] = generation;
            try
            {
                IntPtr err = IntPtr.Zero;
                Check(Library.Api.reattn_queue_add(Native, generation.Native, tag, &err), err, generation);
            }
            catch
            {
                Forget(tag);
                throw;
            }
            generation.IsIn(this, tag);
        }

        internal void Forget(ulong tag)
        {
            Generation forgotten;
            generations.TryRemove(tag, out forgotten);
        }

        /// <summary>Works until the next event of any generation; null when none is left, and one may be added again.</summary>
        /// <exception cref="OperationCanceledException">The token was cancelled. Nothing is lost: the next call goes on.</exception>
        public QueueEvent Next(CancellationToken cancellation = default(CancellationToken))
        {
            QueueEvent next;
            TryNext(Timeout.InfiniteTimeSpan, out next, cancellation);
            return next;
        }

        /// <summary>The same, on a thread of the pool.</summary>
        public Task<QueueEvent> NextAsync(CancellationToken cancellation = default(CancellationToken))
        {
            return Background.OnPool(() => Next(cancellation));
        }

        /// <summary>The same as <see cref="Next"/>, but for no longer than about the timeout.</summary>
        /// <param name="timeout">Or <see cref="Timeout.InfiniteTimeSpan"/>.</param>
        /// <param name="next">null when no generation is left, or when false is returned.</param>
        /// <param name="cancellation">Ends the waiting alone.</param>
        /// <returns>false: the time is over, and the next call goes on.</returns>
        public bool TryNext(TimeSpan timeout, out QueueEvent next,
            CancellationToken cancellation = default(CancellationToken))
        {
            bool endless = timeout == Timeout.InfiniteTimeSpan;
            if (!endless && timeout < TimeSpan.Zero) throw new ArgumentOutOfRangeException("timeout");
            Stopwatch time = Stopwatch.StartNew();
            while (true)
            {
                cancellation.ThrowIfCancellationRequested();
                long left = endless ? SliceMs : Math.Max(0, (long)(timeout - time.Elapsed).TotalMilliseconds);
                long slice = Math.Min(left, SliceMs);
                if (Pulled(slice, out next)) return true;
                if (!endless && left <= slice) return false;
            }
        }

        /// <summary>false: not yet, or of a generation that was disposed meanwhile.</summary>
        private bool Pulled(long timeoutMs, out QueueEvent next)
        {
            ulong tag = NoTag;
            IntPtr err = IntPtr.Zero;
            GenerationEvent made;
            ReattnException failure = null;
            int status = PullWithTag(timeoutMs, ref tag, out made, &err);
            next = null;
            if (status < 0)
            {
                if (tag == NoTag) Check(status, err);
                failure = Call.Failure(status, err);
            }
            if (status == C.REATTN_END) return true;
            if (status == C.REATTN_TIMEOUT) return false;
            Generation generation;
            bool last = failure != null || made is Done;
            if (last ? !generations.TryRemove(tag, out generation) : !generations.TryGetValue(tag, out generation)) return false;
            if (made != null) generation.Note(made);
            next = new QueueEvent(generation, made, failure);
            GC.KeepAlive(this);
            return true;
        }

        private int PullWithTag(long timeoutMs, ref ulong tag, out GenerationEvent made, IntPtr* err)
        {
            fixed (ulong* itsTag = &tag)
            {
                ulong* pointer = itsTag;
                return Pull.Event((raw, room, cap, needed, error) =>
                    Library.Api.reattn_queue_next(Native, timeoutMs, pointer, raw, room, cap, needed, error), out made, err);
            }
        }
    }
}
