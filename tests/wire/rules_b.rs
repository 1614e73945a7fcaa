//! RULES B: paths and files, row by row, over the wire.
//!
//! Every test here runs twice: with the fast system calls, and with their portable fallbacks. B7 compares the
//! two byte by byte.

mod backends;
mod changing;
mod directories;
mod kinds;
mod paths;
mod race;
mod versions;

use crate::support::folder::SECRET;
use crate::support::{Client, Response, Server};

/// A client that connects again after a refusal has closed its connection.
struct Asker<'a> {
    server: &'a Server,
    client: Client,
}

impl<'a> Asker<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, client: server.connect() }
    }

    /// Requests `target`, and checks that the response has nothing from outside of the root.
    fn get(&mut self, target: &str) -> Response {
        let response = self.client.get(target, "");
        assert!(!has_leaked(&response.body), "{target} sends content from outside of the root");
        if response.closes() {
            self.client = self.server.connect();
        }
        response
    }
}

fn has_leaked(body: &[u8]) -> bool {
    memchr::memmem::find(body, SECRET.as_bytes()).is_some() || body.starts_with(b"root:")
}
