//! The master process: forks workers, replaces those that die or hang, hands over from one generation of them to the
//! next, ends all of them.
//!
//! It knows neither HTTP nor the loop. What a worker does, and what a configuration is, stands behind the trait
//! [`Work`]; how a process is forked is a function that can be given, because an interpreter in the process may have
//! hooks of its own around it.
//!
//! ```text
//!             first workers ready                 TTIN, TTOU: ±1      WINCH: leave
//! starting ─────────────────────────► serving ◄──────────────────── crew ────────────► leavers
//!    │                                 │   ▲                          ▲                   ▲
//!    │ a worker cannot start       HUP │   │ not ready: told to go    │ all ready         │ drain
//!    ▼                                 ▼   │                          │                   │
//! the end ◄──── no leavers left ◄── stopping    trial crew ───────────┘   the old crew ───┘
//!                 TERM: drain; INT, QUIT: stop; USR2: when the successor is ready, drain
//! ```
//!
//! | file | what stands there |
//! |---|---|
//! | `crew` | the workers of one generation, and those that have been told to go |
//! | `fork` | how a worker begins, and how it is found out that one has ended |
//! | `notify` | sd_notify(3) |
//! | `orders` | what each signal does |
//! | `pidfile` | the file that says which process this is |
//! | `reload` | from one configuration to the next |
//! | `seat` | one worker's place, and how soon it is filled again |
//! | `upgrade` | handing over to another program |
//! | `watch` | workers that hang |

mod fork;
mod generation;
mod notify;
mod pidfile;
mod reload;
mod signals;
mod upgrade;
mod watch;
mod worker_slot;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::error;

use crate::heartbeat::{Heartbeat, Scoreboard};
use crate::sys::fd_passing::PassedFile;
use crate::sys::process::{self, Forked, Pid};
use crate::sys::signal::{self, Signal, Signals};
use crate::sys::{descriptor, readiness};

use generation::{ExitingWorker, Generation, StopMode};
pub use notify::Notifier;
use pidfile::PidFile;
use reload::PendingReload;
use upgrade::Upgrade;
pub use upgrade::{Executable, Predecessor};
use watch::Watch;
use worker_slot::WorkerSlot;

/// A worker leaves with this code when it cannot begin to serve: another try would end the same way.
pub const BOOT_FAILURE: i32 = 3;

/// A worker leaves with this code when it fails later on, or panics (EX_SOFTWARE, sysexits.h).
pub const FAILURE: i32 = 70;

/// No worker takes longer to be ready: loading an application is slow, and this is very slow.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// No more workers are asked for than this, by whatever way.
const MOST_WORKERS: usize = 1024;

/// Three generations, the one that is being killed among them, and some who leave.
const SLOTS: usize = 4 * MOST_WORKERS;

/// The signals that the master acts on.
const SIGNALS: [Signal; 10] = Signal::ALL;

/// Those that a worker has a handler for: it acts on the first three, and the others must not end it when somebody
/// signals all processes of a group or of a name.
const WORKER_SIGNALS: [Signal; 9] = [
    Signal::Interrupt,
    Signal::Quit,
    Signal::Terminate,
    Signal::User1,
    Signal::Hangup,
    Signal::User2,
    Signal::Window,
    Signal::TtyIn,
    Signal::TtyOut,
];

/// What a configuration says about processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many workers there are; at least 1.
    pub workers: usize,
    /// How long each may finish what it is at when it is told to drain.
    pub grace: Duration,
    /// How long one may be away from its loop; zero for ever.
    pub worker_timeout: Duration,
}

/// What the master is given beside its plan: things of a whole life, which no reload changes.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The file that says which process it is.
    pub pidfile: Option<PathBuf>,
    /// Who is told how it is.
    pub notifier: Notifier,
    /// The process that waits for this one to be ready.
    pub predecessor: Option<Predecessor>,
    /// What takes over when it is asked for.
    pub image: Executable,
}

/// What a worker is born with.
#[derive(Debug)]
pub struct Assignment {
    /// The number of its seat.
    pub seat: usize,
    /// Whether it belongs to the configuration that is on trial.
    pub trial: bool,
    /// The signals of this process, queued from its first moment on.
    pub signals: Signals,
    /// One of a pair of sockets whose other end only the master holds. Logs that it has opened anew come through it
    /// ([`crate::sys::handing`]).
    pub life: OwnedFd,
    /// What it tells its master by.
    pub heartbeat: Heartbeat,
}

/// What the master has done.
pub trait Work {
    /// Runs in each worker. Answers the exit code: 0, [`BOOT_FAILURE`] or [`FAILURE`].
    fn work(&mut self, post: Assignment) -> i32;

    /// Runs in the master, once, when the first workers are all ready.
    fn started(&mut self, workers: &[Pid]);

    /// Reads the configuration anew and opens everything that it asks for, beside what is open. Workers on trial are
    /// forked next.
    ///
    /// # Errors
    /// A line that says why there is no new configuration.
    fn reload(&mut self) -> Result<Plan, String>;

    /// The new configuration is in force, or given up: what only the other one needs has to go.
    fn reloaded(&mut self, in_force: bool);

    /// There are so many seats now.
    fn resized(&mut self, workers: usize);

    /// Opens the logs of this process anew, and those that new workers inherit. Answers with each that workers have
    /// open as well: they are handed over, because a worker may have given up the right to open them.
    fn reopen_logs(&mut self) -> Vec<PassedFile>;

    /// The listening sockets, with the name of each, for a successor.
    fn sockets(&self) -> Vec<(BorrowedFd<'_>, &'static str)>;

    /// A successor serves: what the sockets are called in the file system is its business now.
    fn handed_over(&mut self);

    /// Runs in the master when it begins to stop: no worker will be forked any more, and what was kept for
    /// new ones (listening sockets above all) has to go.
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
    board: Scoreboard,
    /// Where workers say that they are ready.
    reports: (OwnedFd, OwnedFd),
    phase: Phase,
    /// Those who serve.
    crew: Generation,
    /// Those who are to take over from them.
    trial: Option<PendingReload>,
    /// Those who have been told to go.
    leavers: Vec<ExitingWorker>,
    reload_wanted: bool,
    upgrade: Option<Upgrade>,
    watch: Watch,
    pidfile: Option<PidFile>,
    notifier: Notifier,
    predecessor: Option<Predecessor>,
    image: Executable,
    /// It was started in the foreground of a terminal, and is to end with it.
    in_foreground: bool,
}

/// Where the master is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first workers are not all ready yet; until then at the latest they are.
    Starting(Instant),
    /// They are.
    Serving,
    /// On the way out.
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
    /// A master that does as planned. From here on the signals of this process are queued for [`Master::run`].
    ///
    /// # Errors
    /// As pipe2(2), sigaction(2) and mmap(2); and when the pid file is another server's, or cannot be written.
    pub fn new(plan: Plan, surroundings: Surroundings) -> io::Result<Self> {
        let Surroundings { pidfile, notifier, predecessor, image } = surroundings;
        let pidfile = pidfile.map(|path| {
            let named = |error| io::Error::other(format!("the pid file {}: {error}", path.display()));
            PidFile::prepare(&path).map_err(named)
        });
        let now = Instant::now();
        let in_foreground = process::is_in_foreground() && !signal::is_ignored(Signal::Hangup)?;
        Ok(Self {
            crew: Generation::new(1, plan.workers, now),
            watch: Watch::new(plan.worker_timeout, notifier.watchdog(), now),
            plan,
            fork: process::fork,
            signals: Signals::install(&SIGNALS)?,
            board: Scoreboard::new(SLOTS)?,
            reports: descriptor::pipe()?,
            phase: Phase::Starting(now + READY_WITHIN),
            trial: None,
            leavers: Vec::new(),
            reload_wanted: false,
            upgrade: None,
            pidfile: pidfile.transpose()?,
            notifier,
            predecessor,
            image,
            in_foreground,
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
        loop {
            let round = match self.spawn_workers() {
                Ok(Some(newborn)) => self.become_worker(newborn, work),
                Ok(None) => self.round(work),
                Err(error) => Err(error),
            };
            if let Phase::Stopping(ended) = self.phase
                && self.leavers.is_empty()
            {
                return Ok(ended);
            }
            if let Err(error) = round {
                self.kill_workers();
                return Err(error);
            }
        }
    }

    /// Waits for something to happen, and does what is to be done about it.
    fn round(&mut self, work: &mut dyn Work) -> io::Result<()> {
        self.wait()?;
        for signal in self.take_signals()? {
            self.handle_signal(signal, work);
        }
        self.reap_workers(work);
        let now = Instant::now();
        self.relieve_retiring(now);
        self.watch.look(now);
        self.crew.holders_mut().for_each(|holder| self.watch.check(holder, now));
        self.leavers.iter_mut().for_each(|leaver| leaver.escalate(now));
        if let Phase::Starting(deadline) = self.phase {
            self.look_whether_started(deadline, now, work)?;
        }
        self.settle_reload(now, work);
        self.settle_upgrade(now, work);
        let (crew, watch) = (&self.crew, &self.watch);
        self.notifier
            .ping(now, || crew.is_ready() && crew.holders().all(|holder| watch.is_well(holder, now)));
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        let upgrade = self.upgrade.as_ref();
        let files =
            [Some(self.signals.as_fd()), Some(self.reports.0.as_fd()), upgrade.and_then(Upgrade::report)];
        let files: Vec<BorrowedFd<'_>> = files.into_iter().flatten().collect();
        let timeout = self.next_deadline().saturating_duration_since(Instant::now());
        readiness::wait_any(&files, Some(timeout))?;
        descriptor::drain_pipe(self.reports.0.as_fd(), |_| {}).map(drop)
    }

    fn next_deadline(&self) -> Instant {
        let starting = match self.phase {
            Phase::Starting(deadline) => Some(deadline),
            Phase::Serving | Phase::Stopping(_) => None,
        };
        let crews = [Some(&self.crew), self.trial.as_ref().map(|trial| &trial.crew)];
        let seats = crews.into_iter().flatten().flat_map(|crew| &crew.seats).filter_map(WorkerSlot::due);
        let leavers = self.leavers.iter().filter_map(ExitingWorker::deadline);
        let trial = self.trial.as_ref().map(|trial| trial.deadline);
        let upgrade = self.upgrade.as_ref().map(|upgrade| upgrade.deadline);
        let others = [starting, trial, upgrade, self.notifier.next_ping()].into_iter().flatten();
        seats.chain(leavers).chain(others).fold(self.watch.next(), Instant::min)
    }

    fn look_whether_started(
        &mut self,
        deadline: Instant,
        now: Instant,
        work: &mut dyn Work,
    ) -> io::Result<()> {
        if self.crew.is_ready() {
            self.phase = Phase::Serving;
            if let Some(pidfile) = &mut self.pidfile {
                pidfile
                    .publish()
                    .map_err(|error| io::Error::new(error.kind(), format!("the pid file: {error}")))?;
            }
            let pids: Vec<Pid> = self.crew.holders().map(|holder| holder.pid).collect();
            work.started(&pids);
            match self.predecessor.take() {
                // He tells the service manager, who listens to nobody else yet.
                Some(predecessor) => predecessor.relieve(),
                None => self.notifier.ready(&self.status()),
            }
        } else if now >= deadline {
            error!("the workers are not ready after {} s", READY_WITHIN.as_secs());
            self.leave(Ended::BootFailed, StopMode::Stop, work);
        }
        Ok(())
    }

    /// What a service manager shows of us.
    fn status(&self) -> String {
        format!("{} serving", count(self.crew.seats.len() as u64, "worker"))
    }
}

/// `1 worker`, `2 workers`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
