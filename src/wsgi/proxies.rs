//! What trusted proxies say of a request: its client, and the scheme, host and port that the client used.

use std::str;

use crate::access::{Forwarded, ForwardedOrigin};
use crate::http1::{Fields, Request, is_host_and_port, trim_ows};
use crate::reactor::Peer;

/// The proxies of `--forwarded-allow-ips`.
#[derive(Clone, Debug)]
pub(super) struct Proxies {
    pub(super) forwarded: Forwarded,
    /// Whether `X-Forwarded-Host` and `X-Forwarded-Port` are believed, too.
    pub(super) with_host: bool,
}

/// What differs from the request that the last proxy has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForwardedRequest {
    pub(super) client: Peer,
    /// Whether the client speaks TLS; `None` if no proxy says that.
    pub(super) is_tls: Option<bool>,
    /// The host that the client asked for, with its port.
    pub(super) host: Option<Box<[u8]>>,
    /// The port that the client connected to, if scheme, host or port are known from a proxy.
    pub(super) port: Option<u16>,
}

impl Proxies {
    /// Reads the fields of a proxy; `None` if the peer is none.
    pub(super) fn read(&self, peer: Peer, request: &Request<'_>) -> Option<ForwardedRequest> {
        let fields = request.fields;
        let ForwardedOrigin { client, hops, proto, host } = self.forwarded.origin(peer, fields)?;
        let is_standard = self.forwarded.is_standard();
        let named = |name, is_believed| if is_believed { element(fields, name, hops) } else { None };
        let proto = proto.or_else(|| named("X-Forwarded-Proto", !is_standard));
        let host = host.or_else(|| named("X-Forwarded-Host", !is_standard && self.with_host));
        let port = named("X-Forwarded-Port", !is_standard && self.with_host);
        let is_tls = proto.and_then(is_https);
        let host = host.filter(|host| is_host_and_port(host) && !matches!(host, [] | [b':', ..]));
        let port = port.and_then(number).or_else(|| {
            // Without a word of the proxy, the port is that of the place to listen.
            let host_field = host.or_else(|| is_tls.and(fields.get("Host")))?;
            port_of(host_field).or(is_tls.map(|is_tls| if is_tls { 443 } else { 80 }))
        });
        Some(ForwardedRequest { client: client.unwrap_or(peer), is_tls, host: host.map(Into::into), port })
    }
}

/// The element of a list that belongs to the client: the proxies that have written `hops` elements of one field have
/// written as many of the others, or the last of them has written one for all.
fn element<'a>(fields: Fields<'a>, name: &str, hops: usize) -> Option<&'a [u8]> {
    let elements: Vec<_> = fields.all(name).flat_map(|line| line.split(|byte| *byte == b',')).collect();
    let index = elements.len().checked_sub(hops.clamp(1, elements.len().max(1)))?;
    elements.get(index).map(|element| trim_ows(element))
}

fn is_https(proto: &[u8]) -> Option<bool> {
    let is = |scheme: &str| proto.eq_ignore_ascii_case(scheme.as_bytes());
    if is("https") { Some(true) } else { is("http").then_some(false) }
}

fn number(digits: &[u8]) -> Option<u16> {
    str::from_utf8(digits).ok()?.parse().ok().filter(|port| *port != 0)
}

/// The host without its port.
pub(super) fn name_of(host: &[u8]) -> &[u8] {
    let port = host.iter().rposition(|byte| *byte == b':').filter(|at| !host[*at..].contains(&b']'));
    port.map_or(host, |at| &host[..at])
}

fn port_of(host: &[u8]) -> Option<u16> {
    number(host[name_of(host).len()..].strip_prefix(b":")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (host, name, port) in [
            ("example.com", "example.com", None),
            ("example.com:8443", "example.com", Some(8443)),
            ("[2001:db8::1]", "[2001:db8::1]", None),
            ("[2001:db8::1]:80", "[2001:db8::1]", Some(80)),
            ("example.com:", "example.com", None),
        ] {
            assert_eq!(
                (name_of(host.as_bytes()), port_of(host.as_bytes())),
                (name.as_bytes(), port),
                "{host}"
            );
        }
    }
}
