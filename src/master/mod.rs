//! The master process: it forks the workers, replaces those that die or hang, puts a new generation in place of the
//! old one on a reload, and stops all of them at the end.
//!
//! It knows neither HTTP nor the event loop. The trait [`Work`] says what a worker does and what a configuration is.
//! The fork is a function that the caller may give, because an interpreter in this process can have hooks around it.
//!
//! ```text
//! phase:    Starting ── first workers ready ──► Serving ── TERM: drain; INT, QUIT: stop ──────► Stopping ──► end
//!              │                                   └── USR2: drain when the successor is ready ───►▲
//!              └── a worker cannot start: stop ───────────────────────────────────────────────────►│
//!
//! workers:  HUP ──► rehearsal ──► pending reload ── all ready ──► current generation ── replaced, WINCH, TTOU ──► exiting workers
//!                      └── not ready in time: stop ───────────────────────────────────────────────────►▲
//! ```
//!
//! | file | contents |
//! |---|---|
//! | `fork` | how a worker begins, and how the master learns that one has ended |
//! | `generation` | the workers of one configuration |
//! | `notify` | sd_notify(3) |
//! | `pidfile` | the pid file |
//! | `reload` | from one configuration to the next |
//! | `reporter` | a child that is no worker |
//! | `signals` | what each signal does |
//! | `stopping` | workers that have been told to exit |
//! | `upgrade` | handing over to another program |
//! | `watch` | workers that hang |
//! | `worker_slot` | one worker, and when the next one takes its place |

mod fork;
mod generation;
mod notify;
mod pidfile;
mod reload;
mod reporter;
mod signals;
mod stopping;
mod upgrade;
mod watch;
mod worker_slot;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::{error, info};

use crate::heartbeat::{Heartbeat, Scoreboard};
use crate::sys::orders::PassedFile;
use crate::sys::process::{self, Exit, Forked, Pid};
use crate::sys::signal::{self, Signal, Signals};
use crate::sys::{descriptor, readiness};

use generation::Generation;
pub use notify::Notifier;
use pidfile::PidFile;
use reload::PendingReload;
use reporter::Reporter;
use stopping::{ExitingWorker, StopMode};
pub use upgrade::{Executable, Predecessor};
use watch::Watch;
use worker_slot::WorkerSlot;

/// The exit code of a worker that cannot begin to serve: another try would end the same way.
pub const BOOT_FAILURE: i32 = 3;

/// The exit code of a worker that fails later, or panics (EX_SOFTWARE, sysexits.h).
pub const FAILURE: i32 = 70;

/// The longest time in which a worker may become ready: loading an application is slow, and this is very slow.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// The time between two looks of a master that cannot wait for events.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The limit of workers, for the configuration and for SIGTTIN.
const MAX_WORKERS: usize = 1024;

/// Slots of the scoreboard: three generations (one of them being killed), and workers that drain.
const SCOREBOARD_SLOTS: usize = 4 * MAX_WORKERS;

/// The signals that a worker has a handler for: all but SIGCHLD, and SIGTTOU, which it ignores, because with a handler a
/// write to a terminal in the background would never end. It acts on INT, QUIT and TERM; the others must not end it
/// when they are sent to all processes of a group or of a name.
const WORKER_SIGNALS: &[Signal] = Signal::ALL.split_at(Signal::ALL.len() - 2).0;

/// What a configuration says about processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The number of workers; at least 1.
    pub workers: usize,
    /// How long a draining worker may take to finish its responses.
    pub grace: Duration,
    /// How long the workers accept after SIGTERM, before they drain; zero for not at all.
    pub drain_delay: Duration,
    /// How long a worker may stay away from its loop; zero for no limit.
    pub worker_timeout: Duration,
}

/// What the master is given beside its plan, and no reload changes.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The path of the pid file.
    pub pidfile: Option<PathBuf>,
    /// The connection to a service manager.
    pub notifier: Notifier,
    /// The process that waits for this one to be ready.
    pub predecessor: Option<Predecessor>,
    /// The program that SIGUSR2 starts.
    pub executable: Executable,
}

/// What a worker is started with.
#[derive(Debug)]
pub struct Assignment {
    /// The number of its slot, from 0.
    pub slot: usize,
    /// Whether it belongs to a pending reload, and so uses the new configuration.
    pub pending: bool,
    /// The signals of this process, queued from its first moment on.
    pub signals: Signals,
    /// One of a pair of sockets whose other end only the master holds, so it closes with the master. The master's
    /// orders come through it ([`crate::sys::orders`]).
    pub master_link: OwnedFd,
    /// How the worker reports to the master.
    pub heartbeat: Heartbeat,
}

/// What the master runs: a server with its configuration.
pub trait Work {
    /// Runs in each worker. Returns the exit code: 0, [`BOOT_FAILURE`] or [`FAILURE`].
    fn work(&mut self, assignment: Assignment) -> i32;

    /// Runs in the master, once, when the first workers are all ready.
    fn started(&mut self, workers: &[Pid]);

    /// Runs in a child of the master, which ends then: does what a reload does and may wait for others to do, a resolver
    /// or a disk. Returns what [`Work::reload`] needs of that.
    ///
    /// # Errors
    /// A line that says why there is no new configuration.
    fn rehearse(&mut self) -> Result<String, String>;

    /// Reads the configuration again and opens everything that it asks for, beside what is open. The workers of the
    /// pending reload are forked next.
    ///
    /// # Errors
    /// A line that says why there is no new configuration.
    fn reload(&mut self, rehearsed: &str) -> Result<Plan, String>;

    /// The reload has ended: the new configuration is in force, or given up. Closes what only the other one needs.
    fn reloaded(&mut self, in_force: bool);

    /// Runs in the master in each of its turns, for what depends on time alone.
    fn look(&mut self, _now: Instant) {}

    /// A worker has died, perhaps between a report of a connection and its acceptance: has another worker look. Another
    /// worker will take its place.
    fn worker_ended(&mut self);

    /// A worker has ended, for whatever reason; `slot` is the number that it was started with.
    fn worker_reaped(&mut self, _slot: usize, _pid: Pid, _exit: Exit) {}

    /// A child has ended that is neither a worker nor the master's own. Returns whether it is known.
    fn other_child_ended(&mut self, _pid: Pid, _exit: Exit) -> bool {
        false
    }

    /// The number of slots has changed.
    fn resized(&mut self, workers: usize);

    /// Reopens the logs of this process and those that new workers inherit. Returns each log that workers have open
    /// as well: the master sends them, because a worker may have given up the right to open them.
    fn reopen_logs(&mut self) -> Vec<PassedFile>;

    /// The listening sockets for a successor, each with its name.
    fn sockets(&self) -> Vec<(BorrowedFd<'_>, &'static str)>;

    /// A successor serves, and now owns the files of the sockets.
    fn handed_over(&mut self);

    /// Runs in the master when SIGTERM has come and the workers go on for the drain delay: a health check fails from here on.
    fn leaving(&mut self) {}

    /// Runs in the master when it begins to stop. No worker will be forked any more: closes what was kept for new
    /// ones, above all listening sockets.
    fn stopping(&mut self);
}

/// How the master forks: the system's fork, or that of an interpreter in this process.
pub type Fork = fn() -> io::Result<Forked>;

/// Runs workers and watches over them.
#[derive(Debug)]
pub struct Master {
    plan: Plan,
    fork: Fork,
    signals: Signals,
    scoreboard: Scoreboard,
    /// The pipe on which workers say that they are ready.
    reports: (OwnedFd, OwnedFd),
    phase: Phase,
    /// The workers that serve.
    current: Generation,
    /// The workers that are to replace them.
    pending: Option<PendingReload>,
    /// The workers that have been told to exit.
    exiting: Vec<ExitingWorker>,
    reload_requested: bool,
    /// The generation that was last found outdated, and when.
    outdated: Option<(u64, Instant)>,
    /// The last wait has failed.
    wait_fails: bool,
    /// The child that tries the new configuration before this process reads it.
    rehearsal: Option<Reporter>,
    /// The successor.
    upgrade: Option<Reporter>,
    watch: Watch,
    pidfile: Option<PidFile>,
    notifier: Notifier,
    predecessor: Option<Predecessor>,
    executable: Executable,
    /// The master was started in the foreground of a terminal, and is to end with it.
    in_foreground: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first workers are not all ready; they have to be at this time.
    Starting(Instant),
    Serving,
    /// SIGTERM has come. The workers serve as before until this time, and then drain.
    Leaving(Instant),
    /// The master returns this when the last worker has exited.
    Stopping(Ended),
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
    /// A master with this plan. From here on the signals of this process are queued for [`Master::run`].
    ///
    /// # Errors
    /// As pipe2(2), sigaction(2) and mmap(2); and when the pid file is another server's, or cannot be written.
    pub fn new(plan: Plan, surroundings: Surroundings) -> io::Result<Self> {
        let Surroundings { pidfile, notifier, predecessor, executable } = surroundings;
        let pidfile = pidfile.map(|path| {
            let named = |error| io::Error::other(format!("the pid file {}: {error}", path.display()));
            PidFile::prepare(&path).map_err(named)
        });
        let now = Instant::now();
        let in_foreground = process::is_in_foreground() && !signal::is_ignored(Signal::Hangup)?;
        Ok(Self {
            current: Generation::new(1, plan.workers, now),
            watch: Watch::new(plan.worker_timeout, notifier.watchdog(), now),
            plan,
            fork: process::fork,
            signals: Signals::install(&Signal::ALL)?,
            scoreboard: Scoreboard::new(SCOREBOARD_SLOTS)?,
            reports: descriptor::pipe()?,
            phase: Phase::Starting(now + READY_TIMEOUT),
            pending: None,
            exiting: Vec::new(),
            reload_requested: false,
            outdated: None,
            wait_fails: false,
            rehearsal: None,
            upgrade: None,
            pidfile: pidfile.transpose()?,
            notifier,
            predecessor,
            executable,
            in_foreground,
        })
    }

    /// Forks with another function than fork(2).
    #[must_use]
    pub fn with_fork(mut self, fork: Fork) -> Self {
        self.fork = fork;
        self
    }

    /// Forks the workers and watches over them until a signal ends it. Call it while this process has one thread.
    ///
    /// # Errors
    /// When the first workers cannot be forked, or the pid file cannot be written; no worker is left then.
    pub fn run(mut self, work: &mut dyn Work) -> io::Result<Ended> {
        loop {
            let turn = match self.spawn_workers() {
                Ok(Some(child)) => self.become_worker(child, work),
                Ok(None) => self.turn(work),
                Err(error) => Err(error),
            };
            if let Phase::Stopping(ended) = self.phase
                && self.exiting.iter().all(ExitingWorker::is_left_behind)
            {
                return Ok(ended);
            }
            if let Err(error) = turn {
                self.kill_workers();
                return Err(error);
            }
        }
    }

    /// Waits until something happens, and acts on it.
    fn turn(&mut self, work: &mut dyn Work) -> io::Result<()> {
        self.wait();
        for signal in self.take_signals() {
            self.handle_signal(signal, work);
        }
        self.reap_workers(work);
        let now = Instant::now();
        work.look(now);
        self.replace_retiring(now);
        self.reload_outdated(now);
        self.watch.look(now);
        self.end_hanging(now);
        self.exiting.iter_mut().for_each(|worker| worker.escalate(now));
        match self.phase {
            Phase::Starting(deadline) => self.check_started(deadline, now, work)?,
            Phase::Leaving(until) if until <= now => self.stop(StopMode::Drain(self.plan.grace), work),
            _ => {}
        }
        self.advance_reload(now, work);
        self.advance_upgrade(now, work);
        let (current, watch) = (&self.current, &self.watch);
        let is_well = || current.is_ready() && current.workers().all(|worker| watch.is_well(worker, now));
        self.notifier.ping(now, is_well);
        Ok(())
    }

    /// Waits for an event or a deadline. A master that cannot wait looks at everything ten times a second instead, with
    /// one line in the log: workers that are well must not end because of it.
    fn wait(&mut self) {
        match self.wait_for_event() {
            Ok(()) if std::mem::take(&mut self.wait_fails) => info!("the master can wait for events again"),
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.wait_fails, true) {
                    error!("the master cannot wait for events, and looks ten times a second: {error}");
                }
                std::thread::sleep(RETRY_PAUSE);
            }
        }
    }

    fn wait_for_event(&self) -> io::Result<()> {
        let [rehearsal, successor] = [&self.rehearsal, &self.upgrade].map(|child| child.as_ref()?.pipe());
        let files = [Some(self.signals.as_fd()), Some(self.reports.0.as_fd()), rehearsal, successor];
        let files: Vec<BorrowedFd<'_>> = files.into_iter().flatten().collect();
        let timeout = self.next_deadline().saturating_duration_since(Instant::now());
        readiness::wait_any(&files, Some(timeout))?;
        descriptor::drain_pipe(self.reports.0.as_fd(), |_| {}).map(drop)
    }

    fn next_deadline(&self) -> Instant {
        let starting = match self.phase {
            Phase::Starting(deadline) | Phase::Leaving(deadline) => Some(deadline),
            Phase::Serving | Phase::Stopping(_) => None,
        };
        let pending = self.pending.as_ref();
        let generations = [Some(&self.current), pending.map(|pending| &pending.generation)];
        let slots = generations.into_iter().flatten().flat_map(|generation| &generation.slots);
        let exiting = self.exiting.iter().filter_map(ExitingWorker::deadline);
        let [rehearsal, upgrade] =
            [&self.rehearsal, &self.upgrade].map(|child| Some(child.as_ref()?.deadline));
        let pending = pending.map(|pending| pending.deadline);
        let others = [starting, pending, rehearsal, upgrade, self.notifier.next_ping()].into_iter().flatten();
        let all = slots.filter_map(WorkerSlot::due).chain(exiting).chain(others);
        all.fold(self.watch.next(), Instant::min)
    }

    fn check_started(&mut self, deadline: Instant, now: Instant, work: &mut dyn Work) -> io::Result<()> {
        if self.current.is_ready() {
            self.phase = Phase::Serving;
            if let Some(pidfile) = &mut self.pidfile {
                pidfile
                    .publish()
                    .map_err(|error| io::Error::new(error.kind(), format!("the pid file: {error}")))?;
            }
            let pids: Vec<Pid> = self.current.workers().map(|worker| worker.pid).collect();
            work.started(&pids);
            match self.predecessor.take() {
                // The predecessor tells the service manager, which accepts messages of no other process yet.
                Some(predecessor) => predecessor.report_ready(),
                None => self.notifier.ready(&self.status()),
            }
        } else if now >= deadline {
            error!("the workers are not ready after {} s", READY_TIMEOUT.as_secs());
            self.begin_stop(Ended::BootFailed, StopMode::Stop, work);
        }
        Ok(())
    }

    /// The status line that a service manager shows.
    fn status(&self) -> String {
        format!("{} serving", count(self.current.slots.len() as u64, "worker"))
    }
}

/// `1 worker`, `2 workers`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
