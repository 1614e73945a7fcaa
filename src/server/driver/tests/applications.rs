//! Responses that applications make, piece by piece.

use std::sync::{Arc, Mutex};

use super::*;
use crate::http1::Limits;

/// What the application of a test has seen, and what it is still to make.
#[derive(Clone, Debug, Default)]
struct Stage {
    body: Vec<u8>,
    begun: u32,
    dropped: u32,
    script: Vec<(&'static str, Progress)>,
}

#[derive(Debug, Default)]
struct Theatre(Arc<Mutex<Stage>>);

#[derive(Debug)]
struct Play(Arc<Mutex<Stage>>);

impl Service for Theatre {
    fn handle(&self, request: &Request<'_>, _: Now) -> Reply {
        match request.path() {
            Some(b"/later") => Reply::Pending(Box::new(Play(Arc::clone(&self.0)))),
            _ => Reply::Ready(Response::error(Status::NOT_FOUND)),
        }
    }
}

impl WorkerService for Theatre {}

impl PendingResponse for Play {
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status> {
        if bytes.starts_with(b"!") {
            return Err(Status::SERVICE_UNAVAILABLE);
        }
        self.0.lock().expect("a stage").body.extend_from_slice(bytes);
        Ok(())
    }

    fn begin(&mut self) {
        self.0.lock().expect("a stage").begun += 1;
    }

    fn poll(&mut self, out: &mut OutQueue) -> Progress {
        let Some((text, progress)) = self.0.lock().expect("a stage").script.pop() else {
            return Progress::Pending;
        };
        out.push_from(&mut text.as_bytes().to_vec());
        progress
    }

    fn status(&self) -> Option<(Status, u64)> {
        None
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        self.0.lock().expect("a stage").dropped += 1;
    }
}

/// A connection to a theatre whose script begins with its first line.
fn bench(script: &[(&'static str, Progress)]) -> Bench<Theatre> {
    bench_with(script, Settings::default())
}

fn bench_with(script: &[(&'static str, Progress)], settings: Settings) -> Bench<Theatre> {
    let theatre = Theatre::default();
    theatre.0.lock().expect("a stage").script = script.iter().rev().copied().collect();
    let mut bench = Bench::with(theatre, settings);
    bench.0.requests = 16;
    bench
}

impl Bench<Theatre> {
    fn stage(&self) -> Stage {
        self.0.service.0.lock().expect("a stage").clone()
    }

    /// The application has woken the connection.
    fn wake(&mut self) {
        self.0.drive(|driver, io, cx| driver.on_wake(io, cx));
    }
}

const KEEP: Progress = Progress::End(Completion::KeepAlive);

const LATER: &str = "GET /later HTTP/1.1\r\nHost: h\r\n\r\n";

/// At every split the body is seen whole, the response is made once, and the next request waits for it.
#[test]
fn a_body_is_seen_and_its_response_comes_in_pieces() {
    let input = "POST /later HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\nab\r\n1\r\nc\r\n0\r\n\r\nGET /now HTTP/1.1\r\nHost: h\r\n\r\n";
    for step in [1, 2, 3, 7, input.len()] {
        let mut bench = bench(&[("", Progress::Pending)]);
        for piece in input.as_bytes().chunks(step) {
            bench.receive(std::str::from_utf8(piece).expect("ASCII"));
        }
        assert_eq!(bench.state(), "Waiting", "in steps of {step}");
        assert_eq!((bench.stage().body.as_slice(), bench.stage().begun), (&b"abc"[..], 1));
        assert!(bench.connection().output().is_empty() && bench.0.driver.wants_read());
        let script = vec![("tail", KEEP), ("head ", Progress::More)];
        bench.0.service.0.lock().expect("a stage").script = script;
        bench.0.requests = 16;
        bench.wake();
        assert_eq!(bench.send(4), "head");
        assert_eq!(bench.stage().dropped, 0);
        assert!(bench.send(usize::MAX).starts_with(" tailHTTP/1.1 404 "), "the next response follows it");
        assert_eq!(bench.stage().dropped, 1);
        assert_eq!(bench.state(), "Reading");
    }
}

#[test]
fn a_client_that_asks_whether_to_send_the_body_is_answered() {
    let head = "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    let mut asking = bench(&[("answer", KEEP)]);
    asking.receive(head);
    assert_eq!(asking.send(usize::MAX), "HTTP/1.1 100 Continue\r\n\r\n");
    asking.receive("x");
    assert_eq!(asking.send(usize::MAX), "answer");
    let mut hasty = bench(&[("answer", KEEP)]);
    hasty.receive(&format!("{head}x"));
    assert_eq!(hasty.send(usize::MAX), "answer", "the body is here: nobody waits for the word");
}

#[test]
fn bodies_that_are_not_taken_are_refused_and_their_response_never_begins() {
    let head = |length: &str| format!("POST /later HTTP/1.1\r\nHost: h\r\n{length}\r\n\r\n");
    for (input, status) in [
        (head("Content-Length: 11"), "413"),
        (head("Transfer-Encoding: chunked") + "b\r\n", "413"),
        (head("Content-Length: 2") + "!x", "503"),
        (head("Transfer-Encoding: chunked") + "x\r\n", "400"),
    ] {
        let limits = Limits { body: 10, ..Limits::default() };
        let mut bench = bench_with(&[], Settings { limits, ..Settings::default() });
        bench.receive(&input);
        let sent = bench.send(usize::MAX);
        assert!(sent.starts_with(&format!("HTTP/1.1 {status} ")), "{sent}");
        assert_eq!((bench.stage().begun, bench.stage().dropped), (0, 1), "{status}");
    }
}

#[test]
fn each_completion_ends_as_it_says() {
    for (completion, state, reset) in [
        (Completion::KeepAlive, "Reading", false),
        (Completion::Close, "Lingering", false),
        (Completion::Cut { reset: false }, "Closed", false),
        (Completion::Cut { reset: true }, "Closed", true),
    ] {
        let mut bench = bench(&[("x", Progress::End(completion))]);
        bench.receive(LATER);
        assert_eq!(bench.send(usize::MAX), "x");
        assert_eq!((bench.state(), bench.0.memory.is_reset), (state, reset), "{completion:?}");
    }
}

/// A client that goes before its response is there leaves a line in the log, and nothing that makes it.
#[test]
fn a_client_that_leaves_is_recorded() {
    let mut bench = bench(&[]);
    bench.receive(LATER);
    bench.0.driver.close();
    bench.0.close();
    let record = &bench.0.records[0];
    assert_eq!((record.status.code(), record.sent), (499, 0));
    assert_eq!(bench.stage().dropped, 1);
}

/// A client that stops reading in the middle of an application's response is recorded with what it has taken.
#[test]
fn a_stalled_client_is_recorded() {
    let mut bench = bench(&[("head and more", Progress::Pending)]);
    bench.receive(LATER);
    assert_eq!(bench.send(4), "head");
    bench.later(30_000);
    assert!(bench.0.memory.is_reset);
    bench.0.close();
    let record = &bench.0.records[0];
    assert_eq!((record.request_line.as_ref(), record.sent), (&b"GET /later HTTP/1.1"[..], 4));
}

/// What is to come at once is worth waiting for; what comes last is not held back.
#[test]
fn pieces_that_come_soon_fill_a_segment() {
    let script = [("a", Progress::More), ("b", Progress::Soon), ("c", Progress::Soon), ("d", KEEP)];
    let mut bench = bench(&script);
    bench.receive(LATER);
    for (text, held) in [("a", false), ("b", true), ("c", true), ("d", false)] {
        assert_eq!(bench.send(1), text);
        assert_eq!(bench.0.memory.is_held, held, "{text}");
    }
    bench.send(1);
    assert_eq!(bench.state(), "Reading");
}

/// An application that makes nothing does not hold the loop up for ever.
#[test]
fn pieces_of_a_turn_are_counted() {
    let mut bench = bench(&[("", Progress::More); 40]);
    bench.receive(LATER);
    assert!(bench.0.driver.wants_write(), "there is more for another turn");
    assert_eq!(bench.stage().script.len(), 40 - 15);
}
