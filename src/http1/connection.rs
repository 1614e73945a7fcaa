//! One connection, as a state machine that is handed bytes and the time.
//!
//! ```text
//! Reading ──► Headers ──► Body ──► Writing ──► (keep-alive) Reading
//!    └────────── any doubt ──────► Writing(error) ──► Lingering ──► Closed
//! ```
//!
//! * `Reading` waits for the first byte of a request; nothing is held for it.
//! * `Headers` waits for CR LF CR LF. A head that cannot become a request is refused as soon as that is
//!   certain, and the refusal is the same at whatever byte the input is cut.
//! * `Body` waits for the end of a body. The answer is already made, and leaves when the body is over; a
//!   body that turns out malformed replaces it by a refusal. A body that is too large to be worth reading
//!   is not waited for: the answer leaves at once and the connection closes behind it.
//! * `Writing` waits for the peer to take the answer. While anything is in the output no input is read:
//!   that one rule keeps the memory of a connection bounded, and pipelined answers in order. Requests that
//!   came in the same read are answered together, until the turn's budget or the high-water mark.
//! * `Lingering` has told the peer that nothing more will come and throws away what still comes from it. A
//!   close with unread input would reset the connection, and the peer would lose our last answer with it.
//! * `Closed` waits for nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::body::{BodyReader, Framing, Step};
use super::error::Error;
use super::exchange::{Exchange, Pending};
use super::head::{HeadScan, Method, as_known_version, field_space, parse};
use super::response::{Envelope, Response};
use super::service::Service;
use super::settings::{Settings, Timeouts};
use crate::chat::{InBuffer, OutQueue, Window};
use crate::clock::{DateCache, Now};

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
    answer: Answer,
}

/// A response and what has to be known of its request to send it.
#[derive(Debug)]
struct Answer {
    response: Response,
    /// HEAD: the head says what it would for GET, and no body follows (RFC 9110 §9.3.2).
    to_head: bool,
    keep_alive: bool,
    exchange: Option<Exchange>,
}

/// Empty lines that may stand before a request: RFC 9112 §2.2 asks for one, Apache skips ten.
const MAX_EMPTY_LINES: u8 = 10;

/// One HTTP/1.1 connection, seen from the server.
#[derive(Debug)]
pub struct Connection {
    state: State,
    input: InBuffer,
    output: OutQueue,
    /// Bytes ever put into `output`.
    queued: u64,
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
    /// Whether a request has been answered; the first one has the head's time from the accept on.
    has_answered: bool,
    /// The peer will send no more.
    read_closed: bool,
    /// The turn's budget ended with input left.
    out_of_budget: bool,
    /// This connection takes no further request.
    draining: bool,
    /// The peer stopped reading: what is left in the kernel is thrown away with the connection.
    reset: bool,
    /// Answers on their way, if they are to be logged.
    pending: VecDeque<Pending>,
}

impl Connection {
    /// A connection that was accepted just now.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            state: State::Reading,
            input: InBuffer::new(),
            output: OutQueue::new(),
            queued: 0,
            since: now.monotonic,
            progress: now.monotonic,
            begun: now.monotonic,
            empty_lines: 0,
            writing_since: now.monotonic,
            taken_before: 0,
            has_answered: false,
            read_closed: false,
            out_of_budget: false,
            draining: false,
            reset: false,
            pending: VecDeque::new(),
        }
    }

    /// The name of the state, as drawn above.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Reading => "Reading",
            State::Headers(_) => "Headers",
            State::Body(_) => "Body",
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
        if !all && !self.pending.front()?.is_finished(taken) {
            return None;
        }
        let pending = self.pending.pop_front()?;
        if self.pending.is_empty() {
            self.pending = VecDeque::new();
        }
        Some(pending.finish(taken, now.monotonic))
    }

    /// What to do now that everything has been sent.
    pub fn flushed(&mut self, now: Now) -> Flushed {
        debug_assert!(self.output.is_empty(), "not everything has been sent");
        match self.state {
            State::Closed => Flushed::Close,
            State::Writing(Then::Hurry) => self.close(),
            State::Writing(Then::Close | Then::Linger) if self.read_closed => self.close(),
            // All of a small answer is in the socket, and the peer has said that it asks nothing more.
            State::Writing(Then::Close) if self.writing_since == now.monotonic => Flushed::CloseIfQuiet,
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
            let slowest = since + grace + Duration::from_secs(bytes / rate);
            slowest.min(self.progress + idle)
        };
        match &self.state {
            State::Closed => None,
            _ if self.is_writing() => {
                let bytes = self.output.taken() - self.taken_before;
                let (idle, grace) = (timeouts.write_idle, timeouts.write_grace);
                Some(with_rate(self.writing_since, idle, grace, bytes, Timeouts::WRITE_RATE))
            }
            State::Reading if self.draining => Some(self.since + timeouts.drain_quiet),
            State::Reading if self.has_answered => Some(self.since + timeouts.keep_alive),
            State::Body(body) => {
                let bytes = body.reader.content();
                let (idle, grace) = (timeouts.body_idle, timeouts.body_grace);
                Some(with_rate(self.since, idle, grace, bytes, Timeouts::BODY_RATE))
            }
            State::Lingering { .. } => {
                Some((self.since + timeouts.linger).min(self.progress + timeouts.linger_idle))
            }
            State::Reading | State::Headers(_) | State::Writing(_) => Some(self.since + timeouts.head),
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
                self.refuse_body(Error::Timeout, turn);
                self.state = State::Writing(Then::Hurry);
            }
            // A request may be crossing our close: it is read, and so does not reset the connection.
            State::Reading if self.draining => self.enter(State::Writing(Then::Linger), turn.now),
            State::Reading | State::Writing(_) | State::Lingering { .. } | State::Closed => {
                self.state = State::Closed;
            }
        }
    }

    fn enter(&mut self, state: State, now: Now) {
        self.state = state;
        self.since = now.monotonic;
        self.progress = now.monotonic;
    }

    /// Moves as far as the input and the budget allow.
    fn run<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &mut Turn<'_, S>) {
        self.out_of_budget = false;
        loop {
            let goes_on = match self.state {
                State::Reading => self.begin(window, turn),
                State::Headers(_) => self.read_head(window, turn),
                State::Body(_) => self.read_body(window, turn),
                State::Writing(Then::KeepAlive) => self.pipeline(window, turn),
                State::Writing(_) => self.ignore(window),
                State::Lingering { .. } => self.linger(window, turn),
                State::Closed => false,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn begin<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &mut Turn<'_, S>) -> bool {
        // Empty lines before a request are no request (RFC 9112 §2.2): the connection stays idle.
        while window.bytes().starts_with(b"\r\n") {
            window.consume(2);
            self.empty_lines += 1;
            if self.empty_lines > MAX_EMPTY_LINES {
                self.refuse(Error::EmptyLines, b"", turn);
                return true;
            }
        }
        if matches!(window.bytes(), [] | [b'\r']) {
            if self.read_closed {
                self.end_of_input();
            }
            return false;
        }
        let waiting_since = self.since;
        self.enter(State::Headers(HeadScan::default()), turn.now);
        self.begun = turn.now.monotonic;
        if !self.has_answered {
            // The first head has its time from the accept on.
            self.since = waiting_since;
        }
        true
    }

    /// The peer has closed and nothing more can be answered.
    fn end_of_input(&mut self) {
        self.input.clear();
        self.state = if self.output.is_empty() { State::Closed } else { State::Writing(Then::Close) };
    }

    fn read_head<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &mut Turn<'_, S>) -> bool {
        let State::Headers(scan) = &mut self.state else {
            return false;
        };
        match scan.find(window, &turn.settings.limits) {
            Ok(None) if self.read_closed => {
                self.end_of_input();
                false
            }
            Ok(None) => false,
            Ok(Some(_)) if turn.requests == 0 => {
                self.out_of_budget = true;
                false
            }
            Ok(Some(length)) => {
                turn.requests -= 1;
                self.head_found(window, length, turn);
                true
            }
            Err(error) => {
                self.refuse(error, window.bytes(), turn);
                true
            }
        }
    }

    fn head_found<S: Service + ?Sized>(
        &mut self,
        window: &mut Window<'_>,
        length: usize,
        turn: &mut Turn<'_, S>,
    ) {
        let head = as_known_version(&window.bytes()[..length]);
        let accepted = match parse(&head, &mut field_space(), &turn.settings.limits) {
            Ok(mut request) => {
                request.line = &window.bytes()[..request.line.len()];
                let response = turn.service.handle(&request, turn.now);
                let answer = Answer {
                    to_head: request.method == Method::Head,
                    keep_alive: request.keep_alive,
                    exchange: turn.settings.record.then(|| Exchange::of(&request)),
                    response,
                };
                Ok((answer, request.framing, request.expects_continue))
            }
            Err(error) => Err(error),
        };
        match accepted {
            Ok((answer, framing, expects_continue)) => {
                window.consume(length);
                self.await_body(answer, framing, expects_continue, turn);
            }
            Err(error) => self.refuse(error, window.bytes(), turn),
        }
    }

    /// The answer is made. It leaves when the body is over, or at once when the body is not worth reading.
    fn await_body<S: Service + ?Sized>(
        &mut self,
        mut answer: Answer,
        framing: Framing,
        expects_continue: bool,
        turn: &mut Turn<'_, S>,
    ) {
        let limits = &turn.settings.limits;
        let length = match framing {
            Framing::None => return self.respond(answer, Then::Close, turn),
            Framing::Length(length) => length.get(),
            Framing::Chunked => 0,
        };
        // Who is refused anyway is told that first, whatever the size.
        if length > limits.body && !answer.response.status.is_error() {
            return self.refuse_with(Error::BodyTooLarge, answer.to_head, answer.exchange.take(), turn);
        }
        // The peer waits for our word before it sends the body, and this is it (RFC 9110 §10.1.1).
        if expects_continue || length > limits.drained_body {
            answer.keep_alive = false;
            return self.respond(answer, Then::Linger, turn);
        }
        let reader = BodyReader::new(framing);
        let begun = self.since;
        self.enter(State::Body(Box::new(BodyState { reader, answer })), turn.now);
        self.since = begun;
    }

    fn read_body<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &mut Turn<'_, S>) -> bool {
        let State::Body(body) = &mut self.state else {
            return false;
        };
        let outcome = match body.reader.step(window) {
            Ok(Step::Data(count)) => {
                window.consume(count);
                if body.reader.content() <= turn.settings.limits.drained_body {
                    return true;
                }
                Ok(Then::Linger)
            }
            // A request whose body was cut short is never answered (RFC 9112 §6.3).
            Ok(Step::NeedMore) if self.read_closed => {
                self.end_of_input();
                return false;
            }
            Ok(Step::NeedMore) => return false,
            Ok(Step::End) => Ok(Then::KeepAlive),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(then) => self.answer_body(then, turn),
            Err(error) => self.refuse_body(error, turn),
        }
        true
    }

    /// Leaves `Body` with the answer that has been waiting in it.
    fn answer_body<S: Service + ?Sized>(&mut self, then: Then, turn: &mut Turn<'_, S>) {
        if let State::Body(body) = std::mem::replace(&mut self.state, State::Reading) {
            let mut answer = body.answer;
            answer.keep_alive &= then == Then::KeepAlive;
            self.respond(answer, if then == Then::KeepAlive { Then::Close } else { then }, turn);
        }
    }

    /// Leaves `Body` with a refusal in place of the answer that has been waiting in it.
    fn refuse_body<S: Service + ?Sized>(&mut self, error: Error, turn: &mut Turn<'_, S>) {
        if let State::Body(body) = std::mem::replace(&mut self.state, State::Reading) {
            self.refuse_with(error, body.answer.to_head, body.answer.exchange, turn);
        }
    }

    /// While an answer is on its way the next request may be answered too, if it has already come, and if
    /// the answers so far are small.
    fn pipeline<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &Turn<'_, S>) -> bool {
        let next = !window.bytes().is_empty() && !self.output.is_above_high_water();
        if next {
            self.enter(State::Reading, turn.now);
        }
        next
    }

    /// Nothing is parsed behind the last answer (RFC 9112 §9.6). A peer that sends on may be sending still:
    /// it needs the lingering close.
    fn ignore(&mut self, window: &mut Window<'_>) -> bool {
        let rest = window.bytes().len();
        if rest > 0 {
            window.consume(rest);
            self.state = State::Writing(Then::Linger);
        }
        false
    }

    fn linger<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &Turn<'_, S>) -> bool {
        let rest = window.bytes().len();
        window.consume(rest);
        if let State::Lingering { drained } = &mut self.state {
            *drained += rest as u64;
            if *drained > turn.settings.limits.lingering || self.read_closed {
                self.state = State::Closed;
            }
        }
        false
    }

    /// Refuses what has come, closes, and parses nothing more. (the seed's `send_error`)
    fn refuse<S: Service + ?Sized>(&mut self, error: Error, head: &[u8], turn: &mut Turn<'_, S>) {
        let exchange = turn.settings.record.then(|| Exchange::refused(head));
        self.refuse_with(error, head.starts_with(b"HEAD "), exchange, turn);
    }

    fn refuse_with<S: Service + ?Sized>(
        &mut self,
        error: Error,
        to_head: bool,
        exchange: Option<Exchange>,
        turn: &mut Turn<'_, S>,
    ) {
        log::debug!("{}: {error}", error.status());
        let response = Response::error(error.status());
        let answer = Answer { response, to_head, keep_alive: false, exchange };
        self.respond(answer, Then::Linger, turn);
    }

    /// Puts the answer into the output; `otherwise` says what comes after it if the connection ends.
    fn respond<S: Service + ?Sized>(&mut self, answer: Answer, otherwise: Then, turn: &mut Turn<'_, S>) {
        let Answer { response, to_head, keep_alive, exchange } = answer;
        let status = response.status;
        let without_body = to_head || status.is_bodiless();
        // The peer does not know yet that we close: something may be on its way.
        let surprising = keep_alive && self.draining || response.close;
        let then = match keep_alive && !surprising {
            true => Then::KeepAlive,
            false if surprising => Then::Linger,
            false => otherwise,
        };
        if self.output.is_empty() {
            self.taken_before = self.output.taken();
            self.writing_since = turn.now.monotonic;
        }
        let envelope = Envelope {
            server: &turn.settings.server,
            date: turn.dates.http(turn.now.wall),
            keep_alive: then == Then::KeepAlive,
        };
        let tail = self.output.tail();
        let before = tail.len();
        response.write_head(envelope, tail);
        self.queued += (tail.len() - before) as u64;
        let body = self.queued..self.queued + if without_body { 0 } else { response.body.len() };
        self.queued = body.end;
        if !without_body {
            response.body.push_to(&mut self.output);
        }
        if let Some(exchange) = exchange {
            self.pending.push_back(exchange.answered(status, self.begun, body));
        }
        self.has_answered = true;
        self.empty_lines = 0;
        // The request's own time is over; the answer's begins.
        self.enter(State::Writing(then), turn.now);
    }
}

#[cfg(test)]
mod tests;
