//! The service of the oracle: the path of a request chooses the response, and every request is remembered.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::vec;

use stheno::chat::{Chunk, FileSlice, Producer};
use stheno::clock::Now;
use stheno::http1::{Body, Method, Reply, Request, Response, Service, Status};
use stheno::server::WorkerService;

use super::responses::{SentResponse, take_response};

/// The most bytes that one response has, with its head.
pub(super) const LARGEST_RESPONSE: u64 = 80_000;

#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) requests: RefCell<Vec<SeenRequest>>,
    /// The number of requests when the server began to shut down.
    pub(super) at_drain: Cell<Option<usize>>,
}

impl Recorder {
    pub(super) fn note_drain(&self) {
        let count = self.requests.borrow().len();
        self.at_drain.set(self.at_drain.get().or(Some(count)));
    }
}

impl Service for Recorder {
    fn handle(&self, request: &Request<'_>, _: Now) -> Reply {
        let seen = SeenRequest::of(request);
        let response = seen.response();
        self.requests.borrow_mut().push(seen);
        Reply::Ready(response)
    }
}

impl WorkerService for Recorder {}

/// The producer of a body of several pieces.
#[derive(Debug)]
struct Pieces(vec::IntoIter<(u8, usize)>);

impl Producer for Pieces {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        Ok(self.0.next().map(|(filler, length)| match filler {
            0 => Chunk::File(zeros(length)),
            _ => Chunk::Bytes(vec![filler; length]),
        }))
    }

    fn remaining(&self) -> u64 {
        self.0.as_slice().iter().map(|(_, length)| *length as u64).sum()
    }
}

/// A request, and its response if the body of the request is valid.
#[derive(Debug)]
pub(super) struct SeenRequest {
    pub(super) line: Vec<u8>,
    to_head: bool,
    status: Status,
    closes: bool,
    /// The pieces of the response's body: a byte, and how often it is repeated. Zeros come from a file.
    body: Vec<(u8, usize)>,
}

impl SeenRequest {
    /// The first byte of the path chooses the kind of the response, the others its size.
    fn of(request: &Request<'_>) -> Self {
        let path = request.path().unwrap_or_default();
        let number = path.iter().fold(0usize, |sum, byte| (sum * 3 + usize::from(*byte)) % 997);
        let filler = b'a' + u8::try_from(number % 26).unwrap_or(0);
        let (status, body) = match path.get(1) {
            _ if !matches!(request.method, Method::Get | Method::Head) => {
                (Status::METHOD_NOT_ALLOWED, vec![])
            }
            // A body that must not be sent.
            Some(b'n') => (Status::NO_CONTENT, vec![(filler, 9)]),
            Some(b'm') => (Status::NOT_MODIFIED, vec![(filler, 9)]),
            Some(b'e') => (Status::NOT_FOUND, vec![]),
            // More than one send, and more than the high-water mark.
            Some(b'l') => (Status::OK, vec![(filler, 66_000 + number)]),
            Some(b'f') => (Status::OK, vec![(0, 10 * number)]),
            Some(b'p') => {
                (Status::PARTIAL_CONTENT, vec![(filler, 9), (0, number), (filler, 9), (0, 7), (filler, 5)])
            }
            _ => (Status::OK, vec![(filler, number)]),
        };
        let (line, to_head) = (request.line.to_vec(), request.method == Method::Head);
        Self { line, to_head, status, closes: path.get(1) == Some(&b'c'), body }
    }

    fn response(&self) -> Response {
        let is_error = self.status.is_error();
        let mut response = if is_error { Response::error(self.status) } else { Response::new(self.status) };
        response.close = self.closes;
        if is_error {
            return response;
        }
        response.body = match self.body[..] {
            [] => Body::empty(),
            [(0, length)] => Body::File(zeros(length)),
            [(filler, length)] => Body::Bytes(vec![filler; length]),
            _ => Body::Made(Box::new(Pieces(self.body.clone().into_iter()))),
        };
        assert!(response.body.len() + 1000 < LARGEST_RESPONSE);
        response
    }

    /// Takes the response to this request off the front of `sent`, or the refusal that a malformed body leads to.
    pub(super) fn take_response(&self, sent: &mut &[u8]) -> Option<SentResponse> {
        let response = take_response(sent, self.to_head)?;
        if response.status != self.status.code() {
            let is_refusal = matches!(response.status, 400 | 408 | 413) && response.closes;
            assert!(is_refusal, "{} for {self:?}", response.status);
        } else if !self.status.is_error() && !self.status.is_bodiless() && !self.to_head {
            let want = self.body.iter().flat_map(|(filler, length)| std::iter::repeat_n(*filler, *length));
            assert!(response.body.iter().copied().eq(want), "another body than {:?}", self.body);
        }
        assert!(!self.closes || response.closes, "stays open: {self:?}");
        Some(response)
    }
}

/// A file of any length.
fn zeros(length: usize) -> FileSlice {
    static ZEROS: OnceLock<FileSlice> = OnceLock::new();
    let file = ZEROS.get_or_init(|| FileSlice::new(File::open("/dev/zero").expect("/dev/zero").into(), 0, 0));
    file.slice(0, length as u64)
}
