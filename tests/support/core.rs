//! The sans-I/O core, driven without a socket: the first of the two fronts that every request is replayed over.

use std::time::Duration;

use stheno::clock::Now;
use stheno::files::FileService;
use stheno::http1::Settings;
use stheno::server::MemoryConnection;

/// What one connection has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Everything that was sent.
    pub sent: Vec<u8>,
    /// Whether the server ended the connection before the client did.
    pub ended: bool,
}

/// A service with what its connections share. The time does not move, so that equal responses are equal bytes.
#[derive(Debug)]
pub struct Core {
    service: FileService,
    settings: Settings,
    now: Now,
}

impl Core {
    pub fn new(service: FileService) -> Self {
        Self { service, settings: Settings::default(), now: Now::ask() }
    }

    /// A new connection, with a budget that the server would never give: each piece is handled in one turn.
    fn connect(&self) -> MemoryConnection<'_, FileService> {
        let mut connection = MemoryConnection::new(&self.service, &self.settings, self.now);
        connection.frames = u32::MAX;
        connection
    }

    /// Feeds the pieces to a new connection, takes everything out, and closes the client's half at the end.
    pub fn run<'p>(&mut self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
        let mut client = self.connect();
        for piece in pieces {
            client.receive(piece);
            if client.connection().is_closed() {
                break;
            }
        }
        let ended = client.connection().is_closed() || client.connection().is_lingering();
        if !client.connection().is_closed() {
            client.end();
        }
        Outcome { sent: client.memory.sent, ended }
    }

    /// Feeds `bytes` to a new connection and lets `time` go by.
    pub fn run_and_wait(&mut self, bytes: &[u8], time: Duration) -> Outcome {
        let mut client = self.connect();
        client.receive(bytes);
        client.wait(time);
        let ended = client.connection().is_closed();
        Outcome { sent: client.memory.sent, ended }
    }
}
