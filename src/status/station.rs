//! The status page in a worker: its listener and its connections on the worker's loop, and the reports about the worker.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::board::Board;
use super::events::Viewers;
use super::service::{Pages, StatusService, Times, Watched, Watcher};
use super::snapshot::Reports;
use crate::heartbeat::Heartbeat;
use crate::http1::{Settings, Timeouts};
use crate::reactor::{AcceptMode, ListenSocket, Listener, Probe, Reactor, SharedListener, Waker};
use crate::server::{Acceptor, Capacity, Running, Shared, Worker, WorkerService};
use crate::slab::Key;
use crate::sys::process;

/// Connections of the pages' own port: monitors and a few viewers. Their descriptors are part of those that are reserved
/// beside the connections of clients.
const CONNECTIONS: usize = 16;

/// A reader of the pages that takes nothing for this time is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The probe of a watched worker whose loop is not recorded. It observes nothing, as [`NoProbe`](crate::reactor::NoProbe)
/// does, and is a type of its own, so that the loop of workers that are not watched has one caller and is compiled into it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unrecorded;

impl Probe for Unrecorded {
    const ACTIVE: bool = false;
}

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
    /// Sets up the loop of a worker that is watched. `wrap` puts another service around the one that has the pages.
    ///
    /// # Errors
    /// As [`Worker::boot`].
    pub fn boot<S, T, P: Probe>(
        self,
        worker: Worker<S>,
        reactor: Reactor<P>,
        wrap: impl FnOnce(Watched<S>) -> T,
    ) -> io::Result<Running<T, P>>
    where
        S: WorkerService + std::fmt::Debug + 'static,
        T: WorkerService + std::fmt::Debug + 'static,
    {
        let Self { board, listeners, path, queues } = self;
        let peers = worker.heartbeat.peers();
        let slot = board.slot(peers.own().index()).ok_or(io::ErrorKind::OutOfMemory)?;
        slot.begin(u64::from(process::current().number().unsigned_abs()));
        let pages = Rc::new(Pages {
            reports: Arc::new(Reports::new(board, peers, queues, worker.accept)),
            viewers: Arc::new(Viewers::new(reactor.waker())),
            server: worker.settings.server.clone(),
            draining: Cell::new(false),
        });
        let own =
            (!listeners.is_empty()).then(|| own(&worker.settings, &pages, reactor.waker())).transpose()?;
        let watch = Watcher {
            pages,
            path,
            slot,
            recorder: worker.recorder.clone(),
            own: own.clone(),
            connection: Cell::new(Key::from_bits(0)),
            times: RefCell::new(Times::default()),
        };
        let mut running = worker.map_service(|inner| wrap(Watched { inner, watch })).boot_on(reactor)?;
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
    waker: Waker,
) -> io::Result<(Rc<Shared<StatusService>>, Rc<()>)> {
    let timeouts =
        Timeouts { write_idle: WRITE_TIMEOUT, write_grace: 2 * WRITE_TIMEOUT, ..Timeouts::default() };
    let settings = Settings { timeouts, server: settings.server.clone(), ..Settings::default() };
    let service = StatusService { pages: Rc::clone(pages), connection: Cell::new(Key::from_bits(0)) };
    let capacity = Capacity { connections: CONNECTIONS, per_address: None };
    let shares = Heartbeat::unwatched()?.shares();
    let shared = Shared::new(settings, service, None, capacity, shares, waker);
    Ok((Rc::new(shared), Rc::new(())))
}
