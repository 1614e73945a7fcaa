//! The status page in a worker: its listener and its connections on the worker's loop, and the reports about the worker.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::board::Board;
use super::events::Viewers;
use super::service::{Pages, StatusService, Times, Watched};
use super::snapshot::Reports;
use crate::heartbeat::Heartbeat;
use crate::http1::{Settings, Timeouts};
use crate::reactor::{AcceptMode, ListenSocket, Listener, Reactor, SharedListener};
use crate::server::{Acceptor, Capacity, Running, Shared, Worker, WorkerService};
use crate::slab::Key;
use crate::sys::process;

/// Connections of the pages' own port: monitors and a few viewers. Their descriptors are part of those that are reserved
/// beside the connections of clients.
const CONNECTIONS: usize = 16;

/// A reader of the pages that takes nothing for this time is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a worker needs for the status page.
#[derive(Debug)]
pub struct Station {
    /// The counters of all workers.
    pub board: Board,
    /// The listening sockets of the pages' own port.
    pub listeners: Vec<SharedListener>,
    /// The path of the pages on the public port, without a slash at its end.
    pub path: Option<String>,
    /// The public listeners: their names, and copies of their sockets.
    pub queues: (Vec<String>, Vec<ListenSocket>),
}

impl Station {
    /// Sets up the loop of a worker that is watched.
    ///
    /// # Errors
    /// As [`Worker::boot`].
    pub fn boot<S>(self, worker: Worker<S>, reactor: Reactor) -> io::Result<Running<Watched<S>>>
    where
        S: WorkerService + std::fmt::Debug + 'static,
    {
        let Self { board, listeners, path, queues } = self;
        let peers = worker.heartbeat.peers();
        let slot = board.slot(peers.own().index()).ok_or(io::ErrorKind::OutOfMemory)?;
        slot.begin(u64::from(process::current().number().unsigned_abs()));
        let waker = reactor.waker();
        let pages = Rc::new(Pages {
            reports: Arc::new(Reports::new(board, peers, queues, worker.accept == AcceptMode::Reuseport)),
            viewers: Arc::new(Viewers::new(waker.clone())),
            server: worker.settings.server.clone(),
            draining: Cell::new(false),
        });
        let own = (!listeners.is_empty()).then(|| own(&worker.settings, &pages, &reactor)).transpose()?;
        let watched = Watched {
            inner: (),
            pages,
            path,
            slot,
            own: own.clone(),
            connection: Cell::new(Key::from_bits(0)),
            times: RefCell::new(Times::default()),
        };
        let mut running = around(worker, watched).boot_on(reactor)?;
        if let Some((shared, alive)) = own {
            for socket in listeners {
                // Every worker looks: one that hangs, or is stopped, keeps nobody waiting.
                let listener = Listener::new(socket, AcceptMode::Shared);
                running.add(Acceptor::new(listener, Rc::clone(&shared), Rc::clone(&alive)));
            }
        }
        Ok(running)
    }
}

/// The connections of the pages' own port. They are no part of the shares between workers.
fn own(
    settings: &Settings,
    pages: &Rc<Pages>,
    reactor: &Reactor,
) -> io::Result<(Rc<Shared<StatusService>>, Rc<()>)> {
    let timeouts =
        Timeouts { write_idle: WRITE_TIMEOUT, write_grace: 2 * WRITE_TIMEOUT, ..Timeouts::default() };
    let settings = Settings { timeouts, server: settings.server.clone(), ..Settings::default() };
    let service = StatusService { pages: Rc::clone(pages), connection: Cell::new(Key::from_bits(0)) };
    let capacity = Capacity { connections: CONNECTIONS, per_address: None };
    let shares = Heartbeat::unwatched()?.shares();
    let shared = Shared::new(settings, service, None, capacity, shares, reactor.waker());
    Ok((Rc::new(shared), Rc::new(())))
}

/// The worker with its service inside of `watched`.
fn around<S>(worker: Worker<S>, watched: Watched<()>) -> Worker<Watched<S>> {
    let Watched { inner: (), pages, path, slot, own, connection, times } = watched;
    Worker {
        service: Watched { inner: worker.service, pages, path, slot, own, connection, times },
        settings: worker.settings,
        capacity: worker.capacity,
        access_log: worker.access_log,
        log: worker.log,
        listeners: worker.listeners,
        accept: worker.accept,
        signals: worker.signals,
        master_link: worker.master_link,
        heartbeat: worker.heartbeat,
        grace: worker.grace,
    }
}
