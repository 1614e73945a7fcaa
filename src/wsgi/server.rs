//! The WSGI server as the master sees it: an application, loaded in each worker.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::{error, warn};
use pyo3::prelude::*;

use super::config::{self, WsgiOptions};
use super::content::{self, WsgiContent};
use super::environ::Application;
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
use super::service::{Caller, WsgiService};
use super::spool;
use super::{error_log, forked};
use crate::app;
use crate::app::server::{App, Server};
use crate::app::setup::Setup;
use crate::app::start_lines::StartLines;
use crate::config::{BaseConfig, ConfigError};
use crate::master::{Assignment, BOOT_FAILURE, Ended};
use crate::reactor::{Probe, Reactor, Recorded, Waker};
use crate::recording::Recorder;
use crate::server::{LineFormat, LogTarget};
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
            let application = content::application(py, callable, options, setup)?;
            let is_draining = interpreter::is_draining(py, &application.context)?;
            self.callbacks.ready.call1(py, (assignment.slot, options.reload, is_draining))?;
            signals.imported(py)?;
            forked::watch(py, signals.numbers(), setup)?;
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
        let caller = caller(&options, application, reactor.waker()).map_err(boot_failure)?;
        let activity = caller.activity();
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
            interpreter::abort_without_interpreter(LAST_MOMENT);
        }
        result
    }
}

/// What calls the application for the loop that `waker` wakes.
fn caller(options: &WsgiOptions, application: &Arc<Application>, waker: Waker) -> io::Result<Caller> {
    Python::attach(|py| match options.threads {
        0 => {
            let runner = Runner::new(py, Arc::clone(application));
            let inline = Inline::new(runner, Arc::clone(&application.context), waker);
            Ok(Caller::Loop(Arc::new(inline)))
        }
        count => {
            let counts = (count, options.spare_threads);
            let pool = Pool::start(py, counts, application, waker).map_err(io::Error::other)?;
            Ok(Caller::Threads(Arc::new(pool)))
        }
    })
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
        let options = Arc::new(options);
        self.options = Some(Arc::clone(&options));
        let content = WsgiContent::open(&base, options)?;
        Ok((base, content))
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
            interpreter::leave(BOOT_FAILURE, None);
        }
        let logs_to_file = setup.config.logfile.is_some();
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
                    Python::attach(|py| {
                        complain(py, &error);
                        if logs_to_file {
                            error_log::failure(py, &error);
                        }
                    });
                }
                BOOT_FAILURE
            }
        };
        interpreter::leave(code, Some(&self.hooks))
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
