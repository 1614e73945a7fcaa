//! Responses that applications make, piece by piece.

use std::sync::{Arc, Mutex};

use stheno::chat::OutQueue;
use stheno::clock::Now;
use stheno::http1::{
    Completion, Limits, PendingResponse, Progress, Reply, Request, Response, Service, Settings, Status,
};
use stheno::server::WorkerService;

use super::Client;

/// The application of a test: what it has seen, and the pieces that it still has to make, the next one last.
#[derive(Clone, Debug, Default)]
struct Application {
    body: Vec<u8>,
    begun: u32,
    dropped: u32,
    script: Vec<(&'static str, Progress)>,
}

type Shared = Arc<Mutex<Application>>;

#[derive(Debug)]
struct Applications(Shared);

#[derive(Debug)]
struct ApplicationResponse(Shared);

impl Service for Applications {
    fn handle(&self, request: &Request<'_>, _: Now) -> Reply {
        match request.path() {
            Some(b"/later") => Reply::Pending(Box::new(ApplicationResponse(Arc::clone(&self.0)))),
            _ => Reply::Ready(Response::error(Status::NOT_FOUND)),
        }
    }
}

impl WorkerService for Applications {}

impl PendingResponse for ApplicationResponse {
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status> {
        if bytes.starts_with(b"!") {
            return Err(Status::SERVICE_UNAVAILABLE);
        }
        self.0.lock().expect("an application").body.extend_from_slice(bytes);
        Ok(())
    }

    fn begin(&mut self) {
        self.0.lock().expect("an application").begun += 1;
    }

    fn poll(&mut self, out: &mut OutQueue) -> Progress {
        let Some((text, progress)) = self.0.lock().expect("an application").script.pop() else {
            return Progress::Pending;
        };
        out.push_from(&mut text.as_bytes().to_vec());
        progress
    }

    fn status(&self) -> Option<(Status, u64)> {
        None
    }
}

impl Drop for ApplicationResponse {
    fn drop(&mut self) {
        self.0.lock().expect("an application").dropped += 1;
    }
}

/// A client of an application that makes these pieces, and takes at most `body` bytes of a body.
fn client_with(script: &[(&'static str, Progress)], body: u64) -> Client<Applications> {
    let script = script.iter().rev().copied().collect();
    let application = Arc::new(Mutex::new(Application { script, ..Application::default() }));
    let limits = Limits { body, ..Limits::default() };
    let mut client = Client::of(Applications(application), Settings { limits, ..Settings::default() });
    client.0.frames = 16;
    client
}

fn client(script: &[(&'static str, Progress)]) -> Client<Applications> {
    client_with(script, Limits::default().body)
}

impl Client<Applications> {
    fn application(&self) -> Application {
        self.0.service.0.lock().expect("an application").clone()
    }
}

const KEEP: Progress = Progress::End(Completion::KeepAlive);

const LATER: &str = "GET /later HTTP/1.1\r\nHost: h\r\n\r\n";

/// At any cut the application gets the whole body, makes one response, and the next request waits for it.
#[test]
fn a_body_and_a_response_in_pieces() {
    let input = "POST /later HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\nab\r\n1\r\nc\r\n0\r\n\r\nGET /now HTTP/1.1\r\nHost: h\r\n\r\n";
    for step in [1, 2, 3, 7, input.len()] {
        let mut client = client(&[("", Progress::Pending)]);
        for piece in input.as_bytes().chunks(step) {
            client.send(std::str::from_utf8(piece).expect("ASCII"));
        }
        assert_eq!(client.state(), "Waiting", "in steps of {step}");
        let Application { body, begun, .. } = client.application();
        assert_eq!((body.as_slice(), begun), (&b"abc"[..], 1));
        assert!(client.connection().output().is_empty() && client.wants_read());
        client.0.service.0.lock().expect("an application").script =
            vec![("tail", KEEP), ("head ", Progress::More)];
        client.0.frames = 16;
        client.0.drive(|driver, io, cx| driver.on_wake(io, cx));
        assert_eq!(client.read(4), "head");
        assert_eq!(client.application().dropped, 0);
        assert!(client.read_all().starts_with(" tailHTTP/1.1 404 "), "the next response follows");
        assert_eq!(client.application().dropped, 1);
        assert_eq!(client.state(), "Reading");
    }
}

#[test]
fn expect_100_continue() {
    let head = "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    let mut waiting = client(&[("response", KEEP)]);
    waiting.send(head);
    assert_eq!(waiting.read_all(), "HTTP/1.1 100 Continue\r\n\r\n");
    waiting.send("x");
    assert_eq!(waiting.read_all(), "response");
    let mut hasty = client(&[("response", KEEP)]);
    hasty.send(&format!("{head}x"));
    assert_eq!(hasty.read_all(), "response", "the body is here: the peer does not wait");
}

#[test]
fn a_refused_body_begins_no_response() {
    let head = |length: &str| format!("POST /later HTTP/1.1\r\nHost: h\r\n{length}\r\n\r\n");
    for (input, status) in [
        (head("Content-Length: 11"), "413"),
        (head("Transfer-Encoding: chunked") + "b\r\n", "413"),
        (head("Content-Length: 2") + "!x", "503"),
        (head("Transfer-Encoding: chunked") + "x\r\n", "400"),
    ] {
        let mut client = client_with(&[], 10);
        client.send(&input);
        let sent = client.read_all();
        assert!(sent.starts_with(&format!("HTTP/1.1 {status} ")), "{sent}");
        let Application { begun, dropped, .. } = client.application();
        assert_eq!((begun, dropped), (0, 1), "{status}");
    }
}

#[test]
fn completions() {
    for (completion, state, reset) in [
        (Completion::KeepAlive, "Reading", false),
        (Completion::Close, "Lingering", false),
        (Completion::Cut { reset: false }, "Closed", false),
        (Completion::Cut { reset: true }, "Closed", true),
    ] {
        let mut client = client(&[("x", Progress::End(completion))]);
        client.send(LATER);
        assert_eq!(client.read_all(), "x");
        assert_eq!((client.state(), client.0.memory.is_reset), (state, reset), "{completion:?}");
    }
}

/// A client that leaves before its response is there is recorded with 499, and the response is dropped.
#[test]
fn a_client_that_leaves_is_recorded() {
    let mut client = client(&[]);
    client.send(LATER);
    client.0.driver.close();
    client.0.close();
    let record = &client.0.records[0];
    assert_eq!((record.status.code(), record.sent), (499, 0));
    assert_eq!(client.application().dropped, 1);
}

/// A client that stops reading in the middle of an application's response is recorded with the bytes that it took.
#[test]
fn a_stalled_client_is_recorded() {
    let mut client = client(&[("head and more", Progress::Pending)]);
    client.send(LATER);
    assert_eq!(client.read(4), "head");
    client.wait(60_000);
    assert!(client.0.memory.is_reset);
    client.0.close();
    let record = &client.0.records[0];
    assert_eq!((&*record.request_line, record.sent), (&b"GET /later HTTP/1.1"[..], 4));
}

/// The kernel may wait for a piece that comes soon; it does not wait after the last one.
#[test]
fn pieces_that_come_soon_fill_a_segment() {
    let mut client =
        client(&[("a", Progress::More), ("b", Progress::Soon), ("c", Progress::Soon), ("d", KEEP)]);
    client.send(LATER);
    for (text, held) in [("a", false), ("b", true), ("c", true), ("d", false)] {
        assert_eq!(client.read(1), text);
        assert_eq!(client.0.memory.is_held, held, "{text}");
    }
    client.read(1);
    assert_eq!(client.state(), "Reading");
}

/// An application that makes empty pieces does not hold up the loop.
#[test]
fn pieces_of_a_turn_are_counted() {
    let mut client = client(&[("", Progress::More); 40]);
    client.send(LATER);
    assert!(client.0.driver.wants_write(), "there is more for another turn");
    assert_eq!(client.application().script.len(), 40 - 15);
}
