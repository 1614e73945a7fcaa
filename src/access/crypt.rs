//! The hashes of passwords: bcrypt, and SHA-crypt with SHA-256 or SHA-512.

use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use base64::{Engine as _, alphabet};
use bcrypt::bcrypt;
use sha_crypt::{Params, sha256_crypt, sha512_crypt};
use subtle::ConstantTimeEq as _;

/// Base64 with bcrypt's digits. Only two bits of a salt's last digit count.
const BCRYPT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// Larger costs take seconds for one password: a mistake, or an attack by the file.
const MOST_COST: u32 = 15;
const MOST_ROUNDS: u32 = 1_000_000;

/// Rounds of SHA-crypt where the hash names none.
const ROUNDS: u32 = 5000;

/// bcrypt looks at this number of bytes of a password, the NUL at its end included.
const BCRYPT_BYTES: usize = 72;

/// The hash of one password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash {
    method: HashMethod,
    /// The digits of the result.
    digits: Vec<u8>,
}

/// Without the digits, which are nobody's business.
impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hash").finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq)]
enum HashMethod {
    Bcrypt { cost: u32, salt: [u8; 16] },
    Sha256 { rounds: u32, salt: Vec<u8> },
    Sha512 { rounds: u32, salt: Vec<u8> },
}

impl Hash {
    /// Reads a hash as htpasswd(1), mkpasswd(1) and openssl-passwd(1) write it.
    ///
    /// # Errors
    /// What is wrong with it, without a part of it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let id = text.strip_prefix('$').and_then(|rest| rest.split_once('$'));
        match id {
            Some(("2y" | "2b" | "2a", rest)) => Self::parse_bcrypt(rest).ok_or("is a malformed bcrypt hash"),
            Some((id @ ("5" | "6"), rest)) => {
                Self::parse_sha(id, rest).ok_or("is a malformed SHA-crypt hash")
            }
            Some(("apr1", _)) => Err("is in Apache's MD5 format, which is too weak"),
            Some(("1", _)) => Err("is in the MD5 format, which is too weak"),
            Some(_) => Err("is in an unknown format"),
            None if text.starts_with("{SHA}") => Err("is a SHA-1 hash without salt, which is too weak"),
            None => Err("is plain text, or in the old format of crypt"),
        }
    }

    fn parse_bcrypt(rest: &str) -> Option<Self> {
        let (cost, rest) = rest.split_once('$')?;
        let is_number = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
        let cost = cost.parse().ok().filter(|cost| is_number && (4..=MOST_COST).contains(cost))?;
        let (salt, digits) = rest.as_bytes().split_at_checked(22)?;
        let salt = BCRYPT.decode(salt).ok()?.try_into().ok()?;
        let is_whole = digits.len() == 31 && BCRYPT.decode(digits).is_ok();
        is_whole.then(|| Self { method: HashMethod::Bcrypt { cost, salt }, digits: digits.into() })
    }

    fn parse_sha(id: &str, rest: &str) -> Option<Self> {
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            Some(rest) => {
                let (rounds, rest) = rest.split_once('$')?;
                (rounds.parse().ok().filter(|rounds| (1000..=MOST_ROUNDS).contains(rounds))?, rest)
            }
            None => (ROUNDS, rest),
        };
        let (salt, digits) = rest.split_once('$')?;
        let length = if id == "5" { 43 } else { 86 };
        let is_whole =
            digits.len() == length && digits.chars().all(|digit| alphabet::CRYPT.as_str().contains(digit));
        let (salt, digits) = (salt.as_bytes().to_vec(), digits.as_bytes().to_vec());
        let method =
            if id == "5" { HashMethod::Sha256 { rounds, salt } } else { HashMethod::Sha512 { rounds, salt } };
        let is_salt = |salt: &str| salt.len() <= 16;
        (is_whole && is_salt(rest.split('$').next()?)).then_some(Self { method, digits })
    }

    /// Whether this is the hash of `password`. It takes the time that the method costs, whatever the result.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let digits = match &self.method {
            HashMethod::Bcrypt { cost, salt } => {
                let mut key = password[..password.len().min(BCRYPT_BYTES)].to_vec();
                if key.len() < BCRYPT_BYTES {
                    key.push(0);
                }
                BCRYPT.encode(&bcrypt(*cost, *salt, &key)[..23]).into_bytes()
            }
            HashMethod::Sha256 { rounds, salt } => {
                let hash = sha256_crypt(password, salt, params(*rounds));
                // The order of bytes is that of the specification (Drepper, "Unix crypt using SHA-256 and SHA-512").
                encode_sha(&hash, 10, |turn| turn * 2 % 3, &[31, 30])
            }
            HashMethod::Sha512 { rounds, salt } => {
                let hash = sha512_crypt(password, salt, params(*rounds));
                encode_sha(&hash, 21, |turn| turn % 3, &[63])
            }
        };
        digits.ct_eq(&self.digits).into()
    }
}

fn params(rounds: u32) -> Params {
    Params::new(rounds).unwrap_or_default()
}

/// Encodes a hash of SHA-crypt: groups of three bytes that lie `third` apart, turned by `turn(group)`, and the `rest`.
fn encode_sha(hash: &[u8], third: usize, turn: impl Fn(usize) -> usize, rest: &[usize]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(hash.len() * 4 / 3 + 1);
    // The low bits come first, unlike in Base64.
    let crypt = alphabet::CRYPT.as_str().as_bytes();
    let mut push = |group: &[usize]| {
        let bits = group.iter().fold(0, |bits, at| bits << 8 | usize::from(hash[*at]));
        digits.extend((0..=group.len()).map(|digit| crypt[bits >> (6 * digit) & 63]));
    };
    for group in 0..third {
        let mut order = [group, group + third, group + 2 * third];
        order.rotate_left(turn(group));
        push(&order);
    }
    push(rest);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first two are from the test vectors of bcrypt's authors (jBCrypt), the others from the specification of
    /// SHA-crypt and from htpasswd(1).
    const VECTORS: [(&str, &str); 6] = [
        ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
        ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
        ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (
            "Hello world!",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        ("Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
        (
            "Hello world!",
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        ),
    ];

    #[test]
    fn vectors() {
        for (password, hash) in VECTORS {
            let parsed = Hash::parse(hash).expect(hash);
            assert!(parsed.verify(password.as_bytes()), "{hash}");
            assert!(!parsed.verify(b"another"), "{hash}");
        }
    }

    #[test]
    fn other_formats_are_refused() {
        for text in [
            "secret",
            "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "$apr1$12345678$abcdefghijklmnopqrstu.",
            "$1$12345678$abcdefghijklmnopqrstu.",
            "$argon2id$v=19$m=65536$a$b",
            "$2y$31$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
            "$2y$+6$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
            "$2y$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfx",
            "$2x$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
            "$2y$06$é0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
            "$5$rounds=999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
            "$5$rounds=9999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
            "$5$saltstringsaltstr$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
            "$6$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
            "$",
            "$$",
            "",
        ] {
            let error = Hash::parse(text).expect_err(text);
            assert!(!text.is_empty() || error.starts_with("is "), "{error}");
        }
    }

    /// bcrypt takes 72 bytes of a password, as every other implementation.
    #[test]
    fn a_long_password() {
        let hash = Hash::parse(VECTORS[1].1).expect("a hash");
        assert!(!hash.verify(&[b'a'; 71]) && !hash.verify(&[b'a'; 72]) && !hash.verify(&[b'a'; 255]));
    }
}
