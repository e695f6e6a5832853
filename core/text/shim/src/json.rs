//! The `tojson` filter as Hugging Face's chat templates mean it: Python's json.dumps layout.

use crate::python;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::Value as Json;
use std::io::{self, Write};

struct PythonFormat {
    indent: Option<usize>,
    ensure_ascii: bool,
    item_separator: String,
    key_separator: String,
    depth: usize,
    has_items: bool,
}

impl PythonFormat {
    fn line<W: ?Sized + Write>(&self, w: &mut W) -> io::Result<()> {
        if let Some(indent) = self.indent {
            w.write_all(b"\n")?;
            for _ in 0..indent * self.depth {
                w.write_all(b" ")?;
            }
        }
        Ok(())
    }

    fn item<W: ?Sized + Write>(&self, w: &mut W, first: bool) -> io::Result<()> {
        if !first {
            w.write_all(self.item_separator.as_bytes())?;
        }
        self.line(w)
    }

    fn begin<W: ?Sized + Write>(&mut self, w: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_items = false;
        w.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, w: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.has_items {
            self.line(w)?;
        }
        w.write_all(bracket)
    }
}

impl Formatter for PythonFormat {
    fn begin_array<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.begin(w, b"[")
    }
    fn end_array<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.end(w, b"]")
    }
    fn begin_array_value<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.item(w, first)
    }
    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_items = true;
        Ok(())
    }
    fn begin_object<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.begin(w, b"{")
    }
    fn end_object<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.end(w, b"}")
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.item(w, first)
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(self.key_separator.as_bytes())
    }
    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_items = true;
        Ok(())
    }
    fn write_f64<W: ?Sized + Write>(&mut self, w: &mut W, value: f64) -> io::Result<()> {
        w.write_all(python::float(value).as_bytes())
    }
    fn write_string_fragment<W: ?Sized + Write>(&mut self, w: &mut W, s: &str) -> io::Result<()> {
        if !self.ensure_ascii {
            return w.write_all(s.as_bytes());
        }
        for c in s.chars() {
            if c.is_ascii() {
                w.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(w, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// Pays for what it writes before it grows.
struct Metered<'a, 'b, 'c> {
    out: Vec<u8>,
    state: &'a State<'b, 'c>,
}

impl Write for Metered<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.out.len() / 64;
        let cost = (self.out.len() + bytes.len()) / 64 - before;
        if cost > 0 {
            self.state.consume_fuel(cost as u64).map_err(io::Error::other)?;
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same value with the members of its objects in the order of their names.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(sorted).collect(),
        Json::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            names.into_iter().map(|name| (name.clone(), sorted(&members[name]))).collect()
        }
        other => other.clone(),
    }
}

pub fn tojson(state: &State, value: &Value, options: Kwargs) -> Result<Value, Error> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: {why}")));
    let indent: Option<usize> = options.get("indent")?;
    let ensure_ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    if indent.is_some_and(|n| n > 64) {
        return refuse("indent is above 64");
    }
    if value.kind() == ValueKind::Undefined {
        return refuse("the value is undefined");
    }
    let default = if indent.is_some() { [",", ": "] } else { [", ", ": "] };
    let separators = separators.unwrap_or_else(|| default.map(str::to_string).to_vec());
    let Ok([item_separator, key_separator]) = <[String; 2]>::try_from(separators) else {
        return refuse("separators are two texts");
    };
    let mut metered = Metered { out: Vec::new(), state };
    let format = PythonFormat {
        indent,
        ensure_ascii,
        item_separator,
        key_separator,
        depth: 0,
        has_items: false,
    };
    let mut serializer = serde_json::Serializer::with_formatter(&mut metered, format);
    let written = match sort_keys {
        true => serde_json::to_value(value).and_then(|v| sorted(&v).serialize(&mut serializer)),
        false => value.serialize(&mut serializer),
    };
    written.map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    String::from_utf8(metered.out)
        .map(Value::from)
        .map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))
}
