//! The header of the PROXY protocol, versions 1 and 2 (haproxy.org, "The PROXY protocol", 2020/03/05).
//!
//! ```text
//! version 1:  PROXY TCP4 192.0.2.7 198.51.100.1 4711 80 CR LF                 at most 107 bytes
//! version 2:  12 bytes of signature │ version, command │ family │ length │ addresses │ TLVs
//!             0D 0A 0D 0A 00 0D …   │ 20, 21           │ 11, 21 │ 2 bytes│ 12, 36    │ ignored
//! ```
//!
//! The parser is given all bytes so far. It decides as soon as a decision is possible, and the decision is the same for
//! every cut of the input.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The first bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The first bytes of version 1.
const WORD: &[u8] = b"PROXY ";

/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;

/// The fixed part of version 2.
const FIXED: usize = 16;

/// The longest header. Addresses of Unix sockets have 216 bytes, and TLVs are names and identifiers.
pub(super) const LONGEST: usize = 2048;

/// The beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The header is not whole.
    Partial,
    /// A header of `length` bytes. `client` is `None` where the proxy speaks for itself, or does not know.
    Whole { length: usize, client: Option<SocketAddr> },
    /// No header, or a malformed one.
    Malformed,
}

/// Reads the header at the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Header {
    let is_start_of = |start: &[u8]| bytes.iter().zip(start).all(|(here, there)| here == there);
    if is_start_of(WORD) && bytes.len() >= WORD.len() {
        parse_line(bytes)
    } else if is_start_of(SIGNATURE) && bytes.len() >= SIGNATURE.len() {
        parse_binary(bytes).unwrap_or(Header::Malformed)
    } else if is_start_of(WORD) || is_start_of(SIGNATURE) {
        Header::Partial
    } else {
        Header::Malformed
    }
}

fn parse_line(bytes: &[u8]) -> Header {
    let window = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        let is_over = bytes.len() >= LONGEST_LINE;
        return if is_over { Header::Malformed } else { Header::Partial };
    };
    let line = std::str::from_utf8(&bytes[WORD.len()..end]).ok();
    match line.and_then(client_of_line) {
        Some(client) => Header::Whole { length: end + 2, client },
        None => Header::Malformed,
    }
}

/// The client in a line after its first word; the inner `None` for `UNKNOWN`, whatever follows.
fn client_of_line(line: &str) -> Option<Option<SocketAddr>> {
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let words: Vec<&str> = line.split(' ').collect();
    let &[family, source, destination, from, to] = words.as_slice() else {
        return None;
    };
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| port.to_string() == text);
    let client = SocketAddr::new(address(source)?, port(from)?);
    (address(destination).is_some() && port(to).is_some()).then_some(Some(client))
}

/// Reads version 2, whose signature is here; `None` if it is malformed.
fn parse_binary(bytes: &[u8]) -> Option<Header> {
    let byte = |at: usize| bytes.get(at).copied();
    let is_local = match byte(12) {
        None => return Some(Header::Partial),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return None,
    };
    // The least length of the addresses of each family. Datagrams do not come over a connection.
    let least = match byte(13) {
        None => return Some(Header::Partial),
        Some(_) if is_local => 0,
        Some(0x00) => 0,
        Some(0x11) => 12,
        Some(0x21) => 36,
        Some(0x31) => 216,
        Some(_) => return None,
    };
    let (Some(high), Some(low)) = (byte(14), byte(15)) else {
        return Some(Header::Partial);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length < FIXED + least || length > LONGEST {
        return None;
    }
    let Some(addresses) = bytes.get(FIXED..length) else {
        return Some(Header::Partial);
    };
    let number = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    let client = match least {
        12 => {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| addresses[at]);
            Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), number(8)))
        }
        36 => {
            let ip = [0, 2, 4, 6, 8, 10, 12, 14].map(number);
            Some(SocketAddr::new(Ipv6Addr::from(ip).into(), number(32)))
        }
        _ => None,
    };
    Some(Header::Whole { length, client })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a header of version 2.
    fn binary(command: u8, family: u8, addresses: &[u8], tlvs: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len() + tlvs.len()).expect("a length").to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, addresses, tlvs].concat()
    }

    fn whole(client: Option<&str>, length: usize) -> Header {
        Header::Whole { length, client: client.map(|text| text.parse().expect("an address")) }
    }

    const V4: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0, 80];

    fn v6() -> Vec<u8> {
        let ip = "2001:db8::7".parse::<Ipv6Addr>().expect("an address").octets();
        [&ip[..], &[0; 16], &[0x12, 0x67, 0, 80]].concat()
    }

    /// Well-formed headers and their clients.
    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let text = |line: &str| line.as_bytes().to_vec();
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 16));
        vec![
            (text("PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n"), Some("192.0.2.7:4711")),
            (text("PROXY TCP6 2001:db8::7 ::1 4711 80\r\n"), Some("[2001:db8::7]:4711")),
            (text("PROXY TCP6 ::ffff:192.0.2.7 ::1 65535 0\r\n"), Some("[::ffff:192.0.2.7]:65535")),
            (text("PROXY UNKNOWN\r\n"), None),
            (text("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), None),
            (text(&longest), None),
            (binary(0x21, 0x11, V4, b""), Some("192.0.2.7:4711")),
            (binary(0x21, 0x11, V4, &[4, 0, 1, 0, 3, 0, 4, 1, 2, 3, 4]), Some("192.0.2.7:4711")),
            (binary(0x21, 0x21, &v6(), b"any TLV"), Some("[2001:db8::7]:4711")),
            (binary(0x20, 0x00, b"", b""), None),
            (binary(0x20, 0x11, V4, b""), None),
            (binary(0x20, 0xff, b"", b""), None),
            (binary(0x21, 0x00, b"", b"tlv"), None),
            (binary(0x21, 0x31, &[b'a'; 216], b""), None),
            (binary(0x21, 0x11, V4, &[0; LONGEST - FIXED - 12]), Some("192.0.2.7:4711")),
        ]
    }

    #[test]
    fn every_cut_of_a_header() {
        for (header, client) in good() {
            let name = header.escape_ascii().to_string();
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut]), Header::Partial, "{name} cut at {cut}");
            }
            for rest in ["", "G", "GET / HTTP/1.1\r\n\r\n", "PROXY UNKNOWN\r\n", "\0"] {
                let input = [&header, rest.as_bytes()].concat();
                assert_eq!(parse(&input), whole(client, header.len()), "{name}");
            }
        }
    }

    /// A refusal is final, at whatever cut it comes first, and comes at the end at the latest.
    #[test]
    fn malformed_headers() {
        let text = |line: &str| line.as_bytes().to_vec();
        for header in [
            text("GET / HTTP/1.1\r\n"),
            text("proxy TCP4 192.0.2.7 198.51.100.1 4711 80\r\n"),
            text("PROXY\r\n"),
            text("PROXY \r\n"),
            text("PROXY  TCP4 192.0.2.7 198.51.100.1 4711 80\r\n"),
            text("PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n"),
            text("PROXY TCP4 192.0.2.7 198.51.100.1 4711 80 \r\n"),
            text("PROXY TCP4 192.0.2.7 198.51.100.1 04711 80\r\n"),
            text("PROXY TCP4 192.0.2.7 198.51.100.1 +4711 80\r\n"),
            text("PROXY TCP4 192.0.2.7 198.51.100.1 65536 80\r\n"),
            text("PROXY TCP4 192.0.2.07 198.51.100.1 4711 80\r\n"),
            text("PROXY TCP4 2001:db8::7 ::1 4711 80\r\n"),
            text("PROXY TCP6 192.0.2.7 198.51.100.1 4711 80\r\n"),
            text("PROXY UDP4 192.0.2.7 198.51.100.1 4711 80\r\n"),
            text("PROXY UNKNOWNX\r\n"),
            text("PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\n\r\n"),
            format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 15)).into_bytes(),
            text("\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            binary(0x22, 0x11, V4, b""),
            binary(0x11, 0x11, V4, b""),
            binary(0x21, 0x12, V4, b""),
            binary(0x21, 0x41, V4, b""),
            binary(0x21, 0x11, &V4[..11], b""),
            binary(0x21, 0x21, V4, b""),
            binary(0x21, 0x31, &[0; 215], b""),
            binary(0x21, 0x11, V4, &[0; LONGEST - FIXED - 11]),
            [SIGNATURE, &[0x21, 0x11, 0xff, 0xff][..]].concat(),
        ] {
            let name = header.escape_ascii().to_string();
            let mut outcomes = (0..=header.len()).map(|cut| parse(&header[..cut]));
            assert!(outcomes.any(|outcome| outcome == Header::Malformed), "{name}");
            assert!(outcomes.all(|outcome| outcome == Header::Malformed), "{name}: it is final");
        }
    }

    /// No input makes the parser panic, claim bytes that are not there, or wait for more than the longest header.
    #[test]
    fn mutations() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("a number") % below
        };
        let seeds = good();
        for _ in 0..50_000 {
            let mut input = seeds[random(seeds.len())].0.clone();
            for _ in 0..=random(3) {
                let at = random(input.len().max(1));
                match random(4) {
                    0..2 if input.is_empty() => {}
                    0 => input[at] = u8::try_from(random(256)).expect("a byte"),
                    1 => drop(input.remove(at)),
                    2 => input.insert(at, b" \r\n\0P:.1"[random(8)]),
                    _ => input.truncate(at.max(1)),
                }
            }
            input.resize(input.len() + random(2) * LONGEST, b'x');
            match parse(&input) {
                Header::Whole { length, .. } => assert!(length <= input.len() && length <= LONGEST),
                Header::Partial => assert!(input.len() < LONGEST, "{}", input.escape_ascii()),
                Header::Malformed => {}
            }
        }
    }
}
