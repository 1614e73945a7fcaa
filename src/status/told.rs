//! The last finding of the doctor in a worker whose loop is recorded, on the worker's page of the board.
//!
//! The text lies in words, as everything on the board. The time is written last, and a reader looks at it before and after:
//! a text that was changed meanwhile is not shown.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::board::{Slot, TOLD};
use crate::recording::Finding;

/// The positions after [`TOLD`]: when it was told, in microseconds since the board was made, and 0 for nothing; then how many
/// bytes the text has; then the text.
const TIME: usize = TOLD;
const LENGTH: usize = TOLD + 1;
const TEXT: usize = TOLD + 2;

impl Slot {
    /// Publishes a finding at the time `uptime` of the board.
    pub(super) fn tell(&self, finding: &Finding, uptime: Duration) {
        let text = format!("{}\n{}", finding.text, finding.cure);
        let room = (self.page.len() - TEXT) * size_of::<u64>();
        let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let bytes = &text.as_bytes()[..end];
        let set = |word: usize, value: u64| self.page[word].store(value, Ordering::Relaxed);
        set(TIME, 0);
        fence(Ordering::Release);
        for (word, piece) in bytes.chunks(size_of::<u64>()).enumerate() {
            let mut value = [0; size_of::<u64>()];
            value[..piece.len()].copy_from_slice(piece);
            set(TEXT + word, u64::from_le_bytes(value));
        }
        set(LENGTH, bytes.len() as u64);
        let micros = u64::try_from(uptime.as_micros()).unwrap_or(u64::MAX);
        self.page[TIME].store(micros.max(1), Ordering::Release);
    }

    /// The last finding: when it was told, what was found, and the cure.
    pub(super) fn told(&self) -> Option<(Duration, String, String)> {
        let time = self.page[TIME].load(Ordering::Acquire);
        let length = usize::try_from(self.page[LENGTH].load(Ordering::Relaxed)).ok()?;
        let words = self.page[TEXT..].iter().take(length.div_ceil(size_of::<u64>()));
        let bytes: Vec<u8> =
            words.flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).take(length).collect();
        fence(Ordering::Acquire);
        if time == 0 || self.page[TIME].load(Ordering::Relaxed) != time {
            return None;
        }
        let text = String::from_utf8(bytes).ok()?;
        let (text, cure) = text.split_once('\n').unwrap_or((&text, ""));
        Some((Duration::from_micros(time), text.into(), cure.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::Board;
    use super::*;
    use crate::recording::{FindingKind, NO_KEY, Severity};

    #[test]
    fn the_last_finding_of_a_worker_is_told_to_all() {
        let board = Board::new().expect("memory");
        let slot = board.slot(2).expect("a slot");
        assert_eq!(slot.told(), None);
        let mut finding = Finding {
            kind: FindingKind::SlowHook,
            severity: Severity::Warning,
            turn: 7,
            key: NO_KEY,
            time: 0,
            text: "handle_read of Echo 3.1 took 12 ms → late".into(),
            cure: "do less",
        };
        slot.tell(&finding, Duration::from_secs(3));
        let other = board.slot(2).expect("the same slot");
        assert_eq!(other.told(), Some((Duration::from_secs(3), finding.text.clone(), "do less".into())));
        // More than there is room for is cut between two letters.
        finding.text = "→".repeat(400);
        slot.tell(&finding, Duration::from_secs(4));
        let (_, text, cure) = other.told().expect("a finding");
        assert!(text.chars().all(|letter| letter == '→') && text.len() > 300 && cure.is_empty());
    }
}
