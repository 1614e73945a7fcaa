//! A connection over memory, without a socket and without a loop.

use std::io;
use std::time::Duration;

use super::{Driver, DriverContext, LogRecord, PeerInfo, WorkerService};
use crate::chat::{Memory, Spares};
use crate::clock::{DateCache, Now};
use crate::http1::{Connection, Settings, Turn};
use crate::reactor::{FRAMES_PER_TURN, Peer};
use crate::slab::Key;

/// A connection over memory, under the server's driver: for tests, for fuzzing, and for running the protocol step by
/// step.
#[derive(Debug)]
pub struct MemoryConnection<'a, S> {
    /// The driver, as the server has it.
    pub driver: Driver,
    /// The peer: the bytes that it has sent and received, and its free space.
    pub memory: Memory,
    /// The time, which only the caller moves.
    pub now: Now,
    /// The number of frames (requests) that may still be handled in this turn.
    pub frames: u32,
    /// The records of the responses that have left.
    pub records: Vec<LogRecord>,
    /// Makes the responses.
    pub service: &'a S,
    /// The limits and time-outs.
    pub settings: &'a Settings,
    dates: DateCache,
    spares: Spares,
}

impl<'a, S: WorkerService> MemoryConnection<'a, S> {
    /// A connection that is accepted at `now`, from a peer that takes any number of bytes.
    #[must_use]
    pub fn new(service: &'a S, settings: &'a Settings, now: Now) -> Self {
        Self {
            driver: Driver::new(now),
            memory: Memory::default(),
            now,
            frames: FRAMES_PER_TURN,
            records: Vec::new(),
            service,
            settings,
            dates: DateCache::new(),
            spares: Spares::default(),
        }
    }

    /// Returns the protocol's state machine.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.driver.connection()
    }

    /// Calls the driver as a channel on the loop does.
    ///
    /// # Panics
    /// If a file cannot be read.
    pub fn drive(
        &mut self,
        call: impl FnOnce(&mut Driver, &mut Memory, &mut DriverContext<'_, S>) -> io::Result<()>,
    ) {
        let peer = PeerInfo { peer: Peer::Unix, listener: 0, connection: Key::from_bits(0), socket: -1 };
        let mut cx = DriverContext {
            turn: Turn { now: self.now, settings: self.settings, dates: &mut self.dates },
            service: self.service,
            peer,
            frames: self.frames,
            spares: &mut self.spares,
            wide: &mut 0,
            log: Some(&mut self.records),
        };
        call(&mut self.driver, &mut self.memory, &mut cx).expect("memory does not fail");
        self.frames = cx.frames;
    }

    /// Sends bytes from the peer, which the driver reads.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.memory.inbox.extend_from_slice(bytes);
        self.drive(|driver, io, cx| driver.on_readable(io, cx));
    }

    /// Closes the sending half of the peer.
    pub fn end(&mut self) {
        self.memory.is_ended = true;
        self.receive(b"");
    }

    /// Sends output to the peer.
    pub fn flush(&mut self) {
        self.drive(|driver, io, cx| driver.flush(io, cx));
    }

    /// Moves the time on, and calls the driver as for a timer.
    pub fn wait(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
        self.drive(|driver, io, cx| driver.on_timeout(io, cx));
    }

    /// Ends the connection, which records the responses that are cut short.
    pub fn close(&mut self) {
        self.drive(|driver, _, cx| {
            driver.on_close(cx);
            Ok(())
        });
    }
}
