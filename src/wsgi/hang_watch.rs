//! Finds threads that hang in the application, and a worker that makes no progress because of them (`--timeout`).

use std::time::Duration;

use log::{error, warn};

use super::activity::Silence;
use super::pool::Pool;
use super::stacks::log_stacks;

/// Watches the threads of a pool.
#[derive(Debug)]
pub(super) struct HangWatch {
    /// Threads without output for this time hang; zero for no limit.
    timeout: Duration,
    /// Threads that may run the application at the same time.
    threads: usize,
    /// The threads that were reported and hang still.
    reported: Vec<Silence>,
}

impl HangWatch {
    pub(super) fn new(timeout: Duration, threads: usize) -> Self {
        Self { timeout, threads, reported: Vec::new() }
    }

    /// Whether there is something to watch.
    pub(super) fn is_on(&self) -> bool {
        !self.timeout.is_zero()
    }

    /// Looks at the threads; logs the stacks of those that hang, if three of four do. Returns whether the worker makes no
    /// progress: requests wait, and for the time-out no thread has returned or had output.
    pub(super) fn look(&mut self, pool: &Pool) -> bool {
        let mut threads: Vec<Silence> = pool.activity().silences().collect();
        let inside = threads.len();
        threads.retain(|thread| thread.time >= self.timeout);
        let hanging = threads.len();
        let is_stuck = inside == hanging
            && pool.waiting().is_some_and(|(time, has_idle)| {
                // Threads that wait for jobs take none if one that hangs holds the interpreter.
                hanging >= self.threads || time >= self.timeout && (hanging > 0 || has_idle)
            });
        let seconds = self.timeout.as_secs_f64();
        if is_stuck {
            error!(
                "no thread has returned for {seconds:.0} s, and requests wait: this worker is replaced; what is due may \
                 take until the end of --grace"
            );
        }
        self.reported.retain(|one| threads.iter().any(|thread| thread.is_same(one)));
        let is_new = threads.iter().any(|thread| !self.reported.iter().any(|one| one.is_same(thread)));
        if is_new && (is_stuck || hanging * 4 >= self.threads * 3) {
            let all = self.threads;
            warn!("threads in the application for {seconds:.0} s without output: {hanging} of {all}");
            self.reported.clone_from(&threads);
            log_stacks(threads);
        }
        is_stuck
    }
}
