//! The steps of tokenizer.json: those that this library has, told by their parts.

use crate::error::{fail, Code, Outcome};
use crate::hf_json::{Model, Pattern, Step, TokenizerFile};
use crate::split::{LLAMA3, QWEN2};

pub fn refuse<T>(what: impl std::fmt::Display) -> Outcome<T> {
    fail(Code::Unsupported, format!("tokenizer.json: {what}, which this build does not know"))
}

pub fn broken<T>(what: impl std::fmt::Display) -> Outcome<T> {
    fail(Code::Format, format!("tokenizer.json: {what}"))
}

/// The steps of a pipeline, sequences opened.
pub fn flat(step: &Option<Step>) -> Vec<&Step> {
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
pub enum Pipeline {
    ByteLevel { pre: &'static str, composes: bool },
    SentencePiece { prefix: i64 },
}

fn replaces_spaces(step: &Step) -> bool {
    let space = matches!(&step.pattern, Some(Pattern::String(s)) if s == " ");
    step.kind == "Replace" && space && step.content.as_deref() == Some("\u{2581}")
}

pub fn pipeline(file: &TokenizerFile) -> Outcome<Pipeline> {
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

pub fn check_model(model: &Model, pipeline: &Pipeline) -> Outcome<()> {
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
