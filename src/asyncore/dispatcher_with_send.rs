//! A socket with an output queue, for dispatchers that are no chats: `asyncore.dispatcher_with_send`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use mio::net::TcpStream;

use crate::chat::OutQueue;
use crate::reactor::{Context, transmit};

/// A socket whose `send` always takes everything: what the kernel has no room for is queued.
///
/// In Python a class inherits from it; here it is a field, and three hooks call it:
///
/// ```
/// # use std::io;
/// # use mio::event::Source;
/// # use stheno::asyncore::DispatcherWithSend;
/// # use stheno::reactor::{Context, Dispatcher};
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
    /// Wraps `socket`, with an empty queue.
    #[must_use]
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, out_buffer: OutQueue::new() }
    }

    /// The socket, for [`crate::reactor::Dispatcher::socket`].
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

    /// Sends what the kernel takes now; queues the rest for [`DispatcherWithSend::initiate_send`].
    ///
    /// # Errors
    /// As send(2).
    pub fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        self.out_buffer.push(bytes);
        self.initiate_send(cx)
    }

    /// Sends what is queued, for [`crate::reactor::Dispatcher::handle_write`].
    ///
    /// # Errors
    /// As send(2).
    pub fn initiate_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        transmit(cx, &self.socket, &mut self.out_buffer).map(drop)
    }

    /// Whether output is queued, for [`crate::reactor::Dispatcher::writable`].
    #[must_use]
    pub fn writable(&self) -> bool {
        !self.out_buffer.is_empty()
    }

    /// How many bytes are queued, for [`crate::reactor::Dispatcher::unsent`], and to stop reading above a limit.
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
