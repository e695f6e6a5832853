//! The JSON of a Hugging Face folder, as far as the tokenizer needs it. Lists are bounded, and what is
//! not asked for takes no memory.

use crate::{MAX_MERGES, MAX_TOKENS};
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// At most `MAX` of them.
pub struct Many<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> Default for Many<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Many<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = Many<T, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut out = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if out.len() == MAX {
                        return Err(A::Error::custom(format!(
                            "a list has more than {MAX} entries"
                        )));
                    }
                    out.push(item);
                }
                Ok(Many(out))
            }
        }
        d.deserialize_seq(Items(PhantomData))
    }
}

/// Tokens and their ids. Empty for what is not a map.
#[derive(Default)]
pub struct Vocab(pub Vec<(String, u64)>);

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Vocab;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map from tokens to ids")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut out = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    if out.len() as u64 == MAX_TOKENS {
                        return Err(A::Error::custom(format!(
                            "model.vocab has more than {MAX_TOKENS} entries"
                        )));
                    }
                    out.push(entry);
                }
                Ok(Vocab(out))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vocab, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Vocab::default())
            }
        }
        d.deserialize_any(Words)
    }
}

/// "left right". A space within a token stays, and makes the merge one that is refused.
pub struct Merge(pub String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct LineOrPair;
        impl<'de> Visitor<'de> for LineOrPair {
            type Value = Merge;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a merge: \"left right\" or a list of two tokens")
            }
            fn visit_str<E: Error>(self, line: &str) -> Result<Merge, E> {
                Ok(Merge(line.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Merge, A::Error> {
                let mut part = |i| seq.next_element()?.ok_or(A::Error::invalid_length(i, &self));
                let (left, right): (String, String) = (part(0)?, part(1)?);
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(Merge(format!("{left} {right}"))),
                    Some(_) => Err(A::Error::invalid_length(3, &self)),
                }
            }
        }
        d.deserialize_any(LineOrPair)
    }
}

#[derive(Deserialize)]
pub struct TokenizerFile {
    #[serde(default)]
    pub added_tokens: Many<AddedToken, { MAX_TOKENS as usize }>,
    pub normalizer: Option<Step>,
    pub pre_tokenizer: Option<Step>,
    pub post_processor: Option<Step>,
    pub model: Model,
}

#[derive(Deserialize)]
pub struct AddedToken {
    #[serde(default = "no_id")]
    pub id: u64,
    pub content: String,
    #[serde(default)]
    pub special: bool,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
}

/// Beyond any vocabulary.
fn no_id() -> u64 {
    u64::MAX
}

/// A map from ids to tokens, which tokenizer_config.json has them in.
pub struct AddedTokens(pub Vec<AddedToken>);

impl<'de> Deserialize<'de> for AddedTokens {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct ById;
        impl<'de> Visitor<'de> for ById {
            type Value = AddedTokens;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map from ids to tokens")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AddedTokens, A::Error> {
                let mut out = Vec::new();
                while let Some((id, token)) = map.next_entry::<u64, AddedToken>()? {
                    out.push(AddedToken { id, ..token });
                }
                Ok(AddedTokens(out))
            }
        }
        d.deserialize_map(ById)
    }
}

#[derive(Deserialize)]
pub struct Model {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub dropout: Option<f32>,
    pub unk_token: Option<String>,
    pub continuing_subword_prefix: Option<String>,
    pub end_of_word_suffix: Option<String>,
    pub byte_fallback: Option<bool>,
    pub ignore_merges: Option<bool>,
    #[serde(default)]
    pub vocab: Vocab,
    #[serde(default)]
    pub merges: Many<Merge, { MAX_MERGES as usize }>,
}

/// A normalizer, pre-tokenizer or post-processor, with the members of all of them.
#[derive(Deserialize)]
pub struct Step {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    normalizers: Many<Step, 16>,
    #[serde(default)]
    pretokenizers: Many<Step, 16>,
    #[serde(default)]
    processors: Many<Step, 16>,
    pub pattern: Option<Pattern>,
    pub content: Option<String>,
    pub prepend: Option<String>,
    pub behavior: Option<String>,
    pub invert: Option<bool>,
    pub replacement: Option<String>,
    pub prepend_scheme: Option<String>,
    pub add_prefix_space: Option<bool>,
    pub split: Option<bool>,
    pub use_regex: Option<bool>,
    pub individual_digits: Option<bool>,
    #[serde(default)]
    pub single: Many<Piece, 64>,
}

impl Step {
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.normalizers.0.iter().chain(&self.pretokenizers.0).chain(&self.processors.0)
    }
}

#[derive(Deserialize)]
pub enum Pattern {
    String(String),
    Regex(String),
}

#[derive(Deserialize)]
pub enum Piece {
    SpecialToken { id: String },
    Sequence {},
}

#[derive(Deserialize, Default)]
pub struct TokenizerConfig {
    pub bos_token: Option<Name>,
    pub eos_token: Option<Name>,
    pub unk_token: Option<Name>,
    pub pad_token: Option<Name>,
    pub added_tokens_decoder: Option<AddedTokens>,
    pub legacy: Option<bool>,
    pub add_bos_token: Option<bool>,
    pub add_eos_token: Option<bool>,
    pub chat_template: Option<ChatTemplate>,
}

/// A token's text, alone or in the description of an added token.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Name {
    Text(String),
    Added { content: String },
}

impl Name {
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Added { content: text } => text,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum ChatTemplate {
    One(String),
    Named(Many<NamedTemplate, 64>),
}

#[derive(Deserialize)]
pub struct NamedTemplate {
    pub name: String,
    pub template: String,
}

#[derive(Deserialize, Default)]
pub struct GenerationConfig {
    pub bos_token_id: Option<i64>,
    pub eos_token_id: Option<Ids>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Ids {
    One(i64),
    Several(Many<i64, 64>),
}

impl Ids {
    pub fn all(&self) -> &[i64] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Several(ids) => &ids.0,
        }
    }
}
