//! Snapshots: a document once read.
use std::fmt;
use std::path::Path;

use reattn_sys as sys;

use crate::error::Result;
use crate::model::Model;
use crate::options::SessionOptions;
use crate::raw::{call, info, path_bytes, Handle};

/// A session as it was: tokens, cache, last logits and settings. It never changes; any number of threads may use it at
/// once, and any number of sessions go on from it ([`Session::resume`](crate::Session::resume)).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let model = reattn::Model::open(std::env::var("REATTN_TINY_MODEL")?)?;
/// use reattn::{Session, Snapshot};
/// let mut session = Session::new(&model)?;
/// session.append("A long text, read once.")?;
/// session.read(|_, _| {})?;
/// let path = std::env::temp_dir().join(format!("doc-{}.reattn", std::process::id()));
/// session.snapshot()?.save(&path)?;
///
/// let snapshot = Snapshot::open(&model, &path)?;
/// let resumed = Session::resume(&model, &snapshot)?;
/// assert_eq!(resumed.info()?.n_tokens, session.info()?.n_tokens);
/// std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
pub struct Snapshot {
    handle: Handle<sys::reattn_cache>,
    model: Model,
}

/// What a snapshot holds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Generation can start from it without reading anything first.
    pub has_logits: bool,
    /// Its tokens.
    pub n_tokens: i64,
    /// Cache memory it holds, shared pages included.
    pub kv_bytes: u64,
    /// As in [`ModelInfo`](crate::ModelInfo).
    pub model_fingerprint: u64,
    /// Likewise.
    pub tokenizer_fingerprint: u64,
}

impl Snapshot {
    pub(crate) fn from_handle(handle: Handle<sys::reattn_cache>, model: Model) -> Self {
        Snapshot { handle, model }
    }

    pub(crate) fn raw(&self) -> *const sys::reattn_cache {
        self.handle.get()
    }

    /// Reads a saved snapshot of this very model; every byte is checked before it is used.
    pub fn open(model: &Model, path: impl AsRef<Path>) -> Result<Snapshot> {
        let path = path_bytes(path.as_ref());
        // SAFETY: the path is as long as is said; likewise below.
        let handle = Handle::create(|out, err| unsafe {
            sys::reattn_cache_open(model.raw(), path.as_ptr(), path.len() as u64, out, err)
        })?;
        Ok(Snapshot { handle, model: model.clone() })
    }

    /// Writes it to a file, which appears whole or, after an error, not at all. About as large as `kv_bytes`.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path_bytes(path.as_ref());
        call(|err| unsafe {
            sys::reattn_cache_save(self.raw(), path.as_ptr(), path.len() as u64, err)
        })?;
        Ok(())
    }

    /// What it holds.
    pub fn info(&self) -> Result<SnapshotInfo> {
        let raw = info!(reattn_cache_info, reattn_cache_get_info(self.raw()))?;
        Ok(SnapshotInfo {
            has_logits: raw.has_logits != 0,
            n_tokens: raw.n_tokens,
            kv_bytes: raw.kv_bytes,
            model_fingerprint: raw.model_fingerprint,
            tokenizer_fingerprint: raw.tokenizer_fingerprint,
        })
    }

    /// The settings it was read with.
    pub fn session_options(&self) -> Result<SessionOptions> {
        self.model.session_options_from(self.raw())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("info", &self.info()).finish_non_exhaustive()
    }
}
