//! What each signal does (DESIGN, "Signals"). The handlers only count; here is where the master acts.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use log::{debug, error, info, warn};

use super::upgrade::UpgradeProgress;
use super::worker_slot::WorkerLink;
use super::{
    Ended, ExitingWorker, Generation, MOST_WORKERS, Master, Phase, StopMode, Upgrade, Work, WorkerSlot, count,
};
use crate::sys::fd_passing;
use crate::sys::process::{self, Pid};
use crate::sys::signal::Signal;

impl Master {
    pub(super) fn take_signals(&mut self) -> io::Result<Vec<Signal>> {
        let mut taken = Vec::new();
        self.signals.take(|signal| taken.push(signal))?;
        Ok(taken)
    }

    pub(super) fn handle_signal(&mut self, signal: Signal, work: &mut dyn Work) {
        match signal {
            Signal::Terminate => self.stop(StopMode::Drain(self.plan.grace), work),
            Signal::Interrupt | Signal::Quit => self.stop(StopMode::Stop, work),
            Signal::User1 => self.reopen_logs(work),
            // Whoever is on the way out has no use for the others.
            _ if matches!(self.phase, Phase::Stopping(_)) => {}
            Signal::Hangup if self.has_lost_its_terminal() => {
                info!("the terminal is gone");
                self.stop(StopMode::Drain(self.plan.grace), work);
            }
            Signal::Hangup => self.reload_wanted = true,
            Signal::User2 => self.begin_upgrade(work),
            Signal::Window => self.send_crew_away(),
            Signal::TtyIn => self.add_worker(work),
            Signal::TtyOut => self.remove_worker(work),
            Signal::Child | Signal::Abort => {}
        }
    }

    /// Whether this signal says what it says to every program: that the terminal has hung up. Whoever closes the
    /// window of a server in its foreground wants no server in the background; nohup(1) asks for one.
    fn has_lost_its_terminal(&self) -> bool {
        self.in_foreground && !process::has_terminal()
    }

    fn stop(&mut self, farewell: StopMode, work: &mut dyn Work) {
        let now = Instant::now();
        if matches!(self.phase, Phase::Stopping(_)) {
            // Asked twice.
            self.leavers.iter_mut().for_each(|leaver| leaver.hurry(now));
            return;
        }
        let connections: u64 = self.lines().map(|(_, line)| line.slot.connections()).sum();
        let status = match farewell {
            _ if connections == 0 => "Shutting down".into(),
            StopMode::Stop => format!("Shutting down: {} closed", count(connections, "connection")),
            StopMode::Drain(grace) => {
                let (connections, seconds) = (count(connections, "connection"), grace.as_secs_f64());
                format!("Shutting down: up to {seconds} s for {connections}")
            }
        };
        info!("{status}");
        self.notifier.stopping(&status);
        self.leave(Ended::Stopped, farewell, work);
    }

    /// Tells everyone to go, and will not come back.
    pub(super) fn leave(&mut self, ended: Ended, farewell: StopMode, work: &mut dyn Work) {
        self.phase = Phase::Stopping(ended);
        self.reload_wanted = false;
        self.dismiss_everyone(farewell, Instant::now());
        work.stopping();
    }

    pub(super) fn dismiss_everyone(&mut self, farewell: StopMode, now: Instant) {
        if farewell == StopMode::Stop {
            let leaving = std::mem::take(&mut self.leavers).into_iter();
            self.leavers =
                leaving.map(|leaver| ExitingWorker::new(leaver.pid, leaver.line, farewell, now)).collect();
        }
        self.dismiss_crew(farewell, now);
        if let Some(trial) = self.trial.take() {
            self.dismiss(trial.crew, StopMode::Stop, now);
        }
        // A successor that is not ready yet would be left alone.
        if let Some(upgrade) = self.upgrade.take().filter(|upgrade| upgrade.ended.is_none()) {
            self.leavers.push(ExitingWorker::new(upgrade.pid, None, farewell, now));
        }
    }

    /// Those who serve are told to go; nobody takes their seats.
    fn dismiss_crew(&mut self, farewell: StopMode, now: Instant) {
        let empty = Generation { generation: self.crew.generation, seats: Vec::new() };
        let crew = std::mem::replace(&mut self.crew, empty);
        self.dismiss(crew, farewell, now);
    }

    pub(super) fn dismiss(&mut self, mut crew: Generation, farewell: StopMode, now: Instant) {
        let holders = crew.seats.iter_mut().filter_map(WorkerSlot::leave);
        self.leavers.extend(holders.map(|holder| ExitingWorker::of(holder, farewell, now)));
    }

    /// Every worker that there is, and what connects us with it.
    fn lines(&self) -> impl Iterator<Item = (Pid, &WorkerLink)> {
        let trial = self.trial.as_ref().map(|trial| &trial.crew);
        let holders = [Some(&self.crew), trial].into_iter().flatten().flat_map(Generation::holders);
        let leavers =
            self.leavers.iter().filter_map(|leaver| leaver.line.as_ref().map(|line| (leaver.pid, line)));
        holders.map(|holder| (holder.pid, &holder.line)).chain(leavers)
    }

    fn reopen_logs(&mut self, work: &mut dyn Work) {
        let logs = work.reopen_logs();
        for (pid, line) in self.lines() {
            let handed = logs.iter().try_for_each(|log| fd_passing::send(line.socket.as_fd(), log));
            match handed {
                // It has just ended, and is about to be reaped.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => warn!("worker {pid} goes on with the old logs: {error}"),
                Ok(()) => {}
            }
        }
        info!("the logs are opened anew");
    }

    fn send_crew_away(&mut self) {
        if process::is_in_foreground() {
            debug!(
                "SIGWINCH is not obeyed in the foreground of a terminal: it is sent there when the window changes"
            );
            return;
        }
        if !matches!(self.phase, Phase::Serving) || self.crew.seats.is_empty() {
            return;
        }
        info!("the workers are sent away; SIGHUP begins with new ones");
        self.dismiss_crew(StopMode::Drain(self.plan.grace), Instant::now());
        self.notifier.status(&self.status());
    }

    fn add_worker(&mut self, work: &mut dyn Work) {
        if self.crew.seats.len() >= MOST_WORKERS {
            warn!("there are {MOST_WORKERS} workers, and there will be no more");
            return;
        }
        self.crew.seats.push(WorkerSlot::vacant(Instant::now()));
        self.note_size(work);
    }

    fn remove_worker(&mut self, work: &mut dyn Work) {
        if self.crew.seats.len() <= 1 {
            warn!("the last worker stays; SIGWINCH sends it away");
            return;
        }
        if let Some(holder) = self.crew.seats.pop().as_mut().and_then(WorkerSlot::leave) {
            let farewell = StopMode::Drain(self.plan.grace);
            self.leavers.push(ExitingWorker::of(holder, farewell, Instant::now()));
        }
        self.note_size(work);
    }

    fn note_size(&mut self, work: &mut dyn Work) {
        let workers = self.crew.seats.len();
        work.resized(workers);
        info!("{} from now on, until the next reload", count(workers as u64, "worker"));
        self.notifier.status(&self.status());
    }

    /// Starts the program that stands now where this one was started from.
    fn begin_upgrade(&mut self, work: &mut dyn Work) {
        let program = self.image.program.display();
        if self.upgrade.is_some() || self.trial.is_some() || self.phase != Phase::Serving {
            warn!("no hand-over to {program}: something else is under way; send SIGUSR2 again later");
            return;
        }
        if process::current().number() == 1 {
            warn!("no hand-over to {program}: the end of process 1 would be the end of the container");
            return;
        }
        info!("handing over to {program}");
        self.notifier.reloading("Handing over to a new program");
        if let Some(pidfile) = &mut self.pidfile
            && let Err(error) = pidfile.step_aside()
        {
            warn!("the pid file stays where it is: {error}");
        }
        match Upgrade::start(&self.image, &work.sockets(), self.notifier.environment(), Instant::now()) {
            Ok(upgrade) => self.upgrade = Some(upgrade),
            Err(error) => self.end_upgrade(&error.to_string()),
        }
    }

    /// Leaves when the successor is ready; goes on as before when it is not going to be.
    pub(super) fn settle_upgrade(&mut self, now: Instant, work: &mut dyn Work) {
        let Some(upgrade) = &mut self.upgrade else {
            return;
        };
        let pid = upgrade.pid;
        match upgrade.progress(now) {
            UpgradeProgress::Waiting => {}
            UpgradeProgress::Ready => {
                self.upgrade = None;
                info!("process {pid} serves now; this one finishes what is due");
                self.notifier.handed_over(pid, "PassedFile over to a new program");
                work.handed_over();
                self.leave(Ended::Stopped, StopMode::Drain(self.plan.grace), work);
            }
            UpgradeProgress::Failed(reason) => {
                if self.upgrade.take().is_some_and(|upgrade| upgrade.ended.is_none()) {
                    self.leavers.push(ExitingWorker::new(pid, None, StopMode::Stop, now));
                }
                self.end_upgrade(&reason);
            }
        }
    }

    fn end_upgrade(&mut self, reason: &str) {
        if let Some(pidfile) = &mut self.pidfile
            && let Err(error) = pidfile.step_back()
        {
            warn!("the pid file cannot be put back: {error}");
        }
        error!("{} has not taken over, and this process goes on: {reason}", self.image.program.display());
        self.notifier.ready(&self.status());
    }
}
