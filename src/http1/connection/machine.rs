//! The moves of the state machine: one function for each state, called until none can go on.

use super::{Answer, BodyState, Connection, State, Taker, Then, Turn, Waiting};
use crate::chat::Window;
use crate::http1::body::{BodyReader, Framing, Step};
use crate::http1::error::Error;
use crate::http1::exchange::Exchange;
use crate::http1::grammar::is_tchar;
use crate::http1::head::{FEW_FIELDS, MAX_FIELDS, Method, field_space, parse};
use crate::http1::later::{Ending, Progress, Reply};
use crate::http1::response::{Envelope, Response};
use crate::http1::scan::HeadScan;
use crate::http1::service::Service;
use crate::http1::status::Status;

/// Empty lines that may stand before a request: RFC 9112 §2.2 asks for one, Apache skips ten.
const MAX_EMPTY_LINES: u8 = 10;

impl Connection {
    /// Moves as far as the input and the budget allow.
    pub(super) fn run<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &mut Turn<'_, S>) {
        self.out_of_budget = false;
        loop {
            let goes_on = match self.state {
                State::Reading => self.begin(window, turn),
                State::Headers(_) => self.read_head(window, turn),
                State::Body(_) => self.read_body(window, turn),
                State::Waiting(_) => self.wait(turn),
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
        if self.answered == 0 {
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
        match scan.find(window.bytes(), &turn.settings.limits) {
            Ok(None) if self.read_closed => {
                self.end_of_input();
                false
            }
            Ok(None) => false,
            Ok(Some(_)) if turn.requests == 0 => {
                // It is found anew in the next turn.
                *scan = HeadScan::default();
                self.out_of_budget = true;
                false
            }
            Ok(Some(length)) => {
                turn.requests -= 1;
                if scan.fields() <= FEW_FIELDS {
                    self.head_found::<S, FEW_FIELDS>(window, length, turn);
                } else {
                    self.head_found::<S, MAX_FIELDS>(window, length, turn);
                }
                true
            }
            Err(error) => {
                self.refuse(error, window.bytes(), turn);
                true
            }
        }
    }

    /// `FIELDS`: room for so many field lines.
    fn head_found<S: Service + ?Sized, const FIELDS: usize>(
        &mut self,
        window: &mut Window<'_>,
        length: usize,
        turn: &mut Turn<'_, S>,
    ) {
        let head = &window.bytes()[..length];
        let accepted = match parse(head, &mut field_space::<FIELDS>(), &turn.settings.limits) {
            Ok(request) => {
                let (to_head, keep_alive) = (request.method == Method::Head, request.keep_alive);
                let reply = turn.service.begin(&request, turn.now);
                let exchange = turn.settings.record.then(|| Exchange::of(&request));
                let taker = match reply {
                    Reply::Now(response) => Taker::Answer(Answer { response, to_head, keep_alive, exchange }),
                    Reply::Later(later) => {
                        Taker::Later(Waiting { later, keep_alive, to_head, exchange, from: 0 })
                    }
                };
                Ok((taker, request.framing, request.expects_continue))
            }
            Err(error) => Err(error),
        };
        match accepted {
            Ok((taker, framing, expects_continue)) => {
                window.consume(length);
                let is_next = window.bytes().is_empty();
                match taker {
                    Taker::Answer(answer) => self.await_body(answer, framing, expects_continue, turn),
                    Taker::Later(waiting) => {
                        self.await_wanted_body(waiting, framing, expects_continue && is_next, turn);
                    }
                }
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
            return self.refuse_with(
                Error::BodyTooLarge.status(),
                answer.to_head,
                answer.exchange.take(),
                turn,
            );
        }
        // The peer waits for our word before it sends the body, and this is it (RFC 9110 §10.1.1).
        if expects_continue || length > limits.drained_body {
            answer.keep_alive = false;
            return self.respond(answer, Then::Linger, turn);
        }
        self.enter_body(framing, Taker::Answer(answer), turn);
    }

    fn enter_body<S: Service + ?Sized>(&mut self, framing: Framing, taker: Taker, turn: &Turn<'_, S>) {
        let reader = BodyReader::new(framing);
        let begun = self.since;
        self.enter(State::Body(Box::new(BodyState { reader, taker })), turn.now);
        self.since = begun;
    }

    /// An application is to answer, and sees the body first. `asks`: the peer waits for our word, and none of the body
    /// is here yet.
    fn await_wanted_body<S: Service + ?Sized>(
        &mut self,
        waiting: Waiting,
        framing: Framing,
        asks: bool,
        turn: &mut Turn<'_, S>,
    ) {
        let length = match framing {
            Framing::None => return self.begin_answer(waiting, turn),
            Framing::Length(length) => length.get(),
            Framing::Chunked => 0,
        };
        if length > turn.settings.limits.body {
            return self.refuse_with(Error::BodyTooLarge.status(), waiting.to_head, waiting.exchange, turn);
        }
        if asks {
            self.note_writing(turn);
            self.output.push(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.enter_body(framing, Taker::Later(waiting), turn);
    }

    /// The whole request is here.
    fn begin_answer<S: Service + ?Sized>(&mut self, mut waiting: Waiting, turn: &Turn<'_, S>) {
        waiting.from = self.output.taken() + self.output.len();
        waiting.later.begin();
        self.enter(State::Waiting(Box::new(waiting)), turn.now);
    }

    /// Takes what the application has made. What it makes next waits until this has left: its pieces are not
    /// gathered, and a client that does not read them holds it up.
    fn wait<S: Service + ?Sized>(&mut self, turn: &mut Turn<'_, S>) -> bool {
        if self.output.is_above_high_water() {
            return false;
        }
        if turn.requests == 0 {
            self.out_of_budget = true;
            return false;
        }
        self.note_writing(turn);
        let State::Waiting(waiting) = &mut self.state else {
            return false;
        };
        let progress = waiting.later.poll(&mut self.output);
        self.output.set_more_comes(progress == Progress::Soon);
        match progress {
            Progress::Pending => false,
            Progress::More | Progress::Soon => {
                turn.requests -= 1;
                // It may have made nothing: then there is no end of sending to wait for.
                self.output.is_empty()
            }
            Progress::End(ending) => {
                self.end_answer(ending, turn);
                true
            }
        }
    }

    /// The last piece of an application's answer is in the output.
    fn end_answer<S: Service + ?Sized>(&mut self, ending: Ending, turn: &Turn<'_, S>) {
        self.note_unfinished();
        let State::Waiting(waiting) = std::mem::replace(&mut self.state, State::Reading) else {
            return;
        };
        let then = match ending {
            Ending::KeepAlive => Then::KeepAlive,
            // The peer does not know yet that we close: something may be on its way.
            Ending::Close if waiting.keep_alive => Then::Linger,
            Ending::Close => Then::Close,
            Ending::Cut { reset } => {
                self.reset = reset;
                Then::Hurry
            }
        };
        self.answered = self.answered.saturating_add(1);
        self.empty_lines = 0;
        self.enter(State::Writing(then), turn.now);
    }

    /// Something is about to be put into the output: if it is empty, the time that the peer has to take it begins.
    fn note_writing<S: Service + ?Sized>(&mut self, turn: &Turn<'_, S>) {
        if self.output.is_empty() {
            self.taken_before = self.output.taken();
            self.writing_since = turn.now.monotonic;
        }
    }

    fn read_body<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &mut Turn<'_, S>) -> bool {
        let State::Body(body) = &mut self.state else {
            return false;
        };
        let step = body.reader.step(window);
        let announced = body.reader.announced();
        let is_too_large = announced > turn.settings.limits.body;
        let outcome = match (step, &mut body.taker) {
            // A chunk says how long it is before it comes: what is not worth reading is not waited for.
            (Ok(_), Taker::Answer(answer)) if announced > turn.settings.limits.drained_body => {
                let is_refused = answer.response.status.is_error();
                if is_too_large && !is_refused { Err(Error::BodyTooLarge) } else { Ok(Then::Linger) }
            }
            (Ok(_), Taker::Later(_)) if is_too_large => Err(Error::BodyTooLarge),
            (Ok(Step::Data(count)), taker) => {
                let taken = match taker {
                    Taker::Answer(_) => Ok(()),
                    Taker::Later(waiting) => waiting.later.body(&window.bytes()[..count]),
                };
                window.consume(count);
                if let Err(status) = taken {
                    self.refuse_body(status, turn);
                }
                return true;
            }
            // A request whose body was cut short is never answered (RFC 9112 §6.3).
            (Ok(Step::NeedMore), _) if self.read_closed => {
                self.end_of_input();
                return false;
            }
            (Ok(Step::NeedMore), _) => return false,
            (Ok(Step::End), _) => Ok(Then::KeepAlive),
            (Err(error), _) => Err(error),
        };
        match outcome {
            Ok(then) => self.answer_body(then, turn),
            Err(error) => self.refuse_body(error.status(), turn),
        }
        true
    }

    /// Leaves `Body` with the answer that has been waiting in it.
    fn answer_body<S: Service + ?Sized>(&mut self, then: Then, turn: &mut Turn<'_, S>) {
        if let State::Body(body) = std::mem::replace(&mut self.state, State::Reading) {
            let mut answer = match body.taker {
                Taker::Answer(answer) => answer,
                Taker::Later(waiting) => return self.begin_answer(waiting, turn),
            };
            answer.keep_alive &= then == Then::KeepAlive;
            self.respond(answer, if then == Then::KeepAlive { Then::Close } else { then }, turn);
        }
    }

    /// Leaves `Body` with a refusal in place of the answer that has been waiting in it.
    pub(super) fn refuse_body<S: Service + ?Sized>(&mut self, status: Status, turn: &mut Turn<'_, S>) {
        if let State::Body(body) = std::mem::replace(&mut self.state, State::Reading) {
            let (to_head, exchange) = match body.taker {
                Taker::Answer(answer) => (answer.to_head, answer.exchange),
                Taker::Later(waiting) => (waiting.to_head, waiting.exchange),
            };
            self.refuse_with(status, to_head, exchange, turn);
        }
    }

    /// While an answer is on its way the next request may be answered too, if it has already come, and if
    /// the answers so far are small and hold no file open: a connection may cost one descriptor beside its
    /// own (RULES C10), and sixteen of one byte each out of a large file would cost sixteen.
    fn pipeline<S: Service + ?Sized>(&mut self, window: &mut Window<'_>, turn: &Turn<'_, S>) -> bool {
        let is_small = !self.output.is_above_high_water() && !self.output.holds_more_than_bytes();
        let next = !window.bytes().is_empty() && is_small;
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
    pub(super) fn refuse<S: Service + ?Sized>(&mut self, error: Error, head: &[u8], turn: &mut Turn<'_, S>) {
        let exchange = turn.settings.record.then(|| Exchange::refused(head));
        log::debug!("{error}");
        self.refuse_with(error.status(), is_to_head(head), exchange, turn);
    }

    fn refuse_with<S: Service + ?Sized>(
        &mut self,
        status: Status,
        to_head: bool,
        exchange: Option<Exchange>,
        turn: &mut Turn<'_, S>,
    ) {
        let response = Response::error(status);
        let answer = Answer { response, to_head, keep_alive: false, exchange };
        self.respond(answer, Then::Linger, turn);
    }

    /// Puts the answer into the output; `otherwise` says what comes after it if the connection ends.
    fn respond<S: Service + ?Sized>(&mut self, answer: Answer, otherwise: Then, turn: &mut Turn<'_, S>) {
        let Answer { response, to_head, keep_alive, exchange } = answer;
        let status = response.status;
        let without_body = to_head || status.is_bodiless();
        let is_last =
            turn.settings.limits.requests.is_some_and(|most| u64::from(self.answered) + 1 >= most.get());
        // The peer does not know yet that we close: something may be on its way.
        let surprising = keep_alive && (self.draining || is_last) || response.close;
        let then = match keep_alive && !surprising {
            true => Then::KeepAlive,
            false if surprising => Then::Linger,
            false => otherwise,
        };
        self.note_writing(turn);
        let envelope = Envelope {
            server: &turn.settings.server,
            date: turn.dates.http(turn.now.wall),
            keep_alive: then == Then::KeepAlive,
        };
        response.write_head(envelope, self.output.tail());
        if let Some(exchange) = exchange {
            let begin = self.output.taken() + self.output.len();
            let body = begin..begin + if without_body { 0 } else { response.body.len() };
            let pending = exchange.answered(status, self.begun, body);
            self.pending.get_or_insert_default().push_back(pending);
        }
        if !without_body {
            response.body.push_to(&mut self.output);
        }
        self.answered = self.answered.saturating_add(1);
        self.empty_lines = 0;
        // The request's own time is over; the answer's begins.
        self.enter(State::Writing(then), turn.now);
    }
}

/// Whether what came begins with the method HEAD, whatever is wrong behind it: its sender expects no body.
fn is_to_head(head: &[u8]) -> bool {
    head.strip_prefix(b"HEAD").is_some_and(|rest| !rest.first().copied().is_some_and(is_tchar))
}
