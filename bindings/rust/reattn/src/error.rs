//! Errors: a code and the library's own sentence.
use std::fmt;

use reattn_sys as sys;

/// What every fallible call gives.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of thing went wrong.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// An argument is out of its range.
    Arg,
    /// What a [`RequestControl`](crate::RequestControl) speaks of is gone.
    Handle,
    /// Another call, a live request or the loading uses the object.
    Busy,
    /// Cancelled by the caller.
    Cancelled,
    /// No such device, or it cannot be used; the message says why.
    NoDevice,
    /// The device failed for good.
    DeviceLost,
    /// Host memory cannot hold it.
    OomHost,
    /// Device memory cannot hold it.
    OomDevice,
    /// A file's content is not what its format says.
    Format,
    /// A snapshot of another model, tokenizer or layout.
    Mismatch,
    /// A buffer is too small. This crate enlarges its buffers and never gives it.
    Buffer,
    /// Valid, but this build cannot do it.
    Unsupported,
    /// A fault of the library.
    Internal,
    /// The operating system refused to read or write; also that the library was not found.
    Io,
    /// A status that this version of the crate does not know.
    Other(i32),
}

const CODES: [(i32, Code, &str); 14] = [
    (sys::REATTN_E_ARG, Code::Arg, "E_ARG"),
    (sys::REATTN_E_HANDLE, Code::Handle, "E_HANDLE"),
    (sys::REATTN_E_BUSY, Code::Busy, "E_BUSY"),
    (sys::REATTN_E_CANCELLED, Code::Cancelled, "E_CANCELLED"),
    (sys::REATTN_E_NO_DEVICE, Code::NoDevice, "E_NO_DEVICE"),
    (sys::REATTN_E_DEVICE_LOST, Code::DeviceLost, "E_DEVICE_LOST"),
    (sys::REATTN_E_OOM_HOST, Code::OomHost, "E_OOM_HOST"),
    (sys::REATTN_E_OOM_DEVICE, Code::OomDevice, "E_OOM_DEVICE"),
    (sys::REATTN_E_FORMAT, Code::Format, "E_FORMAT"),
    (sys::REATTN_E_MISMATCH, Code::Mismatch, "E_MISMATCH"),
    (sys::REATTN_E_BUFFER, Code::Buffer, "E_BUFFER"),
    (sys::REATTN_E_UNSUPPORTED, Code::Unsupported, "E_UNSUPPORTED"),
    (sys::REATTN_E_INTERNAL, Code::Internal, "E_INTERNAL"),
    (sys::REATTN_E_IO, Code::Io, "E_IO"),
];

impl Code {
    fn from_status(status: i32) -> Self {
        let known = CODES.iter().find(|(number, ..)| *number == status);
        known.map_or(Code::Other(status), |(_, code, _)| *code)
    }

    /// The status of the C interface, e.g. -9.
    pub fn status(self) -> i32 {
        match self {
            Code::Other(status) => status,
            _ => CODES.iter().find(|(_, code, _)| *code == self).map_or(0, |(number, ..)| *number),
        }
    }

    /// The name that the C interface has for it, e.g. `E_FORMAT`.
    pub fn name(self) -> &'static str {
        CODES.iter().find(|(_, code, _)| *code == self).map_or("UNKNOWN", |(_, _, name)| *name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What went wrong. Its message names the file, field or argument and the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: String,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into() }
    }

    /// Reads an error of the library and frees it.
    ///
    /// # Safety
    /// `err` is NULL or an error that nobody else frees.
    pub(crate) unsafe fn take(status: i32, err: *mut sys::reattn_error) -> Self {
        // SAFETY: the message lives until the error is freed, and the library takes NULL for an
        // error that is not live.
        let message = unsafe {
            let text = std::ffi::CStr::from_ptr(sys::reattn_error_message(err));
            let message = text.to_string_lossy().into_owned();
            sys::reattn_error_free(err);
            message
        };
        Error { code: Code::from_status(status), message }
    }

    /// What kind of thing went wrong.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What went wrong, as a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Error {}
