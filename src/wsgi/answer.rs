//! One answer of the application, framed: from `start_response` and pieces of the body to bytes for the wire.
//!
//! It knows no thread and no Python: the same for an application on the loop and in the pool.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::direct::Direct;
use super::head::Head;
use super::outbox::{Gone, Outbox};
use super::request::RequestFacts;
use super::shared::Common;
use crate::chat::FileSlice;
use crate::clock::DateCache;
use crate::http1::{BodyWriter, Completion, ResponseFacts, ResponseHead, Status};

thread_local! {
    /// The `Date` of this second.
    static DATES: RefCell<DateCache> = RefCell::new(DateCache::new());
}

/// The answer to one request.
#[derive(Debug)]
pub(super) struct Answer {
    facts: RequestFacts,
    common: Arc<Common>,
    /// What `start_response` was given; held back until there is something to send with it (WSGI S2).
    head: Option<Head>,
    /// `start_response` has been called, with success or not.
    called: bool,
    /// Frames the body, once the head is in `wire`.
    body: Option<BodyWriter>,
    keep_alive: bool,
    /// What has not been handed over yet.
    pub(super) wire: Vec<u8>,
    head_length: u64,
    /// Where it is handed to, if the application is on another thread than the loop.
    way: Way,
}

/// The way of an answer to the loop.
#[derive(Debug)]
pub(super) enum Way {
    /// From another thread.
    Outbox(Arc<Outbox>),
    /// The application is on the loop, which takes each piece when it has come back.
    Loop(Option<Direct>),
}

/// What has become of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushOutcome {
    /// It was taken, and more may follow.
    More,
    /// That was all there is to be, and what follows would be cut off.
    Enough,
    /// The application has not called `start_response`.
    NoHead,
}

impl Answer {
    pub(super) fn new(facts: RequestFacts, common: Arc<Common>, wire: Vec<u8>, way: Way) -> Self {
        let (head, called, body, keep_alive, head_length) = (None, false, None, false, 0);
        Self { facts, common, head, called, body, keep_alive, wire, head_length, way }
    }

    /// Whether the head has been sent, or is on its way.
    pub(super) fn is_sent(&self) -> bool {
        self.body.is_some()
    }

    /// `start_response` is called; answers whether it has been before.
    pub(super) fn note_call(&mut self) -> bool {
        std::mem::replace(&mut self.called, true)
    }

    /// What `start_response` was given last.
    pub(super) fn set_head(&mut self, head: Head) {
        self.head = Some(head);
    }

    /// The status and the bytes of the head, once it has been sent.
    pub(super) fn status(&self) -> Option<(Status, u64)> {
        let code = self.head.as_ref().filter(|_| self.is_sent())?.code;
        Some((Status::of_application(code), self.head_length))
    }

    /// Puts the head into the wire, for a body of this many bytes if that is known.
    fn send_head(&mut self, whole: Option<u64>) -> bool {
        let Some(head) = &self.head else {
            return false;
        };
        let RequestFacts { is_head, is_http11, keep_alive } = self.facts;
        let keep_alive = keep_alive && !self.common.draining.load(Ordering::Relaxed);
        let facts = ResponseFacts {
            is_head,
            is_http11,
            is_bodiless: head.is_bodiless(),
            said_length: head.content_length,
            // What a GET would be answered with is the application's to say (WSGI R9).
            length: whole.filter(|length| *length > 0 || !is_head),
        };
        let framing = facts.framing();
        let body = BodyWriter::new(framing.body);
        self.keep_alive = keep_alive && !body.is_until_close();
        let before = self.wire.len();
        DATES.with_borrow_mut(|dates| {
            ResponseHead {
                status: head.status(),
                fields: [head.fields(), b""],
                server: (!head.has_server).then_some(self.common.server.as_str()),
                date: (!head.has_date).then(|| dates.http(SystemTime::now())),
                keep_alive: self.keep_alive,
                announced: framing.announced,
            }
            .write_to(&mut self.wire);
        });
        self.head_length = (self.wire.len() - before) as u64;
        self.body = Some(body);
        true
    }

    /// Takes a piece of the body; `whole` if it is known to be all of it.
    pub(super) fn push(&mut self, data: &[u8], whole: Option<u64>) -> PushOutcome {
        if data.is_empty() {
            return if self.is_complete() { PushOutcome::Enough } else { PushOutcome::More };
        }
        if self.body.is_none() && !self.send_head(whole) {
            return PushOutcome::NoHead;
        }
        let body = self.body.as_mut();
        if body.is_some_and(|body| body.push(data, &mut self.wire) > 0) {
            log::warn!("the application has made more than its Content-Length: the rest is cut off");
        }
        if self.is_complete() { PushOutcome::Enough } else { PushOutcome::More }
    }

    /// Whether what the application makes further does not belong to the answer.
    fn is_complete(&self) -> bool {
        self.body.is_some_and(|body| body.is_complete())
    }

    /// The application has made everything; `None` if it has made no head. `Content-Length` may stay unfulfilled: then
    /// the connection is cut (WSGI R6).
    pub(super) fn finish(&mut self) -> Option<Completion> {
        if self.body.is_none() && !self.send_head(Some(0)) {
            return None;
        }
        let body = self.body.as_mut()?;
        let missing = body.missing();
        if missing > 0 {
            log::warn!(
                "the application has made {missing} bytes less than its Content-Length: the connection is closed"
            );
            return Some(Completion::Cut { reset: false });
        }
        body.finish(&mut self.wire);
        Some(self.ending())
    }

    fn ending(&self) -> Completion {
        if self.keep_alive { Completion::KeepAlive } else { Completion::Close }
    }

    /// The application has failed: an answer of our own, or the end of what cannot be completed (WSGI R1).
    pub(super) fn fail(&mut self) -> Completion {
        const TEXT: &[u8] = b"500 Internal Server Error\nThe application has failed; its log says why.\n";
        if self.is_sent() {
            return Completion::Cut { reset: self.body.is_some_and(|body| body.is_until_close()) };
        }
        self.head = Some(Head::plain(500, "500 Internal Server Error"));
        self.push(TEXT, Some(TEXT.len() as u64));
        self.ending()
    }

    /// Takes a file of `length` bytes; answers how many of them are to be sent, or nothing if it has to be read and
    /// framed.
    pub(super) fn push_file(&mut self, length: u64) -> Option<u64> {
        if self.body.is_some() || !self.send_head(Some(length)) {
            return None;
        }
        self.body.as_mut().map(|body| body.skip(length))
    }

    /// Hands what is in the wire to the loop, if that is another thread.
    ///
    /// # Errors
    /// Nobody waits for it any more.
    pub(super) fn hand_over(&mut self) -> Result<(), Gone> {
        match &self.way {
            Way::Outbox(outbox) if !self.wire.is_empty() => {
                let answered =
                    self.head.as_ref().map(|head| (Status::of_application(head.code), self.head_length));
                outbox.push(&mut self.wire, answered)
            }
            _ => Ok(()),
        }
    }

    /// Hands over all that is left, and the end.
    pub(super) fn hand_over_end(&mut self, file: Option<FileSlice>, ending: Completion) {
        let answered = self.status();
        if let Way::Outbox(outbox) = &self.way {
            outbox.end(&mut self.wire, answered, file, ending);
        }
    }

    /// For `write` on the loop, which does not come back between two of its calls: sends what there is.
    ///
    /// # Errors
    /// Nobody waits for it any more.
    pub(super) fn send_now(&mut self) -> Result<(), Gone> {
        match &mut self.way {
            Way::Loop(Some(direct)) => direct.send(&mut self.wire),
            _ => Ok(()),
        }
    }

    /// How many bytes have been sent so since the last question.
    pub(super) fn take_sent(&mut self) -> u64 {
        match &mut self.way {
            Way::Loop(Some(direct)) => direct.take_sent(),
            _ => 0,
        }
    }

    /// The response is over: nothing of the application's may hold the connection open any longer.
    pub(super) fn release_socket(&mut self) {
        if let Way::Loop(direct) = &mut self.way {
            *direct = None;
        }
    }

    /// The outbox, if there is one.
    pub(super) fn outbox(&self) -> Option<Arc<Outbox>> {
        match &self.way {
            Way::Outbox(outbox) => Some(Arc::clone(outbox)),
            Way::Loop(_) => None,
        }
    }
}
