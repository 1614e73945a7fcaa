//! The doctor of a loop that runs: reports in the log, and keeps what it reported last.

use std::collections::VecDeque;

use super::doctor::Doctor;
use super::finding::{Finding, TurnRecords};
use super::lines::Book;

/// How many findings are kept.
const KEPT: usize = 16;

/// A doctor, and its last reports.
#[derive(Debug)]
pub(super) struct LiveDoctor {
    doctor: Doctor,
    reported: VecDeque<Finding>,
}

impl LiveDoctor {
    pub(super) fn new(kind: &str) -> Self {
        Self { doctor: Doctor::live(kind), reported: VecDeque::with_capacity(KEPT) }
    }

    /// Looks at the turn that has just ended.
    pub(super) fn look(&mut self, turn: TurnRecords<'_>, book: &dyn Book) {
        self.doctor.look(turn, book);
        for finding in self.doctor.take() {
            log::warn!("the loop: {}; {}", finding.text, finding.cure);
            if self.reported.len() == KEPT {
                self.reported.pop_front();
            }
            self.reported.push_back(finding);
        }
    }

    pub(super) fn reported(&self) -> Vec<Finding> {
        self.reported.iter().cloned().collect()
    }
}
