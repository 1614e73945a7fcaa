//! The master's side of a server: start, reload, upgrade, end.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use log::{LevelFilter, warn};

use super::setup::{self, Setup};
use super::start_lines::StartLines;
use super::{browser, summary};
use crate::config::{BaseConfig, ConfigError};
use crate::master::{
    Assignment, BOOT_FAILURE, Ended, Executable, Fork, Master, Notifier, Plan, Predecessor, Surroundings,
    Work,
};
use crate::server::{Inherited, LineFormat, Listeners, LogTarget, Resolved};
use crate::status::Board;
use crate::sys::orders::PassedFile;
use crate::sys::process::{Exit, Pid};
use crate::sys::signal::{self, Signal};
use crate::tls::Kept;

/// How often the master looks at the time that certificates have left.
const DAY: Duration = Duration::from_secs(86_400);

/// A program of this crate: what its configuration is, and what its workers serve.
pub(crate) trait App {
    /// What the configuration asks for beyond sockets and logs, open.
    type Content;

    /// Reads the configuration, at the start and for each reload, and opens the content. Nothing is logged yet. A service
    /// manager has opened the places to listen if `is_activated`.
    fn load(&mut self, is_activated: bool) -> Result<(BaseConfig, Self::Content), ConfigError>;

    /// The format of the log's lines; `None` for the seed's.
    fn line_format(&self) -> Option<LineFormat> {
        None
    }

    /// Called once, in the master, when the first workers are ready.
    fn start_lines(&self, config: &BaseConfig, content: &Self::Content) -> StartLines;

    /// Called once, in the master, after the start-up lines.
    fn ready(&mut self) {}

    /// Called in the master when a worker has ended. (see [`Work::worker_reaped`])
    fn worker_reaped(&mut self, _slot: usize, _pid: Pid, _exit: Exit) {}

    /// Called in the master when the workers of a start or of a reload are all ready, or given up.
    fn settled(&mut self) {}

    /// Serves in a worker, a fork of the master. Returns the exit code.
    fn work(&mut self, setup: Setup, content: Self::Content, assignment: Assignment, log: LogTarget) -> i32;
}

/// A server in the master's process. A worker is a fork of it, so each has a copy of its own.
pub(crate) struct Server<A: App> {
    pub(crate) app: A,
    notifier: Notifier,
    predecessor: Option<Predecessor>,
    /// Whether a predecessor has passed its work on: the person at the terminal has seen the start.
    is_successor: bool,
    /// The process that opens the URL, and the name of its program.
    browser: Option<(Pid, String)>,
    /// Where the log of this process goes.
    log: LogTarget,
    /// What is in force; `None` once the server stops.
    current: Option<(Setup, A::Content)>,
    /// What a reload that is not over has opened, and where the log goes then.
    next: Option<(Setup, A::Content, LogTarget)>,
    /// The counters of the status page, from its first configuration on.
    board: Option<Board>,
    /// The secrets of TLS that a reload keeps.
    secrets: Kept,
    /// When certificates were last looked at.
    looked: Option<Instant>,
    /// The socket of the status page while the server stops.
    kept: Option<Listeners>,
    /// Another program serves from now on.
    handed_over: bool,
}

impl<A: App> Server<A> {
    /// Reads the configuration and opens everything that it asks for.
    ///
    /// # Errors
    /// The first thing that cannot be had.
    pub(crate) fn open(mut app: A) -> Result<Self, ConfigError> {
        // A server acts on its signals, whatever its parent has blocked, and survives a log that reaches a limit.
        signal::unblock_all();
        let ignored = signal::ignore(Signal::FileSize);
        ignored.map_err(|error| start_error("cannot set up signals", &error))?;
        // Inherited descriptors have fixed numbers: they are taken before anything else is opened.
        let inherited = Inherited::from_environment();
        let mut inherited = inherited.map_err(|error| ConfigError::Start(error.to_string()))?;
        let predecessor = Predecessor::from_environment();
        let (config, content) = app.load(inherited.is_activated())?;
        let log = setup::open_log(&config)?;
        log.take_the_log(config.log, app.line_format());
        // From here on there may be something to log.
        let notifier = Notifier::from_environment();
        let resolved = setup::resolve(&config, inherited.is_activated())?;
        let (mut board, mut secrets) = (None, Kept::default());
        let setup = Setup::open(config, resolved, &mut inherited, &mut board, &mut secrets)?;
        let current = Some((setup, content));
        Ok(Self {
            app,
            notifier,
            is_successor: predecessor.is_some(),
            predecessor,
            browser: None,
            log,
            current,
            next: None,
            board,
            secrets,
            looked: None,
            kept: None,
            handed_over: false,
        })
    }

    /// The log of this process.
    #[cfg(feature = "wsgi")]
    pub(crate) fn log(&self) -> &LogTarget {
        &self.log
    }

    /// Serves until it is told to stop. `executable` takes over in an upgrade; `fork` makes the workers.
    ///
    /// # Errors
    /// When the master cannot be set up, or cannot run its workers.
    pub(crate) fn run(mut self, executable: Executable, fork: Fork) -> Result<Ended, ConfigError> {
        let Some((setup, _)) = &self.current else {
            return Ok(Ended::Stopped);
        };
        let is_summed = setup.config.summary;
        let surroundings = Surroundings {
            pidfile: setup.config.pidfile.clone(),
            notifier: std::mem::take(&mut self.notifier),
            predecessor: self.predecessor.take(),
            executable,
        };
        let master = Master::new(setup.plan(), surroundings)
            .map_err(|error| start_error("cannot set up the master process", &error))?;
        let ended = master.with_fork(fork).run(&mut self);
        if is_summed && matches!(ended, Ok(Ended::Stopped)) {
            self.print_summary();
        }
        ended.map_err(|error| start_error("cannot run worker processes", &error))
    }

    /// Opens what the configuration asks for now, beside what is open. A rehearsal has found these addresses.
    fn open_next(&mut self, rehearsed: &str) -> Result<Plan, ConfigError> {
        let is_activated = self.listeners().is_some_and(Listeners::is_activated);
        let (mut config, content) = self.app.load(is_activated)?;
        let resolved = Resolved::from_text(rehearsed, &config.places(is_activated))
            .ok_or_else(|| ConfigError::Start("it has changed meanwhile; send SIGHUP again".into()))?;
        let pidfile = self.current.as_ref().and_then(|(setup, _)| setup.config.pidfile.clone());
        if config.pidfile != pidfile {
            let name = pidfile.as_deref().map_or("none".into(), Path::to_string_lossy);
            warn!(
                "the pid file stays as it is ({name}): a reload does not move it, a restart or an upgrade does"
            );
            config.pidfile.clone_from(&pidfile);
        }
        let log = setup::open_log(&config)?;
        let kept = self.keep_sockets().map_err(|error| start_error("cannot keep the sockets", &error));
        let setup = Setup::open(config, resolved, &mut kept?, &mut self.board, &mut self.secrets)?;
        let plan = setup.plan();
        self.next = Some((setup, content, log));
        Ok(plan)
    }

    /// Prints what the workers have served, after they have ended.
    fn print_summary(&self) {
        if let Some(board) = &self.board {
            let line = summary::line(&board.totals(), board.uptime());
            let _ = LogTarget::standard_error().map(|stderr| stderr.print(&line));
        }
    }

    /// Opens the URL in a browser. The server does not need it: a failure is a line in the log.
    fn open_browser(&mut self, url: Option<String>) {
        let opened = url.ok_or("no URL is for a browser".into()).and_then(|url| browser::open(&url));
        match opened {
            Ok(browser) => self.browser = Some(browser),
            Err(what) => warn!("--open: {what}"),
        }
    }

    /// Puts what is next in force, in this process.
    fn adopt_next(&mut self) {
        if let Some((setup, content, log)) = self.next.take() {
            log::set_max_level(setup.config.log);
            if let Err(error) = self.log.redirect(&log) {
                log::error!("the log stays where it was: {error}");
            }
            self.current = Some((setup, content));
            self.looked = None;
        }
    }

    fn listeners(&self) -> Option<&Listeners> {
        self.current.as_ref().map(|(setup, _)| &setup.listeners)
    }

    /// The listening sockets, and those of the status page.
    fn all_listeners(&self) -> impl Iterator<Item = &Listeners> {
        self.current.iter().flat_map(|(setup, _)| setup.all_listeners())
    }

    /// Copies of the sockets, for the next configuration.
    fn keep_sockets(&self) -> io::Result<Inherited> {
        let Some((setup, _)) = &self.current else {
            return Ok(Inherited::default());
        };
        let status = setup.status.as_ref().map(|(listeners, _)| listeners.inherit()).transpose()?;
        Ok(setup.listeners.inherit()?.with_status(status.unwrap_or_default()))
    }
}

fn start_error(what: &str, error: &io::Error) -> ConfigError {
    ConfigError::Start(format!("{what}: {error}"))
}

impl<A: App> Work for Server<A> {
    fn work(&mut self, assignment: Assignment) -> i32 {
        if assignment.pending {
            self.adopt_next();
        }
        self.next = None;
        match self.current.take() {
            Some((setup, content)) => self.app.work(setup, content, assignment, self.log.clone()),
            None => BOOT_FAILURE,
        }
    }

    fn started(&mut self, workers: &[Pid]) {
        self.app.settled();
        if let Some((setup, content)) = &self.current {
            setup.all_listeners().for_each(Listeners::own_files);
            let url = self.app.start_lines(&setup.config, content).print(setup, workers);
            if setup.config.open && !self.is_successor {
                self.open_browser(url);
            }
        }
        self.app.ready();
    }

    fn worker_reaped(&mut self, slot: usize, pid: Pid, exit: Exit) {
        self.app.worker_reaped(slot, pid, exit);
    }

    fn other_child_ended(&mut self, pid: Pid, exit: Exit) -> bool {
        let Some((_, program)) = self.browser.take_if(|(browser, _)| *browser == pid) else {
            return false;
        };
        if exit != Exit::Code(0) {
            warn!("--open: {program} has opened nothing ({exit})");
        }
        true
    }

    fn rehearse(&mut self) -> Result<String, String> {
        // The master logs the same when it reads the configuration.
        log::set_max_level(LevelFilter::Off);
        let is_activated = self.listeners().is_some_and(Listeners::is_activated);
        let loaded = self.app.load(is_activated).and_then(|(config, _)| {
            Ok((setup::resolve(&config, is_activated)?, config.places(is_activated)))
        });
        let loaded = loaded.map(|(resolved, places)| resolved.to_text(&places));
        loaded.map_err(ConfigError::into_line)
    }

    fn reload(&mut self, rehearsed: &str) -> Result<Plan, String> {
        self.open_next(rehearsed).map_err(|error| {
            self.app.settled();
            error.into_line()
        })
    }

    fn reloaded(&mut self, in_force: bool) {
        self.app.settled();
        if in_force {
            self.adopt_next();
            self.all_listeners().for_each(Listeners::own_files);
        }
        self.next = None;
    }

    /// Warns of certificates that expire, at the start, after a reload and once a day.
    fn look(&mut self, now: Instant) {
        self.secrets.forget_old();
        if self.looked.is_some_and(|at| now.saturating_duration_since(at) < DAY) {
            return;
        }
        self.looked = Some(now);
        let credentials = self.current.iter().filter_map(|(setup, _)| setup.tls.as_ref());
        let lines = credentials.flat_map(|credentials| credentials.warnings(SystemTime::now()));
        lines.for_each(|line| warn!("{line}"));
    }

    fn worker_ended(&mut self) {
        self.all_listeners().for_each(Listeners::wake_a_worker);
        self.board.iter().for_each(Board::count_restart);
    }

    fn resized(&mut self, workers: usize) {
        self.current.iter_mut().for_each(|(setup, _)| setup.listeners.keep_for(workers));
    }

    fn reopen_logs(&mut self) -> Vec<PassedFile> {
        let current = self.current.iter().flat_map(|(setup, _)| &setup.access_log);
        let next = self.next.iter().flat_map(|(setup, _, log)| setup.access_log.iter().chain([log]));
        LogTarget::reopen_all([&self.log].into_iter().chain(current).chain(next))
    }

    fn sockets(&self) -> Vec<(BorrowedFd<'_>, &'static str)> {
        self.all_listeners().flat_map(Listeners::for_successor).collect()
    }

    fn handed_over(&mut self) {
        self.all_listeners().for_each(Listeners::leave_files);
        self.handed_over = true;
    }

    fn leaving(&mut self) {
        if let Some((_, board)) = self.current.as_ref().and_then(|(setup, _)| setup.status.as_ref()) {
            board.set_stopping();
        }
    }

    /// A listener without workers would let clients in and never serve them. The workers serve the status page until they
    /// have ended, and its file stays so long.
    fn stopping(&mut self) {
        self.next = None;
        let status = self.current.take().and_then(|(setup, _)| setup.status);
        if let Some((listeners, board)) = status.filter(|_| !self.handed_over) {
            board.set_stopping();
            self.kept = Some(listeners);
        }
    }
}
