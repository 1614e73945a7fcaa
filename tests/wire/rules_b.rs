//! The rules of paths and files (RULES B), row by row, over the wire.
//!
//! Every test here runs twice: with the system's fast calls, and with the twins that stand in for them
//! elsewhere. That the two agree to the word is a test of its own (B7).

mod changing;
mod directories;
mod kinds;
mod paths;
mod race;
mod twins;

use crate::support::folder::SECRET;
use crate::support::{Client, Response, Server};

/// One client that goes on after a refusal has closed its connection.
struct Asker<'a> {
    server: &'a Server,
    client: Client,
}

impl<'a> Asker<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, client: server.connect() }
    }

    /// Asks, and checks what holds for every answer of this suite: nothing from outside of the root.
    fn get(&mut self, target: &str) -> Response {
        let response = self.client.get(target, "");
        assert!(!has_leaked(&response.body), "{target} sends what stands outside of the root");
        if response.closes() {
            self.client = self.server.connect();
        }
        response
    }
}

fn has_leaked(body: &[u8]) -> bool {
    memchr::memmem::find(body, SECRET.as_bytes()).is_some() || body.starts_with(b"root:")
}
