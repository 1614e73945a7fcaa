//! From the name of a header field to its key in the environ, found once and kept.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// So many spellings are kept; the others are worked out each time.
const MOST: usize = 128;

/// Longer names are not worth keeping.
const LONGEST: usize = 64;

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// It goes into the environ; several are joined with a comma.
    Field,
    /// `Cookie`: several are joined with a semicolon.
    Cookie,
    /// `X-Forwarded-For` and `X-Forwarded-Proto`: fields that may say more.
    ForwardedFor,
    ForwardedProto,
    /// It is left out (WSGI E7, E11, E13).
    Drop,
}

/// A field name that is known.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) key: Py<PyString>,
    pub(super) rule: Rule,
    /// Names with the same key have the same number.
    pub(super) number: Option<u8>,
}

/// The names that have come so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<Box<[u8]>, Name, RandomState>,
    /// Their keys, by number.
    keys: Vec<Box<[u8]>>,
    last: Option<Name>,
}

impl Names {
    /// What is known of a name.
    pub(super) fn get(&mut self, py: Python<'_>, name: &[u8]) -> Option<&Name> {
        // Looked up twice where it is new; a borrow that is returned early would last too long.
        if self.known.contains_key(name) {
            return self.known.get(name);
        }
        let (key, rule) = work_out(name);
        let text = String::from_utf8_lossy(&key);
        if self.known.len() >= MOST || name.len() > LONGEST {
            let key = PyString::new(py, &text).unbind();
            return Some(self.last.insert(Name { key, rule, number: None }));
        }
        let number = self.keys.iter().position(|known| **known == *key).unwrap_or_else(|| {
            self.keys.push(key.clone().into());
            self.keys.len() - 1
        });
        let key = PyString::intern(py, &text).unbind();
        self.known.insert(name.into(), Name { key, rule, number: u8::try_from(number).ok() });
        self.known.get(name)
    }
}

fn work_out(name: &[u8]) -> (Vec<u8>, Rule) {
    let upper: Vec<u8> =
        name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }).collect();
    let rule = match &upper[..] {
        // `X_Y` would be taken for `X-Y` (WSGI E11).
        _ if name.contains(&b'_') => Rule::Drop,
        b"CONTENT_TYPE" => return (upper, Rule::Field),
        b"CONTENT_LENGTH" | b"TRANSFER_ENCODING" => Rule::Drop,
        b"COOKIE" => Rule::Cookie,
        b"X_FORWARDED_FOR" => Rule::ForwardedFor,
        b"X_FORWARDED_PROTO" => Rule::ForwardedProto,
        _ => Rule::Field,
    };
    ([b"HTTP_", &upper[..]].concat(), rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_rules() {
        for (name, key, rule) in [
            ("Host", "HTTP_HOST", Rule::Field),
            ("x-a-b", "HTTP_X_A_B", Rule::Field),
            ("X_a", "HTTP_X_A", Rule::Drop),
            ("content-TYPE", "CONTENT_TYPE", Rule::Field),
            ("Content-Length", "HTTP_CONTENT_LENGTH", Rule::Drop),
            ("Transfer-Encoding", "HTTP_TRANSFER_ENCODING", Rule::Drop),
            ("cookie", "HTTP_COOKIE", Rule::Cookie),
        ] {
            assert_eq!(work_out(name.as_bytes()), (key.as_bytes().to_vec(), rule), "{name}");
        }
    }
}
