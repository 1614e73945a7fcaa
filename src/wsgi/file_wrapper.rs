//! `wsgi.file_wrapper`: a file as the body of a response (PEP 3333, "Optional Platform-Specific File Handling").

use std::os::fd::AsFd;

use pyo3::exceptions::PyStopIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::chat::FileSlice;
use crate::sys::descriptor::{self, FileKind};

/// An iterator over what a file-like object reads. If the application returns a wrapper whose object has a descriptor,
/// the kernel sends the file from its present position.
#[pyclass(frozen, name = "FileWrapper", module = "stheno_wsgi")]
#[derive(Debug)]
pub struct WsgiFileWrapper {
    #[pyo3(get)]
    filelike: Py<PyAny>,
    #[pyo3(get)]
    blksize: usize,
}

#[pymethods]
impl WsgiFileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize = 8192))]
    fn new(filelike: Py<PyAny>, blksize: usize) -> Self {
        Self { filelike, blksize }
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let data = self.filelike.bind(py).call_method1(intern!(py, "read"), (self.blksize,))?;
        if data.is_truthy()? { Ok(data) } else { Err(PyStopIteration::new_err(())) }
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.filelike.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }
}

impl WsgiFileWrapper {
    /// Returns the rest of the file, if the kernel can send it. Anything else is read.
    pub(super) fn slice(&self, py: Python<'_>) -> Option<FileSlice> {
        let file = self.filelike.bind(py);
        let number: i32 = file.call_method0(intern!(py, "fileno")).ok()?.extract().ok()?;
        // A file in text mode has a descriptor, too, but reads something else than its bytes.
        if file.call_method1(intern!(py, "read"), (0,)).ok()?.cast::<PyBytes>().is_err() {
            return None;
        }
        let position: u64 = file.call_method0(intern!(py, "tell")).ok()?.extract().ok()?;
        let copy = crate::sys::python::duplicate(number).ok()?;
        let metadata = descriptor::metadata(copy.as_fd()).ok()?;
        let is_readable = descriptor::access(copy.as_fd()).is_ok_and(|(reads, _)| reads);
        (metadata.kind == FileKind::Regular && is_readable)
            .then(|| FileSlice::new(copy, position, metadata.size.saturating_sub(position)))
    }
}
