//! DER (X.690), as far as certificates need it: two fields are read, and a self-signed certificate is written.

use std::time::{Duration, SystemTime};

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT: u8 = 0x06;
pub(super) const UTF8: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
pub(super) const TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The subject alternative name, 2.5.29.17.
pub(super) const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The tag of a DNS name among alternative names.
pub(super) const DNS_NAME: u8 = 0x82;

/// The tag of an IP address among alternative names.
pub(super) const IP_ADDRESS: u8 = 0x87;

/// The tag of the version of a certificate, and that of its extensions.
pub(super) const VERSION: u8 = 0xa0;
pub(super) const EXTENSIONS: u8 = 0xa3;

/// Writes a value whose content is the `parts`.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let first = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let mut der = vec![tag];
    if content.len() > 127 {
        der.push(length[first..].iter().fold(0x80, |count, _| count + 1));
    }
    der.extend_from_slice(&length[first..]);
    der.extend(content);
    der
}

/// Reads the first value: its tag, its content, and what follows it.
fn read(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The values in `der`, up to the first one that is malformed.
fn values(der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = der;
    std::iter::from_fn(move || {
        let (tag, content, after) = read(rest)?;
        rest = after;
        Some((tag, content))
    })
}

/// What the server asks of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CertificateFacts {
    /// The last moment of its validity.
    pub(super) until: SystemTime,
    /// Its DNS names, in lower case.
    pub(super) names: Vec<String>,
}

impl CertificateFacts {
    /// Reads a certificate (RFC 5280 §4.1).
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate, _) = read(der)?;
        let (_, to_be_signed, _) = read(certificate)?;
        // Serial number, algorithm and issuer come before the validity; a version may be the first.
        let mut fields = values(to_be_signed).skip_while(|(tag, _)| *tag == VERSION).skip(3);
        let (_, validity) = fields.next()?;
        let (tag, until) = values(validity).nth(1)?;
        let extensions = fields.find(|(tag, _)| *tag == EXTENSIONS).and_then(|(_, list)| read(list));
        let extensions = extensions.map_or(&[][..], |(_, list, _)| list);
        let names = values(extensions).filter_map(|(_, extension)| {
            let mut parts = values(extension);
            (parts.next()?.1 == ALTERNATIVE_NAME).then(|| parts.last())?
        });
        let names = names.filter_map(|(_, content)| Some(read(content)?.1)).flat_map(values);
        let names = names.filter(|(tag, _)| *tag == DNS_NAME);
        let names = names.filter_map(|(_, name)| Some(std::str::from_utf8(name).ok()?.to_ascii_lowercase()));
        Some(Self { until: time(tag, until)?, names: names.collect() })
    }
}

/// Reads `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5).
fn time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let digits = text.strip_suffix(b"Z")?;
    let two = |at: usize| -> Option<u64> {
        let pair = std::str::from_utf8(digits.get(at..at + 2)?).ok()?;
        pair.bytes().all(|byte| byte.is_ascii_digit()).then(|| pair.parse().ok())?
    };
    let (year, at) = match (tag, digits.len()) {
        (UTC_TIME, 12) => (two(0)? + if two(0)? < 50 { 2000 } else { 1900 }, 2),
        (TIME, 14) => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let (month, day) = (two(at)?, two(at + 2)?);
    let seconds = two(at + 4)? * 3600 + two(at + 6)? * 60 + two(at + 8)?;
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day) && year >= 1970;
    let time = Duration::from_secs(valid.then(|| days(year, month, day))? * 86_400 + seconds);
    SystemTime::UNIX_EPOCH.checked_add(time)
}

/// The days from 1970-01-01 to a date: years that begin in March end with the leap day.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_certificates() {
        let seconds = |tag, text: &str| {
            Some(time(tag, text.as_bytes())?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
        };
        assert_eq!(seconds(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, "000229235959Z"), Some(951_868_799));
        assert_eq!(seconds(TIME, "20500301000000Z"), Some(2_529_705_600));
        assert_eq!(seconds(TIME, "99991231235959Z"), Some(253_402_300_799));
        for text in ["", "Z", "20500301000000", "20501301000000Z", "2050+301000000Z", "500101000000Z"] {
            assert_eq!(seconds(TIME, text), None, "{text}");
        }
    }

    #[test]
    fn lengths() {
        for size in [0, 1, 127, 128, 255, 256, 65_536] {
            let content = vec![7; size];
            let der = value(OCTET_STRING, &[&content]);
            assert_eq!(read(&der), Some((OCTET_STRING, &content[..], &[][..])), "{size}");
            assert_eq!(read(&der[..der.len() - 1]), None, "{size}");
        }
    }
}
