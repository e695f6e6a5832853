using System;
using Reattn.Native;

namespace Reattn
{
    /// <summary>
    /// Settings of the method. In every step the model attends to the first NGlobal tokens, to the last NLocal, and to Span tokens
    /// around each of NAnchors positions in between, which it finds by letting every VoteStride-th new token and every query head
    /// vote for its TopK best positions. What is out of range is refused where it is used.
    /// </summary>
    public sealed unsafe class SessionOptions
    {
        internal reattn_session_options Raw;

        /// <summary>The settings to start from: the published ones for the model's window, or those a snapshot was read with. The
        /// model may be opened with HeaderOnly.</summary>
        public SessionOptions(Model model, Snapshot snapshot = null)
        {
            if (model == null) throw new ArgumentNullException("model");
            IntPtr err = IntPtr.Zero;
            fixed (reattn_session_options* raw = &Raw)
            {
                model.Check(Library.Api.reattn_session_options_init(model.Native,
                    snapshot == null ? IntPtr.Zero : snapshot.Native, raw, (UIntPtr)sizeof(reattn_session_options), &err), err,
                    snapshot);
            }
        }

        /// <summary>How positions to recall are selected.</summary>
        public Selection Selection
        {
            get { return (Selection)Raw.selection; }
            set { Raw.selection = (int)value; }
        }

        /// <summary>First tokens that are always attended to.</summary>
        public long NGlobal
        {
            get { return Raw.n_global; }
            set { Raw.n_global = value; }
        }

        /// <summary>Last tokens that are always attended to, at least Chunk; NGlobal + NAnchors * Span + NLocal is at most the
        /// trained window.</summary>
        public long NLocal
        {
            get { return Raw.n_local; }
            set { Raw.n_local = value; }
        }

        /// <summary>Best positions each query head votes for, 1 to 16.</summary>
        public int TopK
        {
            get { return Raw.top_k; }
            set { Raw.top_k = value; }
        }

        /// <summary>Tokens recalled around an anchor, at least 1.</summary>
        public int Span
        {
            get { return Raw.span; }
            set { Raw.span = value; }
        }

        /// <summary>Positions recalled; 0: nothing is.</summary>
        public int NAnchors
        {
            get { return Raw.n_anchors; }
            set { Raw.n_anchors = value; }
        }

        /// <summary>Tokens read in one step, at least 1.</summary>
        public int Chunk
        {
            get { return Raw.chunk; }
            set { Raw.chunk = value; }
        }

        /// <summary>Every so manyth new token votes, counted back from the last; at least 1.</summary>
        public int VoteStride
        {
            get { return Raw.vote_stride; }
            set { Raw.vote_stride = value; }
        }

        /// <summary>What keys and values are kept in.</summary>
        public KvDtype KvDtype
        {
            get { return (KvDtype)Raw.kv_dtype; }
            set { Raw.kv_dtype = (int)value; }
        }

        /// <summary>Capacity of the session; 0: as much as memory holds.</summary>
        public long MaxTokens
        {
            get { return Raw.max_tokens; }
            set { Raw.max_tokens = value; }
        }

        /// <summary>How positions to recall are found.</summary>
        public Scoring Scoring
        {
            get { return (Scoring)Raw.scoring; }
            set { Raw.scoring = (int)value; }
        }
    }
}
