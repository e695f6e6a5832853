//! One chat template rendered within bounds of time, memory and stack.

use crate::error::{fail, Code, Failure, Outcome};
use crate::json::tojson;
use crate::python;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{escape_formatter, filters, Environment, Error, ErrorKind, State, Value};
use serde_json::Value as Json;
use std::fmt::Write as _;
use std::io::{self, Write};

const MAX_RECURSION: usize = 200;

/// Marks the error of a template that called raise_exception.
const RAISED: &str = "the chat template refuses these messages: ";

#[derive(Clone, Copy)]
pub struct Limits {
    /// Instructions, and blocks of 64 bytes made or read.
    pub fuel: u64,
    pub output_bytes: usize,
}

/// Seconds since the epoch, taken once so that two renderings agree.
fn now() -> libc::time_t {
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

/// Python's methods; those of a long string pay for reading it.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let n = value.as_str().map_or(0, str::len);
    if n >= 64 {
        state.consume_fuel((n / 64) as u64)?;
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

/// Renders `source` with each of `contexts`, which share one clock.
pub fn render(source: &str, contexts: Vec<Json>, limits: Limits) -> Vec<Outcome<String>> {
    let time = now();
    let mut env = Environment::new();
    env.set_fuel(Some(limits.fuel));
    env.set_recursion_limit(MAX_RECURSION);
    env.set_unknown_method_callback(method);
    env.set_formatter(|out, state, value| match python::text(state, value)? {
        Some(text) => out.write_str(&text).map_err(Error::from),
        None => escape_formatter(out, state, value),
    });
    env.add_filter("string", |state: &State, value: &Value| match python::text(state, value)? {
        Some(text) => Ok(Value::from(text)),
        None => filters::string(state, value),
    });
    env.add_test("iterable", python::is_iterable);
    env.add_test("sequence", python::is_sequence);
    env.add_test("number", python::is_number);
    env.add_filter("tojson", tojson);
    env.add_function("strftime_now", move |format: &str| strftime(time, format));
    env.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
    });
    // The environment that Hugging Face's apply_chat_template makes.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    let template = syntax.and_then(|syntax| {
        env.set_syntax(syntax);
        env.template_from_str(source)
    });
    let one = |context: Json| {
        let template = template.as_ref().map_err(failure)?;
        let mut out = Bounded { out: Vec::new(), limit: limits.output_bytes };
        template
            .render_captured_to(Value::from(Serde(&context)), &mut out)
            .map_err(|e| failure(&e))?;
        String::from_utf8(out.out).or_else(|e| fail(Code::Internal, e))
    };
    contexts.into_iter().map(one).collect()
}
