//! `asynchat.async_chat` with its socket: a [`Chat`] as a channel.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::event::Source;

use super::dispatcher::{Context, Dispatcher};
use super::socket::{Stream, transmit};
use crate::chat::{Chat, Handler};
use crate::clock::Instant;

/// A conversation in frames with one peer.
///
/// When the peer closes its half, the channel still sends everything that is queued (asynchat drops it), and closes then.
/// While the peer does not read what it was sent, the channel reads nothing from it. The socket may still be connecting:
/// output is queued until it is connected, and `handle_error` gets the error if that fails.
#[derive(Debug)]
pub struct ChatChannel<H> {
    socket: Stream,
    chat: Chat,
    handler: H,
    read_closed: bool,
    /// How long the peer may take no byte of the output.
    patience: Option<Duration>,
    deadline: Option<Instant>,
}

impl<H: Handler + std::fmt::Debug> ChatChannel<H> {
    /// Returns a channel on an accepted or connected socket.
    pub fn new(socket: impl Into<Stream>, chat: Chat, handler: H) -> Self {
        let socket = socket.into();
        Self { socket, chat, handler, read_closed: false, patience: None, deadline: None }
    }

    /// Closes the channel when the peer has taken no byte of the output for `patience`; asynchat waits for ever.
    ///
    /// Input does not count: a peer whose message trickles in has no longer for it than a silent one.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Sends what is queued; closes once the peer has closed its half and everything is sent.
    fn initiate_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let sent = transmit(cx, &self.socket, self.chat.output())?;
        if sent.bytes > 0 || self.deadline.is_none() {
            self.deadline = self.patience.map(|patience| cx.now().monotonic + patience);
        }
        // An idle connection holds no buffer.
        drop(self.chat.output().reclaim());
        let done = self.read_closed && !self.chat.wants_write();
        if done || self.chat.output().is_done() {
            cx.close();
        }
        Ok(())
    }
}

impl<H: Handler + std::fmt::Debug> Dispatcher for ChatChannel<H> {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn readable(&self) -> bool {
        !self.read_closed && self.chat.wants_read()
    }

    fn writable(&self) -> bool {
        self.chat.wants_write()
    }

    /// Set by [`ChatChannel::with_patience`]; output that is unsent then is lost.
    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.readable() {
            match cx.recv(&mut self.socket)? {
                None => break,
                Some([]) => {
                    self.read_closed = true;
                    // As asynchat does: with another terminator, the bytes that were held back may be data.
                    self.chat.receive(&[], &mut self.handler);
                }
                Some(bytes) => self.chat.receive(bytes, &mut self.handler),
            }
        }
        self.initiate_send(cx)
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.initiate_send(cx)
    }

    fn unsent(&self) -> u64 {
        self.chat.unsent()
    }
}
