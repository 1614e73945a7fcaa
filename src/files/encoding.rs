//! Which encoding of a file a client gets (`Accept-Encoding`, RFC 9110 §12.5.3).

use std::path::Path;

use super::observer::Observer;
use super::root::{File, Lookup, Root};
use crate::http1::{Fields, list, trim_ows};

/// An encoding in which a sibling of a file may exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Coding {
    /// Its name in `Content-Encoding`.
    pub(super) token: &'static str,
    /// The suffix of the sibling's name.
    pub(super) suffix: &'static str,
}

/// The smallest first: it is sent if the client has no preference.
const CODINGS: [Coding; 3] = [
    Coding { token: "br", suffix: ".br" },
    Coding { token: "zstd", suffix: ".zst" },
    Coding { token: "gzip", suffix: ".gz" },
];

/// The order in which siblings of a file are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Encodings that the client accepts, the best first.
    pub(super) accepted: Vec<&'static Coding>,
    /// The others. If a sibling in one of them exists, other clients get it, and the response needs `Vary`.
    pub(super) others: Vec<&'static Coding>,
}

impl Order {
    /// The order that `Accept-Encoding` asks for. Without the field no encoding is accepted.
    pub(super) fn of(fields: Fields<'_>) -> Self {
        Self::of_lines(fields.all("Accept-Encoding"))
    }

    fn of_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let weights = Weights { named: lines.flat_map(list).filter_map(weighted).collect() };
        let mut order = Self::default();
        for coding in &CODINGS {
            let weight = weights.of_coding(coding.token);
            let accepted = weight > 0 && weight >= weights.of_identity();
            if accepted { &mut order.accepted } else { &mut order.others }.push(coding);
        }
        // The sort is stable: encodings of the same weight stay in the order of CODINGS.
        order.accepted.sort_by_key(|coding| std::cmp::Reverse(weights.of_coding(coding.token)));
        order
    }

    /// No encoding is accepted: the original is wanted.
    pub(super) fn none() -> Self {
        Self { accepted: Vec::new(), others: CODINGS.iter().collect() }
    }
}

/// The original file, or a sibling in an encoding that the client accepts; whether others may get another one; and
/// what else was looked up for that.
pub(super) fn choose(
    root: &Root,
    path: &Path,
    original: File,
    order: Order,
    observer: impl Observer,
) -> (File, Option<&'static Coding>, bool, Vec<Lookup>) {
    let mut lookups = Vec::new();
    let not_before = original.metadata.modified;
    let mut sibling = |coding: &Coding| match root.sibling(path, coding.suffix) {
        Ok(file) if file.metadata.modified >= not_before => {
            observer.note("variant", || format!("{} is there", coding.suffix));
            Some(file)
        }
        Ok(File { lookup, .. }) => {
            observer.note("variant", || format!("{} is older than the file", coding.suffix));
            lookups.push(lookup);
            None
        }
        Err(lookup) => {
            observer.note("variant", || format!("{} is not there", coding.suffix));
            lookups.push(lookup);
            None
        }
    };
    for coding in order.accepted {
        if let Some(file) = sibling(coding) {
            lookups.push(original.lookup);
            return (file, Some(coding), true, lookups);
        }
    }
    let other = order.others.iter().find_map(|coding| sibling(coding));
    let varies = other.is_some();
    lookups.extend(other.map(|file| file.lookup));
    (original, None, varies, lookups)
}

/// The weights in a client's `Accept-Encoding`, in thousandths.
#[derive(Debug)]
struct Weights<'a> {
    /// The codings that the field names.
    named: Vec<(&'a [u8], u16)>,
}

impl Weights<'_> {
    fn named(&self, token: &[u8]) -> Option<u16> {
        self.named.iter().find(|(name, _)| name.eq_ignore_ascii_case(token)).map(|(_, weight)| *weight)
    }

    /// The weight of a coding: its own, or that of `*`, or 0.
    fn of_coding(&self, token: &str) -> u16 {
        // RFC 9110 §8.4.1.3: x-gzip is gzip.
        let alias = || self.named(b"x-gzip").filter(|_| token == "gzip");
        self.named(token.as_bytes()).or_else(alias).or_else(|| self.named(b"*")).unwrap_or(0)
    }

    /// The weight of the file itself. It is acceptable unless it is refused, and is sent even then if there is nothing
    /// else. So only a *preference* counts, and for that the field has to name it.
    fn of_identity(&self) -> u16 {
        self.named(b"identity").or_else(|| self.named(b"*")).unwrap_or(0)
    }
}

/// Parses `codings [ weight ]`; malformed elements are ignored.
fn weighted(element: &[u8]) -> Option<(&[u8], u16)> {
    let Some(semicolon) = memchr::memchr(b';', element) else {
        return Some((element, 1000));
    };
    let weight = trim_ows(&element[semicolon + 1..]);
    let [b'q' | b'Q', b'=', qvalue @ ..] = weight else {
        return None;
    };
    Some((trim_ows(&element[..semicolon]), thousandths(qvalue)?))
}

/// `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )` (RFC 9110 §12.4.2)
pub(super) fn thousandths(qvalue: &[u8]) -> Option<u16> {
    let (whole, fraction) = match qvalue {
        [whole @ b'0'..=b'1'] => (whole, &b""[..]),
        [whole @ b'0'..=b'1', b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(b"000").take(3);
    let value = digits.fold(u16::from(whole - b'0'), |value, digit| value * 10 + u16::from(digit - b'0'));
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The accepted tokens, in order.
    fn accepted(lines: &[&str]) -> String {
        let order = Order::of_lines(lines.iter().map(|line| line.as_bytes()));
        assert_eq!(order.accepted.len() + order.others.len(), CODINGS.len());
        order.accepted.iter().map(|coding| coding.token).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn accept_encoding() {
        for (line, want) in [
            ("", ""),
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip", "gzip"),
            ("GZip", "gzip"),
            ("x-gzip", "gzip"),
            ("*", "br zstd gzip"),
            ("*;q=0", ""),
            ("*;q=0, br", "br"),
            ("br;q=0, *", "zstd gzip"),
            ("gzip;q=1.0, br;q=0.5", "gzip br"),
            ("gzip;q=0.001, br;q=0", "gzip"),
            ("gzip ; q=0.8 ,br;\tQ=0.9", "br gzip"),
            ("identity", ""),
            ("identity, gzip;q=0.5", ""),
            ("identity;q=0.5, gzip;q=0.5", "gzip"),
            ("identity;q=0, gzip", "gzip"),
            ("identity;q=0", ""),
            ("*;q=0.8, gzip;q=0.5", "br zstd"),
            ("deflate, compress", ""),
            ("gzip;q=0.07, br;q=1., zstd;q=0.1", "br zstd gzip"),
            ("gzip;q=1.5", ""),
            ("gzip;q=01", ""),
            ("gzip;q=.5", ""),
            ("gzip;q=0.1234", ""),
            ("gzip;q=1.001", ""),
            ("gzip;q=", ""),
            ("gzip;level=9", ""),
            ("gzip;q=-1, br", "br"),
            (", ,br,,", "br"),
        ] {
            assert_eq!(accepted(&[line]), want, "{line:?}");
        }
        assert_eq!(accepted(&["gzip;q=0.5", "br"]), "br gzip", "several lines are one list");
        assert_eq!(accepted(&[]), "", "no field");
    }
}
