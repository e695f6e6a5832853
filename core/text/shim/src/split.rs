//! The split of text into words before byte-level merging, in one pass and in constant memory.
//!
//! The words are the matches of a pattern. A backtracking engine gives up on long runs of white
//! space; this does not.

use regex_syntax::hir::{Class, HirKind};
use std::sync::LazyLock;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Split {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    Gpt2,
    /// As Gpt2, with every digit a word of its own and the text between digits split alone.
    SmolLm,
    /// `LLAMA3`, with `\p{N}{1,n}` for the number of digits held here.
    Llama3 { n_digits: usize },
}

pub const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
pub const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

impl Split {
    /// Calls `word` with each word of `text` in order.
    pub fn words<E>(
        self,
        text: &str,
        word: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Split::Gpt2 => cut(text, gpt2_word, word),
            Split::SmolLm => words_and_digits(text, word),
            Split::Llama3 { n_digits } => cut(text, |rest| llama3_word(rest, n_digits), word),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Number,
    Space,
    Other,
}

/// [\p{L}] as one bit a character.
static LETTERS: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut bits = vec![0u64; (char::MAX as usize + 1) / 64];
    let hir = regex_syntax::parse(r"\p{L}").expect("a valid pattern");
    if let HirKind::Class(Class::Unicode(class)) = hir.kind() {
        for range in class.ranges() {
            for c in range.start() as usize..=range.end() as usize {
                bits[c / 64] |= 1 << (c % 64);
            }
        }
    }
    bits
});

fn kind(c: char) -> Kind {
    if c.is_ascii() {
        return match c {
            'a'..='z' | 'A'..='Z' => Kind::Letter,
            '0'..='9' => Kind::Number,
            ' ' | '\t'..='\r' => Kind::Space,
            _ => Kind::Other,
        };
    }
    let i = c as usize;
    if LETTERS[i / 64] >> (i % 64) & 1 == 1 {
        Kind::Letter
    } else if c.is_numeric() {
        Kind::Number
    } else if c.is_whitespace() {
        Kind::Space
    } else {
        Kind::Other
    }
}

/// Length of the longest prefix whose characters are all of one kind.
fn run(text: &str, wanted: Kind) -> usize {
    text.char_indices().find(|&(_, c)| kind(c) != wanted).map_or(text.len(), |(i, _)| i)
}

/// Length of the first word of a text that is not empty.
fn gpt2_word(text: &str) -> usize {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if let Some(found) = CONTRACTIONS.iter().find(|c| text.starts_with(**c)) {
        return found.len();
    }
    let lead = usize::from(text.starts_with(' '));
    if let Some(c) = text[lead..].chars().next() {
        let k = kind(c);
        if k != Kind::Space {
            return lead + run(&text[lead..], k);
        }
    }
    space(text)
}

/// White space at the front of `text`, which there is, leaves its last character to the word behind
/// it, unless it is all there is.
fn space(text: &str) -> usize {
    let n = run(text, Kind::Space);
    if n == text.len() {
        return n;
    }
    let last = text[..n].char_indices().next_back().map_or(0, |(i, _)| i);
    if last == 0 {
        n
    } else {
        last
    }
}

/// Length of an English contraction's end, in whatever case, at the front of `text`; 0: none.
fn contraction(text: &str) -> usize {
    let Some(rest) = text.strip_prefix('\'') else { return 0 };
    // The long s is an s where case does not matter.
    let lower = |c: char| if c == '\u{17F}' { 's' } else { c.to_ascii_lowercase() };
    let mut chars = rest.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else { return 0 };
    match (lower(first), second.map(lower)) {
        ('s' | 't' | 'm' | 'd', _) => 1 + first.len_utf8(),
        ('r' | 'v', Some('e')) | ('l', Some('l')) => 3,
        _ => 0,
    }
}

/// Length of the first word of a text that is not empty.
fn llama3_word(text: &str, n_digits: usize) -> usize {
    let n = contraction(text);
    if n > 0 {
        return n;
    }
    let Some(first) = text.chars().next() else { return 0 };
    let (first_kind, n_first) = (kind(first), first.len_utf8());
    if first_kind == Kind::Letter {
        return run(text, Kind::Letter);
    }
    if first_kind == Kind::Number {
        return text
            .chars()
            .take(n_digits)
            .take_while(|&c| kind(c) == Kind::Number)
            .fold(0, |n, c| n + c.len_utf8());
    }
    if !matches!(first, '\r' | '\n') {
        let letters = run(&text[n_first..], Kind::Letter);
        if letters > 0 {
            return n_first + letters;
        }
    }
    let lead = usize::from(first == ' ');
    let others = run(&text[lead..], Kind::Other);
    if others > 0 {
        let rest = &text[lead + others..];
        return text.len() - rest.trim_start_matches(['\r', '\n']).len();
    }
    let spaces = &text[..run(text, Kind::Space)];
    match spaces.rfind(['\r', '\n']) {
        Some(last) => last + 1,
        None => space(text),
    }
}

fn cut<E>(
    text: &str,
    first_word: impl Fn(&str) -> usize,
    word: &mut impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = text;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(first_word(rest));
        word(head)?;
        rest = tail;
    }
    Ok(())
}

fn words_and_digits<E>(text: &str, word: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let mut begin = 0;
    for (i, c) in text.char_indices() {
        if c.is_numeric() {
            cut(&text[begin..i], gpt2_word, word)?;
            begin = i + c.len_utf8();
            word(&text[i..begin])?;
        }
    }
    cut(&text[begin..], gpt2_word, word)
}
