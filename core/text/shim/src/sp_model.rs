//! tokenizer.model: SentencePiece's protocol buffer, as far as its BPE needs it.

use crate::error::{fail, Code, Outcome};
use crate::MAX_TOKENS;

pub struct Piece<'a> {
    pub text: &'a str,
    pub score: f32,
    /// As in a TokenizerSpec.
    pub kind: i64,
}

pub struct SpModel<'a> {
    pub pieces: Vec<Piece<'a>>,
    pub adds_prefix: bool,
}

fn broken<T>(what: impl std::fmt::Display) -> Outcome<T> {
    fail(Code::Format, format!("tokenizer.model: {what}"))
}

fn refuse<T>(what: &str) -> Outcome<T> {
    fail(Code::Unsupported, format!("tokenizer.model: {what}, which this build does not know"))
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Float(f32),
    /// Eight bytes, which nothing here has.
    Other,
}

/// The fields of a message, one after the other.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, n: u64) -> Outcome<&'a [u8]> {
        if n > self.rest.len() as u64 {
            return broken(format!("a field of {n} bytes; {} are left", self.rest.len()));
        }
        let (head, tail) = self.rest.split_at(n as usize);
        self.rest = tail;
        Ok(head)
    }

    fn number(&mut self) -> Outcome<u64> {
        let mut out = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            out |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(out);
            }
        }
        broken("a number of more than ten bytes")
    }

    fn next(&mut self) -> Outcome<Option<(u64, Value<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let n = self.number()?;
                Value::Bytes(self.take(n)?)
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Float(f32::from_le_bytes(bytes.try_into().expect("four bytes")))
            }
            other => return broken(format!("a field of wire type {other}")),
        };
        Ok(Some((tag >> 3, value)))
    }
}

fn piece<'a>(index: usize, bytes: &'a [u8]) -> Outcome<Piece<'a>> {
    let mut out = Piece { text: "", score: 0.0, kind: 1 };
    let mut fields = Fields { rest: bytes };
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(text)) => {
                out.text = std::str::from_utf8(text).or_else(|e| {
                    let at = e.valid_up_to();
                    broken(format!("pieces[{index}] is not UTF-8 at byte {at}"))
                })?;
            }
            (2, Value::Float(score)) => out.score = score,
            (3, Value::Number(kind)) => out.kind = i64::try_from(kind).unwrap_or(-1),
            _ => {}
        }
    }
    Ok(out)
}

fn check_trainer(bytes: &[u8]) -> Outcome<()> {
    let (mut model_type, mut suffixes) = (1, false);
    let mut fields = Fields { rest: bytes };
    while let Some(field) = fields.next()? {
        match field {
            (3, Value::Number(n)) => model_type = n,
            (24, Value::Number(n)) => suffixes = n != 0,
            _ => {}
        }
    }
    match model_type {
        2 => {}
        1 => return refuse("trainer_spec.model_type is UNIGRAM"),
        _ => return refuse("trainer_spec.model_type is WORD or CHAR"),
    }
    match suffixes {
        true => refuse("trainer_spec.treat_whitespace_as_suffix"),
        false => Ok(()),
    }
}

/// Whether a space goes in front.
fn read_normalizer(bytes: &[u8]) -> Outcome<bool> {
    let (mut adds_prefix, mut trims, mut escapes, mut has_charsmap) = (true, true, true, false);
    let mut fields = Fields { rest: bytes };
    while let Some(field) = fields.next()? {
        match field {
            (2, Value::Bytes(map)) => has_charsmap = !map.is_empty(),
            (3, Value::Number(n)) => adds_prefix = n != 0,
            (4, Value::Number(n)) => trims = n != 0,
            (5, Value::Number(n)) => escapes = n != 0,
            _ => {}
        }
    }
    match () {
        _ if has_charsmap => refuse("normalizer_spec.precompiled_charsmap"),
        _ if trims => refuse("normalizer_spec.remove_extra_whitespaces"),
        _ if !escapes => refuse("normalizer_spec without escape_whitespaces"),
        _ => Ok(adds_prefix),
    }
}

pub fn read(bytes: &[u8]) -> Outcome<SpModel<'_>> {
    let (mut pieces, mut trainer, mut normalizer) = (Vec::new(), &bytes[..0], &bytes[..0]);
    let mut fields = Fields { rest: bytes };
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => {
                if pieces.len() as u64 == MAX_TOKENS {
                    return broken(format!("more than {MAX_TOKENS} pieces"));
                }
                pieces.push(piece(pieces.len(), bytes)?);
            }
            (2, Value::Bytes(bytes)) => trainer = bytes,
            (3, Value::Bytes(bytes)) => normalizer = bytes,
            _ => {}
        }
    }
    if pieces.is_empty() {
        return broken("no pieces");
    }
    check_trainer(trainer)?;
    Ok(SpModel { pieces, adds_prefix: read_normalizer(normalizer)? })
}
