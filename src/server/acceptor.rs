//! The listener on the loop: makes a channel of every connection. (the seed's `AsyncHTTPServer`)

use std::io;
use std::rc::Rc;

use log::{debug, error};
use mio::event::Source;

use super::channel::HttpChannel;
use super::{Shared, WorkerService};
use crate::clock::Instant;
use crate::reactor::{Context, Dispatcher, Listener, Peer, Stream};

/// Accepts connections for one listening socket.
#[derive(Debug)]
pub struct Acceptor<S> {
    listener: Listener,
    shared: Rc<Shared<S>>,
    /// The number of the listening socket.
    number: u16,
    /// Dropped with the acceptor, however it ends: its owner counts.
    _alive: Rc<()>,
}

impl<S> Acceptor<S> {
    /// Accepts from `listener`; its connections are answered by the shared service. The owner of `alive` can
    /// tell by the count of it whether the acceptor is still there.
    #[must_use]
    pub fn new(listener: Listener, shared: Rc<Shared<S>>, alive: Rc<()>) -> Self {
        Self { listener, shared, number: 0, _alive: alive }
    }

    /// Sets the number of the listening socket, which [`super::PeerInfo`] tells the service; 0 if not set.
    #[must_use]
    pub fn with_number(mut self, number: u16) -> Self {
        self.number = number;
        self
    }
}

fn take_in<S: WorkerService + std::fmt::Debug + 'static>(
    shared: &Rc<Shared<S>>,
    number: u16,
    cx: &mut Context<'_>,
    stream: Stream,
    peer: Peer,
) {
    let Some(permit) = shared.connections.enter(peer) else {
        // Without a word: an answer would take the very permit that there is not.
        debug!("{peer}: its address has as many connections as it may have");
        return;
    };
    debug!("Incoming connection from {}", peer.pair());
    cx.adopt(HttpChannel::new(stream, permit, number, cx.now(), Rc::clone(shared)));
}

impl<S: WorkerService + std::fmt::Debug + 'static> Dispatcher for Acceptor<S> {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    /// (`handle_accept`, `handle_accepted`)
    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (shared, number) = (&self.shared, self.number);
        let room = &*shared.connections;
        self.listener.accept(cx, room, |cx, stream, peer| take_in(shared, number, cx, stream, peer))?;
        if self.listener.is_paused() {
            shared.connections.wait(cx.key());
        }
        Ok(())
    }

    /// Who is in the queue already has been let in by the kernel: he gets an answer.
    fn handle_shutdown(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (shared, number) = (&self.shared, self.number);
        self.listener.accept_rest(cx, |cx, stream, peer| take_in(shared, number, cx, stream, peer));
        cx.close();
        Ok(())
    }

    fn handle_error(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        error!("a listening socket is lost: {error}");
        cx.close();
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.listener.resume(cx)
    }

    /// A connection has ended while accepting paused.
    fn handle_wake(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.listener.resume(cx)
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
