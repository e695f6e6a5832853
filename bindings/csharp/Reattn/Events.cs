using System;
using Reattn.Native;

namespace Reattn
{
    /// <summary>What a generation delivers: <see cref="ReadProgress"/>, <see cref="Token"/>, and at the end <see cref="Done"/>.</summary>
    public abstract class GenerationEvent
    {
        internal GenerationEvent() { }
    }

    /// <summary>Another chunk, or several, were read.</summary>
    public sealed class ReadProgress : GenerationEvent
    {
        internal ReadProgress(long nDone, long nTotal)
        {
            NDone = nDone;
            NTotal = nTotal;
        }

        /// <summary>Tokens of this generation's input that are read.</summary>
        public long NDone { get; private set; }

        /// <summary>Tokens of this generation's input.</summary>
        public long NTotal { get; private set; }
    }

    /// <summary>Another token was generated.</summary>
    public sealed class Token : GenerationEvent
    {
        /// <summary>The id of what is no token: text that was held back until the end.</summary>
        public const int NoId = -1;

        internal Token(int id, float logprob, string text)
        {
            Id = id;
            Logprob = logprob;
            Text = text;
        }

        /// <summary>Its id, or <see cref="NoId"/>.</summary>
        public int Id { get; private set; }

        /// <summary>Its log-probability at temperature 1.</summary>
        public float Logprob { get; private set; }

        /// <summary>Whole characters that it completes; may be empty, since one character can take several tokens.</summary>
        public string Text { get; private set; }
    }

    /// <summary>The last event.</summary>
    public sealed class Done : GenerationEvent
    {
        internal Done(DoneReason reason, string text, long nDone, long nTotal)
        {
            Reason = reason;
            Text = text;
            NDone = nDone;
            NTotal = nTotal;
        }

        /// <summary>Why it ended.</summary>
        public DoneReason Reason { get; private set; }

        /// <summary>Text that was held back.</summary>
        public string Text { get; private set; }

        /// <summary>Tokens of this generation's input that are read.</summary>
        public long NDone { get; private set; }

        /// <summary>Tokens of this generation's input.</summary>
        public long NTotal { get; private set; }
    }

    /// <summary>A recalled passage: the tokens [Begin, End).</summary>
    public struct RecalledSpan
    {
        internal RecalledSpan(long begin, long end, long votes) : this()
        {
            Begin = begin;
            End = end;
            Votes = votes;
        }

        /// <summary>Position of its first token.</summary>
        public long Begin { get; private set; }

        /// <summary>Position after its last token.</summary>
        public long End { get; private set; }

        /// <summary>Votes that its anchors got.</summary>
        public long Votes { get; private set; }
    }
}
