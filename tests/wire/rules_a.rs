//! RULES A1 to A68, row by row, over both fronts: each rule in as many variants as are known.

mod chunks;
mod connection;
mod content_length;
mod control;
mod fields;
mod host;
mod methods;
mod request_line;
mod targets;

use serde_json::Value;

use crate::support::Fronts;
use crate::support::fronts::Row;

/// Runs the cases of one row, and reports it.
fn row(name: &'static str, bar: &str, cases: impl FnOnce(&mut Row<'_>)) {
    let fronts = Fronts::new();
    let mut row = fronts.row(name);
    cases(&mut row);
    row.holds(bar);
}

/// A list of `tests/corpus/requests.json`: parts of requests, which a test puts into a template.
fn cases(list: &str) -> Vec<String> {
    serde_json::from_value(corpus(list)).expect("a list of strings")
}

/// As [`cases`], for a list of pairs.
fn pairs(list: &str) -> Vec<(String, String)> {
    serde_json::from_value(corpus(list)).expect("a list of pairs")
}

fn corpus(list: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../corpus/requests.json")).expect("JSON");
    all[list].clone()
}

/// Joins pieces of bytes.
fn bytes(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

/// A request with this line and a Host.
fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(&[line.as_ref(), b"\r\nHost: a\r\n\r\n"])
}

/// A GET with these field lines after its Host; each line ends with CR LF.
fn get(fields: impl AsRef<[u8]>) -> Vec<u8> {
    request("GET /ok HTTP/1.1", fields, "")
}

/// A POST with these field lines after its Host, and this body.
fn post(fields: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST /ok HTTP/1.1", fields, body)
}

fn request(line: &str, fields: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(&[line.as_bytes(), b"\r\nHost: a\r\n", fields.as_ref(), b"\r\n", body.as_ref()])
}

/// All ASCII bytes but the `known` ones, and those other bytes that have a meaning in Latin-1 or begin or continue
/// a character in UTF-8.
fn bytes_but(known: impl Fn(u8) -> bool) -> impl Iterator<Item = u8> {
    let others = *b"\x80\x85\x8a\x8d\x9f\xa0\xad\xb2\xbf\xc2\xe2\xef\xf4\xfe\xff";
    (0..=0x7f).chain(others).filter(move |byte| !known(*byte))
}

/// `tchar` (RFC 9110 §5.6.2), independent of the server's own table.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
