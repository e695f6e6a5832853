//! Chat messages to text, with what users wrote told apart from what the template wrote.

use crate::error::{fail, Code, Outcome};
use crate::template::{render, Limits};
use crate::tokenizer::Tokenizer;
use crate::watch::{bounded, Bounds, Stopped};
use serde_json::{json, Value as Json};
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const MAX_MESSAGES_BYTES: usize = 256 << 20;
const MAX_TEMPLATE_BYTES: usize = 128 << 10;

// What rendering may take: a base, and more for each message or byte of them.
const BASE_FUEL: u64 = 300_000;
const FUEL_PER_MESSAGE: u64 = 4_000;
const BASE_OUTPUT_BYTES: usize = 1 << 20;
const BASE_MEMORY_BYTES: usize = 64 << 20;
const MEMORY_PER_BYTE: usize = 128;
const BASE_TIME: Duration = Duration::from_secs(3);
const TIME_PER_MIB: Duration = Duration::from_secs(1);
/// Parsing, printing and dropping nested values recurse as deep as source and fuel allow. Only
/// what is touched becomes memory.
const STACK_BYTES: usize = 256 << 20;
const STACK_BYTES_PER_MESSAGE: usize = 512 << 10;

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

fn context(request: &Request, messages: &[Json]) -> Json {
    json!({
        "messages": messages,
        "add_generation_prompt": request.add_generation_prompt,
        "bos_token": request.bos,
        "eos_token": request.eos,
        "tools": null,
        "documents": null,
    })
}

/// The messages with `word`, their number and a `z` for each content.
fn marked(messages: &[Json], word: &str) -> Vec<Json> {
    let mut out = messages.to_vec();
    for (i, message) in out.iter_mut().enumerate() {
        let (whole, trimmed) = (content(&messages[i]), core(&messages[i]));
        if !trimmed.is_empty() {
            let lead = whole.len() - whole.trim_start().len();
            let tail = &whole[lead + trimmed.len()..];
            message["content"] = format!("{}{word}{i}z{tail}", &whole[..lead]).into();
        }
    }
    out
}

/// Renders on a thread whose memory, time and stack are bounded.
fn render_bounded(
    tokenizer: &Tokenizer,
    request: &Request,
    n_messages: usize,
    contexts: Vec<Json>,
) -> Outcome<Vec<Outcome<String>>> {
    let n_bytes = request.messages_json.len();
    if request.template.len() > MAX_TEMPLATE_BYTES {
        let n = request.template.len();
        return fail(
            Code::Format,
            format!("tokenizer.chat_template has {n} bytes; at most {MAX_TEMPLATE_BYTES}"),
        );
    }
    let condemned = &tokenizer.template_condemned;
    let refuse = |why: &str| fail(Code::Format, format!("tokenizer.chat_template: {why}"));
    if condemned.load(Relaxed) {
        return refuse("an earlier call had to stop it");
    }
    let fuel = BASE_FUEL + FUEL_PER_MESSAGE * n_messages as u64 + n_bytes as u64;
    let limits = Limits { fuel, output_bytes: BASE_OUTPUT_BYTES + 2 * n_bytes };
    let memory_bytes = BASE_MEMORY_BYTES + MEMORY_PER_BYTE * n_bytes;
    let bounds = Bounds {
        stack_bytes: STACK_BYTES + STACK_BYTES_PER_MESSAGE * n_messages,
        memory_bytes,
        time: BASE_TIME + TIME_PER_MIB * (n_bytes >> 20) as u32,
    };
    let source = request.template.to_string();
    let stopped =
        match bounded("the chat template", bounds, move || Ok(render(&source, contexts, limits))) {
            Ok(result) => return result,
            Err(stopped) => stopped,
        };
    condemned.store(true, Relaxed);
    match stopped {
        Stopped::Memory => refuse(&format!("it takes more than {memory_bytes} bytes of memory")),
        Stopped::Time => refuse("it takes too long"),
    }
}

pub fn render_chat(
    tokenizer: &Tokenizer,
    request: &Request,
    mark_contents: bool,
) -> Outcome<Rendered> {
    let messages = parse(request.messages_json)?;
    let mut contexts = vec![context(request, &messages)];
    let word = unused_word(request);
    if mark_contents {
        contexts.push(context(request, &marked(&messages, &word)));
    }
    let mut renderings = render_bounded(tokenizer, request, messages.len(), contexts)?.into_iter();
    let text = renderings.next().unwrap_or_else(|| fail(Code::Internal, "nothing rendered"))?;
    let contents = match renderings.next() {
        None => Vec::new(),
        Some(marked) => {
            match marked.ok().and_then(|marked| by_marks(&text, &marked, &word, &messages)) {
                Some(contents) => contents,
                None => by_search(&text, tokenizer, &messages)?,
            }
        }
    };
    Ok(Rendered { text, contents })
}
