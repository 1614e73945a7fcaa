//! Range requests (RFC 9110 §14): the parts of a file that a client requests.

use std::fmt;

use super::conditional::{self, PreconditionOutcome, Validators};
use crate::http1::{Method, Request, list};

/// The most ranges of a request, as many as fill a field line of 8 KiB with eight bytes each (`100-199,`). It bounds the
/// work where `--max-field-bytes` allows a longer line. zchunk asks for 255 ranges at once, zsync for dozens.
const MAX_RANGES: usize = 1024;

/// A range of bytes, both ends included, as in `Content-Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The position of the first byte.
    pub first: u64,
    /// The position of the last byte; at least `first`.
    pub last: u64,
}

impl ByteRange {
    /// Returns the number of bytes; at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The parts of a file that a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeOutcome {
    /// The whole file: there is no range, or it is ignored.
    Whole,
    /// These ranges, at least one, with at least a byte between any two, in the order of the request.
    Parts(Vec<ByteRange>),
    /// 416: the ranges are well-formed, and all of them are outside of the file.
    Unsatisfiable,
}

/// Evaluates `Range` and `If-Range` for a file of `size` bytes.
// It has two callers, and is part of every response with a file.
#[inline(always)]
pub(super) fn evaluate(request: &Request<'_>, validators: &Validators, size: u64) -> RangeOutcome {
    // Range is defined for GET only (RFC 9110 §14.2); several Range fields are ignored.
    let Some(value) = request.fields.single("Range").filter(|_| request.method == Method::Get) else {
        return RangeOutcome::Whole;
    };
    if request.fields.get("If-Range").is_some() {
        let if_range = request.fields.single("If-Range");
        if !if_range.is_some_and(|value| validators.matches_if_range(value)) {
            return RangeOutcome::Whole;
        }
    }
    parse_range(value, size)
}

/// Whether the range of a request may be taken from the original of a file, where `encoded`, a sibling in another
/// encoding, would be sent if there were no range.
///
/// Preconditions are evaluated as if there were none (RFC 9110 §14.2), so they may name the sibling. The client then has
/// bytes of the sibling, and must not get bytes of the original to join with them: the range is ignored. Dates do not tell
/// the two apart, because `gzip -k` gives the sibling the time of the original.
pub(super) fn is_of_original(request: &Request<'_>, encoded: &Validators, original: &Validators) -> bool {
    let fields = request.fields;
    let names_no_sibling = match (fields.get("If-Range"), fields.get("If-Match")) {
        (Some(value), _) => value.starts_with(b"\""),
        (None, Some(_)) => conditional::evaluate(request, original) != PreconditionOutcome::Failed,
        (None, None) => fields.get("If-Unmodified-Since").is_none(),
    };
    names_no_sibling && conditional::evaluate(request, encoded) != PreconditionOutcome::NotModified
}

/// Parses the value of `Range` for a file of `size` bytes: `bytes=` and a list of `first-last`, `first-`, `-suffix`.
///
/// A value in any other form is ignored (RFC 9110 §14.2), and so is a range of an empty file: no range lies in it, and
/// clients that ask for "the rest" take a 416 for a failure.
#[must_use]
pub fn parse_range(value: &[u8], size: u64) -> RangeOutcome {
    match parse_ranges(value, size) {
        Some(ranges) if ranges.is_empty() => RangeOutcome::Unsatisfiable,
        Some(ranges) => RangeOutcome::Parts(merge(ranges)),
        None => RangeOutcome::Whole,
    }
}

/// Returns the ranges that lie in the file, or `None` where the whole file is to be sent.
fn parse_ranges(value: &[u8], size: u64) -> Option<Vec<ByteRange>> {
    let equals = memchr::memchr(b'=', value)?;
    let (unit, set) = (&value[..equals], &value[equals + 1..]);
    let (mut ranges, mut specs, mut sum) = (Vec::new(), 0, 0u64);
    for spec in list(set) {
        specs += 1;
        if let Some(range) = parse_spec(spec, size)? {
            sum = sum.checked_add(range.len())?;
            ranges.push(range);
        }
        // Overlapping ranges that add up to more than the file were an attack on Apache (CVE-2011-3192, RULES C14).
        if specs > MAX_RANGES || sum > size {
            return None;
        }
    }
    (unit.eq_ignore_ascii_case(b"bytes") && specs > 0 && size > 0).then_some(ranges)
}

/// Merges ranges that overlap or touch (RFC 9110 §15.3.7.2); the result has the place of the first of them.
fn merge(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut placed: Vec<(usize, ByteRange)> = ranges.into_iter().enumerate().collect();
    placed.sort_by_key(|(_, range)| range.first);
    placed.dedup_by(|(place, range), (earlier_place, earlier)| {
        let touches = range.first <= earlier.last.saturating_add(1);
        if touches {
            earlier.last = earlier.last.max(range.last);
            *earlier_place = (*earlier_place).min(*place);
        }
        touches
    });
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, range)| range).collect()
}

/// One range: `None` when it is malformed, `Some(None)` when it is outside of the file.
fn parse_spec(spec: &[u8], size: u64) -> Option<Option<ByteRange>> {
    let dash = memchr::memchr(b'-', spec)?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let suffix = number(last)?;
        let range = (suffix > 0 && size > 0)
            .then(|| ByteRange { first: size.saturating_sub(suffix), last: size - 1 });
        return Some(range);
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    let range = (first < size).then(|| ByteRange { first, last: last.min(size - 1) });
    Some(range)
}

/// `1*DIGIT`; a number that a u64 cannot hold is larger than any file.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |value: u64, digit: &u8| value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(ranges: &str) -> String {
        match parse_range(format!("bytes={ranges}").as_bytes(), 1000) {
            RangeOutcome::Parts(parts) => parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn ranges_that_touch_are_merged_in_the_order_of_the_first() {
        for (asked, want) in [
            ("0-9,10-19", "0-19"),
            ("10-19,0-9", "0-19"),
            ("0-9,11-19", "0-9,11-19"),
            ("500-509,0-9,510-519,5-14", "500-519,0-14"),
            ("0-99,10-19,20-29", "0-99"),
            ("900-,-50", "900-999"),
            ("0-9,5000-,-10", "0-9,990-999"),
            ("990-,0-9,980-989", "980-999,0-9"),
            ("0-499,500-999", "0-999"),
            ("0-,1-", "Whole"),
            ("0-9,5-2", "Whole"),
            ("1000-,-0", "Unsatisfiable"),
        ] {
            assert_eq!(parts(asked), want, "{asked}");
        }
    }

    #[test]
    fn as_many_ranges_as_a_line_holds() {
        let ranges = |count: u64| {
            let ranges: Vec<String> = (0..count).map(|at| format!("{0}-{0}", 2 * at)).collect();
            parse_range(format!("bytes={}", ranges.join(",")).as_bytes(), 10_000)
        };
        assert!(matches!(ranges(1024), RangeOutcome::Parts(parts) if parts.len() == 1024));
        assert_eq!(ranges(1025), RangeOutcome::Whole);
    }
}
