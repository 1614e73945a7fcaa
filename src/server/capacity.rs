//! How many connections the descriptors of a worker allow.

use std::num::NonZeroU32;

/// Descriptors that a worker needs beside those of its connections: standard streams, logs, listeners, the loop, signals,
/// the root, and a reserve.
const RESERVE: usize = 64;

/// Descriptors of one busy connection: its socket, and the file.
const PER_CONNECTION: usize = 2;

/// How many connections a worker may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub per_address: Option<NonZeroU32>,
}

impl Capacity {
    /// How many connections a limit of `descriptors` allows: two for each, after a reserve of 64, or of half of them where
    /// there are fewer than 128.
    #[must_use]
    pub fn fitting(descriptors: usize) -> usize {
        let reserve = RESERVE.min(descriptors / 2);
        ((descriptors - reserve) / PER_CONNECTION).max(1)
    }

    /// How many descriptors a worker needs for `connections`: the inverse of [`Capacity::fitting`].
    #[must_use]
    pub fn descriptors_for(connections: usize) -> usize {
        connections.saturating_mul(PER_CONNECTION).saturating_add(RESERVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_fits_its_descriptors() {
        assert_eq!([1, 2, 64, 1024].map(Capacity::fitting), [1, 1, 16, 480]);
        assert_eq!(Capacity::fitting(Capacity::descriptors_for(5000)), 5000);
    }
}
