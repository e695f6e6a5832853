//! GPT-2's split of text into words, in one pass and in constant memory.
//!
//! The words are the matches of
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
//! A backtracking engine gives up on long runs of white space; this does not.

use regex_syntax::hir::{Class, HirKind};
use std::sync::LazyLock;

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
fn first_word(text: &str) -> usize {
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
    // White space leaves its last character to the word behind it, unless it is all there is.
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

/// Calls `word` with each word of `text` in order.
pub fn words<'t, E>(
    text: &'t str,
    word: &mut impl FnMut(&'t str) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = text;
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(first_word(rest));
        word(head)?;
        rest = tail;
    }
    Ok(())
}

/// As `words`, with every digit a word of its own and the text between digits split alone.
pub fn words_and_digits<'t, E>(
    text: &'t str,
    word: &mut impl FnMut(&'t str) -> Result<(), E>,
) -> Result<(), E> {
    let mut begin = 0;
    for (i, c) in text.char_indices() {
        if c.is_numeric() {
            words(&text[begin..i], word)?;
            begin = i + c.len_utf8();
            word(&text[i..begin])?;
        }
    }
    words(&text[begin..], word)
}
