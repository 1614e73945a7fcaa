//! The output side of a connection: responses, and the end of the connection.

use std::ops::Range;

use super::{AfterWrite, Connection, FIRST_FLIGHT, Flight, Next, Reader, ResponseTerms, Turn, Writer};
use crate::chat::Window;
use crate::clock::Now;
use crate::http1::framing::{BodyFraming, ResponseFacts};
use crate::http1::grammar::is_tchar;
use crate::http1::response::{Response, ResponseHead};
use crate::http1::service::Completion;
use crate::http1::status::Status;

impl Connection {
    /// Puts the response to the current request into the output. Returns the position of its body in the output, counted
    /// as [`crate::chat::OutQueue::taken`] counts.
    pub fn respond(&mut self, response: Response, turn: &mut Turn<'_>) -> Range<u64> {
        let ResponseTerms { is_head, after } = match self.reader {
            Reader::Done(terms) => terms,
            _ => ResponseTerms { is_head: false, after: AfterWrite::Linger },
        };
        let after = self.after_response(after, response.close, turn);
        let facts = ResponseFacts {
            is_head,
            is_http11: true,
            is_bodiless: response.status.is_bodiless(),
            said_length: None,
            length: Some(response.body.len()),
        };
        let framing = facts.framing();
        self.note_flight(turn.now);
        let (status, fields) = response.head();
        let head = ResponseHead {
            status,
            server: Some(&turn.settings.server),
            date: Some(turn.dates.http(turn.now.wall)),
            keep_alive: after == AfterWrite::KeepAlive,
            fields,
            announced: framing.announced,
        };
        head.write_to(self.output.tail());
        let begin = self.output.taken() + self.output.len();
        let mut end = begin;
        if let BodyFraming::Length(length) = framing.body {
            response.body.push_to(&mut self.output);
            end += length;
        }
        self.end_response(after, turn.now);
        begin..end
    }

    /// Returns `asked`, or `Linger` if the server has a reason to close a connection that would persist.
    fn after_response(&self, asked: AfterWrite, close: bool, turn: &Turn<'_>) -> AfterWrite {
        // The peer does not know yet that the server closes: another request may be on its way.
        if close || (asked == AfterWrite::KeepAlive && (self.draining || self.is_last(turn))) {
            AfterWrite::Linger
        } else {
            asked
        }
    }

    /// Whether the next response is the last that the limit of requests allows.
    pub fn is_last(&self, turn: &Turn<'_>) -> bool {
        turn.settings.limits.requests.is_some_and(|most| u64::from(self.responses) + 1 >= most.get())
    }

    /// Refuses the current request: responds with an error as [`Connection::respond`] does, closes, and parses nothing
    /// more. `window` shows the input, which may begin with the method HEAD. (the seed's `send_error`)
    pub fn refuse(&mut self, status: Status, window: &Window<'_>, turn: &mut Turn<'_>) -> Range<u64> {
        let is_head = match &self.reader {
            Reader::Idle { .. } => false,
            Reader::Head { .. } => is_method_head(window.bytes()),
            Reader::Body(body) => body.terms.is_head,
            Reader::Done(terms) => terms.is_head,
        };
        let after = match status {
            Status::REQUEST_TIMEOUT => AfterWrite::CloseNow,
            _ => AfterWrite::Linger,
        };
        self.reader = Reader::Done(ResponseTerms { is_head, after });
        self.respond(Response::error(status), turn)
    }

    /// Notes that an application makes the response to the current request. Returns where in the output it begins.
    pub fn begin_response(&mut self) -> u64 {
        self.writer = Writer::Waiting;
        self.output.taken() + self.output.len()
    }

    /// Notes that all of the application's response is in the output.
    pub fn finish_response(&mut self, completion: Completion, now: Now) {
        let keep_alive =
            matches!(self.reader, Reader::Done(ResponseTerms { after: AfterWrite::KeepAlive, .. }));
        let after = match completion {
            Completion::KeepAlive => AfterWrite::KeepAlive,
            // The peer does not know yet that the server closes: another request may be on its way.
            Completion::Close if keep_alive => AfterWrite::Linger,
            Completion::Close => AfterWrite::Close,
            Completion::Cut { reset: true } => AfterWrite::Reset,
            Completion::Cut { reset: false } => AfterWrite::CloseNow,
        };
        self.end_response(after, now);
    }

    fn end_response(&mut self, after: AfterWrite, now: Now) {
        self.responses = self.responses.saturating_add(1);
        // The end of the connection follows at once: the kernel sends it in the last segment of the response.
        self.output.set_more_comes(matches!(after, AfterWrite::Close | AfterWrite::Linger));
        self.writer = Writer::Sending(after);
        self.progress = now.monotonic;
    }

    /// Notes that bytes are about to be put into the output. If it is empty, the time that the peer has to take them
    /// begins.
    pub fn note_flight(&mut self, now: Now) {
        if self.output.is_empty() {
            self.flight = Flight { since: now.monotonic, from: self.output.taken() };
        }
    }

    /// Returns what the driver does next, after it has sent all of the output.
    pub fn sent(&mut self, now: Now) -> Next {
        debug_assert!(self.output.is_empty(), "not everything has been sent");
        let is_ended = self.input.is_ended();
        match self.writer {
            Writer::Closed { .. } => Next::Close,
            Writer::Sending(AfterWrite::KeepAlive) => {
                self.restart(now.monotonic);
                self.progress = now.monotonic;
                Next::Resume
            }
            Writer::Sending(AfterWrite::Reset) => self.closed(true),
            Writer::Sending(AfterWrite::CloseNow) => self.closed(false),
            Writer::Sending(_) if is_ended => self.closed(false),
            // All of a small response is on its way, and the peer has announced that it sends no further request.
            Writer::Sending(AfterWrite::Close) if self.leaves_at_once(now) => Next::CloseIfQuiet,
            Writer::Sending(AfterWrite::Close | AfterWrite::Linger) => {
                self.writer = Writer::Lingering { since: now.monotonic, drained: 0 };
                self.progress = now.monotonic;
                Next::Shutdown
            }
            // The next request began to come while a response was leaving: its time begins now.
            Writer::Idle | Writer::Waiting | Writer::Lingering { .. } => {
                match &mut self.reader {
                    Reader::Idle { since, .. } | Reader::Head { since, .. } => *since = now.monotonic,
                    Reader::Body(body) => body.since = now.monotonic,
                    Reader::Done(_) => {}
                }
                Next::Resume
            }
        }
    }

    fn closed(&mut self, reset: bool) -> Next {
        self.writer = Writer::Closed { reset };
        Next::Close
    }

    /// Whether the kernel sends the response by the time of the close, and does not only queue it: if the peer sends more
    /// after a close, the kernel resets the connection and discards what it has queued.
    ///
    /// The output was empty earlier in this turn ([`Turn::now`]), so the response went into an empty socket; up to
    /// [`FIRST_FLIGHT`] bytes then leave at once.
    fn leaves_at_once(&self, now: Now) -> bool {
        self.flight.since == now.monotonic && self.output.taken() - self.flight.from <= FIRST_FLIGHT
    }
}

/// Whether the input begins with the method HEAD, even if the rest is malformed: the client expects no body.
fn is_method_head(input: &[u8]) -> bool {
    input.strip_prefix(b"HEAD").is_some_and(|rest| !rest.first().copied().is_some_and(is_tchar))
}
