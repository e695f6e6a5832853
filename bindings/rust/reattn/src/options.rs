//! Options, each field by the name and with the meaning that `reattn.h` gives it. Values out of range are refused
//! by the call that takes the options, naming field and bound.
use reattn_sys as sys;

use crate::device::Device;
use crate::raw::{call, numbered, sized};

/// A struct with public fields, and a method for each that sets it.
macro_rules! options {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[non_exhaustive]
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

numbered! {
    /// What a model's weights are held in.
    Weights {
        /// As the device multiplies them best: in BF16 on a GPU, as the file has them on the CPU.
        Auto = REATTN_WEIGHTS_AUTO,
        /// The layers' matrices in 8 bits, made while loading, where the device has that: about half of BF16, and faster;
        /// answers differ a little.
        Fp8 = REATTN_WEIGHTS_FP8,
    }
}

options! {
    /// How to open a model: `ModelOptions::new().device(Device::Cpu).open(path)`.
    ModelOptions {
        /// Where it computes; default `Auto`.
        device: Device,
        /// Threads of the CPU pool, the caller included; 0: as many as the process may use. Results do not
        /// depend on it.
        n_threads: i32,
        /// Only the header is read and checked, no weights and no tokenizer: for [`Model::info`](crate::Model::info),
        /// metadata, estimates and session options.
        header_only: bool,
        /// Which GPU, from 0.
        device_index: i32,
        /// What the weights are held in; default `Auto`.
        weights: Weights,
    }
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions {
            device: Device::Auto,
            n_threads: 0,
            header_only: false,
            device_index: 0,
            weights: Weights::Auto,
        }
    }
}

impl ModelOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn to_raw(&self) -> sys::reattn_model_options {
        sized(|out: &mut sys::reattn_model_options, size| {
            out.struct_size = size;
            out.device = self.device.number();
            out.n_threads = self.n_threads;
            out.header_only = self.header_only.into();
            out.device_index = self.device_index;
            out.weights = self.weights.number();
        })
    }
}

options! {
    /// The shape of a made-up model of the Llama family, for
    /// [`ModelOptions::synthesize`](crate::ModelOptions::synthesize).
    Geometry {
        /// The output matrix is the embedding table.
        tied_embeddings: bool,
        /// Layers.
        n_layers: i64,
        /// Width of the residual stream.
        n_embd: i64,
        /// Query heads.
        n_heads: i64,
        /// Key and value heads; divides `n_heads`.
        n_kv_heads: i64,
        /// Even.
        head_dim: i64,
        /// Width of the feed-forward layer.
        n_ff: i64,
        /// Number of token ids.
        n_vocab: i64,
        /// Tokens of the trained window.
        n_window: i64,
        /// Base of the rotary positions.
        rope_freq_base: f64,
        /// The same seed: the same weights.
        seed: u64,
    }
}

impl Default for Geometry {
    /// A very small model.
    fn default() -> Self {
        Geometry {
            tied_embeddings: false,
            n_layers: 2,
            n_embd: 64,
            n_heads: 4,
            n_kv_heads: 2,
            head_dim: 16,
            n_ff: 96,
            n_vocab: 300,
            n_window: 512,
            rope_freq_base: 10000.0,
            seed: 0,
        }
    }
}

impl Geometry {
    pub(crate) fn to_raw(&self) -> sys::reattn_geometry {
        sized(|out: &mut sys::reattn_geometry, size| {
            out.struct_size = size;
            out.tied_embeddings = self.tied_embeddings.into();
            out.n_layers = self.n_layers;
            out.n_embd = self.n_embd;
            out.n_heads = self.n_heads;
            out.n_kv_heads = self.n_kv_heads;
            out.head_dim = self.head_dim;
            out.n_ff = self.n_ff;
            out.n_vocab = self.n_vocab;
            out.n_window = self.n_window;
            out.rope_freq_base = self.rope_freq_base;
            out.seed = self.seed;
        })
    }
}

numbered! {
    /// Which positions attention goes to.
    Selection {
        /// Plain attention over everything; inside the trained window only.
        Full = REATTN_SELECTION_FULL,
        /// Recall by the `top_k` best positions of each query and head.
        Exact = REATTN_SELECTION_EXACT,
        /// At most one of them from each 128, as the published kernel does.
        Block1 = REATTN_SELECTION_BLOCK1,
    }
}

numbered! {
    /// What keys and values are kept in.
    KvType {
        /// 4 bytes a value.
        F32 = REATTN_KV_F32,
        /// 2 bytes a value.
        F16 = REATTN_KV_F16,
        /// 2 bytes a value; on a GPU.
        Bf16 = REATTN_KV_BF16,
        /// Half of F16, with [`Scoring::Int8`], where the device has that.
        Int8 = REATTN_KV_INT8,
    }
}

numbered! {
    /// How positions to recall are found.
    Scoring {
        /// Queries and keys are compared as the cache holds keys.
        Native = REATTN_SCORING_NATIVE,
        /// In int8, where the device has it; faster and close to native.
        Int8 = REATTN_SCORING_INT8,
    }
}

options! {
    /// Settings of the method. Start from [`Model::session_options`](crate::Model::session_options), which gives the
    /// published ones for the model's window.
    ///
    /// In every step the model attends to the first `n_global` tokens, to the last `n_local`, and to `span` tokens
    /// around each of `n_anchors` positions in between, which it finds by letting every `vote_stride`-th new token
    /// and every query head vote for its `top_k` best positions.
    SessionOptions {
        /// Which positions attention goes to.
        selection: Selection,
        /// At least 0.
        n_global: i64,
        /// At least `chunk`; `n_global + n_anchors * span + n_local` fits the trained window.
        n_local: i64,
        /// 1 to 16.
        top_k: i32,
        /// Tokens recalled around an anchor, at least 1.
        span: i32,
        /// 0: nothing is recalled.
        n_anchors: i32,
        /// Tokens read in one step, at least 1.
        chunk: i32,
        /// At least 1; counted back from the last new token.
        vote_stride: i32,
        /// What keys and values are kept in.
        kv_dtype: KvType,
        /// Capacity of the session in tokens; 0: as much as memory holds.
        max_tokens: i64,
        /// How positions to recall are found.
        scoring: Scoring,
    }
}

impl SessionOptions {
    pub(crate) fn to_raw(&self) -> sys::reattn_session_options {
        sized(|out: &mut sys::reattn_session_options, size| {
            out.struct_size = size;
            out.selection = self.selection.number();
            out.n_global = self.n_global;
            out.n_local = self.n_local;
            out.top_k = self.top_k;
            out.span = self.span;
            out.n_anchors = self.n_anchors;
            out.chunk = self.chunk;
            out.vote_stride = self.vote_stride;
            out.kv_dtype = self.kv_dtype.number();
            out.max_tokens = self.max_tokens;
            out.scoring = self.scoring.number();
        })
    }

    pub(crate) fn from_raw(raw: &sys::reattn_session_options) -> Self {
        SessionOptions {
            selection: Selection::from_number(raw.selection),
            n_global: raw.n_global,
            n_local: raw.n_local,
            top_k: raw.top_k,
            span: raw.span,
            n_anchors: raw.n_anchors,
            chunk: raw.chunk,
            vote_stride: raw.vote_stride,
            kv_dtype: KvType::from_number(raw.kv_dtype),
            max_tokens: raw.max_tokens,
            scoring: Scoring::from_number(raw.scoring),
        }
    }
}

options! {
    /// How to append: `AppendOptions::new().special(true)`.
    #[derive(Default)]
    AppendOptions {
        /// The same append goes on with the next piece, and this one may end inside a character. All pieces have
        /// the same other options.
        more: bool,
        /// Text only: special tokens in it, such as `<|im_end|>`, become their ids.
        special: bool,
        /// Keeps the log-probability of each of its tokens; costs time.
        logprobs: bool,
    }
}

impl AppendOptions {
    /// A whole append of plain text.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn flags(&self) -> i32 {
        let flag = |set: bool, flag: u32| if set { flag as i32 } else { 0 };
        flag(self.more, sys::REATTN_APPEND_MORE)
            | flag(self.special, sys::REATTN_APPEND_SPECIAL)
            | flag(self.logprobs, sys::REATTN_APPEND_LOGPROBS)
    }
}

options! {
    /// How to generate: `RequestOptions::new().max_tokens(64).stop("\n\n")`.
    RequestOptions {
        /// Go on past the tokens that end an answer.
        ignore_end: bool,
        /// Tokens to generate at most; default 0: only read what is queued.
        max_tokens: i64,
        /// Default 0: always the most likely token; the rest below then means nothing.
        temperature: f32,
        /// Among the `top_k` most likely; 0: off.
        top_k: i32,
        /// Among the most likely ones that sum up to `top_p`; 1: off.
        top_p: f32,
        /// Among those at least `min_p` times as likely as the best; 0: off.
        min_p: f32,
        /// Same input, settings and seed: the same tokens.
        seed: u64,
        /// Logits of the tokens that are among the session's last `repetition_window` are divided by it where they are
        /// positive and multiplied by it where not, also with temperature 0; default 1: off.
        repetition_penalty: f32,
        /// Default 64; 0: all of them.
        repetition_window: i32,
        /// Texts that end the answer, also across tokens, and are not delivered.
        stops: Vec<String>,
        /// A JSON schema: the answer is one JSON text that it allows.
        json_schema: Option<String>,
    }
}

impl Default for RequestOptions {
    fn default() -> Self {
        let mut raw = sys::reattn_request_options {
            top_p: 1.0,
            repetition_penalty: 1.0,
            repetition_window: 64,
            ..Default::default()
        };
        // Where the library is not to be had, generating will say so.
        // SAFETY: the size is that of the struct.
        let _ = call(|err| unsafe {
            sys::reattn_request_options_init(&mut raw, std::mem::size_of_val(&raw), err)
        });
        RequestOptions {
            ignore_end: raw.ignore_end != 0,
            max_tokens: raw.max_tokens,
            temperature: raw.temperature,
            top_k: raw.top_k,
            top_p: raw.top_p,
            min_p: raw.min_p,
            seed: raw.seed,
            repetition_penalty: raw.repetition_penalty,
            repetition_window: raw.repetition_window,
            stops: Vec::new(),
            json_schema: None,
        }
    }
}

impl RequestOptions {
    /// The defaults: read what is queued, generate nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text that ends the answer.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stops.push(text.into());
        self
    }

    pub(crate) fn to_raw(&self) -> sys::reattn_request_options {
        sized(|out: &mut sys::reattn_request_options, size| {
            out.struct_size = size;
            out.ignore_end = self.ignore_end.into();
            out.max_tokens = self.max_tokens;
            out.temperature = self.temperature;
            out.top_k = self.top_k;
            out.top_p = self.top_p;
            out.min_p = self.min_p;
            out.seed = self.seed;
            out.repetition_penalty = self.repetition_penalty;
            out.repetition_window = self.repetition_window;
        })
    }
}
