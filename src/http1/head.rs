//! The parser of a request's head: httparse, and checks that httparse does not make.

use super::error::Error;
use super::framing::BodyFraming;
use super::grammar::{
    is_host_and_port, is_percent_encoding_valid, is_target_byte, is_tchar, is_token, list, parse_decimal,
    trim_ows,
};
use super::request::{Arrival, Fields, Method, Request, Target, Version};
use super::settings::Limits;
use crate::clock::Instant;

/// The most field lines of one head, whatever [`Limits::fields`] is.
pub const MAX_FIELDS: usize = 256;

/// The position of a whole head, not yet parsed: the first `length` bytes of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The length in bytes, CR LF CR LF included.
    pub length: usize,
    /// The number of field lines.
    pub fields: usize,
    /// The arrival of the first byte.
    pub begun: Instant,
}

impl Head {
    /// Parses the head at the front of `input`; `space` has room for its field lines.
    ///
    /// # Errors
    /// The reason to refuse the request.
    pub fn parse<'a>(
        &self,
        input: &'a [u8],
        space: &'a mut [httparse::Header<'a>],
        limits: &Limits,
    ) -> Result<Request<'a>, Error> {
        parse(&input[..self.length], space, limits)
    }
}

/// Space for `N` parsed field lines. To clear [`MAX_FIELDS`] costs more than to parse the fields of most heads, so
/// those with at most [`FEW_FIELDS`] get a smaller space.
pub type FieldSpace<'a, const N: usize> = [httparse::Header<'a>; N];

/// A number of field lines that the heads of every browser stay below.
pub const FEW_FIELDS: usize = 32;

/// Makes space for `N` field lines.
#[must_use]
pub fn field_space<'a, const N: usize>() -> FieldSpace<'a, N> {
    [httparse::EMPTY_HEADER; N]
}

/// Parses a whole head, CR LF CR LF included; `space` has room for its field lines.
pub(super) fn parse<'a>(
    head: &'a [u8],
    space: &'a mut [httparse::Header<'a>],
    limits: &Limits,
) -> Result<Request<'a>, Error> {
    let (line, fields) = split_line(head).ok_or(Error::RequestLine)?;
    let RequestLine { method, target, version } = request_line(line, limits)?;
    let method = Method::from_token(method);
    let fields = match httparse::parse_headers(fields, space) {
        // httparse also ends a head at a bare LF LF, so the end must be that of `HeadEnd`.
        Ok(httparse::Status::Complete((length, parsed))) if length == fields.len() => Fields(parsed),
        Err(httparse::Error::TooManyHeaders) => return Err(Error::FieldsTooLarge),
        Ok(_) | Err(_) => return Err(Error::Field),
    };

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
        arrival: Arrival::Unknown,
    })
}

/// Splits a head into its first line and the bytes after it.
pub(super) fn split_line(head: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\r', head)?;
    Some((&head[..end], head.get(end + 2..).unwrap_or_default()))
}

/// The parts of a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: Version,
}

/// Parses `request-line = method SP request-target SP HTTP-version` (RFC 9112 §3), with exactly these two spaces.
///
/// A valid line is read once; a second pass finds the error of an invalid one.
pub(super) fn request_line<'a>(line: &'a [u8], limits: &Limits) -> Result<RequestLine<'a>, Error> {
    match well_formed(line) {
        Some(parts) if parts.target.len() <= limits.target => Ok(parts),
        _ => Err(request_line_error(line, limits)),
    }
}

fn well_formed(line: &[u8]) -> Option<RequestLine<'_>> {
    let method = line.iter().take_while(|byte| is_tchar(**byte)).count();
    let (method, rest) = line.split_at(method);
    let rest = rest.strip_prefix(b" ")?;
    let mut has_encoded = false;
    let is_part = |byte: &&u8| {
        has_encoded |= **byte == b'%';
        is_target_byte(**byte)
    };
    let target = rest.iter().take_while(is_part).count();
    let (target, version) = rest.split_at(target);
    let version = version.strip_prefix(b" ").and_then(known_version)?;
    // A query means what the application makes of it: `?q=50%` is not malformed (RULES A20).
    let before_query = || target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let is_valid = !method.is_empty()
        && !target.is_empty()
        && (!has_encoded || is_percent_encoding_valid(before_query()));
    is_valid.then_some(RequestLine { method, target, version })
}

/// Parses the version. A later minor version counts as 1.1 (RULES A8).
fn known_version(version: &[u8]) -> Option<Version> {
    match version {
        b"HTTP/1.1" => Some(Version::Http11),
        b"HTTP/1.0" => Some(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Some(Version::Http11),
        _ => None,
    }
}

/// Returns the error of a line that is malformed, or whose target is too long.
fn request_line_error(line: &[u8], limits: &Limits) -> Error {
    let words: Vec<&[u8]> = line.splitn(4, |byte| *byte == b' ').collect();
    let &[method, target, version] = &words[..] else {
        return Error::RequestLine;
    };
    if !is_token(method) || target.is_empty() {
        return Error::RequestLine;
    }
    if target.len() > limits.target {
        return Error::TargetTooLong;
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', b'0'..=b'9'] => Error::Version,
        version if known_version(version).is_none() => Error::RequestLine,
        _ => Error::Target,
    }
}

/// The fields that decide the framing and the end of the connection, found in one pass.
#[derive(Debug, Default)]
struct CheckedFields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    codings: TransferCodings,
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
            this.add(name, value)?;
        }
        Ok(this)
    }

    fn add(&mut self, name: &str, value: &'a [u8]) -> Result<(), Error> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // The length comes first: it excludes most fields.
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
                self.codings.add_line(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Checks `Host`, which HTTP/1.1 requires also with an absolute target (RFC 9112 §3.2). It may be empty; a port
    /// without a host is malformed (RFC 9110 §4.2.1).
    fn check_host(&self, version: Version) -> Result<(), Error> {
        match self.host {
            None if version >= Version::Http11 => Err(Error::Host),
            Some([b':', ..]) => Err(Error::Host),
            Some(host) if !is_host_and_port(host) => Err(Error::Host),
            _ => Ok(()),
        }
    }

    /// Reads the options of `Connection`: a list in any case, over any number of lines (RULES A38).
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

    /// Whether the client expects `100 Continue`. Expectations of HTTP/1.0 are ignored (RFC 9110 §10.1.1).
    fn expects_continue(&self, version: Version) -> Result<bool, Error> {
        match version {
            Version::Http10 => Ok(false),
            Version::Http11 if self.expect_other => Err(Error::Expectation),
            Version::Http11 => Ok(self.expect_continue),
        }
    }

    /// Returns the framing of the body (RFC 9112 §6.3). Where the RFC lets a server repair a request, it is refused.
    fn framing(&self, version: Version) -> Result<BodyFraming, Error> {
        match (self.codings.count, self.content_length) {
            (1.., Some(_)) => Err(Error::TransferEncoding),
            (1.., None) if version < Version::Http11 => Err(Error::TransferEncoding),
            (1.., None) => self.codings.framing(),
            (0, Some(length)) => {
                let length = parse_decimal(length).ok_or(Error::ContentLength)?;
                Ok(if length == 0 { BodyFraming::None } else { BodyFraming::Length(length) })
            }
            (0, None) => Ok(BodyFraming::None),
        }
    }
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8], error: Error) -> Result<(), Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(error),
    }
}

/// The list of codings in `Transfer-Encoding`, over any number of lines (RFC 9110 §5.3).
#[derive(Debug, Default)]
struct TransferCodings {
    count: usize,
    has_chunked: bool,
    /// Whether a coding is malformed, or follows `chunked`.
    is_malformed: bool,
}

impl TransferCodings {
    fn add_line(&mut self, value: &[u8]) {
        for coding in value.split(|byte| *byte == b',').map(trim_ows) {
            self.count += 1;
            self.is_malformed |= self.has_chunked || !is_token(coding);
            self.has_chunked |= coding.eq_ignore_ascii_case(b"chunked");
        }
    }

    /// Accepts `chunked` only: other well-formed lists are 501, and malformed ones 400 (RULES A52 to A54).
    fn framing(&self) -> Result<BodyFraming, Error> {
        match self {
            Self { is_malformed: true, .. } => Err(Error::TransferEncoding),
            Self { count: 1, has_chunked: true, .. } => Ok(BodyFraming::Chunked),
            _ => Err(Error::Coding),
        }
    }
}

/// Parses `request-target` (RFC 9112 §3.2). The authority of an absolute target takes precedence over `Host`; neither is
/// kept, since every host is the same server here.
pub(super) fn parse_target<'a>(target: &'a [u8], method: Method<'_>) -> Result<Target<'a>, Error> {
    match (target, method) {
        (_, Method::Connect) => {
            // CONNECT needs a port (RFC 9110 §9.3.6).
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

/// Parses `absolute-form` (RFC 9112 §3.2.2) of http and https, with a host (RFC 9110 §4.2.1) and without userinfo
/// (§4.2.4).
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
