//! The WSGI server as the master sees it: an application, loaded in each worker.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::{error, warn};
use pyo3::prelude::*;

use super::config::{self, WsgiOptions};
use super::environ::{Application, Concurrency};
use super::error_log;
use super::hang_watch::HangWatch;
use super::inline::Inline;
use super::options::GivenOptions;
use super::pool::Pool;
use super::python_log;
use super::run::Runner;
use super::service::{Caller, Mount, WsgiService};
use super::shared::WorkerContext;
use crate::app::server::{App, Server};
use crate::app::setup::Setup;
use crate::app::start_lines::StartLines;
use crate::config::{BaseConfig, ConfigError};
use crate::files::{self, FileService};
use crate::master::{Assignment, BOOT_FAILURE, Ended, Executable};
use crate::reactor::{Probe, Reactor, Recorded};
use crate::recording::Recorder;
use crate::server::{Address, LineFormat, LogFormat, LogTarget};
use crate::sys::descriptor;
use crate::sys::process::{self, Forked, Pid};
use crate::sys::rights;

/// How long threads that are in the application may take to leave it when the server stops.
const LAST_MOMENT: Duration = Duration::from_millis(300);

/// The exit code for an application that cannot be loaded.
const NO_APPLICATION: i32 = 4;

/// What Python does for the server.
#[derive(Debug)]
pub(super) struct Callbacks {
    /// Returns the application, in each worker, or before the fork with `--preload`.
    pub(super) load: Py<PyAny>,
    /// Runs in each worker after the application was loaded, with the number of the worker.
    pub(super) ready: Py<PyAny>,
    /// The name of the application in the start-up lines, if it is not that of the option.
    pub(super) name: Option<String>,
}

/// Serves until it is told to stop. Returns the exit code.
///
/// # Errors
/// The first thing that the configuration asks for and cannot be had.
pub(super) fn serve(given: GivenOptions, callbacks: Callbacks) -> Result<i32, ConfigError> {
    let executable = Python::attach(executable)
        .map_err(|error| ConfigError::Start(format!("the interpreter does not know its program: {error}")))?;
    let mut server = Server::open(WsgiApp::new(given, callbacks))?;
    if !server.app.preload() {
        return Ok(NO_APPLICATION);
    }
    match server.run(executable, fork)? {
        Ended::Stopped => Ok(0),
        Ended::BootFailed => Ok(NO_APPLICATION),
    }
}

/// Checks everything that a start needs, and loads the application. Returns the exit code.
///
/// # Errors
/// As [`serve`].
pub(super) fn check(given: GivenOptions, callbacks: Callbacks) -> Result<i32, ConfigError> {
    let mut app = WsgiApp::new(given, callbacks);
    let (base, content) = app.load(false)?;
    Setup::check(&base)?;
    let loaded = Python::attach(|py| {
        app.load_application(py, &content.options).inspect_err(|error| complain(py, error)).is_ok()
    });
    Ok(if loaded { 0 } else { NO_APPLICATION })
}

/// The program and the arguments that this process was started with.
fn executable(py: Python<'_>) -> PyResult<Executable> {
    let sys = py.import("sys")?;
    let program: Option<OsString> = sys.getattr("executable")?.extract()?;
    let words: Vec<OsString> = sys.getattr("orig_argv")?.extract()?;
    let arguments = words.into_iter().skip(1).collect();
    Ok(Executable { program: program.unwrap_or_default().into(), arguments })
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
struct WsgiApp {
    given: GivenOptions,
    callbacks: Callbacks,
    /// The options that were read last.
    options: Option<Arc<WsgiOptions>>,
    /// The application, with `--preload`.
    application: Option<Py<PyAny>>,
    /// Present while workers load the application for the first time: the first one that fails reports it for all.
    token: Option<LoadToken>,
}

/// What the workers of one configuration serve.
pub(super) struct WsgiContent {
    options: Arc<WsgiOptions>,
    mounts: Vec<Mount>,
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
    fn new(given: GivenOptions, callbacks: Callbacks) -> Self {
        Self { given, callbacks, options: None, application: None, token: None }
    }

    fn load_application(&self, py: Python<'_>, options: &WsgiOptions) -> PyResult<Py<PyAny>> {
        python_log::configure(py, options.log_config.as_deref())?;
        self.callbacks.load.call1(py, (&options.app, options.factory))
    }

    /// Loads the application before the fork, if it is to be. Returns whether there was no error.
    fn preload(&mut self) -> bool {
        let Some(options) = self.options.clone().filter(|options| options.preload) else {
            return true;
        };
        self.application = Python::attach(|py| {
            self.load_application(py, &options).inspect_err(|error| complain(py, error)).ok()
        });
        self.application.is_some()
    }

    /// The application, in the worker with this number.
    fn application(
        &mut self,
        options: &WsgiOptions,
        number: usize,
        setup: &Setup,
    ) -> PyResult<Arc<Application>> {
        let (base, addresses) = (&setup.config, &setup.listeners.addresses);
        let entrances: Vec<_> = addresses.iter().map(name_and_port).collect();
        Python::attach(|py| {
            let callable = match self.application.take() {
                Some(application) => application,
                None => self.load_application(py, options)?,
            };
            python_log::join(py)?;
            self.callbacks.ready.call1(py, (number, options.reload))?;
            let concurrency =
                Concurrency { multithread: options.threads > 1, multiprocess: base.workers > 1 };
            let context = WorkerContext {
                server: base.settings.server.clone(),
                trusted: options.trusted.clone(),
                run_abandoned: options.run_abandoned,
                logs_fields: base.access_log_format.as_deref().is_some_and(LogFormat::has_response_fields),
                ..WorkerContext::default()
            };
            Application::new(
                callable.into_bound(py),
                &entrances,
                &options.url_prefix,
                concurrency,
                Arc::new(context),
            )
            .map(Arc::new)
        })
    }

    /// Serves the application in a worker. An error has the exit code beside it.
    fn serve(
        &self,
        application: &Arc<Application>,
        (setup, content): (Setup, WsgiContent),
        assignment: Assignment,
        log: LogTarget,
    ) -> Result<(), (i32, io::Error)> {
        error_log::open(log.clone());
        match setup.recorder(assignment.slot).map_err(|error| (BOOT_FAILURE, error))? {
            None => self.serve_on(Reactor::new(), None, application, (setup, content), assignment, log),
            Some(recorder) => {
                let reactor = Reactor::with_probe(Recorded::new(recorder.clone()));
                self.serve_on(reactor, Some(recorder), application, (setup, content), assignment, log)
            }
        }
    }

    fn serve_on<P: Probe>(
        &self,
        reactor: io::Result<Reactor<P>>,
        recorder: Option<Recorder>,
        application: &Arc<Application>,
        (setup, content): (Setup, WsgiContent),
        assignment: Assignment,
        log: LogTarget,
    ) -> Result<(), (i32, io::Error)> {
        let boot_failure = |error| (BOOT_FAILURE, error);
        let reactor = reactor.map_err(boot_failure)?;
        keep_freed_memory();
        let WsgiContent { options, mounts } = content;
        let caller = match options.threads {
            0 => {
                let runner = Python::attach(|py| Runner::new(py, Arc::clone(application)));
                let context = Arc::clone(&application.context);
                Caller::Loop(Arc::new(Inline::new(runner, context, reactor.waker())))
            }
            count => {
                let counts = (count, options.spare_threads);
                let pool = Python::attach(|py| Pool::start(py, counts, application, reactor.waker()));
                let pool = pool.map_err(io::Error::other).map_err(boot_failure)?;
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
            number: Cell::new(0),
            watch: RefCell::new(HangWatch::new(setup.config.worker_timeout, options.threads)),
            is_stuck: Cell::new(false),
            grace: setup.config.grace,
            refuse_at: Cell::new(None),
            peer: Cell::new(None),
        };
        let format = setup.config.access_log_format.clone();
        let (mut worker, status) = setup.into_worker(assignment, log, recorder, service);
        if worker.access_log.is_none() {
            worker.access_log = python_log::access_log(format.as_deref()).map_err(boot_failure)?;
        }
        let result = crate::app::serve_on(worker, status, reactor);
        if !activity.is_none_or(|activity| activity.wait_until_idle(LAST_MOMENT)) {
            abort_without_interpreter();
        }
        result
    }
}

/// Whether the worker has the interpreter for its end.
static HAS_INTERPRETER: AtomicBool = AtomicBool::new(false);

/// Aborts this worker soon, if a thread that hangs holds the interpreter: then only faulthandler can say where it is.
/// The master would kill the worker a little later.
fn abort_without_interpreter() {
    let _ = std::thread::Builder::new().spawn(|| {
        std::thread::sleep(LAST_MOMENT);
        if !HAS_INTERPRETER.load(Ordering::Relaxed) {
            error!("a thread in the application holds the interpreter: this worker aborts");
            process::abort();
        }
    });
}

/// Has the allocator keep up to 4 MiB of freed memory at the end of each heap, for the bodies of the next requests. Otherwise
/// it gives a few of 64 KiB back to the kernel, and the kernel clears each page again. glibc takes the size of the
/// largest mapped block that was freed, twice, for this limit (mallopt(3), `M_MMAP_THRESHOLD`), unless its environment
/// variables set one.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(2 * 1024 * 1024)));
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
    type Content = WsgiContent;

    /// Reads the options again, and new workers load the application again.
    fn load(&mut self, _: bool) -> Result<(BaseConfig, WsgiContent), ConfigError> {
        if self.application.is_some() {
            warn!("with --preload the application stays as it is: restart the server to load it again");
        }
        let values = self.given.read()?;
        if let Some(folder) = values.path("chdir") {
            std::env::set_current_dir(self.given.folder.join(&folder)).map_err(|error| {
                let line = format!("cannot change to --chdir {}: {error}", folder.display());
                values.sources().start_error("--chdir", line)
            })?;
        }
        let (base, options) = config::check(&values)?;
        self.token = LoadToken::new();
        let mounts = options.mounts.iter().map(|(prefix, folder)| {
            let how = files::Options { symlinks: options.symlinks, ..files::Options::default() };
            let files = FileService::with_options(folder, how).map_err(|error| {
                let line = format!("--static {prefix}={}: {error}", folder.display());
                values.sources().start_error("--static", line)
            })?;
            Ok(Mount { prefix: prefix.clone(), files })
        });
        let mounts = mounts.collect::<Result<_, _>>()?;
        let options = Arc::new(options);
        self.options = Some(Arc::clone(&options));
        Ok((base, WsgiContent { options, mounts }))
    }

    fn start_lines(&self, _: &BaseConfig, content: &WsgiContent) -> StartLines {
        let options = &content.options;
        StartLines {
            program: "stheno-wsgi",
            subject: format!("app      {}", self.callbacks.name.as_ref().unwrap_or(&options.app)),
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

    fn line_format(&self) -> Option<LineFormat> {
        Some(error_log::format_line)
    }

    fn work(&mut self, setup: Setup, content: WsgiContent, assignment: Assignment, log: LogTarget) -> i32 {
        let options = Arc::clone(&content.options);
        // The worker has one thread so far: those of the application are made later, and have its rights.
        if options.identity.is_some()
            && let Err(error) = rights::give_up(options.identity)
        {
            error!("a worker cannot become another user: {error}");
            leave(BOOT_FAILURE);
        }
        let code = match self.application(&options, assignment.slot, &setup) {
            Ok(application) => match self.serve(&application, (setup, content), assignment, log) {
                Ok(()) => 0,
                Err((code, error)) => {
                    error!("a worker cannot serve: {error}");
                    code
                }
            },
            Err(error) => {
                if self.token.as_ref().is_none_or(LoadToken::is_ours) {
                    Python::attach(|py| complain(py, &error));
                }
                BOOT_FAILURE
            }
        };
        leave(code)
    }
}

/// Ends a worker: what the application has registered for the end runs, and nothing else. Threads that are still in the
/// application are not waited for.
fn leave(code: i32) -> ! {
    let left = Python::attach(|py| {
        HAS_INTERPRETER.store(true, Ordering::Relaxed);
        // Handlers are closed by `atexit`.
        python_log::finish(py);
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
