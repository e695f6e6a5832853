//! SentencePiece's BPE: spaces are characters of words, and characters without a token become bytes.

use crate::error::{fail, Code, Outcome};
use crate::tokenizer::MAX_WORD_BYTES;
use ahash::{AHashMap, AHashSet};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use tokenizers::models::bpe::BPE;
use tokenizers::Model;

/// What stands for a space.
pub const SPACE: char = '\u{2581}';

/// Where a space is put in front of text. A run is text between special tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpacePrefix {
    None,
    /// At the beginning of the text, unless there is one.
    First,
    /// In front of every run.
    Each,
    /// In front of every run that does not begin with one.
    EachUnlessSpace,
}

impl SpacePrefix {
    pub fn from_number(n: i32) -> Outcome<Self> {
        match n {
            0 => Ok(Self::None),
            1 => Ok(Self::First),
            2 => Ok(Self::Each),
            3 => Ok(Self::EachUnlessSpace),
            _ => fail(Code::Internal, format!("space prefix {n}")),
        }
    }

    /// Whether a space goes in front of `run`, which is not empty.
    pub fn applies(self, run: &str, is_first: bool) -> bool {
        let has_space = run.starts_with([' ', SPACE]);
        match self {
            Self::None => false,
            Self::First => is_first && !has_space,
            Self::Each => true,
            Self::EachUnlessSpace => !has_space,
        }
    }
}

pub enum Merger {
    /// The pair that makes the token of the best score merges first, then the leftmost.
    Scores { vocab: AHashMap<String, u32>, scores: Vec<f32>, byte_ids: Box<[u32; 256]> },
    /// The pair that is listed first merges first.
    Merges(BPE),
}

pub struct Spm {
    pub merger: Merger,
    pub prefix: SpacePrefix,
    /// Characters that a token has in front of a space: no word ends between the two.
    joined_to_space: AHashSet<char>,
}

impl Spm {
    pub fn new<'a>(
        merger: Merger,
        prefix: SpacePrefix,
        words: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut joined_to_space = AHashSet::new();
        for word in words.filter(|w| w.contains(SPACE)) {
            let pairs = word.chars().zip(word.chars().skip(1));
            joined_to_space.extend(pairs.filter(|&(_, next)| next == SPACE).map(|(c, _)| c));
        }
        Self { merger, prefix, joined_to_space }
    }

    /// Calls `word` with the parts of `run` that no token crosses, spaces replaced.
    pub fn words(
        &self,
        run: &str,
        is_first: bool,
        word: &mut impl FnMut(&str) -> Outcome<()>,
    ) -> Outcome<()> {
        if run.is_empty() {
            return Ok(());
        }
        let mut part = String::new();
        let mut previous = None;
        if self.prefix.applies(run, is_first) {
            part.push(SPACE);
            previous = Some(SPACE);
        }
        for c in run.chars() {
            let c = if c == ' ' { SPACE } else { c };
            let ends = c == SPACE && previous.is_some_and(|p| !self.joined_to_space.contains(&p));
            // A word that is too long is refused before it takes more memory.
            if ends || part.len() > MAX_WORD_BYTES {
                word(&part)?;
                part.clear();
            }
            part.push(c);
            previous = Some(c);
        }
        word(&part)
    }

    pub fn merge(&self, word: &str) -> Outcome<Box<[u32]>> {
        match &self.merger {
            Merger::Scores { vocab, scores, byte_ids } => {
                Ok(merge_by_score(word, vocab, scores, byte_ids))
            }
            Merger::Merges(bpe) => {
                let tokens =
                    bpe.tokenize(word).or_else(|e| fail(Code::Internal, format!("BPE: {e}")))?;
                Ok(tokens.iter().map(|t| t.id).collect())
            }
        }
    }
}

/// A part of the word, in a list from left to right. A part of no bytes is gone.
struct Part {
    begin: usize,
    size: usize,
    previous: usize,
    next: usize,
}

const NO_PART: usize = usize::MAX;

/// Two neighbours whose bytes together are a token.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    size: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

fn merge_by_score(
    word: &str,
    vocab: &AHashMap<String, u32>,
    scores: &[f32],
    byte_ids: &[u32; 256],
) -> Box<[u32]> {
    let mut parts: Vec<Part> = word
        .char_indices()
        .enumerate()
        .map(|(i, (begin, c))| Part {
            begin,
            size: c.len_utf8(),
            previous: i.wrapping_sub(1), // NO_PART for the first
            next: i + 1,
        })
        .collect();
    let Some(last) = parts.last_mut() else { return Box::default() };
    last.next = NO_PART;

    let pair = |parts: &[Part], left: usize, right: usize| {
        let size = parts[left].size + parts[right].size;
        let &id = vocab.get(&word[parts[left].begin..parts[left].begin + size])?;
        // 0 and -0 are one score.
        Some(Pair { score: scores[id as usize] + 0.0, left, right, size })
    };
    let mut pairs: BinaryHeap<Pair> =
        (1..parts.len()).filter_map(|right| pair(&parts, right - 1, right)).collect();
    while let Some(Pair { left, right, size, .. }) = pairs.pop() {
        let (l, r) = (parts[left].size, parts[right].size);
        if l == 0 || r == 0 || l + r != size {
            continue; // one of them merged with another since
        }
        let next = parts[right].next;
        parts[left].size = size;
        parts[left].next = next;
        parts[right].size = 0;
        if next != NO_PART {
            parts[next].previous = left;
            pairs.extend(pair(&parts, left, next));
        }
        let previous = parts[left].previous;
        if previous != NO_PART {
            pairs.extend(pair(&parts, previous, left));
        }
    }

    let mut ids = Vec::new();
    for part in parts.iter().filter(|p| p.size > 0) {
        let text = &word[part.begin..part.begin + part.size];
        match vocab.get(text) {
            Some(&id) => ids.push(id),
            None => ids.extend(text.bytes().map(|b| byte_ids[usize::from(b)])),
        }
    }
    ids.into()
}
