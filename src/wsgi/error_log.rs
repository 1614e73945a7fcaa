//! Lines of the log: time, process, level, thread, and the request that the thread works on.
//!
//! ```text
//! [2026-11-26 18:15:51 +0000] [4711] [ERROR] [wsgi-0] [9f3a1c22d04e-1a] GET /path: ValueError: on purpose
//!   Traceback (most recent call last):
//!   …
//! ```
//!
//! The first three are in gunicorn's form, for programs that read its log. A traceback is one write together with its
//! line, so nothing comes between its lines. They are indented: no text of an exception begins a line as the log does.

use std::sync::Mutex;
use std::time::SystemTime;

use log::{Level, LevelFilter, Record};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::shared::lock;
use super::{current, python_log};
use crate::clock::{self, DateCache};
use crate::server::{LogTarget, Printable};

/// The most bytes of a traceback. Of a longer one the middle is left out.
const MAX_TRACEBACK: usize = 32 * 1024;

/// The most characters of an exception's text in the first line.
const MAX_SUMMARY: usize = 500;

/// The log of this process.
static LOG: Mutex<Option<LogTarget>> = Mutex::new(None);

/// Sets the log of this process, for what is more than a line. The log follows when it is opened again.
pub(super) fn open(log: LogTarget) {
    *lock(&LOG) = Some(log);
}

/// Writes whole lines in one piece.
pub(super) fn write(text: &str) {
    if log::max_level() == LevelFilter::Off {
        return;
    }
    let log = lock(&LOG).clone();
    if let Some(log) = log.or_else(|| LogTarget::standard_error().ok()) {
        log.print_whole(text);
    }
}

/// The format of the process's log.
pub(super) fn format_line(record: &Record<'_>, out: &mut Vec<u8>) {
    let message = Printable(record.args()).to_string();
    if !python_log::take(record.level(), &message) {
        push_prefix(out, level_name(record.level()));
        out.extend_from_slice(message.as_bytes());
        out.push(b'\n');
    }
}

/// Python's name of a level.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    }
}

/// Appends everything that is before the text of a line.
pub(super) fn push_prefix(out: &mut Vec<u8>, level: &str) {
    out.push(b'[');
    clock::push_iso(out, DateCache::new().log(SystemTime::now()), " ");
    let mut push = |text: String| out.extend_from_slice(text.as_bytes());
    push(format!(" +0000] [{}] [{level}] ", std::process::id()));
    let thread = current::thread_name();
    if !thread.is_empty() {
        push(format!("[{}] ", Printable(thread)));
    }
    if let Some(request) = current::request() {
        let label = request.label();
        push(format!("[{}] {} {}: ", label.id, label.method, label.path));
    }
}

/// Logs an exception of the application with its traceback, to the log or to Python's `logging`.
pub(super) fn failure(py: Python<'_>, error: &PyErr) {
    if log::max_level() < LevelFilter::Error {
        return;
    }
    current::learn_thread_name(py);
    let summary = summary(py, error);
    if python_log::failure(py, error, &summary) {
        return;
    }
    let mut text = Vec::new();
    push_prefix(&mut text, "ERROR");
    let mut text = String::from_utf8_lossy(&text).into_owned();
    text += &format!("{summary}\n");
    let traceback = traceback(py, error).unwrap_or_else(|odd| format!("(no traceback: {odd})"));
    for line in cut(&traceback).lines() {
        text += &format!("  {}\n", Printable(line));
    }
    write(&text);
}

/// `ValueError: on purpose`, on one line.
fn summary(py: Python<'_>, error: &PyErr) -> String {
    let kind = error.get_type(py).qualname().map_or("an exception".into(), |name| name.to_string());
    let text = error.value(py).str().map(|text| text.to_string_lossy().into_owned());
    let text = text.unwrap_or_else(|_| "(its text raises an exception)".into());
    let first: String = text.lines().next().unwrap_or_default().chars().take(MAX_SUMMARY).collect();
    let line = if first.is_empty() { kind } else { format!("{kind}: {first}") };
    Printable(line).to_string()
}

fn traceback(py: Python<'_>, error: &PyErr) -> PyResult<String> {
    let arguments = (error.get_type(py), error.value(py), error.traceback(py));
    let lines = py.import("traceback")?.call_method1("format_exception", arguments)?;
    let text = PyString::new(py, "").call_method1("join", (lines,))?;
    Ok(text.cast_into::<PyString>()?.to_string_lossy().into_owned())
}

/// The beginning and the end of a text that is too long.
fn cut(text: &str) -> String {
    if text.len() <= MAX_TRACEBACK {
        return text.into();
    }
    let head = &text[..current::boundary(text, MAX_TRACEBACK / 2)];
    let tail = &text[current::boundary(text, text.len() - MAX_TRACEBACK / 2)..];
    format!("{head}\n… {} bytes are left out …\n{tail}", text.len() - head.len() - tail.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_traceback_loses_its_middle() {
        assert_eq!(cut("short"), "short");
        let long = format!("begin{}end", "é".repeat(MAX_TRACEBACK));
        let short = cut(&long);
        assert!(short.starts_with("begin") && short.ends_with("end") && short.len() < MAX_TRACEBACK + 100);
        assert!(short.contains("bytes are left out"));
    }
}
