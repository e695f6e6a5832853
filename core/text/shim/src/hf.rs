//! A Hugging Face folder's tokenizer: the pipelines that this library has, told by their parts.

use crate::error::{fail, Code, Outcome};
use crate::hf_json::{AddedToken, Model, Name, Pattern, Piece, Step, TokenizerFile};
use crate::hf_json::{ChatTemplate, GenerationConfig, Ids, TokenizerConfig};
use crate::split::{LLAMA3, QWEN2};
use crate::tokenizer::flag;
use crate::MAX_TOKENS;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

const MAX_TOKENIZER_BYTES: usize = 128 << 20;
const MAX_CONFIG_BYTES: usize = 4 << 20;

/// Bytes of the files; none where the folder has no such file.
pub struct Files<'a> {
    pub tokenizer: &'a [u8],
    pub tokenizer_config: &'a [u8],
    pub generation_config: &'a [u8],
}

/// What `shim.h` calls the parts of a TokenizerSpec.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Field {
    Model,
    Pre,
    Token,
    TokenStrip,
    Merge,
    Bos,
    Eos,
    Unk,
    Pad,
    End,
    AddBos,
    AddEos,
    Composes,
    WholeWordsFirst,
    SpacePrefix,
    ChatTemplate,
}

type Emit<'a> = &'a mut dyn FnMut(Field, &str, i64) -> Outcome<()>;

const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;
const BYTE: i64 = 6;

fn refuse<T>(what: impl std::fmt::Display) -> Outcome<T> {
    fail(Code::Unsupported, format!("tokenizer.json: {what}, which this build does not know"))
}

fn broken<T>(what: impl std::fmt::Display) -> Outcome<T> {
    fail(Code::Format, format!("tokenizer.json: {what}"))
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8], max: usize) -> Outcome<T> {
    if bytes.len() > max {
        let n = bytes.len();
        return fail(Code::Unsupported, format!("{name} has {n} bytes; at most {max}"));
    }
    serde_json::from_slice(bytes).or_else(|e| fail(Code::Format, format!("{name}: {e}")))
}

fn parse_or_default<T: DeserializeOwned + Default>(name: &str, bytes: &[u8]) -> Outcome<T> {
    match bytes.is_empty() {
        true => Ok(T::default()),
        false => parse(name, bytes, MAX_CONFIG_BYTES),
    }
}

/// The steps of a pipeline, sequences opened.
fn flat(step: &Option<Step>) -> Vec<&Step> {
    let mut out = Vec::new();
    let mut open: Vec<&Step> = step.iter().collect();
    while let Some(step) = open.pop() {
        match step.kind.as_str() {
            "Sequence" => open.extend(step.parts().rev()),
            _ => out.push(step),
        }
    }
    out
}

/// How text becomes words.
enum Pipeline {
    ByteLevel { pre: &'static str, composes: bool },
    SentencePiece { prefix: i64 },
}

fn replaces_spaces(step: &Step) -> bool {
    let space = matches!(&step.pattern, Some(Pattern::String(s)) if s == " ");
    step.kind == "Replace" && space && step.content.as_deref() == Some("\u{2581}")
}

fn pipeline(file: &TokenizerFile) -> Outcome<Pipeline> {
    let (normal, pre) = (flat(&file.normalizer), flat(&file.pre_tokenizer));
    for step in &normal {
        if step.kind == "Precompiled" {
            return refuse("normalizer has a precompiled_charsmap");
        }
    }
    for step in flat(&file.post_processor) {
        if !matches!(step.kind.as_str(), "ByteLevel" | "TemplateProcessing") {
            return refuse(format!("post_processor '{}'", step.kind));
        }
    }
    match pre.last() {
        Some(last) if last.kind == "ByteLevel" => byte_level(&normal, &pre),
        _ => sentence_piece(&normal, &pre),
    }
}

fn byte_level(normal: &[&Step], pre: &[&Step]) -> Outcome<Pipeline> {
    let composes = match normal {
        [] => false,
        [step] if step.kind == "NFC" => true,
        [step, ..] => return refuse(format!("normalizer '{}' before ByteLevel", step.kind)),
    };
    let (last, before) = pre.split_last().expect("ByteLevel");
    if last.add_prefix_space != Some(false) {
        return refuse("pre_tokenizer ByteLevel with add_prefix_space");
    }
    let by_gpt2 = last.use_regex.unwrap_or(true);
    let pre = match before {
        [] if by_gpt2 => "gpt-2",
        [step] if by_gpt2 && step.kind == "Digits" && step.individual_digits == Some(true) => {
            "smollm"
        }
        [step] if !by_gpt2 && step.kind == "Split" => match &step.pattern {
            _ if step.behavior.as_deref() != Some("Isolated") || step.invert == Some(true) => {
                return refuse("pre_tokenizer Split that is not Isolated")
            }
            Some(Pattern::Regex(r)) if r == LLAMA3 => "llama-bpe",
            Some(Pattern::Regex(r)) if r == QWEN2 => "qwen2",
            Some(Pattern::Regex(r)) => return refuse(format!("pre_tokenizer Split at '{r}'")),
            _ => return refuse("pre_tokenizer Split without a Regex"),
        },
        _ => {
            let kinds: Vec<&str> = before.iter().map(|s| s.kind.as_str()).collect();
            return refuse(format!(
                "pre_tokenizer ByteLevel with use_regex {by_gpt2} behind [{}]",
                kinds.join(", ")
            ));
        }
    };
    Ok(Pipeline::ByteLevel { pre, composes })
}

fn sentence_piece(normal: &[&Step], pre: &[&Step]) -> Outcome<Pipeline> {
    let mut prefix = match normal {
        [] => None,
        [replace] if replaces_spaces(replace) => Some(0),
        [first, replace]
            if first.kind == "Prepend"
                && first.prepend.as_deref() == Some("\u{2581}")
                && replaces_spaces(replace) =>
        {
            Some(2)
        }
        [step, ..] => return refuse(format!("normalizer '{}'", step.kind)),
    };
    for step in pre {
        match step.kind.as_str() {
            // After Replace there are no spaces to split at.
            "Split" if prefix.is_some() => match (&step.pattern, step.behavior.as_deref()) {
                (Some(Pattern::String(s)), Some("MergedWithPrevious")) if s == " " => {}
                _ => return refuse("pre_tokenizer Split other than behind a space"),
            },
            "Metaspace" if prefix.is_none() => {
                if step.replacement.as_deref() != Some("\u{2581}") {
                    return refuse("pre_tokenizer Metaspace with a replacement of its own");
                }
                if step.split != Some(false) {
                    return refuse("pre_tokenizer Metaspace with split");
                }
                prefix = Some(match step.prepend_scheme.as_deref() {
                    Some("never") => 0,
                    Some("first") => 1,
                    Some("always") | None => 3,
                    Some(other) => return broken(format!("prepend_scheme is '{other}'")),
                });
            }
            other => return refuse(format!("pre_tokenizer '{other}'")),
        }
    }
    match prefix {
        Some(prefix) => Ok(Pipeline::SentencePiece { prefix }),
        None => refuse("neither ByteLevel nor Metaspace nor a normalizer that replaces spaces"),
    }
}

fn check_model(model: &Model, pipeline: &Pipeline) -> Outcome<()> {
    match model.kind.as_deref() {
        Some("BPE") | None => {}
        Some(other) => return refuse(format!("model.type is '{other}'")),
    }
    if model.vocab.0.is_empty() {
        return broken("model.vocab is empty");
    }
    if model.dropout.is_some_and(|p| p > 0.0) {
        return refuse("model.dropout");
    }
    for (name, value) in [
        ("continuing_subword_prefix", &model.continuing_subword_prefix),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if value.as_ref().is_some_and(|s| !s.is_empty()) {
            return refuse(format!("model.{name}"));
        }
    }
    match pipeline {
        Pipeline::ByteLevel { .. } if model.byte_fallback.unwrap_or(false) => {
            refuse("model.byte_fallback with ByteLevel")
        }
        Pipeline::SentencePiece { .. } if !model.byte_fallback.unwrap_or(false) => {
            refuse("a model without byte_fallback that is not ByteLevel")
        }
        Pipeline::SentencePiece { .. } if model.ignore_merges.unwrap_or(false) => {
            refuse("model.ignore_merges without ByteLevel")
        }
        _ => Ok(()),
    }
}

#[derive(Clone, Default)]
struct Token<'a> {
    text: &'a str,
    kind: i64,
    strips: u8,
}

/// Tokens by id; a hole is an unused token without text.
fn tokens(file: &TokenizerFile, n_vocab: u64) -> Outcome<Vec<Token<'_>>> {
    let (words, added) = (&file.model.vocab.0, &file.added_tokens.0);
    let max = if n_vocab > 0 { n_vocab } else { MAX_TOKENS };
    // A model without an output for an added token never says it.
    let added = || added.iter().filter(|t| n_vocab == 0 || t.id < n_vocab);
    let last = words.iter().map(|w| w.1).chain(added().map(|t| t.id)).max().unwrap_or(0);
    if last >= max {
        return fail(
            if n_vocab > 0 { Code::Format } else { Code::Unsupported },
            format!("tokenizer.json: a token has id {last}; the vocabulary ends at {max}"),
        );
    }
    let n = if n_vocab > 0 { n_vocab } else { last + 1 };
    let n_given = (words.len() + added().count()) as u64;
    if n_vocab == 0 && last > 2 * n_given + 1024 {
        return broken(format!("a token has id {last}, but there are only {n_given} tokens"));
    }
    let unused = Token { text: "", kind: UNUSED, strips: 0 };
    let mut out = vec![unused; n as usize];
    let falls_back = file.model.byte_fallback.unwrap_or(false);
    for (text, id) in words {
        let token = &mut out[*id as usize];
        if !token.text.is_empty() {
            return broken(format!("'{}' and '{text}' both have id {id}", token.text));
        }
        let is_unknown = file.model.unk_token.as_ref() == Some(text);
        let kind = match () {
            _ if falls_back && is_byte(text) => BYTE,
            _ if falls_back && is_unknown => UNKNOWN,
            _ => NORMAL,
        };
        *token = Token { text, kind, strips: 0 };
    }
    for AddedToken { id, content, special, single_word, lstrip, rstrip } in added() {
        let token = &mut out[*id as usize];
        if !token.text.is_empty() && token.text != content {
            return broken(format!("'{}' and '{content}' both have id {id}", token.text));
        }
        if *single_word {
            return refuse(format!("added token '{content}' with single_word"));
        }
        let strip = |on: bool, bit: u8| if on { bit } else { 0 };
        *token = Token {
            text: content,
            kind: if *special { CONTROL } else { USER_DEFINED },
            strips: strip(*lstrip, flag::STRIP_LEFT) | strip(*rstrip, flag::STRIP_RIGHT),
        };
    }
    Ok(out)
}

/// `<0x00>` to `<0xFF>`.
fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
    digits
        .is_some_and(|d| d.len() == 2 && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')))
}

/// Whether the post-processor puts `token` in front of a text, or behind it.
fn template_adds(file: &TokenizerFile, token: Option<&str>, at_end: bool) -> bool {
    flat(&file.post_processor).iter().filter(|s| s.kind == "TemplateProcessing").any(|step| {
        let pieces = &step.single.0;
        let piece = if at_end { pieces.last() } else { pieces.first() };
        matches!(piece, Some(Piece::SpecialToken { id }) if Some(id.as_str()) == token)
    })
}

fn chat_template(config: &TokenizerConfig) -> &str {
    match &config.chat_template {
        None => "",
        Some(ChatTemplate::One(text)) => text,
        Some(ChatTemplate::Named(all)) => {
            all.0.iter().find(|t| t.name == "default").map_or("", |t| &t.template)
        }
    }
}

pub fn read(files: &Files, n_vocab: u64, emit: Emit) -> Outcome<()> {
    if n_vocab > MAX_TOKENS {
        return fail(Code::Unsupported, format!("{n_vocab} tokens; at most {MAX_TOKENS}"));
    }
    let file: TokenizerFile = parse("tokenizer.json", files.tokenizer, MAX_TOKENIZER_BYTES)?;
    let config: TokenizerConfig =
        parse_or_default("tokenizer_config.json", files.tokenizer_config)?;
    let generation: GenerationConfig =
        parse_or_default("generation_config.json", files.generation_config)?;

    // A list of pieces, as Unigram has, is no vocabulary of ours; its name says more.
    if let Some(kind) = file.model.kind.as_deref().filter(|k| *k != "BPE") {
        return refuse(format!("model.type is '{kind}'"));
    }
    let pipeline = pipeline(&file)?;
    check_model(&file.model, &pipeline)?;
    match pipeline {
        Pipeline::ByteLevel { pre, composes } => {
            emit(Field::Model, "gpt2", 0)?;
            emit(Field::Pre, pre, 0)?;
            emit(Field::Composes, "", composes.into())?;
            let whole = file.model.ignore_merges.unwrap_or(false);
            emit(Field::WholeWordsFirst, "", whole.into())?;
        }
        Pipeline::SentencePiece { prefix } => {
            emit(Field::Model, "llama", 0)?;
            emit(Field::SpacePrefix, "", prefix)?;
        }
    }

    let tokens = tokens(&file, n_vocab)?;
    for token in &tokens {
        emit(Field::Token, token.text, token.kind)?;
        if token.strips != 0 {
            emit(Field::TokenStrip, "", token.strips.into())?;
        }
    }
    for merge in &file.model.merges.0 {
        emit(Field::Merge, &merge.0, 0)?;
    }

    let ids: HashMap<&str, i64> =
        tokens.iter().enumerate().map(|(id, token)| (token.text, id as i64)).collect();
    let id_of = |key: &str, name: Option<&Name>| match name.map(Name::text) {
        None | Some("") => Ok(None),
        Some(text) => match ids.get(text) {
            Some(&id) => Ok(Some(id)),
            None => fail(
                Code::Format,
                format!("tokenizer_config.json: {key} is '{text}', which tokenizer.json has not"),
            ),
        },
    };
    let ends: &[i64] = generation.eos_token_id.as_ref().map_or(&[], Ids::all);
    let generated = |key: &str, id: Option<i64>| match id {
        Some(id) if !(0..tokens.len() as i64).contains(&id) => fail(
            Code::Format,
            format!(
                "generation_config.json: {key} is {id}; the vocabulary has {} tokens",
                tokens.len()
            ),
        ),
        _ => Ok(id),
    };
    let TokenizerConfig { bos_token, eos_token, unk_token, pad_token, .. } = &config;
    let unk_of_model = file.model.unk_token.clone().map(Name::Text);
    let bos = id_of("bos_token", bos_token.as_ref())?
        .or(generated("bos_token_id", generation.bos_token_id)?);
    let eos = id_of("eos_token", eos_token.as_ref())?
        .or(generated("eos_token_id", ends.first().copied())?);
    // These two have no part in what is read or said: a name without a token does no harm.
    let unk = id_of("unk_token", unk_token.as_ref().or(unk_of_model.as_ref())).unwrap_or(None);
    let pad = id_of("pad_token", pad_token.as_ref()).unwrap_or(None);
    for (field, id) in [(Field::Bos, bos), (Field::Eos, eos), (Field::Unk, unk), (Field::Pad, pad)]
    {
        emit(field, "", id.unwrap_or(-1))?;
    }
    for &id in ends {
        generated("eos_token_id", Some(id))?;
        emit(Field::End, "", id)?;
    }

    let text_of = |id: Option<i64>| id.map(|id| tokens[id as usize].text);
    let add_bos = config.add_bos_token.unwrap_or_else(|| template_adds(&file, text_of(bos), false));
    let add_eos = config.add_eos_token.unwrap_or_else(|| template_adds(&file, text_of(eos), true));
    emit(Field::AddBos, "", add_bos.into())?;
    emit(Field::AddEos, "", add_eos.into())?;
    emit(Field::ChatTemplate, chat_template(&config), 0)
}
