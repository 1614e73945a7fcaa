//! What each signal does (docs/DESIGN.md, "Processes"). The handlers only count; the master acts here.

use std::io;
use std::time::Instant;

use log::{debug, info, warn};

use super::stopping::{ExitingWorker, StopMode};
use super::worker_slot::WorkerSlot;
use super::{MAX_WORKERS, Master, Phase, RETRY_PAUSE, Work, count};
use crate::sys::orders::MasterOrder;
use crate::sys::process;
use crate::sys::signal::Signal;

impl Master {
    pub(super) fn take_signals(&mut self) -> Vec<Signal> {
        let mut taken = Vec::new();
        if self.signals.take(|signal| taken.push(signal)).is_err() {
            // The pipe stays readable, and no wait would last.
            std::thread::sleep(RETRY_PAUSE);
        }
        taken
    }

    pub(super) fn handle_signal(&mut self, signal: Signal, work: &mut dyn Work) {
        match signal {
            Signal::Terminate => self.leave(work),
            Signal::Interrupt | Signal::Quit => self.stop(StopMode::Stop, work),
            Signal::User1 => self.reopen_logs(work),
            // The others mean nothing while the master stops.
            _ if matches!(self.phase, Phase::Leaving(_) | Phase::Stopping(_)) => {}
            Signal::Hangup if self.has_lost_its_terminal() => {
                info!("the terminal has been closed");
                self.stop(StopMode::Drain(self.plan.grace), work);
            }
            Signal::Hangup => self.request_reload(),
            Signal::User2 => self.begin_upgrade(work),
            Signal::Window => self.drain_current(),
            Signal::TtyIn => self.add_worker(work),
            Signal::TtyOut => self.remove_worker(work),
            Signal::Child | Signal::Abort | Signal::FileSize => {}
        }
    }

    /// Whether SIGHUP has its original meaning: the terminal has hung up. To close the window of a foreground server must
    /// not leave one in the background; nohup(1) asks for that.
    fn has_lost_its_terminal(&self) -> bool {
        self.in_foreground && !process::has_terminal()
    }

    fn reopen_logs(&mut self, work: &mut dyn Work) {
        let logs: Vec<MasterOrder> = work.reopen_logs().into_iter().map(MasterOrder::Log).collect();
        for (pid, link) in self.links() {
            match logs.iter().try_for_each(|log| link.send(log)) {
                // The worker has just ended, and is about to be reaped.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => warn!("worker {pid} goes on with the old logs: {error}"),
                Ok(()) => {}
            }
        }
        info!("the logs have been reopened");
    }

    /// Leaves a master without workers.
    fn drain_current(&mut self) {
        if process::is_in_foreground() {
            debug!(
                "SIGWINCH is ignored in the foreground of a terminal, which sends it when its size changes"
            );
            return;
        }
        if !matches!(self.phase, Phase::Serving) || self.current.slots.is_empty() {
            return;
        }
        info!("all workers drain and exit; SIGHUP starts new ones");
        self.stop_current(StopMode::Drain(self.plan.grace), Instant::now());
        self.notifier.status(&self.status());
    }

    fn add_worker(&mut self, work: &mut dyn Work) {
        if self.current.slots.len() >= MAX_WORKERS {
            warn!("no more than {MAX_WORKERS} workers are possible");
            return;
        }
        self.current.slots.push(WorkerSlot::empty(Instant::now()));
        self.report_size(work);
    }

    fn remove_worker(&mut self, work: &mut dyn Work) {
        if self.current.slots.len() <= 1 {
            warn!("SIGTTOU does not stop the last worker; SIGWINCH does");
            return;
        }
        if let Some(worker) = self.current.slots.pop().as_mut().and_then(WorkerSlot::vacate) {
            let mode = StopMode::Drain(self.plan.grace);
            self.exiting.push(ExitingWorker::of(worker, mode, Instant::now()));
        }
        self.report_size(work);
    }

    fn report_size(&mut self, work: &mut dyn Work) {
        let workers = self.current.slots.len();
        work.resized(workers);
        info!("{} from now on, until the next reload", count(workers as u64, "worker"));
        self.notifier.status(&self.status());
    }
}
