//! One chat template rendered within bounds of time, memory and stack.

use crate::error::{fail, Code, Failure, Outcome};
use crate::json::tojson;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, State, Value};
use std::fmt::Write as _;
use std::io::{self, Write};

const MAX_TEMPLATE_BYTES: usize = 1 << 20;
const MAX_RECURSION: usize = 200;

/// Marks the error of a template that called raise_exception.
const RAISED: &str = "the chat template refuses these messages: ";

pub struct Limits {
    /// Instructions, and blocks of 64 bytes made or read.
    pub fuel: u64,
    pub output_bytes: usize,
}

/// Seconds since the epoch, taken once so that two renderings agree.
pub fn now() -> libc::time_t {
    // SAFETY: a null pointer asks for the return value alone.
    unsafe { libc::time(std::ptr::null_mut()) }
}

fn strftime(time: libc::time_t, format: &str) -> Result<String, Error> {
    let bad = || Error::new(ErrorKind::InvalidOperation, "strftime_now: unusable format");
    let c_format = std::ffi::CString::new(format).map_err(|_| bad())?;
    let mut out = [0u8; 256];
    // SAFETY: tm is plain data; out is as long as said, and strftime gives 0 when it does not fit.
    let n = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&time, &mut tm).is_null() {
            return Err(bad());
        }
        libc::strftime(out.as_mut_ptr().cast(), out.len(), c_format.as_ptr(), &tm)
    };
    if n == 0 && !format.is_empty() {
        return Err(bad());
    }
    Ok(String::from_utf8_lossy(&out[..n]).into_owned())
}

/// A string that pays for each part before it grows.
struct Metered<'a, 'b, 'c> {
    out: String,
    state: &'a State<'b, 'c>,
}

impl std::fmt::Write for Metered<'_, '_, '_> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        let cost = (self.out.len() + s.len()) / 64 - self.out.len() / 64;
        if cost > 0 {
            self.state.consume_fuel(cost as u64).map_err(|_| std::fmt::Error)?;
        }
        self.out.push_str(s);
        Ok(())
    }
}

/// Python's methods. Those that read a long string pay for reading it, and join pays for the items
/// it copies: a list may hold one long string many times.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(s) = value.as_str() {
        if s.len() >= 64 {
            state.consume_fuel((s.len() / 64) as u64)?;
        }
        if let ("join", [items]) = (name, args) {
            let mut joined = Metered { out: String::new(), state };
            for (i, item) in items.try_iter()?.enumerate() {
                let separator = if i == 0 { "" } else { s };
                write!(joined, "{separator}{item}")
                    .map_err(|_| Error::from(ErrorKind::OutOfFuel))?;
            }
            return Ok(Value::from(joined.out));
        }
    } else if value.kind() == ValueKind::Seq {
        state.consume_fuel(value.len().unwrap_or(0) as u64)?;
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
}

struct Bounded {
    out: Vec<u8>,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit - self.out.len() {
            return Err(io::Error::other(format!("it writes more than {} bytes", self.limit)));
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failure(error: &Error) -> Failure {
    let mut text = format!("{error:#}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    match text.find(RAISED) {
        Some(at) => Failure { code: Code::Arg, message: text.split_off(at) },
        None => Failure { code: Code::Format, message: format!("tokenizer.chat_template: {text}") },
    }
}

pub fn render(
    source: &str,
    context: Value,
    time: libc::time_t,
    limits: &Limits,
) -> Outcome<String> {
    if source.len() > MAX_TEMPLATE_BYTES {
        return fail(
            Code::Format,
            format!(
                "tokenizer.chat_template has {} bytes; at most {MAX_TEMPLATE_BYTES}",
                source.len()
            ),
        );
    }
    let mut env = Environment::new();
    // The environment that Hugging Face's apply_chat_template makes.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    env.set_syntax(syntax.map_err(|e| failure(&e))?);
    env.set_fuel(Some(limits.fuel));
    env.set_recursion_limit(MAX_RECURSION);
    env.set_unknown_method_callback(method);
    env.add_filter("tojson", tojson);
    env.add_function("strftime_now", move |format: &str| strftime(time, format));
    env.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
    });
    let mut out = Bounded { out: Vec::new(), limit: limits.output_bytes };
    let template = env.template_from_str(source).map_err(|e| failure(&e))?;
    template.render_captured_to(context, &mut out).map_err(|e| failure(&e))?;
    String::from_utf8(out.out).or_else(|e| fail(Code::Internal, e))
}
