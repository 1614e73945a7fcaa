//! `--explain`: one request, answered to standard output by the code of a worker.
//!
//! The request goes through the driver, the protocol and the file service as if it came from a socket, so the response is
//! the one that a client gets; the file service has an observer that keeps its decisions.

use std::io;

use crate::access::Access;
use crate::clock::{DateCache, Now};
use crate::files::{Decisions, FileService};
use crate::http1::{Connection, Event, FieldSpace, MAX_FIELDS, Settings, Turn, field_space};
use crate::reactor::FRAMES_PER_TURN;
use crate::server::MemoryConnection;

/// Bytes of the response that are made: more than any head has.
const ROOM: usize = 64 * 1024;

/// Columns of the names of steps.
const STEP: usize = 12;

/// Columns of a line.
const WIDTH: usize = 80;

/// A request as it would be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    bytes: String,
    /// What was changed in the URL, as a browser does.
    changed: Option<String>,
}

impl Asked {
    /// Reads `/PATH`, a whole URL, or either of them after `GET ` or `HEAD `, and field lines.
    ///
    /// # Errors
    /// What to give instead.
    pub(super) fn read<'a>(
        url: &str,
        fields: impl Iterator<Item = &'a str>,
    ) -> Result<Self, (&'static str, &'static str)> {
        const URL: &str = "give a path that begins with a slash, or a whole URL";
        let wrong = |wanted| Err(("explain", wanted));
        let (method, url) = match url.split_once(' ') {
            Some((method @ ("GET" | "HEAD" | "OPTIONS"), url)) => (method, url.trim_start()),
            _ => ("GET", url),
        };
        let lower = url.get(..8).unwrap_or(url).to_ascii_lowercase();
        let scheme = ["http://", "https://"].iter().find(|scheme| lower.starts_with(**scheme));
        let (host, target) = match scheme.map(|scheme| &url[scheme.len()..]) {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None if url.starts_with('/') => ("localhost", url),
            None => return wrong(URL),
        };
        if host.is_empty() || url.bytes().any(|byte| byte.is_ascii_control()) {
            return wrong(URL);
        }
        let sent = target.split('#').next().unwrap_or_default();
        let sent = if sent.starts_with('/') { sent.to_string() } else { format!("/{sent}") };
        let sent = sent.replace(' ', "%20");
        let is_changed = sent != target && !target.is_empty();
        let changed = is_changed.then(|| "as a browser: no fragment, spaces as %20".to_string());
        let mut bytes = format!("{method} {sent} HTTP/1.1\r\n");
        let fields: Vec<&str> = fields.collect();
        let names =
            |field: &&str| field.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case("host"));
        if !fields.iter().any(names) {
            bytes += &format!("Host: {host}\r\n");
        }
        for field in fields {
            let is_field = field.find(':').is_some_and(|at| at > 0);
            if !is_field || field.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return Err(("explain-header", "give a field line, such as 'Accept-Encoding: br'"));
            }
            bytes += &format!("{field}\r\n");
        }
        bytes += "\r\n";
        Ok(Self { bytes, changed })
    }
}

/// What would be answered, and why; and whether the status is below 400.
///
/// # Errors
/// As dup(2).
pub(super) fn explain(
    service: &FileService,
    settings: &Settings,
    access: &Access,
    asked: &Asked,
) -> io::Result<(String, bool)> {
    let decisions = Decisions::default();
    let service = service.observed(&decisions)?;
    let now = Now::ask();
    let mut connection = MemoryConnection::new(&service, settings, now);
    connection.memory.room = ROOM;
    connection.receive(asked.bytes.as_bytes());
    // A long listing takes several turns, as many as its directory has names for.
    while connection.memory.sent.is_empty() && connection.driver.wants_write() {
        connection.frames = FRAMES_PER_TURN;
        connection.flush();
    }
    let sent = std::mem::take(&mut connection.memory.sent);
    let end = memchr::memmem::find(&sent, b"\r\n\r\n").unwrap_or(sent.len());
    let head = String::from_utf8_lossy(&sent[..end]).replace("\r\n", "\n");
    let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()).unwrap_or(500);

    let mut text = section("request", asked.bytes.trim_end());
    text += &asked.changed.iter().map(|changed| section("", changed)).collect::<String>();
    if let Some(error) = refusal(asked, settings, now) {
        text += &section("refused", &error);
    }
    drop(connection);
    text += &conditions(access).map(|note| section("access", note)).collect::<String>();
    let mut last = "";
    for (step, note) in decisions.notes() {
        text += &section(if step == last { "" } else { step }, &note);
        last = step;
    }
    text += &section("response", &head);
    text += &section("body", &body(&asked.bytes, &head, status));
    Ok((text, status < 400))
}

/// What a client has to be or to know to get the response.
fn conditions(access: &Access) -> impl Iterator<Item = &'static str> {
    let users = "--auth: 401 without the name and the password of a user; the rest is the answer with them";
    let allow = "--allow: 403 for clients in no such network; the rest is the answer for others";
    let notes = [(access.allow.is_some(), allow), (access.users.is_some(), users)];
    notes.into_iter().filter_map(|(is_so, note)| is_so.then_some(note))
}

/// Why the protocol refuses the request, if it does: the parser's own error.
fn refusal(asked: &Asked, settings: &Settings, now: Now) -> Option<String> {
    let mut connection = Connection::new(now);
    let mut window = connection.open(asked.bytes.as_bytes(), now);
    let turn = Turn { now, settings, dates: &mut DateCache::new() };
    match connection.next_event(&mut window, &turn) {
        Event::Refuse(error) => Some(error.to_string()),
        Event::Head(head) => {
            let mut space: FieldSpace<'_, MAX_FIELDS> = field_space();
            let parsed = head.parse(window.bytes(), &mut space, &settings.limits);
            parsed.err().map(|error| error.to_string())
        }
        _ => None,
    }
}

/// What the head says of the body.
fn body(request: &str, head: &str, status: u16) -> String {
    let field = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case(wanted).then_some(value)
        })
    };
    match field("Content-Length") {
        _ if matches!(status, 204 | 304) || request.starts_with("HEAD ") => "none".into(),
        Some(length) => format!("{length} bytes"),
        None => "of a length that is not known before its end".into(),
    }
}

/// A step and its lines, wrapped at words. What has no spaces, as a long path, keeps its line.
fn section(step: &str, text: &str) -> String {
    let mut section = String::new();
    let mut margin = step;
    let mut push = |line: &str| {
        section += format!("{margin:STEP$}{line}").trim_end();
        section.push('\n');
        margin = "";
    };
    for line in text.lines() {
        let mut wrapped = String::new();
        for word in line.split(' ') {
            if !wrapped.is_empty() && STEP + wrapped.chars().count() + 1 + word.chars().count() > WIDTH {
                push(&std::mem::replace(&mut wrapped, "  ".into()));
            } else if !wrapped.is_empty() {
                wrapped.push(' ');
            }
            wrapped += word;
        }
        push(&wrapped);
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(url: &str, fields: &[&str]) -> Result<String, (&'static str, &'static str)> {
        Asked::read(url, fields.iter().copied()).map(|asked| asked.bytes)
    }

    #[test]
    fn urls_as_they_are_pasted() {
        for (url, want) in [
            ("/a?b", "GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("HEAD /", "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("http://h:9000", "GET / HTTP/1.1\r\nHost: h:9000\r\n\r\n"),
            ("HTTPS://h/a b#c", "GET /a%20b HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("http://h?q", "GET /?q HTTP/1.1\r\nHost: h\r\n\r\n"),
        ] {
            assert_eq!(bytes(url, &[]).as_deref(), Ok(want), "{url}");
        }
        for url in ["", "a", "localhost:9000/", "http://", "/a\r\nX: y", "/\0"] {
            assert_eq!(bytes(url, &[]).map_err(|error| error.0), Err("explain"), "{url:?}");
        }
    }

    #[test]
    fn field_lines() {
        let request = bytes("/", &["HOST: h", "A: b"]);
        assert_eq!(request.as_deref(), Ok("GET / HTTP/1.1\r\nHOST: h\r\nA: b\r\n\r\n"));
        for field in ["", "a", ": b", "a: b\r\nc: d", "a: \n"] {
            assert_eq!(bytes("/", &[field]).map_err(|error| error.0), Err("explain-header"), "{field:?}");
        }
    }

    #[test]
    fn lines_are_wrapped_at_words() {
        let text = section("step", &"word ".repeat(40));
        assert!(text.lines().all(|line| line.len() <= WIDTH) && text.lines().count() > 2, "{text}");
        assert!(text.starts_with("step        word word"), "{text}");
    }
}
