//! A piece of a body. The loop holds a reference to a large one until its last byte has left.

use std::fmt;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::shared::WorkerContext;

/// Pieces of this number of bytes or more are sent from the object of the application: a send of its own costs less than
/// two copies.
const LARGE: usize = 32 * 1024;

/// A piece of a body.
#[derive(Clone, Copy)]
pub(super) struct BodyPiece<'a> {
    pub(super) bytes: &'a [u8],
    object: Option<&'a Bound<'a, PyBytes>>,
}

impl<'a> BodyPiece<'a> {
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
