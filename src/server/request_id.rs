//! The id of a request, by which lines of several logs and programs are found together.
//!
//! It is the one that the client or its proxy gave, or one that is made when a line needs it: a number for the worker,
//! and one for the request.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The most bytes of an id that a client gives. A longer one is not taken.
pub const MAX_REQUEST_ID: usize = 128;

/// Returns the id in the fields of a request: `X-Request-ID`, or else the trace id in `traceparent` (W3C Trace Context
/// §3.2). An id has no other characters than letters, digits and `-._~:/+=@`, so that it can stand in a log as it is.
pub fn given_id<'a, N: AsRef<[u8]>>(fields: impl Iterator<Item = (N, &'a [u8])>) -> Option<&'a [u8]> {
    let mut trace = None;
    for (name, value) in fields {
        let name = name.as_ref();
        if name.eq_ignore_ascii_case(b"x-request-id") && is_id(value) {
            return Some(value);
        }
        if name.eq_ignore_ascii_case(b"traceparent") {
            trace = trace_id(value);
        }
    }
    trace
}

fn is_id(value: &[u8]) -> bool {
    let is_fit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/+=@".contains(byte);
    (1..=MAX_REQUEST_ID).contains(&value.len()) && value.iter().all(is_fit)
}

/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`: the second part, which is not all zeros.
fn trace_id(value: &[u8]) -> Option<&[u8]> {
    let id = value.split(|byte| *byte == b'-').nth(1).filter(|id| id.len() == 32)?;
    let is_hex = id.iter().all(u8::is_ascii_hexdigit);
    (is_hex && id.iter().any(|byte| *byte != b'0')).then_some(id)
}

/// Appends the id of the request with this number in this process: `9f3a1c22d04e-1a`.
pub fn push_made_id(out: &mut Vec<u8>, number: u64) {
    write!(out, "{:012x}-{number:x}", worker()).expect("writing into a Vec cannot fail");
}

/// A number of 48 bits for this process. A worker is a fork: what it has inherited is the same in all workers.
fn worker() -> u64 {
    static WORKER: OnceLock<u64> = OnceLock::new();
    *WORKER.get_or_init(|| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        hasher.write_u128(time.as_nanos());
        hasher.finish() >> 16
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_taken() {
        const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let long = "x".repeat(MAX_REQUEST_ID + 1);
        for (fields, want) in [
            (&[("X-Request-Id", "a-B_9")][..], Some("a-B_9")),
            (&[("x-request-id", &long[1..])], Some(&long[1..])),
            (&[("x-request-id", &long)], None),
            (&[("x-request-id", "")], None),
            (&[("x-request-id", "a b")], None),
            (&[("x-request-id", "a\"b")], None),
            (&[("x-request-id", "\u{1b}[31m")], None),
            (&[("traceparent", TRACE)], Some("4bf92f3577b34da6a3ce929d0e0e4736")),
            (&[("traceparent", TRACE), ("X-Request-ID", "one")], Some("one")),
            (&[("X-Request-ID", "a b"), ("Traceparent", TRACE)], Some("4bf92f3577b34da6a3ce929d0e0e4736")),
            (&[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")], None),
            (&[("traceparent", "00-4bf92f35-1-01")], None),
            (&[("traceparent", "")], None),
            (&[("other", "x")], None),
        ] {
            let fields = fields.iter().map(|(name, value)| (name, value.as_bytes()));
            assert_eq!(given_id(fields), want.map(str::as_bytes), "{want:?}");
        }
    }

    #[test]
    fn made_ids_differ_in_their_number() {
        let made = |number| {
            let mut id = Vec::new();
            push_made_id(&mut id, number);
            String::from_utf8(id).expect("text")
        };
        let (one, two) = (made(1), made(0x2a));
        assert!(one.len() == 14 && one.ends_with("-1") && two.ends_with("-2a") && one[..12] == two[..12]);
        assert!(is_id(one.as_bytes()));
    }
}
