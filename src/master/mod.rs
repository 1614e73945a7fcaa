//! The master process: forks workers, replaces those that die, ends all of them.
//!
//! It knows neither HTTP nor the loop. What a worker does is a function that it is handed; how a process is
//! forked is another, because an interpreter in the process may have hooks of its own around it.
//!
//! ```text
//! spawn_workers ──► wait for a signal or a timer ──► reap_workers ──► spawn_workers …
//!                         │ INT, QUIT: stop fast (1 s)
//!                         └ TERM: drain (grace)          ──► KILL what is left
//! ```

mod seat;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use log::{error, info, warn};

use crate::sys::process::{self, Exit, Forked, Pid};
use crate::sys::signal::{self, Signal, Signals};
use crate::sys::{descriptor, readiness};

use seat::Seat;

/// A worker leaves with this code when it cannot begin to serve: another try would end the same way.
pub const BOOT_FAILURE: i32 = 3;

/// A worker leaves with this code when it fails later on, or panics (EX_SOFTWARE, sysexits.h).
pub const FAILURE: i32 = 70;

/// A worker ends its drain by itself; only one that does not is killed, so much later.
const MERCY: Duration = Duration::from_secs(1);

/// How long a fast stop may take before it is made sure of.
const FAST_STOP: Duration = Duration::from_secs(1);

/// The signals that the master acts on.
const SIGNALS: [Signal; 4] = Signal::ALL;

/// What the master has done.
pub trait Work {
    /// Runs in each worker, with the number of its seat and its life line: the reading end of a pipe whose
    /// other end only the master holds. Answers the exit code: 0, [`BOOT_FAILURE`] or [`FAILURE`].
    fn work(&mut self, seat: usize, life: OwnedFd) -> i32;

    /// Runs in the master, once, when the first workers have been forked.
    fn started(&mut self, workers: &[Pid]);

    /// Runs in the master when it begins to stop: no worker will be forked any more, and what was kept for
    /// new ones (listening sockets above all) has to go.
    fn stopping(&mut self);
}

/// How the master forks: the system's fork, or that of an interpreter in this process.
pub type Fork = fn() -> io::Result<Forked>;

/// Runs workers and watches over them.
#[derive(Debug)]
pub struct Master {
    seats: Vec<Seat>,
    grace: Duration,
    fork: Fork,
    signals: Signals,
    /// The writing end of every worker's life line: closed when this process ends, however it ends.
    life: (OwnedFd, OwnedFd),
    stopping: Option<Stopping>,
    /// A worker could not begin to serve.
    boot_failed: bool,
}

/// On the way out.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    /// When what is left is killed.
    deadline: Instant,
    killed: bool,
}

/// How the master has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By a signal, and every worker with it.
    Stopped,
    /// A worker could not begin to serve.
    BootFailed,
}

impl Master {
    /// A master for `workers` workers, each with `grace` to finish what it is at when told to drain.
    ///
    /// From here on the signals of this process are queued for [`Master::run`].
    ///
    /// # Errors
    /// As pipe2(2) and sigaction(2).
    pub fn new(workers: usize, grace: Duration) -> io::Result<Self> {
        Ok(Self {
            seats: (0..workers.max(1)).map(|_| Seat::default()).collect(),
            grace,
            fork: process::fork,
            signals: Signals::install(&SIGNALS)?,
            life: descriptor::pipe()?,
            stopping: None,
            boot_failed: false,
        })
    }

    /// Forks with another function than fork(2).
    #[must_use]
    pub fn with_fork(mut self, fork: Fork) -> Self {
        self.fork = fork;
        self
    }

    /// Forks the workers and watches over them until a signal ends it. Call it while this process has one
    /// thread.
    ///
    /// # Errors
    /// When the first workers cannot be forked, or this process cannot wait; no worker is left then.
    pub fn run(mut self, work: &mut dyn Work) -> io::Result<Ended> {
        for number in 0..self.seats.len() {
            match self.spawn_worker(number) {
                Ok(None) => {}
                Ok(Some(newborn)) => self.become_worker(newborn, work),
                Err(error) => {
                    self.kill_workers();
                    return Err(error);
                }
            }
        }
        let pids: Vec<Pid> = self.seats.iter().filter_map(Seat::pid).collect();
        work.started(&pids);
        loop {
            let timeout = self.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
            let waited = readiness::wait_readable(self.signals.as_fd(), timeout);
            if let Err(error) = waited.and_then(|_| self.take_signals()) {
                self.kill_workers();
                return Err(error);
            }
            self.reap_workers();
            if self.stopping.is_some() {
                work.stopping();
                if self.seats.iter().all(|seat| seat.pid().is_none()) {
                    return Ok(if self.boot_failed { Ended::BootFailed } else { Ended::Stopped });
                }
                self.kill_late_workers();
            } else if let Some(newborn) = self.respawn_workers() {
                self.become_worker(newborn, work);
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self.stopping {
            Some(stopping) => (!stopping.killed).then_some(stopping.deadline),
            None => self.seats.iter().filter_map(Seat::due).min(),
        }
    }

    fn take_signals(&mut self) -> io::Result<()> {
        let mut taken = Vec::new();
        self.signals.take(|signal| taken.push(signal))?;
        for signal in taken {
            match signal {
                Signal::Child => {}
                Signal::Terminate if self.stopping.is_none() => {
                    self.stop(Signal::Terminate, self.grace + MERCY);
                    info!("Shutting down: answers that are due have {} s", self.grace.as_secs());
                }
                Signal::Interrupt | Signal::Quit if self.stopping.is_none() => {
                    self.stop(signal, FAST_STOP);
                    info!("Shutting down");
                }
                // Asked twice: no more waiting.
                Signal::Interrupt | Signal::Quit | Signal::Terminate => {
                    self.stop(Signal::Interrupt, FAST_STOP)
                }
            }
        }
        Ok(())
    }

    /// Passes the order on, and sets the time after which it is enforced; never a later one than before.
    fn stop(&mut self, signal: Signal, grace: Duration) {
        let deadline = Instant::now() + grace;
        let deadline = self.stopping.map_or(deadline, |stopping| stopping.deadline.min(deadline));
        let killed = self.stopping.is_some_and(|stopping| stopping.killed);
        self.stopping = Some(Stopping { deadline, killed });
        for pid in self.seats.iter().filter_map(Seat::pid) {
            // It may have ended meanwhile; then it is about to be reaped.
            let _ = process::send(pid, signal);
        }
    }

    fn kill_late_workers(&mut self) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        if !stopping.killed && stopping.deadline <= Instant::now() {
            // Once is enough: who cannot be ended by this waits for a disk, and the reaping waits for him.
            stopping.killed = true;
            for pid in self.seats.iter().filter_map(Seat::pid) {
                warn!("worker {pid} did not stop in time and is killed");
                let _ = process::kill(pid);
            }
        }
    }

    /// The way out when this process cannot go on: kills all workers and sees to it that they are gone.
    fn kill_workers(&mut self) {
        self.stopping = Some(Stopping { deadline: Instant::now(), killed: true });
        for pid in self.seats.iter().filter_map(Seat::pid) {
            let _ = process::kill(pid);
        }
        while self.seats.iter().any(|seat| seat.pid().is_some()) {
            let before = Instant::now();
            let _ = readiness::wait_readable(self.signals.as_fd(), Some(FAST_STOP));
            let _ = self.signals.take(|_| {});
            self.reap_workers();
            if before.elapsed() >= FAST_STOP {
                return;
            }
        }
    }

    /// One SIGCHLD may stand for several children, and a child that is none of ours may be among them.
    fn reap_workers(&mut self) {
        while let Some((pid, exit)) = process::reap() {
            let Some(number) = self.seats.iter().position(|seat| seat.pid() == Some(pid)) else {
                info!("a process {pid} that is no worker has ended: {exit}");
                continue;
            };
            let seat = &mut self.seats[number];
            if self.stopping.is_some() {
                seat.leave();
            } else if exit == Exit::Code(BOOT_FAILURE) && seat.is_first() {
                error!("worker {pid} could not start; see above");
                seat.leave();
                self.boot_failed = true;
                self.stop(Signal::Interrupt, FAST_STOP);
            } else {
                let delay = seat.lose(Instant::now());
                let when = if delay.is_zero() { "now".into() } else { format!("in {delay:?}") };
                warn!("worker {pid} has died ({exit}); another takes its place {when}");
            }
        }
    }

    /// Fills the seats whose time has come; answers in the child with what it has been born with.
    fn respawn_workers(&mut self) -> Option<Newborn> {
        for number in 0..self.seats.len() {
            if self.seats[number].due().is_none_or(|due| due > Instant::now()) {
                continue;
            }
            match self.spawn_worker(number) {
                Ok(None) => {}
                Ok(newborn) => return newborn,
                Err(error) => {
                    let delay = self.seats[number].lose(Instant::now());
                    error!("cannot fork a worker: {error}; next try in {delay:?}");
                }
            }
        }
        None
    }

    /// Forks one worker into a seat; answers in the child with what it has been born with.
    fn spawn_worker(&mut self, seat: usize) -> io::Result<Option<Newborn>> {
        let life = descriptor::duplicate(self.life.0.as_fd())?;
        let blocked = signal::Blocked::all();
        Ok(match (self.fork)()? {
            Forked::Parent(pid) => {
                self.seats[seat].take(pid, Instant::now());
                None
            }
            Forked::Child => Some(Newborn { seat, life, blocked }),
        })
    }

    /// In the child: gives up everything that is the master's, above all the writing end of the life line,
    /// and works.
    fn become_worker(self, newborn: Newborn, work: &mut dyn Work) -> ! {
        let Newborn { seat, life, blocked } = newborn;
        let _ = signal::reset(&SIGNALS);
        drop(self);
        drop(blocked);
        let code = catch_unwind(AssertUnwindSafe(|| work.work(seat, life))).unwrap_or(FAILURE);
        std::process::exit(code)
    }
}

/// What a worker has between its fork and its work.
#[derive(Debug)]
struct Newborn {
    seat: usize,
    life: OwnedFd,
    /// A signal that is meant for the master must not run the master's handler in the child.
    blocked: signal::Blocked,
}
