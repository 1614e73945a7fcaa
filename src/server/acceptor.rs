//! The listener on the loop: makes a channel of every connection. (the seed's `AsyncHTTPServer`)

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use log::debug;
use mio::event::Source;

use super::Shared;
use super::channel::HttpChannel;
use crate::http1::Service;
use crate::reactor::{Context, Dispatcher, Listener};

/// Accepts connections for one listening socket.
#[derive(Debug)]
pub struct Acceptor<S> {
    listener: Listener,
    shared: Rc<Shared<S>>,
}

impl<S> Acceptor<S> {
    /// Accepts from `listener`; its connections are answered by the shared service.
    #[must_use]
    pub fn new(listener: Listener, shared: Rc<Shared<S>>) -> Self {
        Self { listener, shared }
    }
}

impl<S: Service + std::fmt::Debug + 'static> Dispatcher for Acceptor<S> {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    /// (`handle_accept`, `handle_accepted`)
    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let shared = &self.shared;
        self.listener.accept(cx, |cx, stream, peer| {
            debug!("Incoming connection from {}", python_address(peer));
            cx.adopt(HttpChannel::new(stream, peer, cx.now(), Rc::clone(shared)));
        })
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
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

/// `('127.0.0.1', 56365)`: an address as the seed's log shows it.
fn python_address(address: SocketAddr) -> String {
    format!("('{}', {})", address.ip(), address.port())
}
