//! The protocol under its driver, over memory: states, time-outs, budgets, records.

use std::time::Duration;

use crate::chat::OutQueue;
use crate::clock::Now;
use crate::http1::{
    Body, Completion, Connection, Method, PendingResponse, Progress, Reply, Request, Response, Service,
    Settings, Status,
};
use crate::server::{MemoryConnection, WorkerService};

mod applications;

/// Answers every GET with its own path, and anything else with 405.
fn echo_path(request: &Request<'_>, _: Now) -> Response {
    match (request.method, request.path()) {
        (Method::Get | Method::Head, Some(b"/large")) => body(vec![b'x'; 1 << 20]),
        (Method::Get | Method::Head, Some(path)) => body(path.to_vec()),
        _ => Response::error(Status::METHOD_NOT_ALLOWED),
    }
}

fn body(bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Status::OK);
    response.body = Body::Bytes(bytes);
    response
}

type EchoPath = fn(&Request<'_>, Now) -> Response;

/// A connection under its driver, and a peer and a clock that the test moves.
struct Bench<S: 'static>(MemoryConnection<'static, S>);

impl Bench<EchoPath> {
    fn new() -> Self {
        Self::with(echo_path, Settings::default())
    }
}

impl<S: WorkerService> Bench<S> {
    fn with(service: S, settings: Settings) -> Self {
        // A test ends soon enough.
        let (service, settings) = (Box::leak(Box::new(service)), Box::leak(Box::new(settings)));
        let mut connection = MemoryConnection::new(service, settings, Now::ask());
        connection.requests = u32::MAX;
        connection.memory.room = 0;
        Self(connection)
    }

    fn connection(&self) -> &Connection {
        self.0.connection()
    }

    fn state(&self) -> &'static str {
        self.connection().state()
    }

    fn is_closed(&self) -> bool {
        self.connection().is_closed()
    }

    /// The peer sends, and takes nothing.
    fn receive(&mut self, bytes: &str) {
        self.0.receive(bytes.as_bytes());
    }

    fn receive_eof(&mut self) {
        self.0.end();
    }

    fn drain(&mut self) {
        self.0.driver.drain(self.0.now);
    }

    fn later(&mut self, milliseconds: u64) {
        self.0.wait(Duration::from_millis(milliseconds));
    }

    /// The peer takes at most `most` bytes.
    fn send(&mut self, most: usize) -> String {
        self.0.memory.room = most;
        self.0.flush();
        self.0.memory.room = 0;
        String::from_utf8(std::mem::take(&mut self.0.memory.sent)).expect("text")
    }

    /// Request lines and bytes sent of all records so far.
    fn records(&self) -> Vec<(String, u64)> {
        let text = |line: &[u8]| String::from_utf8(line.to_vec()).expect("text");
        self.0.records.iter().map(|record| (text(&record.request_line), record.sent)).collect()
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// The module's picture, walked.
#[test]
fn states() {
    let mut bench = Bench::new();
    assert_eq!(bench.state(), "Reading");
    bench.receive("GET /a HT");
    assert_eq!(bench.state(), "Headers");
    bench.receive("TP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
    assert_eq!(bench.state(), "Body");
    bench.receive("bc");
    assert_eq!(bench.state(), "Writing");
    assert!(!bench.0.driver.wants_read(), "back-pressure");
    assert!(bench.send(usize::MAX).ends_with("\r\n\r\n/a"));
    assert_eq!(bench.state(), "Reading");
    bench.receive("?\x01\r\n\r\n");
    assert_eq!(bench.state(), "Writing");
    assert!(bench.send(usize::MAX).starts_with("HTTP/1.1 400 "));
    assert_eq!(bench.state(), "Lingering");
    assert!(bench.0.driver.wants_read());
    bench.receive("whatever");
    bench.receive_eof();
    assert_eq!(bench.state(), "Closed");
}

/// RULES C2: a client that says nothing is shown out without a word.
#[test]
fn a_silent_client() {
    let mut bench = Bench::new();
    bench.later(9_999);
    assert!(!bench.is_closed());
    bench.later(1);
    assert!(bench.is_closed() && bench.connection().output().is_empty());
}

/// RULES C1: the head's time is one for all of it, and begins with the connection for the first.
#[test]
fn a_head_a_byte_at_a_time() {
    let mut bench = Bench::new();
    for byte in GET.as_bytes().chunks(1).take(9) {
        bench.later(1_000);
        bench.receive(std::str::from_utf8(byte).expect("ASCII"));
        assert_eq!(bench.state(), "Headers");
    }
    bench.later(1_000);
    assert!(bench.send(usize::MAX).starts_with("HTTP/1.1 408 "));
    assert!(bench.is_closed(), "no lingering with who is late");
}

#[test]
fn an_idle_connection_has_the_keep_alive_time_and_the_next_head_its_own() {
    let mut bench = Bench::new();
    bench.receive(GET);
    bench.send(usize::MAX);
    bench.later(14_000);
    bench.receive("GET");
    bench.later(9_999);
    assert_eq!(bench.state(), "Headers");
    bench.receive(&GET[3..]);
    assert!(bench.send(usize::MAX).starts_with("HTTP/1.1 200 "));
    bench.later(15_000);
    assert!(bench.is_closed());
}

/// RULES C3: an idle body, and one that trickles.
#[test]
fn slow_bodies() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n";
    let mut idle = Bench::new();
    idle.receive(head);
    idle.later(9_999);
    assert_eq!(idle.state(), "Body");
    idle.later(1);
    assert!(idle.send(usize::MAX).starts_with("HTTP/1.1 408 "));

    let mut trickle = Bench::new();
    trickle.receive(head);
    let mut seconds = 0;
    while trickle.state() == "Body" {
        trickle.receive("x");
        trickle.later(1_000);
        seconds += 1;
    }
    assert_eq!(seconds, 20);

    let mut steady = Bench::new();
    steady.receive(head);
    for _ in 0..60 {
        assert_eq!(steady.state(), "Body");
        steady.receive(&"x".repeat(1000));
        steady.later(1_000);
    }
    assert!(steady.send(usize::MAX).starts_with("HTTP/1.1 405 "), "slow, but fast enough");
}

/// RULES C4, C5: a reader that stops, and one that sips; both are reset.
#[test]
fn slow_readers() {
    let mut stalled = Bench::new();
    stalled.receive("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    stalled.send(1000);
    stalled.later(29_999);
    assert!(!stalled.is_closed());
    stalled.later(1);
    assert!(stalled.is_closed() && stalled.connection().wants_reset());

    let mut sipping = Bench::new();
    sipping.receive("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut seconds = 0;
    while !sipping.is_closed() {
        sipping.send(1);
        sipping.later(1_000);
        seconds += 1;
    }
    assert_eq!(seconds, 60);
}

/// A request that has begun behind an answer which is still leaving is not late yet.
#[test]
fn a_head_behind_a_slow_answer_has_its_time_later() {
    let mut bench = Bench::new();
    bench.receive(&format!("{GET}GET /b HT"));
    for _ in 0..10 {
        bench.later(2_000);
        assert_eq!(bench.send(1).len(), 1, "{}", bench.state());
    }
    assert!(bench.send(usize::MAX).ends_with("/a"));
    bench.later(9_000);
    bench.receive("TP/1.1\r\nHost: h\r\n\r\n");
    assert!(bench.send(usize::MAX).ends_with("/b"));
}

/// RULES E10: lingering has an end.
#[test]
fn lingering_is_bounded() {
    for (piece, want) in [("", 2), ("x", 10)] {
        let mut bench = Bench::new();
        bench.receive("BAD\r\n\r\n");
        bench.send(usize::MAX);
        let mut seconds = 0;
        while !bench.is_closed() {
            bench.receive(piece);
            bench.later(1_000);
            seconds += 1;
        }
        assert_eq!(seconds, want);
    }
    let mut bench = Bench::new();
    bench.receive("BAD\r\n\r\n");
    bench.send(usize::MAX);
    for _ in 0..16 {
        assert!(!bench.is_closed());
        bench.receive(&"x".repeat(64 * 1024));
    }
    bench.receive("x");
    assert!(bench.is_closed(), "a megabyte is enough");
}

/// RULES E5, C13: the turn's budget and the high-water mark both stop a flood, and nothing is lost.
#[test]
fn a_flood_is_answered_in_portions() {
    let mut bench = Bench::new();
    bench.0.requests = 16;
    bench.receive(&GET.repeat(100));
    assert_eq!(bench.0.requests, 0);
    assert!(!bench.0.driver.wants_read());
    let mut answers = 0;
    for _ in 0..7 {
        answers += bench.send(usize::MAX).matches("HTTP/1.1 200").count();
        bench.0.requests = 16;
        bench.0.flush();
    }
    answers += bench.send(usize::MAX).matches("HTTP/1.1 200").count();
    assert_eq!(answers, 100);

    let mut bench = Bench::new();
    bench.receive(&"GET /large HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100));
    assert!(bench.connection().output().len() < 2 << 20, "one large answer at a time");
}

/// RULES D7: the peer is told in an answer, or left alone until it has been quiet for a second.
#[test]
fn draining() {
    let mut idle = Bench::new();
    idle.receive(GET);
    idle.send(usize::MAX);
    idle.drain();
    idle.later(999);
    assert_eq!(idle.state(), "Reading");
    idle.later(1);
    assert!(idle.send(usize::MAX).is_empty());
    assert_eq!(idle.state(), "Lingering", "a request that crosses the close resets nothing");

    let mut crossing = Bench::new();
    crossing.drain();
    crossing.later(500);
    crossing.receive(&format!("{GET}{GET}"));
    let answer = crossing.send(usize::MAX);
    assert!(answer.contains("Connection: close") && answer.matches("HTTP/1.1").count() == 1);
    assert_eq!(crossing.state(), "Lingering");

    let mut busy = Bench::new();
    busy.receive("GET /a HT");
    busy.drain();
    busy.receive(&format!("TP/1.1\r\nHost: h\r\n\r\n{GET}"));
    let answer = busy.send(usize::MAX);
    assert!(answer.contains("Connection: close") && answer.matches("HTTP/1.1").count() == 1);

    let mut writing = Bench::new();
    writing.receive(GET);
    writing.drain();
    assert!(writing.send(usize::MAX).ends_with("/a"), "what is due is sent");
    writing.receive(GET);
    assert!(writing.send(usize::MAX).contains("Connection: close"), "one more, since it was promised");
}

/// An answer that took its time may have been followed by more, although it said `close`.
#[test]
fn closing() {
    let last = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let mut small = Bench::new();
    small.receive(last);
    small.send(usize::MAX);
    assert!(small.is_closed(), "it is quiet");

    let mut crossing = Bench::new();
    crossing.receive(last);
    crossing.0.memory.inbox = GET.into();
    crossing.send(usize::MAX);
    assert!(crossing.0.memory.is_shut_down && crossing.state() == "Lingering", "it was not quiet");

    let mut full = Bench::new();
    full.receive("GET /large HTTP/1.0\r\n\r\n");
    full.send(usize::MAX);
    assert_eq!(full.state(), "Lingering", "the socket took it, the peer may not have");

    let mut large = Bench::new();
    large.receive("GET /large HTTP/1.0\r\n\r\n");
    large.send(1000);
    large.later(10);
    large.send(usize::MAX);
    assert_eq!(large.state(), "Lingering");
}

/// RULES A67: no body goes out to HEAD, whatever is wrong with it.
#[test]
fn refusals_of_head_have_no_body() {
    for request in [
        "HEAD / HTTP/1.1\r\n\r\n",
        "HEAD / HTTP/3.0\r\n",
        "HEAD\r\n",
        "HEAD\t/ HTTP/1.1\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HEAD / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n",
    ] {
        let mut bench = Bench::new();
        bench.receive(request);
        let answer = bench.send(usize::MAX);
        assert!(answer.contains("close\r\n") && answer.ends_with("\r\n\r\n"), "{request:?}: {answer}");
    }
    for request in ["HEAD / HT", "HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"] {
        let mut bench = Bench::new();
        bench.receive(request);
        bench.later(10_000);
        let answer = bench.send(usize::MAX);
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(bench.0.records[0].request_line.starts_with(b"HEAD / HT"));
    }
}

/// RULES A1: empty lines are no request, and too many of them are none either.
#[test]
fn empty_lines() {
    let mut bench = Bench::new();
    bench.receive(&format!("{GET}\r\n"));
    assert!(bench.send(usize::MAX).ends_with("/a"));
    assert_eq!(bench.state(), "Reading");
    bench.later(14_999);
    assert_eq!(bench.state(), "Reading", "still the keep-alive time");
    for step in [1, 2, 3, 20] {
        for (count, want) in [(10, "200"), (11, "400")] {
            let mut bench = Bench::new();
            let input = format!("{}{GET}", "\r\n".repeat(count));
            let mut pieces = input.as_bytes().chunks(step);
            while bench.0.driver.wants_read()
                && let Some(piece) = pieces.next()
            {
                bench.receive(std::str::from_utf8(piece).expect("ASCII"));
            }
            let answer = bench.send(usize::MAX);
            assert!(answer.starts_with(&format!("HTTP/1.1 {want} ")), "{count} in steps of {step}: {answer}");
        }
    }
}

#[test]
fn records() {
    let mut bench = Bench::new();
    bench.receive(&format!("{GET}HEAD /b HTTP/1.1\r\nHost: h\r\n\r\nGET /large HTTP/1.1\r\nHost: h\r\n\r\n"));
    bench.send(1000);
    bench.later(1_500);
    assert_eq!(bench.records(), [("GET /a HTTP/1.1".into(), 2), ("HEAD /b HTTP/1.1".into(), 0)]);
    // From the first byte of the request, not from the accept.
    bench.0.close();
    let cut = &bench.0.records[2];
    assert!(cut.sent > 0 && cut.sent < 1000, "{} bytes", cut.sent);
    assert_eq!(cut.duration, Duration::from_millis(1_500));
}

/// HTTP/1.0 gets no interim answers, and an empty line between requests does not matter.
#[test]
fn small_things() {
    let mut bench = Bench::new();
    bench.receive(&format!("\r\n\r\n{GET}\r\n{GET}"));
    assert_eq!(bench.send(usize::MAX).matches("HTTP/1.1 200").count(), 2);
    let head = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
    bench.receive(head);
    let answer = bench.send(usize::MAX);
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

/// RULES A55: a chunk that is not worth reading is answered when it is announced, not when it has come or the
/// time is over.
#[test]
fn a_chunk_is_judged_by_its_size_line() {
    for (method, size, want) in [
        ("POST", "10001", "405"),
        ("GET", "10001", "200"),
        ("GET", "100001", "413"),
        ("POST", "7fffffffffffffff", "405"),
        ("GET", "7fffffffffffffff", "413"),
        ("GET", "8000000000000000", "400"),
    ] {
        let head = format!("{method} /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for behind in ["", "abc\r\n0\r\n\r\n"] {
            let mut bench = Bench::new();
            bench.receive(&format!("{head}{size}\r\n{behind}{GET}"));
            let answer = bench.send(usize::MAX);
            assert!(answer.starts_with(&format!("HTTP/1.1 {want} ")), "{method} {size}: {answer}");
            assert!(answer.contains("close\r\n") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
        }
    }
    let mut fits = Bench::new();
    fits.receive("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n");
    assert_eq!(fits.state(), "Body");
}
