//! Models: loading with progress, what they say of themselves, text to ids and back.
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reattn_sys as sys;

use crate::chat::{to_json, Message};
use crate::device::Device;
use crate::error::Result;
use crate::options::{Geometry, ModelOptions, SessionOptions, Weights};
use crate::raw::{
    call, info, milliseconds, output, path_bytes, sized, text_output, Handle, Status, Weak,
};

/// A model, loaded. Cloning shares it. Any number of threads may use one model at once.
///
/// It lives as long as anything made from it, so it may be dropped whenever it is not needed by name.
#[derive(Clone)]
pub struct Model {
    pub(crate) handle: Arc<Handle<sys::reattn_model>>,
}

/// How far loading is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadProgress {
    /// The model is ready.
    pub finished: bool,
    /// Bytes of the file that are read and checked.
    pub bytes_done: u64,
    /// 0 while not known.
    pub bytes_total: u64,
}

/// A model that a thread of the library is loading. Dropping it cancels the loading.
pub struct Loading {
    handle: Handle<sys::reattn_model>,
}

/// Cancels a loading from any thread; keeps nothing alive.
#[derive(Clone)]
pub struct LoadCanceller {
    handle: Weak<sys::reattn_model>,
}

/// What a model says of itself.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// It was opened on this, never `Auto`.
    pub device: Device,
    /// Layers.
    pub n_layers: i64,
    /// Width of the residual stream.
    pub n_embd: i64,
    /// Query heads.
    pub n_heads: i64,
    /// Key and value heads.
    pub n_kv_heads: i64,
    /// Values of a head.
    pub head_dim: i64,
    /// Width of the feed-forward layer.
    pub n_ff: i64,
    /// Token ids are 0 to `n_vocab - 1`.
    pub n_vocab: i64,
    /// Tokens of the trained window.
    pub n_window: i64,
    /// Weights as held in memory.
    pub weights_bytes: u64,
    /// Of header and tensors; 0 with `header_only`.
    pub model_fingerprint: u64,
    /// Likewise.
    pub tokenizer_fingerprint: u64,
    /// Base of the rotary positions.
    pub rope_freq_base: f64,
    /// Of the norms.
    pub norm_eps: f64,
    /// Begins a text, if the model has such a token.
    pub bos_token: Option<i32>,
    /// Ends a text.
    pub eos_token: Option<i32>,
    /// Ends a turn.
    pub eot_token: Option<i32>,
    /// Stands for what is unknown.
    pub unk_token: Option<i32>,
    /// Fills up.
    pub pad_token: Option<i32>,
    /// The model expects `bos_token` first; the library never adds it by itself.
    pub add_bos: bool,
    /// The model expects `eos_token` last.
    pub add_eos: bool,
    /// Conversations can be rendered.
    pub has_chat_template: bool,
    /// The output matrix is the embedding table.
    pub tied_embeddings: bool,
    /// Only the header was read.
    pub header_only: bool,
    /// It was opened with these.
    pub weights: Weights,
}

/// What holding a session would take.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// What is still to be allocated fits into `memory_free`.
    pub fits: bool,
    /// Weights as held.
    pub weights_bytes: u64,
    /// The cache.
    pub kv_bytes: u64,
    /// Activations and scratch of a session's largest step; an upper bound.
    pub working_bytes: u64,
    /// The sum.
    pub total_bytes: u64,
    /// Of the device, now.
    pub memory_free: u64,
}

impl ModelOptions {
    /// Starts to open a model, a GGUF file or a folder as Hugging Face's library saves it, and returns at once; a thread of
    /// the library reads it.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Loading> {
        let path = path_bytes(path.as_ref());
        let options = self.to_raw();
        // SAFETY: the path is as long as is said; `options` states its size.
        let handle = Handle::create(|out, err| unsafe {
            sys::reattn_model_open(path.as_ptr(), path.len() as u64, &options, out, err)
        })?;
        Ok(Loading { handle })
    }

    /// Starts to make a model of random weights, for measuring speed and memory of sizes that are not at hand. What
    /// it generates means nothing.
    pub fn load_synthetic(&self, geometry: &Geometry) -> Result<Loading> {
        let (options, geometry) = (self.to_raw(), geometry.to_raw());
        // SAFETY: both structs state their size.
        let handle = Handle::create(|out, err| unsafe {
            sys::reattn_model_synthesize(&geometry, &options, out, err)
        })?;
        Ok(Loading { handle })
    }

    /// Opens a model and waits until it is loaded.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Model> {
        self.load(path)?.finish()
    }

    /// Opens a model; `progress` is called about ten times a second and once at the end.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let model = reattn::Model::open(std::env::var("REATTN_TINY_MODEL")?)?;
    /// let path = std::env::var("REATTN_TINY_MODEL")?;
    /// let options = reattn::ModelOptions::new().device(reattn::Device::Cpu);
    /// let _model = options.open_with_progress(path, |progress| {
    ///     eprintln!("{} of {} bytes", progress.bytes_done, progress.bytes_total);
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open_with_progress(
        &self,
        path: impl AsRef<Path>,
        progress: impl FnMut(LoadProgress),
    ) -> Result<Model> {
        self.load(path)?.finish_with_progress(progress)
    }

    /// Makes a model of random weights and waits for it: [`load_synthetic`](Self::load_synthetic).
    pub fn synthesize(&self, geometry: &Geometry) -> Result<Model> {
        self.load_synthetic(geometry)?.finish()
    }
}

impl Loading {
    fn wait_ms(&self, timeout_ms: i64) -> Result<LoadProgress> {
        let mut raw = sized(|out: &mut sys::reattn_load_progress, size| out.struct_size = size);
        // SAFETY: `raw` states its size.
        let status = call(|err| unsafe {
            sys::reattn_model_wait(self.handle.get(), timeout_ms, &mut raw, err)
        })?;
        Ok(LoadProgress {
            finished: status == Status::Ok,
            bytes_done: raw.bytes_done,
            bytes_total: raw.bytes_total,
        })
    }

    /// Waits at most this long for loading to end, and tells how far it is. What is wrong with the file comes out
    /// here.
    pub fn wait(&self, timeout: Duration) -> Result<LoadProgress> {
        self.wait_ms(milliseconds(timeout))
    }

    /// Waits for loading to end.
    pub fn finish(self) -> Result<Model> {
        self.wait_ms(-1)?;
        Ok(Model { handle: Arc::new(self.handle) })
    }

    /// Waits for loading to end; `progress` is called about ten times a second and once at the end.
    pub fn finish_with_progress(self, mut progress: impl FnMut(LoadProgress)) -> Result<Model> {
        loop {
            let now = self.wait(Duration::from_millis(100))?;
            progress(now);
            if now.finished {
                return Ok(Model { handle: Arc::new(self.handle) });
            }
        }
    }

    /// Stops the loading from another thread, while this one waits.
    pub fn canceller(&self) -> LoadCanceller {
        LoadCanceller { handle: self.handle.weak() }
    }
}

impl LoadCanceller {
    /// Asks loading to stop; waiting for it then fails with [`Code::Cancelled`](crate::Code::Cancelled). Does nothing
    /// once loading has ended.
    pub fn cancel(&self) {
        // SAFETY: a handle that is gone is refused, which is as good: nothing is loading any more.
        let _ = call(|err| unsafe { sys::reattn_model_cancel_load(self.handle.get(), err) });
    }
}

impl Model {
    /// Opens a model, a GGUF file or a folder as Hugging Face's library saves it, with the default options, and waits
    /// until it is loaded.
    pub fn open(path: impl AsRef<Path>) -> Result<Model> {
        ModelOptions::new().open(path)
    }

    /// Its handle, for functions of [`reattn::sys`](crate::sys) that this crate has no method for. It is not to be freed.
    pub fn as_raw(&self) -> *const sys::reattn_model {
        self.handle.get()
    }

    pub(crate) fn raw(&self) -> *mut sys::reattn_model {
        self.handle.get()
    }

    /// What the model says of itself.
    pub fn info(&self) -> Result<ModelInfo> {
        let raw = info!(reattn_model_info, reattn_model_get_info(self.raw()))?;
        let token = |id: i32| (id >= 0).then_some(id);
        Ok(ModelInfo {
            device: Device::from_number(raw.device),
            n_layers: raw.n_layers,
            n_embd: raw.n_embd,
            n_heads: raw.n_heads,
            n_kv_heads: raw.n_kv_heads,
            head_dim: raw.head_dim,
            n_ff: raw.n_ff,
            n_vocab: raw.n_vocab,
            n_window: raw.n_window,
            weights_bytes: raw.weights_bytes,
            model_fingerprint: raw.model_fingerprint,
            tokenizer_fingerprint: raw.tokenizer_fingerprint,
            rope_freq_base: raw.rope_freq_base,
            norm_eps: raw.norm_eps,
            bos_token: token(raw.bos_token),
            eos_token: token(raw.eos_token),
            eot_token: token(raw.eot_token),
            unk_token: token(raw.unk_token),
            pad_token: token(raw.pad_token),
            add_bos: raw.add_bos != 0,
            add_eos: raw.add_eos != 0,
            has_chat_template: raw.has_chat_template != 0,
            tied_embeddings: raw.tied_embeddings != 0,
            header_only: raw.header_only != 0,
            weights: Weights::from_number(raw.weights),
        })
    }

    /// The file's metadata in its order: keys, and values as readable text, in which long ones are cut.
    pub fn metadata(&self) -> Result<Vec<(String, String)>> {
        let n = info!(reattn_model_info, reattn_model_get_info(self.raw()))?.n_metadata;
        (0..n).map(|index| self.metadata_entry(index)).collect()
    }

    fn metadata_entry(&self, index: i64) -> Result<(String, String)> {
        let mut key = vec![0; 128];
        let mut value = vec![0; 1024];
        loop {
            let (mut key_needed, mut value_needed) = (0, 0);
            // SAFETY: both buffers are as long as is said.
            let result = call(|err| unsafe {
                sys::reattn_model_metadata(
                    self.raw(),
                    index,
                    key.as_mut_ptr(),
                    key.len() as u64,
                    &mut key_needed,
                    value.as_mut_ptr(),
                    value.len() as u64,
                    &mut value_needed,
                    err,
                )
            });
            let fits = key.len() as u64 >= key_needed && value.len() as u64 >= value_needed;
            key.resize(key_needed as usize, 0);
            value.resize(value_needed as usize, 0);
            match result {
                Ok(_) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    return Ok((text(&key), text(&value)));
                }
                Err(error) if error.code() == crate::Code::Buffer && !fits => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The published settings for the model's window, to start from.
    pub fn session_options(&self) -> Result<SessionOptions> {
        self.session_options_from(std::ptr::null())
    }

    pub(crate) fn session_options_from(
        &self,
        cache: *const sys::reattn_cache,
    ) -> Result<SessionOptions> {
        let mut raw = sys::reattn_session_options::default();
        // SAFETY: the size is that of the struct.
        call(|err| unsafe {
            let size = std::mem::size_of_val(&raw);
            sys::reattn_session_options_init(self.raw(), cache, &mut raw, size, err)
        })?;
        Ok(SessionOptions::from_raw(&raw))
    }

    /// What holding a session of `n_tokens` would take; a model opened `header_only` can tell too.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let model = reattn::Model::open(std::env::var("REATTN_TINY_MODEL")?)?;
    /// let plan = model.estimate(&model.session_options()?, 100_000)?;
    /// assert!(plan.fits && plan.kv_bytes > 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn estimate(&self, options: &SessionOptions, n_tokens: i64) -> Result<MemoryPlan> {
        let options = options.to_raw();
        let raw = info!(reattn_memory_plan, reattn_model_estimate(self.raw(), &options, n_tokens))?;
        Ok(MemoryPlan {
            fits: raw.fits != 0,
            weights_bytes: raw.weights_bytes,
            kv_bytes: raw.kv_bytes,
            working_bytes: raw.working_bytes,
            total_bytes: raw.total_bytes,
            memory_free: raw.memory_free,
        })
    }

    fn tokenize_as(&self, text: &[u8], parse_special: i32) -> Result<Vec<i32>> {
        // SAFETY: the text is as long as is said, the buffer as `output` says.
        output(text.len() / 3 + 16, 0, |ids, length, needed, err| unsafe {
            let (start, n_bytes) = (text.as_ptr(), text.len() as u64);
            sys::reattn_text_tokenize(
                self.raw(),
                start,
                n_bytes,
                parse_special,
                ids,
                length,
                needed,
                err,
            )
        })
    }

    /// Token ids of a text, a string or bytes of UTF-8. What looks like a special token stays text, as text from a user
    /// should; no begin- or end-of-text token is added.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let model = reattn::Model::open(std::env::var("REATTN_TINY_MODEL")?)?;
    /// let ids = model.tokenize("naïve 😀 <|im_end|>")?;
    /// assert_eq!(model.detokenize(&ids)?, "naïve 😀 <|im_end|>".as_bytes());
    /// assert_eq!(model.tokenize_special("<|im_end|>")?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tokenize(&self, text: impl AsRef<[u8]>) -> Result<Vec<i32>> {
        self.tokenize_as(text.as_ref(), 0)
    }

    /// Token ids of a text in which special tokens, such as `<|im_end|>`, become their ids.
    pub fn tokenize_special(&self, text: impl AsRef<[u8]>) -> Result<Vec<i32>> {
        self.tokenize_as(text.as_ref(), 1)
    }

    /// The bytes that ids stand for. A range of tokens may begin or end inside a character, so this need not be whole
    /// UTF-8.
    pub fn detokenize(&self, ids: &[i32]) -> Result<Vec<u8>> {
        // SAFETY: as many ids as is said; the buffer is as long as `output` says.
        output(ids.len() * 6 + 16, 0, |buffer, length, needed, err| unsafe {
            let (start, n_ids) = (ids.as_ptr(), ids.len() as u64);
            sys::reattn_text_detokenize(self.raw(), start, n_ids, buffer, length, needed, err)
        })
    }

    /// A conversation in the words of the model's chat template, for looking at. With `add_generation_prompt` it ends
    /// with what makes the model answer.
    pub fn render_chat(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        self.render_chat_json(&to_json(messages), add_generation_prompt)
    }

    /// The same of JSON: an array of messages, or an object with that array as `messages` and with `tools` and other
    /// variables of the template.
    pub fn render_chat_json(&self, messages: &str, add_generation_prompt: bool) -> Result<String> {
        let prompt = i32::from(add_generation_prompt);
        // SAFETY: the text is as long as is said, the buffer as `text_output` says.
        text_output(messages.len() + 256, |buffer, length, needed, err| unsafe {
            let (start, n_bytes) = (messages.as_ptr(), messages.len() as u64);
            sys::reattn_chat_render(self.raw(), start, n_bytes, prompt, buffer, length, needed, err)
        })
    }

    /// Token ids of a conversation, for [`Session::append_ids`](crate::Session::append_ids). Special tokens match in the
    /// template's own words only: a message's content cannot forge them.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let model = reattn::Model::open(std::env::var("REATTN_TINY_MODEL")?)?;
    /// use reattn::{Message, Session};
    /// let messages = [Message::system("Be brief."), Message::user("Hello 😀")];
    /// let mut session = Session::new(&model)?;
    /// session.append_ids(&model.tokenize_chat(&messages, true)?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tokenize_chat(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<Vec<i32>> {
        self.tokenize_chat_json(&to_json(messages), add_generation_prompt)
    }

    /// The same of JSON, as [`render_chat_json`](Self::render_chat_json).
    pub fn tokenize_chat_json(
        &self,
        messages: &str,
        add_generation_prompt: bool,
    ) -> Result<Vec<i32>> {
        let prompt = i32::from(add_generation_prompt);
        // SAFETY: the text is as long as is said, the buffer as `output` says.
        output(messages.len() / 3 + 64, 0, |ids, length, needed, err| unsafe {
            let (start, n_bytes) = (messages.as_ptr(), messages.len() as u64);
            sys::reattn_chat_tokenize(self.raw(), start, n_bytes, prompt, ids, length, needed, err)
        })
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").finish_non_exhaustive()
    }
}

impl fmt::Debug for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loading").finish_non_exhaustive()
    }
}

impl fmt::Debug for LoadCanceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadCanceller").finish_non_exhaustive()
    }
}
