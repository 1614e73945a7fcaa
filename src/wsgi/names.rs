//! Names of header fields, and their keys in the environ, which are worked out once.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Spellings that are kept. The key of any other is worked out each time.
const MAX_NAMES: usize = 128;

/// Bytes of the longest name that is kept.
const MAX_LENGTH: usize = 64;

/// What to do with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldRule {
    /// It goes into the environ; several values are joined with a comma.
    Field,
    /// `Cookie`: several values are joined with a semicolon.
    Cookie,
    /// A field that proxies write: as [`Self::Field`], if the peer may be one.
    Forwarded,
    /// It is left out (WSGI E7, E11, E13).
    Drop,
}

/// A field name, and its key in the environ.
#[derive(Debug)]
pub(super) struct FieldName {
    pub(super) key: Py<PyString>,
    pub(super) rule: FieldRule,
    /// The number of the key: spellings of one name share it. `None` if the name is not kept.
    pub(super) number: Option<u8>,
}

/// Names that nearly every client sends. They are kept from the beginning, so that a client with many other names
/// cannot take their room.
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

/// The names that are kept.
#[derive(Debug, Default)]
pub(super) struct FieldNames {
    /// The index in `names` of each spelling.
    indexes: HashMap<Box<[u8]>, usize, RandomState>,
    names: Vec<FieldName>,
    /// The keys, by number.
    keys: Vec<Box<[u8]>>,
    /// The last name that is not kept.
    last: Option<FieldName>,
}

impl FieldNames {
    /// Keeps the common names, as browsers spell them, and in lower case, as proxies do.
    pub(super) fn new(py: Python<'_>) -> Self {
        let mut names = Self::default();
        for name in COMMON {
            names.add(py, name.as_bytes());
            names.add(py, name.to_ascii_lowercase().as_bytes());
        }
        names
    }

    /// Returns the name with its key.
    pub(super) fn get(&mut self, py: Python<'_>, name: &[u8]) -> &FieldName {
        let index = self.indexes.get(name).copied();
        if index.is_none() && (self.names.len() >= MAX_NAMES || name.len() > MAX_LENGTH) {
            let (key, rule) = work_out(name);
            let key = PyString::new(py, &String::from_utf8_lossy(&key)).unbind();
            return self.last.insert(FieldName { key, rule, number: None });
        }
        let index = index.unwrap_or_else(|| self.add(py, name));
        &self.names[index]
    }

    fn add(&mut self, py: Python<'_>, name: &[u8]) -> usize {
        let (key, rule) = work_out(name);
        let number = self.keys.iter().position(|known| **known == *key).unwrap_or_else(|| {
            self.keys.push(key.clone().into());
            self.keys.len() - 1
        });
        let key = PyString::intern(py, &String::from_utf8_lossy(&key)).unbind();
        self.names.push(FieldName { key, rule, number: u8::try_from(number).ok() });
        self.indexes.insert(name.into(), self.names.len() - 1);
        self.names.len() - 1
    }
}

fn work_out(name: &[u8]) -> (Vec<u8>, FieldRule) {
    let upper: Vec<u8> =
        name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }).collect();
    let rule = match &upper[..] {
        // `X_Y` has the key of `X-Y` (WSGI E11).
        _ if name.contains(&b'_') => FieldRule::Drop,
        b"CONTENT_TYPE" => return (upper, FieldRule::Field),
        b"CONTENT_LENGTH" | b"TRANSFER_ENCODING" => FieldRule::Drop,
        b"COOKIE" => FieldRule::Cookie,
        b"FORWARDED" | b"X_REAL_IP" => FieldRule::Forwarded,
        name if name.starts_with(b"X_FORWARDED_") => FieldRule::Forwarded,
        _ => FieldRule::Field,
    };
    ([b"HTTP_", &upper[..]].concat(), rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_rules() {
        for (name, key, rule) in [
            ("Host", "HTTP_HOST", FieldRule::Field),
            ("x-a-b", "HTTP_X_A_B", FieldRule::Field),
            ("X_a", "HTTP_X_A", FieldRule::Drop),
            ("content-TYPE", "CONTENT_TYPE", FieldRule::Field),
            ("Content-Length", "HTTP_CONTENT_LENGTH", FieldRule::Drop),
            ("Transfer-Encoding", "HTTP_TRANSFER_ENCODING", FieldRule::Drop),
            ("cookie", "HTTP_COOKIE", FieldRule::Cookie),
            ("X-Forwarded-For", "HTTP_X_FORWARDED_FOR", FieldRule::Forwarded),
            ("forwarded", "HTTP_FORWARDED", FieldRule::Forwarded),
        ] {
            assert_eq!(work_out(name.as_bytes()), (key.as_bytes().to_vec(), rule), "{name}");
        }
    }
}
