//! From one configuration to the next (SIGHUP), while the old workers serve.
//!
//! A child tries the new configuration first, because a host name may have to be looked up, and a resolver or a disk may
//! not answer. The master opens everything that the new configuration asks for, then forks its workers, and tells the
//! old ones to drain when all of the new ones are ready. Any failure before that ends the reload, and the old workers have not
//! stopped for a moment. There are at most two generations: a reload waits until the one before the last has gone,
//! which takes no longer than its grace.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use log::{error, info};

use super::generation::Generation;
use super::reporter::Reporter;
use super::stopping::{ExitingWorker, StopMode};
use super::watch::Watch;
use super::{FAILURE, Master, Phase, Plan, READY_TIMEOUT, Work, count};
use crate::sys::descriptor;
use crate::sys::process::{self, Exit, Forked};
use crate::sys::signal::{self, Blocked, Signal};

/// The time after which a reload is tried again that did not help outdated workers.
const OUTDATED_AGAIN: Duration = Duration::from_secs(10);

/// The exit code of a rehearsal that has found a mistake; its report is the line for the log.
const MISTAKE: i32 = 1;

/// A generation that is to become the current one.
#[derive(Debug)]
pub(super) struct PendingReload {
    pub(super) generation: Generation,
    pub(super) deadline: Instant,
    plan: Plan,
    pub(super) watch: Watch,
    pub(super) failure: Option<String>,
}

impl Master {
    /// Takes the steps of a reload that are possible now.
    pub(super) fn advance_reload(&mut self, now: Instant, work: &mut dyn Work) {
        if self.reload_requested && self.can_begin_reload() {
            self.reload_requested = false;
            self.begin_rehearsal(now, work);
        }
        self.advance_rehearsal(now, work);
        let Some(pending) = &mut self.pending else {
            return;
        };
        if now >= pending.deadline && pending.failure.is_none() {
            pending.failure = Some(format!("its workers are not ready after {} s", READY_TIMEOUT.as_secs()));
        }
        if pending.failure.is_some() || pending.generation.is_ready() {
            self.finish_reload(now, work);
        }
    }

    /// Notes that a reload is asked for, and says what it waits for, if it has to wait.
    pub(super) fn request_reload(&mut self) {
        if std::mem::replace(&mut self.reload_requested, true) || self.can_begin_reload() {
            return;
        }
        let grace = self.plan.grace.as_secs_f64();
        match self.phase {
            Phase::Starting(_) => info!("the reload waits until the first workers are ready"),
            _ if self.rehearsal.is_some() || self.pending.is_some() => {
                info!("another reload follows the one that is under way")
            }
            _ if self.upgrade.is_some() => info!("the reload waits for the end of the hand-over"),
            _ => info!(
                "the reload waits for workers of the configuration before this one, which have up to {grace} s"
            ),
        }
    }

    /// Asks for a reload when a worker has found another directory in the place of its root. A reload that did not help is
    /// not repeated at once.
    pub(super) fn reload_outdated(&mut self, now: Instant) {
        let number = self.current.number;
        if self.current.workers().filter(|worker| worker.link.heartbeat.take_outdated()).count() == 0 {
            return;
        }
        if self.outdated.is_none_or(|(then, at)| then != number || now.duration_since(at) >= OUTDATED_AGAIN) {
            self.outdated = Some((number, now));
            info!("another directory has the path of the root; the configuration is read again");
            self.request_reload();
        }
    }

    /// Whether a reload would make no third generation.
    fn can_begin_reload(&self) -> bool {
        let serving = (!self.current.slots.is_empty()).then_some(self.current.number);
        let exiting = self.exiting.iter().filter(|worker| !worker.is_left_behind());
        let exiting = exiting.filter_map(|worker| Some(worker.link.as_ref()?.heartbeat.generation()));
        let generations: BTreeSet<u64> = exiting.chain(serving).collect();
        let reloads = self.rehearsal.is_some() || self.pending.is_some();
        let busy = reloads || self.upgrade.is_some() || self.phase != Phase::Serving;
        !busy && generations.len() <= 1
    }

    fn begin_rehearsal(&mut self, now: Instant, work: &mut dyn Work) {
        self.notifier.reloading("Reading the configuration again");
        match self.fork_rehearsal(now, work) {
            Ok(rehearsal) => self.rehearsal = Some(rehearsal),
            Err(error) => self.keep_current(&format!("it cannot be tried: {error}")),
        }
    }

    fn fork_rehearsal(&mut self, now: Instant, work: &mut dyn Work) -> io::Result<Reporter> {
        let (report, theirs) = descriptor::pipe()?;
        let blocked = Blocked::all();
        match process::fork()? {
            Forked::Parent(pid) => Ok(Reporter::new(pid, report, now + READY_TIMEOUT)),
            Forked::Child => {
                process::end_with_parent();
                let _ = signal::reset(&Signal::ALL);
                drop(blocked);
                // A worker sees the end of the master when no process holds the other end of its line.
                self.current.slots.clear();
                self.exiting.clear();
                let (code, text) = match work.rehearse() {
                    Ok(text) => (0, text),
                    Err(line) => (MISTAKE, line),
                };
                let is_written = rustix::io::write(theirs, text.as_bytes()) == Ok(text.len());
                std::process::exit(if is_written { code } else { FAILURE })
            }
        }
    }

    /// Begins the reload when its rehearsal has succeeded.
    fn advance_rehearsal(&mut self, now: Instant, work: &mut dyn Work) {
        let Some(rehearsal) = &mut self.rehearsal else {
            return;
        };
        rehearsal.read();
        let (text, pid) = (rehearsal.text(), rehearsal.pid);
        match rehearsal.exit {
            None if now < rehearsal.deadline => return,
            None => {
                self.exiting.push(ExitingWorker::new(pid, None, StopMode::Stop, now));
                let seconds = READY_TIMEOUT.as_secs();
                self.keep_current(&format!("a resolver or a disk has not answered for {seconds} s"));
            }
            Some(Exit::Code(0)) => self.begin_reload(&text, now, work),
            Some(Exit::Code(MISTAKE)) => self.keep_current(&text),
            Some(exit) => self.keep_current(&format!("the process that tries it has failed ({exit})")),
        }
        self.rehearsal = None;
    }

    fn begin_reload(&mut self, rehearsed: &str, now: Instant, work: &mut dyn Work) {
        match work.reload(rehearsed) {
            Ok(plan) => {
                let generation = Generation::new(self.current.number + 1, plan.workers, now);
                let watch = Watch::new(plan.worker_timeout, self.notifier.watchdog(), now);
                let deadline = now + READY_TIMEOUT;
                self.pending = Some(PendingReload { generation, deadline, plan, watch, failure: None });
            }
            Err(reason) => self.keep_current(&reason),
        }
    }

    pub(super) fn fail_reload(&mut self, reason: String) {
        if let Some(pending) = &mut self.pending {
            pending.failure.get_or_insert(reason);
        }
    }

    fn finish_reload(&mut self, now: Instant, work: &mut dyn Work) {
        let Some(PendingReload { generation, plan, watch, failure, .. }) = self.pending.take() else {
            return;
        };
        work.reloaded(failure.is_none());
        if let Some(reason) = failure {
            self.stop_generation(generation, StopMode::Stop, now);
            return self.keep_current(&reason);
        }
        let mode = StopMode::Drain(self.plan.grace);
        let old = std::mem::replace(&mut self.current, generation);
        self.stop_generation(old, mode, now);
        (self.plan, self.watch) = (plan, watch);
        self.watch.look(now);
        let workers = count(self.current.slots.len() as u64, "worker");
        info!("the configuration has been read again: {workers} of generation {}", self.current.number);
        self.notifier.ready(&self.status());
    }

    /// The old configuration stays in force. If SIGWINCH has ended its workers, others begin: SIGHUP asks for workers, and
    /// clients wait in the queue.
    fn keep_current(&mut self, reason: &str) {
        error!("the new configuration is not used, and the old one stays in force: {reason}");
        if self.current.slots.is_empty() {
            self.current = Generation::new(self.current.number, self.plan.workers, Instant::now());
            info!("{} of the old configuration begin", count(self.current.slots.len() as u64, "worker"));
        }
        self.notifier.ready(&self.status());
    }
}
