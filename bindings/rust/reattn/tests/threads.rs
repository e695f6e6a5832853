//! Many threads on one model: each gets what it would get alone, and cancels arrive.
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reattn::*;

fn options(n: i64) -> RequestOptions {
    RequestOptions::new().max_tokens(n).ignore_end(true)
}

#[test]
fn threads_do_not_disturb_each_other() {
    let model = ModelOptions::new().device(Device::Cpu).n_threads(2).open(support::tiny_path());
    let model = model.unwrap();
    let mut session = Session::with_options(&model, &support::small(&model)).unwrap();
    session.append(support::document()).unwrap();
    session.read(|_, _| {}).unwrap();
    let snapshot = session.snapshot().unwrap();
    let ask = |i: i64| {
        let mut session = Session::resume(&model, &snapshot).unwrap();
        session.append(format!("\nWhich ship came {i}th? ")).unwrap();
        let mut request = session.generate(&options(4 + i)).unwrap();
        let text = request.text().unwrap();
        (text, request.recalled(Layer::All, Scope::Answer).unwrap())
    };
    let alone: Vec<_> = (0..8).map(ask).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|i| scope.spawn(move || (0..5).map(|_| ask(i)).collect::<Vec<_>>()))
            .collect();
        for (thread, expected) in threads.into_iter().zip(&alone) {
            for got in thread.join().unwrap() {
                assert_eq!(&got, expected);
            }
        }
    });
}

#[test]
fn others_look_and_cancel_while_one_pulls() {
    let mut session = support::session();
    session.append(support::document()).unwrap();
    let mut request = session.generate(&options(i64::MAX)).unwrap();
    let control = request.control();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (session, done) = (&session, &done);
        scope.spawn(move || {
            let mut n_tokens = 0;
            while !done.load(Ordering::Relaxed) {
                let now = session.info().unwrap().n_tokens;
                assert!(now >= n_tokens, "{now} after {n_tokens}");
                n_tokens = now;
                assert_eq!(session.tokens(0, n_tokens).unwrap().len() as i64, n_tokens);
                control.stats().unwrap();
                control.recalled(Layer::All, Scope::Prompt).unwrap();
                if n_tokens > 700 {
                    control.cancel();
                }
            }
        });
        let last = (&mut request).map(Result::unwrap).last();
        done.store(true, Ordering::Relaxed);
        assert!(matches!(last, Some(Event::Done { reason: DoneReason::Cancelled, .. })));
    });
    let stats = request.stats().unwrap();
    assert!(stats.done && stats.n_decode_tokens > 0);
    let before = session.info().unwrap().n_tokens;
    session.append("Used again.").unwrap();
    session.read(|_, _| {}).unwrap();
    assert!(session.info().unwrap().n_tokens > before);
}

#[test]
fn a_queue_takes_requests_while_it_is_pulled() {
    let queue = Arc::new(Queue::new(support::tiny()).unwrap());
    let mut first = support::session();
    first.append(support::document()).unwrap();
    let endless = first.generate(&options(i64::MAX)).unwrap();
    queue.add(&endless, 0).unwrap();
    assert_eq!(queue.add(&endless, u64::MAX).unwrap_err().code(), Code::Arg);
    let adder = {
        let (queue, stop) = (queue.clone(), endless.control());
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for tag in 1..=6 {
                let mut session = support::session();
                session.append("Tea and oranges").unwrap();
                let request = session.generate(&options(3)).unwrap();
                queue.add(&request, tag).unwrap();
                kept.push(request);
            }
            while !kept.iter().all(|request| request.stats().unwrap().done) {
                std::thread::sleep(Duration::from_millis(1));
            }
            stop.cancel();
        })
    };
    let mut texts = vec![String::new(); 7];
    let mut n_done = 0;
    for tagged in queue.events() {
        let tagged = tagged.unwrap();
        let event = tagged.event.unwrap();
        texts[tagged.tag as usize].push_str(event.text());
        n_done += i32::from(matches!(event, Event::Done { .. }));
    }
    adder.join().unwrap();
    assert_eq!(n_done, 7);
    assert!(texts[1..].iter().all(|text| text == "@eq�"), "{texts:?}");
}

#[test]
fn a_second_puller_is_refused() {
    let queue = Queue::new(support::tiny()).unwrap();
    let mut session = support::session();
    session.append("Tea").unwrap();
    let endless = session.generate(&options(i64::MAX)).unwrap();
    queue.add(&endless, 0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Somebody else pulls nearly all the time, so that this is refused soon.
            let end = Instant::now() + Duration::from_secs(60);
            let is_refused = || queue.wait(Duration::ZERO).is_err_and(|e| e.code() == Code::Busy);
            let was_refused = std::iter::repeat_with(is_refused)
                .take_while(|_| Instant::now() < end)
                .any(|refused| refused);
            endless.cancel();
            assert!(was_refused);
        });
        loop {
            match queue.wait(Duration::from_secs(1)) {
                Ok(Step::End) => break,
                Ok(_) => {}
                Err(error) => assert_eq!(error.code(), Code::Busy, "{error}"),
            }
        }
    });
}

#[test]
fn loading_is_cancelled_from_elsewhere() {
    // Larger than what is made in a moment.
    let geometry = Geometry::default().n_embd(1024).n_ff(8192).n_layers(16).n_heads(16);
    let geometry = geometry.n_kv_heads(16).head_dim(64);
    let loading = ModelOptions::new().device(Device::Cpu).load_synthetic(&geometry).unwrap();
    let canceller = loading.canceller();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(5));
        canceller.cancel();
        canceller
    });
    let error = loading.finish().unwrap_err();
    assert_eq!(error.code(), Code::Cancelled, "{error}");
    thread.join().unwrap().cancel(); // of what is gone: nothing
}
