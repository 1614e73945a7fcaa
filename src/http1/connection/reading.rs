//! The input side of a connection: from bytes to events, with one function for each state.

use super::{AfterWrite, BodySink, BodyState, Connection, Event, Reader, ResponseTerms, Turn, Writer};
use crate::chat::{Frame, Window};
use crate::clock::Instant;
use crate::http1::body::{BodyEvent, BodyReader};
use crate::http1::error::Error;
use crate::http1::framing::BodyFraming;
use crate::http1::head::Head;
use crate::http1::request::RequestNeeds;
use crate::http1::scan::{HeadEnd, HeadScan};
use crate::http1::settings::Limits;

/// Empty lines that may come before a request: RFC 9112 §2.2 asks for one, Apache skips ten.
const MAX_EMPTY_LINES: u8 = 10;

impl Connection {
    /// Finds the next event in the input that `window` shows, and moves the state up to that event.
    pub fn next_event(&mut self, window: &mut Window<'_>, turn: &Turn<'_>) -> Event {
        let now = turn.now.monotonic;
        loop {
            match (&self.writer, &self.reader) {
                (Writer::Closed { .. }, _) => return Event::NeedData,
                (Writer::Lingering { .. }, _) => return self.linger(window, &turn.settings.limits),
                (Writer::Waiting, _) => return Event::Paused,
                (Writer::Sending(AfterWrite::KeepAlive), _) if self.may_pipeline(window) => self.restart(now),
                (Writer::Sending(AfterWrite::KeepAlive), _) => return Event::Paused,
                (Writer::Sending(_), _) => return self.ignore(window),
                (Writer::Idle, Reader::Idle { .. }) => {
                    if let Some(event) = self.begin_head(window, now) {
                        return event;
                    }
                }
                (Writer::Idle, Reader::Head { .. }) => return self.read_head(window, &turn.settings.limits),
                (Writer::Idle, Reader::Body(_)) => return self.read_body(window, &turn.settings.limits),
                (Writer::Idle, Reader::Done(_)) => return Event::Paused,
            }
        }
    }

    /// Makes the connection wait for the next request.
    pub(super) fn restart(&mut self, now: Instant) {
        self.reader = Reader::Idle { since: now, empty_lines: 0 };
        self.writer = Writer::Idle;
    }

    /// Ends `Idle` with the first byte of a request.
    fn begin_head(&mut self, window: &mut Window<'_>, now: Instant) -> Option<Event> {
        let Reader::Idle { since, empty_lines } = &mut self.reader else {
            return None;
        };
        // Empty lines before a request are skipped (RFC 9112 §2.2): the connection stays idle.
        while window.bytes().starts_with(b"\r\n") {
            window.consume(2);
            *empty_lines += 1;
            if *empty_lines > MAX_EMPTY_LINES {
                return Some(Event::Refuse(Error::EmptyLines));
            }
        }
        if matches!(window.bytes(), [] | [b'\r']) {
            return Some(self.need_data(window));
        }
        // The time of the first head begins with the accept.
        let since = if self.responses == 0 { *since } else { now };
        self.reader = Reader::Head { since, begun: now, scan: HeadScan::default() };
        None
    }

    /// Waits for the rest of a frame; at the end of the input it closes the connection, since the frame stays incomplete.
    fn need_data(&mut self, window: &mut Window<'_>) -> Event {
        if window.is_ended() {
            window.consume(window.bytes().len());
            self.writer = match self.output.is_empty() {
                true => Writer::Closed { reset: false },
                false => Writer::Sending(AfterWrite::Close),
            };
        }
        Event::NeedData
    }

    fn read_head(&mut self, window: &mut Window<'_>, limits: &Limits) -> Event {
        let Reader::Head { scan, begun, .. } = &mut self.reader else {
            return Event::NeedData;
        };
        match window.find(&mut HeadEnd::new(scan, limits)) {
            Ok(Frame::Whole { data, .. }) => {
                let head = Head { length: data, fields: scan.fields(), begun: *begun };
                // A driver without budget for the request asks again in another turn, and then finds the same head.
                *scan = HeadScan::default();
                window.search_again();
                Event::Head(head)
            }
            Ok(Frame::Part { .. }) => self.need_data(window),
            Err(error) => Event::Refuse(error),
        }
    }

    /// Accepts the request whose head was found: consumes the head, and begins to read the body for `sink`. Returns
    /// whether the request is whole, because it has no body; otherwise [`Event::End`] follows.
    pub fn accept(
        &mut self,
        head: Head,
        needs: RequestNeeds,
        sink: BodySink,
        window: &mut Window<'_>,
        turn: &Turn<'_>,
    ) -> bool {
        window.consume(head.length);
        let after = if needs.keep_alive { AfterWrite::KeepAlive } else { AfterWrite::Close };
        let terms = ResponseTerms { is_head: needs.is_head, after };
        let length = match needs.framing {
            BodyFraming::None => {
                self.reader = Reader::Done(terms);
                return true;
            }
            BodyFraming::Length(length) => length,
            BodyFraming::Chunked | BodyFraming::UntilClose => 0,
        };
        let since = match self.reader {
            Reader::Head { since, .. } => since,
            _ => head.begun,
        };
        // The peer waits for the interim response, no byte of the body is here, and the body is within its limit.
        let asks = needs.expects_continue && window.bytes().is_empty();
        if asks && sink == BodySink::Application && length <= turn.settings.limits.body {
            self.note_flight(turn.now);
            self.output.push(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.progress = turn.now.monotonic;
        let reader = BodyReader::new(needs.framing);
        let (begun, expects_continue) = (head.begun, needs.expects_continue);
        self.reader =
            Reader::Body(Box::new(BodyState { since, begun, reader, sink, expects_continue, terms }));
        false
    }

    fn read_body(&mut self, window: &mut Window<'_>, limits: &Limits) -> Event {
        let Reader::Body(body) = &mut self.reader else {
            return Event::NeedData;
        };
        if let Some(event) = body.check_size(limits) {
            return self.end_body(event);
        }
        loop {
            let found = match body.reader.next_event(window) {
                Ok(found) => found,
                Err(error) => return Event::Refuse(error),
            };
            // A chunk announces its length: a chunk that is too large is refused before it comes.
            if let Some(event) = body.check_size(limits) {
                return self.end_body(event);
            }
            match found {
                BodyEvent::Data(count) if body.is_discarded() => window.consume(count),
                BodyEvent::Data(count) => return Event::Data(count),
                // A request whose body is cut short has no response (RFC 9112 §6.3).
                BodyEvent::NeedData => return self.need_data(window),
                BodyEvent::End => return self.end_body(Event::End),
            }
        }
    }

    fn end_body(&mut self, event: Event) -> Event {
        if let (Event::End, Reader::Body(body)) = (event, &self.reader) {
            self.reader = Reader::Done(body.terms);
        }
        event
    }

    /// Whether the next request may be read while a response is leaving: it has come already, and the responses so far
    /// are small and hold no file. A connection may cost one descriptor beside its own (RULES C10), and sixteen ranges
    /// of one byte each out of a large file would cost sixteen.
    fn may_pipeline(&self, window: &Window<'_>) -> bool {
        !window.bytes().is_empty()
            && !self.output.is_above_high_water()
            && !self.output.holds_more_than_bytes()
    }

    /// Discards input after the last response (RFC 9112 §9.6). The peer may still be sending, so a close becomes a
    /// lingering close.
    fn ignore(&mut self, window: &mut Window<'_>) -> Event {
        let rest = window.bytes().len();
        if rest > 0 {
            window.consume(rest);
            if !matches!(self.writer, Writer::Sending(AfterWrite::Reset)) {
                self.writer = Writer::Sending(AfterWrite::Linger);
            }
        }
        Event::NeedData
    }

    fn linger(&mut self, window: &mut Window<'_>, limits: &Limits) -> Event {
        let rest = window.bytes().len();
        window.consume(rest);
        if let Writer::Lingering { drained, .. } = &mut self.writer {
            *drained += rest as u64;
            if *drained > limits.lingering || window.is_ended() {
                self.writer = Writer::Closed { reset: false };
            }
        }
        Event::NeedData
    }
}

impl BodyState {
    fn is_discarded(&self) -> bool {
        self.sink != BodySink::Application
    }

    /// Returns the event that ends a body before its end: it is too large to be taken, or to be discarded.
    fn check_size(&mut self, limits: &Limits) -> Option<Event> {
        let announced = self.reader.announced();
        if announced > limits.body && self.sink != (BodySink::Discard { is_error: true }) {
            return Some(Event::Refuse(Error::BodyTooLarge));
        }
        // The peer waits for the response before it sends the body (RFC 9110 §10.1.1), or the body costs more than a new
        // connection: it stays unread, and the connection closes after the response.
        if self.is_discarded() && (self.expects_continue || announced > limits.drained_body) {
            self.terms.after = AfterWrite::Linger;
            return Some(Event::End);
        }
        None
    }
}
