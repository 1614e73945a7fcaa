//! The head of a request: its limits line by line, then httparse, then what httparse lets through.
//!
//! Two passes, and the order matters for "any split of the bytes gives the same answer". [`HeadScan`] looks
//! at lines as they come and knows only lengths, counts and line ends; what it refuses depends on a prefix
//! of the stream alone, so it is the same however the stream is cut. [`parse`] sees the whole head or
//! nothing.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::num::NonZeroU64;

use super::body::Framing;
use super::error::Error;
use super::grammar::{
    is_host_and_port, is_percent_encoding_valid, is_target_byte, is_tchar, is_token, list, parse_decimal,
    trim_ows,
};
use super::settings::Limits;
use crate::chat::Window;

/// Field lines in one head; one more is refused with 431. What Apache, h2o and hyper take.
pub const MAX_FIELDS: usize = 100;

/// Bytes of a method; one more and no known method can come of it.
const MAX_METHOD: usize = 32;

/// `METHOD SP` and `SP HTTP/1.1` around the target of the longest request line.
const REQUEST_LINE_EXTRA: usize = 64;

/// What ends a head: the lab's terminator.
const END: &[u8] = b"\r\n\r\n";

/// How far the lines of a head that is still coming have been checked.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    lines: usize,
    line_start: usize,
    /// How far a line end has been looked for.
    searched: usize,
    request_line_checked: bool,
}

impl HeadScan {
    /// The length of the head at the beginning of `window`, once all of it is here.
    pub(super) fn find(&mut self, window: &mut Window<'_>, limits: &Limits) -> Result<Option<usize>, Error> {
        check_beginning(window.bytes())?;
        let head = window.find(END);
        let bytes = window.bytes();
        let lines = self.check_lines(&bytes[..head.unwrap_or(bytes.len())], limits);
        // A whole head is parsed soon enough. One that never becomes whole must not be waited for when its
        // first line is wrong already; and what that line says goes before what is wrong behind it.
        if self.lines > 0 && !self.request_line_checked && (head.is_none() || lines.is_err()) {
            self.request_line_checked = true;
            request_line(bytes, limits)?;
        }
        lines.map(|()| head)
    }

    /// Checks the lines that have come since the last call; each byte is looked at once.
    fn check_lines(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Error> {
        while let Some(offset) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + offset;
            let line = &bytes[self.line_start..end];
            self.check_length(line.len().saturating_sub(1), limits)?;
            // Before the line's end is looked at: with fewer bytes here the limit would be all there is.
            if end >= limits.head {
                return Err(Error::FieldsTooLarge);
            }
            if line.last() != Some(&b'\r') {
                return Err(Error::BareLineEnd);
            }
            self.line_start = end + 1;
            self.searched = end + 1;
            self.lines += 1;
            // The request line, the fields, and then only the empty line at the end.
            if self.lines > MAX_FIELDS + 1 && line.len() > 1 {
                return Err(Error::FieldsTooLarge);
            }
        }
        self.searched = bytes.len();
        // The line that is still coming; its last byte may be the CR of its end.
        let coming = bytes.len() - self.line_start;
        self.check_length(coming.saturating_sub(1), limits)?;
        if bytes.len() > limits.head { Err(Error::FieldsTooLarge) } else { Ok(()) }
    }

    fn check_length(&self, length: usize, limits: &Limits) -> Result<(), Error> {
        match self.lines {
            0 if length > limits.target + REQUEST_LINE_EXTRA => Err(Error::TargetTooLong),
            0 => Ok(()),
            _ if length > limits.field_line => Err(Error::FieldsTooLarge),
            _ => Ok(()),
        }
    }
}

/// Whether a request can begin like this: with a method of a bearable length.
fn check_beginning(bytes: &[u8]) -> Result<(), Error> {
    let method = bytes.iter().take(MAX_METHOD + 1).take_while(|byte| is_tchar(**byte)).count();
    match bytes.get(method) {
        _ if method > MAX_METHOD => Err(Error::MethodTooLong),
        Some(b'\n') if method == 0 => Err(Error::BareLineEnd),
        Some(b'\r') if method == 0 => Err(Error::BareLineEnd),
        Some(_) if method == 0 => Err(Error::NotHttp),
        _ => Ok(()),
    }
}

/// A request method (RFC 9110 §9). Methods are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Method<'a> {
    Get,
    Head,
    Options,
    Post,
    Put,
    Delete,
    Patch,
    Trace,
    Connect,
    /// A well-formed token that is none of the above.
    Other(&'a [u8]),
}

impl<'a> Method<'a> {
    fn from_token(token: &'a [u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            other => Self::Other(other),
        }
    }
}

/// The version of a request. A later minor version counts as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// The request target (RFC 9112 §3.2), its form forgotten where it makes no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Origin-form or absolute-form.
    Path {
        /// Begins with `/`; still percent-encoded.
        path: &'a [u8],
        /// What stands behind the first `?`.
        query: Option<&'a [u8]>,
    },
    /// `host:port`, of CONNECT.
    Authority,
    /// `*`, of OPTIONS.
    Asterisk,
}

/// The header fields, in the order in which they came.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// Name and value of each; values without white space around them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.0.iter().map(|field| (field.name, field.value))
    }

    /// The values of all fields with this name, in any case.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter().filter(move |(this, _)| this.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the first field with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The value of the only field with this name: `None` also when there are several.
    #[must_use]
    pub fn single(&self, name: &str) -> Option<&'a [u8]> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }
}

/// The head of a request that was understood: `method, uri, protocol`, then the fields as sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The request line, without its end.
    pub line: &'a [u8],
    /// The method.
    pub method: Method<'a>,
    /// The target.
    pub target: Target<'a>,
    /// The version.
    pub version: Version,
    /// The fields.
    pub fields: Fields<'a>,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the client wants the connection to live on (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Room for the fields of one head. Not initialised: clearing 3 KiB for each request would cost more than
/// parsing it.
pub(super) type FieldSpace<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_FIELDS];

pub(super) fn field_space<'a>() -> FieldSpace<'a> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// A head that says `HTTP/1.2` to `1.9` is read as one of 1.1 (RULES A8). httparse knows 1.0 and 1.1 only.
pub(super) fn as_known_version(head: &[u8]) -> Cow<'_, [u8]> {
    let end = memchr::memchr(b'\r', head).unwrap_or(0);
    match head[..end] {
        [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => {
            let mut head = head.to_vec();
            head[end - 1] = b'1';
            head.into()
        }
        _ => head.into(),
    }
}

/// Parses a whole head, CRLFCRLF included.
pub(super) fn parse<'a>(
    head: &'a [u8],
    space: &'a mut FieldSpace<'a>,
    limits: &Limits,
) -> Result<Request<'a>, Error> {
    let (line, method, target, version) = request_line(head, limits)?;
    let method = Method::from_token(method);

    let mut parsed = httparse::Request::new(&mut []);
    match httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, head, space) {
        // httparse also ends a head at a bare LF LF: only a head that ends where ours does is the same head.
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Error::FieldsTooLarge),
        Ok(_) | Err(_) => return Err(Error::Field),
    }
    let fields = Fields(parsed.headers);

    let checked = CheckedFields::of(fields)?;
    let target = parse_target(target, method)?;
    check_host(&checked, version)?;
    Ok(Request {
        line,
        method,
        target,
        version,
        fields,
        framing: checked.framing(version)?,
        keep_alive: checked.keep_alive(version),
        expects_continue: checked.expects_continue(version)?,
    })
}

type RequestLine<'a> = (&'a [u8], &'a [u8], &'a [u8], Version);

/// `request-line = method SP request-target SP HTTP-version` (RFC 9112 §3), with exactly these two spaces.
fn request_line<'a>(head: &'a [u8], limits: &Limits) -> Result<RequestLine<'a>, Error> {
    let end = memchr::memchr(b'\r', head).ok_or(Error::RequestLine)?;
    let line = &head[..end];
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::RequestLine);
    };
    if !is_token(method) || target.is_empty() {
        return Err(Error::RequestLine);
    }
    if target.len() > limits.target {
        return Err(Error::TargetTooLong);
    }
    let version = match version {
        b"HTTP/1.0" => Version::Http10,
        b"HTTP/1.1" => Version::Http11,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Version::Http11,
        [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', b'0'..=b'9'] => return Err(Error::Version),
        _ => return Err(Error::RequestLine),
    };
    if !target.iter().copied().all(is_target_byte) || !is_percent_encoding_valid(target) {
        return Err(Error::Target);
    }
    Ok((line, method, target, version))
}

/// `request-target` (RFC 9112 §3.2). The authority of an absolute target wins over `Host`; since every host is
/// the same server here, neither is kept.
fn parse_target<'a>(target: &'a [u8], method: Method<'_>) -> Result<Target<'a>, Error> {
    match (target, method) {
        (_, Method::Connect) => {
            // An empty port is no port to connect to (RFC 9110 §9.3.6).
            let port = memchr::memrchr(b':', target).map(|colon| &target[colon + 1..]);
            let valid = !target.starts_with(b":") && port.is_some_and(|port| parse_decimal(port).is_some());
            if valid && is_host_and_port(target) { Ok(Target::Authority) } else { Err(Error::Target) }
        }
        (b"*", Method::Options) => Ok(Target::Asterisk),
        ([b'/', ..], _) => Ok(path_and_query(target)),
        _ => absolute_form(target, method),
    }
}

fn path_and_query(target: &[u8]) -> Target<'_> {
    match memchr::memchr(b'?', target) {
        Some(mark) => Target::Path { path: &target[..mark], query: Some(&target[mark + 1..]) },
        None => Target::Path { path: target, query: None },
    }
}

/// `absolute-form` (RFC 9112 §3.2.2) of http and https, whose host must not be empty (RFC 9110 §4.2.1) and
/// has no userinfo (§4.2.4).
fn absolute_form<'a>(target: &'a [u8], method: Method<'_>) -> Result<Target<'a>, Error> {
    let rest = [&b"http://"[..], b"https://"]
        .iter()
        .find(|scheme| target.len() >= scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme))
        .map(|scheme| &target[scheme.len()..])
        .ok_or(Error::Target)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if matches!(authority, [] | [b':', ..]) || !is_host_and_port(authority) {
        return Err(Error::Target);
    }
    Ok(match rest {
        [] if method == Method::Options => Target::Asterisk,
        [] => path_and_query(b"/"),
        [b'?', query @ ..] => Target::Path { path: b"/", query: Some(query) },
        _ => path_and_query(rest),
    })
}

/// RFC 9112 §3.2: one `Host`, always in HTTP/1.1, also beside an absolute target; it may be empty.
fn check_host(fields: &CheckedFields<'_>, version: Version) -> Result<(), Error> {
    match fields.host {
        None if version >= Version::Http11 => Err(Error::Host),
        Some(host) if !is_host_and_port(host) => Err(Error::Host),
        _ => Ok(()),
    }
}

/// The fields that decide how the connection goes on, found in one pass.
#[derive(Debug, Default)]
struct CheckedFields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
    expect_other: bool,
}

impl<'a> CheckedFields<'a> {
    fn of(fields: Fields<'a>) -> Result<Self, Error> {
        let mut this = Self::default();
        for (name, value) in fields.iter() {
            this.look_at(name, value)?;
        }
        Ok(this)
    }

    fn look_at(&mut self, name: &str, value: &'a [u8]) -> Result<(), Error> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // By length first: most fields are none of these.
        match name.len() {
            4 if is("host") => once(&mut self.host, value, Error::Host),
            6 if is("expect") => {
                self.note_expectation(value);
                Ok(())
            }
            10 if is("connection") => {
                self.note_connection(value);
                Ok(())
            }
            12 if is("content-type") => once(&mut self.content_type, value, Error::Repeated),
            14 if is("content-length") => once(&mut self.content_length, value, Error::ContentLength),
            17 if is("transfer-encoding") => {
                once(&mut self.transfer_encoding, value, Error::TransferEncoding)
            }
            _ => Ok(()),
        }
    }

    /// A list in any case, over any number of lines (RULES A38).
    fn note_connection(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn note_expectation(&mut self, value: &[u8]) {
        if trim_ows(value).eq_ignore_ascii_case(b"100-continue") {
            self.expect_continue = true;
        } else {
            self.expect_other = true;
        }
    }

    fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version >= Version::Http11 || self.keep_alive)
    }

    /// Expectations of HTTP/1.0 are ignored (RFC 9110 §10.1.1).
    fn expects_continue(&self, version: Version) -> Result<bool, Error> {
        match version {
            Version::Http10 => Ok(false),
            Version::Http11 if self.expect_other => Err(Error::Expectation),
            Version::Http11 => Ok(self.expect_continue),
        }
    }

    /// RFC 9112 §6.3, with every "may repair" taken as "refuse".
    fn framing(&self, version: Version) -> Result<Framing, Error> {
        match (self.transfer_encoding, self.content_length) {
            (Some(_), Some(_)) => Err(Error::TransferEncoding),
            (Some(_), None) if version < Version::Http11 => Err(Error::TransferEncoding),
            (Some(codings), None) => transfer_coding(codings),
            (None, Some(length)) => {
                let length = parse_decimal(length).ok_or(Error::ContentLength)?;
                Ok(NonZeroU64::new(length).map_or(Framing::None, Framing::Length))
            }
            (None, None) => Ok(Framing::None),
        }
    }
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8], error: Error) -> Result<(), Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(error),
    }
}

/// Exactly `chunked` is served; other codings that are well-formed are not known here (501); the rest is
/// malformed (RULES A52 to A54).
fn transfer_coding(value: &[u8]) -> Result<Framing, Error> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let codings: Vec<&[u8]> = value.split(|byte| *byte == b',').map(trim_ows).collect();
    let well_formed = codings.iter().all(|coding| is_token(coding));
    let before_last = &codings[..codings.len() - 1];
    if well_formed && !before_last.iter().any(is_chunked) {
        Err(Error::Coding)
    } else {
        Err(Error::TransferEncoding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<T>(head: &str, check: impl FnOnce(Result<Request<'_>, Error>) -> T) -> T {
        let head = as_known_version(head.as_bytes());
        check(parse(&head, &mut field_space(), &Limits::default()))
    }

    fn error(head: &str) -> Option<Error> {
        parsed(head, |request| request.err())
    }

    #[test]
    fn a_request_in_the_seeds_order() {
        let head = "GET /a?b=c HTTP/1.1\r\nHost: h\r\nX: 1\r\nx:  2 \r\nY:\r\n\r\n";
        parsed(head, |request| {
            let request = request.expect("a request");
            assert_eq!(request.method, Method::Get);
            let target = Target::Path { path: b"/a", query: Some(b"b=c") };
            assert_eq!(request.target, target);
            assert_eq!(request.version, Version::Http11);
            let fields: Vec<_> = request.fields.iter().collect();
            assert_eq!(fields, [("Host", &b"h"[..]), ("X", b"1"), ("x", b"2"), ("Y", b"")]);
            assert_eq!(request.fields.get("X"), Some(&b"1"[..]));
            assert_eq!(request.fields.single("X"), None);
            assert!(request.keep_alive);
        });
    }

    #[test]
    fn versions() {
        for (version, want) in [
            ("HTTP/1.1", None),
            ("HTTP/1.2", None),
            ("HTTP/1.9", None),
            ("HTTP/2.0", Some(Error::Version)),
            ("HTTP/9.9", Some(Error::Version)),
            ("HTTP/0.9", Some(Error::RequestLine)),
            ("HTTP/1", Some(Error::RequestLine)),
            ("HTTP/1.01", Some(Error::RequestLine)),
            ("http/1.1", Some(Error::RequestLine)),
            ("HTTP/4294967295.255", Some(Error::RequestLine)),
        ] {
            assert_eq!(
                error(&format!("GET / {version}\r\nHost: a\r\n\r\n")),
                want,
                "RULES A7 to A9: {version}"
            );
        }
    }

    #[test]
    fn targets() {
        let target = |method: &str, target: &str| {
            parsed(&format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"), |request| {
                request.map(|request| match request.target {
                    Target::Path { path, query } => {
                        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                        (text(path), query.map(text))
                    }
                    Target::Authority => ("(authority)".into(), None),
                    Target::Asterisk => ("*".into(), None),
                })
            })
        };
        let path = |path: &str, query: Option<&str>| Ok((path.to_string(), query.map(String::from)));
        assert_eq!(target("GET", "http://b"), path("/", None));
        assert_eq!(target("GET", "HTTPS://b:443?x"), path("/", Some("x")));
        assert_eq!(target("GET", "http://b/c?d?e"), path("/c", Some("d?e")));
        assert_eq!(target("OPTIONS", "*"), path("*", None));
        assert_eq!(target("OPTIONS", "http://b"), path("*", None));
        assert_eq!(target("CONNECT", "b:443"), path("(authority)", None));
        for (method, bad) in [
            ("GET", "*"),
            ("GET", "b:80"),
            ("GET", "ok"),
            ("GET", "ftp://b/"),
            ("GET", "http://"),
            ("GET", "http:///x"),
            ("GET", "http://:80/"),
            ("GET", "http://u:p@b/"),
            ("GET", "/a#b"),
            ("GET", "/%4"),
            ("GET", "/?%zz"),
            ("CONNECT", "/"),
            ("CONNECT", "b"),
            ("CONNECT", "b:"),
            ("CONNECT", "[::1]"),
            ("CONNECT", ":1"),
        ] {
            assert_eq!(target(method, bad), Err(Error::Target), "RULES A15 to A20: {method} {bad}");
        }
    }

    #[test]
    fn framing() {
        let framing = |fields: &str| {
            parsed(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), |request| {
                request.map(|request| request.framing)
            })
        };
        let length = |length| Ok(Framing::Length(NonZeroU64::new(length).expect("not zero")));
        assert_eq!(framing("Content-Length: 0\r\n"), Ok(Framing::None), "SEED: no terminator of 0");
        assert_eq!(framing("Content-Length: \t003 \r\n"), length(3));
        assert_eq!(framing("Transfer-Encoding: CHUNKED\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing("Transfer-Encoding: gzip, chunked\r\n"), Err(Error::Coding));
        assert_eq!(framing("Transfer-Encoding: xchunked\r\n"), Err(Error::Coding));
        for bad in ["chunked, identity", "chunked, chunked", "", ", chunked", "chunked;a=b", "\"chunked\""] {
            let fields = format!("Transfer-Encoding: {bad}\r\n");
            assert_eq!(framing(&fields), Err(Error::TransferEncoding), "RULES A53, A54: {bad}");
        }
        for bad in ["3, 3", "", "+3", "3\r\nContent-Length: 3"] {
            let fields = format!("Content-Length: {bad}\r\n");
            assert_eq!(framing(&fields), Err(Error::ContentLength), "RULES A43, A44: {bad}");
        }
    }

    #[test]
    fn the_connection_field_is_a_list() {
        let keep_alive = |version: &str, fields: &str| {
            parsed(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"), |request| {
                request.expect("a request").keep_alive
            })
        };
        assert!(keep_alive("1.1", ""));
        assert!(!keep_alive("1.0", ""));
        assert!(keep_alive("1.0", "Connection: Keep-Alive\r\n"));
        assert!(!keep_alive("1.1", "Connection: x, CLOSE\r\n"));
        assert!(!keep_alive("1.1", "Connection: x\r\nConnection: close\r\n"));
        assert!(!keep_alive("1.0", "Connection: keep-alive, close\r\n"));
        assert!(keep_alive("1.1", "Connection: TE,,Keep-Alive\r\n"), "RULES A39");
    }

    /// What the scan refuses depends on a prefix of the stream only, so no cut changes it.
    #[test]
    fn limits_are_the_same_at_every_cut() {
        let limits = Limits { target: 20, field_line: 30, head: 200, ..Limits::default() };
        let scan = |input: &[u8], step: usize| {
            let (mut buffer, mut scan) = (crate::chat::InBuffer::new(), HeadScan::default());
            for piece in input.chunks(step) {
                let mut window = buffer.open(piece);
                match scan.find(&mut window, &limits) {
                    Ok(None) => buffer.close(window),
                    end => return end,
                }
            }
            Ok(None)
        };
        let long = "x".repeat(300);
        let many = "A: b\r\n".repeat(40);
        for (input, want) in [
            (format!("GET /{long} HTTP/1.1\r\n\r\n"), Err(Error::TargetTooLong)),
            (format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"), Err(Error::FieldsTooLarge)),
            (format!("GET / HTTP/1.1\r\n{many}\r\n"), Err(Error::FieldsTooLarge)),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n".into(), Err(Error::BareLineEnd)),
            ("\n".into(), Err(Error::BareLineEnd)),
            ("\rG".into(), Err(Error::BareLineEnd)),
            ("M".repeat(33), Err(Error::MethodTooLong)),
            (format!("{} / HTTP/1.1\r\n", "M".repeat(40)), Err(Error::MethodTooLong)),
            ("GET /\r\n".into(), Err(Error::RequestLine)),
            ("GET / HTTP/2.0\r\nA: b\n".into(), Err(Error::Version)),
            (format!("GET / HTTP/2.0\r\nA: {long}\r\n\r\n"), Err(Error::Version)),
            ("\x16\x03\x01".into(), Err(Error::NotHttp)),
            ("GET / HTTP/1.1\r\n\r\n".into(), Ok(Some(18))),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r".into(), Ok(None)),
        ] {
            for step in 1..=input.len() {
                assert_eq!(scan(input.as_bytes(), step), want, "{input:?} in steps of {step}");
            }
        }
    }
}
