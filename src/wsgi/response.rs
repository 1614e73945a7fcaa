//! One response of the application: from `start_response` and the pieces of the body to framed bytes.
//!
//! The code is the same for an application on the loop and for one in the pool. It knows neither threads nor Python.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::head::ApplicationHead;
use super::lent_output::LentOutput;
use super::outbox::{Disconnected, Outbox};
use super::piece::BodyPiece;
use super::request::RequestFacts;
use super::shared::WorkerContext;
use super::wire::FramedBytes;
use crate::chat::{FileSlice, OutQueue};
use crate::clock::DateCache;
use crate::http1::{BodyWriter, Completion, ResponseFacts, ResponseHead, Status};

thread_local! {
    /// The `Date` of the current second.
    static DATES: RefCell<DateCache> = RefCell::new(DateCache::new());
}

/// The response of the application to one request.
#[derive(Debug)]
pub(super) struct ApplicationResponse {
    facts: RequestFacts,
    context: Arc<WorkerContext>,
    /// What `start_response` was given. It is held back until there is a piece to send with it (WSGI S2).
    head: Option<ApplicationHead>,
    /// Whether `start_response` was called, with success or not.
    was_called: bool,
    /// Frames the body; `Some` once the head is in `wire`.
    body: Option<BodyWriter>,
    keep_alive: bool,
    /// Framed bytes that were not handed over yet.
    wire: FramedBytes,
    head_length: u64,
    delivery: Delivery,
    /// Whether `write` has found that the client is gone.
    is_gone: bool,
}

/// How the bytes of a response reach the client.
#[derive(Debug)]
pub(super) enum Delivery {
    /// From another thread: through the outbox, to the loop.
    Outbox(Arc<Outbox>),
    /// On the loop, which takes the bytes after each step. `write` sends them before that; the output is lent to it for
    /// the time of a step.
    Loop(Option<LentOutput>),
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushOutcome {
    /// It was taken, and more may follow.
    More,
    /// The body is complete: anything further would be cut off.
    Enough,
    /// The application has not called `start_response`.
    NoHead,
    /// The client is gone.
    Gone,
}

impl ApplicationResponse {
    /// `memory` is empty.
    pub(super) fn new(
        facts: RequestFacts,
        context: Arc<WorkerContext>,
        memory: Vec<u8>,
        delivery: Delivery,
    ) -> Self {
        let (head, was_called, body, keep_alive, head_length) = (None, false, None, false, 0);
        let wire = memory.into();
        Self {
            facts,
            context,
            head,
            was_called,
            body,
            keep_alive,
            wire,
            head_length,
            delivery,
            is_gone: false,
        }
    }

    /// Whether the head was sent, or is about to be.
    pub(super) fn is_sent(&self) -> bool {
        self.body.is_some()
    }

    /// Notes a call of `start_response`. Returns whether there was one before.
    pub(super) fn note_call(&mut self) -> bool {
        std::mem::replace(&mut self.was_called, true)
    }

    /// Replaces the head that `start_response` has set before.
    pub(super) fn set_head(&mut self, head: ApplicationHead) {
        self.head = Some(head);
    }

    /// Notes that the client is gone, and the application is told that.
    pub(super) fn note_gone(&mut self) {
        self.is_gone = true;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Returns the field lines of the head.
    pub(super) fn fields(&self) -> &[u8] {
        self.head.as_ref().map_or(b"", ApplicationHead::fields)
    }

    /// Returns the status and the bytes of the head, once the head is sent.
    pub(super) fn status(&self) -> Option<(Status, u64)> {
        let code = self.head.as_ref().filter(|_| self.is_sent())?.code;
        Some((Status::of_application(code), self.head_length))
    }

    /// Puts the head into `wire`; `whole` is the length of the body, if that is known. Returns whether there is a head.
    fn send_head(&mut self, whole: Option<u64>) -> bool {
        let Some(head) = &self.head else {
            return false;
        };
        let RequestFacts { is_head, is_http11, keep_alive } = self.facts;
        let keep_alive = keep_alive && !head.closes && !self.context.draining.load(Ordering::Relaxed);
        let facts = ResponseFacts {
            is_head,
            is_http11,
            is_bodiless: head.is_bodiless(),
            said_length: head.content_length,
            // Only the application knows the length of the response to a GET (WSGI R9).
            length: whole.filter(|length| *length > 0 || !is_head),
        };
        let framing = facts.framing();
        let body = BodyWriter::new(framing.body);
        self.keep_alive = keep_alive && !body.is_until_close();
        let before = self.wire.bytes.len();
        DATES.with_borrow_mut(|dates| {
            ResponseHead {
                status: head.status(),
                fields: [head.fields(), b""],
                server: (!head.has_server).then_some(self.context.server.as_str()),
                date: (!head.has_date).then(|| dates.http(SystemTime::now())),
                keep_alive: self.keep_alive,
                announced: framing.announced,
            }
            .write_to(&mut self.wire.bytes);
        });
        self.head_length = (self.wire.bytes.len() - before) as u64;
        self.body = Some(body);
        if self.context.logs_fields
            && let Delivery::Outbox(outbox) = &self.delivery
        {
            outbox.set_fields(self.fields());
        }
        true
    }

    /// Takes a piece of the body; `whole` is the length of the body, if this piece is known to be all of it.
    pub(super) fn push(&mut self, piece: BodyPiece<'_>, whole: Option<u64>) -> PushOutcome {
        if !piece.bytes.is_empty() {
            if self.body.is_none() && !self.send_head(whole) {
                return PushOutcome::NoHead;
            }
            self.push_framed(piece);
        }
        let is_complete = self.body.is_some_and(|body| body.is_complete());
        if is_complete { PushOutcome::Enough } else { PushOutcome::More }
    }

    fn push_framed(&mut self, piece: BodyPiece<'_>) {
        let Some(body) = &mut self.body else {
            return;
        };
        let (length, wire) = (piece.bytes.len(), &mut self.wire);
        let count = match piece.lend(body.fits(length), &self.context) {
            Some(large) => {
                let count = body.begin_piece(length, &mut wire.bytes);
                wire.lend(Box::new(large));
                body.end_piece(&mut wire.bytes);
                count
            }
            None => body.push(piece.bytes, &mut wire.bytes),
        };
        if count < length && body.has_length() {
            log::warn!("the body is longer than its Content-Length: the rest is cut off");
        }
    }

    /// Ends the body. Returns `None` if there is no head. A body that is shorter than its `Content-Length` ends the
    /// connection (WSGI R6).
    pub(super) fn finish(&mut self) -> Option<Completion> {
        if self.body.is_none() && !self.send_head(Some(0)) {
            return None;
        }
        let body = self.body.as_mut()?;
        let missing = body.missing();
        if missing > 0 {
            log::warn!(
                "the body is {missing} bytes shorter than its Content-Length: the connection is closed"
            );
            return Some(Completion::Cut { reset: false });
        }
        body.finish(&mut self.wire.bytes);
        Some(self.completion())
    }

    fn completion(&self) -> Completion {
        if self.keep_alive { Completion::KeepAlive } else { Completion::Close }
    }

    /// Ends the response after an error of the application: with 500, or, if a head is sent, by cutting the response
    /// short (WSGI R1).
    pub(super) fn fail(&mut self) -> Completion {
        const TEXT: &[u8] = b"500 Internal Server Error\nThe application has failed; its log says why.\n";
        if self.is_sent() {
            return Completion::Cut { reset: self.body.is_some_and(|body| body.is_until_close()) };
        }
        self.head = Some(ApplicationHead::plain(500, "500 Internal Server Error"));
        self.push(BodyPiece::of_server(TEXT), Some(TEXT.len() as u64));
        self.completion()
    }

    /// Responds to a request that the application is not called for: 503. The client may send it again.
    pub(super) fn refuse(&mut self) -> Completion {
        const TEXT: &[u8] = b"503 Service Unavailable\nNo thread was free for this request. Try again.\n";
        self.head = Some(ApplicationHead::unavailable());
        self.push(BodyPiece::of_server(TEXT), Some(TEXT.len() as u64));
        self.completion()
    }

    /// Makes a file of `length` bytes the body. Returns how many of them to send, or `None` if the file has to be read
    /// and framed piece by piece.
    pub(super) fn push_file(&mut self, length: u64) -> Option<u64> {
        if self.body.is_some() || !self.send_head(Some(length)) {
            return None;
        }
        self.body.as_mut().map(|body| body.skip(length))
    }

    /// Takes what was not handed over.
    pub(super) fn take_wire(&mut self) -> FramedBytes {
        std::mem::take(&mut self.wire)
    }

    /// Hands the bytes in `wire` to a loop on another thread.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn hand_over(&mut self) -> Result<(), Disconnected> {
        let status = self.status();
        match &self.delivery {
            Delivery::Outbox(outbox) if !self.wire.is_empty() => outbox.push(&mut self.wire, status),
            _ => Ok(()),
        }
    }

    /// Hands over the rest: the bytes in `wire`, a file behind them, and how the response ends.
    pub(super) fn hand_over_end(&mut self, file: Option<FileSlice>, completion: Completion) {
        let status = self.status();
        if let Delivery::Outbox(outbox) = &self.delivery {
            outbox.end(&mut self.wire, status, file, completion);
        }
    }

    /// Sends the bytes in `wire` from the loop, for `write`.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn send_now(&mut self) -> Result<(), Disconnected> {
        match &mut self.delivery {
            Delivery::Loop(Some(output)) => output.send(&mut self.wire),
            _ => Ok(()),
        }
    }

    /// Lends the output to `write`, until [`Self::take_back_output`]; `memory` is empty.
    pub(super) fn lend_output(&mut self, output: LentOutput, memory: Vec<u8>) {
        self.delivery = Delivery::Loop(Some(output));
        if self.wire.is_empty() {
            self.wire.bytes = memory;
        }
    }

    /// Takes the output back; what is in `wire` follows it.
    pub(super) fn take_back_output(&mut self) -> OutQueue {
        match &mut self.delivery {
            Delivery::Loop(output) => output.take().map(LentOutput::into_queue).unwrap_or_default(),
            Delivery::Outbox(_) => OutQueue::new(),
        }
    }

    /// The outbox, if there is one and it is full: the thread has to wait for room in it.
    pub(super) fn full_outbox(&self) -> Option<Arc<Outbox>> {
        match &self.delivery {
            Delivery::Outbox(outbox) if outbox.is_full() => Some(Arc::clone(outbox)),
            _ => None,
        }
    }
}
