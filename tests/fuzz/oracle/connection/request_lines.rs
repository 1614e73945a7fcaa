//! A reader of requests that is as simple as possible: request smuggling is a disagreement about where each one begins.

/// Returns the request lines in a stream, up to the first request that cannot be followed.
pub(super) fn request_lines(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some((head, rest)) = split_once(strip_empty_lines(stream), b"\r\n\r\n") {
        let mut fields =
            head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.extend(fields.next());
        match skip_body(fields, rest) {
            Some(rest) => stream = rest,
            None => break,
        }
    }
    lines
}

fn strip_empty_lines(mut stream: &[u8]) -> &[u8] {
    while let Some(rest) = stream.strip_prefix(b"\r\n") {
        stream = rest;
    }
    stream
}

/// Returns the bytes before the first `end`, and those after it.
fn split_once<'a>(bytes: &'a [u8], end: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(end.len()).position(|bytes| bytes == end)?;
    Some((&bytes[..at], &bytes[at + end.len()..]))
}

/// Returns the bytes after the body that these fields announce, if all of it is here.
fn skip_body<'a>(fields: impl Iterator<Item = &'a [u8]>, stream: &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for field in fields {
        let (name, value) = split_once(field, b":")?;
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(value).ok()?.parse().ok()?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return skip_chunks(stream);
        }
    }
    stream.get(length..)
}

fn skip_chunks(mut stream: &[u8]) -> Option<&[u8]> {
    loop {
        let (line, rest) = split_once(stream, b"\r\n")?;
        let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next()?;
        match usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()? {
            0 => return skip_trailer(rest),
            size => stream = rest.get(size..)?.strip_prefix(b"\r\n")?,
        }
    }
}

fn skip_trailer(mut stream: &[u8]) -> Option<&[u8]> {
    loop {
        let (line, rest) = split_once(stream, b"\r\n")?;
        if line.is_empty() {
            return Some(rest);
        }
        stream = rest;
    }
}
