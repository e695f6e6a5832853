using System;
using System.Collections.Generic;
using Reattn.Native;

namespace Reattn
{
    /// <summary>How an answer is generated. What is out of range is refused where it is used.</summary>
    public sealed unsafe class GenerationOptions
    {
        internal reattn_request_options Raw;

        private readonly List<string> stops = new List<string>();

        /// <summary>The defaults.</summary>
        public GenerationOptions()
        {
            IntPtr err = IntPtr.Zero;
            fixed (reattn_request_options* raw = &Raw)
            {
                Call.Check(Library.Api.reattn_request_options_init(raw, (UIntPtr)sizeof(reattn_request_options), &err), err);
            }
        }

        /// <summary>Go on past the tokens that end an answer.</summary>
        public bool IgnoreEnd
        {
            get { return Raw.ignore_end != 0; }
            set { Raw.ignore_end = value ? 1 : 0; }
        }

        /// <summary>Tokens to generate at most; 0, the default: only read what is queued.</summary>
        public long MaxTokens
        {
            get { return Raw.max_tokens; }
            set { Raw.max_tokens = value; }
        }

        /// <summary>0, the default: always the most likely token, and the rest below means nothing.</summary>
        public float Temperature
        {
            get { return Raw.temperature; }
            set { Raw.temperature = value; }
        }

        /// <summary>Among the TopK most likely; 0, the default: off.</summary>
        public int TopK
        {
            get { return Raw.top_k; }
            set { Raw.top_k = value; }
        }

        /// <summary>Among the most likely ones that sum up to TopP; 1, the default: off.</summary>
        public float TopP
        {
            get { return Raw.top_p; }
            set { Raw.top_p = value; }
        }

        /// <summary>Among those at least MinP times as likely as the best; 0, the default: off.</summary>
        public float MinP
        {
            get { return Raw.min_p; }
            set { Raw.min_p = value; }
        }

        /// <summary>Same input, settings and seed: the same tokens.</summary>
        public ulong Seed
        {
            get { return Raw.seed; }
            set { Raw.seed = value; }
        }

        /// <summary>Logits of the tokens that are among the session's last RepetitionWindow are divided by it where they are positive
        /// and multiplied by it where not, also with temperature 0; 1, the default: off.</summary>
        public float RepetitionPenalty
        {
            get { return Raw.repetition_penalty; }
            set { Raw.repetition_penalty = value; }
        }

        /// <summary>64 is the default; 0: all of them.</summary>
        public int RepetitionWindow
        {
            get { return Raw.repetition_window; }
            set { Raw.repetition_window = value; }
        }

        /// <summary>A JSON schema: the answer is one JSON text that it allows, not with IgnoreEnd; null, the default: any text.</summary>
        public string JsonSchema { get; set; }

        /// <summary>Texts (1 to 1,024 bytes of UTF-8) that end the answer where they appear in it, also across tokens, and are not
        /// delivered.</summary>
        public IList<string> Stops
        {
            get { return stops; }
        }
    }
}
