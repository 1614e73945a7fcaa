//! The protocol under the server's driver, over memory and with a clock that the test moves: states, time-outs, budgets,
//! records.

mod applications;

use std::time::Duration;

use stheno::clock::Now;
use stheno::http1::{Body, Connection, Method, Request, Response, Settings, Status};
use stheno::server::{MemoryConnection, WorkerService};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_LARGE: &str = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
const HEAD_OF_60_KB: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n";

/// Responds to GET with the path, or with a megabyte, and to other methods with 405.
fn echo_path(request: &Request<'_>, _: Now) -> Response {
    let mut response = Response::new(Status::OK);
    response.body = Body::Bytes(match (request.method, request.path()) {
        (Method::Get | Method::Head, Some(b"/large")) => vec![b'x'; 1 << 20],
        (Method::Get | Method::Head, Some(path)) => path.to_vec(),
        _ => return Response::error(Status::METHOD_NOT_ALLOWED),
    });
    response
}

/// A connection that takes any number of requests in a turn, and whose peer reads when the test says so.
struct Client<S: 'static>(MemoryConnection<'static, S>);

/// A client of `echo_path` that has sent `input`.
fn client(input: &str) -> Client<impl WorkerService + use<>> {
    let mut client = Client::of(echo_path, Settings::default());
    client.send(input);
    client
}

impl<S: WorkerService> Client<S> {
    /// The service and the settings are leaked: a test ends soon.
    fn of(service: S, settings: Settings) -> Self {
        let (service, settings) = (Box::leak(Box::new(service)), Box::leak(Box::new(settings)));
        let mut connection = MemoryConnection::new(service, settings, Now::ask());
        connection.frames = u32::MAX;
        connection.memory.room = 0;
        Self(connection)
    }

    fn connection(&self) -> &Connection {
        self.0.connection()
    }

    fn state(&self) -> &'static str {
        self.connection().state()
    }

    fn wants_read(&self) -> bool {
        self.0.driver.wants_read()
    }

    fn send(&mut self, bytes: &str) {
        self.0.receive(bytes.as_bytes());
    }

    fn drain(&mut self) {
        self.0.driver.drain(self.0.now);
    }

    fn wait(&mut self, milliseconds: u64) {
        self.0.wait(Duration::from_millis(milliseconds));
    }

    /// Reads at most `most` bytes.
    fn read(&mut self, most: usize) -> String {
        self.0.memory.room = most;
        self.0.flush();
        self.0.memory.room = 0;
        String::from_utf8(std::mem::take(&mut self.0.memory.sent)).expect("text")
    }

    fn read_all(&mut self) -> String {
        self.read(usize::MAX)
    }

    /// Returns how long the connection stays in its state, in milliseconds: `act` runs before each wait of `step`.
    fn time_in_state(&mut self, step: u64, act: impl Fn(&mut Self)) -> u64 {
        let state = self.state();
        let mut time = 0;
        while self.state() == state {
            act(self);
            self.wait(step);
            time += step;
        }
        time
    }
}

fn nothing<S>(_: &mut Client<S>) {}

/// The picture in the doc of `http1::connection`.
#[test]
fn states() {
    let mut client = client("");
    assert_eq!(client.state(), "Reading");
    for (input, state) in [
        ("GET /a HT", "Headers"),
        ("TP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na", "Body"),
        ("bc", "Writing"),
    ] {
        client.send(input);
        assert_eq!(client.state(), state);
    }
    assert!(!client.wants_read(), "back-pressure");
    assert!(client.read_all().ends_with("\r\n\r\n/a"));
    assert_eq!(client.state(), "Reading");
    client.send("?\x01\r\n\r\n");
    assert_eq!(client.state(), "Writing");
    assert!(client.read_all().starts_with("HTTP/1.1 400 "));
    assert_eq!(client.state(), "Lingering");
    assert!(client.wants_read());
    client.send("anything");
    client.0.end();
    assert_eq!(client.state(), "Closed");
}

/// RULES C1, C2: a silent client is closed without a response. One time is granted for the whole head, from the accept
/// on for the first.
#[test]
fn heads_have_a_time() {
    let mut silent = client("");
    assert_eq!(silent.time_in_state(1, nothing), 10_000);
    assert!(silent.state() == "Closed" && silent.connection().output().is_empty());

    let mut slow = client("");
    slow.wait(1_000);
    slow.send("G");
    assert_eq!(slow.time_in_state(1_000, |slow| slow.send("E")), 9_000);
    assert!(slow.read_all().starts_with("HTTP/1.1 408 "));
    assert_eq!(slow.state(), "Closed", "a late peer gets no lingering close");
}

/// An empty line does not end the idle state (RULES A1). The next head has its own time.
#[test]
fn an_idle_connection_has_the_keep_alive_time() {
    let mut client = client(&format!("{GET}\r\n"));
    client.read_all();
    client.wait(14_000);
    client.send("GET");
    client.wait(9_999);
    assert_eq!(client.state(), "Headers");
    client.send(&GET[3..]);
    assert!(client.read_all().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.time_in_state(1, nothing), 15_000);
    assert_eq!(client.state(), "Closed");
}

/// RULES C3: a body that stops, one that trickles, and one that is slow but fast enough.
#[test]
fn slow_bodies() {
    let mut stalled = client(HEAD_OF_60_KB);
    assert_eq!(stalled.time_in_state(1, nothing), 10_000);
    assert!(stalled.read_all().starts_with("HTTP/1.1 408 "));

    let mut trickling = client(HEAD_OF_60_KB);
    assert_eq!(trickling.time_in_state(1_000, |client| client.send("x")), 20_000);

    let mut steady = client(HEAD_OF_60_KB);
    assert_eq!(steady.time_in_state(1_000, |client| client.send(&"x".repeat(1000))), 60_000);
    assert!(steady.read_all().starts_with("HTTP/1.1 405 "));
}

/// RULES C4, C5: a reader that stops, and one that sips, are reset.
#[test]
fn slow_readers() {
    let mut stalled = client(GET_LARGE);
    stalled.read(1000);
    assert_eq!(stalled.time_in_state(1, nothing), 60_000);
    assert!(stalled.state() == "Closed" && stalled.connection().wants_reset());

    let mut sipping = client(GET_LARGE);
    assert_eq!(sipping.time_in_state(1_000, |client| assert_eq!(client.read(1).len(), 1)), 120_000);
    assert!(sipping.state() == "Closed" && sipping.connection().wants_reset());
}

/// The kernel has taken 100,000 bytes, and has no room for more. What the peer acknowledges of them counts (RULES C26).
#[test]
fn acknowledged_bytes_are_progress() {
    let full = || {
        let mut client = client(GET_LARGE);
        client.read(100_000);
        client.0.memory.unacknowledged = Some(100_000);
        client
    };
    let take = |client: &mut Client<_>, bytes| {
        let left = client.0.memory.unacknowledged.as_mut().expect("a number");
        *left = left.saturating_sub(bytes);
    };
    assert_eq!(full().time_in_state(1, nothing), 75_000, "one that takes nothing, from the first look on");

    let mut steady = full();
    for _ in 0..90 {
        take(&mut steady, 1030);
        steady.wait(1000);
    }
    assert_eq!(steady.state(), "Writing");
    // The last look that found more was after 90 s.
    assert_eq!(steady.time_in_state(1000, nothing), 60_000);

    // 1,000 bytes a second are below the rate after the second time-out.
    assert_eq!(full().time_in_state(1000, |client| take(client, 100)), 132_000);

    // Where the number is not known, only what the kernel takes counts.
    let mut unknown = full();
    unknown.0.memory.unacknowledged = None;
    assert_eq!(unknown.time_in_state(1, nothing), 60_000);
}

/// The rest of a response is in the kernel: the connection is neither idle nor lingering (RULES C27).
#[test]
fn a_response_is_over_when_it_is_acknowledged() {
    let close = "GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    for (request, state, time) in [(GET_LARGE, "Reading", 15_000), (close, "Lingering", 2_000)] {
        let taken = || {
            let mut client = client(request);
            client.read_all();
            assert_eq!(client.state(), state);
            client.0.memory.unacknowledged = Some(600_000);
            client
        };
        let mut slow = taken();
        let left = |client: &Client<_>| client.0.memory.unacknowledged.expect("a number");
        while left(&slow) > 0 {
            slow.0.memory.unacknowledged = Some(left(&slow).saturating_sub(2000));
            slow.wait(1000);
            assert_eq!(slow.state(), state, "{} are left", left(&slow));
        }
        let rest = slow.time_in_state(1, nothing);
        assert!((time..=time + 15_000).contains(&rest), "{rest}");
        assert!(!slow.connection().wants_reset());

        let mut stopped = taken();
        let silence = stopped.time_in_state(1, |client| {
            if state == "Lingering" {
                client.send("x")
            }
        });
        // From the first look on, which is at the end of the state's own time; input is no progress.
        assert_eq!(silence, 60_000 + if state == "Lingering" { 10_000 } else { time });
        assert!(stopped.connection().wants_reset());

        let mut draining = taken();
        draining.drain();
        assert!(draining.time_in_state(1, nothing) <= 2_000);
    }
}

/// The time of a head that begins while a response is leaving begins when the response has left.
#[test]
fn a_head_after_a_slow_response() {
    let mut client = client(&format!("{GET}GET /b HT"));
    for _ in 0..10 {
        client.wait(2_000);
        assert_eq!(client.read(1).len(), 1, "{}", client.state());
    }
    assert!(client.read_all().ends_with("/a"));
    client.wait(9_000);
    client.send("TP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.read_all().ends_with("/b"));
}

/// RULES E10: lingering is bounded in time and in bytes.
#[test]
fn lingering() {
    let lingering = || {
        let mut client = client("BAD\r\n\r\n");
        client.read_all();
        client
    };
    assert_eq!(lingering().time_in_state(1_000, nothing), 2_000);
    assert_eq!(lingering().time_in_state(1_000, |client| client.send("x")), 10_000);
    let mut flooded = lingering();
    for _ in 0..16 {
        assert_eq!(flooded.state(), "Lingering");
        flooded.send(&"x".repeat(64 * 1024));
    }
    flooded.send("x");
    assert_eq!(flooded.state(), "Closed", "after a megabyte");
}

/// RULES E5, C13: the turn's budget and the high-water mark both stop a flood, and every request has its response.
#[test]
fn floods() {
    let mut flood = client("");
    flood.0.frames = 16;
    flood.send(&GET.repeat(100));
    assert!(flood.0.frames == 0 && !flood.wants_read());
    let mut responses = 0;
    for _ in 0..8 {
        responses += flood.read_all().matches("HTTP/1.1 200").count();
        flood.0.frames = 16;
        flood.0.flush();
    }
    assert_eq!(responses, 100);

    let large = client(&GET_LARGE.repeat(100));
    assert!(large.connection().output().len() < 2 << 20, "one large response at a time");
}

/// Requests that wait for the turn's budget are no fault of the client: the time-out of its head does not refuse them.
#[test]
fn requests_that_wait_for_a_turn_are_in_time() {
    let mut client = client("");
    client.0.frames = 16;
    client.0.memory.room = usize::MAX;
    client.send(&GET.repeat(40));
    for handled in [16, 32, 40] {
        let sent = String::from_utf8_lossy(&client.0.memory.sent);
        assert_eq!(sent.matches("HTTP/1.1 200").count(), handled);
        assert_eq!(client.connection().is_idle(), handled == 40);
        client.0.frames = 16;
        client.wait(11_000);
    }
    assert_eq!(client.state(), "Reading");
    assert!(!String::from_utf8_lossy(&client.0.memory.sent).contains("408"));
}

/// RULES D7: a peer is told in a response that the connection ends; an idle one is left alone for a second.
#[test]
fn draining() {
    let is_last =
        |response: &str| response.contains("Connection: close") && response.matches("HTTP/1.1").count() == 1;
    let mut idle = client(GET);
    idle.read_all();
    idle.drain();
    assert_eq!(idle.time_in_state(1, nothing), 1_000);
    assert!(idle.read_all().is_empty());
    assert_eq!(idle.state(), "Lingering", "a request that crosses the close causes no reset");

    let mut crossing = client("");
    crossing.drain();
    crossing.wait(500);
    crossing.send(&GET.repeat(2));
    assert!(is_last(&crossing.read_all()));
    assert_eq!(crossing.state(), "Lingering");

    let mut reading = client("GET /a HT");
    reading.drain();
    reading.send(&format!("TP/1.1\r\nHost: h\r\n\r\n{GET}"));
    assert!(is_last(&reading.read_all()));

    let mut writing = client(GET);
    writing.drain();
    assert!(writing.read_all().ends_with("/a"), "the response that is due is sent");
    writing.send(GET);
    assert!(writing.read_all().contains("Connection: close"), "keep-alive was promised: one more");
}

/// A close at once needs a quiet peer, and a response that has left at once.
#[test]
fn closing() {
    let last = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let mut quiet = client(last);
    quiet.read_all();
    assert_eq!(quiet.state(), "Closed");

    let mut crossing = client(last);
    crossing.0.memory.inbox = GET.into();
    crossing.read_all();
    assert!(crossing.0.memory.is_shut_down && crossing.state() == "Lingering", "it was not quiet");

    let large = "GET /large HTTP/1.0\r\n\r\n";
    let mut full = client(large);
    full.read_all();
    assert_eq!(full.state(), "Lingering", "the socket took it, the peer may not have");

    let mut slow = client(large);
    slow.read(1000);
    slow.wait(10);
    slow.read_all();
    assert_eq!(slow.state(), "Lingering");
}

/// RULES A67: a response to HEAD has no body, even if the request is malformed or late.
#[test]
fn refusals_of_head() {
    for (request, wait) in [
        ("HEAD / HTTP/1.1\r\n\r\n", 0),
        ("HEAD / HTTP/3.0\r\n", 0),
        ("HEAD\r\n", 0),
        ("HEAD\t/ HTTP/1.1\r\n\r\n", 0),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n", 0),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 0),
        ("HEAD / HT", 10_000),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", 10_000),
    ] {
        let mut client = client(request);
        client.wait(wait);
        let response = client.read_all();
        assert!(response.contains("close\r\n") && response.ends_with("\r\n\r\n"), "{request:?}: {response}");
        assert_eq!(response.starts_with("HTTP/1.1 408 "), wait > 0, "{request:?}: {response}");
        let line = &client.0.records[0].request_line;
        assert!(wait == 0 || line.starts_with(b"HEAD / HT"), "{request:?}: {line:?}");
    }
}

#[test]
fn records() {
    let mut client = client(&format!("{GET}HEAD /b HTTP/1.1\r\nHost: h\r\n\r\n{GET_LARGE}"));
    client.read(1000);
    client.wait(1_500);
    let whole: Vec<_> = client.0.records.iter().map(|record| (&*record.request_line, record.sent)).collect();
    assert_eq!(whole, [(&b"GET /a HTTP/1.1"[..], 2), (b"HEAD /b HTTP/1.1", 0)]);
    client.0.close();
    let cut = &client.0.records[2];
    assert!(cut.sent > 0 && cut.sent < 1000, "{} bytes", cut.sent);
    assert_eq!(cut.duration, Duration::from_millis(1_500), "from the first byte of the request");
}

/// RULES A55: a chunk that is not worth reading is refused when it is announced, before it has come.
#[test]
fn a_chunk_is_judged_by_its_size_line() {
    let head = |method| format!("{method} /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (method, size, want) in [
        ("POST", "10001", "405"),
        ("GET", "10001", "200"),
        ("GET", "100001", "413"),
        ("POST", "7fffffffffffffff", "405"),
        ("GET", "7fffffffffffffff", "413"),
        ("GET", "8000000000000000", "400"),
    ] {
        for rest in ["", "abc\r\n0\r\n\r\n"] {
            let response = client(&format!("{}{size}\r\n{rest}{GET}", head(method))).read_all();
            assert!(response.starts_with(&format!("HTTP/1.1 {want} ")), "{method} {size}: {response}");
            assert!(
                response.contains("close\r\n") && response.matches("HTTP/1.1").count() == 1,
                "{response}"
            );
        }
    }
    assert_eq!(client(&format!("{}10000\r\n", head("POST"))).state(), "Body");
}
