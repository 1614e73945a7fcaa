//! The listener of `tcp_reactor`, for the rungs after it: what to do with a connection is all that differs.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};

use mio::event::Source;
use stheno::clock::Instant;
use stheno::reactor::{AcceptMode, Context, Dispatcher, Listener, Peer, Stream};

/// Calls `each` for every connection.
pub(crate) struct Acceptor<F> {
    listener: Listener,
    each: F,
}

impl<F: FnMut(&mut Context<'_>, Stream, Peer)> Acceptor<F> {
    pub(crate) fn new(serversocket: TcpListener, each: F) -> Self {
        Self { listener: Listener::new(serversocket, AcceptMode::Shared), each }
    }
}

impl<F> fmt::Debug for Acceptor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acceptor").field(&self.listener).finish()
    }
}

impl<F: FnMut(&mut Context<'_>, Stream, Peer)> Dispatcher for Acceptor<F> {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.listener.as_fd())
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.listener.accept(cx, &(), &mut self.each)
    }

    /// When accepting continues after a pause for lack of descriptors.
    fn deadline(&self) -> Option<Instant> {
        self.listener.deadline()
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.listener.resume(cx);
        Ok(())
    }
}
