//! A connection over memory, and the checks after each call of its driver.

use std::io;
use std::time::Duration;

use stheno::chat::{HIGH_WATER, Memory};
use stheno::clock::Now;
use stheno::http1::{Connection, Settings};
use stheno::reactor::FRAMES_PER_TURN;
use stheno::server::{Driver, DriverContext, MemoryConnection};

use super::service::{LARGEST_RESPONSE, Recorder};

/// A connection that is checked after each call of its driver. `memory.room` is the free space in the peer's receive
/// buffer.
#[derive(Debug)]
pub(super) struct Bench<'a>(pub(super) MemoryConnection<'a, Recorder>);

impl<'a> Bench<'a> {
    /// A connection that is accepted at `now`, from a peer that reads nothing.
    pub(super) fn new(settings: &'a Settings, service: &'a Recorder, now: Now) -> Self {
        let mut connection = MemoryConnection::new(service, settings, now);
        connection.memory.room = 0;
        Self(connection)
    }

    pub(super) fn connection(&self) -> &Connection {
        self.0.connection()
    }

    fn drive(
        &mut self,
        call: impl FnOnce(&mut Driver, &mut Memory, &mut DriverContext<'_, Recorder>) -> io::Result<()>,
    ) {
        self.0.drive(call);
        let (settings, connection, state) = (self.0.settings, self.connection(), self.connection().state());
        let held = connection.held();
        // The head, or a line of a chunked body, that waits for its end, and one read after it.
        let most = settings.limits.head.max(8192 + 2) + self.0.memory.read_size;
        assert!(held <= most, "{held} bytes of input are held in {state}");
        let unsent = connection.output().len();
        assert!(unsent <= HIGH_WATER + LARGEST_RESPONSE, "{unsent} bytes of output are held");
        let deadline = connection.deadline(&settings.timeouts);
        assert_eq!(deadline.is_none(), connection.is_closed(), "no deadline in {state}");
        let back_pressure = !connection.output().is_empty() && !connection.is_lingering();
        assert!(!back_pressure || !self.0.driver.wants_read(), "reads while output waits");
    }

    /// Runs turns of the loop, each a little later and with a new budget, until nothing changes.
    pub(super) fn settle(&mut self) {
        let most = 1000 + 2 * self.0.memory.inbox.len();
        let mut turns = 0;
        let mut before = None;
        while before.as_ref() != Some(&self.progress()) {
            before = Some(self.progress());
            self.0.now = self.0.now.after(Duration::from_micros(1));
            self.0.frames = FRAMES_PER_TURN;
            self.drive(|driver, io, cx| driver.on_readable(io, cx));
            self.drive(|driver, io, cx| driver.flush(io, cx));
            turns += 1;
            assert!(turns < most, "the loop does not come to rest");
        }
        // Whatever could go on without the peer has gone on; otherwise a level-triggered loop would spin.
        if !self.connection().is_closed() {
            let MemoryConnection { driver, memory, .. } = &self.0;
            assert!(!driver.wants_read() || memory.inbox.is_empty(), "input is left");
            assert!(!driver.wants_write() || memory.room == 0, "output is left");
        }
    }

    fn progress(&self) -> (usize, usize, usize, bool, bool, &'static str) {
        let (connection, driver, memory) = (self.connection(), &self.0.driver, &self.0.memory);
        let (inbox, sent) = (memory.inbox.len(), memory.sent.len());
        (inbox, connection.held(), sent, driver.wants_read(), driver.wants_write(), connection.state())
    }

    /// Moves the clock on, and calls the driver as for a timer.
    pub(super) fn wait(&mut self, duration: Duration) {
        self.0.now = self.0.now.after(duration);
        self.0.frames = FRAMES_PER_TURN;
        self.drive(|driver, io, cx| driver.on_timeout(io, cx));
    }

    /// The server shuts down.
    pub(super) fn drain(&mut self) {
        self.0.service.note_drain();
        self.0.driver.drain(self.0.now);
        self.drive(|driver, io, cx| driver.flush(io, cx));
    }
}
