//! What lies between the socket of a connection and its protocol: nothing, or layers of their own.
//!
//! A channel is generic over its [`Wire`], so a plain connection executes no instruction for the layers of others.
//! There are two wires, [`Plain`] and [`Layers`], and so two instances of the channel for each service. Each listener
//! has a [`Layering`], which says what its connections have.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;

use super::Networks;
use super::preface::Preface;
use crate::chat::Transport;
use crate::reactor::{ListenSocket, Peer};
use crate::tls::{Session, Tls};

/// The layers of one connection, over a transport that exists only for the time of a hook.
pub trait Wire: fmt::Debug {
    /// The transport of the protocol, over the transport `T` of the socket.
    type Over<'w, T: Transport>: Transport
    where
        Self: 'w;

    /// Returns the transport of the protocol for one hook.
    fn over<T: Transport>(&mut self, io: T) -> Self::Over<'_, T>;

    /// Called at the end of a hook: sends what the layers hold back, as far as there is room. `is_last`: the connection
    /// closes after the hook.
    ///
    /// # Errors
    /// As the transport: the connection is broken.
    fn settle<T: Transport>(over: &mut Self::Over<'_, T>, is_last: bool) -> io::Result<()>;

    /// Whether there is anything between the socket and the protocol, and [`Wire::greet`] may have to read.
    const HAS_LAYERS: bool = false;

    /// Reads what comes before the first layer. Called before each hook for reading.
    ///
    /// # Errors
    /// As the transport; when it is malformed, or ends.
    fn greet<T: Transport>(&mut self, _: &mut T) -> io::Result<Greeting> {
        Ok(Greeting::Over)
    }

    /// Whether the layers hold output of their own that had no room so far.
    fn wants_write(&self) -> bool;
}

/// The state of what comes before the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// There is none, or it was read before.
    Over,
    /// It is not whole.
    Pending,
    /// It has just been read: the connection comes from this client.
    From(Peer),
}

/// No layer: the protocol has the socket itself.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Wire for Plain {
    type Over<'w, T: Transport> = T;

    #[inline(always)]
    fn over<T: Transport>(&mut self, io: T) -> T {
        io
    }

    #[inline(always)]
    fn settle<T: Transport>(_: &mut T, _: bool) -> io::Result<()> {
        Ok(())
    }

    #[inline(always)]
    fn wants_write(&self) -> bool {
        false
    }
}

/// What the connections of a listener have between socket and protocol.
#[derive(Clone, Debug, Default)]
pub struct Layering {
    /// The peers whose connections begin with a header of the PROXY protocol.
    pub proxies: Option<Arc<Networks>>,
    /// TLS, which begins after that header.
    pub tls: Option<Rc<Tls>>,
}

impl Layering {
    /// Whether there is no layer for a connection from `peer`: its channel is plain.
    #[must_use]
    pub fn is_plain(&self, peer: Peer) -> bool {
        self.tls.is_none() && !self.is_proxy(peer)
    }

    /// What the connections of `socket` have: a Unix socket is for programs of this machine, a proxy say, and has no TLS.
    pub(super) fn of(&self, socket: &ListenSocket) -> Self {
        let is_unix = matches!(socket, ListenSocket::Unix(_));
        Self { proxies: self.proxies.clone(), tls: self.tls.clone().filter(|_| !is_unix) }
    }

    /// Forgets secrets that are too old.
    pub(super) fn forget_old(&self) {
        self.tls.iter().for_each(|tls| tls.forget_old());
    }

    fn is_proxy(&self, peer: Peer) -> bool {
        self.proxies.as_ref().is_some_and(|proxies| proxies.contains(peer))
    }

    /// The peer that counts for the limit of connections at first: none for a proxy, which has not named its client
    /// yet.
    pub(super) fn counted(&self, peer: Peer) -> Peer {
        if self.is_proxy(peer) { Peer::Unix } else { peer }
    }

    /// The layers of a new connection from `peer`.
    pub(super) fn layers(&self, peer: Peer) -> Layers {
        Layers {
            preface: self.is_proxy(peer).then(|| Box::new(Preface::of(peer))),
            session: self.tls.as_ref().and_then(Tls::session).map(Box::new),
        }
    }
}

/// The layers of one connection.
#[derive(Debug)]
pub struct Layers {
    preface: Option<Box<Preface>>,
    session: Option<Box<Session>>,
}

/// [`Layers`] for the time of a hook.
#[derive(Debug)]
pub struct Layered<'w, T> {
    layers: &'w mut Layers,
    io: T,
}

impl Wire for Layers {
    type Over<'w, T: Transport> = Layered<'w, T>;

    const HAS_LAYERS: bool = true;

    fn greet<T: Transport>(&mut self, io: &mut T) -> io::Result<Greeting> {
        let greeting = match &mut self.preface {
            Some(preface) if !preface.is_read() => preface.read(io)?,
            _ => return Ok(Greeting::Over),
        };
        Ok(greeting.map_or(Greeting::Pending, Greeting::From))
    }

    fn over<T: Transport>(&mut self, io: T) -> Layered<'_, T> {
        Layered { layers: self, io }
    }

    fn settle<T: Transport>(over: &mut Layered<'_, T>, is_last: bool) -> io::Result<()> {
        match &mut over.layers.session {
            Some(session) => session.settle(&mut over.io, is_last),
            None => Ok(()),
        }
    }

    fn wants_write(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.wants_write())
    }
}

impl<T: Transport> Transport for Layered<'_, T> {
    fn recv(&mut self) -> io::Result<Option<&[u8]>> {
        let Layers { preface, session } = &mut *self.layers;
        match session {
            Some(session) => session.recv(&mut Prefaced { preface, io: &mut self.io }),
            None => recv_after(preface, &mut self.io),
        }
    }

    fn take_report(&mut self) -> bool {
        self.io.take_report()
    }

    fn look_again(&mut self) {
        self.io.look_again();
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        match &mut self.layers.session {
            Some(session) => session.send(&mut self.io, bytes, more),
            None => self.io.send(bytes, more),
        }
    }

    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<usize>> {
        match &mut self.layers.session {
            Some(session) => session.send_file(&mut self.io, file, offset, len),
            None => self.io.send_file(file, offset, len),
        }
    }

    fn may_produce(&mut self) -> bool {
        self.io.may_produce()
    }

    fn shutdown(&mut self) {
        match &mut self.layers.session {
            Some(session) => session.shutdown(&mut self.io),
            None => self.io.shutdown(),
        }
    }

    fn unacknowledged(&self) -> Option<u64> {
        self.io.unacknowledged()
    }

    fn widen(&mut self) {
        self.io.widen();
    }

    fn reset(&mut self) -> io::Result<()> {
        self.layers.session.iter_mut().for_each(|session| session.reset());
        self.io.reset()
    }
}

/// A socket whose first bytes may have come with a preface.
struct Prefaced<'p, T> {
    preface: &'p mut Option<Box<Preface>>,
    io: &'p mut T,
}

/// Receives what came with a preface, and then from the socket.
fn recv_after<'p>(
    preface: &'p mut Option<Box<Preface>>,
    io: &'p mut impl Transport,
) -> io::Result<Option<&'p [u8]>> {
    match preface {
        Some(preface) if !preface.is_read() => return Ok(None),
        Some(preface) if preface.holds() => {}
        preface => {
            *preface = None;
            return io.recv();
        }
    }
    Ok(preface.as_mut().map(|preface| preface.rest()))
}

impl<T: Transport> Transport for Prefaced<'_, T> {
    fn recv(&mut self) -> io::Result<Option<&[u8]>> {
        recv_after(self.preface, self.io)
    }

    fn take_report(&mut self) -> bool {
        self.io.take_report()
    }

    fn look_again(&mut self) {
        self.io.look_again();
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        self.io.send(bytes, more)
    }

    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<usize>> {
        self.io.send_file(file, offset, len)
    }

    fn may_produce(&mut self) -> bool {
        self.io.may_produce()
    }

    fn shutdown(&mut self) {
        self.io.shutdown();
    }

    fn unacknowledged(&self) -> Option<u64> {
        self.io.unacknowledged()
    }

    fn widen(&mut self) {
        self.io.widen();
    }

    fn reset(&mut self) -> io::Result<()> {
        self.io.reset()
    }
}
