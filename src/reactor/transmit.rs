//! A socket on the loop as a [`Transport`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::Shutdown;

use super::dispatcher::Context;
use super::socket::SocketReader;
use crate::chat::{self, OutQueue, Transmitted, Transport};
use crate::sys;

/// A socket, for as long as one of its hooks runs: the context knows its readiness and this turn's budget.
#[derive(Debug)]
pub struct SocketTransport<'a, 'c, S> {
    cx: &'a mut Context<'c>,
    socket: &'a S,
}

impl<'a, 'c, S: AsFd> SocketTransport<'a, 'c, S> {
    /// The transport of `socket` in the hook that `cx` belongs to.
    pub fn new(cx: &'a mut Context<'c>, socket: &'a S) -> Self {
        Self { cx, socket }
    }
}

/// Sends what waits in `queue` to `socket`, as [`chat::transmit`] does.
///
/// # Errors
/// As [`chat::transmit`].
pub fn transmit(cx: &mut Context<'_>, socket: &impl AsFd, queue: &mut OutQueue) -> io::Result<Transmitted> {
    chat::transmit(&mut SocketTransport::new(cx, socket), queue)
}

impl<S: AsFd> Transport for SocketTransport<'_, '_, S> {
    fn recv(&mut self) -> io::Result<Option<&[u8]>> {
        self.cx.recv(&mut SocketReader(self.socket.as_fd()))
    }

    fn look_again(&mut self) {
        self.cx.set_readable(true);
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        self.cx.send(self.socket, bytes, more)
    }

    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<usize>> {
        self.cx.send_file(self.socket, file, offset, len)
    }

    fn shutdown(&mut self) {
        // The peer may be gone already: then the next read shows it.
        let _ = rustix::net::shutdown(self.socket, Shutdown::Write);
    }

    fn widen(&mut self) {
        // A failure only costs memory; a Unix socket has no such option.
        let _ = sys::socket::be_generous(self.socket.as_fd());
    }

    fn reset(&mut self) -> io::Result<()> {
        sys::socket::reset_on_close(self.socket)
    }
}
