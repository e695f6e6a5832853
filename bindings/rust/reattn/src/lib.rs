#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

/// The C interface below this crate.
pub use reattn_sys as sys;

mod chat;
mod device;
mod error;
mod log;
mod model;
mod options;
mod queue;
mod raw;
mod request;
mod session;
mod snapshot;

pub use chat::Message;
pub use device::{devices, diagnose, load_backend, Device, DeviceInfo};
pub use error::{Code, Error, Result};
pub use log::{log_messages, LogMessage, LogMessages};
pub use model::{LoadCanceller, LoadProgress, Loading, MemoryPlan, Model, ModelInfo};
pub use options::{
    AppendOptions, Geometry, KvType, ModelOptions, RequestOptions, Scoring, Selection,
    SessionOptions, Weights,
};
pub use queue::{Queue, QueueEvents, Tagged};
pub use request::{
    DoneReason, Event, Layer, Request, RequestControl, RequestStats, Scope, Span, Step, Texts,
};
pub use session::{Session, SessionInfo};
pub use snapshot::{Snapshot, SnapshotInfo};

/// `major.minor.patch` of the library that is in use.
pub fn version() -> Result<&'static str> {
    raw::ensure()?;
    // SAFETY: the library's text is static and ends with a zero byte.
    let text = unsafe { std::ffi::CStr::from_ptr(reattn_sys::reattn_version()) };
    Ok(text.to_str().unwrap_or("unknown"))
}

/// The ABI of the library that is in use: the number in its soname.
pub fn abi_version() -> Result<i32> {
    raw::ensure()?;
    // SAFETY: a function without arguments.
    Ok(unsafe { reattn_sys::reattn_abi_version() })
}

/// Opens the library at `path`, the file or a folder that holds it. Without this call it is looked for, when it is first
/// needed, where the environment variable `REATTN_LIBRARY` says (the file or a folder), beside the running program, in `lib`
/// beside its folder, and where the system looks. The error lists what was tried. Afterwards, another path is an error.
#[cfg(feature = "load")]
pub fn load_library(path: impl AsRef<std::path::Path>) -> Result<()> {
    reattn_sys::load::load(path).map_err(|problem| Error::new(Code::Io, problem))
}
