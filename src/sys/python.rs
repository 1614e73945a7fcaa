//! Calls of Python's C API that pyo3 has no safe function for.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use pyo3::types::PyString;
use pyo3::{Bound, PyResult, Python, ffi};

/// A string with one code point for each byte: a native string of WSGI (PEP 3333). Fails with `MemoryError`.
pub fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let length = ffi::Py_ssize_t::try_from(bytes.len()).unwrap_or(ffi::Py_ssize_t::MAX);
    // SAFETY: the pointer is valid for `length` bytes, which the call copies; it returns a new reference to a string,
    // or null with an exception set.
    unsafe {
        let string = ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null());
        Bound::from_owned_ptr_or_err(py, string).map(|string| string.cast_into_unchecked())
    }
}

/// Calls `call` with the descriptor of this number, which the caller keeps open meanwhile.
pub fn borrow<T>(number: RawFd, call: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<T> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: not -1, and borrowed for one call. A number that is not open makes a system call fail.
    call(unsafe { BorrowedFd::borrow_raw(number) })
}

/// `dup(2)` of a descriptor that an interpreter knows by its number. Fails if it is not open.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    borrow(number, |file| Ok(rustix::io::fcntl_dupfd_cloexec(file, 3)?))
}
