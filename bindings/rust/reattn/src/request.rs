//! Requests: reading and generating, event by event.
use std::fmt;
use std::time::Duration;

use reattn_sys as sys;

use crate::error::{Code, Error, Result};
use crate::raw::{call, info, milliseconds, numbered, output, sized, Handle, Status, Weak};

/// Reading and generating on one session. An iterator of events, which works while it is pulled and not in between.
///
/// It keeps what it needs of its session alive. Dropping it ends it: what was not read yet is dropped, and the session
/// can be used again.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let model = reattn::Model::open(std::env::var("REATTN_TINY_MODEL")?)?;
/// use reattn::{Event, RequestOptions, Session};
/// let mut session = Session::new(&model)?;
/// session.append("Once upon a time")?;
/// let options = RequestOptions::new().max_tokens(16).temperature(0.7).seed(1).stop("\n");
/// for event in session.generate(&options)? {
///     match event? {
///         Event::Prefill { n_done, n_total } => eprintln!("read {n_done} of {n_total}"),
///         Event::Text { text, .. } => print!("{text}"),
///         Event::Done { reason, text, .. } => println!("{text} ({reason:?})"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Request {
    handle: Handle<sys::reattn_request>,
    reader: Reader,
    ended: bool,
}

/// Looks at a request, and cancels it, from any thread and at any time; keeps nothing alive. Once the request is dropped,
/// there is nothing to look at: [`Code::Handle`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let model = reattn::Model::open(std::env::var("REATTN_TINY_MODEL")?)?;
/// use reattn::{DoneReason, Event, RequestOptions, Session};
/// let mut session = Session::new(&model)?;
/// session.append("Once upon a time")?;
/// let mut request = session.generate(&RequestOptions::new().max_tokens(1_000_000))?;
/// let control = request.control();
/// std::thread::spawn(move || control.cancel());
/// let last = (&mut request).last().unwrap()?;
/// # let Event::Done { reason, .. } = last else { panic!() };
/// # assert!(matches!(reason, DoneReason::Cancelled | DoneReason::End));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RequestControl {
    handle: Weak<sys::reattn_request>,
}

numbered! {
    /// Why a request ended.
    DoneReason {
        /// Everything is read, and nothing was to be generated.
        Read = REATTN_DONE_READ,
        /// The model ended its answer.
        End = REATTN_DONE_END,
        /// A stop text appeared.
        Stop = REATTN_DONE_STOP,
        /// `max_tokens` were generated.
        Length = REATTN_DONE_LENGTH,
        /// The session's capacity or, with [`Selection::Full`](crate::Selection::Full), the window is reached.
        Full = REATTN_DONE_FULL,
        /// It was cancelled.
        Cancelled = REATTN_DONE_CANCELLED,
    }
}

/// What a request did.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Another chunk of its input was read, or several.
    Prefill {
        /// Tokens of the input that are read.
        n_done: i64,
        /// Tokens of the input.
        n_total: i64,
    },
    /// Another token was generated.
    Text {
        /// Its id.
        token: i32,
        /// Its log-probability at temperature 1.
        logprob: f32,
        /// Whole characters; empty while one is not complete, or a stop text might begin.
        text: String,
    },
    /// The last event.
    Done {
        /// Why.
        reason: DoneReason,
        /// Tokens of the input that are read.
        n_done: i64,
        /// Tokens of the input.
        n_total: i64,
        /// Text that was held back.
        text: String,
    },
}

impl Event {
    /// The event's text; empty for `Prefill`.
    pub fn text(&self) -> &str {
        match self {
            Event::Prefill { .. } => "",
            Event::Text { text, .. } | Event::Done { text, .. } => text,
        }
    }

    fn new(raw: &sys::reattn_event, text: &[u8]) -> Result<Self> {
        let whole = || {
            let text = std::str::from_utf8(text);
            text.map(str::to_owned).map_err(|error| Error::new(Code::Internal, error.to_string()))
        };
        let (n_done, n_total) = (raw.n_done, raw.n_total);
        match raw.kind as u32 {
            sys::REATTN_EVENT_PREFILL => Ok(Event::Prefill { n_done, n_total }),
            sys::REATTN_EVENT_TEXT => {
                Ok(Event::Text { token: raw.token, logprob: raw.logprob, text: whole()? })
            }
            sys::REATTN_EVENT_DONE => {
                let reason = DoneReason::from_number(raw.reason);
                Ok(Event::Done { reason, n_done, n_total, text: whole()? })
            }
            kind => Err(Error::new(Code::Internal, format!("an event of the unknown kind {kind}"))),
        }
    }
}

/// What came of waiting for a limited time.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<T> {
    /// An event.
    Event(T),
    /// The time is over; wait again to go on at the same place.
    TimedOut,
    /// Nothing more will come.
    End,
}

/// Pulls events through one buffer, which grows when a text does not fit.
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    pub fn new() -> Self {
        Reader { buffer: vec![0; 4096] }
    }

    /// `pull(event, buffer, capacity, needed, err)` is one of the library's next functions.
    pub fn pull(
        &mut self,
        mut pull: impl FnMut(
            *mut sys::reattn_event,
            *mut u8,
            u64,
            *mut u64,
            *mut *mut sys::reattn_error,
        ) -> i32,
    ) -> Result<Step<Event>> {
        loop {
            let mut raw = sized(|out: &mut sys::reattn_event, size| out.struct_size = size);
            let mut needed = 0;
            let buffer = &mut self.buffer;
            let status = call(|err| {
                pull(&mut raw, buffer.as_mut_ptr(), buffer.len() as u64, &mut needed, err)
            });
            return match status {
                Ok(Status::Ok) => {
                    Event::new(&raw, &self.buffer[..raw.text_bytes as usize]).map(Step::Event)
                }
                Ok(Status::Timeout) => Ok(Step::TimedOut),
                Ok(Status::End) => Ok(Step::End),
                Err(error) if error.code() == Code::Buffer => {
                    self.buffer.resize(needed as usize, 0);
                    continue; // the event was kept
                }
                Err(error) => Err(error),
            };
        }
    }
}

/// Which layers to ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The sum of all.
    All,
    /// One, from 0.
    One(i64),
}

numbered! {
    /// Which part of a request's work to ask about.
    Scope {
        /// The last chunk read or token generated.
        LastStep = REATTN_RECALLED_LAST_STEP,
        /// All chunks of the last append that was read.
        Prompt = REATTN_RECALLED_PROMPT,
        /// All tokens this request generated.
        Answer = REATTN_RECALLED_ANSWER,
    }
}

/// A passage that was recalled: the tokens `[begin, end)`, whose text [`Session::text`](crate::Session::text) gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Its first token.
    pub begin: i64,
    /// The one after its last.
    pub end: i64,
    /// What its anchors got.
    pub votes: i64,
}

/// What a request has done so far.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestStats {
    /// It has ended.
    pub done: bool,
    /// Tokens read.
    pub n_prefill_tokens: i64,
    /// Generated tokens that are in the session's cache.
    pub n_decode_tokens: i64,
    /// Time spent reading.
    pub prefill_seconds: f64,
    /// Time spent generating.
    pub decode_seconds: f64,
    /// From the first pull to the first token; 0 before.
    pub first_token_seconds: f64,
}

impl RequestControl {
    /// Makes the request end, as [`DoneReason::Cancelled`], within 100 ms. The tokens delivered so far stay in the session,
    /// which can be used at once. Does nothing once the request has ended.
    pub fn cancel(&self) {
        // SAFETY: a handle that is gone is refused, which is as good: nothing runs any more.
        let _ = call(|err| unsafe { sys::reattn_request_cancel(self.handle.get(), err) });
    }

    /// Where from the model drew: the passages recalled, most voted first. Touching ones are one, with the sum of their
    /// votes.
    pub fn recalled(&self, layer: Layer, scope: Scope) -> Result<Vec<Span>> {
        let layer = match layer {
            Layer::All => sys::REATTN_ALL_LAYERS.into(),
            Layer::One(index) => index,
        };
        let zero = sys::reattn_span::default();
        // SAFETY: the buffer is as long as `output` says; likewise below.
        let spans = output(64, zero, |spans, length, needed, err| unsafe {
            let request = self.handle.get();
            sys::reattn_request_recalled(request, layer, scope.number(), spans, length, needed, err)
        })?;
        let span =
            |raw: &sys::reattn_span| Span { begin: raw.begin, end: raw.end, votes: raw.votes };
        Ok(spans.iter().map(span).collect())
    }

    /// Logits after the last token that was read or generated, one for each id of the vocabulary.
    pub fn logits(&self) -> Result<Vec<f32>> {
        output(0, 0.0, |logits, length, needed, err| unsafe {
            sys::reattn_request_logits(self.handle.get(), logits, length, needed, err)
        })
    }

    /// What the request has done so far.
    pub fn stats(&self) -> Result<RequestStats> {
        let raw = info!(reattn_request_stats, reattn_request_get_stats(self.handle.get()))?;
        Ok(RequestStats {
            done: raw.done != 0,
            n_prefill_tokens: raw.n_prefill_tokens,
            n_decode_tokens: raw.n_decode_tokens,
            prefill_seconds: raw.prefill_seconds,
            decode_seconds: raw.decode_seconds,
            first_token_seconds: raw.first_token_seconds,
        })
    }
}

impl Request {
    pub(crate) fn from_handle(handle: Handle<sys::reattn_request>) -> Self {
        Request { handle, reader: Reader::new(), ended: false }
    }

    pub(crate) fn raw(&self) -> *mut sys::reattn_request {
        self.handle.get()
    }

    /// For looking and cancelling from elsewhere, while this is pulled.
    pub fn control(&self) -> RequestControl {
        RequestControl { handle: self.handle.weak() }
    }

    /// Ends the answer where `text` (1 to 1,024 bytes of UTF-8) appears in it, also across tokens; the text itself is not
    /// delivered. Only before the first event is pulled. [`RequestOptions::stop`](crate::RequestOptions::stop) does the same.
    pub fn add_stop(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        let text = text.as_ref();
        // SAFETY: the text is as long as is said.
        call(|err| unsafe {
            sys::reattn_request_add_stop(self.raw(), text.as_ptr(), text.len() as u64, err)
        })?;
        Ok(())
    }

    /// What is generated is one JSON text that `schema` allows. Only before the first event is pulled, and not with
    /// `ignore_end`. [`RequestOptions::json_schema`](crate::RequestOptions::json_schema) does the same.
    pub fn set_json_schema(&mut self, schema: impl AsRef<[u8]>) -> Result<()> {
        let schema = schema.as_ref();
        // SAFETY: the schema is as long as is said.
        call(|err| unsafe {
            let length = schema.len() as u64;
            sys::reattn_request_set_json_schema(self.raw(), schema.as_ptr(), length, err)
        })?;
        Ok(())
    }

    fn wait_ms(&mut self, timeout_ms: i64) -> Result<Step<Event>> {
        let request = self.handle.get();
        // SAFETY: the event states its size, the buffer is as long as is said.
        self.reader.pull(|event, buffer, length, needed, err| unsafe {
            sys::reattn_request_next(request, timeout_ms, event, buffer, length, needed, err)
        })
    }

    /// Works until the next event, but no longer than about this.
    pub fn wait(&mut self, timeout: Duration) -> Result<Step<Event>> {
        self.wait_ms(milliseconds(timeout))
    }

    /// Works until the next event; `None` when nothing more will come. The same as the iterator, for `?` and `while let`.
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        match self.wait_ms(-1)? {
            Step::Event(event) => Ok(Some(event)),
            Step::End | Step::TimedOut => Ok(None),
        }
    }

    /// The generated text, piece by piece.
    pub fn texts(self) -> Texts {
        Texts { request: self }
    }

    /// Works to the end; all of the generated text.
    pub fn text(&mut self) -> Result<String> {
        let mut out = String::new();
        while let Some(event) = self.next_event()? {
            out.push_str(event.text());
        }
        Ok(out)
    }

    /// [`RequestControl::cancel`].
    pub fn cancel(&self) {
        self.control().cancel();
    }

    /// [`RequestControl::recalled`].
    pub fn recalled(&self, layer: Layer, scope: Scope) -> Result<Vec<Span>> {
        self.control().recalled(layer, scope)
    }

    /// [`RequestControl::logits`].
    pub fn logits(&self) -> Result<Vec<f32>> {
        self.control().logits()
    }

    /// [`RequestControl::stats`].
    pub fn stats(&self) -> Result<RequestStats> {
        self.control().stats()
    }
}

impl Iterator for Request {
    type Item = Result<Event>;

    /// An error is the last item.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = self.next_event().transpose();
        self.ended = !matches!(event, Some(Ok(_)));
        event
    }
}

impl std::iter::FusedIterator for Request {}

/// The generated text, piece by piece: [`Request::texts`].
#[derive(Debug)]
pub struct Texts {
    request: Request,
}

impl Texts {
    /// The request behind it.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The request, which goes on where this stands.
    pub fn into_request(self) -> Request {
        self.request
    }
}

impl Iterator for Texts {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.request.next()? {
                Ok(Event::Text { text, .. } | Event::Done { text, .. }) if !text.is_empty() => {
                    return Some(Ok(text));
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl std::iter::FusedIterator for Texts {}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl fmt::Debug for RequestControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestControl").finish_non_exhaustive()
    }
}
