//! The beginning of a connection from a proxy, until the proxy has named its client.

use std::io;

use super::proxy_header::{Header, parse};
use crate::chat::Transport;
use crate::reactor::Peer;

/// The bytes that come before the first layer of a connection.
#[derive(Debug)]
pub(super) struct Preface {
    proxy: Peer,
    /// What has come so far; once the header is read, what has come after it.
    received: Vec<u8>,
    is_read: bool,
    is_given: bool,
}

impl Preface {
    /// The preface of a connection from this proxy.
    pub(super) fn of(proxy: Peer) -> Self {
        Self { proxy, received: Vec::new(), is_read: false, is_given: false }
    }

    /// Whether the header is read.
    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    /// Reads until the header is whole. Returns the client: the proxy itself, if it names none.
    ///
    /// # Errors
    /// As the transport; `InvalidData` for a malformed header, `ConnectionAborted` at the end of the input.
    pub(super) fn read(&mut self, io: &mut impl Transport) -> io::Result<Option<Peer>> {
        while let Some(bytes) = io.recv()? {
            if bytes.is_empty() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            self.received.extend_from_slice(bytes);
            match parse(&self.received) {
                Header::Partial => {}
                Header::Whole { length, client } => {
                    self.received.drain(..length);
                    self.is_read = true;
                    return Ok(Some(client.map_or(self.proxy, Peer::from)));
                }
                Header::Malformed => {
                    let line = format!("a connection from {} has no valid PROXY header", self.proxy);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, line));
                }
            }
        }
        Ok(None)
    }

    /// Whether there is input after the header that was not returned yet.
    pub(super) fn holds(&self) -> bool {
        self.is_read && !self.is_given && !self.received.is_empty()
    }

    /// Returns the input after the header, once.
    pub(super) fn rest(&mut self) -> &[u8] {
        self.is_given = true;
        &self.received
    }
}
