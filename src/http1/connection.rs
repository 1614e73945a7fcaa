//! One connection, as a state machine that is handed bytes and the time.
//!
//! ```text
//! Reading ──► Headers ──► Body ──► (Waiting) ──► Writing ──► (keep-alive) Reading
//!    └────────── any doubt ──────► Writing(error) ──► Lingering ──► Closed
//! ```
//!
//! * `Reading` waits for the first byte of a request; nothing is held for it.
//! * `Headers` waits for CR LF CR LF. A head that cannot become a request is refused as soon as that is
//!   certain, and the refusal is the same at whatever byte the input is cut.
//! * `Body` waits for the end of a body. The answer is already made, and leaves when the body is over; a
//!   body that turns out malformed replaces it by a refusal. A body that is too large to be worth reading
//!   is not waited for: the answer leaves at once and the connection closes behind it.
//! * `Waiting` waits for an application to make the answer, whose first pieces may have left already.
//! * `Writing` waits for the peer to take the answer. While anything is in the output no input is read:
//!   that one rule keeps the memory of a connection bounded, and pipelined answers in order. Requests that
//!   came in the same read are answered together, until the turn's budget or the high-water mark.
//! * `Lingering` has told the peer that nothing more will come and throws away what still comes from it. A
//!   close with unread input would reset the connection, and the peer would lose our last answer with it.
//! * `Closed` waits for nothing.

mod machine;

use std::collections::VecDeque;
use std::time::Duration;

use super::body::BodyReader;
use super::error::Error;
use super::exchange::{Exchange, Pending};
use super::later::Later;
use super::response::Response;
use super::scan::HeadScan;
use super::service::Service;
use super::settings::{Settings, Timeouts};
use super::status::Status;
use crate::chat::{InBuffer, OutQueue};
use crate::clock::{DateCache, Instant, Now};

/// Bytes that leave a new connection without any having been acknowledged: ten segments (RFC 6928 §2).
const FIRST_FLIGHT: u64 = 14_600;

/// What the driver lends a connection for one turn.
#[derive(Debug)]
pub struct Turn<'a, S: ?Sized> {
    /// The time of this turn.
    pub now: Now,
    /// What all connections have in common.
    pub settings: &'a Settings,
    /// Who answers.
    pub service: &'a S,
    /// The strings of this second.
    pub dates: &'a mut DateCache,
    /// How many more requests may be answered in this turn; the others wait for the next one, so that a
    /// client with a thousand pipelined requests does not hold up everyone else.
    pub requests: u32,
}

/// What the driver has to do once everything has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Call [`Connection::resume`]: requests that have already come may be answered now.
    Resume,
    /// Shut the sending half down and go on reading.
    Shutdown,
    /// Close the socket, if nothing more has come: with unread input a close is a reset, and the peer might
    /// lose our answer. If something has, hand it in.
    CloseIfQuiet,
    /// Close the socket.
    Close,
}

#[derive(Debug)]
enum State {
    Reading,
    Headers(HeadScan),
    Body(Box<BodyState>),
    Waiting(Box<Waiting>),
    Writing(Then),
    Lingering { drained: u64 },
    Closed,
}

/// What comes after `Writing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The next request.
    KeepAlive,
    /// The peer wanted this answer to be the last: a close, with care.
    Close,
    /// Something may still be coming: a lingering close.
    Linger,
    /// Nothing is waited for any more.
    Hurry,
}

#[derive(Debug)]
struct BodyState {
    reader: BodyReader,
    taker: Taker,
}

/// What a body is read for.
#[derive(Debug)]
enum Taker {
    /// Nobody wants it, and the answer behind it is made.
    Answer(Answer),
    /// An application wants it.
    Later(Waiting),
}

/// A request that an application answers.
#[derive(Debug)]
struct Waiting {
    later: Box<dyn Later>,
    /// The client wants the connection to live on.
    keep_alive: bool,
    to_head: bool,
    exchange: Option<Exchange>,
    /// Where in the connection's output the answer begins.
    from: u64,
}

/// A client that did not wait for its answer: nginx's number for the log.
const NOBODY_WAITED: Status = Status::of_application(499);

/// Bytes of further requests that may come while an answer is made. They are read so that a client that has gone is
/// noticed.
const READ_AHEAD: usize = 64 * 1024;

/// A response and what has to be known of its request to send it.
#[derive(Debug)]
struct Answer {
    response: Response,
    /// HEAD: the head says what it would for GET, and no body follows (RFC 9110 §9.3.2).
    to_head: bool,
    keep_alive: bool,
    exchange: Option<Exchange>,
}

/// One HTTP/1.1 connection, seen from the server.
#[derive(Debug)]
pub struct Connection {
    state: State,
    input: InBuffer,
    output: OutQueue,
    /// When the current state began; in `Headers` and `Body`, when the request did.
    since: Instant,
    /// When the peer last did what the state waits for.
    progress: Instant,
    /// When the first byte of the current request came.
    begun: Instant,
    /// Empty lines since the last request.
    empty_lines: u8,
    /// When the output was last empty, and [`OutQueue::taken`] at that time.
    writing_since: Instant,
    taken_before: u64,
    /// Requests that have been answered; the first one has the head's time from the accept on.
    answered: u32,
    /// The peer will send no more.
    read_closed: bool,
    /// The turn's budget ended with input left.
    out_of_budget: bool,
    /// This connection takes no further request.
    draining: bool,
    /// The peer stopped reading: what is left in the kernel is thrown away with the connection.
    reset: bool,
    /// Answers on their way, if they are to be logged.
    #[allow(clippy::box_collection, reason = "one word of each idle connection, where the queue has four")]
    pending: Option<Box<VecDeque<Pending>>>,
}

impl Connection {
    /// A connection that was accepted just now.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            state: State::Reading,
            input: InBuffer::new(),
            output: OutQueue::new(),
            since: now.monotonic,
            progress: now.monotonic,
            begun: now.monotonic,
            empty_lines: 0,
            writing_since: now.monotonic,
            taken_before: 0,
            answered: 0,
            read_closed: false,
            out_of_budget: false,
            draining: false,
            reset: false,
            pending: None,
        }
    }

    /// The name of the state, as drawn above.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Reading => "Reading",
            State::Headers(_) => "Headers",
            State::Body(_) => "Body",
            State::Waiting(_) => "Waiting",
            State::Writing(_) => "Writing",
            State::Lingering { .. } => "Lingering",
            State::Closed => "Closed",
        }
    }

    /// Back-pressure: whether more input is wanted. Never while the peer has not taken what it was given.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        match self.state {
            State::Closed => false,
            State::Lingering { .. } => true,
            State::Waiting(_) if self.input.len() >= READ_AHEAD => false,
            _ => self.output.is_empty() && !self.out_of_budget && !self.read_closed,
        }
    }

    /// Whether there is something to send, or to be done once everything has been sent.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty() || self.out_of_budget || matches!(self.state, State::Writing(_))
    }

    /// Whether it is over: the driver closes the socket.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether it waits for the first byte of a request, and owes nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Reading) && self.output.is_empty() && !self.out_of_budget
    }

    /// Whether an application makes the answer.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Whether it waits for nothing but the peer's close.
    #[must_use]
    pub fn is_lingering(&self) -> bool {
        matches!(self.state, State::Lingering { .. })
    }

    /// Whether the socket should be closed with a reset, because the peer does not read.
    #[must_use]
    pub fn wants_reset(&self) -> bool {
        self.reset
    }

    /// What waits to be sent.
    #[must_use]
    pub fn output(&self) -> &OutQueue {
        &self.output
    }

    /// What waits to be sent, for the driver to send it.
    pub fn output_mut(&mut self) -> &mut OutQueue {
        &mut self.output
    }

    /// How many bytes of input wait here: what fuzzing holds against the limits.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> usize {
        self.input.len()
    }

    /// Takes what has come from the peer.
    pub fn receive<S: Service + ?Sized>(&mut self, bytes: &[u8], turn: &mut Turn<'_, S>) {
        if !bytes.is_empty() {
            self.progress = turn.now.monotonic;
        }
        let mut window = self.input.open(bytes);
        self.run(&mut window, turn);
        self.input.close(window);
    }

    /// Goes on with input that has come before. (see [`Flushed::Resume`])
    pub fn resume<S: Service + ?Sized>(&mut self, turn: &mut Turn<'_, S>) {
        self.receive(b"", turn);
    }

    /// Takes note that the peer will send no more. It may still read (RFC 9112 §9.6): what it has asked
    /// for in full is answered in full.
    pub fn receive_eof<S: Service + ?Sized>(&mut self, turn: &mut Turn<'_, S>) {
        self.read_closed = true;
        self.resume(turn);
    }

    /// Takes note that the peer has taken some of the output.
    pub fn note_progress(&mut self, now: Now) {
        self.progress = now.monotonic;
    }

    /// The next exchange to be logged; with `all`, also those that were cut short.
    pub fn take_finished(&mut self, now: Now, all: bool) -> Option<Exchange> {
        let taken = self.output.taken();
        if all && self.pending.is_none() {
            self.note_unfinished();
        }
        let pending = self.pending.as_mut()?;
        if !all && !pending.front()?.is_finished(taken) {
            return None;
        }
        let first = pending.pop_front()?;
        if pending.is_empty() {
            self.pending = None;
        }
        Some(first.finish(taken, now.monotonic))
    }

    /// An answer that an application was making ends here.
    fn note_unfinished(&mut self) {
        let State::Waiting(waiting) = &mut self.state else {
            return;
        };
        if let Some(exchange) = waiting.exchange.take() {
            let end = self.output.taken() + self.output.len();
            let (status, head) = waiting.later.answered().unwrap_or((NOBODY_WAITED, 0));
            let body = end.min(waiting.from + head)..end;
            self.pending.get_or_insert_default().push_back(exchange.answered(status, self.begun, body));
        }
    }

    /// What to do now that everything has been sent.
    pub fn flushed(&mut self, now: Now) -> Flushed {
        debug_assert!(self.output.is_empty(), "not everything has been sent");
        match self.state {
            State::Closed => Flushed::Close,
            State::Writing(Then::Hurry) => self.close(),
            State::Writing(Then::Close | Then::Linger) if self.read_closed => self.close(),
            // All of a small answer is on its way, and the peer has said that it asks nothing more.
            State::Writing(Then::Close) if self.has_left_at_once(now) => Flushed::CloseIfQuiet,
            State::Writing(Then::Close | Then::Linger) => {
                self.enter(State::Lingering { drained: 0 }, now);
                Flushed::Shutdown
            }
            State::Writing(Then::KeepAlive) => {
                self.enter(State::Reading, now);
                Flushed::Resume
            }
            // The next request has begun to come while the last answer was leaving: its time begins now.
            _ => {
                self.since = now.monotonic;
                Flushed::Resume
            }
        }
    }

    /// Whether the kernel has not only taken the answer but sent it, as far as can be told from here: what is
    /// still ours when something more comes from the peer would be lost to the reset that answers it.
    fn has_left_at_once(&self, now: Now) -> bool {
        self.writing_since == now.monotonic && self.output.taken() - self.taken_before <= FIRST_FLIGHT
    }

    /// It is over. (`asynchat`'s `close`)
    pub fn close(&mut self) -> Flushed {
        self.state = State::Closed;
        Flushed::Close
    }

    /// Takes one more request at the most, and says so in its answer. A connection that stays quiet is
    /// closed after [`Timeouts::drain_quiet`]: a request may be on its way to us already, and a close that
    /// crosses it would be a failure for its sender.
    pub fn drain(&mut self, now: Now) {
        self.draining = true;
        if matches!(self.state, State::Reading) {
            self.since = now.monotonic;
        }
    }

    /// When [`Connection::handle_timeout`] has to be called, if nothing happens before.
    #[must_use]
    pub fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        let with_rate = |since: Instant, idle: Duration, grace: Duration, bytes: u64, rate: u64| {
            let slowest = since + grace + Duration::from_secs(bytes / rate.max(1));
            slowest.min(self.progress + idle)
        };
        match &self.state {
            State::Closed => None,
            // How long the application takes is its own affair.
            State::Waiting(_) if self.output.is_empty() => None,
            _ if self.is_writing() => {
                let bytes = self.output.taken() - self.taken_before;
                let (idle, grace) = (timeouts.write_idle, timeouts.write_grace);
                Some(with_rate(self.writing_since, idle, grace, bytes, timeouts.write_rate))
            }
            State::Reading if self.draining => Some(self.since + timeouts.drain_quiet),
            State::Reading if self.answered > 0 => Some(self.since + timeouts.keep_alive),
            State::Body(body) => {
                let bytes = body.reader.content();
                let (idle, grace) = (timeouts.body_idle, timeouts.body_grace);
                Some(with_rate(self.since, idle, grace, bytes, timeouts.body_rate))
            }
            State::Lingering { .. } => {
                Some((self.since + timeouts.linger).min(self.progress + timeouts.linger_idle))
            }
            State::Reading | State::Headers(_) | State::Waiting(_) | State::Writing(_) => {
                Some(self.since + timeouts.head)
            }
        }
    }

    /// Whether the peer is waited for to take an answer; a request may have begun behind it.
    fn is_writing(&self) -> bool {
        !self.output.is_empty() || matches!(self.state, State::Writing(_))
    }

    /// Does what a deadline that has passed asks for. Called too early, it does nothing.
    pub fn handle_timeout<S: Service + ?Sized>(&mut self, turn: &mut Turn<'_, S>) {
        let deadline = self.deadline(&turn.settings.timeouts);
        if deadline.is_none_or(|deadline| deadline > turn.now.monotonic) {
            return;
        }
        match self.state {
            _ if self.is_writing() => {
                self.note_unfinished();
                self.reset = true;
                self.state = State::Closed;
            }
            // A request that has begun is told why it ends; there is no lingering with who is late already.
            State::Headers(_) => {
                let window = self.input.open(b"");
                self.refuse(Error::Timeout, window.bytes(), turn);
                self.state = State::Writing(Then::Hurry);
            }
            State::Body(_) => {
                self.input.clear();
                self.refuse_body(Error::Timeout.status(), turn);
                self.state = State::Writing(Then::Hurry);
            }
            // A request may be crossing our close: it is read, and so does not reset the connection.
            State::Reading if self.draining => self.enter(State::Writing(Then::Linger), turn.now),
            State::Reading
            | State::Waiting(_)
            | State::Writing(_)
            | State::Lingering { .. }
            | State::Closed => {
                self.state = State::Closed;
            }
        }
    }

    fn enter(&mut self, state: State, now: Now) {
        self.state = state;
        self.since = now.monotonic;
        self.progress = now.monotonic;
    }
}

#[cfg(test)]
mod tests;
