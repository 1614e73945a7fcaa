//! Stream sockets of either family: TCP, and Unix sockets in the file system.
//!
//! After it is connected, a socket is a descriptor to receive from and to send to, whatever its family. So a [`Stream`] is
//! no larger than a descriptor, and no call has to distinguish families.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::net::{RecvFlags, Shutdown};

use super::dispatcher::Context;
use super::peer::Peer;
use crate::chat::{self, OutQueue, Transmitted, Transport};
use crate::sys::{send_queue, socket};

/// A connected stream socket. It has to be non-blocking.
#[derive(Debug)]
pub struct Stream(OwnedFd);

impl Stream {
    /// Closes the sending half.
    ///
    /// # Errors
    /// As shutdown(2).
    pub fn shutdown_write(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.0, Shutdown::Write)?)
    }
}

impl From<OwnedFd> for Stream {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<mio::net::TcpStream> for Stream {
    fn from(socket: mio::net::TcpStream) -> Self {
        Self(socket.into())
    }
}

impl From<mio::net::UnixStream> for Stream {
    fn from(socket: mio::net::UnixStream) -> Self {
        Self(std::os::unix::net::UnixStream::from(socket).into())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        SocketReader(self.0.as_fd()).read(buffer)
    }
}

/// recv(2) on a borrowed socket.
#[derive(Debug)]
pub(super) struct SocketReader<'a>(pub(super) BorrowedFd<'a>);

impl Read for SocketReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self.0, buffer, RecvFlags::empty())?.1)
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).register(registry, token, interest)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).deregister(registry)
    }
}

/// A listening socket. It has to be non-blocking.
#[derive(Debug)]
pub enum ListenSocket {
    /// A TCP socket.
    Tcp(mio::net::TcpListener),
    /// A Unix socket in the file system.
    Unix(mio::net::UnixListener),
}

impl ListenSocket {
    /// accept(2): returns a connection, non-blocking and close-on-exec, and its peer.
    ///
    /// # Errors
    /// As accept(2).
    pub fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((stream.into(), peer.into()))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                Ok((stream.into(), Peer::Unix))
            }
        }
    }

    /// Sets the options that an accepted connection does not inherit from the listener.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub(super) fn prepare(&self, stream: &Stream) -> io::Result<()> {
        match self {
            Self::Tcp(_) => socket::prepare_accepted(stream.as_fd()),
            Self::Unix(_) => Ok(()),
        }
    }

    /// How many connections wait in its queue; the kernel does not say it for a Unix socket.
    pub(super) fn queue_length(&self) -> Option<usize> {
        match self {
            Self::Tcp(listener) => socket::queue_length(listener.as_fd()).ok(),
            Self::Unix(_) => None,
        }
    }

    pub(super) fn as_source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) => listener,
            Self::Unix(listener) => listener,
        }
    }
}

impl From<std::net::TcpListener> for ListenSocket {
    fn from(listener: std::net::TcpListener) -> Self {
        Self::Tcp(mio::net::TcpListener::from_std(listener))
    }
}

impl From<std::os::unix::net::UnixListener> for ListenSocket {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self::Unix(mio::net::UnixListener::from_std(listener))
    }
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

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

    fn take_report(&mut self) -> bool {
        self.cx.take_report()
    }

    fn look_again(&mut self) {
        self.cx.look_again();
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        self.cx.send(self.socket, bytes, more)
    }

    fn send_both(&mut self, first: &[u8], second: &[u8], more: bool) -> io::Result<Option<usize>> {
        self.cx.send_both(self.socket, first, second, more)
    }

    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<usize>> {
        self.cx.send_file(self.socket, file, offset, len)
    }

    fn may_produce(&mut self) -> bool {
        self.cx.may_produce()
    }

    fn shutdown(&mut self) {
        self.cx.note_shutdown();
        // The peer may be gone already: then the next read shows it.
        let _ = rustix::net::shutdown(self.socket, Shutdown::Write);
    }

    fn unacknowledged(&self) -> Option<u64> {
        send_queue::unacknowledged(self.socket.as_fd())
    }

    fn widen(&mut self) {
        // A failure only costs memory; a Unix socket has no such option.
        let _ = socket::be_generous(self.socket.as_fd());
    }

    fn reset(&mut self) -> io::Result<()> {
        socket::reset_on_close(self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::SocketAddr;

    /// Every connection has one of each of these.
    #[test]
    fn they_are_no_larger_than_they_were() {
        assert_eq!(size_of::<Stream>(), size_of::<std::net::TcpStream>());
        assert_eq!(size_of::<Peer>(), size_of::<SocketAddr>());
    }
}
