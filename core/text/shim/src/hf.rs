//! A Hugging Face folder's tokenizer: from tokenizer.json or tokenizer.model, and what is beside it.

use crate::error::{fail, Code, Outcome};
use crate::hf_json::{AddedToken, ChatTemplate, GenerationConfig, Ids, Name, Piece};
use crate::hf_json::{TokenizerConfig, TokenizerFile};
use crate::hf_pipeline::{broken, check_model, flat, pipeline, refuse, Pipeline};
use crate::sp_model::{self, SpModel};
use crate::tokenizer::flag;
use crate::MAX_TOKENS;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

const MAX_TOKENIZER_BYTES: usize = 128 << 20;
const MAX_CONFIG_BYTES: usize = 4 << 20;

/// Bytes of the files; none where the folder has no such file.
pub struct Files<'a> {
    pub tokenizer: &'a [u8],
    /// SentencePiece's, read where there is no `tokenizer`.
    pub tokenizer_model: &'a [u8],
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
    Score,
}

type Emit<'a> = &'a mut dyn FnMut(Field, &str, i64) -> Outcome<()>;

const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;
const BYTE: i64 = 6;

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

#[derive(Clone)]
struct Token<'a> {
    text: &'a str,
    kind: i64,
    strips: u8,
    score: f32,
}

/// Tokens by id; a hole is an unused token without text.
struct Table<'a> {
    file: &'static str,
    tokens: Vec<Token<'a>>,
}

impl<'a> Table<'a> {
    /// Room for `n` tokens of which the last has id `last`.
    fn new(file: &'static str, n: usize, last: u64, n_vocab: u64) -> Outcome<Self> {
        let max = if n_vocab > 0 { n_vocab } else { MAX_TOKENS };
        if last >= max {
            return fail(
                if n_vocab > 0 { Code::Format } else { Code::Unsupported },
                format!("{file}: a token has id {last}; the vocabulary ends at {max}"),
            );
        }
        if n_vocab == 0 && last > 2 * n as u64 + 1024 {
            return fail(
                Code::Format,
                format!("{file}: a token has id {last}, but there are only {n} tokens"),
            );
        }
        let n_all = if n_vocab > 0 { n_vocab } else { last + 1 };
        let unused = Token { text: "", kind: UNUSED, strips: 0, score: 0.0 };
        Ok(Self { file, tokens: vec![unused; n_all as usize] })
    }

    fn add(&mut self, added: &'a AddedToken) -> Outcome<()> {
        let text = &added.content;
        if added.single_word {
            let file = self.file;
            return fail(
                Code::Unsupported,
                format!(
                    "{file}: added token '{text}' with single_word, which this build does not know"
                ),
            );
        }
        let strip = |on: bool, bit: u8| if on { bit } else { 0 };
        let token = &mut self.tokens[added.id as usize];
        token.text = text;
        token.kind = if added.special { CONTROL } else { USER_DEFINED };
        token.strips =
            strip(added.lstrip, flag::STRIP_LEFT) | strip(added.rstrip, flag::STRIP_RIGHT);
        Ok(())
    }
}

/// A model without an output for an added token never says it.
fn within(added: &[AddedToken], n_vocab: u64) -> impl Iterator<Item = &AddedToken> + Clone {
    added.iter().filter(move |t| n_vocab == 0 || t.id < n_vocab)
}

fn table_of_json(file: &TokenizerFile, n_vocab: u64) -> Outcome<Table<'_>> {
    let words = &file.model.vocab.0;
    let added = within(&file.added_tokens.0, n_vocab);
    let ids = words.iter().map(|w| w.1).chain(added.clone().map(|t| t.id));
    let (n, last) = ids.fold((0, 0), |(n, last), id| (n + 1, last.max(id)));
    let mut table = Table::new("tokenizer.json", n, last, n_vocab)?;
    let falls_back = file.model.byte_fallback.unwrap_or(false);
    for (text, id) in words {
        let token = &mut table.tokens[*id as usize];
        if !token.text.is_empty() {
            return broken(format!("'{}' and '{text}' both have id {id}", token.text));
        }
        let is_unknown = file.model.unk_token.as_ref() == Some(text);
        token.text = text;
        token.kind = match () {
            _ if falls_back && is_byte(text) => BYTE,
            _ if falls_back && is_unknown => UNKNOWN,
            _ => NORMAL,
        };
    }
    for token in added {
        let before = table.tokens[token.id as usize].text;
        if !before.is_empty() && before != token.content {
            return broken(format!("'{before}' and '{}' both have id {}", token.content, token.id));
        }
        table.add(token)?;
    }
    Ok(table)
}

/// The pieces, and in place of some of them or behind them what tokenizer_config.json adds.
fn table_of_model<'a>(
    model: &SpModel<'a>,
    config: &'a TokenizerConfig,
    n_vocab: u64,
) -> Outcome<Table<'a>> {
    let added = config.added_tokens_decoder.as_ref().map_or(&[][..], |all| &all.0);
    let added = within(added, n_vocab);
    let n = model.pieces.len();
    let last = added.clone().map(|t| t.id).chain([n as u64 - 1]).max().unwrap_or(0);
    let mut table = Table::new("tokenizer.model", n + added.clone().count(), last, n_vocab)?;
    for (token, piece) in table.tokens.iter_mut().zip(&model.pieces) {
        *token = Token { text: piece.text, kind: piece.kind, strips: 0, score: piece.score };
    }
    for token in added {
        table.add(token)?;
    }
    Ok(table)
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

fn emit_json(file: &TokenizerFile, emit: Emit) -> Outcome<()> {
    // A list of pieces, as Unigram has, is no vocabulary of ours; its name says more.
    if let Some(kind) = file.model.kind.as_deref().filter(|k| *k != "BPE") {
        return refuse(format!("model.type is '{kind}'"));
    }
    let pipeline = pipeline(file)?;
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
    for merge in &file.model.merges.0 {
        emit(Field::Merge, &merge.0, 0)?;
    }
    Ok(())
}

fn emit_model(model: &SpModel, config: &TokenizerConfig, emit: Emit) -> Outcome<()> {
    emit(Field::Model, "llama", 0)?;
    let prefix = match (model.adds_prefix, config.legacy) {
        (false, _) => 0,
        (true, Some(false)) => 1,
        (true, _) => 2,
    };
    emit(Field::SpacePrefix, "", prefix)
}

pub fn read(files: &Files, n_vocab: u64, emit: Emit) -> Outcome<()> {
    if n_vocab > MAX_TOKENS {
        return fail(Code::Unsupported, format!("{n_vocab} tokens; at most {MAX_TOKENS}"));
    }
    let config: TokenizerConfig =
        parse_or_default("tokenizer_config.json", files.tokenizer_config)?;
    let generation: GenerationConfig =
        parse_or_default("generation_config.json", files.generation_config)?;
    if files.tokenizer.is_empty() && !files.tokenizer_model.is_empty() {
        let model = sp_model::read(files.tokenizer_model)?;
        emit_model(&model, &config, emit)?;
        let table = table_of_model(&model, &config, n_vocab)?;
        for token in &table.tokens {
            emit_token(token, emit)?;
            emit(Field::Score, "", token.score.to_bits().into())?;
        }
        return emit_ids(&table, None, &config, &generation, emit);
    }
    let file: TokenizerFile = parse("tokenizer.json", files.tokenizer, MAX_TOKENIZER_BYTES)?;
    emit_json(&file, emit)?;
    let table = table_of_json(&file, n_vocab)?;
    for token in &table.tokens {
        emit_token(token, emit)?;
    }
    emit_ids(&table, Some(&file), &config, &generation, emit)
}

fn emit_token(token: &Token, emit: Emit) -> Outcome<()> {
    emit(Field::Token, token.text, token.kind)?;
    match token.strips {
        0 => Ok(()),
        strips => emit(Field::TokenStrip, "", strips.into()),
    }
}

/// Special tokens, and the chat template.
fn emit_ids(
    table: &Table,
    file: Option<&TokenizerFile>,
    config: &TokenizerConfig,
    generation: &GenerationConfig,
    emit: Emit,
) -> Outcome<()> {
    let tokens = &table.tokens;
    let ids: HashMap<&str, i64> =
        tokens.iter().enumerate().map(|(id, token)| (token.text, id as i64)).collect();
    let id_of = |key: &str, name: Option<&Name>| match name.map(Name::text) {
        None | Some("") => Ok(None),
        Some(text) => match ids.get(text) {
            Some(&id) => Ok(Some(id)),
            None => fail(
                Code::Format,
                format!(
                    "tokenizer_config.json: {key} is '{text}', which {} has not among the first {} ids",
                    table.file,
                    tokens.len()
                ),
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
    let TokenizerConfig { bos_token, eos_token, unk_token, pad_token, .. } = config;
    let unk_of_model = file.and_then(|f| f.model.unk_token.clone()).map(Name::Text);
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
    // SentencePiece's tokenizers have a BOS unless told otherwise.
    let adds = |token: Option<i64>, at_end: bool| match file {
        Some(file) => template_adds(file, text_of(token), at_end),
        None => !at_end,
    };
    let add_bos = config.add_bos_token.unwrap_or_else(|| adds(bos, false));
    let add_eos = config.add_eos_token.unwrap_or_else(|| adds(eos, true));
    emit(Field::AddBos, "", add_bos.into())?;
    emit(Field::AddEos, "", add_eos.into())?;
    emit(Field::ChatTemplate, chat_template(config), 0)
}
