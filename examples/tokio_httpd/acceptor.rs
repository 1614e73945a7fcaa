//! A listener's task: accepts connections, and lets each take its first turn. (`server::Acceptor`, `reactor::Listener`)

use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, warn};
use stheno::clock::Instant;
use stheno::reactor::{AcceptOutcome, ListenSocket, Peer, Stream};
use stheno::sys::readiness::wait_readable;
use stheno::sys::socket;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::LOG;
use crate::conversation::Conversation;
use crate::worker::{Fd, World};

/// The reactor's figures (`reactor::Listener`).
const ACCEPTS_PER_TURN: u32 = 16;
const MAX_REST: u32 = 4096;
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const COMPLAINT_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Acceptor {
    world: Arc<World>,
    listener: AsyncFd<Fd<ListenSocket>>,
    pause: Duration,
    complained: Option<Instant>,
}

/// The outcome of an attempt to accept.
enum Tried {
    Accepted,
    NobodyWaits,
    Pause,
}

impl Acceptor {
    pub(crate) fn new(world: Arc<World>, listener: ListenSocket) -> io::Result<Self> {
        Ok(Self { world, listener: Fd(listener).watch()?, pause: PAUSE, complained: None })
    }

    /// Accepts until the server drains, and then the connections that are in the queue already.
    ///
    /// # Errors
    /// When the listener is broken.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let world = Arc::clone(&self.world);
        let mut drained = pin!(world.draining());
        tokio::select! {
            biased;
            () = &mut drained => {}
            result = self.accept() => return result,
        }
        for _ in 0..MAX_REST {
            match self.listener.get_ref().0.accept() {
                Ok((stream, peer)) => self.take_in(stream, peer),
                Err(error) if AcceptOutcome::of(&error) == AcceptOutcome::NextOne => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    async fn accept(&mut self) -> io::Result<()> {
        loop {
            drop(self.listener.readable().await?);
            // After the last of them the others have their turn first.
            if self.accept_some().await? {
                yield_now().await;
            }
        }
    }

    /// Accepts as many connections as a turn may; returns whether others may wait.
    async fn accept_some(&mut self) -> io::Result<bool> {
        for _ in 0..ACCEPTS_PER_TURN {
            let connection_table = Arc::clone(&self.world.connection_table);
            let ended = connection_table.ended();
            // Room is made only for a connection that waits.
            let tried =
                if !connection_table.is_full() || (self.somebody_waits()? && connection_table.make_room()) {
                    self.accept_one()?
                } else if self.somebody_waits()? {
                    Tried::Pause
                } else {
                    Tried::NobodyWaits
                };
            match tried {
                Tried::Accepted => {}
                Tried::NobodyWaits => return Ok(false),
                Tried::Pause => {
                    let _ =
                        timeout(self.pause, connection_table.wait_until(|all| all.ended() != ended)).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        Ok(true)
    }

    fn accept_one(&mut self) -> io::Result<Tried> {
        // `WouldBlock` clears the readiness: the next wait is for a new connection.
        let accepted = self.listener.try_io(tokio::io::Interest::READABLE, |listener| listener.0.accept());
        match accepted {
            Ok((stream, peer)) => {
                self.pause = PAUSE;
                self.take_in(stream, peer);
                Ok(Tried::Accepted)
            }
            Err(error) => match AcceptOutcome::of(&error) {
                AcceptOutcome::NoneWaiting => Ok(Tried::NobodyWaits),
                // tokio's own error has no number.
                _ if error.kind() == io::ErrorKind::WouldBlock => Ok(Tried::NobodyWaits),
                AcceptOutcome::NextOne => Ok(Tried::Accepted),
                AcceptOutcome::Pause => {
                    self.complain(&error);
                    Ok(Tried::Pause)
                }
                AcceptOutcome::Broken => Err(error),
            },
        }
    }

    /// Another process may have taken the connection: then the readiness is cleared, and the next wait is for a new
    /// one.
    fn somebody_waits(&self) -> io::Result<bool> {
        let looked = self.listener.try_io(tokio::io::Interest::READABLE, |listener| {
            let waits = wait_readable(listener.0.as_fd(), Some(Duration::ZERO))?;
            if waits { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        });
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            result => result.map(|()| true),
        }
    }

    fn take_in(&self, stream: Stream, peer: Peer) {
        let prepared = match &self.listener.get_ref().0 {
            ListenSocket::Tcp(_) => socket::prepare_accepted(stream.as_fd()),
            ListenSocket::Unix(_) => Ok(()),
        };
        let Some(permit) = self.world.connection_table.enter(peer) else {
            debug!(target: LOG, "{peer}: its address has as many connections as it may have");
            return;
        };
        if let Err(error) = prepared {
            warn!(target: LOG, "a connection from {peer} cannot be set up: {error}");
            return;
        }
        debug!(target: LOG, "Incoming connection from {}", peer.pair());
        let conversation = Conversation::new(Arc::clone(&self.world), stream, permit);
        if self.world.has_helpers {
            tokio::spawn(conversation.run(None));
        } else {
            // Answered before the next accept(2), so that the next client may be there by then.
            conversation.begin();
        }
    }

    fn complain(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.complained.is_none_or(|at| now.saturating_duration_since(at) >= COMPLAINT_EVERY) {
            self.complained = Some(now);
            warn!(target: LOG, "accepting pauses: {error}");
        }
    }
}
