using System;
using Reattn.Native;

namespace Reattn
{
    /// <summary>Where a model runs.</summary>
    public enum Device
    {
        /// <summary>The fastest that can be used; the choice goes to the log.</summary>
        Auto = C.REATTN_DEVICE_AUTO,
        /// <summary>The processor.</summary>
        Cpu = C.REATTN_DEVICE_CPU,
        /// <summary>An NVIDIA GPU.</summary>
        Cuda = C.REATTN_DEVICE_CUDA
    }

    /// <summary>What a model's weights are held in.</summary>
    public enum Weights
    {
        /// <summary>As the device multiplies them best: in BF16 on a GPU, as the file has them on the CPU.</summary>
        Auto = C.REATTN_WEIGHTS_AUTO,
        /// <summary>The layers' matrices in 8 bits: about half of BF16, and faster; answers differ a little. On a GPU.</summary>
        Fp8 = C.REATTN_WEIGHTS_FP8
    }

    /// <summary>How positions to recall are selected.</summary>
    public enum Selection
    {
        /// <summary>Plain attention over everything; inside the trained window only.</summary>
        Full = C.REATTN_SELECTION_FULL,
        /// <summary>Recall by the top positions of each query and head.</summary>
        Exact = C.REATTN_SELECTION_EXACT,
        /// <summary>At most one of them from each 128, as the published kernel does.</summary>
        Block1 = C.REATTN_SELECTION_BLOCK1
    }

    /// <summary>What keys and values are kept in.</summary>
    public enum KvDtype
    {
        /// <summary>32 bits.</summary>
        F32 = C.REATTN_KV_F32,
        /// <summary>16 bits.</summary>
        F16 = C.REATTN_KV_F16,
        /// <summary>16 bits with the range of F32; on a GPU.</summary>
        Bf16 = C.REATTN_KV_BF16,
        /// <summary>8 bits, each 128 tokens of a head with a scale; with <see cref="Scoring.Int8"/>.</summary>
        Int8 = C.REATTN_KV_INT8
    }

    /// <summary>How positions to recall are found.</summary>
    public enum Scoring
    {
        /// <summary>Queries and keys are compared as the cache holds keys.</summary>
        Native = C.REATTN_SCORING_NATIVE,
        /// <summary>In 8 bits, each 128 keys with a scale: faster and close to native. On a GPU.</summary>
        Int8 = C.REATTN_SCORING_INT8
    }

    /// <summary>How something is appended to a session.</summary>
    [Flags]
    public enum AppendFlags
    {
        /// <summary>A whole append, as text like any other.</summary>
        None = 0,
        /// <summary>The same append goes on with the next piece, which may begin inside a character.</summary>
        More = C.REATTN_APPEND_MORE,
        /// <summary>Special tokens in the text become their ids; not for text from users.</summary>
        Special = C.REATTN_APPEND_SPECIAL,
        /// <summary>Keep the log-probability of each token; costs time.</summary>
        Logprobs = C.REATTN_APPEND_LOGPROBS
    }

    /// <summary>Why a generation ended.</summary>
    public enum DoneReason
    {
        /// <summary>Everything is read, and nothing was to be generated.</summary>
        Read = C.REATTN_DONE_READ,
        /// <summary>The model ended its answer.</summary>
        End = C.REATTN_DONE_END,
        /// <summary>A stop text appeared.</summary>
        Stop = C.REATTN_DONE_STOP,
        /// <summary>MaxTokens were generated.</summary>
        Length = C.REATTN_DONE_LENGTH,
        /// <summary>The session's capacity or, with <see cref="Selection.Full"/>, the window is reached.</summary>
        Full = C.REATTN_DONE_FULL,
        /// <summary>It was cancelled.</summary>
        Cancelled = C.REATTN_DONE_CANCELLED
    }

    /// <summary>Over what recalled passages are summed up.</summary>
    public enum RecallScope
    {
        /// <summary>The last chunk read or token generated.</summary>
        LastStep = C.REATTN_RECALLED_LAST_STEP,
        /// <summary>All chunks of the last append that was read.</summary>
        Prompt = C.REATTN_RECALLED_PROMPT,
        /// <summary>All tokens this generation made.</summary>
        Answer = C.REATTN_RECALLED_ANSWER
    }
}
