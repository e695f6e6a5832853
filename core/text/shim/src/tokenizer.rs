//! Byte-level BPE from GGUF metadata.

use crate::error::{fail, Code, Outcome};
use crate::split;
use ahash::AHashMap;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use tokenizers::models::bpe::BPE;
use tokenizers::Model;

const MAX_TEXT_BYTES: usize = 1 << 30;
/// Merging holds about a hundred bytes for each byte of a word.
const MAX_WORD_BYTES: usize = 16 << 20;
const MAX_SPECIAL_BYTES: usize = 4 << 20;
const MAX_CACHED_WORDS: usize = 1 << 18;
const MAX_CACHED_WORD_BYTES: usize = 64;
const EMIT_IDS: usize = 1 << 16;

pub struct Tokenizer {
    bpe: BPE,
    /// GPT-2's character for each byte.
    byte_chars: [char; 256],
    special: Option<AhoCorasick>,
    special_ids: Vec<u32>,
    special_texts: Vec<String>,
    split_digits: bool,
    /// Its chat template once had to be stopped by force.
    pub template_condemned: AtomicBool,
}

/// GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others follow from U+0100.
fn byte_alphabet() -> [char; 256] {
    let mut next = 256u32;
    std::array::from_fn(|b| {
        let c = b as u8 as char;
        if matches!(c, '!'..='~' | '\u{A1}'..='\u{AC}' | '\u{AE}'..='\u{FF}') {
            return c;
        }
        next += 1;
        char::from_u32(next - 1).expect("below the surrogates")
    })
}

impl Tokenizer {
    pub fn new(pre: &str, tokens: &[&str], is_special: &[bool], merges: &[&str]) -> Outcome<Self> {
        let split_digits = match pre {
            "smollm" => true,
            "gpt-2" | "default" | "" => false,
            _ => {
                return fail(
                    Code::Unsupported,
                    format!(
                        "tokenizer.ggml.pre is '{pre}'; this build knows smollm, gpt-2 and default"
                    ),
                )
            }
        };
        let mut vocab: AHashMap<String, u32> = AHashMap::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate().filter(|(_, t)| !t.is_empty()) {
            if let Some(first) = vocab.insert(token.to_string(), id as u32) {
                return fail(
                    Code::Format,
                    format!("tokenizer.ggml.tokens[{id}] has the text of token {first}: '{token}'"),
                );
            }
        }
        let mut pairs = Vec::with_capacity(merges.len());
        for (i, merge) in merges.iter().enumerate() {
            let Some((left, right)) = merge.split_once(' ').filter(|(_, r)| !r.contains(' '))
            else {
                return fail(
                    Code::Format,
                    format!(
                        "tokenizer.ggml.merges[{i}] is '{merge}'; want two tokens and one space"
                    ),
                );
            };
            let joined = format!("{left}{right}");
            if let Some(missing) =
                [left, right, &joined].into_iter().find(|part| !vocab.contains_key(*part))
            {
                return fail(
                    Code::Format,
                    format!(
                        "tokenizer.ggml.merges[{i}] is '{merge}', but tokenizer.ggml.tokens has no \
                         '{missing}'"
                    ),
                );
            }
            let made = vocab[&joined];
            if is_special[made as usize] {
                // Else what users write could become one.
                return fail(
                    Code::Unsupported,
                    format!(
                        "tokenizer.ggml.merges[{i}] is '{merge}' and makes special token {made}"
                    ),
                );
            }
            pairs.push((left.to_string(), right.to_string()));
        }
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, pairs)
            .cache_capacity(0)
            .build()
            .or_else(|e| fail(Code::Format, format!("tokenizer.ggml.merges: {e}")))?;
        let (special_ids, special_texts): (Vec<u32>, Vec<String>) = tokens
            .iter()
            .enumerate()
            .filter(|&(id, token)| is_special[id] && !token.is_empty())
            .map(|(id, token)| (id as u32, token.to_string()))
            .unzip();
        let special_bytes: usize = special_texts.iter().map(String::len).sum();
        if special_bytes > MAX_SPECIAL_BYTES {
            return fail(
                Code::Unsupported,
                format!(
                    "tokenizer.ggml.tokens: the texts of control and user-defined tokens take \
                     {special_bytes} bytes; at most {MAX_SPECIAL_BYTES}"
                ),
            );
        }
        let special = if special_texts.is_empty() {
            None
        } else {
            let built = AhoCorasickBuilder::new()
                .match_kind(MatchKind::LeftmostLongest)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(&special_texts)
                .or_else(|e| fail(Code::Unsupported, format!("tokenizer.ggml.tokens: {e}")))?;
            Some(built)
        };
        let byte_chars = byte_alphabet();
        Ok(Self {
            bpe,
            byte_chars,
            special,
            special_ids,
            special_texts,
            split_digits,
            template_condemned: AtomicBool::new(false),
        })
    }

    /// Gives the ids of `text` to `emit` in blocks. Special tokens match outside `protected`.
    pub fn encode(
        &self,
        text: &str,
        parse_special: bool,
        protected: &[Range<usize>],
        emit: &mut dyn FnMut(&[u32]) -> Outcome<()>,
    ) -> Outcome<()> {
        if text.len() > MAX_TEXT_BYTES {
            return fail(
                Code::Arg,
                format!("the text has {} bytes; at most {MAX_TEXT_BYTES} a call", text.len()),
            );
        }
        let mut encoder =
            Encoder { tokenizer: self, cache: AHashMap::new(), ids: Vec::new(), emit };
        let mut begin = 0;
        if let (true, Some(special)) = (parse_special, &self.special) {
            let mut open = 0;
            let ends = protected.iter().map(|r| (r.start, r.end));
            for (stop, resume) in ends.chain([(text.len(), text.len())]) {
                // Searching each stretch alone keeps a match from reaching into protected text.
                for m in special.find_iter(&text[open..stop]) {
                    encoder.run(&text[begin..open + m.start()])?;
                    encoder.push(self.special_ids[m.pattern().as_usize()])?;
                    begin = open + m.end();
                }
                open = resume;
            }
        }
        encoder.run(&text[begin..])?;
        encoder.flush()
    }

    /// Whether `text` holds, or with the text around it could complete, a special token.
    pub fn could_forge(&self, text: &str) -> bool {
        let Some(special) = &self.special else { return false };
        let overlaps = |token: &String| {
            let n = token.len().min(text.len() + 1);
            (1..n).any(|k| {
                text.as_bytes().ends_with(&token.as_bytes()[..k])
                    || text.as_bytes().starts_with(&token.as_bytes()[token.len() - k..])
            }) || token.contains(text)
        };
        special.is_match(text) || self.special_texts.iter().any(overlaps)
    }
}

/// One call of encode.
struct Encoder<'a, 't> {
    tokenizer: &'a Tokenizer,
    cache: AHashMap<&'t str, Box<[u32]>>,
    ids: Vec<u32>,
    emit: &'a mut dyn FnMut(&[u32]) -> Outcome<()>,
}

impl<'t> Encoder<'_, 't> {
    fn run(&mut self, text: &'t str) -> Outcome<()> {
        if self.tokenizer.split_digits {
            split::words_and_digits(text, &mut |word| self.word(word))
        } else {
            split::words(text, &mut |word| self.word(word))
        }
    }

    fn word(&mut self, word: &'t str) -> Outcome<()> {
        if let Some(ids) = self.cache.get(word) {
            self.ids.extend_from_slice(ids);
            return self.flush_if_full();
        }
        if word.len() > MAX_WORD_BYTES {
            return fail(
                Code::Arg,
                format!("a word of {} bytes without a break; at most {MAX_WORD_BYTES}", word.len()),
            );
        }
        let mapped: String =
            word.bytes().map(|b| self.tokenizer.byte_chars[usize::from(b)]).collect();
        let tokens = self
            .tokenizer
            .bpe
            .tokenize(&mapped)
            .or_else(|e| fail(Code::Internal, format!("BPE: {e}")))?;
        let ids: Box<[u32]> = tokens.iter().map(|t| t.id).collect();
        self.ids.extend_from_slice(&ids);
        if word.len() <= MAX_CACHED_WORD_BYTES && self.cache.len() < MAX_CACHED_WORDS {
            self.cache.insert(word, ids);
        }
        self.flush_if_full()
    }

    fn push(&mut self, id: u32) -> Outcome<()> {
        self.ids.push(id);
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Outcome<()> {
        if self.ids.len() >= EMIT_IDS {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        (self.emit)(&self.ids)?;
        self.ids.clear();
        Ok(())
    }
}
