//! The workers of one configuration.

use std::time::Instant;

use super::worker_slot::{WorkerProcess, WorkerSlot};
use crate::sys::process::Pid;

/// The slots of workers that use the same configuration.
#[derive(Debug)]
pub(super) struct Generation {
    /// Counts the configurations, from 1.
    pub(super) number: u64,
    pub(super) slots: Vec<WorkerSlot>,
}

impl Generation {
    /// A generation of `workers` empty slots, which are to be filled now.
    pub(super) fn new(number: u64, workers: usize, now: Instant) -> Self {
        Self { number, slots: (0..workers.max(1)).map(|_| WorkerSlot::empty(now)).collect() }
    }

    pub(super) fn workers(&self) -> impl Iterator<Item = &WorkerProcess> {
        self.slots.iter().filter_map(|slot| slot.worker.as_ref())
    }

    pub(super) fn slot_of(&mut self, pid: Pid) -> Option<&mut WorkerSlot> {
        self.slots.iter_mut().find(|slot| slot.worker.as_ref().is_some_and(|worker| worker.pid == pid))
    }

    /// The number of a slot that is to be filled now.
    pub(super) fn due_slot(&self, now: Instant) -> Option<usize> {
        self.slots.iter().position(|slot| slot.due().is_some_and(|due| due <= now))
    }

    /// Whether every slot has a worker that serves.
    pub(super) fn is_ready(&self) -> bool {
        self.slots.iter().all(WorkerSlot::is_ready)
    }
}
