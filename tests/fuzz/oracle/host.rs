//! The oracle of hosts and targets: nothing in an accepted one can be read as another host.

use stheno::clock::Now;
use stheno::http1::{
    Error, FEW_FIELDS, Head, Limits, Method, Request, Target, field_space, is_host_and_port, trim_ows,
};

/// Checks any bytes as a `Host`, and as a target.
pub(crate) fn host(data: &[u8]) {
    if is_host_and_port(data) {
        check_authority(data);
    }
    check_field(data);
    for method in ["GET", "OPTIONS", "CONNECT", "get"] {
        check_as_target(data, method);
    }
}

/// Parses a head of `line` and `Host: host`.
fn parse<T>(line: &[u8], host: &[u8], check: impl FnOnce(Result<Request<'_>, Error>) -> T) -> T {
    let head = [line, b"\r\nHost: ", host, b"\r\n\r\n"].concat();
    let whole = Head { length: head.len(), fields: 1, begun: Now::ask().monotonic };
    check(whole.parse(&head, &mut field_space::<FEW_FIELDS>(), &Limits::default()))
}

/// Checks that the parser of heads accepts a `Host` that is an authority, and no other.
fn check_field(data: &[u8]) {
    if data.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return;
    }
    // An empty field is valid, a port without a host is not.
    let value = trim_ows(data);
    let want = (!is_host_and_port(value) || value.starts_with(b":")).then_some(Error::Host);
    assert_eq!(parse(b"GET / HTTP/1.1", data, |request| request.err()), want, "as a field");
}

/// Checks a target in a request line. Bytes with a line end are more than a line: the oracle of heads checks those.
fn check_as_target(data: &[u8], method: &str) {
    if data.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return;
    }
    let line = [method.as_bytes(), b" ", data, b" HTTP/1.1"].concat();
    let fits = !data.is_empty() && data.len() <= Limits::default().target;
    let is_in_target = |byte: &u8| (byte.is_ascii_graphic() || !byte.is_ascii()) && *byte != b'#';
    let before_query = data.split(|byte| *byte == b'?').next().unwrap_or_default();
    let is_uri = data.iter().all(is_in_target) && is_encoding_valid(before_query);
    parse(&line, b"h", |request| match request {
        Ok(request) => {
            assert!(fits && is_uri, "{data:?}");
            check_target(data, request.method, request.target);
        }
        Err(error) => assert!(error == Error::Target || !fits || !is_uri, "{error:?}: {data:?}"),
    });
}

/// Whether two hexadecimal digits follow every `%`.
fn is_encoding_valid(data: &[u8]) -> bool {
    let is_encoded = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    data.split(|byte| *byte == b'%').skip(1).all(is_encoded)
}

fn check_authority(authority: &[u8]) {
    let text = std::str::from_utf8(authority).expect("ASCII");
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    assert!(!text.contains(['@', '/', '\\', '?', '#', '"', '<', '>', '^', '`', '{', '|', '}']), "{text:?}");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').expect("a closing bracket");
            assert!(!address.is_empty() && !address.contains('%') && !address.contains('['), "{text:?}");
            if !address.starts_with(['v', 'V']) {
                assert!(address.contains(':'), "an IPv6 address: {text:?}");
            }
            (address, port.strip_prefix(':'))
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            assert!(!host.contains([':', '[', ']', ',']), "{text:?}");
            assert!(is_encoding_valid(host.as_bytes()), "{text:?}");
            (host, port)
        }
    };
    assert!(host.len() <= text.len());
    if let Some(port) = port.filter(|port| !port.is_empty()) {
        assert!(port.bytes().all(|byte| byte.is_ascii_digit()), "{text:?}");
        assert!(port.parse::<u128>().unwrap_or(0) <= 65_535, "{text:?}");
    }
}

fn check_target(data: &[u8], method: Method<'_>, target: Target<'_>) {
    match target {
        Target::Authority => {
            assert_eq!(method, Method::Connect);
            check_authority(data);
            assert!(!data.starts_with(b":") && !data.ends_with(b":"), "{data:?}");
        }
        Target::Asterisk => {
            assert!(method == Method::Options && (data == b"*" || authority_of(data).is_some()))
        }
        Target::Path { path, query } => {
            assert_ne!(method, Method::Connect);
            assert!(path.starts_with(b"/") && !path.contains(&b'?'), "{path:?}");
            let tail = match query {
                Some(query) => [path, b"?", query].concat(),
                None => path.to_vec(),
            };
            if data.starts_with(b"/") {
                assert_eq!(tail, data, "origin-form is all path and query");
            } else {
                let authority = authority_of(data).expect("absolute-form");
                assert!(!authority.is_empty());
                check_authority(authority);
                // An absolute target without a path has the path `/`.
                assert!(data.ends_with(&tail) || path == b"/" && data.ends_with(&tail[1..]), "{data:?}");
            }
        }
    }
}

/// Returns the host that a browser would connect to: the text between `//` and the first of `/ ? #`.
fn authority_of(target: &[u8]) -> Option<&[u8]> {
    let at = target.windows(3).position(|three| three == b"://")?;
    assert!(target[..at].eq_ignore_ascii_case(b"http") || target[..at].eq_ignore_ascii_case(b"https"));
    let rest = &target[at + 3..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    Some(&rest[..end])
}
