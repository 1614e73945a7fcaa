//! The small rules of RFC 9110, RFC 9112 and RFC 3986, under their names in the RFCs.

// `core` has addresses without sockets.
use core::net::Ipv6Addr;

/// A set of bytes. A look-up is one load; a chain of comparisons is a dozen instructions for each byte of each request.
struct ByteSet([bool; 256]);

impl ByteSet {
    /// The set of letters, digits and `others`.
    const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut byte = 0;
        while byte < set.len() {
            #[allow(clippy::cast_possible_truncation, reason = "less than 256")]
            let this = byte as u8;
            set[byte] = this.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            set[others[at] as usize] = true;
            at += 1;
        }
        Self(set)
    }

    /// The set, and all bytes above 7F.
    const fn and_obs_text(mut self) -> Self {
        let mut byte = 0x80;
        while byte < self.0.len() {
            self.0[byte] = true;
            byte += 1;
        }
        self
    }

    const fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }
}

/// `tchar` (RFC 9110 §5.6.2).
static TCHAR: ByteSet = ByteSet::alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// All graphic ASCII except `#`, and all bytes above 7F. (see [`is_target_byte`])
static TARGET: ByteSet = ByteSet::alphanumeric_and(b"!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~").and_obs_text();

/// The bytes of `reg-name = *( unreserved / pct-encoded / sub-delims )` (RFC 3986 §3.2.2), without the comma.
static REG_NAME: ByteSet = ByteSet::alphanumeric_and(b"-._~%!$&'()*+;=");

/// Whether `byte` is a `tchar`: a byte of methods, field names and other tokens (RFC 9110 §5.6.2).
#[must_use]
pub fn is_tchar(byte: u8) -> bool {
    TCHAR.has(byte)
}

/// Whether `bytes` is a `token = 1*tchar` (RFC 9110 §5.6.2).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_tchar)
}

/// Removes `OWS = *( SP / HTAB )` from both ends (RFC 9110 §5.6.3): HTTP has no other white space.
#[must_use]
pub fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Iterates over the elements of a comma-separated list, trimmed and without empty ones (RFC 9110 §5.6.1).
pub fn list(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b',').map(trim_ows).filter(|element| !element.is_empty())
}

/// Whether `byte` is `field-vchar / SP / HTAB` (RFC 9110 §5.5), which includes obs-text and excludes control characters.
pub(super) fn is_field_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether `byte` may be in a request target. Control characters and spaces end it, or end it for another server, and a
/// client does not send the fragment (RFC 9112 §3.2). Bytes above 7F are no part of a URI either (RFC 3986 §2), but some
/// clients send names as they are, and no reader takes such a byte for the end of anything.
pub(super) fn is_target_byte(byte: u8) -> bool {
    TARGET.has(byte)
}

/// Whether every `%` is followed by two hexadecimal digits (RFC 3986 §2.1).
pub(super) fn is_percent_encoding_valid(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest[at..] {
            [_, first, second, ref after @ ..] if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() => {
                rest = after;
            }
            _ => return false,
        }
    }
    true
}

/// Every number of this many digits fits into an `i64`.
const FITTING_DIGITS: usize = 18;

/// Parses `1*DIGIT` whose value an `i64` holds, so that the sum of two of them fits into a `u64`.
pub(super) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() <= FITTING_DIGITS {
        return Some(digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')));
    }
    digits
        .iter()
        .try_fold(0i64, |value, digit| value.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
        .and_then(|value| u64::try_from(value).ok())
}

/// Whether `bytes` is `uri-host [ ":" port ]` (RFC 9110 §4.2, §7.2), without userinfo. The host may be empty: callers
/// refuse that where `Host` must have one (RFC 9112 §3.2).
///
/// Commas are refused although `reg-name` allows them: a proxy may have joined two `Host` fields.
#[must_use]
pub fn is_host_and_port(bytes: &[u8]) -> bool {
    if let [b'[', rest @ ..] = bytes {
        let Some(end) = memchr::memchr(b']', rest) else {
            return false;
        };
        return is_ip_literal(&rest[..end]) && is_port_suffix(&rest[end + 1..]);
    }
    let host = bytes.iter().take_while(|byte| REG_NAME.has(**byte)).count();
    let (host, port) = bytes.split_at(host);
    is_percent_encoding_valid(host) && is_port_suffix(port)
}

/// Whether `bytes` is empty, or `":" *DIGIT` with at most 65,535.
fn is_port_suffix(bytes: &[u8]) -> bool {
    match bytes {
        [] | [b':'] => true,
        [b':', digits @ ..] => parse_decimal(digits).is_some_and(|port| port <= 65_535),
        _ => false,
    }
}

/// Whether `bytes` is `IPv6address / IPvFuture` (RFC 3986 §3.2.2), the text between the brackets.
fn is_ip_literal(bytes: &[u8]) -> bool {
    if let [b'v' | b'V', rest @ ..] = bytes {
        let Some(dot) = memchr::memchr(b'.', rest) else {
            return false;
        };
        let (version, address) = (&rest[..dot], &rest[dot + 1..]);
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(byte);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(known);
    }
    std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_sets() {
        for byte in 0..=u8::MAX {
            let alphanumeric = byte.is_ascii_alphanumeric();
            let in_target = byte.is_ascii_graphic() && byte != b'#' || byte >= 0x80;
            assert_eq!(is_target_byte(byte), in_target, "{byte}");
            assert_eq!(is_tchar(byte), alphanumeric || b"!#$%&'*+-.^_`|~".contains(&byte), "{byte}");
            assert_eq!(REG_NAME.has(byte), alphanumeric || b"-._~%!$&'()*+;=".contains(&byte), "{byte}");
        }
    }
}
