//! Large pieces whose last byte has left. The loop drops them, and a thread that is attached to the interpreter releases them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::Python;
use pyo3::pybacked::PyBackedBytes;

use crate::clock::Instant;

/// The time after which the last reference to a piece is released, if no thread attaches to the interpreter before.
const SOON: Duration = Duration::from_millis(5);

/// Pieces whose last byte has left, on their way to a thread that is attached to the interpreter.
#[derive(Default)]
pub(super) struct SentPieces {
    /// With the time at which the first of them was added.
    pieces: Mutex<(Vec<PyBackedBytes>, Option<Instant>)>,
    is_any: AtomicBool,
}

impl fmt::Debug for SentPieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentPieces({})", self.lock().0.len())
    }
}

impl SentPieces {
    fn lock(&self) -> MutexGuard<'_, (Vec<PyBackedBytes>, Option<Instant>)> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, piece: PyBackedBytes) {
        let mut pieces = self.lock();
        pieces.0.push(piece);
        pieces.1.get_or_insert_with(Instant::now);
        self.is_any.store(true, Ordering::Release);
    }

    /// Releases them.
    pub(super) fn release(&self, _: Python<'_>) {
        if self.is_any.load(Ordering::Acquire) {
            let (pieces, _) = {
                let mut pieces = self.lock();
                self.is_any.store(false, Ordering::Release);
                std::mem::take(&mut *pieces)
            };
            // Without the lock: the last reference to an object of a subclass runs code of the application.
            drop(pieces);
        }
    }

    /// Returns after which time a thread has to be woken for them; zero for now.
    pub(super) fn wait(&self) -> Option<Duration> {
        if !self.is_any.load(Ordering::Acquire) {
            return None;
        }
        let since = self.lock().1?;
        Some(SOON.saturating_sub(since.elapsed()))
    }
}
