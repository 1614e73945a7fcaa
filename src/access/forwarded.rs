//! The client that a proxy names: `X-Forwarded-For`, a field like it, or `Forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use crate::http1::{Fields, trim_ows};
use crate::reactor::Peer;
use crate::server::Networks;

/// Which proxies are believed, and in which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The proxies.
    pub from: Networks,
    /// The name of the field. One only: a proxy that writes one field lets clients write the others.
    pub field: String,
}

/// What the proxies in front of a request say of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedOrigin<'a> {
    /// The client. `None` if the field is malformed in front of the proxies, so that it is unknown.
    pub client: Option<Peer>,
    /// The number of elements of the field up to that of the client, from the right: the client's is the last that a proxy
    /// has written.
    pub hops: usize,
    /// The scheme of the client's request; `Forwarded` alone has it.
    pub proto: Option<&'a [u8]>,
    /// The host of the client's request; `Forwarded` alone has it.
    pub host: Option<&'a [u8]>,
}

/// One element of the field: what a proxy says of the request that it received.
struct Hop<'a> {
    client: Option<Peer>,
    proto: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
}

impl Forwarded {
    /// Returns the client of a request: the last address in the field that is no proxy's, or the peer if that is none
    /// or names nobody. `None` if the field of a proxy is malformed in front of the proxies, so that the client is
    /// unknown.
    #[must_use]
    pub fn client(&self, peer: Peer, fields: Fields<'_>) -> Option<Peer> {
        self.origin(peer, fields).map_or(Some(peer), |origin| origin.client)
    }

    /// Returns what the proxies say of the client; `None` if the peer is no proxy.
    #[must_use]
    pub fn origin<'a>(&self, peer: Peer, fields: Fields<'a>) -> Option<ForwardedOrigin<'a>> {
        if !self.from.contains(peer) {
            return None;
        }
        let mut chain = Vec::new();
        let is_standard = self.is_standard();
        for line in fields.all(&self.field) {
            if is_standard {
                chain.extend(split(line, b',').map(standard));
            } else {
                chain.extend(line.split(|byte| *byte == b',').map(plain));
            }
        }
        let mut origin = ForwardedOrigin { client: Some(peer), hops: 0, proto: None, host: None };
        for Hop { client, proto, host } in chain.into_iter().rev() {
            origin = ForwardedOrigin { client, hops: origin.hops + 1, proto, host };
            if !client.is_some_and(|client| self.from.contains(client)) {
                break;
            }
        }
        Some(origin)
    }

    /// Whether the field is `Forwarded`.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        self.field.eq_ignore_ascii_case("Forwarded")
    }
}

/// One element of a list of addresses.
fn plain(element: &[u8]) -> Hop<'_> {
    Hop { client: address(trim_ows(element)), proto: None, host: None }
}

/// One element of `Forwarded`: `for=192.0.2.60;proto=http;host=example.com`. A parameter that is there twice is none.
fn standard(element: &[u8]) -> Hop<'_> {
    let parameter = |name: &str| {
        let mut found = split(element, b';').filter_map(|pair| {
            let pair = trim_ows(pair);
            let at = pair.iter().position(|byte| *byte == b'=')?;
            pair[..at].eq_ignore_ascii_case(name.as_bytes()).then_some(&pair[at + 1..])
        });
        let value = found.next().filter(|_| found.next().is_none())?;
        match value.strip_prefix(b"\"") {
            // Neither an address nor a host has anything to escape.
            Some(quoted) => quoted.strip_suffix(b"\""),
            None => Some(value),
        }
    };
    Hop { client: parameter("for").and_then(address), proto: parameter("proto"), host: parameter("host") }
}

/// Splits at a byte, but not inside of quotes (RFC 9110 §5.6.4).
fn split(bytes: &[u8], at: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    bytes.split(move |byte| {
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match byte {
            b'\\' if is_quoted && !was_escaped => is_escaped = true,
            b'"' if !was_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        *byte == at && !is_quoted
    })
}

/// Reads an address with or without a port, which is 0 then; one of IPv6 is in brackets if it has a port.
fn address(text: &[u8]) -> Option<Peer> {
    let text = std::str::from_utf8(text).ok()?;
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match bracketed {
        Some(text) => SocketAddr::new(IpAddr::V6(text.parse().ok()?), 0),
        None => text.parse().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.parse()).ok()?,
    };
    Some(address.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Head, Limits, MAX_FIELDS, field_space};

    fn client(field: &str, peer: &str, lines: &str) -> Option<String> {
        let forwarded =
            Forwarded { from: Networks::parse("10.0.0.0/8, ::1").expect("networks"), field: field.into() };
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut space = field_space::<MAX_FIELDS>();
        let head = Head { length: text.len(), fields: 10, begun: crate::clock::Instant::now() };
        let request = head.parse(text.as_bytes(), &mut space, &Limits::default()).expect("a request");
        let peer = SocketAddr::new(peer.parse().expect("an address"), 80).into();
        forwarded.client(peer, request.fields).map(|peer| peer.ip().expect("an address").to_string())
    }

    #[test]
    fn the_last_address_that_is_no_proxys() {
        for (peer, lines, want) in [
            // The peer is no proxy: it may write what it wants.
            ("192.0.2.1", "X-Forwarded-For: 203.0.113.9\r\n", Some("192.0.2.1")),
            ("10.0.0.1", "", Some("10.0.0.1")),
            ("10.0.0.1", "X-Forwarded-For: 203.0.113.9\r\n", Some("203.0.113.9")),
            // What stands further left was written by the client.
            ("10.0.0.1", "X-Forwarded-For: 127.0.0.1, 10.9.9.9, 203.0.113.9\r\n", Some("203.0.113.9")),
            ("10.0.0.1", "X-Forwarded-For: 203.0.113.9, 10.0.0.2,10.0.0.3\r\n", Some("203.0.113.9")),
            ("10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 203.0.113.9\r\n", Some("203.0.113.9")),
            ("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", Some("10.0.0.3")),
            ("::1", "X-Forwarded-For: 2001:db8::7\r\n", Some("2001:db8::7")),
            ("10.0.0.1", "X-Forwarded-For: [2001:db8::7]:80\r\n", Some("2001:db8::7")),
            ("10.0.0.1", "X-Forwarded-For: ::ffff:203.0.113.9\r\n", Some("203.0.113.9")),
            ("10.0.0.1", "X-Forwarded-For: 203.0.113.9:4711\r\n", Some("203.0.113.9")),
            ("10.0.0.1", "X-Forwarded-For: unknown\r\n", None),
            ("10.0.0.1", "X-Forwarded-For: \r\n", None),
            ("10.0.0.1", "X-Forwarded-For: 203.0.113.9, 10.0.0.2, 300.1.1.1\r\n", None),
            ("10.0.0.1", "X-Forwarded-For: rubbish, 203.0.113.9\r\n", Some("203.0.113.9")),
            ("10.0.0.1", "Forwarded: for=203.0.113.9\r\n", Some("10.0.0.1")),
        ] {
            assert_eq!(client("X-Forwarded-For", peer, lines).as_deref(), want, "{peer} {lines}");
        }
    }

    #[test]
    fn the_standard_field() {
        for (lines, want) in [
            ("Forwarded: for=203.0.113.9\r\n", Some("203.0.113.9")),
            ("Forwarded: by=10.0.0.1;For=203.0.113.9;proto=http\r\n", Some("203.0.113.9")),
            ("Forwarded: for=1.1.1.1, for=203.0.113.9;proto=https\r\n", Some("203.0.113.9")),
            ("Forwarded: for=\"[2001:db8::7]:4711\"\r\n", Some("2001:db8::7")),
            ("Forwarded: for=203.0.113.9, for=10.0.0.2\r\nForwarded: for=10.0.0.3\r\n", Some("203.0.113.9")),
            ("Forwarded: host=\"a,b;for=1.1.1.1\";for=203.0.113.9\r\n", Some("203.0.113.9")),
            ("Forwarded: host=\"a\\\", for=1.1.1.1\";for=203.0.113.9\r\n", Some("203.0.113.9")),
            // An open quote of the client takes what the proxy has added.
            ("Forwarded: for=\", for=203.0.113.9\r\n", None),
            ("Forwarded: for=_hidden\r\n", None),
            ("Forwarded: for=unknown\r\n", None),
            ("Forwarded: proto=http\r\n", None),
            ("Forwarded: for=1.1.1.1;for=203.0.113.9\r\n", None),
            ("X-Forwarded-For: 203.0.113.9\r\n", Some("10.0.0.1")),
        ] {
            assert_eq!(client("Forwarded", "10.0.0.1", lines).as_deref(), want, "{lines}");
        }
    }
}
