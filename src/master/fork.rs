//! From fork to waitpid: how a worker begins, and how it is found out that one has ended.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use log::{error, info, warn};

use super::generation::{ExitingWorker, FAST_STOP, StopMode};
use super::worker_slot::{WorkerLink, WorkerProcess, WorkerSlot};
use super::{Assignment, BOOT_FAILURE, Ended, FAILURE, Master, Phase, SIGNALS, WORKER_SIGNALS, Work};
use crate::heartbeat::{Heartbeat, HeartbeatSlot, WorkerState};
use crate::sys::fd_passing;
use crate::sys::process::{self, Exit, Forked, Pid};
use crate::sys::signal::{self, Signals};
use crate::sys::{descriptor, readiness};

/// What a worker has between its fork and its work.
#[derive(Debug)]
pub(super) struct ChildSetup {
    seat: usize,
    trial: bool,
    life: OwnedFd,
    slot: HeartbeatSlot,
    report: OwnedFd,
    /// A signal that is meant for the master must not run the master's handler in the child.
    blocked: signal::Blocked,
}

impl Master {
    /// Fills the seats whose time has come; answers in the child with what it has been born with.
    pub(super) fn spawn_workers(&mut self) -> io::Result<Option<ChildSetup>> {
        let now = Instant::now();
        while let Some(seat) = self.crew.due_seat(now) {
            match self.spawn_worker(false, seat) {
                Ok(None) => {}
                Err(error) if !matches!(self.phase, Phase::Starting(_)) => {
                    let delay = self.crew.seats[seat].lose(Instant::now());
                    error!("cannot fork a worker: {error}; next try in {delay:?}");
                }
                result => return result,
            }
        }
        while let Some(seat) = self.trial.as_ref().and_then(|trial| trial.crew.due_seat(now)) {
            match self.spawn_worker(true, seat) {
                Ok(None) => {}
                Err(error) => {
                    self.fail_trial(format!("its workers cannot be forked: {error}"));
                    break;
                }
                newborn => return newborn,
            }
        }
        Ok(None)
    }

    /// Forks one worker into a worker_slot; answers in the child with what it has been born with.
    fn spawn_worker(&mut self, trial: bool, seat: usize) -> io::Result<Option<ChildSetup>> {
        let (socket, life) = fd_passing::pair()?;
        let report = descriptor::duplicate(&self.reports.1)?;
        let crew = match &mut self.trial {
            Some(on_trial) if trial => &mut on_trial.crew,
            _ => &mut self.crew,
        };
        let slot = self.board.take(crew.generation).ok_or_else(|| io::Error::other("too many workers"))?;
        let blocked = signal::Blocked::all();
        match (self.fork)() {
            Ok(Forked::Parent(pid)) => {
                crew.seats[seat].take(pid, WorkerLink { slot, socket }, Instant::now());
                Ok(None)
            }
            Ok(Forked::Child) => Ok(Some(ChildSetup { seat, trial, life, slot, report, blocked })),
            Err(error) => {
                self.board.free(slot);
                Err(error)
            }
        }
    }

    /// In the child: gives up everything that is the master's, above all the ends of the life lines, and works.
    pub(super) fn become_worker(self, newborn: ChildSetup, work: &mut dyn Work) -> ! {
        let ChildSetup { seat, trial, life, slot, report, blocked } = newborn;
        let watch = self.trial.as_ref().filter(|_| trial).map_or(&self.watch, |trial| &trial.watch);
        let every = watch.every();
        let _ = signal::reset(&SIGNALS);
        drop(self);
        let signals = Signals::install(&WORKER_SIGNALS);
        drop(blocked);
        let Ok(signals) = signals else {
            std::process::exit(BOOT_FAILURE);
        };
        let post = Assignment { seat, trial, signals, life, heartbeat: Heartbeat::new(slot, every, report) };
        let code = catch_unwind(AssertUnwindSafe(|| work.work(post))).unwrap_or(FAILURE);
        std::process::exit(code)
    }

    /// The way out when this process cannot go on: kills all workers and sees to it that they are gone.
    pub(super) fn kill_workers(&mut self) {
        let now = Instant::now();
        self.dismiss_everyone(StopMode::Stop, now);
        for leaver in &self.leavers {
            let _ = process::kill(leaver.pid);
        }
        while !self.leavers.is_empty() && now.elapsed() < FAST_STOP {
            let _ = readiness::wait_readable(self.signals.as_fd(), Some(FAST_STOP));
            let _ = self.signals.take(|_| {});
            while let Some((pid, _)) = process::reap() {
                self.leavers.retain(|leaver| leaver.pid != pid);
            }
        }
    }

    /// One SIGCHLD may stand for several children, and a child that is none of ours may be among them.
    pub(super) fn reap_workers(&mut self, work: &mut dyn Work) {
        while let Some((pid, exit)) = process::reap() {
            if let Some(index) = self.leavers.iter().position(|leaver| leaver.pid == pid) {
                let line = self.leavers.swap_remove(index).line;
                line.into_iter().for_each(|line| self.board.free(line.slot));
            } else if self.crew.seat_of(pid).is_some() {
                self.replace(pid, exit, work);
            } else if let Some(seat) = self.trial.as_mut().and_then(|trial| trial.crew.seat_of(pid)) {
                seat.leave().into_iter().for_each(|holder| self.board.free(holder.line.slot));
                self.fail_trial(format!("its worker {pid} has ended ({exit})"));
            } else if let Some(upgrade) = self.upgrade.as_mut().filter(|upgrade| upgrade.pid == pid) {
                upgrade.ended = Some(exit);
            } else {
                info!("a process {pid} that is no worker has ended: {exit}");
            }
        }
    }

    /// Workers that say of themselves that they have done enough leave, and their seats are filled again at once: the
    /// kernel holds what comes meanwhile. Nobody else drains while he sits.
    pub(super) fn relieve_retiring(&mut self, now: Instant) {
        let farewell = StopMode::Drain(self.plan.grace);
        let retires = |holder: &mut WorkerProcess| holder.line.slot.state() == WorkerState::Draining;
        for seat in &mut self.crew.seats {
            if let Some(holder) = seat.holder.take_if(retires) {
                info!("worker {} has done enough; another takes its place", holder.pid);
                *seat = WorkerSlot::vacant(now);
                self.leavers.push(ExitingWorker::of(holder, farewell, now));
            }
        }
    }

    /// One of those who serve is gone.
    fn replace(&mut self, pid: Pid, exit: Exit, work: &mut dyn Work) {
        let Some(seat) = self.crew.seat_of(pid) else {
            return;
        };
        seat.holder.iter().for_each(|holder| self.board.free(holder.line.slot));
        if exit == Exit::Code(BOOT_FAILURE) && matches!(self.phase, Phase::Starting(_)) {
            error!("worker {pid} could not start; see above");
            seat.leave();
            self.leave(Ended::BootFailed, StopMode::Stop, work);
        } else {
            let delay = seat.lose(Instant::now());
            let when = if delay.is_zero() { "now".into() } else { format!("in {} ms", delay.as_millis()) };
            warn!("worker {pid} has died ({exit}); another takes its place {when}");
        }
    }
}
