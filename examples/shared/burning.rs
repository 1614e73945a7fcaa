//! The file service, which computes before it serves `/burn`: for as many milliseconds of CPU as the variable `BURN` says.
//! `scripts/bench` measures what such requests cost the others, on a loop in each process and on a scheduler that moves
//! tasks.

use std::ops::Deref;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use stheno::clock::Now;
use stheno::files::FileService;
use stheno::http1::{Reply, Request, Service};
use stheno::server::WorkerService;

#[derive(Debug)]
pub(crate) struct Burning {
    files: FileService,
    time: Option<Duration>,
}

impl Burning {
    pub(crate) fn new(files: FileService) -> Self {
        let time = std::env::var("BURN").ok().and_then(|text| text.parse().ok()).map(Duration::from_millis);
        Self { files, time }
    }
}

impl Deref for Burning {
    type Target = FileService;

    fn deref(&self) -> &FileService {
        &self.files
    }
}

impl Service for Burning {
    #[inline]
    fn handle(&self, request: &Request<'_>, now: Now) -> Reply {
        if let Some(time) = self.time {
            burn(time, request);
        }
        self.files.handle(request, now)
    }
}

/// Out of line, so that a server that does not compute pays for one comparison.
#[cold]
fn burn(time: Duration, request: &Request<'_>) {
    if request.path() == Some(b"/burn") {
        let until = cpu_time() + time;
        while cpu_time() < until {}
    }
}

impl WorkerService for Burning {
    fn is_outdated(&self) -> bool {
        self.files.is_outdated()
    }

    fn tend(&self, now: Now) -> Option<Duration> {
        self.files.tend(now)
    }
}

/// Of this thread: time in which another one has the CPU does not count. rustix has no such clock of NetBSD.
fn cpu_time() -> Duration {
    #[cfg(not(target_os = "netbsd"))]
    let clock = ClockId::ThreadCPUTime;
    #[cfg(target_os = "netbsd")]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
