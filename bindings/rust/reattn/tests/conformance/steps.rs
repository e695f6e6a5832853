//! The operations that steps name.
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use reattn::*;
use serde_json::{json, Map, Value};

use crate::support;
use crate::values::*;

pub enum Object {
    Model(Model),
    Session(Session),
    Snapshot(Snapshot),
    Request(Request),
    Queue(Queue),
    /// Dropped. Of a request, its control is still there to be asked.
    Closed(Option<RequestControl>),
}

/// What came of a step.
pub enum Outcome {
    Gave(Value),
    Failed(Error),
    /// The object is gone: what the step tries cannot be written in Rust (`tests/closing.rs`).
    Unwritable,
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Outcome::Failed(error)
    }
}

pub type Stepped = std::result::Result<Value, Outcome>;

pub struct Runner {
    pub folder: support::Folder,
    pub objects: HashMap<String, Object>,
    pub settings: Map<String, Value>,
}

macro_rules! object {
    ($name:ident, $name_ref:ident, $variant:ident) => {
        fn $name(&mut self, step: &Value) -> std::result::Result<&mut $variant, Outcome> {
            let name = step.get("on").map_or("tiny", |name| text(name)).to_string();
            self.$name_ref(&name)
        }

        fn $name_ref(&mut self, name: &str) -> std::result::Result<&mut $variant, Outcome> {
            match self.objects.get_mut(name).unwrap_or_else(|| panic!("no object {name}")) {
                Object::$variant(object) => Ok(object),
                Object::Closed(_) => Err(Outcome::Unwritable),
                _ => panic!("{name} is no {}", stringify!($variant)),
            }
        }
    };
}

impl Runner {
    object!(model, model_named, Model);
    object!(session, session_named, Session);
    object!(snapshot, snapshot_named, Snapshot);
    object!(request, request_named, Request);
    object!(queue, queue_named, Queue);

    fn control(&mut self, step: &Value) -> RequestControl {
        match self.objects.get(text(&step["on"])) {
            Some(Object::Request(request)) => request.control(),
            Some(Object::Closed(Some(control))) => control.clone(),
            _ => panic!("{} was never a request", step["on"]),
        }
    }

    fn keep(&mut self, step: &Value, object: Object) -> Stepped {
        self.objects.insert(text(&step["as"]).to_string(), object);
        Ok(Value::Null)
    }

    fn path(&self, step: &Value) -> PathBuf {
        let tiny = support::tiny_path();
        let path = text(&step["path"]).replace("$tiny", tiny.to_str().unwrap());
        path.replace("$dir", self.folder.path().to_str().unwrap()).into()
    }

    fn session_options(&mut self, step: &Value) -> std::result::Result<SessionOptions, Outcome> {
        let changes = members(step, "options");
        let from = step.get("from").map(|name| text(name).to_string());
        let settings = self.settings.clone();
        let options = match from {
            Some(name) => self.snapshot_named(&name)?.session_options()?,
            None if step.get("defaults").is_some() => self.model(step)?.session_options()?,
            None => set_session_options(self.model(step)?.session_options()?, settings),
        };
        Ok(set_session_options(options, changes))
    }

    fn loaded(&mut self, step: &Value, loading: Loading) -> Stepped {
        let mut last = None;
        let model = loading.finish_with_progress(|progress| last = Some(progress))?;
        let last = last.expect("progress at the end, at least");
        assert!(last.finished);
        self.keep(step, Object::Model(model))?;
        Ok(json!({"bytes_done": last.bytes_done, "bytes_total": last.bytes_total}))
    }

    fn new_session(&mut self, step: &Value) -> Stepped {
        let options = self.session_options(step)?;
        let model = self.model(step)?.clone();
        let session = match step.get("from") {
            Some(name) => {
                let snapshot = self.snapshot_named(text(name))?;
                Session::resume_with_options(&model, snapshot, &options)?
            }
            None => Session::with_options(&model, &options)?,
        };
        self.keep(step, Object::Session(session))
    }

    fn append(&mut self, step: &Value) -> Stepped {
        let mut options = AppendOptions::new();
        for flag in step.get("flags").and_then(Value::as_array).into_iter().flatten() {
            options = match text(flag) {
                "more" => options.more(true),
                "special" => options.special(true),
                "logprobs" => options.logprobs(true),
                flag => panic!("no flag {flag}"),
            };
        }
        let session = self.session(step)?;
        match step.get("ids") {
            Some(list) => session.append_ids_with(&ids(list), &options)?,
            None => session.append_with(content(step), &options)?,
        }
        Ok(Value::Null)
    }

    fn model_info(&mut self, step: &Value) -> Stepped {
        let i = self.model(step)?.info()?;
        Ok(json!({"device": lower(i.device), "n_layers": i.n_layers, "n_embd": i.n_embd,
            "n_heads": i.n_heads, "n_kv_heads": i.n_kv_heads, "head_dim": i.head_dim,
            "n_ff": i.n_ff, "n_vocab": i.n_vocab, "n_window": i.n_window,
            "weights_bytes": i.weights_bytes, "model_fingerprint": i.model_fingerprint,
            "rope_freq_base": i.rope_freq_base, "bos_token": i.bos_token.unwrap_or(-1),
            "eos_token": i.eos_token.unwrap_or(-1), "eot_token": i.eot_token.unwrap_or(-1),
            "unk_token": i.unk_token.unwrap_or(-1), "pad_token": i.pad_token.unwrap_or(-1),
            "add_bos": i.add_bos as i32, "has_chat_template": i.has_chat_template as i32,
            "tied_embeddings": i.tied_embeddings as i32, "weights": lower(i.weights), "header_only": i.header_only as i32}))
    }

    fn chat(&mut self, step: &Value) -> std::result::Result<(String, Vec<i32>), Outcome> {
        let prompt = step["add_generation_prompt"].as_bool().unwrap();
        let render = text(&step["do"]) == "render_chat";
        let model = self.model(step)?;
        if let Some(json) = step.get("json") {
            return Ok(match render {
                true => (model.render_chat_json(text(json), prompt)?, Vec::new()),
                false => (String::new(), model.tokenize_chat_json(text(json), prompt)?),
            });
        }
        let message = |m: &Value| Message::new(text(&m["role"]), text(&m["content"]));
        let messages: Vec<_> = step["messages"].as_array().unwrap().iter().map(message).collect();
        Ok(match render {
            true => (model.render_chat(&messages, prompt)?, Vec::new()),
            false => (String::new(), model.tokenize_chat(&messages, prompt)?),
        })
    }

    fn range(&mut self, step: &Value) -> Stepped {
        let (begin, end) = (int(&step["begin"]), int(&step["end"]));
        let session = self.session(step)?;
        Ok(match text(&step["do"]) {
            "tokens" => json!({ "ids": session.tokens(begin, end)? }),
            "text" => text_or_hex(session.text(begin, end)?),
            _ => json!({ "logprobs": session.logprobs(begin, end)? }), // NaN becomes null
        })
    }

    fn recalled(&mut self, step: &Value) -> Stepped {
        let layer = match step["layer"].as_str() {
            Some("all") => Layer::All,
            _ => Layer::One(int(&step["layer"])),
        };
        let scope = match text(&step["scope"]) {
            "last_step" => Scope::LastStep,
            "prompt" => Scope::Prompt,
            "answer" => Scope::Answer,
            scope => panic!("no scope {scope}"),
        };
        let spans = self.control(step).recalled(layer, scope)?;
        let spans: Vec<_> = spans.iter().map(|s| json!([s.begin, s.end, s.votes])).collect();
        Ok(json!({ "spans": spans }))
    }

    fn queue_drain(&mut self, step: &Value) -> Stepped {
        let mut answers = BTreeMap::<String, Answer>::new();
        for tagged in self.queue(step)?.events() {
            let tagged = tagged?;
            answers.entry(tagged.tag.to_string()).or_default().add(tagged.event?);
        }
        let answers: Map<_, _> = answers.into_iter().map(|(tag, a)| (tag, a.value())).collect();
        Ok(json!({ "answers": answers }))
    }

    fn close(&mut self, step: &Value) -> Stepped {
        let object = self.objects.remove(text(&step["on"])).unwrap();
        let control = match &object {
            Object::Request(request) => Some(request.control()),
            Object::Closed(control) => control.clone(),
            _ => None,
        };
        drop(object);
        self.objects.insert(text(&step["on"]).to_string(), Object::Closed(control));
        Ok(Value::Null)
    }

    pub fn run(&mut self, step: &Value) -> Stepped {
        match text(&step["do"]) {
            "write_file" => {
                std::fs::write(self.path(step), content(step)).unwrap();
                Ok(Value::Null)
            }
            "flip_byte" => {
                let mut bytes = std::fs::read(self.path(step)).unwrap();
                bytes[int(&step["at"]) as usize] ^= 0xFF;
                std::fs::write(self.path(step), bytes).unwrap();
                Ok(Value::Null)
            }
            "open_model" => {
                let loading = model_options(step).load(self.path(step))?;
                self.loaded(step, loading)
            }
            "synthesize" => {
                let loading = model_options(step).load_synthetic(&geometry(step))?;
                self.loaded(step, loading)
            }
            "model_info" => self.model_info(step),
            "metadata" => {
                let metadata = self.model(step)?.metadata()?;
                let entry = metadata.iter().find(|(key, _)| key == text(&step["key"]));
                Ok(json!({ "value": entry.map(|(_, value)| value) }))
            }
            "estimate" => {
                let options = self.session_options(step)?;
                let plan = self.model(step)?.estimate(&options, int(&step["n_tokens"]))?;
                Ok(json!({"fits": plan.fits as i32, "weights_bytes": plan.weights_bytes,
                    "kv_bytes": plan.kv_bytes}))
            }
            "default_options" => {
                let mut step = step.clone();
                step["defaults"] = json!(true);
                let o = self.session_options(&step)?;
                Ok(json!({"selection": lower(o.selection), "n_global": o.n_global,
                    "n_local": o.n_local, "top_k": o.top_k, "span": o.span,
                    "n_anchors": o.n_anchors, "chunk": o.chunk, "vote_stride": o.vote_stride,
                    "kv_dtype": lower(o.kv_dtype), "max_tokens": o.max_tokens,
                    "scoring": lower(o.scoring)}))
            }
            "tokenize" => {
                let special = step.get("special").is_some();
                let model = self.model(step)?;
                let ids = match special {
                    true => model.tokenize_special(content(step))?,
                    false => model.tokenize(content(step))?,
                };
                Ok(json!({ "ids": ids }))
            }
            "detokenize" => Ok(text_or_hex(self.model(step)?.detokenize(&ids(&step["ids"]))?)),
            "render_chat" => Ok(json!({ "text": self.chat(step)?.0 })),
            "tokenize_chat" => Ok(json!({ "ids": self.chat(step)?.1 })),
            "new_session" => self.new_session(step),
            "append" => self.append(step),
            "session_info" => {
                let i = self.session(step)?.info()?;
                Ok(json!({"n_tokens": i.n_tokens, "n_pending": i.n_pending, "n_pages": i.n_pages,
                    "n_shared_pages": i.n_shared_pages, "page_tokens": i.page_tokens}))
            }
            "tokens" | "text" | "logprobs" => self.range(step),
            "truncate" => {
                self.session(step)?.truncate(int(&step["n_tokens"]))?;
                Ok(Value::Null)
            }
            "fork" => {
                let fork = self.session(step)?.fork()?;
                self.keep(step, Object::Session(fork))
            }
            "snapshot" => {
                let snapshot = self.session(step)?.snapshot()?;
                self.keep(step, Object::Snapshot(snapshot))
            }
            "save" => {
                let path = self.path(step);
                self.snapshot(step)?.save(path)?;
                Ok(Value::Null)
            }
            "open_snapshot" => {
                let path = self.path(step);
                let snapshot = Snapshot::open(self.model(step)?, path)?;
                self.keep(step, Object::Snapshot(snapshot))
            }
            "snapshot_info" => {
                let info = self.snapshot(step)?.info()?;
                Ok(json!({"n_tokens": info.n_tokens, "has_logits": info.has_logits as i32}))
            }
            "request" => {
                let request = self.session(step)?.generate(&request_options(step))?;
                self.keep(step, Object::Request(request))
            }
            "add_stop" => {
                self.request(step)?.add_stop(content(step))?;
                Ok(Value::Null)
            }
            "set_json_schema" => {
                self.request(step)?.set_json_schema(content(step))?;
                Ok(Value::Null)
            }
            "next" => Ok(match self.request(step)?.next_event()? {
                Some(event) => event_value(&event),
                None => json!({"kind": "END"}),
            }),
            "drain" => {
                let mut answer = Answer::default();
                for event in self.request(step)? {
                    answer.add(event?);
                }
                Ok(answer.value())
            }
            "cancel" => {
                self.control(step).cancel();
                Ok(Value::Null)
            }
            "recalled" => self.recalled(step),
            "logits" => {
                let logits = self.control(step).logits()?;
                let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                Ok(json!({"n": logits.len(), "best": best}))
            }
            "stats" => {
                let s = self.control(step).stats()?;
                Ok(json!({"done": s.done as i32, "n_prefill_tokens": s.n_prefill_tokens,
                    "n_decode_tokens": s.n_decode_tokens,
                    "first_token_seconds": s.first_token_seconds}))
            }
            "new_queue" => {
                let queue = Queue::new(self.model(step)?)?;
                self.keep(step, Object::Queue(queue))
            }
            "queue_add" => {
                let tag = step["tag"].as_u64().unwrap();
                let Some(Object::Queue(queue)) = self.objects.get(text(&step["on"])) else {
                    panic!("no queue {}", step["on"]);
                };
                match self.objects.get(text(&step["request"])) {
                    Some(Object::Request(request)) => queue.add(request, tag)?,
                    _ => panic!("no request {}", step["request"]),
                }
                Ok(Value::Null)
            }
            "queue_drain" => self.queue_drain(step),
            "close" => self.close(step),
            other => panic!("no operation {other}"),
        }
    }
}
