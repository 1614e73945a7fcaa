//! What all workers report, read at one moment.

use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::board::{Board, CLASSES, MOST_QUEUES, Slot};
use crate::heartbeat::{HeartbeatSlot, Peers, WorkerState};
use crate::reactor::{AcceptMode, ListenSocket};
use crate::server::Activities;
use crate::sys::socket;

/// A worker that was not at its loop for this long is shown as one that hangs: twice the time between two beats of an idle
/// one.
const HANGS_AFTER: Duration = Duration::from_secs(2);

/// The listening sockets of this worker, with their names, and where the reports of all workers are.
#[derive(Debug)]
pub(super) struct Reports {
    pub(super) board: Board,
    pub(super) peers: Peers,
    /// The name of each public listener.
    names: Vec<String>,
    /// Copies of the sockets; empty when the worker drains.
    sockets: Mutex<Vec<ListenSocket>>,
    /// How the workers share the sockets.
    accept: AcceptMode,
}

/// The queue of connections that wait for a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) length: u64,
    /// The backlog.
    pub(super) limit: u64,
}

/// What a worker does, as its peers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Booting,
    Ready,
    Draining,
    Hung,
}

impl Health {
    pub(super) const ALL: [Self; 4] = [Self::Booting, Self::Ready, Self::Draining, Self::Hung];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Hung => "hung",
        }
    }

    fn of(slot: HeartbeatSlot, now: Instant) -> Option<Self> {
        let hangs = || now.saturating_duration_since(slot.last_beat()) > HANGS_AFTER;
        match slot.state() {
            WorkerState::Ended => None,
            WorkerState::Booting => Some(Self::Booting),
            WorkerState::Ready | WorkerState::Draining if hangs() => Some(Self::Hung),
            WorkerState::Ready => Some(Self::Ready),
            WorkerState::Draining => Some(Self::Draining),
        }
    }
}

/// A slot of the board, with the worker that has it now.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkerView {
    /// The number of the slot.
    pub(super) index: usize,
    pub(super) slot: Slot,
    /// `None` if the worker has ended and no other one has its slot.
    pub(super) health: Option<Health>,
    pub(super) generation: u64,
    /// Open connections; none if the worker has ended.
    pub(super) activities: Activities,
}

impl WorkerView {
    pub(super) fn open(&self) -> u64 {
        self.activities.open()
    }
}

/// The whole server at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) uptime: Duration,
    pub(super) started: u64,
    pub(super) restarts: u64,
    pub(super) is_draining: bool,
    /// How the workers share the listeners.
    pub(super) accept: AcceptMode,
    pub(super) queues: Vec<Queue>,
    /// Every slot that was ever used, also of workers that have ended: their counters are part of the sums.
    pub(super) slots: Vec<WorkerView>,
}

impl Snapshot {
    /// The workers that there are.
    pub(super) fn workers(&self) -> impl Iterator<Item = (&WorkerView, Health)> {
        self.slots.iter().filter_map(|view| Some((view, view.health?)))
    }

    /// The responses of all workers by the class of their status.
    pub(super) fn responses(&self) -> [u64; CLASSES] {
        let mut sum = [0; CLASSES];
        for view in &self.slots {
            sum.iter_mut().zip(view.slot.responses()).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    /// A sum over all slots.
    pub(super) fn sum(&self, of: impl Fn(&Slot) -> u64) -> u64 {
        self.slots.iter().map(|view| of(&view.slot)).sum()
    }

    /// The connections of all workers.
    pub(super) fn activities(&self) -> Activities {
        self.workers().fold(Activities::default(), |sum, (view, _)| Activities {
            busy: sum.busy + view.activities.busy,
            idle: sum.idle + view.activities.idle,
            lingering: sum.lingering + view.activities.lingering,
        })
    }
}

impl Reports {
    pub(super) fn new(
        board: Board,
        peers: Peers,
        listeners: (Vec<String>, Vec<ListenSocket>),
        accept: AcceptMode,
    ) -> Self {
        let (names, mut sockets) = listeners;
        sockets.truncate(MOST_QUEUES);
        Self { board, peers, names, sockets: Mutex::new(sockets), accept }
    }

    /// Closes the copies of the listening sockets, which would keep them open.
    pub(super) fn close_sockets(&self) {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The queues of this worker's listeners: length and limit. The kernel tells nothing of Unix sockets.
    pub(super) fn own_queues(&self) -> Vec<Option<(u64, u64)>> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = |listener: &ListenSocket| match listener {
            ListenSocket::Tcp(_) => socket::queue(listener.as_fd()).ok(),
            ListenSocket::Unix(_) => None,
        };
        let sizes = sockets.iter().map(queue);
        sizes.map(|sizes| sizes.map(|(length, limit)| (length as u64, limit as u64))).collect()
    }

    /// Reads what all workers report.
    pub(super) fn read(&self) -> Snapshot {
        let now = Instant::now();
        let beats: Vec<HeartbeatSlot> = self.peers.slots().collect();
        let mut slots: Vec<WorkerView> = Vec::new();
        for (index, slot) in self.board.slots(self.used(&beats)).enumerate() {
            let health = beats.get(index).and_then(|beat| Health::of(*beat, now));
            let generation = beats.get(index).map_or(0, HeartbeatSlot::generation);
            let activities = health.map_or_else(Activities::default, |_| slot.activities());
            slots.push(WorkerView { index, slot, health, generation, activities });
        }
        Snapshot {
            uptime: self.board.uptime(),
            started: self.board.started(),
            restarts: self.board.restarts(),
            is_draining: self.board.is_stopping(),
            accept: self.accept,
            queues: self.queues(&slots),
            slots,
        }
    }

    /// How many slots have been used: a reload may have taken later ones than those that are taken now.
    fn used(&self, beats: &[HeartbeatSlot]) -> usize {
        let beyond =
            (beats.len()..).take_while(|index| self.board.slot(*index).is_some_and(|slot| slot.pid() != 0));
        beats.len() + beyond.count()
    }

    fn queues(&self, slots: &[WorkerView]) -> Vec<Queue> {
        let live = || slots.iter().filter(|view| matches!(view.health, Some(Health::Ready | Health::Hung)));
        let mut queues = Vec::new();
        for (number, (sizes, name)) in self.own_queues().into_iter().zip(&self.names).enumerate() {
            let Some((mut length, mut limit)) = sizes else {
                continue;
            };
            if self.accept == AcceptMode::Reuseport {
                length = live().map(|view| view.slot.queues()[number]).sum();
                limit *= live().count() as u64;
            }
            queues.push(Queue { name: name.clone(), length, limit });
        }
        queues
    }
}
