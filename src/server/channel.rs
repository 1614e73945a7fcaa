//! One HTTP connection on the loop: a socket, and the protocol that knows no sockets.
//!
//! ```text
//! handle_read:  recv ──► Connection::receive ──► flush
//! handle_write:                                  flush
//! flush:        transmit ──► flushed? ──► resume, shut down, or close
//! ```

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use log::debug;
use mio::event::Source;

use super::Shared;
use super::connection_table::{Activity, Permit};
use crate::clock::{Instant, Now};
use crate::http1::{Connection, Flushed, Service, Turn, Visitor};
use crate::reactor::{Context, Dispatcher, Peer, Stream, transmit};
use crate::slab::Key;
use crate::sys;

/// Requests that one connection is answered in one turn: hyper's figure for the same bound.
const REQUESTS_PER_TURN: u32 = 16;

/// From how many bytes taken on a peer counts as one that reads.
const READS_WELL: u64 = 1024 * 1024;

/// One accepted connection. (the seed's `AsyncHTTPRequestHandler`, its socket side)
pub struct HttpChannel<S> {
    stream: Stream,
    connection: Connection,
    shared: Rc<Shared<S>>,
    permit: Permit,
    /// What may still be answered in the turn of this time.
    budget: (Instant, u32),
    /// Whether the kernel holds more of it than of others: the peer has shown that it reads.
    reads_well: bool,
    /// The number of the listening socket it came through.
    entrance: u16,
}

impl<S> fmt::Debug for HttpChannel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpChannel({}, {})", self.permit.peer(), self.connection.state())
    }
}

impl<S: Service> HttpChannel<S> {
    /// A channel for a connection that was accepted now.
    #[must_use]
    pub(super) fn new(
        stream: Stream,
        permit: Permit,
        entrance: u16,
        now: Now,
        shared: Rc<Shared<S>>,
    ) -> Self {
        let mut connection = Connection::new(now);
        if shared.draining.get() {
            connection.drain(now);
        }
        Self {
            stream,
            connection,
            shared,
            permit,
            budget: (now.monotonic, REQUESTS_PER_TURN),
            reads_well: false,
            entrance,
        }
    }

    /// Calls the protocol with everything it may use in this turn.
    fn with_turn(&mut self, now: Now, key: Key, call: impl FnOnce(&mut Connection, &mut Turn<'_, S>)) {
        if self.budget.0 != now.monotonic {
            self.budget = (now.monotonic, REQUESTS_PER_TURN);
        }
        if self.connection.output().is_empty() {
            self.shared.lend(self.connection.output_mut());
        }
        let address = match self.permit.peer() {
            Peer::Internet(address) => Some(address),
            Peer::Unix => None,
        };
        let connection = key.to_bits() as u64;
        let file = self.stream.as_fd().as_raw_fd();
        self.shared.service.visit(Visitor { address, entrance: self.entrance, connection, file });
        let mut turn = Turn {
            now,
            settings: &self.shared.settings,
            service: &self.shared.service,
            dates: &mut self.shared.dates.borrow_mut(),
            requests: self.budget.1,
        };
        call(&mut self.connection, &mut turn);
        self.budget.1 = turn.requests;
    }

    /// Sends what waits, and does what comes after it, as far as socket and budget allow.
    fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        // Each round answers at least one more request, or is the last: the budget bounds it.
        while self.connection.wants_write() {
            let sent = transmit(cx, &self.stream, self.connection.output_mut())?;
            if sent.bytes > 0 {
                self.connection.note_progress(cx.now());
                self.log_exchanges(cx.now(), false);
                self.look_how_it_reads();
            }
            if !sent.drained {
                break;
            }
            match self.connection.flushed(cx.now()) {
                Flushed::Resume => {
                    self.with_turn(cx.now(), cx.key(), |connection, turn| connection.resume(turn));
                }
                // The peer may be gone already: then the next read will tell.
                Flushed::Shutdown => drop(self.stream.shutdown_write()),
                Flushed::CloseIfQuiet => self.close_if_quiet(cx)?,
                Flushed::Close => {}
            }
            if self.budget.1 == 0 {
                break;
            }
        }
        self.shared.reclaim(self.connection.output_mut());
        if self.connection.is_closed() {
            self.close_as_it_should(cx)?;
        }
        self.permit.set_activity(self.activity(), cx.now().monotonic, cx.key());
        Ok(())
    }

    /// With a reset, where a plain close would say something else.
    fn close_as_it_should(&self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.connection.wants_reset() {
            sys::socket::reset_on_close(&self.stream)?;
        }
        cx.close();
        Ok(())
    }

    /// A client that never reads may pin little of the kernel's memory; one that reads gets room.
    fn look_how_it_reads(&mut self) {
        if !self.reads_well && self.connection.output().taken() >= READS_WELL {
            self.reads_well = true;
            // It is of no consequence but for the cost; a Unix socket has no such option.
            let _ = sys::socket::be_generous(self.stream.as_fd());
        }
    }

    fn activity(&self) -> Activity {
        if self.connection.is_idle() {
            Activity::Idle
        } else if self.connection.is_lingering() {
            Activity::Lingering
        } else {
            Activity::Busy
        }
    }

    /// Looks once more, although nothing is known to have come.
    fn close_if_quiet(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (now, key) = (cx.now(), cx.key());
        cx.set_readable(true);
        match cx.recv(&mut self.stream)? {
            None | Some([]) => drop(self.connection.close()),
            Some(bytes) => self.with_turn(now, key, |connection, turn| connection.receive(bytes, turn)),
        }
        Ok(())
    }

    fn log_exchanges(&mut self, now: Now, all: bool) {
        let Some(log) = &self.shared.log else {
            return;
        };
        let now = if self.shared.service.takes_time() { Now::ask() } else { now };
        while let Some(exchange) = self.connection.take_finished(now, all) {
            let mut dates = self.shared.dates.borrow_mut();
            log.borrow_mut().record(self.permit.peer(), dates.log(now.wall), &exchange);
        }
    }
}

impl<S: Service> Dispatcher for HttpChannel<S> {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.stream
    }

    fn readable(&self) -> bool {
        self.connection.wants_read()
    }

    fn writable(&self) -> bool {
        self.connection.wants_write()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.connection.wants_read() && !cx.is_closed() {
            let (now, key) = (cx.now(), cx.key());
            match cx.recv(&mut self.stream)? {
                // The first look at a new connection, which may say nothing for a while.
                None => {
                    self.permit.set_activity(self.activity(), now.monotonic, cx.key());
                    break;
                }
                Some([]) => {
                    self.with_turn(now, key, |connection, turn| connection.receive_eof(turn));
                }
                Some(bytes) => {
                    self.with_turn(now, key, |connection, turn| connection.receive(bytes, turn));
                }
            }
            self.flush(cx)?;
        }
        Ok(())
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.flush(cx)
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        debug!("{}: time-out in {}", self.permit.peer(), self.connection.state());
        // A request that has come since the kernel was asked, in a long turn say, has come in time.
        if self.connection.is_idle() {
            cx.set_readable(true);
            self.handle_read(cx)?;
            if cx.is_closed() {
                return Ok(());
            }
        }
        self.with_turn(cx.now(), cx.key(), |connection, turn| connection.handle_timeout(turn));
        self.flush(cx)
    }

    /// There is more of an answer that an application makes; or there is no room for a newcomer, and this connection
    /// has had nothing to do for longest.
    fn handle_wake(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.connection.is_waiting() {
            self.with_turn(cx.now(), cx.key(), |connection, turn| connection.resume(turn));
            self.flush(cx)?;
        }
        if !self.permit.take_eviction() || self.activity() == Activity::Busy {
            return Ok(());
        }
        debug!("{}: makes room in {}", self.permit.peer(), self.connection.state());
        if self.connection.is_idle() {
            self.close_if_quiet(cx)?;
        } else {
            self.connection.close();
        }
        self.flush(cx)
    }

    fn handle_shutdown(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.connection.drain(cx.now());
        self.flush(cx)
    }

    fn handle_error(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        debug!("{}: {error} in {}", self.permit.peer(), self.connection.state());
        cx.close();
    }

    fn handle_close(&mut self, now: Now) {
        self.log_exchanges(now, true);
        debug!("Closed connection from {}", self.permit.peer());
    }

    fn deadline(&self) -> Option<Instant> {
        self.connection.deadline(&self.shared.settings.timeouts)
    }

    fn state(&self) -> &'static str {
        self.connection.state()
    }

    fn unsent(&self) -> u64 {
        self.connection.output().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileService;

    /// What an idle connection costs is this, its slot in the loop, its entry, and its entry among the timers.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<HttpChannel<FileService>>() <= 208, "{}", size_of::<HttpChannel<FileService>>());
        assert!(size_of::<Connection>() <= 128, "{}", size_of::<Connection>());
    }
}
