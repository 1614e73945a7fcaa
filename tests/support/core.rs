//! The sans-I/O core, driven without a socket: the first of the two fronts that every request is replayed over.

use std::time::Duration;

use stheno::clock::{DateCache, Now};
use stheno::files::FileService;
use stheno::http1::{Connection, Flushed, Settings, Turn};

/// What one connection has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Everything that was sent.
    pub sent: Vec<u8>,
    /// Whether the server ended the connection before the client did.
    pub ended: bool,
}

/// A service with what its connections share. The time stands still, so that equal answers are equal bytes.
#[derive(Debug)]
pub struct Core {
    service: FileService,
    settings: Settings,
    dates: DateCache,
    now: Now,
}

impl Core {
    pub fn new(service: FileService) -> Self {
        Self { service, settings: Settings::default(), dates: DateCache::new(), now: Now::ask() }
    }

    /// Feeds the pieces to a new connection, takes everything out, and closes the client's half at the end.
    pub fn run<'p>(&mut self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
        let mut connection = Connection::new(self.now);
        let mut sent = Vec::new();
        for piece in pieces {
            self.step(&mut connection, &mut sent, |connection, turn| connection.receive(piece, turn));
            if connection.is_closed() {
                break;
            }
        }
        let ended = connection.is_closed() || connection.state() == "Lingering";
        if !connection.is_closed() {
            self.step(&mut connection, &mut sent, Connection::receive_eof);
        }
        Outcome { sent, ended }
    }

    /// Feeds `bytes` to a new connection and lets `time` go by.
    pub fn run_and_wait(&mut self, bytes: &[u8], time: Duration) -> Outcome {
        let mut connection = Connection::new(self.now);
        let mut sent = Vec::new();
        self.step(&mut connection, &mut sent, |connection, turn| connection.receive(bytes, turn));
        let begun = self.now;
        self.now = begun.after(time);
        self.step(&mut connection, &mut sent, Connection::handle_timeout);
        self.now = begun;
        Outcome { sent, ended: connection.is_closed() }
    }

    /// One call and what follows from it, as a driver with an endless socket does it.
    fn step(
        &mut self,
        connection: &mut Connection,
        sent: &mut Vec<u8>,
        call: impl FnOnce(&mut Connection, &mut Turn<'_, FileService>),
    ) {
        let mut turn = Turn {
            now: self.now,
            settings: &self.settings,
            service: &self.service,
            dates: &mut self.dates,
            // A budget that the server would never give: the whole piece in one turn.
            requests: u32::MAX,
        };
        call(connection, &mut turn);
        while connection.wants_write() {
            sent.extend(connection.output_mut().to_bytes().expect("output"));
            match connection.flushed(self.now) {
                Flushed::Resume => connection.resume(&mut turn),
                Flushed::CloseIfQuiet => drop(connection.close()),
                Flushed::Shutdown | Flushed::Close => {}
            }
        }
    }
}
