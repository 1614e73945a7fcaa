//! An access log in a format of its own.
//!
//! ```text
//! begin:   pieces of the format, client, user, request ──► text, with a mark for each value that comes later
//! record:  text ──► the marks replaced by time, status, bytes and duration ──► line
//! ```

use std::io::{self, Write as _};
use std::sync::Arc;

use super::access_log::{escape, push, push_host, push_seconds};
use super::log_format::{LateValue, LogFormat, Piece, Style, Value};
use super::log_record::first_line;
use super::{AccessLog, LogRecord, LogSink};
use crate::http1::{Request, Target, Version, decimal};
use crate::reactor::Peer;
use crate::sys::orders::PassedFile;

/// The place of a value that is not known yet. Escaped text has no such byte.
const MARK: u8 = 0;

/// The most bytes of a user name, of which a client may make up none.
const MAX_USER: usize = 255;

/// An access log whose lines have another format than the combined one, or more in it.
#[derive(Debug)]
pub(super) struct FormattedLog {
    log: AccessLog,
    format: Arc<LogFormat>,
}

impl AccessLog {
    /// Returns the destination of records that writes this log.
    #[must_use]
    pub fn into_sink(self) -> Box<dyn LogSink> {
        match self.format.clone() {
            None => Box::new(self),
            Some(format) => Box::new(FormattedLog::new(self, format)),
        }
    }
}

/// What a line has of a request.
#[derive(Clone, Copy)]
struct Facts<'a> {
    client: Peer,
    user: Option<&'a [u8]>,
    line: &'a [u8],
    /// `None` for a malformed request.
    request: Option<&'a Request<'a>>,
}

impl FormattedLog {
    /// A log that writes its lines as `log` does.
    pub(super) fn new(log: AccessLog, format: Arc<LogFormat>) -> Self {
        Self { log, format }
    }

    /// A record whose request line is the text of all pieces.
    fn render(&self, facts: Facts<'_>) -> LogRecord {
        let mut text = Vec::new();
        let mut room = self.format.room;
        for piece in &self.format.pieces {
            match piece {
                Piece::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                Piece::Value(Value::Late(_)) => text.push(MARK),
                Piece::Value(value) => {
                    let before = text.len();
                    self.push_value(&mut text, value, facts, room);
                    room = room.saturating_sub(text.len() - before);
                }
            }
        }
        LogRecord { request_line: text.into(), ..LogRecord::without_text() }
    }

    fn push_value(&self, out: &mut Vec<u8>, value: &Value, facts: Facts<'_>, room: usize) {
        let mut host = Vec::new();
        let (path, query) = match facts.request.map(|request| request.target) {
            Some(Target::Path { path, query }) => (Some(path), query),
            _ => (None, None),
        };
        let target = [path.unwrap_or_default(), query.map_or(b"", |_| b"?"), query.unwrap_or_default()];
        let (bytes, most) = match value {
            Value::Client => {
                push_host(&mut host, facts.client);
                (Some(host.as_slice()), room)
            }
            Value::User => (facts.user, MAX_USER),
            Value::RequestLine => (Some(facts.line), LogRecord::MAX_LINE),
            Value::Method => {
                let word = facts.line.split(|byte| *byte == b' ').next();
                (word.filter(|_| facts.request.is_some()), LogRecord::MAX_FIELD)
            }
            Value::Target | Value::Path | Value::Query => {
                host = match value {
                    Value::Path => target[0].to_vec(),
                    Value::Query => target[1..].concat(),
                    _ => target.concat(),
                };
                (path.map(|_| host.as_slice()), LogRecord::MAX_LINE)
            }
            Value::Version => {
                let version = facts.request.map(|request| request.version);
                (
                    version.map(|version| {
                        if version == Version::Http10 { b"HTTP/1.0".as_slice() } else { b"HTTP/1.1" }
                    }),
                    room,
                )
            }
            Value::Field(name) => {
                (facts.request.and_then(|request| request.fields.get(name)), LogRecord::MAX_FIELD)
            }
            Value::Late(_) => return,
        };
        match (self.format.style, bytes) {
            // A space would move the columns after it.
            (Style::Plain, Some(user)) if *value == Value::User => {
                let mut escaped = Vec::new();
                escape(&mut escaped, user, most.min(room));
                escaped.iter().for_each(|byte| match byte {
                    b' ' => out.extend_from_slice(b"\\x20"),
                    byte => out.push(*byte),
                });
            }
            (Style::Plain, Some(bytes)) => escape(out, bytes, most.min(room)),
            (Style::Plain, None) if *value == Value::Query => {}
            (Style::Plain, None) => out.push(b'-'),
            (Style::Json, Some(bytes)) => push_json(out, bytes, most.min(room)),
            (Style::Json, None) => out.extend_from_slice(b"null"),
        }
    }

    fn late_values(&self) -> impl Iterator<Item = LateValue> {
        self.format.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(Value::Late(value)) => Some(*value),
            _ => None,
        })
    }
}

impl LogSink for FormattedLog {
    fn begin(&self, request: &Request<'_>, client: Peer, user: Option<&[u8]>) -> LogRecord {
        self.render(Facts { client, user, line: request.line, request: Some(request) })
    }

    fn begin_refused(&self, head: &[u8], client: Peer) -> LogRecord {
        self.render(Facts { client, user: None, line: first_line(head), request: None })
    }

    fn record(&mut self, _: Peer, stamp: &str, record: LogRecord) {
        let values: Vec<LateValue> = self.late_values().collect();
        self.log.append(|lines| {
            let mut values = values.into_iter();
            for byte in &*record.request_line {
                match byte {
                    &MARK => {
                        values.next().into_iter().for_each(|value| push_late(lines, value, stamp, &record))
                    }
                    byte => lines.push(*byte),
                }
            }
            lines.push(b'\n');
        });
    }

    fn flush(&mut self) {
        self.log.flush();
    }

    fn lost(&self) -> u64 {
        self.log.dropped()
    }

    fn take_over(&mut self, handed: &PassedFile) -> io::Result<()> {
        self.log.take_over(handed)
    }
}

fn push_late(out: &mut Vec<u8>, value: LateValue, stamp: &str, record: &LogRecord) {
    let number = match value {
        LateValue::Time => return push(out, &[b"[", stamp.as_bytes(), b"]"]),
        LateValue::IsoTime => return push_iso_time(out, stamp),
        LateValue::Seconds => return push_seconds(out, record.duration),
        LateValue::BytesOrDash if record.sent == 0 => return out.push(b'-'),
        LateValue::Status => record.status.code().into(),
        LateValue::Bytes | LateValue::BytesOrDash => record.sent,
        LateValue::Microseconds => u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX),
        LateValue::WholeSeconds => record.duration.as_secs(),
    };
    out.extend_from_slice(decimal(number, &mut [0; 20]));
}

/// Turns `23/Nov/2026:08:30:00 +0000` into `2026-11-23T08:30:00Z`.
fn push_iso_time(out: &mut Vec<u8>, stamp: &str) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let part = |range| stamp.get(range).unwrap_or_default();
    let month = MONTHS.iter().position(|month| *month == part(3..6)).unwrap_or(0) + 1;
    write!(out, "{}-{month:02}-{}T{}Z", part(7..11), part(0..2), part(12..20))
        .expect("writing into a Vec cannot fail");
}

/// A part of a text that may not be UTF-8.
enum JsonPiece {
    Letter(char),
    Byte(u8),
}

/// Appends a JSON string (RFC 8259 §7) of about `most` bytes. Bytes that are not UTF-8 become the text `\xNN`, as in
/// the combined format.
fn push_json(out: &mut Vec<u8>, bytes: &[u8], most: usize) {
    out.push(b'"');
    let end = out.len() + most;
    let pieces = bytes.utf8_chunks().flat_map(|chunk| {
        let text = chunk.valid().chars().map(JsonPiece::Letter);
        text.chain(chunk.invalid().iter().map(|byte| JsonPiece::Byte(*byte)))
    });
    for piece in pieces {
        if out.len() >= end {
            out.extend_from_slice(b"...");
            break;
        }
        let written = match piece {
            JsonPiece::Letter(letter @ ('"' | '\\')) => write!(out, "\\{letter}"),
            // Also what ends a line of a script, or controls a terminal.
            JsonPiece::Letter(letter) if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') => {
                write!(out, "\\u{:04x}", u32::from(letter))
            }
            JsonPiece::Letter(letter) => write!(out, "{letter}"),
            JsonPiece::Byte(byte) => write!(out, "\\\\x{byte:02x}"),
        };
        written.expect("writing into a Vec cannot fail");
    }
    out.push(b'"');
}
