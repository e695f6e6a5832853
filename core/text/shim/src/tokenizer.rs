//! Text to ids: special tokens first, then the words between them, each merged by itself.

use crate::error::{fail, Code, Outcome};
use crate::special::{between, first, Matcher, Search};
use crate::split::Split;
use crate::spm::{Merger, SpacePrefix, Spm, SPACE};
use ahash::AHashMap;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use tokenizers::models::bpe::BPE;
use tokenizers::Model;
use unicode_normalization_alignments::UnicodeNormalization;

const MAX_TEXT_BYTES: usize = 1 << 30;
/// Merging holds about a hundred bytes for each byte of a word.
pub const MAX_WORD_BYTES: usize = 16 << 20;
const MAX_CACHED_WORDS: usize = 1 << 18;
const MAX_CACHED_WORD_BYTES: usize = 64;
const EMIT_IDS: usize = 1 << 16;

/// What a token is and how it matches; `shim.h` has the same bits.
pub mod flag {
    /// Matches in raw text where special tokens are asked for.
    pub const SPECIAL: u8 = 1;
    /// Matches in raw text always.
    pub const ALWAYS: u8 = 2;
    /// Takes the white space on its left, on its right, with it.
    pub const STRIP_LEFT: u8 = 4;
    pub const STRIP_RIGHT: u8 = 8;
    /// A byte: `<0x0A>`.
    pub const BYTE: u8 = 16;
    /// Never made from text.
    pub const UNUSED: u8 = 32;
}

/// A tokenizer as a file describes it. `prefix` goes in front of the names of its tables.
pub struct Description<'a> {
    pub prefix: &'a str,
    pub pre: &'a str,
    pub tokens: Vec<&'a str>,
    pub flags: &'a [u8],
    pub merges: Vec<&'a str>,
    pub scores: &'a [f32],
    pub kind: Kind,
}

pub enum Kind {
    ByteLevel { composes: bool, whole_words_first: bool },
    SentencePiece { prefix: SpacePrefix },
}

pub struct Tokenizer {
    words: Words,
    flags: Vec<u8>,
    special: Option<Matcher>,
    always: Option<Matcher>,
    /// Its chat template once had to be stopped by force.
    pub template_condemned: AtomicBool,
}

enum Words {
    ByteLevel {
        bpe: BPE,
        split: Split,
        composes: bool,
        whole_words_first: bool,
        /// GPT-2's character for each byte.
        byte_chars: [char; 256],
    },
    SentencePiece(Spm),
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

fn split_of(pre: &str, prefix: &str) -> Outcome<Split> {
    match pre {
        "smollm" => Ok(Split::SmolLm),
        "gpt-2" | "default" | "" => Ok(Split::Gpt2),
        "llama-bpe" | "llama3" | "llama-v3" => Ok(Split::Llama3 { n_digits: 3 }),
        "qwen2" => Ok(Split::Llama3 { n_digits: 1 }),
        _ => fail(
            Code::Unsupported,
            format!(
                "{prefix}pre is '{pre}'; this build knows llama-bpe, qwen2, smollm, gpt-2 and \
                 default"
            ),
        ),
    }
}

fn vocabulary(d: &Description) -> Outcome<AHashMap<String, u32>> {
    let mut vocab: AHashMap<String, u32> = AHashMap::with_capacity(d.tokens.len());
    for (id, token) in d.tokens.iter().enumerate().filter(|(_, t)| !t.is_empty()) {
        if let Some(first) = vocab.insert(token.to_string(), id as u32) {
            return fail(
                Code::Format,
                format!("{}tokens[{id}] has the text of token {first}: '{token}'", d.prefix),
            );
        }
    }
    Ok(vocab)
}

/// The merges as pairs whose parts and products are tokens.
fn pairs(d: &Description, vocab: &AHashMap<String, u32>) -> Outcome<Vec<(String, String)>> {
    let prefix = d.prefix;
    let mut pairs = Vec::with_capacity(d.merges.len());
    for (i, merge) in d.merges.iter().enumerate() {
        let Some((left, right)) = merge.split_once(' ').filter(|(_, r)| !r.contains(' ')) else {
            return fail(
                Code::Format,
                format!("{prefix}merges[{i}] is '{merge}'; want two tokens and one space"),
            );
        };
        let joined = format!("{left}{right}");
        if let Some(missing) =
            [left, right, &joined].into_iter().find(|part| !vocab.contains_key(*part))
        {
            return fail(
                Code::Format,
                format!("{prefix}merges[{i}] is '{merge}', but {prefix}tokens has no '{missing}'"),
            );
        }
        let made = vocab[&joined];
        if d.flags[made as usize] & flag::SPECIAL != 0 {
            // Else what users write could become one.
            return fail(
                Code::Unsupported,
                format!("{prefix}merges[{i}] is '{merge}' and makes special token {made}"),
            );
        }
        pairs.push((left.to_string(), right.to_string()));
    }
    Ok(pairs)
}

fn bpe(d: &Description, vocab: AHashMap<String, u32>, byte_fallback: bool) -> Outcome<BPE> {
    let pairs = pairs(d, &vocab)?;
    BPE::builder()
        .vocab_and_merges(vocab, pairs)
        .cache_capacity(0)
        .byte_fallback(byte_fallback)
        .build()
        .or_else(|e| fail(Code::Format, format!("{}merges: {e}", d.prefix)))
}

fn sentence_piece(d: &Description, space_prefix: SpacePrefix) -> Outcome<Spm> {
    let mut vocab = vocabulary(d)?;
    let mut byte_ids = Box::new([0; 256]);
    for (b, id) in byte_ids.iter_mut().enumerate() {
        let name = format!("<0x{b:02X}>");
        let is_byte = |&&id: &&u32| d.flags[id as usize] & flag::BYTE != 0;
        // Gemma's tab is a word, and no byte.
        let as_word = || vocab.get(std::str::from_utf8(&[b as u8]).ok()?);
        let Some(&found) = vocab.get(&name).filter(is_byte).or_else(as_word) else {
            return fail(
                Code::Unsupported,
                format!("{}tokens has no byte token '{name}'", d.prefix),
            );
        };
        *id = found;
    }
    let is_word = |id: u32, but: u8| d.flags[id as usize] & but == 0;
    let merger = if d.scores.is_empty() {
        vocab.retain(|_, &mut id| is_word(id, flag::SPECIAL | flag::UNUSED));
        Merger::Merges(bpe(d, vocab, true)?)
    } else {
        let but = flag::SPECIAL | flag::UNUSED | flag::ALWAYS | flag::BYTE;
        vocab.retain(|_, &mut id| is_word(id, but));
        Merger::Scores { vocab, scores: d.scores.to_vec(), byte_ids }
    };
    let words = d.tokens.iter().enumerate();
    let words = words.filter(|&(id, _)| is_word(id as u32, flag::SPECIAL | flag::UNUSED));
    Ok(Spm::new(merger, space_prefix, words.map(|(_, token)| *token)))
}

impl Tokenizer {
    pub fn new(d: &Description) -> Outcome<Self> {
        let words = match d.kind {
            Kind::ByteLevel { composes, whole_words_first } => {
                let split = split_of(d.pre, d.prefix)?;
                let bpe = bpe(d, vocabulary(d)?, false)?;
                let byte_chars = byte_alphabet();
                Words::ByteLevel { bpe, split, composes, whole_words_first, byte_chars }
            }
            Kind::SentencePiece { prefix } => Words::SentencePiece(sentence_piece(d, prefix)?),
        };
        let key = format!("{}tokens", d.prefix);
        let spaced = matches!(words, Words::SentencePiece(_));
        let matcher = |wanted: u8| {
            let ids = (0..d.tokens.len()).filter(|&i| d.flags[i] & wanted != 0);
            let text = |i: usize| match spaced {
                true => d.tokens[i].replace(SPACE, " "),
                false => d.tokens[i].to_string(),
            };
            Matcher::new(&key, ids.map(|i| (i as u32, text(i))))
        };
        let (special, always) = (matcher(flag::SPECIAL)?, matcher(flag::ALWAYS)?);
        let template_condemned = AtomicBool::new(false);
        Ok(Self { words, flags: d.flags.to_vec(), special, always, template_condemned })
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
        if self.always.is_some() && text.contains(SPACE) {
            // What stands for a space is one: tokens of spaces match both.
            let (text, protected) = with_spaces(text, protected);
            return self.encode(&text, parse_special, &protected, emit);
        }
        let special = self.special.as_ref().filter(|_| parse_special);
        let mut special = Search::new(special, text, between(protected, text.len()));
        let mut always = Search::new(self.always.as_ref(), text, between(&[], text.len()));
        let mut encoder =
            Encoder { tokenizer: self, cache: AHashMap::new(), ids: Vec::new(), emit };
        let mut begin = 0;
        while let Some(found) = first(special.from(begin), always.from(begin)) {
            let strips = self.flags[found.id as usize];
            let mut run = &text[begin..found.begin];
            if strips & flag::STRIP_LEFT != 0 {
                run = run.trim_end();
            }
            encoder.run(run, begin == 0)?;
            encoder.push(found.id)?;
            begin = found.end;
            if strips & flag::STRIP_RIGHT != 0 {
                begin = text.len() - text[begin..].trim_start().len();
            }
        }
        encoder.run(&text[begin..], begin == 0)?;
        encoder.flush()
    }

    /// Ids of one word.
    fn merge(&self, word: &str) -> Outcome<Box<[u32]>> {
        let (bpe, whole_words_first, byte_chars) = match &self.words {
            Words::SentencePiece(spm) => return spm.merge(word),
            Words::ByteLevel { bpe, whole_words_first, byte_chars, .. } => {
                (bpe, *whole_words_first, byte_chars)
            }
        };
        let mapped: String = word.bytes().map(|b| byte_chars[usize::from(b)]).collect();
        if whole_words_first {
            let whole = bpe.token_to_id(&mapped);
            if let Some(id) = whole.filter(|&id| self.flags[id as usize] & flag::SPECIAL == 0) {
                return Ok([id].into());
            }
        }
        let tokens =
            bpe.tokenize(&mapped).or_else(|e| fail(Code::Internal, format!("BPE: {e}")))?;
        Ok(tokens.iter().map(|t| t.id).collect())
    }

    /// Whether `text` holds a whole special token.
    pub fn holds_special(&self, text: &str) -> bool {
        self.special.as_ref().is_some_and(|special| special.is_match(text))
    }

    /// Whether `text` holds, or with the text around it could complete, a special token.
    pub fn could_forge(&self, text: &str) -> bool {
        self.special.as_ref().is_some_and(|special| special.could_forge(text))
    }
}

/// The text with spaces for what stands for them, and where `ranges` of it then lie.
fn with_spaces(text: &str, ranges: &[Range<usize>]) -> (String, Vec<Range<usize>>) {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut copy_to = |end: usize| {
        out.push_str(&text[at..end].replace(SPACE, " "));
        at = end;
        out.len()
    };
    let moved = ranges.iter().map(|r| copy_to(r.start)..copy_to(r.end)).collect();
    copy_to(text.len());
    (out, moved)
}

/// One call of encode.
struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    cache: AHashMap<Box<str>, Box<[u32]>>,
    ids: Vec<u32>,
    emit: &'a mut dyn FnMut(&[u32]) -> Outcome<()>,
}

impl Encoder<'_> {
    /// Text between two special tokens; `is_first` at the beginning of all.
    fn run(&mut self, text: &str, is_first: bool) -> Outcome<()> {
        match &self.tokenizer.words {
            Words::ByteLevel { split, composes, .. } => {
                let text: Cow<str> = match *composes && !text.is_ascii() {
                    true => text.nfc().map(|(c, _)| c).collect::<String>().into(),
                    false => text.into(),
                };
                split.words(&text, &mut |word| self.word(word))
            }
            Words::SentencePiece(spm) => spm.words(text, is_first, &mut |word| self.word(word)),
        }
    }

    fn word(&mut self, word: &str) -> Outcome<()> {
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
        let ids = self.tokenizer.merge(word)?;
        self.ids.extend_from_slice(&ids);
        if word.len() <= MAX_CACHED_WORD_BYTES && self.cache.len() < MAX_CACHED_WORDS {
            self.cache.insert(word.into(), ids);
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
