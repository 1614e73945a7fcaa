//! From fork to waitpid: how a worker begins, and how the master learns that one has ended.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use log::{error, info, warn};

use super::stopping::{ExitingWorker, FAST_STOP, StopMode};
use super::worker_slot::{WorkerLink, WorkerProcess, WorkerSlot};
use super::{Assignment, BOOT_FAILURE, Ended, FAILURE, Master, Phase, RETRY_PAUSE, WORKER_SIGNALS, Work};
use crate::heartbeat::{Heartbeat, HeartbeatSlot, WorkerState};
use crate::sys::orders;
use crate::sys::process::{self, Exit, Forked, Pid};
use crate::sys::signal::{self, Signal, Signals};
use crate::sys::{descriptor, readiness};

/// What a worker has between its fork and its work.
#[derive(Debug)]
pub(super) struct ChildSetup {
    slot: usize,
    pending: bool,
    master_link: OwnedFd,
    heartbeat: HeartbeatSlot,
    report: OwnedFd,
    /// A signal that is meant for the master must not run the master's handler in the child.
    blocked: signal::Blocked,
}

impl Master {
    /// Forks a worker for each slot that is due. Returns a value in the child only.
    pub(super) fn spawn_workers(&mut self) -> io::Result<Option<ChildSetup>> {
        let now = Instant::now();
        while let Some((pending, slot)) = self.due_slot(now) {
            match self.spawn_worker(pending, slot) {
                Ok(None) => {}
                Err(error) if pending => self.fail_reload(format!("its workers cannot be forked: {error}")),
                Err(error) if !matches!(self.phase, Phase::Starting(_)) => {
                    let delay = self.current.slots[slot].schedule_replacement(Instant::now());
                    error!("cannot fork a worker: {error}; next try in {delay:?}");
                }
                result => return result,
            }
        }
        Ok(None)
    }

    /// Whether a due slot belongs to the pending reload, and its number.
    fn due_slot(&self, now: Instant) -> Option<(bool, usize)> {
        let current = self.current.due_slot(now).map(|slot| (false, slot));
        current.or_else(|| {
            let pending = self.pending.as_ref().filter(|pending| pending.failure.is_none())?;
            pending.generation.due_slot(now).map(|slot| (true, slot))
        })
    }

    fn spawn_worker(&mut self, pending: bool, slot: usize) -> io::Result<Option<ChildSetup>> {
        let (socket, master_link) = orders::pair()?;
        let report = descriptor::duplicate(&self.reports.1)?;
        let generation = match &mut self.pending {
            Some(reload) if pending => &mut reload.generation,
            _ => &mut self.current,
        };
        let heartbeat =
            self.scoreboard.take(generation.number).ok_or_else(|| io::Error::other("too many workers"))?;
        let blocked = signal::Blocked::all();
        match (self.fork)() {
            Ok(Forked::Parent(pid)) => {
                generation.slots[slot].fill(pid, WorkerLink { slot, heartbeat, socket }, Instant::now());
                Ok(None)
            }
            Ok(Forked::Child) => {
                Ok(Some(ChildSetup { slot, pending, master_link, heartbeat, report, blocked }))
            }
            Err(error) => {
                self.scoreboard.free(heartbeat);
                Err(error)
            }
        }
    }

    /// In the child: closes everything that is the master's, above all its ends of the links, and works.
    pub(super) fn become_worker(self, child: ChildSetup, work: &mut dyn Work) -> ! {
        let ChildSetup { slot, pending, master_link, heartbeat, report, blocked } = child;
        let watch = self.pending.as_ref().filter(|_| pending).map_or(&self.watch, |reload| &reload.watch);
        let heartbeat = Heartbeat::new(heartbeat, watch.every(), report);
        let _ = signal::reset(&Signal::ALL);
        let _ = signal::ignore(Signal::TtyOut);
        drop(self);
        let signals = Signals::install(WORKER_SIGNALS).unwrap_or_else(|error| {
            error!("a worker cannot take signals: {error}");
            std::process::exit(BOOT_FAILURE);
        });
        drop(blocked);
        let assignment = Assignment { slot, pending, signals, master_link, heartbeat };
        let code = catch_unwind(AssertUnwindSafe(|| work.work(assignment))).unwrap_or(FAILURE);
        std::process::exit(code)
    }

    /// Kills all workers and waits until they have ended, when this process cannot go on.
    pub(super) fn kill_workers(&mut self) {
        let now = Instant::now();
        self.stop_all(StopMode::Stop, now);
        for worker in &self.exiting {
            let _ = process::kill(worker.pid);
        }
        while !self.exiting.is_empty() && now.elapsed() < FAST_STOP {
            if readiness::wait_readable(self.signals.as_fd(), Some(FAST_STOP)).is_err() {
                std::thread::sleep(RETRY_PAUSE);
            }
            let _ = self.signals.take(|_| {});
            while let Some((pid, _)) = process::reap() {
                self.exiting.retain(|worker| worker.pid != pid);
            }
        }
    }

    /// Reaps every child that has ended: one SIGCHLD may mean several, and some may be no workers.
    pub(super) fn reap_workers(&mut self, work: &mut dyn Work) {
        while let Some((pid, exit)) = process::reap() {
            if let Some(index) = self.exiting.iter().position(|worker| worker.pid == pid) {
                if let Some(link) = self.exiting.swap_remove(index).link {
                    self.scoreboard.free(link.heartbeat);
                    work.worker_reaped(link.slot, pid, exit);
                }
            } else if self.current.slot_of(pid).is_some() {
                self.replace(pid, exit, work);
            } else if let Some(slot) = self.pending.as_mut().and_then(|reload| reload.generation.slot_of(pid))
            {
                if let Some(worker) = slot.vacate() {
                    self.scoreboard.free(worker.link.heartbeat);
                    work.worker_reaped(worker.link.slot, pid, exit);
                }
                self.fail_reload(format!("its worker {pid} has ended ({exit})"));
            } else if let Some(child) =
                [&mut self.rehearsal, &mut self.upgrade].into_iter().flatten().find(|child| child.pid == pid)
            {
                child.exit = Some(exit);
            } else if !work.other_child_ended(pid, exit) {
                info!("a process {pid} that is no worker has ended: {exit}");
            }
        }
    }

    /// Lets workers exit that have asked for it, and fills their slots at once: the kernel queues new connections
    /// meanwhile. A current worker drains for no other reason.
    pub(super) fn replace_retiring(&mut self, now: Instant) {
        let mode = StopMode::Drain(self.plan.grace);
        let retires = |worker: &mut WorkerProcess| worker.link.heartbeat.state() == WorkerState::Draining;
        for slot in &mut self.current.slots {
            if let Some(worker) = slot.worker.take_if(retires) {
                info!("worker {} retires; another takes its place", worker.pid);
                *slot = WorkerSlot::empty(now);
                self.exiting.push(ExitingWorker::of(worker, mode, now));
            }
        }
    }

    /// Ends workers that hang. One that cannot be ended leaves its slot to another, but a disk that hangs must not fill
    /// the machine with such workers: there are at most as many as slots.
    pub(super) fn end_hanging(&mut self, now: Instant) {
        let mut room = self.current.slots.len();
        room -= self.exiting.iter().filter(|worker| worker.is_left_behind()).count().min(room);
        for slot in &mut self.current.slots {
            if let Some(worker) = slot.worker.take_if(|worker| self.watch.check(worker, now) && room > 0) {
                room -= 1;
                error!("worker {} does not end and is left behind; another takes its place", worker.pid);
                *slot = WorkerSlot::empty(now);
                self.exiting.push(ExitingWorker::left_behind(worker));
            }
        }
    }

    /// Plans a new worker for the slot of a current one that has died.
    fn replace(&mut self, pid: Pid, exit: Exit, work: &mut dyn Work) {
        let Some(slot) = self.current.slot_of(pid) else {
            return;
        };
        if let Some(worker) = &slot.worker {
            self.scoreboard.free(worker.link.heartbeat);
            work.worker_reaped(worker.link.slot, pid, exit);
        }
        work.worker_ended();
        if exit == Exit::Code(BOOT_FAILURE) && matches!(self.phase, Phase::Starting(_)) {
            error!("worker {pid} could not start; see above");
            slot.vacate();
            self.begin_stop(Ended::BootFailed, StopMode::Stop, work);
        } else {
            let delay = slot.schedule_replacement(Instant::now());
            let when = if delay.is_zero() { "now".into() } else { format!("in {} ms", delay.as_millis()) };
            warn!("worker {pid} has died ({exit}); another takes its place {when}");
        }
    }
}
