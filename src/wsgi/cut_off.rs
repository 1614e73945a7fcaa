//! Requests that the end of `--grace` cuts off, for the log.

use std::fmt::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use log::warn;

use super::request::OwnedRequest;
use super::shared::lock;

/// Requests that are named in the log; others are counted.
const MAX_NAMED: usize = 20;

/// Bytes of a method and a path that are kept beside each response, where they cost a copy and no allocation.
const LABEL: usize = 80;

/// The method and the path of a request, as far as they fit. The query may have secrets.
#[derive(Clone, Copy)]
pub(super) struct CutLabel {
    text: [u8; LABEL],
    method: u8,
    length: u8,
    is_cut: bool,
}

impl CutLabel {
    pub(super) fn of(request: &OwnedRequest) -> Self {
        let mut this = Self { text: [0; LABEL], method: 0, length: 0, is_cut: false };
        this.method = this.add(request.method());
        let path = request.target().split(|byte| *byte == b'?').next().unwrap_or_default();
        this.length = this.method + this.add(path);
        this
    }

    /// Adds what fits behind the method. Returns the number of bytes.
    fn add(&mut self, bytes: &[u8]) -> u8 {
        let rest = &mut self.text[usize::from(self.method)..];
        let count = bytes.len().min(rest.len());
        rest[..count].copy_from_slice(&bytes[..count]);
        self.is_cut |= count < bytes.len();
        u8::try_from(count).unwrap_or_default()
    }
}

impl fmt::Display for CutLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, path) = self.text[..usize::from(self.length)].split_at(usize::from(self.method));
        let rest = if self.is_cut { "..." } else { "" };
        write!(f, "{} {}{rest}", method.escape_ascii(), path.escape_ascii())
    }
}

impl fmt::Debug for CutLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The requests of a worker that are cut off.
#[derive(Debug, Default)]
pub(super) struct CutOff {
    is_on: AtomicBool,
    /// The first ones, and the number of all.
    requests: Mutex<(Vec<CutLabel>, usize)>,
}

impl CutOff {
    /// From now on each response that is dropped before its end is cut off.
    pub(super) fn begin(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// Takes note of a response that is dropped before its end.
    pub(super) fn note(&self, request: &CutLabel) {
        if self.is_on.load(Ordering::Relaxed) {
            let mut requests = lock(&self.requests);
            requests.1 += 1;
            if requests.0.len() < MAX_NAMED {
                requests.0.push(*request);
            }
        }
    }
}

impl Drop for CutOff {
    /// The worker has closed its connections.
    fn drop(&mut self) {
        let (named, count) = &*lock(&self.requests);
        if *count == 0 {
            return;
        }
        let mut line = format!("cut off in the application, at the end of --grace: {count}");
        let mut before = ": ";
        for request in named {
            let _ = write!(line, "{before}{request}");
            before = ", ";
        }
        if *count > named.len() {
            line.push_str(", ...");
        }
        warn!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_cut_where_it_does_not_fit() {
        let mut label = CutLabel { text: [0; LABEL], method: 0, length: 0, is_cut: false };
        label.method = label.add(b"GET");
        label.length = label.method + label.add(b"/a\n");
        assert_eq!(label.to_string(), "GET /a\\n");
        label.length = label.method + label.add(&[b'x'; 500]);
        assert_eq!(label.to_string(), format!("GET {}...", "x".repeat(LABEL - 3)));
        let mut label = CutLabel { text: [0; LABEL], method: 0, length: 0, is_cut: false };
        label.method = label.add(&[b'm'; 500]);
        label.length = label.method + label.add(b"/");
        assert_eq!(label.to_string(), format!("{} ...", "m".repeat(LABEL)));
    }
}
