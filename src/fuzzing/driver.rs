//! A connection over memory, and what holds at any moment.

use std::io;
use std::time::Duration;

use crate::chat::{HIGH_WATER, Memory};
use crate::clock::Now;
use crate::http1::{Connection, Settings};
use crate::reactor::FRAMES_PER_TURN;
use crate::server::{Driver, DriverContext, MemoryConnection, WorkerService};

/// Bytes that one response of the service may have, with its head.
pub(super) const LARGEST_ANSWER: u64 = 80_000;

/// A connection that is checked after each call of its driver. What is free in the peer's receive buffer is
/// `memory.room`.
#[derive(Debug)]
pub(super) struct Bench<'a, S>(pub(super) MemoryConnection<'a, S>);

impl<'a, S: WorkerService> Bench<'a, S> {
    /// A connection that is accepted now, by a peer that takes nothing.
    pub(super) fn new(settings: &'a Settings, service: &'a S, now: Now) -> Self {
        let mut connection = MemoryConnection::new(service, settings, now);
        connection.memory.room = 0;
        Self(connection)
    }

    pub(super) fn connection(&self) -> &Connection {
        self.0.connection()
    }

    pub(super) fn drive(
        &mut self,
        call: impl FnOnce(&mut Driver, &mut Memory, &mut DriverContext<'_, S>) -> io::Result<()>,
    ) {
        self.0.drive(call);
        self.check();
    }

    /// What holds at any moment.
    fn check(&self) {
        let (settings, connection) = (self.0.settings, self.connection());
        let held = connection.held();
        // The head, or a line of a chunked body, that waits for its end, and one read after it.
        let most = settings.limits.head.max(8192 + 2) + self.0.memory.read_size;
        assert!(held <= most, "{held} bytes of input are held in {}", connection.state());
        let waiting = connection.output().len();
        assert!(waiting <= HIGH_WATER + LARGEST_ANSWER, "{waiting} bytes of output are held");
        let deadline = connection.deadline(&settings.timeouts);
        assert_eq!(deadline.is_none(), connection.is_closed(), "no deadline in {}", connection.state());
        if !connection.output().is_empty() && !connection.is_lingering() {
            assert!(!self.0.driver.wants_read(), "reading while output waits");
        }
    }

    /// One turn of the loop: a little later, with a new budget.
    fn turn(&mut self) {
        self.0.now = self.0.now.after(Duration::from_micros(1));
        self.0.requests = FRAMES_PER_TURN;
        self.drive(|driver, io, cx| driver.on_readable(io, cx));
        self.drive(|driver, io, cx| driver.flush(io, cx));
    }

    /// Turns of the loop until nothing moves any more.
    pub(super) fn settle(&mut self) {
        let mut turns = 0;
        let most = 1000 + 2 * self.0.memory.inbox.len();
        loop {
            let before = self.position();
            self.turn();
            turns += 1;
            assert!(turns < most, "the loop does not come to rest");
            if self.position() == before {
                break;
            }
        }
        // Level-triggered or not: what could go on without the peer has gone on, or the loop would spin.
        if !self.connection().is_closed() {
            let Bench(MemoryConnection { driver, memory, .. }) = self;
            assert!(!driver.wants_read() || memory.inbox.is_empty(), "input is left");
            assert!(!driver.wants_write() || memory.room == 0, "output is left");
        }
    }

    fn position(&self) -> (usize, usize, usize, bool, bool, &'static str) {
        let (connection, driver, memory) = (self.connection(), &self.0.driver, &self.0.memory);
        let (inbox, sent) = (memory.inbox.len(), memory.sent.len());
        (inbox, connection.held(), sent, driver.wants_read(), driver.wants_write(), connection.state())
    }

    /// The clock goes on; a deadline that has passed is told.
    pub(super) fn later(&mut self, duration: Duration) {
        self.0.now = self.0.now.after(duration);
        self.0.requests = FRAMES_PER_TURN;
        self.drive(|driver, io, cx| driver.on_timeout(io, cx));
    }
}
