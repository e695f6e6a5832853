//! Chat messages to text, with what users wrote told apart from what the template wrote.

use crate::error::{fail, Code, Outcome};
use crate::template::{render, Limits};
use crate::tokenizer::Tokenizer;
use crate::watch::{bounded, Bounds, Stopped};
use serde_json::{json, Map, Value as Json};
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

/// A rendering, and where in it the caller's texts lie.
pub struct Rendered {
    pub text: String,
    pub contents: Vec<Range<usize>>,
}

/// What a template is to render.
struct Conversation {
    messages: Vec<Json>,
    /// Other variables: tools, documents and what else the caller names.
    variables: Map<String, Json>,
}

/// Older names of "reasoning_content", in the order in which Hugging Face looks at them.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

fn check_message(i: usize, message: &mut Json) -> Outcome<()> {
    let Json::Object(members) = message else {
        return fail(Code::Arg, format!("messages[{i}]: want an object"));
    };
    match members.get("role") {
        Some(Json::String(_)) => {}
        Some(_) => return fail(Code::Arg, format!("messages[{i}].role: want a string")),
        None => return fail(Code::Arg, format!("messages[{i}]: no \"role\"")),
    }
    let calls_tools = members.get("tool_calls").is_some_and(|calls| !calls.is_null());
    let name = format!("messages[{i}].content");
    match members.get("content") {
        Some(Json::String(_)) => {}
        Some(Json::Array(parts)) => {
            for (n, part) in parts.iter().enumerate() {
                let text = part.as_object().map(|part| part.get("text"));
                match text {
                    None => return fail(Code::Arg, format!("{name}[{n}]: want an object")),
                    Some(Some(text)) if !text.is_string() => {
                        return fail(Code::Arg, format!("{name}[{n}].text: want a string"));
                    }
                    Some(_) => {}
                }
            }
        }
        None | Some(Json::Null) if calls_tools => {}
        None => return fail(Code::Arg, format!("messages[{i}]: no \"content\"")),
        Some(_) => return fail(Code::Arg, format!("{name}: want a string or an array of parts")),
    }
    // As Hugging Face does: a member that is null is none, and reasoning goes by each of its names.
    members.retain(|_, value| !value.is_null());
    let reasoning = REASONING.iter().find_map(|name| members.get(*name)).cloned();
    if let Some(reasoning) = reasoning {
        members.entry("thinking").or_insert_with(|| reasoning.clone());
        members.insert("reasoning_content".to_string(), reasoning);
    }
    Ok(())
}

fn parse(bytes: &[u8]) -> Outcome<Conversation> {
    if bytes.len() > MAX_MESSAGES_BYTES {
        return fail(
            Code::Arg,
            format!("the messages have {} bytes; at most {MAX_MESSAGES_BYTES}", bytes.len()),
        );
    }
    let parsed: Json = serde_json::from_slice(bytes)
        .or_else(|e| fail(Code::Arg, format!("messages: not JSON: {e}")))?;
    let (messages, variables) = match parsed {
        Json::Array(messages) => (messages, Map::new()),
        Json::Object(mut members) => match members.shift_remove("messages") {
            Some(Json::Array(messages)) => (messages, members),
            _ => return fail(Code::Arg, "messages: the object has no array \"messages\""),
        },
        _ => return fail(Code::Arg, "messages: want a JSON array of objects, or an object"),
    };
    let mut conversation = Conversation { messages, variables };
    for (i, message) in conversation.messages.iter_mut().enumerate() {
        check_message(i, message)?;
    }
    for name in ["tools", "documents"] {
        match conversation.variables.get(name) {
            None | Some(Json::Null) => {}
            Some(Json::Array(items)) if items.iter().all(Json::is_object) => {}
            Some(_) => return fail(Code::Arg, format!("{name}: want an array of objects")),
        }
    }
    if conversation.variables.contains_key("add_generation_prompt") {
        return fail(Code::Arg, "add_generation_prompt: is an argument, not a member");
    }
    Ok(conversation)
}

/// A text of the caller that could pass for the template's own words.
struct Leaf {
    path: String,
    /// Without the white space around it, which many templates trim.
    text: String,
    /// The same as `tojson` writes it inside a string.
    escaped: String,
}

impl Leaf {
    fn new(path: &str, text: &str) -> Self {
        let quoted = Json::from(text).to_string();
        let escaped = quoted[1..quoted.len() - 1].to_string();
        Self { path: path.to_string(), text: text.to_string(), escaped }
    }
}

/// Puts marks in place of texts.
struct Marker<'a> {
    tokenizer: &'a Tokenizer,
    word: &'a str,
    leaves: Vec<Leaf>,
}

impl Marker<'_> {
    fn mark(&mut self, path: &str, text: &mut String) {
        let trimmed = text.trim();
        if !trimmed.is_empty() {
            let lead = text.len() - text.trim_start().len();
            let tail = &text[lead + trimmed.len()..];
            let marked = format!("{}{}{}z{tail}", &text[..lead], self.word, self.leaves.len());
            self.leaves.push(Leaf::new(path, trimmed));
            *text = marked;
        }
    }

    /// What templates print of a message's content.
    fn content(&mut self, path: &str, content: &mut Json) -> Outcome<()> {
        match content {
            Json::String(text) => self.mark(path, text),
            Json::Array(parts) => {
                for (i, part) in parts.iter_mut().enumerate() {
                    let path = format!("{path}[{i}]");
                    for (name, member) in part.as_object_mut().into_iter().flatten() {
                        match member {
                            Json::String(text) if name == "text" => {
                                self.mark(&format!("{path}.text"), text);
                            }
                            _ => self.other(&format!("{path}.{name}"), member)?,
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Other texts, which templates compare and take apart: only what holds a special token.
    fn other(&mut self, path: &str, value: &mut Json) -> Outcome<()> {
        match value {
            Json::String(text) if self.tokenizer.holds_special(text) => self.mark(path, text),
            Json::Array(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    self.other(&format!("{path}[{i}]"), item)?;
                }
            }
            Json::Object(members) => {
                for (name, member) in members {
                    if self.tokenizer.holds_special(name) {
                        return fail(
                            Code::Unsupported,
                            format!("{path}: a member's name holds the text of a special token"),
                        );
                    }
                    self.other(&format!("{path}.{name}"), member)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn conversation(&mut self, conversation: &mut Conversation) -> Outcome<()> {
        for (i, message) in conversation.messages.iter_mut().enumerate() {
            let path = format!("messages[{i}]");
            for (name, member) in message.as_object_mut().into_iter().flatten() {
                let path = format!("{path}.{name}");
                match name.as_str() {
                    "role" => {} // the program's word
                    "content" => self.content(&path, member)?,
                    _ => self.other(&path, member)?,
                }
            }
        }
        for (name, variable) in &mut conversation.variables {
            self.other(name, variable)?;
        }
        Ok(())
    }
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

/// Where texts lie in `plain`, from a rendering with a mark in place of each; None where the
/// template treats a mark otherwise than the text.
fn by_marks(plain: &str, marked: &str, word: &str, leaves: &[Leaf]) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut rest = marked;
    while let Some(end) = rest.find(word) {
        at += plain[at..].starts_with(&rest[..end]).then_some(end)?;
        rest = &rest[end + word.len()..];
        let (index, tail) = rest.split_once('z')?;
        let leaf = leaves.get(index.parse::<usize>().ok()?)?;
        let forms = [&leaf.text, &leaf.escaped];
        let form = forms.into_iter().find(|form| plain[at..].starts_with(form.as_str()))?;
        found.push(at..at + form.len());
        at += form.len();
        rest = tail;
    }
    (plain[at..] == *rest).then_some(found)
}

/// Where those texts lie in `plain` that could forge a special token, if that is the only way to
/// find them all in order.
fn by_search(plain: &str, tokenizer: &Tokenizer, leaves: &[Leaf]) -> Outcome<Vec<Range<usize>>> {
    let wanted: Vec<(&Leaf, &str)> = leaves
        .iter()
        .filter(|leaf| tokenizer.could_forge(&leaf.text))
        .map(|leaf| {
            let is_escaped = !plain.contains(&leaf.text);
            (leaf, if is_escaped { leaf.escaped.as_str() } else { leaf.text.as_str() })
        })
        .collect();
    let mut first = Vec::with_capacity(wanted.len());
    let mut begin = 0;
    for &(leaf, text) in &wanted {
        let Some(at) = plain[begin..].find(text) else {
            return fail(
                Code::Unsupported,
                format!(
                    "{} holds the text of a special token, and the chat template changes it: what \
                     the user wrote cannot be told apart",
                    leaf.path
                ),
            );
        };
        first.push(begin + at..begin + at + text.len());
        begin += at + text.len();
    }
    let mut end = plain.len();
    for (found, &(leaf, text)) in first.iter().zip(&wanted).rev() {
        if plain[..end].rfind(text) != Some(found.start) {
            return fail(
                Code::Unsupported,
                format!(
                    "{} holds the text of a special token, and the chat template's output has it \
                     in more than one place",
                    leaf.path
                ),
            );
        }
        end = found.start;
    }
    Ok(first)
}

fn context(request: &Request, conversation: &Conversation) -> Json {
    let mut context = json!({
        "messages": conversation.messages,
        "add_generation_prompt": request.add_generation_prompt,
        "bos_token": request.bos,
        "eos_token": request.eos,
        "tools": null,
        "documents": null,
    });
    for (name, variable) in &conversation.variables {
        context[name] = variable.clone();
    }
    context
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
    let mut conversation = parse(request.messages_json)?;
    let n_messages = conversation.messages.len();
    let mut contexts = vec![context(request, &conversation)];
    let word = unused_word(request);
    let mut marker = Marker { tokenizer, word: &word, leaves: Vec::new() };
    if mark_contents {
        marker.conversation(&mut conversation)?;
        contexts.push(context(request, &conversation));
    }
    let mut renderings = render_bounded(tokenizer, request, n_messages, contexts)?.into_iter();
    let text = renderings.next().unwrap_or_else(|| fail(Code::Internal, "nothing rendered"))?;
    let contents = match renderings.next() {
        None => Vec::new(),
        Some(marked) => {
            let leaves = &marker.leaves;
            match marked.ok().and_then(|marked| by_marks(&text, &marked, &word, leaves)) {
                Some(contents) => contents,
                None => by_search(&text, tokenizer, leaves)?,
            }
        }
    };
    Ok(Rendered { text, contents })
}
