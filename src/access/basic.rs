//! The credentials of a request: `Authorization: Basic` (RFC 7617).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::PAD;

use crate::http1::Fields;

/// Base64 with its padding (RFC 4648 §4). Bits behind the last byte are ignored: clients exist that do not clear them.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD.with_decode_allow_trailing_bits(true));

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
        let mut user = BASE64.decode(rest.trim_ascii()).ok()?;
        let colon = user.iter().position(|byte| *byte == b':')?;
        let password = user.split_off(colon + 1);
        user.pop();
        // Control characters are not allowed in either of them (RFC 7617 §2).
        let is_plain = |bytes: &[u8]| bytes.len() <= MOST && !bytes.iter().any(u8::is_ascii_control);
        (is_plain(&user) && is_plain(&password)).then_some(Self { user, password })
    }
}
