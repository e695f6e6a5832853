//! Members of steps as values of the crate, and the other way round.
use reattn::*;
use serde_json::{json, Map, Value};

use crate::support;

pub fn int(value: &Value) -> i64 {
    // True, where a case says so, is 1.
    value.as_i64().unwrap_or_else(|| value.as_bool().unwrap_or_else(|| panic!("{value}")).into())
}

pub fn int32(value: &Value) -> i32 {
    int(value).try_into().unwrap()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub fn ids(value: &Value) -> Vec<i32> {
    value.as_array().unwrap().iter().map(int32).collect()
}

pub fn device(value: &Value) -> Device {
    match value.as_str() {
        Some("auto") => Device::Auto,
        Some("cpu") => Device::Cpu,
        Some("cuda") => Device::Cuda,
        _ => Device::Other(int32(value)),
    }
}

pub fn weights(value: &Value) -> Weights {
    match value.as_str() {
        Some("auto") => Weights::Auto,
        Some("fp8") => Weights::Fp8,
        _ => Weights::Other(int32(value)),
    }
}

pub fn selection(value: &Value) -> Selection {
    match value.as_str() {
        Some("full") => Selection::Full,
        Some("exact") => Selection::Exact,
        Some("block1") => Selection::Block1,
        _ => Selection::Other(int32(value)),
    }
}

pub fn kv_type(value: &Value) -> KvType {
    match value.as_str() {
        Some("f32") => KvType::F32,
        Some("f16") => KvType::F16,
        Some("bf16") => KvType::Bf16,
        Some("int8") => KvType::Int8,
        _ => KvType::Other(int32(value)),
    }
}

pub fn scoring(value: &Value) -> Scoring {
    match value.as_str() {
        Some("native") => Scoring::Native,
        Some("int8") => Scoring::Int8,
        _ => Scoring::Other(int32(value)),
    }
}

pub fn lower(name: impl std::fmt::Debug) -> String {
    format!("{name:?}").to_lowercase()
}

pub fn upper(name: impl std::fmt::Debug) -> String {
    format!("{name:?}").to_uppercase()
}

pub fn empty() -> Map<String, Value> {
    Map::new()
}

pub fn members(step: &Value, name: &str) -> Map<String, Value> {
    step.get(name).map_or_else(empty, |value| value.as_object().unwrap().clone())
}

pub fn model_options(step: &Value) -> ModelOptions {
    let mut options = ModelOptions::new().device(Device::Cpu);
    for (name, value) in members(step, "options") {
        options = match name.as_str() {
            "device" => options.device(device(&value)),
            "n_threads" => options.n_threads(int32(&value)),
            "header_only" => options.header_only(int(&value) != 0),
            "device_index" => options.device_index(int32(&value)),
            "weights" => options.weights(weights(&value)),
            _ => panic!("no option {name}"),
        };
    }
    options
}

pub fn geometry(step: &Value) -> Geometry {
    let mut g = Geometry::default();
    for (name, value) in members(step, "geometry") {
        g = match name.as_str() {
            "tied_embeddings" => g.tied_embeddings(int(&value) != 0),
            "n_layers" => g.n_layers(int(&value)),
            "n_embd" => g.n_embd(int(&value)),
            "n_heads" => g.n_heads(int(&value)),
            "n_kv_heads" => g.n_kv_heads(int(&value)),
            "head_dim" => g.head_dim(int(&value)),
            "n_ff" => g.n_ff(int(&value)),
            "n_vocab" => g.n_vocab(int(&value)),
            "n_window" => g.n_window(int(&value)),
            "rope_freq_base" => g.rope_freq_base(value.as_f64().unwrap()),
            "seed" => g.seed(value.as_u64().unwrap()),
            _ => panic!("no member {name}"),
        };
    }
    g
}

pub fn set_session_options(mut o: SessionOptions, changes: Map<String, Value>) -> SessionOptions {
    for (name, value) in changes {
        o = match name.as_str() {
            "selection" => o.selection(selection(&value)),
            "n_global" => o.n_global(int(&value)),
            "n_local" => o.n_local(int(&value)),
            "top_k" => o.top_k(int32(&value)),
            "span" => o.span(int32(&value)),
            "n_anchors" => o.n_anchors(int32(&value)),
            "chunk" => o.chunk(int32(&value)),
            "vote_stride" => o.vote_stride(int32(&value)),
            "kv_dtype" => o.kv_dtype(kv_type(&value)),
            "max_tokens" => o.max_tokens(int(&value)),
            "scoring" => o.scoring(scoring(&value)),
            _ => panic!("no option {name}"),
        };
    }
    o
}

pub fn request_options(step: &Value) -> RequestOptions {
    let mut o = RequestOptions::new().ignore_end(true);
    for (name, value) in members(step, "options") {
        let number = value.as_f64().unwrap_or(f64::NAN) as f32;
        o = match name.as_str() {
            "ignore_end" => o.ignore_end(int(&value) != 0),
            "max_tokens" => o.max_tokens(int(&value)),
            "temperature" => o.temperature(number),
            "top_k" => o.top_k(int32(&value)),
            "top_p" => o.top_p(number),
            "min_p" => o.min_p(number),
            "seed" => o.seed(value.as_u64().unwrap()),
            "repetition_penalty" => o.repetition_penalty(number),
            "repetition_window" => o.repetition_window(int32(&value)),
            _ => panic!("no option {name}"),
        };
    }
    if let Some(schema) = step.get("json_schema") {
        o = o.json_schema(Some(schema.to_string()));
    }
    let stops = step.get("stops").and_then(Value::as_array).cloned().unwrap_or_default();
    stops.iter().fold(o, |o, stop| o.stop(text(stop)))
}

pub fn content(step: &Value) -> Vec<u8> {
    if let Some(hex) = step.get("hex") {
        let hex = text(hex);
        let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
        return (0..hex.len()).step_by(2).map(byte).collect();
    }
    if let Some(file) = step.get("file") {
        return std::fs::read(support::conformance().join(text(file))).unwrap();
    }
    text(&step["text"]).repeat(step.get("times").map_or(1, int) as usize).into_bytes()
}

pub fn text_or_hex(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(error) => {
            let hex: String = error.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": hex })
        }
    }
}

pub fn event_value(event: &Event) -> Value {
    match event {
        Event::Prefill { n_done, n_total } => json!({"kind": "PREFILL", "n_done": n_done,
            "n_total": n_total, "token": -1, "text": "", "reason": null}),
        Event::Text { token, text, .. } => json!({"kind": "TEXT", "n_done": 0, "n_total": 0,
            "token": token, "text": text, "reason": null}),
        Event::Done { reason, n_done, n_total, text } => json!({"kind": "DONE",
            "n_done": n_done, "n_total": n_total, "token": -1, "text": text,
            "reason": upper(reason)}),
        _ => panic!("an event of another kind"),
    }
}

#[derive(Default)]
pub struct Answer {
    tokens: Vec<i32>,
    pieces: Vec<String>,
    reason: Option<String>,
    n_read: i64,
}

impl Answer {
    pub fn add(&mut self, event: Event) {
        match event {
            Event::Text { token, logprob, text } => {
                assert!(logprob <= 0.0, "a log-probability of {logprob}");
                self.tokens.push(token);
                self.pieces.push(text);
            }
            Event::Done { reason, n_done, text, .. } => {
                self.pieces.push(text);
                self.reason = Some(upper(reason));
                self.n_read = n_done;
            }
            _ => {}
        }
    }

    pub fn value(self) -> Value {
        json!({"tokens": self.tokens, "text": self.pieces.concat(), "pieces": self.pieces,
            "reason": self.reason, "n_read": self.n_read})
    }
}
