//! The library's error codes, and how panics become one of them.

use std::fmt::Display;
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::Once;

/// Values of reattn::ErrorCode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Arg = -1,
    OomHost = -7,
    Format = -9,
    Unsupported = -12,
    Internal = -13,
}

#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
}

pub type Outcome<T> = Result<T, Failure>;

pub fn fail<T>(code: Code, message: impl Display) -> Outcome<T> {
    Err(Failure { code, message: message.to_string() })
}

static QUIET: Once = Once::new();

/// Runs `f`; a panic in it is an internal error, and nothing is printed.
pub fn guard<T>(f: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    QUIET.call_once(|| set_hook(Box::new(|_| {})));
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|s| s.to_string())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        fail(Code::Internal, format!("the text library panicked: {what}"))
    })
}
