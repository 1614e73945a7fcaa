//! One HTTP connection on the loop: a socket, and the driver of its protocol.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;

use log::{debug, warn};
use mio::event::Source;

use super::connection_table::{Activity, Eviction, Permit};
use super::wire::Greeting;
use super::{Driver, DriverContext, PeerInfo, Resources, Shared, Wire, WorkerService};
use crate::clock::{Instant, Now};
use crate::http1::Turn;
use crate::reactor::{Context, Dispatcher, Peer, SocketTransport, Stream};
use crate::slab::Key;

/// One accepted connection, over a wire `W`. (the seed's `AsyncHTTPRequestHandler`, its socket side)
pub struct HttpChannel<S, W> {
    stream: Stream,
    wire: W,
    driver: Driver,
    shared: Rc<Shared<S>>,
    permit: Permit,
    /// The number of the listening socket that accepted it.
    listener: u16,
}

impl<S, W> fmt::Debug for HttpChannel<S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpChannel({}, {})", self.permit.peer(), self.driver.connection().state())
    }
}

impl<S: WorkerService, W: Wire> HttpChannel<S, W> {
    /// A channel for a connection that is accepted at `now`.
    #[must_use]
    pub(super) fn new(
        stream: Stream,
        wire: W,
        permit: Permit,
        listener: u16,
        now: Now,
        shared: Rc<Shared<S>>,
    ) -> Self {
        let mut driver = Driver::new(now);
        if shared.draining.get() {
            driver.drain(now);
        }
        Self { stream, wire, driver, shared, permit, listener }
    }

    /// Lends socket and resources to the driver for one call, and updates the loop and the connection table.
    fn drive(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(
            &mut Driver,
            &mut W::Over<'_, SocketTransport<'_, '_, Stream>>,
            &mut DriverContext<'_, S>,
        ) -> io::Result<()>,
    ) -> io::Result<()> {
        let (now, key, frames) = (cx.now(), cx.key(), cx.frames_left());
        let mut resources = self.shared.resources.borrow_mut();
        let peer = self.peer_info(key);
        let mut context = context(&self.shared, &mut resources, peer, now, frames);
        let mut io = self.wire.over(SocketTransport::new(cx, &self.stream));
        let result = call(&mut self.driver, &mut io, &mut context);
        let result = result.and_then(|()| W::settle(&mut io, self.driver.connection().is_closed()));
        drop(io);
        cx.set_frames_left(context.frames);
        if self.driver.connection().is_closed() {
            cx.close();
        }
        self.permit.set_activity(self.activity(), self.driver.held(), now.monotonic, key);
        result
    }

    /// Reads what comes before the protocol. Returns whether the protocol is next.
    fn greet(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let peer = match self.wire.greet(&mut SocketTransport::new(cx, &self.stream))? {
            Greeting::Over => return Ok(true),
            Greeting::Pending => {
                self.drive(cx, |_, _, _| Ok(()))?;
                return Ok(false);
            }
            Greeting::From(peer) => peer,
        };
        debug!("a connection of {} comes from {}", self.permit.peer(), peer.pair());
        let has_room = self.permit.set_peer(peer);
        if !has_room {
            debug!("{peer}: its address has as many connections as it may have");
            cx.close();
        }
        Ok(has_room)
    }

    fn peer_info(&self, connection: Key) -> PeerInfo {
        let socket = if W::HAS_LAYERS { -1 } else { self.stream.as_fd().as_raw_fd() };
        PeerInfo { peer: self.permit.peer(), listener: self.listener, connection, socket }
    }

    fn activity(&self) -> Activity {
        if self.driver.is_idle() {
            Activity::Idle
        } else if self.driver.connection().is_lingering() {
            Activity::Lingering
        } else {
            Activity::Busy
        }
    }
}

fn context<'a, S>(
    shared: &'a Shared<S>,
    resources: &'a mut Resources,
    peer: PeerInfo,
    now: Now,
    frames: u32,
) -> DriverContext<'a, S> {
    let Resources { dates, spares, wide, log } = resources;
    let turn = Turn { now, settings: &shared.settings, dates };
    DriverContext {
        turn,
        service: &shared.service,
        peer,
        frames,
        spares,
        wide,
        log: log.as_deref_mut().map(|log| log as _),
    }
}

impl<S: WorkerService, W: Wire> Dispatcher for HttpChannel<S, W> {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.stream
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.stream.as_fd())
    }

    fn peer(&self) -> Option<Peer> {
        Some(self.permit.peer())
    }

    fn readable(&self) -> bool {
        self.driver.wants_read() && !(self.shared.service.is_guarded() && self.driver.waits())
    }

    fn writable(&self) -> bool {
        self.driver.wants_write() || self.wire.wants_write()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if W::HAS_LAYERS && !self.greet(cx)? {
            return Ok(());
        }
        self.drive(cx, |driver, io, context| driver.on_readable(io, context))
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.drive(cx, |driver, io, context| driver.flush(io, context))
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        debug!("{}: time-out in {}", self.permit.peer(), self.driver.connection().state());
        self.drive(cx, |driver, io, context| driver.on_timeout(io, context))
    }

    /// Continues the response of an application, and closes the connection if a new one needs its room and no request has
    /// begun meanwhile, or if it holds too much input.
    fn handle_wake(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.drive(cx, |driver, io, context| driver.on_wake(io, context))?;
        let (peer, state) = (self.permit.peer(), self.driver.connection().state());
        match self.permit.take_eviction() {
            Some(Eviction::Room) if self.activity() != Activity::Busy => {
                debug!("{peer}: makes room in {state}");
                self.drive(cx, |driver, io, context| driver.give_way(io, context))
            }
            Some(Eviction::Memory) if self.driver.held() > 0 => {
                debug!("{peer}: holds too much input in {state}");
                self.drive(cx, |driver, io, context| driver.give_up_input(io, context))
            }
            _ => Ok(()),
        }
    }

    fn handle_shutdown(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.shared.service.outlives_drain() {
            return Ok(());
        }
        self.driver.drain(cx.now());
        self.drive(cx, |driver, io, context| driver.flush(io, context))
    }

    fn handle_error(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        log_failure(self.permit.peer(), self.driver.connection().state(), error);
        cx.close();
    }

    fn handle_close(&mut self, now: Now) {
        let mut resources = self.shared.resources.borrow_mut();
        resources.wide -= u32::from(self.driver.is_wide());
        if resources.log.is_some() {
            let peer = self.peer_info(Key::from_bits(0));
            self.driver.on_close(&mut context(&self.shared, &mut resources, peer, now, 0));
        }
        debug!("Closed connection from {}", self.permit.peer());
    }

    fn deadline(&self) -> Option<Instant> {
        self.driver.connection().deadline(&self.shared.settings.timeouts)
    }

    fn state(&self) -> &'static str {
        self.driver.connection().state()
    }

    fn unsent(&self) -> u64 {
        self.driver.connection().output().len()
    }
}

/// Logs why a connection ends: as an error, unless the reason is the peer or its network.
pub fn log_failure(peer: Peer, state: &str, error: &io::Error) {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, InvalidData, NetworkDown,
        NetworkUnreachable, NotConnected, TimedOut,
    };
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | HostUnreachable | NetworkDown
        | NetworkUnreachable | NotConnected | TimedOut => debug!("{peer}: {error} in {state}"),
        InvalidData => warn!("{error}"),
        _ => warn!("{peer}: a response is cut short: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Connection, Request, Response};
    use crate::server::Plain;

    /// The memory of an idle connection is this, its slot in the loop, its entry in the table, and its timer.
    #[test]
    fn a_connection_is_small() {
        let channel = size_of::<HttpChannel<fn(&Request<'_>, Now) -> Response, Plain>>();
        assert!(channel <= 208, "{channel}");
        assert!(size_of::<Connection>() <= 128, "{}", size_of::<Connection>());
    }
}
