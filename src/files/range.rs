//! Range requests (RFC 9110 §14): the parts of a file that a client requests.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use super::conditional::Validators;
use super::content::Content;
use crate::clock::Now;
use crate::http1::{Body, Method, Part, Request, Response, list};

/// The most ranges of a request. More are an attack or a mistake, and the whole file is cheaper (RFC 9110 §14.2,
/// RULES C14).
const MAX_RANGES: usize = 64;

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
    /// These ranges, at least one, in the order of the request.
    Parts(Vec<ByteRange>),
    /// 416: the ranges are outside of the file or malformed.
    Unsatisfiable,
}

/// Evaluates `Range` and `If-Range` for a file of `size` bytes.
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

/// Parses the value of `Range` for a file of `size` bytes: `bytes=` and a list of `first-last`, `first-`, `-suffix`.
#[must_use]
pub fn parse_range(value: &[u8], size: u64) -> RangeOutcome {
    let Some(equals) = memchr::memchr(b'=', value) else {
        return RangeOutcome::Unsatisfiable;
    };
    let (unit, set) = (&value[..equals], &value[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return RangeOutcome::Whole;
    }
    let mut ranges = Vec::new();
    let mut count = 0;
    for spec in list(set) {
        count += 1;
        if count > MAX_RANGES {
            return RangeOutcome::Whole;
        }
        match parse_spec(spec, size) {
            Some(Some(range)) => ranges.push(range),
            Some(None) => {}
            None => return RangeOutcome::Unsatisfiable,
        }
    }
    // Overlapping ranges that add up to more than the file were an attack on Apache (CVE-2011-3192).
    if ranges.iter().try_fold(0u64, |sum, range| sum.checked_add(range.len())).is_none_or(|sum| sum > size) {
        return RangeOutcome::Whole;
    }
    if ranges.is_empty() { RangeOutcome::Unsatisfiable } else { RangeOutcome::Parts(ranges) }
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

/// `multipart/byteranges` (RFC 9110 §14.6): each part with its own type and range.
pub(super) fn write_multipart(
    ranges: &[ByteRange],
    content_type: &str,
    content: &Content,
    now: Now,
    response: &mut Response,
) {
    // Random for each response, so that no file can be made to contain it.
    let boundary = format!("stheno-{:016x}", RandomState::new().hash_one(now.monotonic));
    let size = content.len();
    let part = |(at, range): (usize, &ByteRange)| {
        let before = if at == 0 { "" } else { "\r\n" };
        let head = format!(
            "{before}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: bytes {range}/{size}\r\n\r\n"
        );
        Part { head: head.into_bytes(), content: content.part(range.first, range.len(), now) }
    };
    response.field("Content-Type", format_args!("multipart/byteranges; boundary={boundary}"));
    response.body = Body::Parts {
        parts: ranges.iter().enumerate().map(part).collect(),
        end: format!("\r\n--{boundary}--\r\n").into_bytes(),
    };
}
