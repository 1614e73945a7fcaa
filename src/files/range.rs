//! Range requests (RFC 9110 §14): the parts of a file that are asked for.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use super::conditional::Validators;
use crate::chat::FileSlice;
use crate::clock::Now;
use crate::http1::{Body, Method, Part, Request, Response, list};

/// More ranges than this are an attack or a mistake: the whole file is cheaper (RFC 9110 §14.2, RULES C14).
const MAX_RANGES: usize = 64;

/// A stretch of a file, both ends included, as in `Content-Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl ByteRange {
    pub(super) fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// What the `Range` of a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: no range, or one to be ignored.
    Whole,
    /// These, in the order asked; at least one.
    Parts(Vec<ByteRange>),
    /// None of them lies in the file, or they cannot be read: 416.
    Unsatisfiable,
}

/// What parts of a file of `size` bytes are wanted.
pub(super) fn wanted(request: &Request<'_>, validators: &Validators, size: u64) -> Wanted {
    // Range is defined for GET only (RFC 9110 §14.2); several Range fields are no Range field.
    let Some(value) = request.fields.single("Range").filter(|_| request.method == Method::Get) else {
        return Wanted::Whole;
    };
    if request.fields.get("If-Range").is_some() {
        let if_range = request.fields.single("If-Range");
        if !if_range.is_some_and(|value| validators.matches_if_range(value)) {
            return Wanted::Whole;
        }
    }
    parse(value, size)
}

/// `bytes=` and a list of `first-last`, `first-`, `-suffix`.
pub(super) fn parse(value: &[u8], size: u64) -> Wanted {
    let Some(equals) = memchr::memchr(b'=', value) else {
        return Wanted::Unsatisfiable;
    };
    let (unit, set) = (&value[..equals], &value[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Wanted::Whole;
    }
    let mut ranges = Vec::new();
    let mut count = 0;
    for spec in list(set) {
        count += 1;
        if count > MAX_RANGES {
            return Wanted::Whole;
        }
        match parse_spec(spec, size) {
            Some(Some(range)) => ranges.push(range),
            Some(None) => {}
            None => return Wanted::Unsatisfiable,
        }
    }
    // Overlapping ranges that add up to more than the file were an attack on Apache (CVE-2011-3192).
    if ranges.iter().try_fold(0u64, |sum, range| sum.checked_add(range.len())).is_none_or(|sum| sum > size) {
        return Wanted::Whole;
    }
    if ranges.is_empty() { Wanted::Unsatisfiable } else { Wanted::Parts(ranges) }
}

/// One range: `None` when it cannot be read, `Some(None)` when it lies outside of the file.
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

/// `1*DIGIT`; a number that is too large for us is larger than every file.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

/// `multipart/byteranges` (RFC 9110 §14.6): each part with its own type and range.
pub(super) fn write_multipart(
    ranges: &[ByteRange],
    content_type: &str,
    file: &FileSlice,
    now: Now,
    response: &mut Response,
) {
    // Random for each answer, so that a file cannot be made to contain it.
    let boundary = format!("stheno-{:016x}", RandomState::new().hash_one(now.monotonic));
    let size = file.len;
    let part = |(at, range): (usize, &ByteRange)| {
        let before = if at == 0 { "" } else { "\r\n" };
        let head = format!(
            "{before}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: bytes {range}/{size}\r\n\r\n"
        );
        Part { head: head.into_bytes(), content: file.slice(range.first, range.len()) }
    };
    response.field("Content-Type", format_args!("multipart/byteranges; boundary={boundary}"));
    response.body = Body::Parts {
        parts: ranges.iter().enumerate().map(part).collect(),
        end: format!("\r\n--{boundary}--\r\n").into_bytes(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &str, size: u64) -> Result<String, Wanted> {
        match parse(value.as_bytes(), size) {
            Wanted::Parts(ranges) => Ok(ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
            other => Err(other),
        }
    }

    #[test]
    fn ranges() {
        for (value, want) in [
            ("bytes=0-0", "0-0"),
            ("Bytes=5-", "5-99"),
            ("bytes=-10", "90-99"),
            ("bytes=-1000", "0-99"),
            ("bytes=90-1000", "90-99"),
            ("bytes=0-18446744073709551616", "0-99"),
            ("bytes=0-9,-10,10-19", "0-9,90-99,10-19"),
            ("bytes= 0-9 ,, 10-19 ,", "0-9,10-19"),
            ("bytes=0-9,200-300", "0-9"),
            ("bytes=-0,5-5", "5-5"),
        ] {
            assert_eq!(parts(value, 100), Ok(want.into()), "{value}");
        }
    }

    #[test]
    fn ranges_that_are_not_served() {
        for value in [
            "bytes=",
            "bytes=5-2",
            "bytes=x",
            "bytes=-",
            "bytes=100-",
            "bytes=-0",
            "bytes=1-2-3",
            "bytes=+1-2",
            "0-1",
        ] {
            assert_eq!(parts(value, 100), Err(Wanted::Unsatisfiable), "{value}");
        }
        let many = format!("bytes={}", "0-0,".repeat(65));
        for value in ["items=0-4", "bytes=0-,1-", "bytes=-9223372036854775608,-600", &many] {
            assert_eq!(parts(value, 100), Err(Wanted::Whole), "RULES C14, C15: {value}");
        }
        assert_eq!(parts("bytes=0-", 0), Err(Wanted::Unsatisfiable));
        assert_eq!(parts("bytes=-5", 0), Err(Wanted::Unsatisfiable));
    }
}
