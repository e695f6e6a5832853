//! Memory stays flat over 10,000 models opened and closed and 1,000 answers, each with all that is made on the way.
#![cfg(target_os = "linux")]
mod support;

use reattn::*;

/// Memory of this process that is in RAM, in KiB.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4
}

/// Runs `work` often enough to have every cache filled, then `n` times; how much memory grew.
fn growth(n: i64, mut work: impl FnMut()) -> i64 {
    for _ in 0..n / 5 {
        work();
    }
    let before = resident();
    for _ in 0..n {
        work();
    }
    resident() - before
}

// One test, since others beside it would be measured too.
#[test]
fn memory_stays_flat() {
    let path = support::tiny_path();
    let header = ModelOptions::new().device(Device::Cpu).header_only(true);
    let grown = growth(10_000, || {
        let model = header.open(&path).unwrap();
        assert_eq!(model.info().unwrap().n_layers, 2);
        assert!(Model::open("no/such/file").is_err());
        log_messages().for_each(drop);
    });
    println!("10,000 models opened and closed: {grown} KiB more");
    assert!(grown < 1024, "{grown} KiB more");

    let mut session = support::session();
    session.append(support::document()).unwrap();
    session.read(|_, _| {}).unwrap();
    let snapshot = session.snapshot().unwrap();
    let grown = growth(1_000, || {
        let mut session = Session::resume(support::tiny(), &snapshot).unwrap();
        session.append("\nWhich ship? ").unwrap();
        session.fork().unwrap_err(); // busy: something is queued
        let mut fork = Session::resume(support::tiny(), &snapshot).unwrap().fork().unwrap();
        fork.append("never read").unwrap();
        let mut request = session.generate(&RequestOptions::new().max_tokens(4)).unwrap();
        request.text().unwrap();
        request.recalled(Layer::All, Scope::Answer).unwrap();
        assert!(session.text(0, -1).is_err());
    });
    println!("1,000 answers: {grown} KiB more");
    assert!(grown < 1024, "{grown} KiB more");
}
