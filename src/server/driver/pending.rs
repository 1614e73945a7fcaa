//! Responses that are not ready when their request has come: an application makes them, or they take several turns.

use super::{Driver, DriverContext, PendingRequest};
use crate::http1::{Progress, Reply, Response, Status};

/// The status in the log of a client that left before its response began: nginx's number.
const CLIENT_GONE: Status = Status::of_application(499);

impl Driver {
    /// Takes the next piece of an application's response; the piece after it waits until this one has left, so a client
    /// that does not read holds up its application. Returns whether another event may follow.
    pub(super) fn poll_application<S>(&mut self, cx: &mut DriverContext<'_, S>) -> bool {
        if !self.connection.is_waiting() || self.connection.output().is_above_high_water() {
            return false;
        }
        if cx.frames == 0 {
            self.paused = true;
            return false;
        }
        let pending = match self.current.as_deref_mut() {
            Some(PendingRequest { reply: Reply::Pending(pending), .. }) => pending,
            Some(PendingRequest { reply: Reply::Stepwise(steps), .. }) => {
                let response = steps.step(cx.turn.now);
                return self.after_step(response, cx);
            }
            _ => return false,
        };
        self.connection.note_flight(cx.turn.now);
        let output = self.connection.output_mut();
        let progress = pending.poll(output);
        output.set_more_comes(progress == Progress::Soon);
        match progress {
            Progress::Pending => false,
            Progress::More | Progress::Soon => {
                cx.frames -= 1;
                // After an empty piece no end of sending will call for the next one.
                output.is_empty()
            }
            Progress::End(completion) => {
                self.record_application();
                self.connection.finish_response(completion, cx.turn.now);
                true
            }
        }
    }

    /// Whether the application gives a response up whose client has closed its half.
    pub(super) fn is_given_up(&mut self) -> bool {
        match self.current.as_deref_mut() {
            Some(PendingRequest { reply: Reply::Pending(pending), .. }) if self.connection.is_waiting() => {
                pending.end_input()
            }
            _ => false,
        }
    }

    /// Goes on after a step of a response that is made in several turns: the next one is another turn's, because the
    /// other connections wait meanwhile. Returns whether another event may follow.
    fn after_step<S>(&mut self, response: Option<Response>, cx: &mut DriverContext<'_, S>) -> bool {
        let Some(response) = response else {
            (self.paused, cx.frames) = (true, 0);
            return false;
        };
        if let Some(current) = self.current.take() {
            self.respond(response, current.record, current.begun, cx);
        }
        true
    }

    /// Records the response of an application at its end, whole or cut short.
    pub(super) fn record_application(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        let PendingRequest { reply, record: Some(mut record), begun, from: Some(from) } = *current else {
            return;
        };
        let end = self.connection.output().taken() + self.connection.output().len();
        let status = match reply {
            Reply::Pending(pending) => {
                if record.fields.is_some() {
                    let fields = pending.fields();
                    record.keep_fields(|| [&fields, b""]);
                }
                pending.status()
            }
            _ => None,
        };
        let (status, head) = status.unwrap_or((CLIENT_GONE, 0));
        self.records.push(record, status, begun, end.min(from + head)..end);
    }
}
