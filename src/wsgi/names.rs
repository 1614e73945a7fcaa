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

/// Names that nearly every client sends. They are known from the beginning, so that one who sends many others does not
/// make these be forgotten.
const COMMON: [&str; 26] = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "DNT",
    "Host",
    "If-Modified-Since",
    "If-None-Match",
    "Origin",
    "Pragma",
    "Range",
    "Referer",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Transfer-Encoding",
    "Upgrade-Insecure-Requests",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Requested-With",
];

/// The names that are known.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Where in `names` each spelling stands.
    places: HashMap<Box<[u8]>, usize, RandomState>,
    names: Vec<Name>,
    /// Their keys, by number.
    keys: Vec<Box<[u8]>>,
    /// One that is not kept.
    last: Option<Name>,
}

impl Names {
    /// Those that nearly every client sends, as browsers write them and as proxies do.
    pub(super) fn new(py: Python<'_>) -> Self {
        let mut names = Self::default();
        for name in COMMON {
            names.add(py, name.as_bytes());
            names.add(py, name.to_ascii_lowercase().as_bytes());
        }
        names
    }

    /// What is known of a name.
    pub(super) fn get(&mut self, py: Python<'_>, name: &[u8]) -> &Name {
        let place = self.places.get(name).copied();
        if place.is_none() && (self.names.len() >= MOST || name.len() > LONGEST) {
            let (key, rule) = work_out(name);
            let key = PyString::new(py, &String::from_utf8_lossy(&key)).unbind();
            return self.last.insert(Name { key, rule, number: None });
        }
        let place = place.unwrap_or_else(|| self.add(py, name));
        &self.names[place]
    }

    fn add(&mut self, py: Python<'_>, name: &[u8]) -> usize {
        let (key, rule) = work_out(name);
        let number = self.keys.iter().position(|known| **known == *key).unwrap_or_else(|| {
            self.keys.push(key.clone().into());
            self.keys.len() - 1
        });
        let key = PyString::intern(py, &String::from_utf8_lossy(&key)).unbind();
        self.names.push(Name { key, rule, number: u8::try_from(number).ok() });
        self.places.insert(name.into(), self.names.len() - 1);
        self.names.len() - 1
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
