use super::*;
use crate::http1::{Body, Method, Request};

/// A connection, its driver, and a clock that the test moves.
struct Bench {
    connection: Connection,
    settings: Settings,
    dates: DateCache,
    now: Now,
    requests: u32,
}

/// Answers every GET with its own path, and anything else with 405.
fn echo_path(request: &Request<'_>, _: Now) -> Response {
    match (request.method, request.path()) {
        (Method::Get | Method::Head, Some(b"/large")) => body(vec![b'x'; 1 << 20]),
        (Method::Get | Method::Head, Some(path)) => body(path.to_vec()),
        _ => Response::error(crate::http1::Status::METHOD_NOT_ALLOWED),
    }
}

fn body(bytes: Vec<u8>) -> Response {
    let mut response = Response::new(crate::http1::Status::OK);
    response.body = Body::Bytes(bytes);
    response
}

impl Bench {
    fn new() -> Self {
        let now = Now::ask();
        Self {
            connection: Connection::new(now),
            settings: Settings { record: true, ..Settings::default() },
            dates: DateCache::new(),
            now,
            requests: u32::MAX,
        }
    }

    fn turn(&mut self, call: impl FnOnce(&mut Connection, &mut Turn<'_, fn(&Request<'_>, Now) -> Response>)) {
        let service: fn(&Request<'_>, Now) -> Response = echo_path;
        let mut turn = Turn {
            now: self.now,
            settings: &self.settings,
            service: &service,
            dates: &mut self.dates,
            requests: self.requests,
        };
        call(&mut self.connection, &mut turn);
        self.requests = turn.requests;
    }

    fn receive(&mut self, bytes: &str) {
        self.turn(|connection, turn| connection.receive(bytes.as_bytes(), turn));
    }

    fn later(&mut self, milliseconds: u64) {
        self.now = self.now.after(Duration::from_millis(milliseconds));
        self.turn(|connection, turn| connection.handle_timeout(turn));
    }

    /// Sends at most `most` bytes of the output; all of them: does what comes after.
    fn send(&mut self, most: usize) -> String {
        let mut sent = Vec::new();
        while sent.len() < most {
            let Some(segment) = self.connection.output_mut().front().expect("output") else {
                match self.connection.flushed(self.now) {
                    Flushed::Resume => {
                        self.turn(|connection, turn| connection.resume(turn));
                        if self.connection.output().is_empty() {
                            break;
                        }
                        continue;
                    }
                    Flushed::CloseIfQuiet => {
                        self.connection.close();
                        break;
                    }
                    Flushed::Shutdown | Flushed::Close => break,
                }
            };
            let crate::chat::Segment::Bytes { bytes, .. } = segment else {
                panic!("no files here");
            };
            let count = bytes.len().min(most - sent.len());
            sent.extend_from_slice(&bytes[..count]);
            self.connection.output_mut().advance(count);
            self.connection.note_progress(self.now);
        }
        String::from_utf8(sent).expect("text")
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// The module's picture, walked.
#[test]
fn states() {
    let mut bench = Bench::new();
    assert_eq!(bench.connection.state(), "Reading");
    bench.receive("GET /a HT");
    assert_eq!(bench.connection.state(), "Headers");
    bench.receive("TP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
    assert_eq!(bench.connection.state(), "Body");
    bench.receive("bc");
    assert_eq!(bench.connection.state(), "Writing");
    assert!(!bench.connection.wants_read(), "back-pressure");
    assert!(bench.send(usize::MAX).ends_with("\r\n\r\n/a"));
    assert_eq!(bench.connection.state(), "Reading");
    bench.receive("?\x01\r\n\r\n");
    assert_eq!(bench.connection.state(), "Writing");
    assert!(bench.send(usize::MAX).starts_with("HTTP/1.1 400 "));
    assert_eq!(bench.connection.state(), "Lingering");
    assert!(bench.connection.wants_read());
    bench.receive("whatever");
    bench.turn(|connection, turn| connection.receive_eof(turn));
    assert_eq!(bench.connection.state(), "Closed");
}

/// RULES C2: a client that says nothing is shown out without a word.
#[test]
fn a_silent_client() {
    let mut bench = Bench::new();
    bench.later(9_999);
    assert!(!bench.connection.is_closed());
    bench.later(1);
    assert!(bench.connection.is_closed() && bench.connection.output().is_empty());
}

/// RULES C1: the head's time is one for all of it, and begins with the connection for the first.
#[test]
fn a_head_a_byte_at_a_time() {
    let mut bench = Bench::new();
    for byte in GET.as_bytes().chunks(1).take(9) {
        bench.later(1_000);
        bench.receive(std::str::from_utf8(byte).expect("ASCII"));
        assert_eq!(bench.connection.state(), "Headers");
    }
    bench.later(1_000);
    assert!(bench.send(usize::MAX).starts_with("HTTP/1.1 408 "));
    assert!(bench.connection.is_closed(), "no lingering with who is late");
}

#[test]
fn an_idle_connection_has_the_keep_alive_time_and_the_next_head_its_own() {
    let mut bench = Bench::new();
    bench.receive(GET);
    bench.send(usize::MAX);
    bench.later(14_000);
    bench.receive("GET");
    bench.later(9_999);
    assert_eq!(bench.connection.state(), "Headers");
    bench.receive(&GET[3..]);
    assert!(bench.send(usize::MAX).starts_with("HTTP/1.1 200 "));
    bench.later(15_000);
    assert!(bench.connection.is_closed());
}

/// RULES C3: an idle body, and one that trickles.
#[test]
fn slow_bodies() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n";
    let mut idle = Bench::new();
    idle.receive(head);
    idle.later(9_999);
    assert_eq!(idle.connection.state(), "Body");
    idle.later(1);
    assert!(idle.send(usize::MAX).starts_with("HTTP/1.1 408 "));

    let mut trickle = Bench::new();
    trickle.receive(head);
    let mut seconds = 0;
    while trickle.connection.state() == "Body" {
        trickle.receive("x");
        trickle.later(1_000);
        seconds += 1;
    }
    assert_eq!(seconds, 20);

    let mut steady = Bench::new();
    steady.receive(head);
    for _ in 0..60 {
        assert_eq!(steady.connection.state(), "Body");
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
    assert!(!stalled.connection.is_closed());
    stalled.later(1);
    assert!(stalled.connection.is_closed() && stalled.connection.wants_reset());

    let mut sipping = Bench::new();
    sipping.receive("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut seconds = 0;
    while !sipping.connection.is_closed() {
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
        assert_eq!(bench.send(1).len(), 1, "{}", bench.connection.state());
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
        while !bench.connection.is_closed() {
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
        assert!(!bench.connection.is_closed());
        bench.receive(&"x".repeat(64 * 1024));
    }
    bench.receive("x");
    assert!(bench.connection.is_closed(), "a megabyte is enough");
}

/// RULES E5, C13: the turn's budget and the high-water mark both stop a flood, and nothing is lost.
#[test]
fn a_flood_is_answered_in_portions() {
    let mut bench = Bench::new();
    bench.requests = 16;
    bench.receive(&GET.repeat(100));
    assert_eq!(bench.requests, 0);
    assert!(!bench.connection.wants_read());
    let mut answers = 0;
    for _ in 0..7 {
        answers += bench.send(usize::MAX).matches("HTTP/1.1 200").count();
        bench.requests = 16;
        bench.turn(|connection, turn| connection.resume(turn));
    }
    answers += bench.send(usize::MAX).matches("HTTP/1.1 200").count();
    assert_eq!(answers, 100);

    let mut bench = Bench::new();
    bench.receive(&"GET /large HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100));
    assert!(bench.connection.output().len() < 2 << 20, "one large answer at a time");
}

/// RULES D7: the peer is told in an answer, or left alone until it has been quiet for a second.
#[test]
fn draining() {
    let mut idle = Bench::new();
    idle.receive(GET);
    idle.send(usize::MAX);
    idle.connection.drain(idle.now);
    idle.later(999);
    assert_eq!(idle.connection.state(), "Reading");
    idle.later(1);
    assert!(idle.send(usize::MAX).is_empty());
    assert_eq!(idle.connection.state(), "Lingering", "a request that crosses the close resets nothing");

    let mut crossing = Bench::new();
    crossing.connection.drain(crossing.now);
    crossing.later(500);
    crossing.receive(&format!("{GET}{GET}"));
    let answer = crossing.send(usize::MAX);
    assert!(answer.contains("Connection: close") && answer.matches("HTTP/1.1").count() == 1);
    assert_eq!(crossing.connection.state(), "Lingering");

    let mut busy = Bench::new();
    busy.receive("GET /a HT");
    busy.connection.drain(busy.now);
    busy.receive(&format!("TP/1.1\r\nHost: h\r\n\r\n{GET}"));
    let answer = busy.send(usize::MAX);
    assert!(answer.contains("Connection: close") && answer.matches("HTTP/1.1").count() == 1);

    let mut writing = Bench::new();
    writing.receive(GET);
    writing.connection.drain(writing.now);
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
    small.connection.output_mut().to_bytes().expect("output");
    assert_eq!(small.connection.flushed(small.now), Flushed::CloseIfQuiet);
    small.receive(GET);
    assert_eq!(small.connection.flushed(small.now), Flushed::Shutdown, "it was not quiet");

    let mut full = Bench::new();
    full.receive("GET /large HTTP/1.0\r\n\r\n");
    full.send(usize::MAX);
    assert_eq!(full.connection.state(), "Lingering", "the socket took it, the peer may not have");

    let mut large = Bench::new();
    large.receive("GET /large HTTP/1.0\r\n\r\n");
    large.send(1000);
    large.later(10);
    large.send(usize::MAX);
    assert_eq!(large.connection.state(), "Lingering");
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
        let exchange = bench.connection.take_finished(bench.now, true).expect("logged");
        assert!(exchange.request_line.starts_with(b"HEAD / HT"));
    }
}

/// RULES A1: empty lines are no request, and too many of them are none either.
#[test]
fn empty_lines() {
    let mut bench = Bench::new();
    bench.receive(&format!("{GET}\r\n"));
    assert!(bench.send(usize::MAX).ends_with("/a"));
    assert_eq!(bench.connection.state(), "Reading");
    bench.later(14_999);
    assert_eq!(bench.connection.state(), "Reading", "still the keep-alive time");
    for step in [1, 2, 3, 20] {
        for (count, want) in [(10, "200"), (11, "400")] {
            let mut bench = Bench::new();
            let input = format!("{}{GET}", "\r\n".repeat(count));
            let mut pieces = input.as_bytes().chunks(step);
            while bench.connection.wants_read()
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
fn exchanges() {
    let mut bench = Bench::new();
    bench.receive(&format!("{GET}HEAD /b HTTP/1.1\r\nHost: h\r\n\r\nGET /large HTTP/1.1\r\nHost: h\r\n\r\n"));
    bench.send(1000);
    bench.later(1_500);
    let mut finished = Vec::new();
    while let Some(exchange) = bench.connection.take_finished(bench.now, false) {
        finished.push((String::from_utf8(exchange.request_line.to_vec()).expect("text"), exchange.sent));
    }
    assert_eq!(finished, [("GET /a HTTP/1.1".into(), 2), ("HEAD /b HTTP/1.1".into(), 0)]);
    // From the first byte of the request, not from the accept.
    let cut = bench.connection.take_finished(bench.now, true).expect("the third");
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
    assert_eq!(fits.connection.state(), "Body");
}
