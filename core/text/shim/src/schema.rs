//! JSON schemas that bind what a model generates: which tokens may come next.

use crate::error::{fail, Code, Outcome};
use crate::watch::{bounded, Bounds, Stopped};
use llguidance::api::{GrammarInit, ParserLimits, StopReason, TopLevelGrammar};
use llguidance::toktrie::{
    ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, INVALID_TOKEN,
};
use llguidance::{Logger, ParserFactory, TokenParser};
use serde_json::{json, Value as Json};
use std::sync::Arc;
use std::time::Duration;

const MAX_SCHEMA_BYTES: usize = 256 << 10;
/// A token longer than this is never generated under a schema: a trie has no room for it.
const MAX_TOKEN_BYTES: usize = 512;
/// Between two marks of the JSON text; without a bound a small model can go on with spaces forever.
const WHITE_SPACE: &str = r"[\x20\x0A\x0D\x09]{1,64}";

/// Of the library's own options, those that a schema may set.
const OPTIONS: [&str; 3] = ["whitespace_flexible", "coerce_one_of", "lenient"];

/// What compiling one schema may take beyond the limits of the library itself.
const BOUNDS: Bounds =
    Bounds { stack_bytes: 64 << 20, memory_bytes: 256 << 20, time: Duration::from_secs(20) };
/// About 2 KiB each.
const MAX_LEXER_STATES: usize = 50_000;

/// What a token may be under a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Special,
    /// It ends an answer.
    End,
}

/// The tokens of one tokenizer, by their bytes.
pub struct Vocabulary {
    factory: Arc<ParserFactory>,
}

impl Vocabulary {
    pub fn new(tokens: &[&[u8]], kinds: &[Kind]) -> Outcome<Self> {
        // A token without bytes is never chosen for its text.
        let bytes = |(&token, &kind): (&&[u8], &Kind)| match kind {
            Kind::Text if token.len() <= MAX_TOKEN_BYTES => token.to_vec(),
            _ => Vec::new(),
        };
        let words: Vec<Vec<u8>> = tokens.iter().zip(kinds).map(bytes).collect();
        let ends: Vec<u32> =
            (0..kinds.len() as u32).filter(|&id| kinds[id as usize] == Kind::End).collect();
        let first_end = ends.first().copied().unwrap_or(INVALID_TOKEN);
        let mut trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, first_end), &words);
        if ends.len() > 1 {
            trie = trie.with_eos_tokens(&ends);
        }
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory =
            ParserFactory::new_simple(&env).or_else(|e| fail(Code::Unsupported, e))?;
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            max_lexer_states: MAX_LEXER_STATES,
            verbose_errors: false,
            ..ParserLimits::default()
        };
        Ok(Self { factory: Arc::new(factory) })
    }
}

/// Where a text stands in what a schema allows.
pub struct Schema {
    parser: TokenParser,
    n_tokens: usize,
}

/// What the library says of schemas that are right and still beyond it.
const BEYOND: [&str; 9] = [
    "Unimplemented keys",
    "Unknown format",
    "Unable to determine",
    "Failed to generate",
    "not supported",
    "not disjoint",
    "too large",
    "too complex",
    "exhausted",
];

fn refuse<T>(error: anyhow::Error) -> Outcome<T> {
    let text = format!("{error:#}");
    // A backtrace may follow.
    let text = text.split("\n<").next().unwrap_or_default().trim();
    let code = match BEYOND.iter().any(|words| text.contains(words)) {
        true => Code::Unsupported,
        false => Code::Arg,
    };
    fail(code, format!("the JSON schema: {text}"))
}

fn parse(text: &[u8]) -> Outcome<Json> {
    if text.len() > MAX_SCHEMA_BYTES {
        return fail(
            Code::Arg,
            format!("the JSON schema has {} bytes; at most {MAX_SCHEMA_BYTES}", text.len()),
        );
    }
    let mut schema: Json = serde_json::from_slice(text)
        .or_else(|e| fail(Code::Arg, format!("the JSON schema: not JSON: {e}")))?;
    match &mut schema {
        Json::Bool(_) => {}
        Json::Object(members) => {
            let options = members.entry("x-guidance").or_insert_with(|| json!({}));
            let Json::Object(options) = options else {
                return fail(Code::Arg, "the JSON schema: x-guidance: want an object");
            };
            // Others could make the answer something else than JSON.
            if let Some(name) = options.keys().find(|name| !OPTIONS.contains(&name.as_str())) {
                return fail(Code::Arg, format!("the JSON schema: x-guidance: no option '{name}'"));
            }
            if options.get("whitespace_flexible") != Some(&Json::Bool(false)) {
                options.insert("whitespace_pattern".to_string(), WHITE_SPACE.into());
            }
        }
        _ => return fail(Code::Arg, "the JSON schema: want an object, true or false"),
    }
    Ok(schema)
}

fn compile(factory: &ParserFactory, schema: Json) -> Outcome<TokenParser> {
    let mut parser = factory
        .create_parser_from_init_ext(
            GrammarInit::Serialized(TopLevelGrammar::from_json_schema(schema)),
            Logger::new(0, 0),
            InferenceCapabilities::default(),
            factory.limits().clone(),
        )
        .or_else(refuse)?;
    parser.start_without_prompt();
    Ok(parser)
}

impl Schema {
    pub fn new(vocabulary: &Vocabulary, text: &[u8]) -> Outcome<Self> {
        let factory = vocabulary.factory.clone();
        let n_tokens = factory.tok_env().tok_trie().vocab_size();
        let schema = parse(text)?;
        let parser = bounded("the JSON schema", BOUNDS, move || compile(&factory, schema))
            .unwrap_or_else(|stopped| {
                fail(
                    Code::Unsupported,
                    match stopped {
                        Stopped::Memory => "the JSON schema: it takes too much memory",
                        Stopped::Time => "the JSON schema: it takes too long",
                    },
                )
            })?;
        Ok(Self { parser, n_tokens })
    }

    /// Sets bit i % 32 of mask[i / 32] for each token i that may come next, and clears the others.
    pub fn mask(&mut self, mask: &mut [u32]) -> Outcome<()> {
        let allowed = self.parser.compute_mask().or_else(|e| {
            let why = match self.parser.stop_reason() {
                StopReason::NoExtensionBias => "none of the vocabulary goes on".to_string(),
                _ => format!("{e:#}"),
            };
            fail(Code::Unsupported, format!("the JSON schema: no token can be chosen: {why}"))
        })?;
        mask.fill(0);
        let n = mask.len().min(self.n_tokens.div_ceil(32));
        mask[..n].copy_from_slice(&allowed.as_slice()[..n]);
        Ok(())
    }

    /// Goes on by a token; true: the text is complete and nothing can follow.
    pub fn accept(&mut self, token: u32) -> Outcome<bool> {
        self.parser
            .consume_token(token)
            .and_then(|_| self.parser.check_stop())
            .or_else(|e| fail(Code::Unsupported, format!("the JSON schema: token {token}: {e:#}")))
    }
}
