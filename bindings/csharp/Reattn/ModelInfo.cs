using Reattn.Native;

namespace Reattn
{
    /// <summary>What a model says of itself.</summary>
    public sealed unsafe class ModelInfo
    {
        internal reattn_model_info Raw = new reattn_model_info { struct_size = (uint)sizeof(reattn_model_info) };

        internal ModelInfo() { }

        /// <summary>The device it was opened on, never Auto.</summary>
        public Device Device
        {
            get { return (Device)Raw.device; }
        }

        /// <summary>Layers.</summary>
        public long NLayers
        {
            get { return Raw.n_layers; }
        }

        /// <summary>Width of the residual stream.</summary>
        public long NEmbd
        {
            get { return Raw.n_embd; }
        }

        /// <summary>Query heads.</summary>
        public long NHeads
        {
            get { return Raw.n_heads; }
        }

        /// <summary>Key and value heads.</summary>
        public long NKvHeads
        {
            get { return Raw.n_kv_heads; }
        }

        /// <summary>Numbers to a head.</summary>
        public long HeadDim
        {
            get { return Raw.head_dim; }
        }

        /// <summary>Width of the feed-forward layer.</summary>
        public long NFf
        {
            get { return Raw.n_ff; }
        }

        /// <summary>Token ids are 0 to NVocab - 1.</summary>
        public long NVocab
        {
            get { return Raw.n_vocab; }
        }

        /// <summary>Tokens of the trained window.</summary>
        public long NWindow
        {
            get { return Raw.n_window; }
        }

        /// <summary>Entries of <see cref="Model.Metadata"/>.</summary>
        public long NMetadata
        {
            get { return Raw.n_metadata; }
        }

        /// <summary>Weights as held in memory.</summary>
        public ulong WeightsBytes
        {
            get { return Raw.weights_bytes; }
        }

        /// <summary>Of header and tensors; 0 when only the header was read.</summary>
        public ulong ModelFingerprint
        {
            get { return Raw.model_fingerprint; }
        }

        /// <summary>Likewise, of the tokenizer.</summary>
        public ulong TokenizerFingerprint
        {
            get { return Raw.tokenizer_fingerprint; }
        }

        /// <summary>Base of the rotary positions.</summary>
        public double RopeFreqBase
        {
            get { return Raw.rope_freq_base; }
        }

        /// <summary>Epsilon of the norms.</summary>
        public double NormEps
        {
            get { return Raw.norm_eps; }
        }

        /// <summary>Begin of text; -1: none, as the next four.</summary>
        public int BosToken
        {
            get { return Raw.bos_token; }
        }

        /// <summary>End of text.</summary>
        public int EosToken
        {
            get { return Raw.eos_token; }
        }

        /// <summary>End of turn.</summary>
        public int EotToken
        {
            get { return Raw.eot_token; }
        }

        /// <summary>Unknown.</summary>
        public int UnkToken
        {
            get { return Raw.unk_token; }
        }

        /// <summary>Padding.</summary>
        public int PadToken
        {
            get { return Raw.pad_token; }
        }

        /// <summary>The model expects BosToken first; the library never adds it by itself.</summary>
        public bool AddBos
        {
            get { return Raw.add_bos != 0; }
        }

        /// <summary>Likewise, at the end.</summary>
        public bool AddEos
        {
            get { return Raw.add_eos != 0; }
        }

        /// <summary>Conversations can be tokenized.</summary>
        public bool HasChatTemplate
        {
            get { return Raw.has_chat_template != 0; }
        }

        /// <summary>The output matrix is the embedding table.</summary>
        public bool TiedEmbeddings
        {
            get { return Raw.tied_embeddings != 0; }
        }

        /// <summary>Only the header was read.</summary>
        public bool HeaderOnly
        {
            get { return Raw.header_only != 0; }
        }

        /// <summary>What the weights are held in, as it was opened.</summary>
        public Weights Weights
        {
            get { return (Weights)Raw.weights; }
        }
    }

    /// <summary>How far the loading of a model is.</summary>
    public sealed unsafe class LoadProgress
    {
        internal reattn_load_progress Raw = new reattn_load_progress { struct_size = (uint)sizeof(reattn_load_progress) };

        internal LoadProgress() { }

        /// <summary>Loading has ended.</summary>
        public bool Finished
        {
            get { return Raw.finished != 0; }
        }

        /// <summary>Bytes of the file read and checked so far.</summary>
        public ulong BytesDone
        {
            get { return Raw.bytes_done; }
        }

        /// <summary>0 while not known.</summary>
        public ulong BytesTotal
        {
            get { return Raw.bytes_total; }
        }
    }

    /// <summary>What a session would take.</summary>
    public sealed unsafe class MemoryPlan
    {
        internal reattn_memory_plan Raw = new reattn_memory_plan { struct_size = (uint)sizeof(reattn_memory_plan) };

        internal MemoryPlan() { }

        /// <summary>What is still to be allocated fits into MemoryFree.</summary>
        public bool Fits
        {
            get { return Raw.fits != 0; }
        }

        /// <summary>Weights as held.</summary>
        public ulong WeightsBytes
        {
            get { return Raw.weights_bytes; }
        }

        /// <summary>Cache of the tokens.</summary>
        public ulong KvBytes
        {
            get { return Raw.kv_bytes; }
        }

        /// <summary>Activations of the largest step, at most.</summary>
        public ulong WorkingBytes
        {
            get { return Raw.working_bytes; }
        }

        /// <summary>The sum.</summary>
        public ulong TotalBytes
        {
            get { return Raw.total_bytes; }
        }

        /// <summary>Of the device, now.</summary>
        public ulong MemoryFree
        {
            get { return Raw.memory_free; }
        }
    }
}
