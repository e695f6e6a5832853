//! Tokens that match in raw text, before anything is split or merged: leftmost first, then longest.

use crate::error::{fail, Code, Outcome};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use std::ops::Range;

const MAX_BYTES: usize = 4 << 20;

/// The texts of some tokens, ready to be searched for.
pub struct Matcher {
    automaton: AhoCorasick,
    ids: Vec<u32>,
    texts: Vec<String>,
}

impl Matcher {
    /// None where there are no texts. Empty ones are left out.
    pub fn new(key: &str, tokens: impl Iterator<Item = (u32, String)>) -> Outcome<Option<Self>> {
        let (ids, texts): (Vec<u32>, Vec<String>) = tokens.filter(|(_, t)| !t.is_empty()).unzip();
        if ids.is_empty() {
            return Ok(None);
        }
        let n_bytes: usize = texts.iter().map(String::len).sum();
        if n_bytes > MAX_BYTES {
            return fail(
                Code::Unsupported,
                format!(
                    "{key}: the texts of control and user-defined tokens take {n_bytes} bytes; at \
                     most {MAX_BYTES}"
                ),
            );
        }
        let automaton = AhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&texts)
            .or_else(|e| fail(Code::Unsupported, format!("{key}: {e}")))?;
        Ok(Some(Self { automaton, ids, texts }))
    }

    /// Whether `text` holds one of the tokens.
    pub fn is_match(&self, text: &str) -> bool {
        self.automaton.is_match(text)
    }

    /// Whether `text` holds, or with the text around it could complete, one of the tokens.
    pub fn could_forge(&self, text: &str) -> bool {
        let overlaps = |token: &String| {
            let n = token.len().min(text.len() + 1);
            (1..n).any(|k| {
                text.as_bytes().ends_with(&token.as_bytes()[..k])
                    || text.as_bytes().starts_with(&token.as_bytes()[token.len() - k..])
            }) || token.contains(text)
        };
        self.automaton.is_match(text) || self.texts.iter().any(overlaps)
    }
}

#[derive(Clone, Copy)]
pub struct Found {
    pub begin: usize,
    pub end: usize,
    pub id: u32,
}

/// The matches of one matcher that lie wholly within a stretch of the text.
pub struct Search<'a> {
    matcher: Option<&'a Matcher>,
    text: &'a str,
    stretches: Vec<Range<usize>>, // ascending, last one first
    next: Option<Found>,
}

impl<'a> Search<'a> {
    pub fn new(
        matcher: Option<&'a Matcher>,
        text: &'a str,
        mut stretches: Vec<Range<usize>>,
    ) -> Self {
        stretches.reverse();
        Self { matcher, text, stretches, next: None }
    }

    /// The first match that begins at `at` or behind it; `at` never goes back.
    pub fn from(&mut self, at: usize) -> Option<Found> {
        let matcher = self.matcher?;
        if self.next.is_some_and(|found| found.begin >= at) {
            return self.next;
        }
        self.next = None;
        while let Some(stretch) = self.stretches.last() {
            let begin = stretch.start.max(at);
            if begin < stretch.end {
                // Searching each stretch alone keeps a match from reaching out of it.
                if let Some(m) = matcher.automaton.find(&self.text[begin..stretch.end]) {
                    self.next = Some(Found {
                        begin: begin + m.start(),
                        end: begin + m.end(),
                        id: matcher.ids[m.pattern().as_usize()],
                    });
                    return self.next;
                }
            }
            self.stretches.pop();
        }
        None
    }
}

/// The one that comes first; of two at one place, the longer.
pub fn first(a: Option<Found>, b: Option<Found>) -> Option<Found> {
    match (a, b) {
        (Some(x), Some(y)) if (y.begin, x.end) < (x.begin, y.end) => Some(y),
        (Some(x), _) => Some(x),
        (None, y) => y,
    }
}

/// What lies between the ranges, which are ascending and disjoint, in a text of `n` bytes.
pub fn between(ranges: &[Range<usize>], n: usize) -> Vec<Range<usize>> {
    let ends = ranges.iter().map(|r| r.start).chain([n]);
    let begins = [0].into_iter().chain(ranges.iter().map(|r| r.end));
    begins.zip(ends).map(|(begin, end)| begin..end).filter(|r| !r.is_empty()).collect()
}
