using System;
using System.Collections;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Reattn.Native;

namespace Reattn
{
    /// <summary>
    /// Reading and generating on one session, pulled in one of these ways: token by token in a foreach loop, asynchronously by
    /// <see cref="TokensAsync"/>, event by event, or at once by <see cref="Answer"/>. One caller at a time pulls; the work is done in
    /// the pull, and nothing runs between two. Breaking off loses nothing: all ways go on where the last stopped.
    /// </summary>
    /// <remarks>A cancellation token ends the generation within 100 ms, with all delivered tokens kept in the session, which can be
    /// used again; the pull then throws <see cref="OperationCanceledException"/>.</remarks>
    public sealed unsafe partial class Generation : ReattnObject, IEnumerable<Token>
    {
        /// <summary>For <see cref="Recalled(long, RecallScope)"/>: the sum over all layers.</summary>
        public const int AllLayers = C.REATTN_ALL_LAYERS;

        private volatile Done done;
        private volatile GenerationQueue queue;
        private ulong tag;

        internal Generation(Session session, IntPtr handle) : base(new RequestHandle(handle))
        {
            Session = session;
        }

        /// <summary>The session it is on.</summary>
        public Session Session { get; private set; }

        /// <summary>Is told, from the thread that pulls, about every chunk that was read; may be null.</summary>
        public IProgress<ReadProgress> Progress { get; set; }

        /// <summary>The last event, once it was pulled; else null.</summary>
        public Done Done
        {
            get { return done; }
        }

        /// <summary>Ends the answer where the text (1 to 1,024 bytes of UTF-8) appears in it, also across tokens; only before the
        /// first pull.</summary>
        public void AddStop(string text)
        {
            AddStop(Call.Utf8(text, "text"));
        }

        /// <summary>The same of UTF-8.</summary>
        public void AddStop(byte[] utf8)
        {
            if (utf8 == null) throw new ArgumentNullException("utf8");
            IntPtr err = IntPtr.Zero;
            fixed (byte* p = utf8)
            {
                Check(Library.Api.reattn_request_add_stop(Native, p, (ulong)utf8.Length, &err), err);
            }
        }

        /// <summary>What is generated is one JSON text that the schema allows; only before the first pull, and not with
        /// IgnoreEnd.</summary>
        public void SetJsonSchema(string schema)
        {
            byte[] utf8 = Call.Utf8(schema, "schema");
            IntPtr err = IntPtr.Zero;
            fixed (byte* p = utf8)
            {
                Check(Library.Api.reattn_request_set_json_schema(Native, p, (ulong)utf8.Length, &err), err);
            }
        }

        // ---- Pulling --------------------------------------------------------------------------------------

        /// <summary>Works until the next event; null when nothing more will come.</summary>
        public GenerationEvent NextEvent(CancellationToken cancellation = default(CancellationToken))
        {
            GenerationEvent next;
            Next(-1, cancellation, out next);
            return next;
        }

        /// <summary>The same, but for no longer than about the timeout.</summary>
        /// <param name="timeout">Not negative.</param>
        /// <param name="next">null when nothing more will come, or when false is returned.</param>
        /// <returns>false: the time is over, and the next call goes on where this one stopped.</returns>
        public bool TryNextEvent(TimeSpan timeout, out GenerationEvent next)
        {
            if (timeout < TimeSpan.Zero) throw new ArgumentOutOfRangeException("timeout");
            return Next((long)timeout.TotalMilliseconds, CancellationToken.None, out next) != C.REATTN_TIMEOUT;
        }

        private int Next(long timeoutMs, CancellationToken cancellation, out GenerationEvent next)
        {
            IntPtr err = IntPtr.Zero;
            int status;
            // A token that is cancelled already cancels here, and the pull then says so.
            using (cancellation.Register(CancelIfLive))
            {
                status = Check(Pull.Event((raw, room, cap, needed, error) =>
                    Library.Api.reattn_request_next(Native, timeoutMs, raw, room, cap, needed, error), out next, &err), err);
            }
            if (next != null) Note(next);
            var last = next as Done;
            if (last != null && last.Reason == DoneReason.Cancelled) cancellation.ThrowIfCancellationRequested();
            return status;
        }

        /// <summary>Called with every event, also by the queue it is in.</summary>
        internal void Note(GenerationEvent next)
        {
            var far = next as ReadProgress;
            var progress = Progress;
            if (far != null && progress != null) progress.Report(far);
            else if (next is Done) done = (Done)next;
        }

        /// <summary>The next token; null when nothing more will come. Its id may be <see cref="Token.NoId"/>: it then holds text
        /// that was held back until the end.</summary>
        internal Token NextToken(CancellationToken cancellation)
        {
            GenerationEvent next;
            while ((next = NextEvent(cancellation)) != null)
            {
                var token = next as Token;
                if (token != null) return token;
                var last = next as Done;
                if (last != null && last.Text.Length > 0) return new Token(Token.NoId, 0, last.Text);
            }
            return null;
        }

        /// <summary>The tokens of the answer, pulled one by one; input is read first. The last one's id may be
        /// <see cref="Token.NoId"/>: it then holds text that was held back.</summary>
        public IEnumerator<Token> GetEnumerator()
        {
            return Tokens().GetEnumerator();
        }

        IEnumerator IEnumerable.GetEnumerator()
        {
            return GetEnumerator();
        }

        /// <summary>The same, with a way to end it.</summary>
        public IEnumerable<Token> Tokens(CancellationToken cancellation = default(CancellationToken))
        {
            Token token;
            while ((token = NextToken(cancellation)) != null) yield return token;
        }

        /// <summary>The tokens of the answer, each pulled on a thread of the pool.</summary>
        public TokenStream TokensAsync()
        {
            return new TokenStream(this);
        }

        /// <summary>Works, on a thread of the pool, until the next event; null when nothing more will come.</summary>
        public Task<GenerationEvent> NextEventAsync(CancellationToken cancellation = default(CancellationToken))
        {
            return Background.OnPool(() => NextEvent(cancellation));
        }

        /// <summary>Generates to the end, and gives the rest of the answer that was not pulled yet.</summary>
        public string Answer(CancellationToken cancellation = default(CancellationToken))
        {
            var answer = new StringBuilder();
            foreach (Token token in Tokens(cancellation)) answer.Append(token.Text);
            return answer.ToString();
        }

        /// <summary>The same, on another thread.</summary>
        public Task<string> AnswerAsync(CancellationToken cancellation = default(CancellationToken))
        {
            return Background.Run(() => Answer(cancellation));
        }

        /// <summary>Reads and generates to the end, and says how it ended.</summary>
        /// <exception cref="InvalidOperationException">It had ended by a failure.</exception>
        public Done Finish(CancellationToken cancellation = default(CancellationToken))
        {
            while (NextEvent(cancellation) != null) { }
            if (done == null) throw new InvalidOperationException("the generation ended by a failure");
            return done;
        }

        /// <summary>Makes the running pull, or the next one, end the generation with <see cref="DoneReason.Cancelled"/> within
        /// 100 ms. Any thread, any time; waits for nothing.</summary>
        public void Cancel()
        {
            IntPtr err = IntPtr.Zero;
            Check(Library.Api.reattn_request_cancel(Native, &err), err);
        }

        private void CancelIfLive()
        {
            try
            {
                Cancel();
            }
            catch (ObjectDisposedException)
            {
                // It has ended.
            }
        }

        // ---- Looking --------------------------------------------------------------------------------------

        /// <summary>Passages recalled for the answer so far, summed over all layers, most voted first.</summary>
        public RecalledSpan[] Recalled()
        {
            return Recalled(AllLayers, RecallScope.Answer);
        }

        /// <summary>Passages that were recalled, most voted first, equal votes: the earlier first; passages that touch are one. None
        /// where nothing was recalled.</summary>
        /// <param name="layer">0 to NLayers - 1, or <see cref="AllLayers"/> for the sum.</param>
        /// <param name="scope">Over what they are summed up.</param>
        public RecalledSpan[] Recalled(long layer, RecallScope scope)
        {
            reattn_span[] raw = Call.Output<reattn_span>(this, 64, (room, cap, needed, err) =>
                Library.Api.reattn_request_recalled(Native, layer, (int)scope, (reattn_span*)room, cap, needed, err));
            return Array.ConvertAll(raw, span => new RecalledSpan(span.begin, span.end, span.votes));
        }

        /// <summary>Logits after the last token that was read or generated, one for each id.</summary>
        public float[] Logits()
        {
            return Call.Output<float>(this, 0, (room, cap, needed, err) =>
                Library.Api.reattn_request_logits(Native, (float*)room, cap, needed, err));
        }

        /// <summary>What was done so far, and how long it took. Any thread, any time.</summary>
        public GenerationStats Stats()
        {
            var stats = new GenerationStats();
            IntPtr err = IntPtr.Zero;
            fixed (reattn_request_stats* raw = &stats.Raw)
            {
                Check(Library.Api.reattn_request_get_stats(Native, raw, &err), err);
            }
            return stats;
        }

        internal void IsIn(GenerationQueue itsQueue, ulong itsTag)
        {
            tag = itsTag;
            queue = itsQueue;
            if (IsDisposed) itsQueue.Forget(itsTag);
        }

        internal override void Disposed()
        {
            if (queue != null) queue.Forget(tag);
        }
    }
}
