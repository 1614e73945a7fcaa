//! The WSGI server as the master sees it: an application, loaded in each worker.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::{error, warn};
use pyo3::prelude::*;

use super::config::{self, WsgiOptions};
use super::environ::{Application, Concurrency, ServerPlace};
use super::error_log;
use super::hang_watch::HangWatch;
use super::hooks::{ProcessHook, ProcessHooks};
use super::inline::Inline;
use super::interpreter::{self, complain};
use super::kept_signals::{self, KeptSignals};
use super::load_token::LoadToken;
use super::options::GivenOptions;
use super::pool::Pool;
use super::python_log;
use super::run::Runner;
use super::service::{Caller, Mount, WsgiService};
use super::shared::WorkerContext;
use super::spool;
use crate::access::{Access, Users};
use crate::app;
use crate::app::server::{App, Server};
use crate::app::setup::Setup;
use crate::app::start_lines::StartLines;
use crate::config::{AccessConfig, BaseConfig, ConfigError};
use crate::files::{self, FileService};
use crate::master::{Assignment, BOOT_FAILURE, Ended};
use crate::reactor::{Probe, Reactor, Recorded};
use crate::recording::Recorder;
use crate::server::{Address, LineFormat, LogFormat, LogTarget};
use crate::sys::process::{self, Exit, Pid};
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
    /// Runs in each worker after the application was loaded, with the number of the worker, whether it reloads, and a
    /// function that returns whether it drains.
    pub(super) ready: Py<PyAny>,
    /// Returns the hooks that an option names, or those of a program; `None` if there are none.
    pub(super) hooks: Py<PyAny>,
    /// The name of the application in the start-up lines, if it is not that of the option.
    pub(super) name: Option<String>,
}

/// Serves until it is told to stop. Returns the exit code.
///
/// # Errors
/// The first thing that the configuration asks for and cannot be had.
pub(super) fn serve(given: GivenOptions, callbacks: Callbacks) -> Result<i32, ConfigError> {
    let folder = given.folder.clone();
    let mut executable = Python::attach(interpreter::executable)
        .map_err(|error| ConfigError::Start(format!("the interpreter does not know its program: {error}")))?;
    let mut server = Server::open(WsgiApp::new(given, callbacks))?;
    error_log::open(server.log().clone());
    if !server.app.load_hooks() || !server.app.preload() {
        return Ok(NO_APPLICATION);
    }
    // --chdir has changed it; a successor changes it again.
    executable.folder = (std::env::current_dir().ok().as_ref() != Some(&folder)).then_some(folder);
    match server.run(executable, interpreter::fork)? {
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
    let loaded = app.load_hooks()
        && Python::attach(|py| {
            // What reloads would take a broken application.
            let options = WsgiOptions { reload: false, ..content.options.as_ref().clone() };
            app.load_application(py, &options).inspect_err(|error| complain(py, error)).is_ok()
        });
    Ok(if loaded { 0 } else { NO_APPLICATION })
}

/// An application, and how it is served.
pub(super) struct WsgiApp {
    given: GivenOptions,
    callbacks: Callbacks,
    /// The options that were read last.
    pub(super) options: Option<Arc<WsgiOptions>>,
    hooks: ProcessHooks,
    /// The application, with `--preload`.
    application: Option<Py<PyAny>>,
    /// Present while workers load the application for the first time: the first one that fails reports it for all.
    token: Option<LoadToken>,
}

/// What the workers of one configuration serve.
pub(super) struct WsgiContent {
    pub(super) options: Arc<WsgiOptions>,
    pub(super) mounts: Vec<Mount>,
    /// The clients and users that are served; `None` for all.
    pub(super) access: Option<Access>,
}

impl WsgiApp {
    pub(super) fn new(given: GivenOptions, callbacks: Callbacks) -> Self {
        let hooks = ProcessHooks::default();
        Self { given, callbacks, options: None, hooks, application: None, token: None }
    }

    pub(super) fn load_application(&self, py: Python<'_>, options: &WsgiOptions) -> PyResult<Py<PyAny>> {
        python_log::configure(py, options.log_config.as_deref())?;
        self.call_load(py, options)
    }

    fn call_load(&self, py: Python<'_>, options: &WsgiOptions) -> PyResult<Py<PyAny>> {
        self.callbacks.load.call1(py, (&options.app, options.factory, options.reload))
    }

    /// Imports the hooks, once. Returns whether there was no error.
    fn load_hooks(&mut self) -> bool {
        let name = self.options.as_ref().and_then(|options| options.hooks.clone());
        let loaded = Python::attach(|py| {
            let hooks = self.callbacks.hooks.call1(py, (name,)).and_then(|hooks| hooks.extract(py));
            hooks.inspect_err(|error: &PyErr| complain(py, error)).ok()
        });
        let is_loaded = loaded.is_some();
        self.hooks = loaded.unwrap_or_default();
        is_loaded
    }

    /// Loads the application before the fork, if it is to be. Returns whether there was no error.
    fn preload(&mut self) -> bool {
        let Some(options) = self.options.clone().filter(|options| options.preload) else {
            return true;
        };
        self.application = Python::attach(|py| {
            let before = kept_signals::handlers(py);
            let loaded = self.load_application(py, &options).inspect_err(|error| complain(py, error)).ok();
            let reported = before.and_then(|before| kept_signals::report_taken(py, &before));
            reported.inspect_err(|error| error.display(py)).ok().and(loaded)
        });
        self.application.is_some()
    }

    /// The application and the signals, in the worker that `setup` and `assignment` are for.
    fn load_in_worker(
        &mut self,
        options: &WsgiOptions,
        setup: &Setup,
        assignment: &Assignment,
    ) -> PyResult<(Arc<Application>, KeptSignals)> {
        let (saves, is_inline) = (setup.config.record.is_some(), options.threads == 0);
        Python::attach(|py| {
            let signals = KeptSignals::new(py, &assignment.signals, saves, is_inline)?;
            let preloaded = self.application.take();
            if preloaded.is_none() {
                python_log::configure(py, options.log_config.as_deref())?;
            }
            self.hooks.run(py, ProcessHook::PostFork(assignment.slot));
            let callable = preloaded.map_or_else(|| self.call_load(py, options), Ok)?;
            python_log::join(py)?;
            let line = py.import("stheno_wsgi.loading")?.call_method1("check_threads", (options.threads,))?;
            if let Some(line) = line.extract::<Option<String>>()?.filter(|_| assignment.slot == 0) {
                warn!("{line}");
            }
            let application = application(py, callable, options, setup)?;
            let is_draining = interpreter::is_draining(py, &application.context)?;
            self.callbacks.ready.call1(py, (assignment.slot, options.reload, is_draining))?;
            signals.imported(py)?;
            Ok((application, signals))
        })
    }

    /// Serves the application in a worker. An error has the exit code beside it.
    pub(super) fn serve(
        &self,
        application: (&Arc<Application>, Option<KeptSignals>),
        (setup, content): (Setup, WsgiContent),
        assignment: Assignment,
        log: LogTarget,
    ) -> Result<(), (i32, io::Error)> {
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
        (application, signals): (&Arc<Application>, Option<KeptSignals>),
        (setup, content): (Setup, WsgiContent),
        assignment: Assignment,
        log: LogTarget,
    ) -> Result<(), (i32, io::Error)> {
        let boot_failure = |error| (BOOT_FAILURE, error);
        // Another process is neither ended nor tuned.
        let is_own_process = signals.is_some();
        let reactor = reactor.map_err(boot_failure)?;
        if is_own_process {
            keep_freed_memory();
        }
        let WsgiContent { options, mounts, access } = content;
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
            proxies: options.proxies.clone(),
            forwarded: RefCell::default(),
            client: Cell::default(),
            user: RefCell::default(),
            signals,
        };
        let format = setup.config.access_log_format.clone();
        let (mut worker, status) = setup.into_worker(assignment, log, recorder, service);
        if worker.access_log.is_none() {
            worker.access_log = python_log::access_log(format.as_deref()).map_err(boot_failure)?;
        }
        let result = match access {
            Some(access) => app::serve_some_on(worker, status, access, reactor),
            None => app::serve_on(worker, status, reactor),
        };
        if !activity.is_none_or(|activity| activity.wait_until_idle(LAST_MOMENT)) && is_own_process {
            abort_without_interpreter();
        }
        result
    }
}

/// Opens the folders that are served beside the application.
pub(super) fn open_mounts(options: &WsgiOptions) -> Result<Vec<Mount>, String> {
    let mounts = options.mounts.iter().map(|(prefix, folder)| {
        let how = files::Options { symlinks: options.symlinks, ..files::Options::default() };
        let opened = FileService::with_options(folder, how);
        let files = opened.map_err(|error| format!("--static {prefix}={}: {error}", folder.display()))?;
        Ok(Mount { prefix: prefix.clone(), files })
    });
    mounts.collect()
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

/// The application, for a worker that listens as `setup` says.
pub(super) fn application(
    py: Python<'_>,
    callable: Py<PyAny>,
    options: &WsgiOptions,
    setup: &Setup,
) -> PyResult<Arc<Application>> {
    let (base, addresses) = (&setup.config, &setup.listeners.addresses);
    let places: Vec<_> = addresses.iter().map(|address| place(address, setup.tls.is_some())).collect();
    let concurrency = Concurrency { multithread: options.threads > 1, multiprocess: base.workers > 1 };
    let context = WorkerContext {
        server: base.settings.server.clone(),
        forwarded_field: options.proxies.as_ref().map(|proxies| proxies.forwarded.field.clone()),
        run_abandoned: options.run_abandoned,
        logs_fields: base.access_log_format.as_deref().is_some_and(LogFormat::has_response_fields),
        ..WorkerContext::default()
    };
    let callable = callable.into_bound(py);
    Application::new(callable, &places, &options.url_prefix, concurrency, Arc::new(context)).map(Arc::new)
}

/// Name and port are never empty (WSGI E8). Unix sockets have no TLS.
fn place(address: &Address, has_tls: bool) -> ServerPlace {
    match address {
        Address::Internet(address) => {
            ServerPlace { name: address.ip().to_string(), port: address.port().to_string(), is_tls: has_tls }
        }
        Address::Unix(_) => ServerPlace { name: "localhost".into(), port: "80".into(), is_tls: false },
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
        spool::check(base.settings.limits.body).map_err(ConfigError::Start)?;
        self.token = LoadToken::new();
        let mounts = open_mounts(&options).map_err(|line| values.sources().start_error("--static", line))?;
        let access = open_access(&base, &options)?;
        let options = Arc::new(options);
        self.options = Some(Arc::clone(&options));
        Ok((base, WsgiContent { options, mounts, access }))
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
            && let Err(error) = become_another(&options, &setup.config)
        {
            error!("{error}");
            leave(BOOT_FAILURE, None);
        }
        let code = match self.load_in_worker(&options, &setup, &assignment) {
            Ok((application, signals)) => {
                match self.serve((&application, Some(signals)), (setup, content), assignment, log) {
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
        leave(code, Some(&self.hooks))
    }

    fn ready(&mut self) {
        self.hooks.run_in_master(ProcessHook::WhenReady);
    }

    fn worker_reaped(&mut self, slot: usize, pid: Pid, exit: Exit) {
        self.hooks.run_in_master(ProcessHook::ChildExit(slot, pid, exit));
    }
}

/// Becomes the user of `--user`, which may be unable to write what the master can.
fn become_another(options: &WsgiOptions, base: &BaseConfig) -> Result<(), String> {
    rights::give_up(options.identity)
        .map_err(|error| format!("a worker cannot become another user: {error}"))?;
    spool::check(base.settings.limits.body)
}

/// Reads the file of users, and checks that neither it nor a key is among the files that are served.
pub(super) fn open_access(base: &BaseConfig, options: &WsgiOptions) -> Result<Option<Access>, ConfigError> {
    let roots: Vec<_> = options.mounts.iter().map(|(_, folder)| folder.clone()).collect();
    app::check_keys(base, &roots)?;
    let AccessConfig { allow, auth, forwarded } = &options.access;
    let users = auth.as_ref().map(|path| Users::read(path, &roots)).transpose();
    let users = users.map_err(|line| base.sources.start_error("--auth", line))?;
    // Proxies alone refuse nobody.
    let is_restricted = allow.is_some() || users.is_some();
    Ok(is_restricted.then(|| Access { allow: allow.clone(), users, forwarded: forwarded.clone() }))
}

/// Ends a worker: what the application has registered for the end runs, and nothing else. Threads that are still in the
/// application are not waited for.
fn leave(code: i32, hooks: Option<&ProcessHooks>) -> ! {
    let left = Python::attach(|py| {
        HAS_INTERPRETER.store(true, Ordering::Relaxed);
        kept_signals::release(py);
        hooks.into_iter().for_each(|hooks| hooks.run(py, ProcessHook::WorkerExit));
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
