//! The oracle of hosts and targets: nothing in an accepted one can be read as another host.

use crate::http1::error::Error;
use crate::http1::grammar::{
    is_field_value_byte, is_host_and_port, is_percent_encoding_valid, is_target_byte, trim_ows,
};
use crate::http1::head::{FEW_FIELDS, field_space, parse, parse_target};
use crate::http1::request::{Method, Target};
use crate::http1::settings::Limits;

/// Checks any bytes as a `Host`, and as a target.
pub fn host(data: &[u8]) {
    if is_host_and_port(data) {
        check_authority(data);
    }
    for method in [Method::Get, Method::Options, Method::Connect, Method::Other(b"get")] {
        let target = parse_target(data, method);
        if let Ok(target) = target {
            check_target(data, method, target);
        }
    }
    check_in_a_head(data);
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
            assert!(is_percent_encoding_valid(host.as_bytes()), "{text:?}");
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

/// Checks that the whole parser agrees with its parts about a `Host` and a target.
fn check_in_a_head(data: &[u8]) {
    let verdict = |head: &[u8]| parse(head, &mut field_space::<FEW_FIELDS>(), &Limits::default()).err();
    let is_value = data.iter().copied().all(is_field_value_byte);
    if is_value {
        let head = [b"GET / HTTP/1.1\r\nHost: ", data, b"\r\n\r\n"].concat();
        // An empty field is valid, a port without a host is not.
        let value = trim_ows(data);
        let want = (!is_host_and_port(value) || value.starts_with(b":")).then_some(Error::Host);
        assert_eq!(verdict(&head), want, "as a field");
    }
    let is_target = !data.is_empty() && data.iter().copied().all(is_target_byte);
    if is_target && is_percent_encoding_valid(data) && data.len() <= Limits::default().target {
        let head = [b"GET ", data, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        assert_eq!(verdict(&head), parse_target(data, Method::Get).err(), "as a target");
    }
}
