//! C functions over the tokenizer, the chat templates and the JSON schemas; `shim.h` says what they do.

mod chat;
mod error;
mod hf;
mod hf_json;
mod hf_pipeline;
mod json;
mod python;
mod schema;
mod sp_model;
mod special;
mod split;
mod spm;
mod template;
mod tokenizer;
mod watch;

use error::{fail, guard, Code, Failure, Outcome};
use schema::{Schema, Vocabulary};
use spm::SpacePrefix;
use std::ffi::c_void;
use std::ops::Range;
use std::slice;
use tokenizer::{Description, Kind, Tokenizer};

pub const MAX_TOKENS: u64 = 2_000_000;
pub const MAX_MERGES: u64 = 4_000_000;
const MAX_TOKEN_BYTES: usize = 64 << 10;
const MAX_TABLE_BYTES: u64 = 256 << 20;

#[repr(C)]
pub struct ErrorText {
    message: [u8; 2048],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    data: *const u8,
    size: u64,
}

#[repr(C)]
pub struct Spec {
    key_prefix: Bytes,
    pre: Bytes,
    tokens: Bytes,
    token_offsets: *const u64,
    token_flags: *const u8,
    n_tokens: u64,
    merges: Bytes,
    merge_offsets: *const u64,
    n_merges: u64,
    scores: *const f32,
    is_sentence_piece: i32,
    composes: i32,
    whole_words_first: i32,
    space_prefix: i32,
}

type EmitIds = unsafe extern "C" fn(*mut c_void, *const u32, u64) -> i32;
type EmitField = unsafe extern "C" fn(*mut c_void, i32, Bytes, i64) -> i32;
type EmitPiece = unsafe extern "C" fn(*mut c_void, *const u8, u64, i32) -> i32;

/// The `n` elements at `data`. An empty slice needs no pointer.
///
/// # Safety
/// `data` points to `n` initialised elements that live for `'a`, unless `n` is 0.
unsafe fn elements<'a, T>(data: *const T, n: u64) -> &'a [T] {
    if n == 0 || data.is_null() {
        return &[];
    }
    unsafe { slice::from_raw_parts(data, n as usize) }
}

impl Bytes {
    unsafe fn slice<'a>(self) -> &'a [u8] {
        unsafe { elements(self.data, self.size) }
    }

    unsafe fn text<'a>(self, what: &str) -> Outcome<&'a str> {
        std::str::from_utf8(unsafe { self.slice() }).or_else(|e| {
            let at = e.valid_up_to();
            fail(Code::Arg, format!("{what} is not UTF-8 at byte {at}"))
        })
    }
}

/// Cuts a table of joined strings apart.
fn strings<'a>(key: &str, joined: &'a [u8], offsets: &[u64]) -> Outcome<Vec<&'a str>> {
    let cut = |(i, ends): (usize, &[u64])| {
        let part = joined.get(ends[0] as usize..ends[1] as usize).unwrap_or_default();
        if part.len() > MAX_TOKEN_BYTES {
            return fail(
                Code::Format,
                format!("{key}[{i}] has {} bytes; at most {MAX_TOKEN_BYTES}", part.len()),
            );
        }
        std::str::from_utf8(part).or_else(|e| {
            fail(Code::Format, format!("{key}[{i}] is not UTF-8 at byte {}", e.valid_up_to()))
        })
    };
    offsets.windows(2).enumerate().map(cut).collect()
}

fn check_table(key: &str, n: u64, max: u64, bytes: u64) -> Outcome<()> {
    if n > max {
        return fail(Code::Unsupported, format!("{key} has {n} entries; at most {max}"));
    }
    if bytes > MAX_TABLE_BYTES {
        return fail(
            Code::Unsupported,
            format!("{key} takes {bytes} bytes; at most {MAX_TABLE_BYTES}"),
        );
    }
    Ok(())
}

/// Runs `f` and writes what went wrong to `error`.
///
/// # Safety
/// `error` is null or points to an ErrorText.
unsafe fn report(error: *mut ErrorText, f: impl FnOnce() -> Outcome<()>) -> i32 {
    let Err(Failure { code, message }) = guard(f) else { return 0 };
    if let Some(error) = unsafe { error.as_mut() } {
        let mut n = message.len().min(error.message.len() - 1);
        while !message.is_char_boundary(n) {
            n -= 1;
        }
        error.message[..n].copy_from_slice(&message.as_bytes()[..n]);
        error.message[n] = 0;
    }
    code as i32
}

fn emitted(status: i32) -> Outcome<()> {
    if status != 0 {
        return fail(Code::OomHost, "no memory for the result");
    }
    Ok(())
}

/// # Safety
/// As `shim.h` says: pointers are valid and sizes true.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_tokenizer_create(
    spec: *const Spec,
    out: *mut *mut Tokenizer,
    error: *mut ErrorText,
) -> i32 {
    let create = || {
        let spec = unsafe { &*spec };
        let prefix = unsafe { spec.key_prefix.text("the keys' prefix") }?;
        let (tokens_key, merges_key) = (format!("{prefix}tokens"), format!("{prefix}merges"));
        check_table(&tokens_key, spec.n_tokens, MAX_TOKENS, spec.tokens.size)?;
        check_table(&merges_key, spec.n_merges, MAX_MERGES, spec.merges.size)?;
        let token_ends = unsafe { elements(spec.token_offsets, spec.n_tokens + 1) };
        let merge_ends = unsafe { elements(spec.merge_offsets, spec.n_merges + 1) };
        let kind = match spec.is_sentence_piece != 0 {
            true => Kind::SentencePiece { prefix: SpacePrefix::from_number(spec.space_prefix)? },
            false => Kind::ByteLevel {
                composes: spec.composes != 0,
                whole_words_first: spec.whole_words_first != 0,
            },
        };
        let made = Tokenizer::new(&Description {
            prefix,
            pre: unsafe { spec.pre.text(&format!("{prefix}pre")) }
                .map_err(|f| Failure { code: Code::Format, ..f })?,
            tokens: strings(&tokens_key, unsafe { spec.tokens.slice() }, token_ends)?,
            flags: unsafe { elements(spec.token_flags, spec.n_tokens) },
            merges: strings(&merges_key, unsafe { spec.merges.slice() }, merge_ends)?,
            scores: unsafe { elements(spec.scores, spec.n_tokens) },
            kind,
        })?;
        unsafe { *out = Box::into_raw(Box::new(made)) };
        Ok(())
    };
    unsafe { report(error, create) }
}

/// # Safety
/// `tokenizer` is null or came from reattn_text_tokenizer_create and is not in use.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_tokenizer_free(tokenizer: *mut Tokenizer) {
    unsafe { free(tokenizer) }
}

/// # Safety
/// As `shim.h` says: pointers are valid and sizes true.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_encode(
    tokenizer: *const Tokenizer,
    text: Bytes,
    parse_special: i32,
    protected_ranges: *const u64,
    n_ranges: u64,
    emit: EmitIds,
    user: *mut c_void,
    error: *mut ErrorText,
) -> i32 {
    let encode =
        || {
            let text = unsafe { text.text("the text") }?;
            let bounds = unsafe { elements(protected_ranges, 2 * n_ranges) };
            let mut ranges: Vec<Range<usize>> = Vec::with_capacity(bounds.len() / 2);
            let mut at = 0;
            for pair in bounds.chunks_exact(2) {
                let (begin, end) = (pair[0] as usize, pair[1] as usize);
                if begin < at || text.get(begin..end).is_none() {
                    return fail(
                    Code::Arg,
                    format!("protected range [{begin}, {end}) is out of order, outside the text or \
                             inside a character"),
                );
                }
                if begin < end {
                    ranges.push(begin..end);
                }
                at = end;
            }
            unsafe { &*tokenizer }.encode(text, parse_special != 0, &ranges, &mut |ids| {
                emitted(unsafe { emit(user, ids.as_ptr(), ids.len() as u64) })
            })
        };
    unsafe { report(error, encode) }
}

#[repr(C)]
pub struct HfFiles {
    tokenizer: Bytes,
    tokenizer_model: Bytes,
    tokenizer_config: Bytes,
    generation_config: Bytes,
}

/// # Safety
/// As `shim.h` says: pointers are valid and sizes true.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_hf_read(
    files: *const HfFiles,
    n_vocab: u64,
    emit: EmitField,
    user: *mut c_void,
    error: *mut ErrorText,
) -> i32 {
    let read = || {
        let files = unsafe { &*files };
        let files = hf::Files {
            tokenizer: unsafe { files.tokenizer.slice() },
            tokenizer_model: unsafe { files.tokenizer_model.slice() },
            tokenizer_config: unsafe { files.tokenizer_config.slice() },
            generation_config: unsafe { files.generation_config.slice() },
        };
        hf::read(&files, n_vocab, &mut |field, text, number| {
            let text = Bytes { data: text.as_ptr(), size: text.len() as u64 };
            emitted(unsafe { emit(user, field as i32, text, number) })
        })
    };
    unsafe { report(error, read) }
}

/// # Safety
/// As `shim.h` says: pointers are valid and sizes true.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_chat_render(
    tokenizer: *const Tokenizer,
    chat_template: Bytes,
    messages_json: Bytes,
    bos: Bytes,
    eos: Bytes,
    add_generation_prompt: i32,
    mark_contents: i32,
    emit: EmitPiece,
    user: *mut c_void,
    error: *mut ErrorText,
) -> i32 {
    let render = || {
        let request = chat::Request {
            template: unsafe { chat_template.text("tokenizer.chat_template") }
                .map_err(|f| Failure { code: Code::Format, ..f })?,
            messages_json: unsafe { messages_json.slice() },
            bos: unsafe { bos.text("the BOS token") }?,
            eos: unsafe { eos.text("the EOS token") }?,
            add_generation_prompt: add_generation_prompt != 0,
        };
        let rendered = chat::render_chat(unsafe { &*tokenizer }, &request, mark_contents != 0)?;
        let piece = |range: Range<usize>, is_content: bool| {
            if range.is_empty() {
                return Ok(());
            }
            let text = &rendered.text[range];
            let n = text.len() as u64;
            emitted(unsafe { emit(user, text.as_ptr(), n, i32::from(is_content)) })
        };
        let mut at = 0;
        for content in &rendered.contents {
            piece(at..content.start, false)?;
            piece(content.clone(), true)?;
            at = content.end;
        }
        piece(at..rendered.text.len(), false)
    };
    unsafe { report(error, render) }
}

/// # Safety
/// As `shim.h` says: pointers are valid and sizes true.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_vocabulary_create(
    tokens: Bytes,
    token_offsets: *const u64,
    kinds: *const u8,
    n_tokens: u64,
    out: *mut *mut Vocabulary,
    error: *mut ErrorText,
) -> i32 {
    let create = || {
        let joined = unsafe { tokens.slice() };
        let ends = unsafe { elements(token_offsets, n_tokens + 1) };
        let cut = |ends: &[u64]| joined.get(ends[0] as usize..ends[1] as usize).unwrap_or_default();
        let tokens: Vec<&[u8]> = ends.windows(2).map(cut).collect();
        let kind = |&kind: &u8| match kind {
            0 => schema::Kind::Text,
            1 => schema::Kind::Special,
            _ => schema::Kind::End,
        };
        let kinds: Vec<schema::Kind> =
            unsafe { elements(kinds, n_tokens) }.iter().map(kind).collect();
        let made = Vocabulary::new(&tokens, &kinds)?;
        unsafe { *out = Box::into_raw(Box::new(made)) };
        Ok(())
    };
    unsafe { report(error, create) }
}

/// Frees what a Box gave away.
///
/// # Safety
/// `object` is null or came from Box::into_raw and is not in use.
unsafe fn free<T>(object: *mut T) {
    if !object.is_null() {
        let _ = guard(|| {
            drop(unsafe { Box::from_raw(object) });
            Ok(())
        });
    }
}

/// # Safety
/// `vocabulary` is null or came from reattn_text_vocabulary_create and is not in use.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_vocabulary_free(vocabulary: *mut Vocabulary) {
    unsafe { free(vocabulary) }
}

/// # Safety
/// As `shim.h` says: pointers are valid and sizes true.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_schema_create(
    vocabulary: *const Vocabulary,
    schema: Bytes,
    out: *mut *mut Schema,
    error: *mut ErrorText,
) -> i32 {
    let create = || {
        let made = Schema::new(unsafe { &*vocabulary }, unsafe { schema.slice() })?;
        unsafe { *out = Box::into_raw(Box::new(made)) };
        Ok(())
    };
    unsafe { report(error, create) }
}

/// # Safety
/// `schema` is null or came from reattn_text_schema_create and is not in use.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_schema_free(schema: *mut Schema) {
    unsafe { free(schema) }
}

/// # Safety
/// As `shim.h` says: pointers are valid and sizes true.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_schema_mask(
    schema: *mut Schema,
    mask: *mut u32,
    n_words: u64,
    error: *mut ErrorText,
) -> i32 {
    let fill = || {
        unsafe { &mut *schema }.mask(unsafe { slice::from_raw_parts_mut(mask, n_words as usize) })
    };
    unsafe { report(error, fill) }
}

/// # Safety
/// As `shim.h` says: pointers are valid and sizes true.
#[no_mangle]
pub unsafe extern "C" fn reattn_text_schema_accept(
    schema: *mut Schema,
    token: u32,
    is_complete: *mut i32,
    error: *mut ErrorText,
) -> i32 {
    let accept = || {
        let complete = unsafe { &mut *schema }.accept(token)?;
        unsafe { *is_complete = i32::from(complete) };
        Ok(())
    };
    unsafe { report(error, accept) }
}
