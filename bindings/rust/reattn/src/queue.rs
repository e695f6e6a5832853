//! Queues: many requests pulled, and generating, together.
use std::fmt;
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use reattn_sys as sys;

use crate::error::{Code, Error, Result};
use crate::model::Model;
use crate::raw::{call, milliseconds, Handle};
use crate::request::{Event, Reader, Request, Step};

/// Tells an error of the queue from one of a request: the library writes no tag then.
const NO_TAG: u64 = u64::MAX;

/// Requests of sessions of one model, which generate a token each in one pass over the weights.
///
/// One thread pulls at a time (a second one gets [`Code::Busy`]); any thread may add meanwhile. A request stays its
/// owner's, and leaves the queue when it is dropped.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let model = reattn::Model::open(std::env::var("REATTN_TINY_MODEL")?)?;
/// use reattn::{Queue, RequestOptions, Session};
/// let queue = Queue::new(&model)?;
/// let mut requests = Vec::new();
/// for tag in 0..3 {
///     let mut session = Session::new(&model)?;
///     session.append(format!("Reader {tag} asks: "))?;
///     let request = session.generate(&RequestOptions::new().max_tokens(4))?;
///     queue.add(&request, tag)?;
///     requests.push(request); // a request that is dropped leaves the queue
/// }
/// let mut answers = vec![String::new(); 3];
/// for tagged in queue.events() {
///     let tagged = tagged?;
///     answers[tagged.tag as usize].push_str(tagged.event?.text());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Queue {
    handle: Handle<sys::reattn_queue>,
    reader: Mutex<Reader>,
}

/// An event, or the end by an error, of the request that was added with `tag`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagged {
    /// Whose it is.
    pub tag: u64,
    /// What it did. After an error the others go on.
    pub event: Result<Event>,
}

impl Queue {
    /// An empty queue.
    pub fn new(model: &Model) -> Result<Queue> {
        // SAFETY: `out` and `err` are there to be written.
        let handle =
            Handle::create(|out, err| unsafe { sys::reattn_queue_create(model.raw(), out, err) })?;
        Ok(Queue { handle, reader: Mutex::new(Reader::new()) })
    }

    /// From now on the request's events come out of this queue with `tag`, any number but `u64::MAX`. Working memory is
    /// shared between requests of equal settings: add each before the next is made.
    pub fn add(&self, request: &Request, tag: u64) -> Result<()> {
        if tag == NO_TAG {
            return Err(Error::new(Code::Arg, "tag is u64::MAX, which stands for no request"));
        }
        // SAFETY: both handles are live.
        call(|err| unsafe { sys::reattn_queue_add(self.handle.get(), request.raw(), tag, err) })?;
        Ok(())
    }

    fn wait_ms(&self, timeout_ms: i64) -> Result<Step<Tagged>> {
        let mut reader = match self.reader.try_lock() {
            Ok(reader) => reader,
            Err(TryLockError::Poisoned(reader)) => reader.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(Code::Busy, "another thread pulls from the queue"));
            }
        };
        let mut tag = NO_TAG;
        // SAFETY: the event states its size, the buffer is as long as is said.
        let step = reader.pull(|event, buffer, length, needed, err| unsafe {
            let queue = self.handle.get();
            sys::reattn_queue_next(queue, timeout_ms, &mut tag, event, buffer, length, needed, err)
        });
        match step {
            Ok(Step::Event(event)) => Ok(Step::Event(Tagged { tag, event: Ok(event) })),
            Ok(Step::TimedOut) => Ok(Step::TimedOut),
            Ok(Step::End) => Ok(Step::End),
            Err(error) if tag != NO_TAG => Ok(Step::Event(Tagged { tag, event: Err(error) })),
            Err(error) => Err(error),
        }
    }

    /// Works until the next event of any request, but no longer than about this.
    pub fn wait(&self, timeout: Duration) -> Result<Step<Tagged>> {
        self.wait_ms(milliseconds(timeout))
    }

    /// Works until the next event of any request; `None` when no request is left. One may be added again.
    pub fn next_event(&self) -> Result<Option<Tagged>> {
        match self.wait_ms(-1)? {
            Step::Event(tagged) => Ok(Some(tagged)),
            Step::End | Step::TimedOut => Ok(None),
        }
    }

    /// Events until no request is left.
    pub fn events(&self) -> QueueEvents<'_> {
        QueueEvents { queue: self }
    }
}

/// The iterator of [`Queue::events`].
#[derive(Debug)]
pub struct QueueEvents<'a> {
    queue: &'a Queue,
}

impl Iterator for QueueEvents<'_> {
    type Item = Result<Tagged>;

    fn next(&mut self) -> Option<Self::Item> {
        self.queue.next_event().transpose()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
