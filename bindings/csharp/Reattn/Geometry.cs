using Reattn.Native;

namespace Reattn
{
    /// <summary>The shape of a made-up model of the Llama family, for measuring: <see cref="Model.Synthesize"/>. Everything has
    /// to be set.</summary>
    public sealed unsafe class Geometry
    {
        internal reattn_geometry Raw = new reattn_geometry { struct_size = (uint)sizeof(reattn_geometry) };

        /// <summary>The output matrix is the embedding table.</summary>
        public bool TiedEmbeddings
        {
            get { return Raw.tied_embeddings != 0; }
            set { Raw.tied_embeddings = value ? 1 : 0; }
        }

        /// <summary>Layers.</summary>
        public long NLayers
        {
            get { return Raw.n_layers; }
            set { Raw.n_layers = value; }
        }

        /// <summary>Width of the residual stream.</summary>
        public long NEmbd
        {
            get { return Raw.n_embd; }
            set { Raw.n_embd = value; }
        }

        /// <summary>Query heads.</summary>
        public long NHeads
        {
            get { return Raw.n_heads; }
            set { Raw.n_heads = value; }
        }

        /// <summary>Key and value heads; divides NHeads.</summary>
        public long NKvHeads
        {
            get { return Raw.n_kv_heads; }
            set { Raw.n_kv_heads = value; }
        }

        /// <summary>Numbers to a head; even.</summary>
        public long HeadDim
        {
            get { return Raw.head_dim; }
            set { Raw.head_dim = value; }
        }

        /// <summary>Width of the feed-forward layer.</summary>
        public long NFf
        {
            get { return Raw.n_ff; }
            set { Raw.n_ff = value; }
        }

        /// <summary>Size of the vocabulary.</summary>
        public long NVocab
        {
            get { return Raw.n_vocab; }
            set { Raw.n_vocab = value; }
        }

        /// <summary>Tokens of the trained window.</summary>
        public long NWindow
        {
            get { return Raw.n_window; }
            set { Raw.n_window = value; }
        }

        /// <summary>Base of the rotary positions.</summary>
        public double RopeFreqBase
        {
            get { return Raw.rope_freq_base; }
            set { Raw.rope_freq_base = value; }
        }

        /// <summary>The same seed: the same weights.</summary>
        public ulong Seed
        {
            get { return Raw.seed; }
            set { Raw.seed = value; }
        }
    }
}
