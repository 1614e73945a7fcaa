//! RULES A1 to A68, row by row, over both fronts: the rule behind the corpus, in as many variants as there are.

mod chunks;
mod connection;
mod content_length;
mod fields;
mod host;
mod request_line;

use crate::support::Fronts;
use crate::support::fronts::Row;

/// Runs the cases of one row, and reports it.
fn row(name: &'static str, bar: &str, cases: impl FnOnce(&mut Row<'_>)) {
    let fronts = Fronts::new();
    let mut row = fronts.row(name);
    cases(&mut row);
    row.holds(bar);
}

/// Pieces of bytes in one.
fn bytes(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

/// A request with this line and a Host.
fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(&[line.as_ref(), b"\r\nHost: a\r\n\r\n"])
}

/// A GET with these field lines, each ended by CR LF, behind its Host.
fn get(fields: impl AsRef<[u8]>) -> Vec<u8> {
    request("GET /ok HTTP/1.1", fields, "")
}

/// A POST with these field lines behind its Host, and this body.
fn post(fields: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST /ok HTTP/1.1", fields, body)
}

fn request(line: &str, fields: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(&[line.as_bytes(), b"\r\nHost: a\r\n", fields.as_ref(), b"\r\n", body.as_ref()])
}

/// All bytes but these; of those that are not ASCII, the ones that are something in Latin-1, or begin or
/// continue something in UTF-8.
fn bytes_but(known: impl Fn(u8) -> bool) -> impl Iterator<Item = u8> {
    let others = *b"\x80\x85\x8a\x8d\x9f\xa0\xad\xb2\xbf\xc2\xe2\xef\xf4\xfe\xff";
    (0..=0x7f).chain(others).filter(move |byte| !known(*byte))
}

/// `tchar` (RFC 9110 §5.6.2), written down once more.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
