//! Chat messages to text, with what users wrote told apart from what the template wrote.

use crate::error::{fail, guard, Code, Outcome};
use crate::template::{now, render, Limits};
use crate::tokenizer::Tokenizer;
use minijinja::value::Serde;
use minijinja::Value;
use serde_json::{json, Value as Json};
use std::ops::Range;

const MAX_MESSAGES_BYTES: usize = 1 << 30;
const BASE_FUEL: u64 = 300_000;
const FUEL_PER_MESSAGE: u64 = 4_000;
const BASE_OUTPUT_BYTES: usize = 1 << 20;
/// Rendering and dropping nested values recurse; fuel bounds their depth, and this holds it. The
/// caller's own stack may be small.
const STACK_BYTES: usize = 64 << 20;
const STACK_BYTES_PER_MESSAGE: usize = 64 << 10;

pub struct Request<'a> {
    pub template: &'a str,
    pub messages_json: &'a [u8],
    pub bos: &'a str,
    pub eos: &'a str,
    pub add_generation_prompt: bool,
}

/// A rendering, and where in it contents lie.
pub struct Rendered {
    pub text: String,
    pub contents: Vec<Range<usize>>,
}

fn parse(bytes: &[u8]) -> Outcome<Vec<Json>> {
    if bytes.len() > MAX_MESSAGES_BYTES {
        return fail(
            Code::Arg,
            format!("the messages have {} bytes; at most {MAX_MESSAGES_BYTES}", bytes.len()),
        );
    }
    let parsed: Json = serde_json::from_slice(bytes)
        .or_else(|e| fail(Code::Arg, format!("messages: not JSON: {e}")))?;
    let Json::Array(messages) = parsed else {
        return fail(Code::Arg, "messages: want a JSON array of objects");
    };
    for (i, message) in messages.iter().enumerate() {
        let Json::Object(object) = message else {
            return fail(Code::Arg, format!("messages[{i}]: want an object"));
        };
        for member in ["role", "content"] {
            match object.get(member) {
                Some(Json::String(_)) => {}
                Some(_) => {
                    return fail(Code::Arg, format!("messages[{i}].{member}: want a string"))
                }
                None => return fail(Code::Arg, format!("messages[{i}]: no \"{member}\"")),
            }
        }
    }
    Ok(messages)
}

fn content(message: &Json) -> &str {
    message["content"].as_str().unwrap_or_default()
}

/// Contents without the white space around them, which many templates trim.
fn core(message: &Json) -> &str {
    content(message).trim()
}

/// A word that neither the template nor the messages hold.
fn unused_word(request: &Request) -> String {
    let holds = |word: &str| {
        request.template.contains(word) || holds_bytes(request.messages_json, word.as_bytes())
    };
    (0u64..).map(|n| format!("Zq{n}q")).find(|word| !holds(word)).unwrap_or_default()
}

fn holds_bytes(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|w| w == word)
}

/// Where contents lie in `plain`, from a rendering with a mark in place of each; None where the
/// template treats a mark otherwise than the content.
fn by_marks(plain: &str, marked: &str, word: &str, messages: &[Json]) -> Option<Vec<Range<usize>>> {
    let mut contents = Vec::new();
    let mut built = String::with_capacity(plain.len());
    let mut rest = marked;
    while let Some(at) = rest.find(word) {
        built.push_str(&rest[..at]);
        rest = &rest[at + word.len()..];
        let (index, tail) = rest.split_once('z')?;
        let text = core(messages.get(index.parse::<usize>().ok()?)?);
        contents.push(built.len()..built.len() + text.len());
        built.push_str(text);
        rest = tail;
    }
    built.push_str(rest);
    (built == plain).then_some(contents)
}

/// Where those contents lie in `plain` that could forge a special token, if that is the only way to
/// find them all in order.
fn by_search(plain: &str, tokenizer: &Tokenizer, messages: &[Json]) -> Outcome<Vec<Range<usize>>> {
    let wanted: Vec<(usize, &str)> = messages
        .iter()
        .map(core)
        .enumerate()
        .filter(|(_, text)| !text.is_empty() && tokenizer.could_forge(text))
        .collect();
    let mut first = Vec::with_capacity(wanted.len());
    let mut begin = 0;
    for &(i, text) in &wanted {
        let Some(at) = plain[begin..].find(text) else {
            return fail(
                Code::Unsupported,
                format!(
                    "messages[{i}].content holds the text of a special token, and the chat \
                     template changes it: what the user wrote cannot be told apart"
                ),
            );
        };
        first.push(begin + at..begin + at + text.len());
        begin += at + text.len();
    }
    let mut end = plain.len();
    for (found, &(i, text)) in first.iter().zip(&wanted).rev() {
        if plain[..end].rfind(text) != Some(found.start) {
            return fail(
                Code::Unsupported,
                format!(
                    "messages[{i}].content holds the text of a special token, and the chat \
                     template's output has it in more than one place"
                ),
            );
        }
        end = found.start;
    }
    Ok(first)
}

fn render_here(
    tokenizer: &Tokenizer,
    request: &Request,
    messages: &mut Vec<Json>,
    mark_contents: bool,
    limits: &Limits,
) -> Outcome<Rendered> {
    let time = now();
    let render_with = |messages: &[Json]| {
        let context = json!({
            "messages": messages,
            "add_generation_prompt": request.add_generation_prompt,
            "bos_token": request.bos,
            "eos_token": request.eos,
            "tools": null,
            "documents": null,
        });
        render(request.template, Value::from(Serde(&context)), time, limits)
    };
    let text = render_with(messages)?;
    if !mark_contents {
        return Ok(Rendered { text, contents: Vec::new() });
    }
    let word = unused_word(request);
    let originals = messages.clone();
    for (i, message) in messages.iter_mut().enumerate() {
        let trimmed = core(&originals[i]);
        if !trimmed.is_empty() {
            let whole = content(&originals[i]);
            let lead = whole.len() - whole.trim_start().len();
            let tail = &whole[lead + trimmed.len()..];
            message["content"] = format!("{}{word}{i}z{tail}", &whole[..lead]).into();
        }
    }
    let marks =
        render_with(messages).ok().and_then(|marked| by_marks(&text, &marked, &word, &originals));
    let contents = match marks {
        Some(contents) => contents,
        None => by_search(&text, tokenizer, &originals)?,
    };
    Ok(Rendered { text, contents })
}

pub fn render_chat(
    tokenizer: &Tokenizer,
    request: &Request,
    mark_contents: bool,
) -> Outcome<Rendered> {
    let mut messages = parse(request.messages_json)?;
    let limits = Limits {
        fuel: BASE_FUEL
            + FUEL_PER_MESSAGE * messages.len() as u64
            + request.messages_json.len() as u64,
        output_bytes: BASE_OUTPUT_BYTES + 2 * request.messages_json.len(),
    };
    let stack = STACK_BYTES + STACK_BYTES_PER_MESSAGE * messages.len();
    std::thread::scope(|scope| {
        let run =
            || guard(|| render_here(tokenizer, request, &mut messages, mark_contents, &limits));
        let thread = std::thread::Builder::new()
            .stack_size(stack)
            .spawn_scoped(scope, run)
            .or_else(|e| fail(Code::OomHost, format!("a thread for the chat template: {e}")))?;
        thread.join().unwrap_or_else(|_| fail(Code::Internal, "the chat template's thread died"))
    })
}
