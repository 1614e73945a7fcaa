//! The results of verifying passwords, remembered for a while.
//!
//! The file of users is read at the start of a worker only, so a result never becomes wrong: the times and the number
//! of entries bound the memory, and not more.

use std::collections::HashMap;
use std::time::Duration;

use super::users::Tag;
use crate::clock::Instant;

/// How long right credentials are remembered, and wrong ones.
const RIGHT: Duration = Duration::from_secs(600);
const WRONG: Duration = Duration::from_secs(60);

/// The most entries of each kind.
const MOST: usize = 1024;

/// Right and wrong credentials, apart: no flood of wrong ones makes the server forget the right ones.
#[derive(Debug, Default)]
pub(super) struct KnownCredentials {
    right: HashMap<Tag, Instant>,
    wrong: HashMap<Tag, Instant>,
}

impl KnownCredentials {
    /// Whether these credentials are right, if that is known.
    pub(super) fn get(&self, tag: &Tag, now: Instant) -> Option<bool> {
        let is_fresh = |until: Option<&Instant>| until.is_some_and(|until| *until > now);
        match (is_fresh(self.right.get(tag)), is_fresh(self.wrong.get(tag))) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }

    pub(super) fn insert(&mut self, tag: Tag, is_right: bool, now: Instant) {
        let (entries, time) = if is_right { (&mut self.right, RIGHT) } else { (&mut self.wrong, WRONG) };
        if entries.len() >= MOST {
            entries.retain(|_, until| *until > now);
        }
        if entries.len() >= MOST {
            let oldest = entries.iter().min_by_key(|(_, until)| **until).map(|(tag, _)| *tag);
            oldest.and_then(|tag| entries.remove(&tag));
        }
        entries.insert(tag, now + time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(number: usize) -> Tag {
        let mut tag = Tag::default();
        tag[..8].copy_from_slice(&(number as u64).to_be_bytes());
        tag
    }

    #[test]
    fn results_are_forgotten() {
        let (mut known, now) = (KnownCredentials::default(), Instant::now());
        known.insert(tag(1), true, now);
        known.insert(tag(2), false, now);
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!([1, 2, 3].map(|number| known.get(&tag(number), now)), [Some(true), Some(false), None]);
        assert_eq!([1, 2].map(|number| known.get(&tag(number), at(61))), [Some(true), None]);
        assert_eq!(known.get(&tag(1), at(601)), None);
    }

    #[test]
    fn the_number_is_bounded() {
        let (mut known, now) = (KnownCredentials::default(), Instant::now());
        known.insert(tag(0), true, now);
        for number in 1..=3 * MOST {
            known.insert(tag(number), false, now + Duration::from_millis(number as u64));
        }
        assert_eq!((known.right.len(), known.wrong.len()), (1, MOST));
        assert_eq!(known.get(&tag(0), now), Some(true));
        assert_eq!(known.get(&tag(3 * MOST), now), Some(false));
        assert_eq!(known.get(&tag(1), now), None, "the oldest went first");
    }
}
