//! What this crate costs per token over the C interface: generates the same with both, in turns.
//!
//!     cargo run --release --example overhead
//!
//! The model is made up and as small as can be, so that little but the calls is measured.
use std::time::Instant;

use reattn::{sys, Device, Event, Geometry, Model, ModelOptions, RequestOptions, Session};

const ROUNDS: usize = 400;
const TOKENS: i64 = 100;
const PROMPT: [i32; 4] = [5, 17, 23, 0];

/// Seconds for a token, by this crate.
fn safe(model: &Model) -> f64 {
    let mut session = Session::new(model).expect("a session");
    session.append_ids(&PROMPT).expect("an append");
    let options = RequestOptions::new().max_tokens(TOKENS).ignore_end(true);
    let request = session.generate(&options).expect("a request");
    let (start, mut n_bytes) = (Instant::now(), 0);
    for event in request {
        if let Event::Text { text, .. } = event.expect("an event") {
            n_bytes += text.len();
        }
    }
    assert!(n_bytes > 0);
    start.elapsed().as_secs_f64() / TOKENS as f64
}

/// The same by the C interface alone.
fn raw(model: *const sys::reattn_model) -> f64 {
    // SAFETY: as reattn.h asks; each status is checked.
    unsafe {
        let mut session = std::ptr::null_mut();
        assert_eq!(
            sys::reattn_session_create(
                model,
                std::ptr::null(),
                std::ptr::null(),
                &mut session,
                std::ptr::null_mut()
            ),
            0
        );
        let (ids, n, null) = (PROMPT.as_ptr(), PROMPT.len() as u64, std::ptr::null_mut());
        assert_eq!(sys::reattn_session_append_ids(session, ids, n, 0, null), 0);
        let mut options = sys::reattn_request_options::default();
        let size = std::mem::size_of_val(&options);
        assert_eq!(sys::reattn_request_options_init(&mut options, size, std::ptr::null_mut()), 0);
        options.max_tokens = TOKENS;
        options.ignore_end = 1;
        let mut request = std::ptr::null_mut();
        assert_eq!(
            sys::reattn_request_create(session, &options, &mut request, std::ptr::null_mut()),
            0
        );
        let (start, mut n_bytes, mut buffer) = (Instant::now(), 0, [0u8; 4096]);
        loop {
            let mut event = sys::reattn_event {
                struct_size: std::mem::size_of::<sys::reattn_event>() as u32,
                ..Default::default()
            };
            let status = sys::reattn_request_next(
                request,
                -1,
                &mut event,
                buffer.as_mut_ptr(),
                4096,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            );
            if status == sys::REATTN_END {
                break;
            }
            assert_eq!(status, 0);
            n_bytes += event.text_bytes;
        }
        assert!(n_bytes > 0);
        let seconds = start.elapsed().as_secs_f64() / TOKENS as f64;
        sys::reattn_request_free(request);
        sys::reattn_session_free(session);
        seconds
    }
}

fn main() {
    let shape = Geometry::default().n_layers(1).n_embd(32).n_heads(1).n_kv_heads(1).head_dim(32);
    let shape = shape.n_ff(32).n_vocab(64).n_window(1024);
    let options = ModelOptions::new().device(Device::Cpu).n_threads(1);
    let model = options.synthesize(&shape).expect("a model");
    // In turns, and the best of each: what else the machine does only ever adds.
    let (mut by_c, mut by_rust) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        by_c = by_c.min(raw(model.as_raw()) * 1e6);
        by_rust = by_rust.min(safe(&model) * 1e6);
    }
    let over = by_rust - by_c;
    println!("C {by_c:.2} us a token, Rust {by_rust:.2}; over C {over:.2} us (best of {ROUNDS} rounds of {TOKENS} tokens)");
    assert!(over <= 10.0, "more than 10 us a token over C");
}
