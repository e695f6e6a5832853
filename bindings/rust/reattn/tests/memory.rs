//! Memory stays flat over 10,000 models opened and closed and 1,000 answers, each with all that is made on the way.
#![cfg(target_os = "linux")]
mod support;

use reattn::*;

/// Memory of this process that is in RAM, in KiB.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4
}

const ROUNDS: usize = 5;
const LIMIT: i64 = 200;

/// Runs `work` often enough to have every cache filled, then `n` times, and checks that memory rests: what is lost is lost in
/// every round, while the allocator takes what it keeps at any time. More rounds come where it does so in each.
fn rests(what: &str, n: usize, mut work: impl FnMut()) {
    (0..n / ROUNDS).for_each(|_| work());
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS
        || (rounds.len() < 4 * ROUNDS && *rounds.iter().min().unwrap() > LIMIT)
    {
        let before = resident();
        (0..n / ROUNDS).for_each(|_| work());
        rounds.push(resident() - before);
    }
    println!("{what}: {rounds:?} KiB more, by round of {}", n / ROUNDS);
    assert!(*rounds.iter().min().unwrap() <= LIMIT, "{what}: {rounds:?} KiB more");
}

// One test, since others beside it would be measured too.
#[test]
fn memory_stays_flat() {
    let path = support::tiny_path();
    let options = ModelOptions::new().device(Device::Cpu).n_threads(1);
    rests("models and sessions opened and closed", 10_000, || {
        let model = options.open(&path).unwrap();
        Session::new(&model).unwrap().append("Tea").unwrap();
        assert!(Model::open("no/such/file").is_err());
        log_messages().for_each(drop);
    });

    let mut session = support::session();
    session.append(support::document()).unwrap();
    session.read(|_, _| {}).unwrap();
    let snapshot = session.snapshot().unwrap();
    rests("answers", 1_000, || {
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
}
