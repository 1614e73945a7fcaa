//! An access log in a format of its own.
//!
//! ```text
//! begin:   pieces of the format, client, user, request ──► text, with a mark for each value that comes later
//! record:  text ──► the marks replaced by time, status, bytes and duration ──► line
//! ```

use std::cell::Cell;
use std::io::{self, Write as _};
use std::sync::Arc;

use super::access_log::{escape, push, push_host, push_seconds};
use super::log_directive::{LateValue, Piece, Value};
use super::log_format::{LogFormat, MAX_RESPONSE_FIELD};
use super::log_record::first_line;
use super::request_id::{given_id, push_made_id};
use super::{AccessLog, LogRecord, LogSink};
use crate::clock::push_iso;
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
    /// Requests so far, for the ids of those that the service has not numbered.
    requests: Cell<u64>,
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
    number: u64,
    line: &'a [u8],
    /// `None` for a malformed request.
    request: Option<&'a Request<'a>>,
}

impl FormattedLog {
    /// A log that writes its lines as `log` does.
    pub(super) fn new(log: AccessLog, format: Arc<LogFormat>) -> Self {
        Self { log, format, requests: Cell::new(0) }
    }

    /// A record whose request line is the text of all pieces.
    fn render(&self, facts: Facts<'_>) -> LogRecord {
        let mut text = Vec::new();
        let mut room = self.format.room;
        for piece in &self.format.pieces {
            match piece {
                Piece::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                Piece::Value(Value::Late(_)) | Piece::Json(Value::Late(_)) => text.push(MARK),
                Piece::Value(value) | Piece::Json(value) => {
                    let before = text.len();
                    let is_json = matches!(piece, Piece::Json(_));
                    push_value(&mut text, value, is_json, facts, room);
                    room = room.saturating_sub(text.len() - before);
                }
            }
        }
        let fields = self.format.has_response_fields().then(Box::default);
        LogRecord { request_line: text.into(), fields, ..LogRecord::without_text() }
    }
}

/// The bytes of a value, if the request has it, and the most of them that are written.
fn push_value(out: &mut Vec<u8>, value: &Value, is_json: bool, facts: Facts<'_>, room: usize) {
    let mut own = Vec::new();
    let (path, query) = match facts.request.map(|request| request.target) {
        Some(Target::Path { path, query }) => (Some(path), query),
        _ => (None, None),
    };
    let target = [path.unwrap_or_default(), query.map_or(b"", |_| b"?"), query.unwrap_or_default()];
    let word =
        |number| facts.line.split(|byte| *byte == b' ').nth(number).filter(|_| facts.request.is_some());
    let (bytes, most) = match value {
        Value::Client => {
            push_host(&mut own, facts.client);
            (Some(own.as_slice()), room)
        }
        Value::User => (facts.user, MAX_USER),
        Value::RequestLine => (Some(facts.line), LogRecord::MAX_LINE),
        Value::Malformed => (facts.request.is_none().then_some(facts.line), LogRecord::MAX_LINE),
        Value::Method => (word(0), LogRecord::MAX_FIELD),
        Value::SentTarget => (word(1), LogRecord::MAX_LINE),
        Value::Path => (path, LogRecord::MAX_LINE),
        Value::BareQuery => (query.or(Some(b"")), LogRecord::MAX_LINE),
        Value::Target | Value::Query => {
            own = if *value == Value::Query { target[1..].concat() } else { target.concat() };
            (path.map(|_| own.as_slice()), LogRecord::MAX_LINE)
        }
        Value::Version => (facts.request.map(|request| version_name(request.version)), room),
        Value::Field(name) => {
            (facts.request.and_then(|request| request.fields.get(name)), LogRecord::MAX_FIELD)
        }
        Value::RequestId => match facts.request.map(|request| given_id(request.fields.iter())) {
            None => (None, room),
            Some(Some(given)) => (Some(given), room),
            Some(None) => {
                push_made_id(&mut own, facts.number);
                (Some(own.as_slice()), room)
            }
        },
        Value::Process => return out.extend_from_slice(decimal(std::process::id().into(), &mut [0; 20])),
        Value::Late(_) => return,
    };
    match bytes {
        Some(bytes) if is_json => push_json(out, bytes, most.min(room)),
        None if is_json => out.extend_from_slice(b"null"),
        Some(user) if *value == Value::User => push_user(out, user, most.min(room)),
        Some(bytes) => escape(out, bytes, most.min(room)),
        None if *value == Value::Query => {}
        None => out.push(b'-'),
    }
}

fn version_name(version: Version) -> &'static [u8] {
    if version == Version::Http10 { b"HTTP/1.0" } else { b"HTTP/1.1" }
}

/// Appends the name of a user as one word: a space would move the columns after it.
fn push_user(out: &mut Vec<u8>, user: &[u8], most: usize) {
    let mut escaped = Vec::new();
    escape(&mut escaped, user, most);
    escaped.iter().for_each(|byte| match byte {
        b' ' => out.extend_from_slice(b"\\x20"),
        byte => out.push(*byte),
    });
}

impl LogSink for FormattedLog {
    fn begin(
        &self,
        request: &Request<'_>,
        client: Peer,
        user: Option<&[u8]>,
        number: Option<u64>,
    ) -> LogRecord {
        self.requests.set(self.requests.get() + 1);
        let number = number.unwrap_or(self.requests.get());
        self.render(Facts { client, user, number, line: request.line, request: Some(request) })
    }

    fn begin_refused(&self, head: &[u8], client: Peer) -> LogRecord {
        self.render(Facts { client, user: None, number: 0, line: first_line(head), request: None })
    }

    fn record(&mut self, _: Peer, stamp: &str, record: LogRecord) {
        let pieces = self.format.pieces.iter();
        let mut values = pieces.filter_map(|piece| match piece {
            Piece::Value(Value::Late(value)) | Piece::Json(Value::Late(value)) => Some(value),
            _ => None,
        });
        self.log.append(|lines| {
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

fn push_late(out: &mut Vec<u8>, value: &LateValue, stamp: &str, record: &LogRecord) {
    let number = match value {
        LateValue::Time => return push(out, &[b"[", stamp.as_bytes(), b"]"]),
        LateValue::IsoTime => {
            push_iso(out, stamp, "T");
            return out.push(b'Z');
        }
        LateValue::Seconds => return push_seconds(out, record.duration),
        LateValue::ExactSeconds => {
            let (seconds, micros) = (record.duration.as_secs(), record.duration.subsec_micros());
            return write!(out, "{seconds}.{micros:06}").expect("writing into a Vec cannot fail");
        }
        LateValue::Field(name) => {
            return match record.field(name) {
                Some(value) => escape(out, value, MAX_RESPONSE_FIELD),
                None => out.push(b'-'),
            };
        }
        LateValue::BytesOrDash if record.sent == 0 => return out.push(b'-'),
        LateValue::Status => record.status.code().into(),
        LateValue::Bytes | LateValue::BytesOrDash => record.sent,
        LateValue::Microseconds => u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX),
        LateValue::Milliseconds => u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX),
        LateValue::WholeSeconds => record.duration.as_secs(),
    };
    out.extend_from_slice(decimal(number, &mut [0; 20]));
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
