//! A piece of a body, and the references to large pieces that the loop holds until their last byte has left.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::shared::{WorkerContext, lock};
use crate::clock::Instant;

/// Pieces of this number of bytes or more are sent from the object of the application: a send of its own costs less than
/// two copies.
const LARGE: usize = 32 * 1024;

/// The time after which the last reference to a piece is released, if no thread attaches to the interpreter before.
const SOON: Duration = Duration::from_millis(5);

/// A piece of a body.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    object: Option<&'a Bound<'a, PyBytes>>,
}

impl<'a> Piece<'a> {
    /// A text of the server.
    pub(super) fn of_server(bytes: &'a [u8]) -> Self {
        Self { bytes, object: None }
    }

    /// What `write` was given.
    pub(super) fn of_bytes(object: &'a Bound<'a, PyBytes>) -> Self {
        Self { bytes: object.as_bytes(), object: Some(object) }
    }

    /// What the application has returned.
    ///
    /// # Errors
    /// `TypeError`: it is not `bytes`.
    pub(super) fn of_application(item: &'a Bound<'a, PyAny>) -> PyResult<Self> {
        match item.cast::<PyBytes>() {
            Ok(object) => Ok(Self::of_bytes(object)),
            Err(_) => {
                let kind = item.get_type().name()?;
                Err(PyTypeError::new_err(format!("the application has made {kind}, not bytes")))
            }
        }
    }

    /// Returns a reference to the first `length` bytes, if the piece is large.
    pub(super) fn lend(&self, length: usize, context: &Arc<WorkerContext>) -> Option<LargePiece> {
        let object = self.object.filter(|_| length >= LARGE)?;
        let bytes = Some(PyBackedBytes::from(object.clone()));
        Some(LargePiece { bytes, length, context: Arc::clone(context) })
    }
}

/// A reference to `bytes` of the application, which do not change.
pub(super) struct LargePiece {
    /// `Some` until the drop.
    bytes: Option<PyBackedBytes>,
    length: usize,
    context: Arc<WorkerContext>,
}

impl fmt::Debug for LargePiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LargePiece({})", self.length)
    }
}

impl AsRef<[u8]> for LargePiece {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| &bytes[..self.length])
    }
}

/// Only a thread that is attached to the interpreter may release the object, and the loop does not wait for that.
impl Drop for LargePiece {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            self.context.sent.add(bytes);
        }
    }
}

/// Pieces whose last byte has left, on their way to a thread that is attached to the interpreter.
#[derive(Default)]
pub(super) struct SentPieces {
    pieces: Mutex<(Vec<PyBackedBytes>, Option<Instant>)>,
    is_any: AtomicBool,
}

impl fmt::Debug for SentPieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentPieces({})", lock(&self.pieces).0.len())
    }
}

impl SentPieces {
    fn add(&self, piece: PyBackedBytes) {
        let mut pieces = lock(&self.pieces);
        pieces.0.push(piece);
        pieces.1.get_or_insert_with(Instant::now);
        self.is_any.store(true, Ordering::Release);
    }

    /// Releases them.
    pub(super) fn release(&self, _: Python<'_>) {
        if self.is_any.load(Ordering::Acquire) {
            let (pieces, _) = {
                let mut pieces = lock(&self.pieces);
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
        let since = lock(&self.pieces).1?;
        Some(SOON.saturating_sub(since.elapsed()))
    }
}
