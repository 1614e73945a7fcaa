//! A connection without a socket and without a loop.

use std::io;
use std::time::Duration;

use super::{Driver, DriverContext, LogRecord, PeerInfo, Spares, WorkerService};
use crate::chat::Memory;
use crate::clock::{DateCache, Now};
use crate::http1::{Connection, Settings, Turn};
use crate::reactor::{FRAMES_PER_TURN, Peer};
use crate::slab::Key;

/// A connection over memory, under the server's own driver: for tests, for fuzzing, and for a look at the protocol.
#[derive(Debug)]
pub struct MemoryConnection<'a, S> {
    /// The driver.
    pub driver: Driver,
    /// The peer: what it has sent, what it was sent, and how much it takes.
    pub memory: Memory,
    /// The time, which stands still until somebody moves it.
    pub now: Now,
    /// How many requests may still be answered in this turn.
    pub requests: u32,
    /// The records of the responses that have left.
    pub records: Vec<LogRecord>,
    /// Makes the responses.
    pub service: &'a S,
    /// Limits and names.
    pub settings: &'a Settings,
    dates: DateCache,
    spares: Spares,
}

impl<'a, S: WorkerService> MemoryConnection<'a, S> {
    /// A connection that is accepted at `now`, from a peer that takes everything.
    #[must_use]
    pub fn new(service: &'a S, settings: &'a Settings, now: Now) -> Self {
        Self {
            driver: Driver::new(now),
            memory: Memory::default(),
            now,
            requests: FRAMES_PER_TURN,
            records: Vec::new(),
            service,
            settings,
            dates: DateCache::new(),
            spares: Spares::default(),
        }
    }

    /// The protocol's side.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.driver.connection()
    }

    /// Calls the driver as a channel on the loop does.
    ///
    /// # Panics
    /// When a file cannot be read: memory itself does not fail.
    pub fn drive(
        &mut self,
        call: impl FnOnce(&mut Driver, &mut Memory, &mut DriverContext<'_, S>) -> io::Result<()>,
    ) {
        let peer = PeerInfo { peer: Peer::Unix, listener: 0, connection: Key::from_bits(0), socket: -1 };
        let mut cx = DriverContext {
            turn: Turn { now: self.now, settings: self.settings, dates: &mut self.dates },
            service: self.service,
            peer,
            requests: self.requests,
            spares: &mut self.spares,
            log: Some(&mut self.records),
        };
        call(&mut self.driver, &mut self.memory, &mut cx).expect("memory does not fail");
        self.requests = cx.requests;
    }

    /// The peer sends these bytes, and the driver reads them.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.memory.inbox.extend_from_slice(bytes);
        self.drive(|driver, io, cx| driver.on_readable(io, cx));
    }

    /// The peer closes its sending half.
    pub fn end(&mut self) {
        self.memory.is_ended = true;
        self.receive(b"");
    }

    /// Sends what the peer takes.
    pub fn flush(&mut self) {
        self.drive(|driver, io, cx| driver.flush(io, cx));
    }

    /// Lets time go by, and tells the driver.
    pub fn wait(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
        self.drive(|driver, io, cx| driver.on_timeout(io, cx));
    }

    /// Drops the connection: what was cut short is recorded, too.
    pub fn close(&mut self) {
        self.drive(|driver, _, cx| {
            driver.on_close(cx);
            Ok(())
        });
    }
}
