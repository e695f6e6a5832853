using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Reattn.Native;

namespace Reattn
{
    /// <summary>
    /// Tokens that were read, their cache, and what waits to be read. One thread at a time may append, truncate, fork, take a
    /// snapshot or generate; while a generation is live, the session refuses these (<see cref="ErrorCode.Busy"/>). Everything else
    /// works all the while.
    /// </summary>
    public sealed unsafe class Session : ReattnObject
    {
        private const int PieceBytes = 1 << 18;

        internal Session(Model model, IntPtr handle) : base(new SessionHandle(handle))
        {
            Model = model;
        }

        /// <summary>The model it is of, which may be disposed by now.</summary>
        public Model Model { get; private set; }

        // ---- What is to be read ---------------------------------------------------------------------------

        /// <summary>Queues text; a generation reads it later. Append a document and the question about it separately: then only the
        /// question's tokens vote on what is recalled for it.</summary>
        public void Append(string text, AppendFlags flags = AppendFlags.None)
        {
            Append(Call.Utf8(text, "text"), flags);
        }

        /// <summary>Queues UTF-8; with <see cref="AppendFlags.More"/> it may end inside a character.</summary>
        public void Append(byte[] utf8, AppendFlags flags = AppendFlags.None)
        {
            if (utf8 == null) throw new ArgumentNullException("utf8");
            Append(utf8, utf8.Length, flags);
        }

        private void Append(byte[] utf8, int length, AppendFlags flags)
        {
            IntPtr err = IntPtr.Zero;
            fixed (byte* p = utf8)
            {
                Check(Library.Api.reattn_session_append_text(Native, p, (ulong)length, (int)flags, &err), err);
            }
        }

        /// <summary>Queues token ids.</summary>
        public void Append(int[] ids, AppendFlags flags = AppendFlags.None)
        {
            if (ids == null) throw new ArgumentNullException("ids");
            IntPtr err = IntPtr.Zero;
            fixed (int* p = ids)
            {
                Check(Library.Api.reattn_session_append_ids(Native, p, (ulong)ids.Length, (int)flags, &err), err);
            }
        }

        /// <summary>Queues a conversation in the words of the model's chat template, and what makes it answer.</summary>
        public void Append(IEnumerable<ChatMessage> messages, AppendFlags flags = AppendFlags.None)
        {
            Append(Model.TokenizeChat(messages), flags);
        }

        /// <summary>
        /// Queues all UTF-8 of a stream as one append, piece by piece. When the stream fails, what it gives is refused, or it is
        /// cancelled, everything queued in this session is dropped. The stream is not closed.
        /// </summary>
        public void Append(Stream utf8, AppendFlags flags = AppendFlags.None,
            CancellationToken cancellation = default(CancellationToken))
        {
            if (utf8 == null) throw new ArgumentNullException("utf8");
            bool whole = false;
            try
            {
                var piece = new byte[PieceBytes];
                int length;
                while ((length = utf8.Read(piece, 0, piece.Length)) > 0)
                {
                    cancellation.ThrowIfCancellationRequested();
                    Append(piece, length, flags | AppendFlags.More);
                }
                Append(piece, 0, flags);
                whole = true;
            }
            finally
            {
                if (!whole && !IsDisposed) Truncate(Info().NTokens);
            }
        }

        /// <summary>The same, on another thread.</summary>
        public Task AppendAsync(Stream utf8, AppendFlags flags = AppendFlags.None,
            CancellationToken cancellation = default(CancellationToken))
        {
            return Background.Run(() => { Append(utf8, flags, cancellation); return true; });
        }

        /// <summary>Queues text, on another thread.</summary>
        public Task AppendAsync(string text, AppendFlags flags = AppendFlags.None)
        {
            return Background.Run(() => { Append(text, flags); return true; });
        }

        /// <summary>Forgets all tokens from position nTokens on, and everything queued.</summary>
        public void Truncate(long nTokens)
        {
            IntPtr err = IntPtr.Zero;
            Check(Library.Api.reattn_session_truncate(Native, nTokens, &err), err);
        }

        // ---- What was read --------------------------------------------------------------------------------

        /// <summary>Where the session stands.</summary>
        public SessionInfo Info()
        {
            var info = new SessionInfo();
            IntPtr err = IntPtr.Zero;
            fixed (reattn_session_info* raw = &info.Raw)
            {
                Check(Library.Api.reattn_session_get_info(Native, raw, &err), err);
            }
            return info;
        }

        /// <summary>Ids of the tokens [begin, end).</summary>
        public int[] Tokens(long begin, long end)
        {
            return Call.Output<int>(this, end - begin, (room, cap, needed, err) =>
                Library.Api.reattn_session_tokens(Native, begin, end, (int*)room, cap, needed, err));
        }

        /// <summary>Their text; where they begin or end inside a character, that is replaced by U+FFFD.</summary>
        public string Text(long begin, long end)
        {
            return Call.String(Bytes(begin, end));
        }

        /// <summary>Their bytes, which need not be whole UTF-8.</summary>
        public byte[] Bytes(long begin, long end)
        {
            return Call.Output<byte>(this, 64, (room, cap, needed, err) =>
                Library.Api.reattn_session_text(Native, begin, end, (byte*)room, cap, needed, err));
        }

        /// <summary>The natural logarithm of the probability of each of the tokens [begin, end) after all before it; NaN for the very
        /// first token and where it was not kept (<see cref="AppendFlags.Logprobs"/>).</summary>
        public float[] Logprobs(long begin, long end)
        {
            return Call.Output<float>(this, end - begin, (room, cap, needed, err) =>
                Library.Api.reattn_session_logprobs(Native, begin, end, (float*)room, cap, needed, err));
        }

        // ---- Copies ---------------------------------------------------------------------------------------

        /// <summary>A second session with the same tokens and settings, sharing memory: cheap.</summary>
        public Session Fork()
        {
            IntPtr made, err = IntPtr.Zero;
            Check(Library.Api.reattn_session_fork(Native, &made, &err), err);
            return new Session(Model, made);
        }

        /// <summary>The session as it is now, sharing its memory; the session may go on.</summary>
        public Snapshot TakeSnapshot()
        {
            IntPtr made, err = IntPtr.Zero;
            Check(Library.Api.reattn_cache_snapshot(Native, &made, &err), err);
            return new Snapshot(made);
        }

        // ---- Generating -----------------------------------------------------------------------------------

        /// <summary>
        /// A generation that reads what is queued and then generates. Nothing happens until it is pulled, and until it ends, by its
        /// last event, a failure or being disposed, the session takes nothing else.
        /// </summary>
        /// <param name="options">null: only read.</param>
        public Generation Generate(GenerationOptions options = null)
        {
            if (options == null) options = new GenerationOptions();
            IntPtr made, err = IntPtr.Zero;
            reattn_request_options raw = options.Raw;
            Check(Library.Api.reattn_request_create(Native, &raw, &made, &err), err);
            var generation = new Generation(this, made);
            try
            {
                foreach (string stop in options.Stops) generation.AddStop(stop);
                if (options.JsonSchema != null) generation.SetJsonSchema(options.JsonSchema);
                return generation;
            }
            catch
            {
                generation.Dispose();
                throw;
            }
        }

        /// <summary>Reads everything queued, and waits for it.</summary>
        /// <param name="progress">Is told, from this thread, about every chunk that was read.</param>
        /// <param name="cancellation">Ends the reading at the last complete chunk.</param>
        /// <exception cref="OperationCanceledException">It was cancelled; what was read stays, the rest is dropped.</exception>
        public Done Read(IProgress<ReadProgress> progress = null, CancellationToken cancellation = default(CancellationToken))
        {
            using (Generation reading = Generate())
            {
                reading.Progress = progress;
                return reading.Finish(cancellation);
            }
        }

        /// <summary>The same, on another thread.</summary>
        public Task<Done> ReadAsync(IProgress<ReadProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            return Background.Run(() => Read(progress, cancellation));
        }
    }
}
