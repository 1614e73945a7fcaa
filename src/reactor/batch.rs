//! How many connections are accepted at a time.

/// The most connections of one report: as many as a turn has room for beside other channels.
const MOST: u32 = 16;

/// After how many reports a larger batch is tried.
const REPORTS_PER_TRIAL: u32 = 16;

/// The size of a batch, which follows the length of the queue.
///
/// A queue that is longer than the batch is reported again, at the cost of a wait; one that is shorter costs a call that
/// finds nothing. So the batch is one connection while they come one at a time, and doubles while they come faster.
#[derive(Debug)]
pub(super) struct Batch {
    limit: u32,
    taken: u32,
    ran_dry: bool,
    /// Reports until a larger batch is tried.
    until_trial: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self { limit: 1, taken: 0, ran_dry: false, until_trial: REPORTS_PER_TRIAL }
    }
}

impl Batch {
    /// Counts a connection; returns whether another one belongs to the batch.
    pub(super) fn takes_another(&mut self) -> bool {
        self.taken += 1;
        self.taken < self.limit
    }

    /// Notes that the queue is empty.
    pub(super) fn ran_dry(&mut self) {
        self.ran_dry = true;
    }

    /// Ends the batch, and chooses the size of the next one.
    pub(super) fn end(&mut self) {
        if self.ran_dry {
            // The end of a long queue says little about the next one.
            self.limit = self.taken.max(self.limit / 2).max(1);
            self.until_trial = if self.limit > 1 { 1 } else { REPORTS_PER_TRIAL };
        } else if self.taken >= self.limit {
            self.until_trial -= 1;
            if self.until_trial == 0 {
                // As long as it is right, it goes on to double.
                (self.limit, self.until_trial) = ((2 * self.limit).min(MOST), 1);
            }
        }
        (self.taken, self.ran_dry) = (0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves reports of a queue of `length`; returns the accepts that found nothing, and the waits.
    fn serve(batch: &mut Batch, length: u32, reports: u32) -> (u32, u32) {
        let (mut failures, mut waits) = (0, 0);
        for _ in 0..reports {
            let mut left = length;
            while left > 0 {
                waits += 1;
                loop {
                    if left == 0 {
                        failures += 1;
                        batch.ran_dry();
                        break;
                    }
                    left -= 1;
                    if !batch.takes_another() {
                        break;
                    }
                }
                batch.end();
            }
        }
        (failures, waits)
    }

    #[test]
    fn a_batch_is_as_long_as_the_queue() {
        let mut batch = Batch::default();
        assert_eq!(serve(&mut batch, 1, 1600), (1600 / 17, 1600), "one at a time");
        let (failures, waits) = serve(&mut batch, 100, 100);
        assert!(failures <= 100 && waits <= 900, "{failures} failures, {waits} waits for 10,000 connections");
        let (failures, waits) = serve(&mut batch, 1, 1600);
        assert!(failures <= 100 && waits == 1600, "one at a time again: {failures}");
    }
}
