//! `asynchat.async_chat` whole: a [`Chat`] on a socket on the loop.

use std::io;

use mio::event::Source;
use mio::net::TcpStream;

use super::dispatcher::{Context, Dispatcher};
use super::transmit::transmit;
use crate::chat::{Chat, Handler};

/// A conversation in frames with one peer.
#[derive(Debug)]
pub struct ChatChannel<H> {
    socket: TcpStream,
    chat: Chat,
    handler: H,
    read_closed: bool,
}

impl<H: Handler + std::fmt::Debug> ChatChannel<H> {
    /// A channel on an accepted (or connected) socket.
    pub fn new(socket: TcpStream, chat: Chat, handler: H) -> Self {
        Self { socket, chat, handler, read_closed: false }
    }

    /// Sends what there is; closes once the peer has closed and has been sent everything.
    fn initiate_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        transmit(cx, &self.socket, self.chat.output())?;
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

    fn readable(&self) -> bool {
        !self.read_closed && self.chat.wants_read()
    }

    fn writable(&self) -> bool {
        self.chat.wants_write()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.readable() {
            match cx.recv(&mut self.socket)? {
                None => break,
                Some([]) => self.read_closed = true,
                Some(bytes) => self.chat.receive(bytes, &mut self.handler),
            }
        }
        self.initiate_send(cx)
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.initiate_send(cx)
    }
}
