//! C21: a head with as many fields as are allowed.

use std::time::{Duration, Instant};

use stheno::clock::{DateCache, Now};
use stheno::http1::{Connection, Request, Response, Settings, Status, Turn};

use crate::support::rules::holds;

#[test]
fn c21_a_hundred_fields_cost_little() {
    let names = ["aaaa", "aaab", "AAAA", "aAaA"];
    let fields: String = (0..99).map(|n| format!("{}: {n}\r\n", names[n % names.len()])).collect();
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let service = |_: &Request<'_>, _: Now| Response::new(Status::NO_CONTENT);
    let (settings, now, mut dates) = (Settings::default(), Now::ask(), DateCache::new());
    let mut best = Duration::MAX;
    for _ in 0..50 {
        let mut connection = Connection::new(now);
        let mut turn = Turn { now, settings: &settings, service: &service, dates: &mut dates, requests: 1 };
        let begun = Instant::now();
        connection.receive(head.as_bytes(), &mut turn);
        best = best.min(begun.elapsed());
        let answer = connection.output_mut().to_bytes().expect("bytes");
        assert!(answer.starts_with(b"HTTP/1.1 204 "), "{:?}", String::from_utf8_lossy(&answer));
    }
    assert!(best < Duration::from_millis(20), "{best:?}");
    holds("C21", format!("100 fields of colliding names: {best:.1?} (debug build)"), "≤ 200 µs");
}
