using Reattn.Native;

namespace Reattn
{
    /// <summary>Where a session stands.</summary>
    public sealed unsafe class SessionInfo
    {
        internal reattn_session_info Raw = new reattn_session_info { struct_size = (uint)sizeof(reattn_session_info) };

        internal SessionInfo() { }

        /// <summary>Tokens of one cache page.</summary>
        public int PageTokens
        {
            get { return Raw.page_tokens; }
        }

        /// <summary>Tokens read.</summary>
        public long NTokens
        {
            get { return Raw.n_tokens; }
        }

        /// <summary>Tokens queued and not yet read; as far as known of an append that goes on.</summary>
        public long NPending
        {
            get { return Raw.n_pending; }
        }

        /// <summary>Cache memory held, shared pages included.</summary>
        public ulong KvBytes
        {
            get { return Raw.kv_bytes; }
        }

        /// <summary>Cache pages held.</summary>
        public long NPages
        {
            get { return Raw.n_pages; }
        }

        /// <summary>Of these, shared with forks and snapshots.</summary>
        public long NSharedPages
        {
            get { return Raw.n_shared_pages; }
        }
    }

    /// <summary>What a snapshot holds.</summary>
    public sealed unsafe class SnapshotInfo
    {
        internal reattn_cache_info Raw = new reattn_cache_info { struct_size = (uint)sizeof(reattn_cache_info) };

        internal SnapshotInfo() { }

        /// <summary>Generation can start from it without reading anything first.</summary>
        public bool HasLogits
        {
            get { return Raw.has_logits != 0; }
        }

        /// <summary>Tokens.</summary>
        public long NTokens
        {
            get { return Raw.n_tokens; }
        }

        /// <summary>Cache memory, shared pages included.</summary>
        public ulong KvBytes
        {
            get { return Raw.kv_bytes; }
        }

        /// <summary>As in <see cref="ModelInfo"/>.</summary>
        public ulong ModelFingerprint
        {
            get { return Raw.model_fingerprint; }
        }

        /// <summary>Likewise.</summary>
        public ulong TokenizerFingerprint
        {
            get { return Raw.tokenizer_fingerprint; }
        }
    }

    /// <summary>What a generation did, and how long it took.</summary>
    public sealed unsafe class GenerationStats
    {
        internal reattn_request_stats Raw = new reattn_request_stats { struct_size = (uint)sizeof(reattn_request_stats) };

        internal GenerationStats() { }

        /// <summary>It has ended.</summary>
        public bool Done
        {
            get { return Raw.done != 0; }
        }

        /// <summary>Tokens read.</summary>
        public long NPrefillTokens
        {
            get { return Raw.n_prefill_tokens; }
        }

        /// <summary>Generated tokens that are in the session's cache.</summary>
        public long NDecodeTokens
        {
            get { return Raw.n_decode_tokens; }
        }

        /// <summary>Spent reading; in a queue: of the steps it had a part in, whole, as are the next.</summary>
        public double PrefillSeconds
        {
            get { return Raw.prefill_seconds; }
        }

        /// <summary>Spent generating.</summary>
        public double DecodeSeconds
        {
            get { return Raw.decode_seconds; }
        }

        /// <summary>From the first pull to the first token; 0 before.</summary>
        public double FirstTokenSeconds
        {
            get { return Raw.first_token_seconds; }
        }
    }
}
