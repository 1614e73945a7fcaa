//! From one configuration to the next (SIGHUP), without a moment in which nobody serves.
//!
//! Everything that the new one asks for is opened first; then its workers are forked, and when all of them are ready
//! those of the old one are told to drain. Whatever goes wrong before that ends the trial, and the old ones have never
//! stopped. There are at most two generations: a reload waits until the one before the last has gone, which takes no
//! longer than its grace.

use std::collections::BTreeSet;
use std::time::Instant;

use log::{error, info};

use super::{Generation, Master, Phase, Plan, READY_WITHIN, StopMode, Watch, Work, count};

/// A generation that is to take over.
#[derive(Debug)]
pub(super) struct PendingReload {
    pub(super) crew: Generation,
    pub(super) deadline: Instant,
    plan: Plan,
    pub(super) watch: Watch,
    failed: Option<String>,
}

impl Master {
    /// Brings a reload as far as it can be brought now.
    pub(super) fn settle_reload(&mut self, now: Instant, work: &mut dyn Work) {
        if self.reload_wanted && self.may_reload() {
            self.reload_wanted = false;
            self.begin_reload(now, work);
        }
        let Some(trial) = &mut self.trial else {
            return;
        };
        if now >= trial.deadline && trial.failed.is_none() {
            trial.failed = Some(format!("its workers are not ready after {} s", READY_WITHIN.as_secs()));
        }
        if trial.failed.is_some() || trial.crew.is_ready() {
            self.end_trial(now, work);
        }
    }

    /// Whether no more than two generations would be there.
    fn may_reload(&self) -> bool {
        let serving = (!self.crew.seats.is_empty()).then_some(self.crew.generation);
        let leaving = self.leavers.iter().filter_map(|leaver| Some(leaver.line.as_ref()?.slot.generation()));
        let generations: BTreeSet<u64> = leaving.chain(serving).collect();
        let busy = self.trial.is_some() || self.upgrade.is_some() || self.phase != Phase::Serving;
        !busy && generations.len() <= 1
    }

    fn begin_reload(&mut self, now: Instant, work: &mut dyn Work) {
        self.notifier.reloading("Reading the configuration anew");
        match work.reload() {
            Ok(plan) => {
                let crew = Generation::new(self.crew.generation + 1, plan.workers, now);
                let watch = Watch::new(plan.worker_timeout, self.notifier.watchdog(), now);
                self.trial =
                    Some(PendingReload { crew, deadline: now + READY_WITHIN, plan, watch, failed: None });
            }
            Err(reason) => self.keep_the_old(&reason),
        }
    }

    pub(super) fn fail_trial(&mut self, reason: String) {
        if let Some(trial) = &mut self.trial {
            trial.failed.get_or_insert(reason);
        }
    }

    fn end_trial(&mut self, now: Instant, work: &mut dyn Work) {
        let Some(PendingReload { crew, plan, watch, failed, .. }) = self.trial.take() else {
            return;
        };
        work.reloaded(failed.is_none());
        if let Some(reason) = failed {
            self.dismiss(crew, StopMode::Stop, now);
            return self.keep_the_old(&reason);
        }
        let farewell = StopMode::Drain(self.plan.grace);
        let old = std::mem::replace(&mut self.crew, crew);
        self.dismiss(old, farewell, now);
        (self.plan, self.watch) = (plan, watch);
        self.watch.look(now);
        let workers = count(self.crew.seats.len() as u64, "worker");
        info!("the configuration has been read anew: {workers} of generation {}", self.crew.generation);
        self.notifier.ready(&self.status());
    }

    fn keep_the_old(&self, reason: &str) {
        error!("the new configuration is not used, and the old one stays in force: {reason}");
        self.notifier.ready(&self.status());
    }
}
