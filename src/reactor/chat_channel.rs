//! `asynchat.async_chat` whole: a [`Chat`] on a socket on the loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::event::Source;

use super::dispatcher::{Context, Dispatcher};
use super::socket::Stream;
use super::transmit::transmit;
use crate::chat::{Chat, Handler};
use crate::clock::Instant;

/// A conversation in frames with one peer.
///
/// A peer that closes its half is still sent everything that waits for it (asynchat drops that), and then
/// closed. While the peer does not take what it has been sent, nothing more is read of it. The socket may be
/// one that is still connecting: what is pushed meanwhile leaves when it is through, and `handle_error` gets
/// the error if it fails.
#[derive(Debug)]
pub struct ChatChannel<H> {
    socket: Stream,
    chat: Chat,
    handler: H,
    read_closed: bool,
    /// How long the peer has from one byte that it takes to the next.
    patience: Option<Duration>,
    deadline: Option<Instant>,
}

impl<H: Handler + std::fmt::Debug> ChatChannel<H> {
    /// A channel on an accepted (or connected) socket.
    pub fn new(socket: impl Into<Stream>, chat: Chat, handler: H) -> Self {
        let socket = socket.into();
        Self { socket, chat, handler, read_closed: false, patience: None, deadline: None }
    }

    /// Closes the channel when the peer has not taken a byte for so long; asynchat waits for ever.
    ///
    /// What the peer sends does not count, only what it has been sent: who lets a message trickle in has no
    /// longer for it than who is silent.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Sends what there is; closes once the peer has closed and has been sent everything.
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

    /// With [`ChatChannel::with_patience`]; what is left unsent then is lost.
    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.readable() {
            match cx.recv(&mut self.socket)? {
                None => break,
                Some([]) => {
                    self.read_closed = true;
                    // As asynchat does: with another terminator, what was held back may be data after all.
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
