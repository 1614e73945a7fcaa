//! A driver of a connection without a socket, that keeps to what the server's own driver does.
//!
//! What the peer has sent waits in `inbox`, as in a socket's receive buffer; `room` is what is free in its send
//! buffer. `server::channel` is the pattern for every function here.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::chat::{HIGH_WATER, Segment};
use crate::clock::{DateCache, Now};
use crate::http1::{Connection, Exchange, Flushed, Service, Settings, Turn};

/// As in `server::channel`.
const REQUESTS_PER_TURN: u32 = 16;

/// Bytes that one answer of the service may have, with its head.
pub(super) const LARGEST_ANSWER: u64 = 80_000;

/// A connection, a peer, and a clock.
#[derive(Debug)]
pub(super) struct Driver<'a, S> {
    pub(super) connection: Connection,
    pub(super) service: &'a S,
    pub(super) settings: &'a Settings,
    dates: DateCache,
    pub(super) now: Now,
    budget: u32,
    /// Sent by the peer, not yet read.
    pub(super) inbox: Vec<u8>,
    /// The peer sends no more.
    pub(super) half_closed: bool,
    /// Bytes that one read gives at the most.
    pub(super) read_size: usize,
    pub(super) room: usize,
    pub(super) sent: Vec<u8>,
    pub(super) exchanges: Vec<Exchange>,
    /// We have told the peer that we send no more.
    shut_down: bool,
}

impl<'a, S: Service> Driver<'a, S> {
    pub(super) fn new(settings: &'a Settings, service: &'a S, now: Now) -> Self {
        Self {
            connection: Connection::new(now),
            service,
            settings,
            dates: DateCache::new(),
            now,
            budget: 0,
            inbox: Vec::new(),
            half_closed: false,
            read_size: 64 * 1024,
            room: 0,
            sent: Vec::new(),
            exchanges: Vec::new(),
            shut_down: false,
        }
    }

    pub(super) fn with_turn(&mut self, call: impl FnOnce(&mut Connection, &mut Turn<'_, S>)) {
        let mut turn = Turn {
            now: self.now,
            settings: self.settings,
            service: self.service,
            dates: &mut self.dates,
            requests: self.budget,
        };
        call(&mut self.connection, &mut turn);
        self.budget = turn.requests;
        self.check();
    }

    /// What holds at any moment.
    fn check(&self) {
        let limits = &self.settings.limits;
        let held = self.connection.held();
        // The head, or a line of a chunked body, that waits for its end, and one read behind it.
        let most = limits.head.max(8192 + 2) + self.read_size;
        assert!(held <= most, "{held} bytes of input are held in {}", self.connection.state());
        let waiting = self.connection.output().len();
        assert!(waiting <= HIGH_WATER + LARGEST_ANSWER, "{waiting} bytes of output are held");
        let deadline = self.connection.deadline(&self.settings.timeouts);
        assert_eq!(deadline.is_none(), self.connection.is_closed(), "waiting for ever");
        if !self.connection.output().is_empty() && self.connection.state() != "Lingering" {
            assert!(!self.connection.wants_read(), "reading while output waits");
        }
    }

    /// Turns of the loop until nothing moves any more.
    pub(super) fn settle(&mut self) {
        let mut turns = 0;
        let most = 1000 + 2 * self.inbox.len();
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
        if !self.connection.is_closed() {
            assert!(!self.connection.wants_read() || self.inbox.is_empty(), "input is left");
            assert!(!self.connection.wants_write() || self.room == 0, "output is left");
        }
    }

    fn position(&self) -> (usize, usize, usize, u32, &'static str) {
        let held = self.connection.held();
        let waits = u32::from(self.connection.wants_read()) + 2 * u32::from(self.connection.wants_write());
        (self.inbox.len(), held, self.sent.len(), waits, self.connection.state())
    }

    /// One turn: a little later, with a new budget.
    fn turn(&mut self) {
        self.now = self.now.after(Duration::from_micros(1));
        self.budget = REQUESTS_PER_TURN;
        self.handle_read();
        self.flush();
    }

    fn handle_read(&mut self) {
        while self.connection.wants_read() && !self.connection.is_closed() {
            match self.receive() {
                None => break,
                Some(bytes) if bytes.is_empty() => {
                    self.with_turn(|connection, turn| connection.receive_eof(turn));
                }
                Some(bytes) => self.with_turn(|connection, turn| connection.receive(&bytes, turn)),
            }
            self.flush();
        }
    }

    /// As recv(2): `None` when it would wait, no bytes at the end.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let count = self.inbox.len().min(self.read_size);
        (count > 0 || self.half_closed).then(|| self.inbox.drain(..count).collect())
    }

    pub(super) fn flush(&mut self) {
        while self.connection.wants_write() && !self.connection.is_closed() {
            let before = self.sent.len();
            let drained = self.transmit();
            if self.sent.len() > before {
                self.connection.note_progress(self.now);
            }
            self.take_exchanges(false);
            if !drained {
                break;
            }
            match self.connection.flushed(self.now) {
                Flushed::Resume => self.with_turn(|connection, turn| connection.resume(turn)),
                Flushed::Shutdown => self.shut_down = true,
                Flushed::CloseIfQuiet => self.close_if_quiet(),
                Flushed::Close => assert!(self.connection.is_closed()),
            }
            if self.budget == 0 {
                break;
            }
        }
    }

    fn close_if_quiet(&mut self) {
        match self.receive() {
            Some(bytes) if !bytes.is_empty() => {
                self.with_turn(|connection, turn| connection.receive(&bytes, turn));
            }
            _ => drop(self.connection.close()),
        }
    }

    /// Sends what there is room for; says whether that was all.
    fn transmit(&mut self) -> bool {
        loop {
            let before = self.sent.len();
            match self.connection.output_mut().front().expect("output") {
                None => return true,
                Some(_) if self.room == 0 => return false,
                Some(Segment::Bytes { bytes, .. }) => {
                    self.sent.extend_from_slice(&bytes[..bytes.len().min(self.room)]);
                }
                Some(Segment::File { file, offset, len }) => {
                    let count = usize::try_from(len).map_or(self.room, |len| len.min(self.room));
                    self.sent.resize(before + count, b'?');
                    let file = File::from(file.try_clone_to_owned().expect("a descriptor"));
                    file.read_exact_at(&mut self.sent[before..], offset).expect("the file is long enough");
                }
            }
            let count = self.sent.len() - before;
            assert!(count > 0 && !self.shut_down, "{count} bytes behind the end");
            self.connection.output_mut().advance(count);
            self.room -= count;
        }
    }

    pub(super) fn take_exchanges(&mut self, all: bool) {
        while let Some(exchange) = self.connection.take_finished(self.now, all) {
            self.exchanges.push(exchange);
        }
    }

    /// The clock goes on; a deadline that has passed is told.
    pub(super) fn later(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
        self.budget = REQUESTS_PER_TURN;
        self.with_turn(|connection, turn| connection.handle_timeout(turn));
        if !self.connection.wants_reset() {
            self.flush();
        }
    }
}
