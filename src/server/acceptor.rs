//! The listener on the loop, which makes a channel of each connection. (the seed's `AsyncHTTPServer`)

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use log::{debug, error};
use mio::event::Source;

use super::channel::HttpChannel;
use super::{Layering, Plain, Shared, WorkerService};
use crate::clock::Instant;
use crate::reactor::{Context, Dispatcher, Listener, Peer, Stream};

/// Accepts connections for one listening socket.
#[derive(Debug)]
pub struct Acceptor<S> {
    listener: Listener,
    shared: Rc<Shared<S>>,
    /// The number of the listening socket.
    number: u16,
    /// What its connections have between socket and protocol.
    layering: Layering,
    /// Dropped with the acceptor: the owner of the count sees its end.
    _alive: Rc<()>,
}

impl<S> Acceptor<S> {
    /// Accepts from `listener` for the service in `shared`. The owner of `alive` can tell from its count whether the
    /// acceptor exists.
    #[must_use]
    pub fn new(listener: Listener, shared: Rc<Shared<S>>, alive: Rc<()>) -> Self {
        Self { listener, shared, number: 0, layering: Layering::default(), _alive: alive }
    }

    /// Sets the number of the listening socket, which the service finds in [`super::PeerInfo`]. It is 0 if not set.
    #[must_use]
    pub fn with_number(mut self, number: u16) -> Self {
        self.number = number;
        self
    }

    /// Sets what its connections have between socket and protocol. It is nothing if not set.
    #[must_use]
    pub fn with_layering(mut self, layering: Layering) -> Self {
        self.layering = layering;
        self
    }
}

fn adopt<S: WorkerService + std::fmt::Debug + 'static>(
    shared: &Rc<Shared<S>>,
    number: u16,
    layering: &Layering,
    cx: &mut Context<'_>,
    stream: Stream,
    peer: Peer,
) {
    shared.service.note_accept();
    let Some(permit) = shared.connections.enter(layering.counted(peer)) else {
        // Closed without a response, which would need a permit of its own.
        debug!("{peer}: its address has as many connections as it may have");
        return;
    };
    debug!("Incoming connection from {}", peer.pair());
    let (now, shared) = (cx.now(), Rc::clone(shared));
    if layering.is_plain(peer) {
        cx.adopt(HttpChannel::new(stream, Plain, permit, number, now, shared));
    } else {
        cx.adopt(HttpChannel::new(stream, layering.layers(peer), permit, number, now, shared));
    }
}

impl<S: WorkerService + std::fmt::Debug + 'static> Dispatcher for Acceptor<S> {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.listener.as_fd())
    }

    /// Accepts connections. (`handle_accept`, `handle_accepted`)
    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (shared, number, layering) = (&self.shared, self.number, &self.layering);
        let room = &*shared.connections;
        self.listener
            .accept(cx, room, |cx, stream, peer| adopt(shared, number, layering, cx, stream, peer))?;
        if self.listener.is_paused() {
            shared.connections.wait(cx.key());
        }
        Ok(())
    }

    /// Accepts the connections that wait in the kernel's queue: their clients count as connected, and expect a response.
    fn handle_shutdown(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.shared.service.outlives_drain() {
            return Ok(());
        }
        let (shared, number, layering) = (&self.shared, self.number, &self.layering);
        self.listener.accept_rest(cx, |cx, stream, peer| adopt(shared, number, layering, cx, stream, peer));
        cx.close();
        Ok(())
    }

    fn handle_error(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        error!("a listening socket is lost: {error}");
        cx.close();
    }

    /// Not in a rest: an event may have come before it.
    fn readable(&self) -> bool {
        !self.listener.is_resting()
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.listener.resume(cx);
        Ok(())
    }

    /// Resumes after a connection has ended while accepting was paused.
    fn handle_wake(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.listener.resume(cx);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.listener.deadline()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn state(&self) -> &'static str {
        "Listening"
    }
}
