//! The credentials of a request: `Authorization: Basic` (RFC 7617).

use crate::http1::Fields;

/// The most bytes of a user name, and of a password: the cost of SHA-crypt grows with the length.
const MOST: usize = 255;

/// A user name and a password, as the client has sent them: UTF-8 if it follows the `charset` of the challenge.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
}

/// Without the password: it must not get into a log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user.escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// The credentials of a request; `None` if it has none, several, malformed ones, or ones that no user can have.
    pub(super) fn of(fields: Fields<'_>) -> Option<Self> {
        let value = fields.single("Authorization")?;
        let (scheme, rest) = value.split_at_checked(b"Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let mut user = decode(rest.trim_ascii())?;
        let colon = user.iter().position(|byte| *byte == b':')?;
        let password = user.split_off(colon + 1);
        user.pop();
        // Control characters are not allowed in either of them (RFC 7617 §2).
        let is_plain = |bytes: &[u8]| bytes.len() <= MOST && !bytes.iter().any(u8::is_ascii_control);
        (is_plain(&user) && is_plain(&password)).then_some(Self { user, password })
    }
}

/// Decodes Base64 with its padding (RFC 4648 §4).
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if !text.len().is_multiple_of(4) || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            bits = bits << 6 | u32::from(value(*digit)?);
        }
        bits <<= 6 * (4 - group.len());
        let [_, decoded @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(&decoded[..group.len() - 1]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn every_length_is_decoded() {
        for length in 0..100u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
            assert_eq!(decode(STANDARD.encode(&bytes).as_bytes()), Some(bytes));
        }
        for text in ["a", "ab", "abc", "abc*", "a===", "ab=c", "=", "====", "YTpi\n", "Y Tp", "YTpiY"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
