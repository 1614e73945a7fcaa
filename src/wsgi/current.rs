//! The request that a thread works on: what lines of the log tell beside their text.
//!
//! A run moves the head of its request here for each of its steps and takes it back: two moves of a
//! pointer. What names a request in the log is made only for a line.

use std::cell::RefCell;
use std::sync::Arc;

use pyo3::prelude::*;

use super::request::RequestHead;

/// A line of `wsgi.errors` that is longer than this is written in parts.
pub(super) const MAX_PENDING_LINE: usize = 8 * 1024;

thread_local! {
    static THIS_THREAD: RefCell<ThreadContext> =
        const { RefCell::new(ThreadContext { request: None, name: String::new(), line: String::new() }) };
}

struct ThreadContext {
    request: Option<Arc<RequestHead>>,
    /// The name of the thread, once it is known.
    name: String,
    /// The beginning of a line of `wsgi.errors`.
    line: String,
}

/// Sets the request that this thread works on from now on. Returns the one before.
pub(super) fn enter(request: Option<Arc<RequestHead>>) -> Option<Arc<RequestHead>> {
    THIS_THREAD.with_borrow_mut(|this| std::mem::replace(&mut this.request, request))
}

/// Whether this thread has begun a line.
pub(super) fn has_begun_line() -> bool {
    THIS_THREAD.with_borrow(|this| !this.line.is_empty())
}

/// Returns the request that this thread works on.
pub(super) fn request() -> Option<Arc<RequestHead>> {
    THIS_THREAD.with_borrow(|this| this.request.clone())
}

/// Adds text of `wsgi.errors`. Returns the lines that are whole, or, without `text`, the one that is not.
pub(super) fn take_lines(text: Option<&str>) -> String {
    THIS_THREAD.with_borrow_mut(|this| {
        this.line.push_str(text.unwrap_or_default());
        let whole = match this.line.rfind('\n') {
            _ if text.is_none() || this.line.len() > MAX_PENDING_LINE => this.line.len(),
            Some(end) => end + 1,
            None => 0,
        };
        let rest = this.line.split_off(whole);
        std::mem::replace(&mut this.line, rest)
    })
}

/// The last boundary of characters in the first `most` bytes.
pub(super) fn boundary(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Returns the name of this thread, if it has one.
pub(super) fn thread_name() -> String {
    let known = THIS_THREAD.with_borrow(|this| this.name.clone());
    if known.is_empty() { std::thread::current().name().unwrap_or_default().into() } else { known }
}

/// Asks the interpreter for the name of this thread, once, if the system does not know it.
pub(super) fn learn_thread_name(py: Python<'_>) {
    if thread_name().is_empty() {
        let thread = py.import("threading").and_then(|threading| threading.call_method0("current_thread"));
        let name = thread.and_then(|thread| thread.getattr("name")?.extract::<String>()).unwrap_or_default();
        THIS_THREAD.with_borrow_mut(|this| this.name = name);
    }
}
