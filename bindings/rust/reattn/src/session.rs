//! Sessions: tokens read, their cache, and what waits to be read.
use std::fmt;
use std::io::Read;

use reattn_sys as sys;

use crate::chat::Message;
use crate::error::{Code, Error, Result};
use crate::model::Model;
use crate::options::{AppendOptions, RequestOptions, SessionOptions};
use crate::raw::{call, info, output, Handle};
use crate::request::Request;
use crate::snapshot::Snapshot;

/// A text that is read, asked about, and grows: tokens, their cache, and what waits to be read.
///
/// What `&mut self` methods append is read by a [`Request`]. While a request is live, they fail with
/// [`Code::Busy`]; those with `&self` work all the while, from any thread.
pub struct Session {
    handle: Handle<sys::reattn_session>,
    model: Model,
}

/// Where a session stands.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Tokens of one cache page.
    pub page_tokens: i32,
    /// Tokens read: what can be asked about.
    pub n_tokens: i64,
    /// Queued and not yet read; as far as known of an append that goes on.
    pub n_pending: i64,
    /// Cache memory held, shared pages included.
    pub kv_bytes: u64,
    /// Cache pages held.
    pub n_pages: i64,
    /// Of these, shared with forks and snapshots.
    pub n_shared_pages: i64,
}

impl Session {
    fn create(
        model: &Model,
        cache: *const sys::reattn_cache,
        options: Option<&SessionOptions>,
    ) -> Result<Session> {
        let options = options.map(SessionOptions::to_raw);
        let options = options.as_ref().map_or(std::ptr::null(), |raw| raw as *const _);
        // SAFETY: `options` is NULL or states its size.
        let handle = Handle::create(|out, err| unsafe {
            sys::reattn_session_create(model.raw(), cache, options, out, err)
        })?;
        Ok(Session { handle, model: model.clone() })
    }

    /// An empty session with the published settings for the model's window.
    pub fn new(model: &Model) -> Result<Session> {
        Session::create(model, std::ptr::null(), None)
    }

    /// An empty session with these settings.
    pub fn with_options(model: &Model, options: &SessionOptions) -> Result<Session> {
        Session::create(model, std::ptr::null(), Some(options))
    }

    /// A session that goes on from a snapshot, with the settings it was read with, and shares its memory.
    pub fn resume(model: &Model, snapshot: &Snapshot) -> Result<Session> {
        Session::create(model, snapshot.raw(), None)
    }

    /// The same with other settings: of [`Snapshot::session_options`], `n_local`, `n_anchors`, `top_k`, `span`,
    /// `vote_stride` and `max_tokens` may be changed.
    pub fn resume_with_options(
        model: &Model,
        snapshot: &Snapshot,
        options: &SessionOptions,
    ) -> Result<Session> {
        Session::create(model, snapshot.raw(), Some(options))
    }

    fn raw(&self) -> *mut sys::reattn_session {
        self.handle.get()
    }

    /// The model it belongs to.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Queues a text, a string or bytes of UTF-8, which a request reads later. Append a document and the question about
    /// it separately: then only the question's tokens vote on what is recalled for it.
    pub fn append(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        self.append_with(text, &AppendOptions::new())
    }

    /// Queues a text, or a piece of one, as the options say.
    pub fn append_with(&mut self, text: impl AsRef<[u8]>, options: &AppendOptions) -> Result<()> {
        let text = text.as_ref();
        // SAFETY: the text is as long as is said.
        call(|err| unsafe {
            let (start, n_bytes) = (text.as_ptr(), text.len() as u64);
            sys::reattn_session_append_text(self.raw(), start, n_bytes, options.flags(), err)
        })?;
        Ok(())
    }

    /// Queues all that `reader` has as one text, without ever holding it whole; gives the number of bytes. When reading
    /// fails midway, everything queued is dropped.
    pub fn append_reader(&mut self, mut reader: impl Read) -> Result<u64> {
        let more = AppendOptions::new().more(true);
        let mut buffer = vec![0; 1 << 16];
        let mut n_bytes = 0;
        let result = loop {
            match reader.read(&mut buffer) {
                Ok(0) => break self.append(""),
                Ok(n) => {
                    n_bytes += n as u64;
                    if let Err(error) = self.append_with(&buffer[..n], &more) {
                        break Err(error);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => break Err(Error::new(Code::Io, error.to_string())),
            }
        };
        if result.is_err() {
            // Half a text is no text. What was read before stays.
            self.truncate(self.info()?.n_tokens)?;
        }
        result.map(|()| n_bytes)
    }

    /// Queues token ids, each inside the vocabulary.
    pub fn append_ids(&mut self, ids: &[i32]) -> Result<()> {
        self.append_ids_with(ids, &AppendOptions::new())
    }

    /// Queues token ids, or a piece of them, as the options say.
    pub fn append_ids_with(&mut self, ids: &[i32], options: &AppendOptions) -> Result<()> {
        // SAFETY: as many ids as is said.
        call(|err| unsafe {
            let (start, n_ids) = (ids.as_ptr(), ids.len() as u64);
            sys::reattn_session_append_ids(self.raw(), start, n_ids, options.flags(), err)
        })?;
        Ok(())
    }

    /// Queues a conversation in the words of the model's chat template. With `add_generation_prompt` it ends with what
    /// makes the model answer.
    pub fn append_chat(&mut self, messages: &[Message], add_generation_prompt: bool) -> Result<()> {
        let ids = self.model.tokenize_chat(messages, add_generation_prompt)?;
        self.append_ids(&ids)
    }

    /// Where the session stands.
    pub fn info(&self) -> Result<SessionInfo> {
        let raw = info!(reattn_session_info, reattn_session_get_info(self.raw()))?;
        Ok(SessionInfo {
            page_tokens: raw.page_tokens,
            n_tokens: raw.n_tokens,
            n_pending: raw.n_pending,
            kv_bytes: raw.kv_bytes,
            n_pages: raw.n_pages,
            n_shared_pages: raw.n_shared_pages,
        })
    }

    /// How long an answer about `[begin, end)` may be, as a first guess.
    fn length(begin: i64, end: i64) -> usize {
        // A range that the library will refuse is no reason to allocate.
        usize::try_from(end.saturating_sub(begin)).unwrap_or(0).min(1 << 20)
    }

    /// Ids of the tokens `[begin, end)` that were read.
    pub fn tokens(&self, begin: i64, end: i64) -> Result<Vec<i32>> {
        // SAFETY: the buffer is as long as `output` says; likewise below.
        output(Self::length(begin, end), 0, |ids, length, needed, err| unsafe {
            sys::reattn_session_tokens(self.raw(), begin, end, ids, length, needed, err)
        })
    }

    /// Their bytes, as [`Model::detokenize`].
    pub fn text(&self, begin: i64, end: i64) -> Result<Vec<u8>> {
        output(Self::length(begin, end) * 5, 0, |buffer, length, needed, err| unsafe {
            sys::reattn_session_text(self.raw(), begin, end, buffer, length, needed, err)
        })
    }

    /// The natural logarithm of each one's probability after everything before it; NaN for the very first token and
    /// where it was not kept ([`AppendOptions::logprobs`]). Generated tokens always have theirs.
    pub fn logprobs(&self, begin: i64, end: i64) -> Result<Vec<f32>> {
        output(Self::length(begin, end), 0.0, |values, length, needed, err| unsafe {
            sys::reattn_session_logprobs(self.raw(), begin, end, values, length, needed, err)
        })
    }

    /// Forgets all tokens from position `n_tokens` on, and everything queued.
    pub fn truncate(&mut self, n_tokens: i64) -> Result<()> {
        // SAFETY: the handle is live.
        call(|err| unsafe { sys::reattn_session_truncate(self.raw(), n_tokens, err) })?;
        Ok(())
    }

    /// A second session with the same tokens and settings; cache pages are shared until either writes to them.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let model = reattn::Model::open(std::env::var("REATTN_TINY_MODEL")?)?;
    /// use reattn::{RequestOptions, Session};
    /// let mut document = Session::new(&model)?;
    /// document.append("A long text, read once.")?;
    /// document.read(|n_done, n_total| eprintln!("read {n_done} of {n_total}"))?;
    /// for question in ["What is it?", "How often was it read?"] {
    ///     let mut asked = document.fork()?;
    ///     asked.append(question)?;
    ///     println!("{}", asked.generate(&RequestOptions::new().max_tokens(8))?.text()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn fork(&mut self) -> Result<Session> {
        // SAFETY: `out` and `err` are there to be written; likewise below.
        let handle =
            Handle::create(|out, err| unsafe { sys::reattn_session_fork(self.raw(), out, err) })?;
        Ok(Session { handle, model: self.model.clone() })
    }

    /// The session's tokens, cache and settings, sharing its memory; the session may go on afterwards.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        let handle =
            Handle::create(|out, err| unsafe { sys::reattn_cache_snapshot(self.raw(), out, err) })?;
        Ok(Snapshot::from_handle(handle, self.model.clone()))
    }

    /// A request to read what is queued and then to generate. It does nothing until it is pulled, keeps the session's
    /// contents alive, and ends when it is dropped. When a stop text or the schema is refused, what was queued is dropped with it.
    pub fn generate(&mut self, options: &RequestOptions) -> Result<Request> {
        let raw = options.to_raw();
        let handle = Handle::create(|out, err| unsafe {
            sys::reattn_request_create(self.raw(), &raw, out, err)
        })?;
        let mut request = Request::from_handle(handle);
        for stop in &options.stops {
            request.add_stop(stop)?;
        }
        if let Some(schema) = &options.json_schema {
            request.set_json_schema(schema)?;
        }
        Ok(request)
    }

    /// Reads what is queued, on this thread; `progress` is called with tokens read and tokens in all.
    pub fn read(&mut self, mut progress: impl FnMut(i64, i64)) -> Result<()> {
        for event in self.generate(&RequestOptions::new())? {
            if let crate::Event::Prefill { n_done, n_total } = event? {
                progress(n_done, n_total);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("info", &self.info()).finish_non_exhaustive()
    }
}
