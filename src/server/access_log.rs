//! The access log: a line for each response, in the combined format, and the duration.
//!
//! ```text
//! 127.0.0.1 - - [23/Nov/2026:08:30:00 +0000] "GET / HTTP/1.1" 200 5120 "-" "curl/8.5" 0.000
//! ```
//!
//! Connections through a Unix socket are logged as `unix:`.
//!
//! The byte count is that of the body, as far as it was sent; the duration is the time from the first byte of the request
//! to the last byte of the response, in seconds. Bytes from a client cannot leave their quotes or their line: quotes and
//! backslashes are escaped by a backslash, control bytes and bytes above 7E by `\xNN`.
//!
//! The lines of one turn are written together, as whole lines of at most `PIPE_BUF` bytes a `write(2)`, or 64 KiB to a
//! regular file, so workers that share a file or a pipe do not mix their lines. Writing does not block: if the target is
//! full, lines are dropped and counted.

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use log::warn;
use rustix::io::Errno;

use super::log_format::LogFormat;
use super::{LogRecord, LogSink, LogTarget};
use crate::http1::decimal;
use crate::reactor::Peer;
use crate::sys::orders::PassedFile;

/// Gathers the lines of a turn, and writes them.
#[derive(Debug)]
pub struct AccessLog {
    target: LogTarget,
    /// The format, unless it is the combined one without a user.
    pub(super) format: Option<Arc<LogFormat>>,
    /// The most bytes of one write.
    piece: usize,
    lines: Vec<u8>,
    dropped: u64,
    /// Whether the last write ended within a line.
    torn: bool,
}

impl AccessLog {
    /// A log that writes to `target`.
    #[must_use]
    pub fn new(target: LogTarget) -> Self {
        Self { piece: target.piece(), target, format: None, lines: Vec::new(), dropped: 0, torn: false }
    }

    /// A log that writes to `target` in this format.
    #[must_use]
    pub fn with_format(target: LogTarget, format: Option<Arc<LogFormat>>) -> Self {
        Self { format, ..Self::new(target) }
    }

    /// Returns a second log to the same target, for another thread. Both follow when the target is reopened; the gathered
    /// lines stay with the first.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::with_format(self.target.clone(), self.format.clone())
    }

    /// Appends a line without the machinery of formatting, which costs more than the rest of it.
    fn write_line(&mut self, peer: Peer, stamp: &str, record: &LogRecord) {
        let lines = &mut self.lines;
        push_host(lines, peer);
        push(lines, &[b" - - [", stamp.as_bytes(), b"] \""]);
        escape(lines, &record.request_line, LogRecord::MAX_LINE);
        push(lines, &[b"\" ", decimal(record.status.code().into(), &mut [0; 20])]);
        push(lines, &[b" ", decimal(record.sent, &mut [0; 20]), b" \""]);
        escape(lines, record.referer.as_deref().unwrap_or(b"-"), LogRecord::MAX_FIELD);
        push(lines, &[b"\" \""]);
        escape(lines, record.user_agent.as_deref().unwrap_or(b"-"), LogRecord::MAX_FIELD);
        push(lines, &[b"\" "]);
        push_seconds(lines, record.duration);
        push(lines, &[b"\n"]);
    }

    /// Writes the gathered lines; called once per turn.
    pub fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        if self.torn {
            // The torn line must not join with the next one.
            self.lines.insert(0, b'\n');
        }
        let bytes = self.lines.as_slice();
        let result = self.target.write_once(bytes);
        let written = result.unwrap_or(0);
        if let Some(last) = written.checked_sub(1) {
            self.torn = bytes[last] != b'\n';
        }
        let lost = memchr::memchr_iter(b'\n', &bytes[written..]).count() as u64;
        self.lines.clear();
        if lost > 0 {
            self.count_lost(lost, result.err());
        }
    }

    /// Writes the gathered lines, and then goes on in `handed` if that is the target, reopened.
    ///
    /// # Errors
    /// As [`LogTarget::take_over`]; the target then stays.
    pub fn take_over(&mut self, handed: &PassedFile) -> io::Result<()> {
        self.flush();
        if self.target.take_over(handed)? {
            self.torn = false;
            self.piece = self.target.piece();
        }
        Ok(())
    }

    /// Counts lost lines; warns at the first loss and each time their number has doubled, because a warning for each line
    /// would fill the other log.
    fn count_lost(&mut self, lost: u64, error: Option<Errno>) {
        let before = self.dropped;
        self.dropped += lost;
        if before == 0 || self.dropped.ilog2() > before.ilog2() {
            let reason = error.map_or("it is full".into(), |error| error.to_string());
            warn!("cannot write the access log ({reason}): {} lines lost so far", self.dropped);
        }
    }

    /// Returns the number of lines that were lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl AccessLog {
    /// Appends a line that `write` writes.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.lines.len();
        write(&mut self.lines);
        self.keep_to_piece(before);
    }

    /// Writes the lines up to `before` if the last one does not fit into the same write.
    fn keep_to_piece(&mut self, before: usize) {
        if self.lines.len() > self.piece && before > 0 {
            let line = self.lines.split_off(before);
            self.flush();
            self.lines = line;
        }
    }
}

impl LogSink for AccessLog {
    fn record(&mut self, peer: Peer, stamp: &str, record: LogRecord) {
        let before = self.lines.len();
        self.write_line(peer, stamp, &record);
        self.keep_to_piece(before);
    }

    fn flush(&mut self) {
        Self::flush(self);
    }

    fn lost(&self) -> u64 {
        self.dropped()
    }

    fn take_over(&mut self, handed: &PassedFile) -> io::Result<()> {
        Self::take_over(self, handed)
    }
}

pub(super) fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Appends seconds with three decimals.
pub(super) fn push_seconds(out: &mut Vec<u8>, duration: Duration) {
    let rounded = duration.saturating_add(Duration::from_micros(500));
    let (seconds, milliseconds) = (rounded.as_secs(), rounded.subsec_millis());
    let thousandths = [100, 10, 1].map(|unit| b"0123456789"[(milliseconds / unit % 10) as usize]);
    push(out, &[decimal(seconds, &mut [0; 20]), b".", &thousandths]);
}

pub(super) fn push_host(out: &mut Vec<u8>, peer: Peer) {
    let written = match peer {
        Peer::Internet(address) => match address.ip() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets().map(u64::from);
                out.extend_from_slice(decimal(a, &mut [0; 20]));
                return [b, c, d].iter().for_each(|octet| push(out, &[b".", decimal(*octet, &mut [0; 20])]));
            }
            IpAddr::V6(ip) => write!(out, "{ip}"),
        },
        Peer::Unix => write!(out, "{peer}"),
    };
    written.expect("writing into a Vec cannot fail");
}

/// Appends about `most` characters of `bytes`, with all bytes escaped that could end the quotes or the line, or control
/// a terminal.
pub(super) fn escape(out: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') & !matches!(byte, b'"' | b'\\');
    // Without an early end the compiler compares many at once.
    if bytes.len() <= most && bytes.iter().fold(true, |all, byte| all & is_plain(byte)) {
        return out.extend_from_slice(bytes);
    }
    let end = out.len() + most;
    for byte in bytes {
        if out.len() >= end {
            return out.extend_from_slice(b"...");
        }
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            plain if is_plain(plain) => out.push(*byte),
            _ => write!(out, "\\x{byte:02x}").expect("writing into a Vec cannot fail"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Status;
    use crate::sys::descriptor;

    fn record(line: &[u8], user_agent: Option<&[u8]>) -> LogRecord {
        LogRecord {
            request_line: line.into(),
            referer: None,
            user_agent: user_agent.map(Into::into),
            status: Status::OK,
            sent: 5,
            duration: Duration::from_micros(12_345),
            fields: None,
        }
    }

    /// Returns what `write` logs, by way of a pipe that is read at the end.
    fn logged(write: impl FnOnce(&mut AccessLog)) -> String {
        let (read, to) = descriptor::pipe().expect("a pipe");
        let mut log = AccessLog::new(LogTarget::from(to));
        write(&mut log);
        log.flush();
        drop(log);
        std::io::read_to_string(std::fs::File::from(read)).expect("text")
    }

    fn peer() -> Peer {
        Peer::Internet(([127, 0, 0, 1], 4711).into())
    }

    /// RULES C17.
    #[test]
    fn a_record_is_one_printable_line() {
        let odd = record(b"GET /\"\\ HTTP/1.1", Some(b"\x1b]0;x\x07\r\n\xff"));
        let want = "127.0.0.1 - - [now] \"GET /\\\"\\\\ HTTP/1.1\" 200 5 \"-\" \"\\x1b]0;x\\x07\\x0d\\x0a\\xff\" 0.012\n";
        assert_eq!(logged(|log| log.record(peer(), "now", odd)), want);
    }

    #[test]
    fn the_longest_line_fits_into_one_write() {
        let long = vec![0u8; 10_000];
        let mut worst = record(&long, Some(&long));
        worst.referer = Some(long.as_slice().into());
        logged(|log| {
            log.write_line(Peer::Internet(([0xffff; 8], 0).into()), "23/Nov/2026:08:30:00 +0000", &worst);
            assert!(log.lines.len() <= super::super::log_target::PIPE_PIECE, "{} bytes", log.lines.len());
        });
    }

    /// A line that was cut by a full disk does not join with the next one.
    #[test]
    fn a_torn_line_is_ended_first() {
        let text = logged(|log| {
            log.torn = true;
            log.record(peer(), "now", record(b"GET / HTTP/1.1", None));
            log.flush();
            assert!(!log.torn);
        });
        assert!(text.starts_with("\n127.0.0.1 ") && text.ends_with(" 0.012\n"));
    }

    /// RULES C16: a full target costs lines, not time.
    #[test]
    fn a_full_pipe() {
        let mut dropped = 0;
        let text = logged(|log| {
            (0..10_000).for_each(|_| log.record(peer(), "now", record(b"GET / HTTP/1.1", None)));
            log.flush();
            dropped = log.dropped();
        });
        assert!(dropped > 0 && text.ends_with('\n'));
        assert_eq!(text.lines().count() as u64 + dropped, 10_000);
        assert!(text.lines().all(|line| line.starts_with("127.0.0.1 ") && line.ends_with(" 0.012")));
    }
}
