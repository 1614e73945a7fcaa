//! The redirect from `/dir` to `/dir/`, because links in an index are relative; and from `/about/` to `/about`, if that is
//! a page.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

use crate::http1::{Response, Status};

/// The bytes that a target may have and a URI may not (RFC 3986 §2), besides those above 7E. A browser takes the
/// backslash for a slash.
const ILLEGAL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// In a segment also the two other bytes that mean something in HTML, in case a client shows the location.
const IN_SEGMENT: &AsciiSet = &ILLEGAL.add(b'&').add(b'\'');

/// Escapes every byte that a URI may not have.
#[must_use]
pub fn escape_uri(bytes: &[u8]) -> String {
    percent_encode(bytes, ILLEGAL).to_string()
}

/// Redirects a path without a slash at its end to the one with it; the query stays (RULES B10, B11).
///
/// The location is relative to the last segment, so that it is right as well behind a proxy that has removed a prefix. It
/// begins with `./` and has no other slash before the one at its end, so it can name neither a scheme nor a host.
#[must_use]
pub fn redirect_to_directory(path: &[u8], query: Option<&[u8]>) -> Response {
    let segment = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let mut location = format!("./{}/", percent_encode(segment, IN_SEGMENT));
    push_query(&mut location, query);
    permanent(location)
}

/// Redirects `/about/` to `/about`, if `name` is the last segment of the path as it was sent: the location is relative
/// (`../about`), and would be wrong for `/about//`.
pub(super) fn redirect_to_page(path: &[u8], query: Option<&[u8]>, name: &OsStr) -> Option<Response> {
    let segment = path.strip_suffix(b"/")?.rsplit(|byte| *byte == b'/').next()?;
    if !percent_decode(segment).eq(name.as_bytes().iter().copied()) {
        return None;
    }
    let mut location = format!("../{}", percent_encode(segment, IN_SEGMENT));
    push_query(&mut location, query);
    Some(permanent(location))
}

fn push_query(location: &mut String, query: Option<&[u8]>) {
    if let Some(query) = query {
        location.push('?');
        location.extend(percent_encode(query, ILLEGAL));
    }
}

fn permanent(location: String) -> Response {
    let mut response = Response::error(Status::MOVED_PERMANENTLY);
    response.field("Location", location);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        for (path, query, want) in [
            (&b"/a"[..], None, "./a/"),
            (b"/a/b", Some(&b""[..]), "./b/?"),
            (b"//evil.com", None, "./evil.com/"),
            (b"/a:b", Some(b"c:d=//e"), "./a:b/?c:d=//e"),
            (b"/\\evil.com", None, "./%5Cevil.com/"),
            (b"/%2f%2fevil.com", None, "./%2f%2fevil.com/"),
            (b"/a\r\nSet-Cookie: b", Some(b"\r\n\0"), "./a%0D%0ASet-Cookie:%20b/?%0D%0A%00"),
            ("/\u{43c}".as_bytes(), Some(b"\xff%zz"), "./%D0%BC/?%FF%zz"),
            (b"/<b>\"^`{|}", Some(b"[]"), "./%3Cb%3E%22%5E%60%7B%7C%7D/?[]"),
            (b"/a&'b", Some(b"a&b='c'"), "./a%26%27b/?a&b='c'"),
        ] {
            let response = redirect_to_directory(path, query);
            let fields = String::from_utf8_lossy(response.fields());
            assert!(fields.ends_with(&format!("\r\nLocation: {want}\r\n")), "{want}: {fields}");
        }
    }
}
