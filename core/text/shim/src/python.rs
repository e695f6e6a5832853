//! What Python and Jinja2 do otherwise than minijinja.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

fn as_float(value: &Value) -> Option<f64> {
    let is_float = value.kind() == ValueKind::Number && !value.is_integer();
    is_float.then(|| f64::try_from(value.clone()).ok()).flatten()
}

/// Whether something in `value` is a float that Python writes with an exponent.
fn holds_exponent(state: &State, value: &Value) -> Result<bool, Error> {
    if let Some(value) = as_float(value) {
        return Ok(float(value).contains('e'));
    }
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map) {
        return Ok(false);
    }
    for item in value.try_iter()? {
        state.consume_fuel(1)?;
        let member = match value.kind() {
            ValueKind::Map => value.get_item(&item)?,
            _ => item,
        };
        if holds_exponent(state, &member)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `str` of a value, where it is not what minijinja writes.
pub fn text(state: &State, value: &Value) -> Result<Option<String>, Error> {
    if let Some(value) = as_float(value) {
        return Ok(Some(float(value)));
    }
    if holds_exponent(state, value)? {
        let why = "it prints a value with a number that Python writes with an exponent";
        return Err(Error::new(ErrorKind::InvalidOperation, why));
    }
    Ok(None)
}

/// The test `iterable`.
pub fn is_iterable(value: &Value) -> bool {
    use ValueKind::*;
    matches!(value.kind(), Undefined | String | Bytes | Seq | Map | Iterable)
}

/// The test `sequence`: what has a length and items.
pub fn is_sequence(value: &Value) -> bool {
    use ValueKind::*;
    matches!(value.kind(), Undefined | String | Bytes | Seq | Map)
}

/// The test `number`.
pub fn is_number(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
}

/// `repr` of a float: the shortest digits that give it back.
pub fn float(value: f64) -> String {
    if !value.is_finite() {
        return match (value.is_nan(), value > 0.0) {
            (true, _) => "NaN",
            (_, true) => "Infinity",
            _ => "-Infinity",
        }
        .to_string();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
