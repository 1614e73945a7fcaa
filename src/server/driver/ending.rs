//! How a connection ends before its peer closes it: deadlines, room for others, memory.

use std::io;

use super::{Driver, DriverContext};
use crate::chat::Transport;
use crate::http1::Status;
use crate::server::WorkerService;

impl Driver {
    /// Ends the current state if its deadline has passed. (see [`Connection::deadline`](crate::http1::Connection::deadline))
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn on_timeout<S: WorkerService>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        // A request that came during a long turn, before the kernel was asked again, is in time; so is one that waited
        // for this turn's budget.
        if self.is_idle() {
            io.look_again();
            self.on_readable(io, cx)?;
        } else if self.paused {
            self.flush(io, cx)?;
        }
        let (now, timeouts) = (cx.turn.now, &cx.turn.settings.timeouts);
        if self.connection.wants_look(now, timeouts) {
            self.connection.look(io.unacknowledged(), now, timeouts);
        }
        if let Some(error) = self.connection.expire(cx.turn.now, &cx.turn.settings.timeouts) {
            // The window is dropped, and the rest of the request with it.
            let window = self.connection.open(b"", cx.turn.now);
            self.refuse(error.status(), &window, cx);
        }
        self.flush(io, cx)
    }

    /// Closes the connection to make room for another one, unless a request has begun.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn give_way<S: WorkerService>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        if self.is_idle() {
            self.close_if_quiet(io, cx)?;
        } else if self.connection.is_lingering() {
            self.connection.close();
        }
        self.flush(io, cx)
    }

    /// Refuses the request whose rest has not come, because all connections together hold too much input. Behind a response
    /// there is no place for a refusal: the connection closes.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    pub fn give_up_input<S: WorkerService>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        if self.connection.begun().is_some() && self.connection.output().is_empty() {
            let window = self.connection.open(b"", cx.turn.now);
            self.refuse(Status::SERVICE_UNAVAILABLE, &window, cx);
        } else {
            self.connection.close();
        }
        self.flush(io, cx)
    }

    /// Closes, unless input has come without an event so far.
    pub(super) fn close_if_quiet<S: WorkerService>(
        &mut self,
        io: &mut impl Transport,
        cx: &mut DriverContext<'_, S>,
    ) -> io::Result<()> {
        io.look_again();
        match io.recv()? {
            None | Some([]) => self.connection.close(),
            Some(bytes) => self.receive(bytes, cx),
        }
        Ok(())
    }

    /// Logs the responses that the end of the connection has cut short.
    pub fn on_close<S: WorkerService>(&mut self, cx: &mut DriverContext<'_, S>) {
        self.record_application();
        self.log_records(cx, true);
    }
}
