//! The listener on the loop: makes a channel of every connection. (the seed's `AsyncHTTPServer`)

use std::io;
use std::rc::Rc;

use log::{debug, error};
use mio::event::Source;

use super::Shared;
use super::channel::HttpChannel;
use crate::clock::Instant;
use crate::http1::Service;
use crate::reactor::{Context, Dispatcher, Listener, Peer, Stream};

/// Accepts connections for one listening socket.
#[derive(Debug)]
pub struct Acceptor<S> {
    listener: Listener,
    shared: Rc<Shared<S>>,
    /// The number of the listening socket.
    entrance: u16,
    /// Dropped with the acceptor, however it ends: its owner counts.
    _alive: Rc<()>,
}

impl<S> Acceptor<S> {
    /// Accepts from `listener`; its connections are answered by the shared service. The owner of `alive` can
    /// tell by the count of it whether the acceptor is still there.
    #[must_use]
    pub fn new(listener: Listener, shared: Rc<Shared<S>>, alive: Rc<()>) -> Self {
        Self { listener, shared, entrance: 0, _alive: alive }
    }

    /// The service is told that visitors of this socket came through the entrance of this number; 0 if not set.
    #[must_use]
    pub fn with_entrance(mut self, entrance: u16) -> Self {
        self.entrance = entrance;
        self
    }
}

fn take_in<S: Service + std::fmt::Debug + 'static>(
    shared: &Rc<Shared<S>>,
    entrance: u16,
    cx: &mut Context<'_>,
    stream: Stream,
    peer: Peer,
) {
    let Some(permit) = shared.population.enter(peer) else {
        // Without a word: an answer would take the very permit that there is not.
        debug!("{peer}: its address has as many connections as it may have");
        return;
    };
    debug!("Incoming connection from {}", peer.pair());
    cx.adopt(HttpChannel::new(stream, permit, entrance, cx.now(), Rc::clone(shared)));
}

impl<S: Service + std::fmt::Debug + 'static> Dispatcher for Acceptor<S> {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    /// (`handle_accept`, `handle_accepted`)
    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (shared, entrance) = (&self.shared, self.entrance);
        let room = &*shared.population;
        self.listener.accept(cx, room, |cx, stream, peer| take_in(shared, entrance, cx, stream, peer))?;
        if self.listener.is_paused() {
            shared.population.wait(cx.key());
        }
        Ok(())
    }

    /// Who is in the queue already has been let in by the kernel: he gets an answer.
    fn handle_shutdown(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let (shared, entrance) = (&self.shared, self.entrance);
        self.listener.accept_rest(cx, |cx, stream, peer| take_in(shared, entrance, cx, stream, peer));
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
