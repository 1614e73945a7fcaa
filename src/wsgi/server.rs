//! From options to a master with workers, each with the application in it.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};
use pyo3::prelude::*;

use super::config::Config;
use super::environ::{Application, Manner};
use super::inline::Inline;
use super::pool::Pool;
use super::run::Runner;
use super::service::{Caller, Mount, WsgiService};
use super::shared::Common;
use crate::config::AccessLogTo;
use crate::files::FileService;
use crate::master::{
    Assignment, BOOT_FAILURE, Ended, Executable, FAILURE, Master, Notifier, Plan, Predecessor, Surroundings,
    Work,
};
use crate::reactor::{AcceptMode, Reactor};
use crate::server::{AccessLog, Address, Capacity, Inherited, Listeners, LogTarget, Worker, bind};
use crate::sys::descriptor;
use crate::sys::fd_passing::PassedFile;
use crate::sys::process::{self, Forked, Pid};

/// How long threads that are in the application may take to leave it when the server stops.
const LAST_MOMENT: Duration = Duration::from_millis(300);

/// The application could not be loaded.
const NO_APPLICATION: i32 = 4;

/// Serves until it is told to stop; answers the exit code.
///
/// # Errors
/// A line that says what cannot be done.
pub(super) fn serve(config: Config) -> Result<i32, String> {
    let mut there = Inherited::from_environment().map_err(|error| error.to_string())?;
    let predecessor = Predecessor::from_environment();
    let log = log_target(&config)?;
    log.take_the_log(config.log);
    let notifier = Notifier::from_environment();
    let descriptors = process::raise_descriptor_limit();
    let access_log = match &config.access_log {
        AccessLogTo::Off => None,
        AccessLogTo::Stdout => LogTarget::standard(&io::stdout()).ok(),
        AccessLogTo::File(path) => Some(open_log("--access-log", path)?),
    };
    let mounts: Result<_, String> = config
        .mounts
        .iter()
        .map(|(prefix, folder)| {
            let files = FileService::open(folder)
                .map_err(|error| format!("--static {prefix}={}: {error}", folder.display()))?;
            Ok(Mount { prefix: prefix.clone(), files })
        })
        .collect();
    let mode = AcceptMode::Exclusive;
    let bound =
        bind(&config.places, 0o666, mode, config.workers, &mut there).map_err(|error| error.to_string())?;
    drop(there);
    let application = match config.preload {
        true => match Python::attach(|py| load(py, &config.load).inspect_err(|error| complain(py, error))) {
            Ok(application) => Some(application),
            Err(_) => return Ok(NO_APPLICATION),
        },
        false => None,
    };
    let plan = Plan { workers: config.workers, grace: config.grace, worker_timeout: config.timeout };
    let arguments = config.arguments.iter().map(Into::into).collect();
    let executable = Executable { program: config.program.clone(), arguments };
    let capacity = Capacity { connections: Capacity::fitting(descriptors), per_address: None };
    let mut server = Server {
        config,
        mounts: mounts?,
        application,
        capacity,
        bound: Some(bound),
        log,
        access_log,
        turn: Turn::new(),
    };
    let master = Master::new(plan, Surroundings { pidfile: None, notifier, predecessor, executable })
        .map_err(|error| format!("cannot set up the master process: {error}"))?
        .with_fork(fork);
    match master.run(&mut server).map_err(|error| format!("cannot run worker processes: {error}"))? {
        Ended::Stopped => Ok(0),
        Ended::BootFailed => Ok(NO_APPLICATION),
    }
}

/// Loads the application.
fn load(py: Python<'_>, load: &Py<PyAny>) -> PyResult<Py<PyAny>> {
    load.bind(py).call0().map(pyo3::Bound::unbind)
}

/// fork(2) with the hooks of the interpreter: what it has to put in order on both sides (its locks, its random
/// numbers, and what applications have registered) it does. Call it while this process has one thread.
fn fork() -> io::Result<Forked> {
    Python::attach(|py| {
        let id: i32 = py.import("os")?.call_method0("fork")?.extract()?;
        match id {
            0 => Ok(Forked::Child),
            id => Pid::of(id).map(Forked::Parent),
        }
    })
}

/// The traceback of an application that cannot be loaded, or the line that is meant instead of one: that of an
/// exception which has said so by the attribute `line`.
fn complain(py: Python<'_>, error: &PyErr) {
    let line = error.value(py).getattr("line").and_then(|line| line.extract::<String>());
    match line {
        Ok(line) => drop(writeln!(io::stderr(), "stheno-wsgi: {line}")),
        Err(_) => error.display(py),
    }
}

fn log_target(config: &Config) -> Result<LogTarget, String> {
    match &config.logfile {
        None => LogTarget::standard_error().map_err(|error| format!("cannot write a log: {error}")),
        Some(path) => open_log("--logfile", path),
    }
}

fn open_log(option: &str, path: &Path) -> Result<LogTarget, String> {
    LogTarget::open(path).map_err(|error| format!("{option}: cannot write {}: {error}", path.display()))
}

/// What the master has its workers do. A worker is a fork of the master, so each takes a copy of its own.
#[derive(Debug)]
struct Server {
    config: Config,
    mounts: Vec<Mount>,
    /// With `--preload`.
    application: Option<Py<PyAny>>,
    capacity: Capacity,
    /// Nothing any more on the way out.
    bound: Option<Listeners>,
    log: LogTarget,
    access_log: Option<LogTarget>,
    /// While several workers load the application for the first time: who fails first says so, for all.
    turn: Option<Turn>,
}

/// Something that one process takes.
#[derive(Debug)]
struct Turn {
    take: OwnedFd,
    /// Kept open, so that the others find nothing rather than an end.
    _give: OwnedFd,
}

impl Turn {
    fn new() -> Option<Self> {
        let (take, give) = descriptor::pipe().ok()?;
        rustix::io::write(&give, b"!").ok()?;
        Some(Self { take, _give: give })
    }

    fn is_ours(&self) -> bool {
        rustix::io::read(&self.take, &mut [0]) == Ok(1)
    }
}

impl Server {
    /// The application, in the worker.
    fn application(&mut self, seat: usize, addresses: &[Address]) -> PyResult<Arc<Application>> {
        let entrances: Vec<_> = addresses.iter().map(name_and_port).collect();
        Python::attach(|py| {
            let callable = match self.application.take() {
                Some(application) => application.into_bound(py),
                None => load(py, &self.config.load)?.into_bound(py),
            };
            self.config.ready.bind(py).call1((seat,))?;
            let manner =
                Manner { multithread: self.config.threads > 1, multiprocess: self.config.workers > 1 };
            let common = Common {
                server: self.config.settings.server.clone(),
                trusted: self.config.trusted.clone(),
                ..Common::default()
            };
            Application::new(callable, &entrances, &self.config.prefix, manner, Arc::new(common))
                .map(Arc::new)
        })
    }

    fn serve(&mut self, post: Assignment, application: &Arc<Application>, bound: Listeners) -> i32 {
        let reactor = match Reactor::new() {
            Ok(reactor) => reactor,
            Err(error) => return failed(BOOT_FAILURE, &error),
        };
        let caller = match self.config.threads {
            0 => {
                let runner = Python::attach(|py| Runner::new(py, Arc::clone(application)));
                Caller::Loop(Arc::new(Inline::new(runner)))
            }
            count => match Pool::start(count, application, reactor.waker()) {
                Ok(pool) => Caller::Threads(Arc::new(pool)),
                Err(error) => return failed(BOOT_FAILURE, &error),
            },
        };
        let rest = match &caller {
            Caller::Threads(pool) => Some(pool.rest()),
            Caller::Loop(_) => None,
        };
        let service = WsgiService {
            caller,
            common: Arc::clone(&application.common),
            mounts: std::mem::take(&mut self.mounts),
            prefix: self.config.prefix.clone(),
            left: Cell::new(self.config.max_requests.map(with_jitter)),
            timeout: self.config.timeout,
            peer: Cell::new(None),
        };
        let worker = Worker {
            settings: self.config.settings.clone(),
            capacity: self.capacity,
            service,
            access_log: self.access_log.take().map(AccessLog::new),
            log: Some(self.log.clone()),
            listeners: bound.into_worker(post.slot),
            accept: AcceptMode::Exclusive,
            signals: post.signals,
            life: post.master_link,
            heartbeat: match self.config.max_requests {
                Some(_) => post.heartbeat.which_may_retire(),
                None => post.heartbeat,
            },
            grace: self.config.grace,
        };
        let code = match worker.boot_on(reactor) {
            Ok(running) => running.serve().map_or_else(|error| failed(FAILURE, &error), |()| 0),
            Err(error) => failed(BOOT_FAILURE, &error),
        };
        rest.iter().for_each(|rest| rest.wait(LAST_MOMENT));
        code
    }
}

fn failed(code: i32, error: &io::Error) -> i32 {
    error!("a worker cannot serve: {error}");
    code
}

/// So that the workers of a server do not leave together, each leaves up to a tenth later.
fn with_jitter(requests: u64) -> u64 {
    let chance = process::monotonic_micros() ^ u64::from(process::current().number().unsigned_abs()) << 7;
    requests + chance % (requests / 10 + 1)
}

/// `SERVER_NAME` and `SERVER_PORT`: never empty (WSGI E8).
fn name_and_port(address: &Address) -> (String, String) {
    match address {
        Address::Internet(address) => (address.ip().to_string(), address.port().to_string()),
        Address::Unix(_) => ("localhost".into(), "80".into()),
    }
}

impl Work for Server {
    fn work(&mut self, post: Assignment) -> i32 {
        let Some(bound) = self.bound.take() else {
            leave(BOOT_FAILURE);
        };
        let code = match self.application(post.slot, &bound.addresses) {
            Ok(application) => self.serve(post, &application, bound),
            Err(error) => {
                if self.turn.as_ref().is_none_or(Turn::is_ours) {
                    Python::attach(|py| complain(py, &error));
                }
                BOOT_FAILURE
            }
        };
        leave(code)
    }

    fn started(&mut self, workers: &[Pid]) {
        self.turn = None;
        if let Some(bound) = &self.bound {
            bound.own_files();
            announce(&self.config, bound, workers);
        }
    }

    /// New workers load the application anew: that is what is read again.
    fn reload(&mut self) -> Result<Plan, String> {
        if self.application.is_some() {
            warn!("with --preload the application stays as it is: restart the server to load it anew");
        }
        self.turn = Turn::new();
        let Config { workers, grace, timeout, .. } = self.config;
        Ok(Plan { workers, grace, worker_timeout: timeout })
    }

    fn reloaded(&mut self, _in_force: bool) {
        self.turn = None;
    }

    fn resized(&mut self, workers: usize) {
        if let Some(bound) = &mut self.bound {
            bound.keep_for(workers);
        }
    }

    fn reopen_logs(&mut self) -> Vec<PassedFile> {
        LogTarget::reopen_all([Some(&self.log), self.access_log.as_ref()].into_iter().flatten())
    }

    fn sockets(&self) -> Vec<(BorrowedFd<'_>, &'static str)> {
        self.bound.as_ref().map(Listeners::for_successor).unwrap_or_default()
    }

    fn handed_over(&mut self) {
        self.bound.iter().for_each(Listeners::leave_files);
    }

    /// A listener that nobody accepts from would let clients in and leave them alone.
    fn stopping(&mut self) {
        self.bound = None;
    }
}

/// The end of a worker: what the application has registered for it runs, and then nothing else. A thread that still is
/// in the application does not hold it up.
fn leave(code: i32) -> ! {
    let left = Python::attach(|py| {
        let run = |module: &str, function: &str| py.import(module)?.call_method0(function);
        if let Err(error) = run("atexit", "_run_exitfuncs") {
            error.display(py);
        }
        for stream in ["stdout", "stderr"] {
            let _ = py.import("sys").and_then(|sys| sys.getattr(stream)?.call_method0("flush"));
        }
        py.import("os")?.call_method1("_exit", (code,)).map(drop)
    });
    if let Err(error) = left {
        error!("the interpreter does not leave: {error}");
    }
    std::process::exit(code)
}

/// The start-up lines: what it serves, where, who does the work, how to stop it.
fn announce(config: &Config, bound: &Listeners, workers: &[Pid]) {
    let (bold, plain) = if io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let pids: Vec<String> = workers.iter().map(ToString::to_string).collect();
    let mut text = format!("{bold}stheno-wsgi {}{plain}\n", env!("CARGO_PKG_VERSION"));
    text += &format!("  app      {}\n", config.name);
    for address in &bound.addresses {
        text += &format!("  url      {bold}{}{plain}\n", address.url(&config.prefix));
    }
    text += &format!("  workers  {} (pid {})\n", workers.len(), pids.join(", "));
    text += &match config.threads {
        0 => "  threads  0: the application runs on the loop, and whatever it waits for holds everyone up\n"
            .into(),
        count => format!("  threads  {count} in each worker\n"),
    };
    text += &format!("  stop     Ctrl+C, or kill -TERM {} to let answers finish\n", process::current());
    let _ = io::stderr().write_all(text.as_bytes());
    info!("serving {}", config.name);
}
