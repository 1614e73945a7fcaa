//! Output that waits, for dispatchers that are no chats: `asyncore.dispatcher_with_send`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use mio::net::TcpStream;

use super::dispatcher::Context;
use super::transmit::transmit;
use crate::chat::OutQueue;

/// A socket whose `send` always takes everything: what the kernel has no room for waits.
///
/// In Python a class inherits from it; here it is a field, and three hooks hand on to it:
///
/// ```
/// # use std::io;
/// # use mio::event::Source;
/// # use stheno::reactor::{Context, Dispatcher, DispatcherWithSend};
/// #[derive(Debug)]
/// struct Shout(DispatcherWithSend);
///
/// impl Dispatcher for Shout {
///     fn socket(&mut self) -> &mut dyn Source {
///         self.0.socket()
///     }
///     fn writable(&self) -> bool {
///         self.0.writable()
///     }
///     fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
///         self.0.initiate_send(cx)
///     }
///     fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
///         while let Some(bytes) = self.0.recv(cx)? {
///             let loud = bytes.to_ascii_uppercase();
///             if loud.is_empty() {
///                 cx.close();
///                 break;
///             }
///             self.0.send(cx, &loud)?;
///         }
///         Ok(())
///     }
/// }
/// ```
#[derive(Debug)]
pub struct DispatcherWithSend {
    socket: TcpStream,
    out_buffer: OutQueue,
}

impl DispatcherWithSend {
    /// With nothing to send yet.
    #[must_use]
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, out_buffer: OutQueue::new() }
    }

    /// The socket, for [`super::Dispatcher::socket`].
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// As [`Context::recv`].
    ///
    /// # Errors
    /// As recv(2).
    pub fn recv<'c>(&mut self, cx: &'c mut Context<'_>) -> io::Result<Option<&'c [u8]>> {
        cx.recv(&mut self.socket)
    }

    /// Sends what the socket takes now; the rest waits for [`DispatcherWithSend::initiate_send`].
    ///
    /// # Errors
    /// As send(2).
    pub fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        self.out_buffer.push(bytes);
        self.initiate_send(cx)
    }

    /// Sends what waits: for [`super::Dispatcher::handle_write`].
    ///
    /// # Errors
    /// As send(2).
    pub fn initiate_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        transmit(cx, &self.socket, &mut self.out_buffer).map(drop)
    }

    /// Whether output waits: for [`super::Dispatcher::writable`].
    #[must_use]
    pub fn writable(&self) -> bool {
        !self.out_buffer.is_empty()
    }

    /// How many bytes wait: for [`super::Dispatcher::unsent`], and to stop reading above a limit.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.out_buffer.len()
    }
}

impl AsFd for DispatcherWithSend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
