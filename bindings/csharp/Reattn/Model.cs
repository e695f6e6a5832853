using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Reattn.Native;

namespace Reattn
{
    /// <summary>A model file, loaded; immutable. Any number of threads may use it at once.</summary>
    public sealed unsafe class Model : ReattnObject
    {
        private const int SliceMs = 50;

        private Model(IntPtr handle) : base(new ModelHandle(handle)) { }

        // ---- Opening --------------------------------------------------------------------------------------

        /// <summary>
        /// Opens a model, a GGUF file or a folder as Hugging Face's library saves it, and waits until it is loaded.
        /// </summary>
        /// <param name="path">The file or folder.</param>
        /// <param name="options">null: the defaults.</param>
        /// <param name="progress">Is told every now and then, from this thread, how far it is, and at the end.</param>
        /// <param name="cancellation">Ends the loading.</param>
        /// <exception cref="ReattnException">IO, Format (naming the key or tensor), Unsupported, NoDevice, out of memory.</exception>
        /// <exception cref="OperationCanceledException">It was cancelled.</exception>
        public static Model Open(string path, ModelOptions options = null, IProgress<LoadProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            cancellation.ThrowIfCancellationRequested();
            byte[] bytes = Call.Utf8(path, "path");
            IntPtr made, err = IntPtr.Zero;
            reattn_model_options raw = (options ?? new ModelOptions()).Raw;
            fixed (byte* p = bytes)
            {
                Call.Check(Library.Api.reattn_model_open(p, (ulong)bytes.Length, &raw, &made, &err), err);
            }
            return new Model(made).Loaded(progress, cancellation);
        }

        /// <summary>The same, on a thread of its own.</summary>
        public static Task<Model> OpenAsync(string path, ModelOptions options = null, IProgress<LoadProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            return Background.Run(() => Open(path, options, progress, cancellation));
        }

        /// <summary>
        /// Makes a model of this shape out of random weights, to measure the speed and memory of sizes whose weights are not at hand.
        /// What it generates means nothing: token i reads "w" and its number.
        /// </summary>
        public static Model Synthesize(Geometry geometry, ModelOptions options = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            if (geometry == null) throw new ArgumentNullException("geometry");
            IntPtr made, err = IntPtr.Zero;
            reattn_geometry shape = geometry.Raw;
            reattn_model_options raw = (options ?? new ModelOptions()).Raw;
            Call.Check(Library.Api.reattn_model_synthesize(&shape, &raw, &made, &err), err);
            return new Model(made).Loaded(null, cancellation);
        }

        /// <summary>This, once it is loaded; when that fails, it is disposed.</summary>
        private Model Loaded(IProgress<LoadProgress> progress, CancellationToken cancellation)
        {
            try
            {
                using (cancellation.Register(CancelLoad))
                {
                    int status;
                    do
                    {
                        var far = new LoadProgress();
                        status = Wait(far);
                        if (progress != null) progress.Report(far);
                    }
                    while (status == C.REATTN_TIMEOUT);
                }
                return this;
            }
            catch (ReattnException failure)
            {
                Dispose();
                if (failure.Code == ErrorCode.Cancelled) cancellation.ThrowIfCancellationRequested();
                throw;
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        private int Wait(LoadProgress far)
        {
            IntPtr err = IntPtr.Zero;
            fixed (reattn_load_progress* raw = &far.Raw)
            {
                return Check(Library.Api.reattn_model_wait(Native, SliceMs, raw, &err), err);
            }
        }

        private void CancelLoad()
        {
            IntPtr err = IntPtr.Zero;
            Check(Library.Api.reattn_model_cancel_load(Native, &err), err);
        }

        // ---- What it is -----------------------------------------------------------------------------------

        /// <summary>What the model says of itself.</summary>
        public ModelInfo Info()
        {
            var info = new ModelInfo();
            IntPtr err = IntPtr.Zero;
            fixed (reattn_model_info* raw = &info.Raw)
            {
                Check(Library.Api.reattn_model_get_info(Native, raw, &err), err);
            }
            return info;
        }

        /// <summary>The file's metadata in its order, as readable text, in which long values are cut.</summary>
        public IList<KeyValuePair<string, string>> Metadata()
        {
            var all = new List<KeyValuePair<string, string>>();
            long n = Info().NMetadata;
            for (long i = 0; i < n; i++)
            {
                byte[] key = new byte[128], value = new byte[1024];
                ulong keyBytes = 0, valueBytes = 0;
                while (!TryMetadata(i, key, value, ref keyBytes, ref valueBytes))
                {
                    key = new byte[checked((int)keyBytes)];
                    value = new byte[checked((int)valueBytes)];
                }
                Array.Resize(ref key, (int)keyBytes);
                Array.Resize(ref value, (int)valueBytes);
                all.Add(new KeyValuePair<string, string>(Call.String(key), Call.String(value)));
            }
            return all.AsReadOnly();
        }

        private bool TryMetadata(long index, byte[] key, byte[] value, ref ulong keyBytes, ref ulong valueBytes)
        {
            IntPtr err = IntPtr.Zero;
            fixed (byte* k = key, v = value)
            fixed (ulong* kNeeded = &keyBytes, vNeeded = &valueBytes)
            {
                int status = Library.Api.reattn_model_metadata(Native, index, k, (ulong)key.Length, kNeeded,
                    v, (ulong)value.Length, vNeeded, &err);
                if (status == C.REATTN_E_BUFFER)
                {
                    Library.Api.reattn_error_free(err);
                    return false;
                }
                Check(status, err);
                return true;
            }
        }

        /// <summary>What holding a session of so many tokens would take, from the header alone.</summary>
        /// <param name="options">null: the published settings.</param>
        /// <param name="nTokens">At least 0.</param>
        public MemoryPlan Estimate(SessionOptions options, long nTokens)
        {
            var plan = new MemoryPlan();
            IntPtr err = IntPtr.Zero;
            reattn_session_options settings = options == null ? default(reattn_session_options) : options.Raw;
            fixed (reattn_memory_plan* raw = &plan.Raw)
            {
                Check(Library.Api.reattn_model_estimate(Native, options == null ? null : &settings, nTokens, raw, &err), err);
            }
            return plan;
        }

        // ---- Text -----------------------------------------------------------------------------------------

        /// <summary>Token ids of text; no begin- or end-of-text token is added.</summary>
        /// <param name="text">Well-formed text.</param>
        /// <param name="parseSpecial">The text of a special token, such as "&lt;|im_end|&gt;", becomes that token; text from a user
        /// should not be read so.</param>
        public int[] Tokenize(string text, bool parseSpecial = false)
        {
            return Tokenize(Call.Utf8(text, "text"), parseSpecial);
        }

        /// <summary>The same of UTF-8.</summary>
        public int[] Tokenize(byte[] utf8, bool parseSpecial = false)
        {
            if (utf8 == null) throw new ArgumentNullException("utf8");
            return Call.Output<int>(this, utf8.Length / 2 + 16, (room, cap, needed, err) =>
            {
                fixed (byte* p = utf8)
                {
                    return Library.Api.reattn_text_tokenize(Native, p, (ulong)utf8.Length, parseSpecial ? 1 : 0, (int*)room, cap,
                        needed, err);
                }
            });
        }

        /// <summary>The text of tokens; where they begin or end inside a character, that is replaced by U+FFFD.</summary>
        public string Detokenize(params int[] ids)
        {
            return Call.String(DetokenizeBytes(ids));
        }

        /// <summary>The bytes of tokens, one after the other, which need not be whole UTF-8.</summary>
        public byte[] DetokenizeBytes(params int[] ids)
        {
            if (ids == null) throw new ArgumentNullException("ids");
            return Call.Output<byte>(this, ids.Length * 5L + 16, (room, cap, needed, err) =>
            {
                fixed (int* p = ids)
                {
                    return Library.Api.reattn_text_detokenize(Native, p, (ulong)ids.Length, (byte*)room, cap, needed, err);
                }
            });
        }

        /// <summary>A conversation in the words of the model's chat template, for looking at.</summary>
        /// <param name="messages">The conversation.</param>
        /// <param name="addGenerationPrompt">End with what makes the model answer.</param>
        public string RenderChat(IEnumerable<ChatMessage> messages, bool addGenerationPrompt = true)
        {
            return RenderChat(ChatMessage.Json(messages), addGenerationPrompt);
        }

        /// <summary>The same of JSON: an array of messages, or an object with that array as "messages" and with "tools" and other
        /// variables of the template.</summary>
        public string RenderChat(string messagesJson, bool addGenerationPrompt = true)
        {
            byte[] json = Call.Utf8(messagesJson, "messagesJson");
            return Call.String(Call.Output<byte>(this, json.Length + 256, (room, cap, needed, err) =>
            {
                fixed (byte* p = json)
                {
                    return Library.Api.reattn_chat_render(Native, p, (ulong)json.Length, addGenerationPrompt ? 1 : 0, (byte*)room,
                        cap, needed, err);
                }
            }));
        }

        /// <summary>Token ids of a conversation in the model's chat template. Special tokens match in the template's own words only:
        /// a message's content cannot forge them.</summary>
        /// <param name="messages">The conversation.</param>
        /// <param name="addGenerationPrompt">End with what makes the model answer.</param>
        public int[] TokenizeChat(IEnumerable<ChatMessage> messages, bool addGenerationPrompt = true)
        {
            return TokenizeChat(ChatMessage.Json(messages), addGenerationPrompt);
        }

        /// <summary>The same of JSON: an array of messages, or an object with that array as "messages" and with "tools" and other
        /// variables of the template.</summary>
        public int[] TokenizeChat(string messagesJson, bool addGenerationPrompt = true)
        {
            byte[] json = Call.Utf8(messagesJson, "messagesJson");
            return Call.Output<int>(this, json.Length / 2 + 64, (room, cap, needed, err) =>
            {
                fixed (byte* p = json)
                {
                    return Library.Api.reattn_chat_tokenize(Native, p, (ulong)json.Length, addGenerationPrompt ? 1 : 0, (int*)room,
                        cap, needed, err);
                }
            });
        }

        // ---- Sessions, snapshots, queues ------------------------------------------------------------------

        /// <summary>An empty session or, with a snapshot, one that goes on from it and shares its memory.</summary>
        /// <param name="options">null: the published settings, or the snapshot's. Of a snapshot's settings NLocal, NAnchors, TopK,
        /// Span, VoteStride and MaxTokens may be changed.</param>
        /// <param name="snapshot">null: an empty session.</param>
        public Session CreateSession(SessionOptions options = null, Snapshot snapshot = null)
        {
            IntPtr made, err = IntPtr.Zero;
            reattn_session_options raw = options == null ? default(reattn_session_options) : options.Raw;
            IntPtr cache = snapshot == null ? IntPtr.Zero : snapshot.Native;
            Check(Library.Api.reattn_session_create(Native, cache, options == null ? null : &raw, &made, &err), err, snapshot);
            return new Session(this, made);
        }

        /// <summary>Reads a snapshot that <see cref="Snapshot.Save"/> wrote for this very model; every byte is checked.</summary>
        public Snapshot OpenSnapshot(string path)
        {
            byte[] bytes = Call.Utf8(path, "path");
            IntPtr made, err = IntPtr.Zero;
            fixed (byte* p = bytes)
            {
                Check(Library.Api.reattn_cache_open(Native, p, (ulong)bytes.Length, &made, &err), err);
            }
            return new Snapshot(made);
        }

        /// <summary>The same, on another thread.</summary>
        public Task<Snapshot> OpenSnapshotAsync(string path)
        {
            return Background.Run(() => OpenSnapshot(path));
        }

        /// <summary>A queue for generations of sessions of this model.</summary>
        public GenerationQueue CreateQueue()
        {
            IntPtr made, err = IntPtr.Zero;
            Check(Library.Api.reattn_queue_create(Native, &made, &err), err);
            return new GenerationQueue(made);
        }
    }
}
