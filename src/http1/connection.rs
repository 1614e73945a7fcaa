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
    KeepAlive,
    Close,
    Linger,
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
    without_body: bool,
    keep_alive: bool,
    exchange: Option<Exchange>,
}

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
            State::Writing(Then::Close) => self.close(),
            State::Writing(Then::Linger) if self.read_closed => self.close(),
            State::Writing(Then::Linger) => {
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

    fn close(&mut self) -> Flushed {
        self.state = State::Closed;
        Flushed::Close
    }

    /// Takes no further request: closes at once when idle, else after the answer that is due.
    pub fn drain(&mut self) {
        self.draining = true;
        if matches!(self.state, State::Reading) && self.input.is_empty() && self.output.is_empty() {
            self.state = State::Closed;
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
            // A request that has begun is told why it ends; there is no lingering for who is late already.
            State::Headers(_) | State::Body(_) => {
                self.input.clear();
                self.refuse(Error::Timeout, b"", turn);
                self.state = State::Writing(Then::Close);
            }
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

    fn begin<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &Turn<'_, S>) -> bool {
        if window.bytes().is_empty() {
            if self.read_closed || self.draining {
                self.end_of_input();
            }
            return false;
        }
        let first = !self.has_answered;
        let accepted = self.since;
        self.enter(State::Headers(HeadScan::default()), turn.now);
        if first {
            self.since = accepted;
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
            Ok(request) => {
                let response = turn.service.handle(&request, turn.now);
                let answer = Answer {
                    without_body: request.method == Method::Head || response.status.is_bodiless(),
                    keep_alive: request.keep_alive && !response.close,
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
            let exchange = answer.exchange.take();
            return self.refuse_with(Error::BodyTooLarge, exchange, turn);
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
        let State::Body(body) = std::mem::replace(&mut self.state, State::Reading) else {
            return false;
        };
        let mut answer = body.answer;
        match outcome {
            Ok(then) => {
                answer.keep_alive &= then == Then::KeepAlive;
                let otherwise = if then == Then::Linger { Then::Linger } else { Then::Close };
                self.respond(answer, otherwise, turn);
            }
            Err(error) => self.refuse_with(error, answer.exchange, turn),
        }
        true
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
        self.refuse_with(error, exchange, turn);
    }

    fn refuse_with<S: Service + ?Sized>(
        &mut self,
        error: Error,
        exchange: Option<Exchange>,
        turn: &mut Turn<'_, S>,
    ) {
        log::debug!("{}: {error}", error.status());
        let answer = Answer {
            response: Response::error(error.status()),
            without_body: false,
            keep_alive: false,
            exchange,
        };
        self.respond(answer, Then::Linger, turn);
    }

    /// Puts the answer into the output; `otherwise` says what comes after it if the connection ends.
    fn respond<S: Service + ?Sized>(&mut self, answer: Answer, otherwise: Then, turn: &mut Turn<'_, S>) {
        let Answer { response, without_body, keep_alive, exchange } = answer;
        let keep_alive = keep_alive && !self.draining;
        let status = response.status;
        let envelope =
            Envelope { server: &turn.settings.server, date: turn.dates.http(turn.now.wall), keep_alive };
        if self.output.is_empty() {
            self.taken_before = self.output.taken();
            self.writing_since = turn.now.monotonic;
        }
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
            self.pending.push_back(exchange.answered(status, self.since, body));
        }
        self.has_answered = true;
        let then = if keep_alive { Then::KeepAlive } else { otherwise };
        // The request's own time is over; the answer's begins.
        self.enter(State::Writing(then), turn.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Body, Request};

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

        fn turn(
            &mut self,
            call: impl FnOnce(&mut Connection, &mut Turn<'_, fn(&Request<'_>, Now) -> Response>),
        ) {
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

    #[test]
    fn draining() {
        let mut idle = Bench::new();
        idle.connection.drain();
        assert!(idle.connection.is_closed());

        let mut busy = Bench::new();
        busy.receive("GET /a HT");
        busy.connection.drain();
        busy.receive(&format!("TP/1.1\r\nHost: h\r\n\r\n{GET}"));
        let answer = busy.send(usize::MAX);
        assert!(answer.contains("Connection: close") && answer.matches("HTTP/1.1").count() == 1);

        let mut writing = Bench::new();
        writing.receive(GET);
        writing.connection.drain();
        assert!(writing.send(usize::MAX).ends_with("/a"), "what is due is sent");
        assert!(writing.connection.is_closed());
    }

    #[test]
    fn exchanges() {
        let mut bench = Bench::new();
        bench.receive(&format!(
            "{GET}HEAD /b HTTP/1.1\r\nHost: h\r\n\r\nGET /large HTTP/1.1\r\nHost: h\r\n\r\n"
        ));
        bench.send(1000);
        bench.later(1_500);
        let mut finished = Vec::new();
        while let Some(exchange) = bench.connection.take_finished(bench.now, false) {
            finished.push((String::from_utf8(exchange.request_line.to_vec()).expect("text"), exchange.sent));
        }
        assert_eq!(finished, [("GET /a HTTP/1.1".into(), 2), ("HEAD /b HTTP/1.1".into(), 0)]);
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
}
