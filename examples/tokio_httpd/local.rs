//! What each thread owns: the service with its cache, the strings of this second, the access log, the buffer
//! that all connections of the thread read into.
//!
//! The scheduler moves tasks between threads, and the file service is made for one thread. A lock around it would be
//! held for as long as a file is looked up, and two requests would wait for each other where two processes do not.
//! So a task takes the service of the thread that it runs on at the moment, for one turn and without an `await` in it;
//! what it costs is that each thread learns of a file by itself. (`server::Shared`)

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use stheno::chat::Spares;
use stheno::clock::{DateCache, Instant, Now};
use stheno::files::{FileService, Options};
use stheno::server::{AccessLog, LogSink};
use stheno::sys::descriptor;

use crate::burning::Burning;

/// What one read takes: the reactor's figure.
const SCRATCH: usize = 64 * 1024;

/// How often the service may tidy up.
const TEND_EVERY: Duration = Duration::from_secs(1);

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

/// Everything that a [`Local`] is made of, opened before there are threads that could not.
#[derive(Debug)]
pub(crate) struct Kit {
    root: OwnedFd,
    path: Option<PathBuf>,
    is_confined: bool,
    options: Options,
    log: Option<AccessLog>,
}

impl Kit {
    /// One for each of `threads` threads. They share the descriptors that the cache may hold.
    pub(crate) fn several(
        threads: usize,
        service: &FileService,
        log: Option<&AccessLog>,
    ) -> io::Result<Vec<Self>> {
        let options = service.options();
        let options = Options { cached_files: options.cached_files / threads, ..options.clone() };
        let kit = |_| {
            let log = log.map(AccessLog::another);
            Ok(Self {
                root: descriptor::duplicate(service.root())?,
                path: service.path(),
                is_confined: service.is_confined(),
                options: options.clone(),
                log,
            })
        };
        (0..threads).map(kit).collect()
    }

    /// Gives it to this thread.
    pub(crate) fn install(self) {
        let service = FileService::of_directory(self.root, self.path.as_deref(), self.options);
        if self.is_confined {
            service.confine();
        }
        let local = Local {
            service: Burning::new(service),
            dates: DateCache::new(),
            log: self.log.map(AccessLog::into_sink),
            scratch: vec![0; SCRATCH].into(),
            spares: Spares::default(),
            wide: 0,
            tended: Instant::now(),
            nobody_tends: false,
        };
        LOCAL.set(Some(local));
    }
}

#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) service: Burning,
    pub(crate) dates: DateCache,
    pub(crate) log: Option<Box<dyn LogSink>>,
    pub(crate) scratch: Box<[u8]>,
    pub(crate) spares: Spares,
    /// What a context needs; it bounds nothing here.
    pub(crate) wide: u32,
    tended: Instant,
    /// The service has nothing to put away, so the task that asks it sleeps until it is told.
    nobody_tends: bool,
}

/// What this thread has, for as long as the call takes.
pub(crate) fn with<R>(call: impl FnOnce(&mut Local) -> R) -> R {
    LOCAL.with_borrow_mut(|local| call(local.as_mut().expect("the thread has been given its kit")))
}

/// As [`with`]; nothing on a thread that has none, or none any more.
pub(crate) fn try_with(call: impl FnOnce(&mut Local)) {
    let _ = LOCAL.try_with(|local| {
        if let Ok(mut local) = local.try_borrow_mut() {
            local.as_mut().map(call);
        }
    });
}

/// For a thread that is about to wait: what the reactor does between two turns.
pub(crate) fn flush_log() {
    try_with(|local| local.log.as_mut().map_or((), |log| log.flush()));
}

/// Whether the service of this thread has found that another directory has the path of the root.
pub(crate) fn is_outdated() -> bool {
    let mut is_outdated = false;
    try_with(|local| is_outdated = local.service.is_outdated());
    is_outdated
}

impl Local {
    /// Lets the service put away what it no longer needs, once a second at the most; returns in what time it is
    /// due again.
    pub(crate) fn tend(&mut self) -> Option<Duration> {
        let now = Now::ask();
        let since = now.monotonic.saturating_duration_since(self.tended);
        if since < TEND_EVERY {
            return Some(TEND_EVERY - since);
        }
        self.tended = now.monotonic;
        let rest = self.service.tend(now);
        self.nobody_tends = rest.is_none();
        rest.map(|rest| rest.max(TEND_EVERY))
    }

    /// Whether the service has been used since that task went to sleep; true once.
    pub(crate) fn wants_tending(&mut self) -> bool {
        std::mem::take(&mut self.nobody_tends)
    }
}
