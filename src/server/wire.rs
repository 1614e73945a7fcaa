//! What lies between the socket of a connection and its protocol: nothing, or layers of their own.
//!
//! A channel is generic over its [`Wire`], so a plain connection executes no instruction for the layers of others.
//! There are two wires, [`Plain`] and [`Layers`], and so two instances of the channel for each service. Each listener
//! has a [`Layering`], which says what its connections have.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::Networks;
use super::preface::Preface;
use crate::chat::Transport;
use crate::reactor::Peer;

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

    /// Whether [`Wire::greet`] may have to read.
    const MAY_GREET: bool = false;

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
}

impl Layering {
    /// Whether there is no layer for a connection from `peer`: its channel is plain.
    #[must_use]
    pub fn is_plain(&self, peer: Peer) -> bool {
        !self.is_proxy(peer)
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
        Layers { preface: self.is_proxy(peer).then(|| Box::new(Preface::of(peer))) }
    }
}

/// The layers of one connection.
#[derive(Debug)]
pub struct Layers {
    preface: Option<Box<Preface>>,
}

/// [`Layers`] for the time of a hook.
#[derive(Debug)]
pub struct Layered<'w, T> {
    layers: &'w mut Layers,
    io: T,
}

impl Wire for Layers {
    type Over<'w, T: Transport> = Layered<'w, T>;

    const MAY_GREET: bool = true;

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

    fn settle<T: Transport>(_: &mut Layered<'_, T>, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn wants_write(&self) -> bool {
        false
    }
}

impl<T: Transport> Transport for Layered<'_, T> {
    /// The first bytes after a preface came with it.
    fn recv(&mut self) -> io::Result<Option<&[u8]>> {
        match &mut self.layers.preface {
            Some(preface) if !preface.is_read() => return Ok(None),
            Some(preface) if preface.holds() => {}
            preface => {
                *preface = None;
                return self.io.recv();
            }
        }
        Ok(self.layers.preface.as_mut().map(|preface| preface.rest()))
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

    fn widen(&mut self) {
        self.io.widen();
    }

    fn reset(&mut self) -> io::Result<()> {
        self.io.reset()
    }
}
