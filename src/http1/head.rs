//! The head of a request, parsed: httparse, and what httparse lets through.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::body::Framing;
use super::error::Error;
use super::fields::{CheckedFields, Fields};
use super::grammar::{is_percent_encoding_valid, is_target_byte, is_token};
use super::settings::Limits;
use super::target::{Target, parse_target};

/// Field lines in one head that there is room for at all. (see [`Limits::fields`])
pub const MAX_FIELDS: usize = 256;

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

/// Room for the fields of one head. Not initialised: clearing 8 KiB for each request would cost more than
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
    checked.check_host(version)?;
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

pub(super) type RequestLine<'a> = (&'a [u8], &'a [u8], &'a [u8], Version);

/// `request-line = method SP request-target SP HTTP-version` (RFC 9112 §3), with exactly these two spaces.
pub(super) fn request_line<'a>(head: &'a [u8], limits: &Limits) -> Result<RequestLine<'a>, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

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
}
