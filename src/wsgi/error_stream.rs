//! `wsgi.errors` (PEP 3333): a text stream whose lines go to the log.
//!
//! All requests share one object. A line has the request of the thread that writes it, so threads of the application
//! may write as well. It never goes to Python's `logging`, whose handlers may write to it.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::current::{self, MAX_PENDING_LINE, learn_thread_name, take_lines};
use super::error_log;
use super::request::RequestHead;
use crate::server::Printable;

/// Lines of one call are written together, up to about this size.
const MAX_BLOCK: usize = 32 * 1024;

/// The level of lines whose level only the application knows.
const LEVEL: &str = "APP";

/// The stream. It stays open, and has no descriptor.
#[pyclass(frozen, module = "stheno_wsgi")]
#[derive(Debug)]
pub struct ErrorStream;

#[pymethods]
impl ErrorStream {
    /// Writes text; a line is logged when it is whole.
    #[allow(clippy::unused_self)]
    fn write(&self, py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<usize> {
        learn_thread_name(py);
        log_lines(&take_lines(Some(&text.to_string_lossy())));
        text.len()
    }

    fn writelines(&self, py: Python<'_>, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            let line = line?;
            let text = line.cast::<PyString>().map_err(|_| PyTypeError::new_err("a line must be a str"))?;
            self.write(py, text)?;
        }
        Ok(())
    }

    /// Ends the line that was begun.
    #[allow(clippy::unused_self)]
    fn flush(&self) {
        end_line();
    }

    /// Does nothing: the stream belongs to the server.
    #[allow(clippy::unused_self)]
    fn close(&self) {}

    #[allow(clippy::unused_self)]
    fn isatty(&self) -> bool {
        false
    }

    #[allow(clippy::unused_self)]
    fn readable(&self) -> bool {
        false
    }

    #[allow(clippy::unused_self)]
    fn writable(&self) -> bool {
        true
    }

    #[allow(clippy::unused_self)]
    fn seekable(&self) -> bool {
        false
    }

    /// As `io.StringIO`: there is no descriptor.
    #[allow(clippy::unused_self)]
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        let unsupported = py.import("io")?.getattr("UnsupportedOperation")?;
        Err(PyErr::from_value(unsupported.call1(("fileno",))?))
    }

    #[getter]
    #[allow(clippy::unused_self)]
    fn closed(&self) -> bool {
        false
    }

    #[getter]
    #[allow(clippy::unused_self)]
    fn encoding(&self) -> &'static str {
        "utf-8"
    }

    #[getter]
    #[allow(clippy::unused_self)]
    fn errors(&self) -> &'static str {
        "replace"
    }

    #[getter]
    #[allow(clippy::unused_self)]
    fn name(&self) -> &'static str {
        "<wsgi.errors>"
    }

    #[getter]
    #[allow(clippy::unused_self)]
    fn mode(&self) -> &'static str {
        "w"
    }
}

/// Leaves the request that this thread works on, and returns it; `outer` is the one from before. A line that was begun
/// ends here.
pub(super) fn leave(outer: Option<Arc<RequestHead>>) -> Option<Arc<RequestHead>> {
    if current::has_begun_line() {
        end_line();
    }
    current::enter(outer)
}

/// Logs the beginning of a line as a line.
fn end_line() {
    log_lines(&take_lines(None));
}

/// Logs lines that were written together. The first one has the request; the others are indented, as those of a traceback.
fn log_lines(text: &str) {
    let mut block = Vec::new();
    let mut begin: fn(&mut Vec<u8>) = |block| error_log::push_prefix(block, LEVEL);
    for line in text.lines() {
        let mut rest = line;
        loop {
            let (piece, more) = rest.split_at(current::boundary(rest, MAX_PENDING_LINE));
            begin(&mut block);
            block.extend_from_slice(format!("{}\n", Printable(piece)).as_bytes());
            begin = |block| block.extend_from_slice(b"  ");
            if block.len() >= MAX_BLOCK {
                error_log::write(&String::from_utf8_lossy(&block));
                block.clear();
            }
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !block.is_empty() {
        error_log::write(&String::from_utf8_lossy(&block));
    }
}
