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

/// `major.minor.patch` of the library that was loaded.
pub fn version() -> &'static str {
    // SAFETY: the library's text is static and ends with a zero byte.
    let text = unsafe { std::ffi::CStr::from_ptr(reattn_sys::reattn_version()) };
    text.to_str().unwrap_or("unknown")
}

/// The ABI of the library that was loaded: the number in its soname.
pub fn abi_version() -> i32 {
    // SAFETY: a function without arguments.
    unsafe { reattn_sys::reattn_abi_version() }
}
