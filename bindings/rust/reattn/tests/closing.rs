//! Objects end in any order and on any thread, and what outlives them still works.
mod support;

use std::time::Duration;

use reattn::*;

fn assert_shared<T: Send + Sync + 'static>() {}

#[test]
fn everything_may_go_to_other_threads() {
    assert_shared::<Model>();
    assert_shared::<Loading>();
    assert_shared::<LoadCanceller>();
    assert_shared::<Session>();
    assert_shared::<Snapshot>();
    assert_shared::<Request>();
    assert_shared::<RequestControl>();
    assert_shared::<Queue>();
    assert_shared::<Error>();
}

#[test]
fn a_request_outlives_all_it_came_from() {
    let model = ModelOptions::new().device(Device::Cpu).open(support::tiny_path()).unwrap();
    let mut session = Session::with_options(&model, &support::small(&model)).unwrap();
    session.append(support::document()).unwrap();
    let options = RequestOptions::new().max_tokens(4).ignore_end(true);
    let texts = session.generate(&options).unwrap().texts();
    drop(model);
    drop(session);
    let pieces: Vec<String> = texts.map(Result::unwrap).collect();
    assert_eq!(pieces.concat(), "�eq��");
}

#[test]
fn every_order_of_dropping_is_fine() {
    // Model, session, snapshot, request, queue: all 120 orders, each on a thread of its own.
    for order in 0..120usize {
        let model = ModelOptions::new().device(Device::Cpu).open(support::tiny_path()).unwrap();
        let mut session = Session::with_options(&model, &support::small(&model)).unwrap();
        session.append("Tea and oranges").unwrap();
        session.read(|_, _| {}).unwrap();
        let snapshot = session.snapshot().unwrap();
        let request = session.generate(&RequestOptions::new().max_tokens(2)).unwrap();
        let queue = Queue::new(&model).unwrap();
        queue.add(&request, 1).unwrap();
        queue.next_event().unwrap();
        let mut objects: Vec<Box<dyn std::any::Any + Send>> = vec![
            Box::new(model),
            Box::new(session),
            Box::new(snapshot),
            Box::new(request),
            Box::new(queue),
        ];
        std::thread::spawn(move || {
            let mut rest = order;
            for n in (1..=objects.len()).rev() {
                drop(objects.remove(rest % n));
                rest /= n;
            }
        })
        .join()
        .unwrap();
    }
}

#[test]
fn a_dropped_request_frees_its_session() {
    let mut session = support::session();
    session.append(support::document()).unwrap();
    let request = session.generate(&RequestOptions::new().max_tokens(2)).unwrap();
    let control = request.control();
    assert_eq!(session.append("x").unwrap_err().code(), Code::Busy);
    drop(request);
    assert_eq!(control.stats().unwrap_err().code(), Code::Handle);
    control.cancel();
    session.append("x").unwrap();
}

#[test]
fn an_iterator_that_ended_stays_there() {
    let mut session = support::session();
    session.append("Tea").unwrap();
    let mut request = session.generate(&RequestOptions::new().max_tokens(1)).unwrap();
    assert!(matches!((&mut request).last(), Some(Ok(Event::Done { .. }))));
    assert!(request.next().is_none());
    assert_eq!(request.wait(Duration::ZERO).unwrap(), Step::End);
}

#[test]
fn waiting_a_limited_time_changes_nothing() {
    let options = RequestOptions::new().max_tokens(6).ignore_end(true);
    let mut plain = support::session();
    plain.append(support::document()).unwrap();
    let expected = plain.generate(&options).unwrap().text().unwrap();
    let mut session = support::session();
    session.append(support::document()).unwrap();
    let mut request = session.generate(&options).unwrap();
    let (mut text, mut n_timeouts) = (String::new(), 0);
    loop {
        match request.wait(Duration::ZERO).unwrap() {
            Step::Event(event) => text.push_str(event.text()),
            Step::TimedOut => n_timeouts += 1,
            Step::End => break,
        }
    }
    assert_eq!(text, expected);
    assert!(n_timeouts > 0, "a timeout of 0 after every layer");
}

#[test]
fn a_reader_is_one_text_or_none() {
    let text = support::document().repeat(200); // several pieces, some of which end inside a character
    let mut whole = support::session();
    whole.append(&text).unwrap();
    let mut piecewise = support::session();
    assert_eq!(piecewise.append_reader(text.as_bytes()).unwrap(), text.len() as u64);
    let n = whole.info().unwrap().n_pending;
    assert_eq!(piecewise.info().unwrap().n_pending, n);

    let mut session = support::session();
    let bad = [support::document().as_bytes(), b"\xFF and on"].concat();
    let error = session.append_reader(&bad[..]).unwrap_err();
    assert_eq!(error.code(), Code::Arg, "{error}");
    assert_eq!(session.info().unwrap().n_pending, 0);
    session.append("a text of its own, not the end of that one").unwrap();
}

#[test]
fn what_cannot_be_found_is_named() {
    let error = Model::open("no/such/model.gguf").unwrap_err();
    assert_eq!(error.code(), Code::Io);
    assert_eq!(error.code().status(), -14);
    assert!(error.to_string().contains("no/such/model.gguf"), "{error}");
    assert!(error.to_string().ends_with("(E_IO)"), "{error}");
    let error = load_backend("no/such/plugin.so").unwrap_err();
    assert!(matches!(error.code(), Code::NoDevice | Code::Busy), "{error}");
}

#[test]
fn the_machine_and_the_library_describe_themselves() {
    assert_eq!(abi_version().unwrap(), sys::REATTN_ABI_VERSION as i32);
    assert_eq!(version().unwrap().split('.').count(), 3);
    let devices = devices().unwrap();
    assert_eq!(devices[0].device, Device::Cpu);
    assert!(devices[0].n_threads > 0 && !devices[0].name.is_empty());
    assert!(diagnose().unwrap().starts_with("CPU: "));
    let model = ModelOptions::new().open(support::tiny_path()).unwrap();
    drop(model);
    let messages: Vec<_> = log_messages().collect();
    assert!(messages.iter().any(|m| m.text.starts_with("device AUTO chose ")), "{messages:?}");
    assert!(messages.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
}
