//! The request target in its four forms (RFC 9112 §3.2).

use super::error::Error;
use super::grammar::{is_host_and_port, parse_decimal};
use super::request::{Method, Target};

/// `request-target` (RFC 9112 §3.2). The authority of an absolute target wins over `Host`; since every host is
/// the same server here, neither is kept.
pub(super) fn parse_target<'a>(target: &'a [u8], method: Method<'_>) -> Result<Target<'a>, Error> {
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
