//! C21: a head with as many fields as are allowed.

use std::time::{Duration, Instant};

use stheno::clock::Now;
use stheno::http1::{Request, Response, Settings, Status};
use stheno::server::MemoryConnection;

use crate::support::rules::holds;

#[test]
fn c21_a_hundred_fields_cost_little() {
    let names = ["aaaa", "aaab", "AAAA", "aAaA"];
    let fields: String = (0..99).map(|n| format!("{}: {n}\r\n", names[n % names.len()])).collect();
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let service = |_: &Request<'_>, _: Now| Response::new(Status::NO_CONTENT);
    let (settings, now) = (Settings::default(), Now::ask());
    let mut best = Duration::MAX;
    for _ in 0..50 {
        let mut client = MemoryConnection::new(&service, &settings, now);
        let begun = Instant::now();
        client.receive(head.as_bytes());
        best = best.min(begun.elapsed());
        let response = client.memory.sent;
        assert!(response.starts_with(b"HTTP/1.1 204 "), "{:?}", String::from_utf8_lossy(&response));
    }
    assert!(best < Duration::from_millis(20), "{best:?}");
    holds("C21", format!("100 fields of colliding names: {best:.1?} (debug build)"), "≤ 200 µs");
}
