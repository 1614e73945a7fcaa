//! The WSGI server as the master sees it: an application, loaded in each worker.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::{error, warn};
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::config::WsgiConfig;
use super::environ::{Application, Concurrency};
use super::hooks::{ProcessHook, ProcessHooks};
use super::inline::Inline;
use super::kept_signals::{self, KeptSignals};
use super::pool::Pool;
use super::run::Runner;
use super::service::{Caller, Mount, WsgiService};
use super::shared::WorkerContext;
use super::spool;
use crate::app::server::{App, Server};
use crate::app::setup::Setup;
use crate::app::start_lines::StartLines;
use crate::config::{BaseConfig, ConfigError};
use crate::files::FileService;
use crate::master::{Assignment, BOOT_FAILURE, Ended, Executable};
use crate::reactor::{Probe, Reactor, Recorded};
use crate::recording::Recorder;
use crate::server::{Address, LogTarget};
use crate::sys::descriptor;
use crate::sys::process::{self, Exit, Forked, Pid};

/// How long threads that are in the application may take to leave it when the server stops.
const LAST_MOMENT: Duration = Duration::from_millis(300);

/// The exit code for an application that cannot be loaded.
const NO_APPLICATION: i32 = 4;

/// Serves until it is told to stop. Returns the exit code.
///
/// # Errors
/// The first thing that the configuration asks for and cannot be had.
pub(super) fn serve(config: WsgiConfig) -> Result<i32, ConfigError> {
    let arguments = config.options.arguments.iter().map(Into::into).collect();
    let executable = Executable { program: config.options.program.clone(), arguments };
    let mut server = Server::open(WsgiApp::new(config))?;
    if !server.app.preload() {
        return Ok(NO_APPLICATION);
    }
    match server.run(executable, fork)? {
        Ended::Stopped => Ok(0),
        Ended::BootFailed => Ok(NO_APPLICATION),
    }
}

/// fork(2) with the hooks of the interpreter, which put its locks, its random numbers and what applications have
/// registered in order on both sides. Call it while this process has one thread.
fn fork() -> io::Result<Forked> {
    Python::attach(|py| {
        let id: i32 = py.import("os")?.call_method0("fork")?.extract()?;
        match id {
            0 => Ok(Forked::Child),
            id => Pid::of(id).map(Forked::Parent),
        }
    })
}

/// Prints the traceback of an application that cannot be loaded, or the one line that the exception has in its
/// attribute `line`.
fn complain(py: Python<'_>, error: &PyErr) {
    let line = error.value(py).getattr("line").and_then(|line| line.extract::<String>());
    match line {
        Ok(line) => {
            let _ = LogTarget::standard_error().map(|stderr| stderr.print(&format!("stheno-wsgi: {line}\n")));
        }
        Err(_) => error.display(py),
    }
}

/// An application, and how it is served.
pub(super) struct WsgiApp {
    pub(super) config: WsgiConfig,
    /// The application, with `--preload`.
    application: Option<Py<PyAny>>,
    /// Present while workers load the application for the first time: the first one that fails reports it for all.
    token: Option<LoadToken>,
}

/// A token that one of several processes takes.
struct LoadToken {
    take: OwnedFd,
    /// Kept open, so that the other processes find an empty pipe rather than its end.
    _give: OwnedFd,
}

impl LoadToken {
    fn new() -> Option<Self> {
        let (take, give) = descriptor::pipe().ok()?;
        rustix::io::write(&give, b"!").ok()?;
        Some(Self { take, _give: give })
    }

    /// Whether this process is the first to ask.
    fn is_ours(&self) -> bool {
        rustix::io::read(&self.take, &mut [0]) == Ok(1)
    }
}

impl WsgiApp {
    pub(super) fn new(config: WsgiConfig) -> Self {
        Self { config, application: None, token: None }
    }

    pub(super) fn load_application(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.config.options.load.call0(py)
    }

    /// Loads the application before the fork, if it is to be. Returns whether there was no error.
    fn preload(&mut self) -> bool {
        if self.config.options.preload {
            self.application = Python::attach(|py| {
                let before = kept_signals::handlers(py);
                let loaded = self.load_application(py).inspect_err(|error| complain(py, error)).ok();
                let reported = before.and_then(|before| kept_signals::report_taken(py, &before));
                reported.inspect_err(|error| error.display(py)).ok().and(loaded)
            });
        }
        self.application.is_some() == self.config.options.preload
    }

    /// The application and the signals, in the worker that `setup` and `assignment` are for.
    fn load_in_worker(
        &mut self,
        setup: &Setup,
        assignment: &Assignment,
    ) -> PyResult<(Arc<Application>, KeptSignals)> {
        let (saves, is_inline) = (setup.config.record.is_some(), self.config.options.threads == 0);
        Python::attach(|py| {
            let signals = KeptSignals::new(py, &assignment.signals, saves, is_inline)?;
            self.config.options.hooks.run(py, ProcessHook::PostFork(assignment.slot));
            let callable = match self.application.take() {
                Some(application) => application,
                None => self.load_application(py)?,
            };
            let line = py.import("stheno_wsgi.loading")?;
            let line = line.call_method1("check_threads", (self.config.options.threads,))?;
            if let Some(line) = line.extract::<Option<String>>()?.filter(|_| assignment.slot == 0) {
                warn!("{line}");
            }
            let application = self.application(py, callable, &setup.listeners.addresses)?;
            let is_draining = is_draining(py, &application.context)?;
            self.config.options.ready.call1(py, (assignment.slot, is_draining))?;
            signals.imported(py)?;
            Ok((application, signals))
        })
    }

    /// The application, for a worker with these addresses.
    pub(super) fn application(
        &self,
        py: Python<'_>,
        callable: Py<PyAny>,
        addresses: &[Address],
    ) -> PyResult<Arc<Application>> {
        let WsgiConfig { base, options, trusted } = &self.config;
        let entrances: Vec<_> = addresses.iter().map(name_and_port).collect();
        let concurrency = Concurrency { multithread: options.threads > 1, multiprocess: base.workers > 1 };
        let context = WorkerContext {
            server: base.settings.server.clone(),
            trusted: trusted.clone(),
            ..WorkerContext::default()
        };
        let callable = callable.into_bound(py);
        Application::new(callable, &entrances, &options.url_prefix, concurrency, Arc::new(context))
            .map(Arc::new)
    }

    /// Opens the folders that are served beside the application.
    pub(super) fn mounts(&self) -> Result<Vec<Mount>, ConfigError> {
        let mounts = self.config.options.mounts.iter().map(|(prefix, folder)| {
            let files = FileService::open(folder).map_err(|error| {
                ConfigError::Start(format!("--static {prefix}={}: {error}", folder.display()))
            })?;
            Ok(Mount { prefix: prefix.clone(), files })
        });
        mounts.collect()
    }

    /// Serves the application in a worker. An error has the exit code beside it.
    pub(super) fn serve(
        &self,
        (application, signals): (&Arc<Application>, Option<KeptSignals>),
        (setup, mounts): (Setup, Vec<Mount>),
        assignment: Assignment,
        log: LogTarget,
    ) -> Result<(), (i32, io::Error)> {
        let application = (application, signals);
        match setup.recorder(assignment.slot).map_err(|error| (BOOT_FAILURE, error))? {
            None => self.serve_on(Reactor::new(), None, application, (setup, mounts), assignment, log),
            Some(recorder) => {
                let reactor = Reactor::with_probe(Recorded::new(recorder.clone()));
                self.serve_on(reactor, Some(recorder), application, (setup, mounts), assignment, log)
            }
        }
    }

    fn serve_on<P: Probe>(
        &self,
        reactor: io::Result<Reactor<P>>,
        recorder: Option<Recorder>,
        (application, signals): (&Arc<Application>, Option<KeptSignals>),
        (setup, mounts): (Setup, Vec<Mount>),
        assignment: Assignment,
        log: LogTarget,
    ) -> Result<(), (i32, io::Error)> {
        let boot_failure = |error| (BOOT_FAILURE, error);
        let reactor = reactor.map_err(boot_failure)?;
        let options = &self.config.options;
        let caller = match options.threads {
            0 => {
                let runner = Python::attach(|py| Runner::new(py, Arc::clone(application)));
                Caller::Loop(Arc::new(Inline::new(runner)))
            }
            count => {
                let pool = Pool::start(count, application, reactor.waker()).map_err(boot_failure)?;
                Caller::Threads(Arc::new(pool))
            }
        };
        let activity = match &caller {
            Caller::Threads(pool) => Some(Arc::clone(pool.activity())),
            Caller::Loop(_) => None,
        };
        let service = WsgiService {
            caller,
            context: Arc::clone(&application.context),
            mounts,
            prefix: options.url_prefix.clone(),
            left: Cell::new((options.max_requests > 0).then(|| with_jitter(options.max_requests))),
            timeout: setup.config.worker_timeout,
            peer: Cell::new(None),
            signals,
        };
        let (worker, status) = setup.into_worker(assignment, log, recorder, service);
        let result = crate::app::serve_on(worker, status, reactor);
        activity.iter().for_each(|activity| activity.wait_until_idle(LAST_MOMENT));
        result
    }
}

/// A function for Python: whether the worker drains.
fn is_draining<'py>(py: Python<'py>, context: &Arc<WorkerContext>) -> PyResult<Bound<'py, PyCFunction>> {
    let context = Arc::clone(context);
    PyCFunction::new_closure(py, None, None, move |_, _| context.draining.load(Ordering::Relaxed))
}

/// A number of requests that is up to a tenth larger, so that the workers of a server do not retire together.
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

impl App for WsgiApp {
    type Content = Vec<Mount>;

    /// New workers load the application again; the options stay.
    fn load(&mut self, _: bool) -> Result<(BaseConfig, Vec<Mount>), ConfigError> {
        if self.application.is_some() {
            warn!("with --preload the application stays as it is: restart the server to load it again");
        }
        if self.config.base.settings.limits.body > spool::MAX_IN_MEMORY as u64 {
            spool::check().map_err(ConfigError::Start)?;
        }
        self.token = LoadToken::new();
        Ok((self.config.base.clone(), self.mounts()?))
    }

    fn start_lines(&self, _: &BaseConfig, _: &Vec<Mount>) -> StartLines {
        let options = &self.config.options;
        StartLines {
            program: "stheno-wsgi",
            subject: format!("app      {}", options.name),
            prefix: options.url_prefix.clone(),
            detail: match options.threads {
                0 => {
                    "threads  0: the application runs on the loop; whatever it waits for blocks every client"
                        .into()
                }
                count => format!("threads  {count} in each worker"),
            },
        }
    }

    fn settled(&mut self) {
        self.token = None;
    }

    fn work(&mut self, setup: Setup, mounts: Vec<Mount>, assignment: Assignment, log: LogTarget) -> i32 {
        let code = match self.load_in_worker(&setup, &assignment) {
            Ok((application, signals)) => {
                match self.serve((&application, Some(signals)), (setup, mounts), assignment, log) {
                    Ok(()) => 0,
                    Err((code, error)) => {
                        error!("a worker cannot serve: {error}");
                        code
                    }
                }
            }
            Err(error) => {
                if self.token.as_ref().is_none_or(LoadToken::is_ours) {
                    Python::attach(|py| complain(py, &error));
                }
                BOOT_FAILURE
            }
        };
        leave(code, &self.config.options.hooks)
    }

    fn ready(&mut self) {
        self.config.options.hooks.run_in_master(ProcessHook::WhenReady);
    }

    fn worker_reaped(&mut self, slot: usize, pid: Pid, exit: Exit) {
        self.config.options.hooks.run_in_master(ProcessHook::ChildExit(slot, pid, exit));
    }
}

/// Ends a worker: what the application has registered for the end runs, and nothing else. Threads that are still in the
/// application are not waited for.
fn leave(code: i32, hooks: &ProcessHooks) -> ! {
    let left = Python::attach(|py| {
        hooks.run(py, ProcessHook::WorkerExit);
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
        error!("the interpreter does not exit: {error}");
    }
    std::process::exit(code)
}
