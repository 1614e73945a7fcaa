//! RULES A27 to A37: the header fields.

use super::{bytes, bytes_but, cases, get, is_tchar, post, request, row};

/// Characters that some parsers take for white space.
const WHITE: [&str; 12] =
    [" ", "\t", "  ", " \t", "\t ", "\x0b", "\x0c", "\0", "\x1f", "\u{a0}", "\u{85}", "\u{2003}"];

#[test]
fn a27_white_space_before_the_colon() {
    row("A27", "400, 0 canaries", |row| {
        for white in WHITE {
            for (name, value) in [
                ("X", "1"),
                ("Host", "a"),
                ("Content-Length", "3"),
                ("Transfer-Encoding", "chunked"),
                ("Connection", "close"),
            ] {
                row.refuses(&[400], post(format!("{name}{white}: {value}\r\n"), "abc"));
                row.refuses(&[400], post(format!("{name}{white}:{value}\r\n"), "abc"));
            }
        }
        for white in [b"\xa0".as_slice(), b"\x85", b"\x80", b"\xad"] {
            row.refuses(&[400], get(bytes(&[b"X", white, b": 1\r\n"])));
        }
        row.refuses(&[400], "GET /ok HTTP/1.1\r\nHost : a\r\n\r\n");
    });
}

#[test]
fn a28_white_space_before_the_first_field() {
    row("A28", "400, 0 canaries", |row| {
        for white in WHITE {
            for fields in ["Host: a\r\n", "X: 1\r\nHost: a\r\n", "\r\nHost: a\r\n", ": a\r\nHost: a\r\n"] {
                row.refuses(&[400], format!("GET /ok HTTP/1.1\r\n{white}{fields}\r\n"));
            }
            row.refuses(&[400], format!("GET /ok HTTP/1.1\r\n{white}\r\n\r\n"));
        }
    });
}

#[test]
fn a29_folded_lines() {
    row("A29", "400, 0 canaries", |row| {
        for white in [" ", "\t", "  ", "\t\t", " \t "] {
            for (name, value) in [
                ("X", "1"),
                ("Content-Length", "3"),
                ("Transfer-Encoding", "chunked"),
                ("Connection", "close"),
                ("Expect", "100-continue"),
                ("Content-Type", "a/b"),
            ] {
                // The value is folded at its start or in its middle, and followed by more or by an empty line.
                for field in [
                    format!("{name}:\r\n{white}{value}\r\n"),
                    format!("{name}: {value}\r\n{white}{value}\r\n"),
                    format!("{name}: {value}\r\n{white}\r\n"),
                    format!("{name}: {value}\r\n{white}X: 1\r\n"),
                    format!("{name}: \r\n{white}\r\n{white}{value}\r\n"),
                ] {
                    row.refuses(&[400], post(field, "abc"));
                }
            }
            row.refuses(&[400], format!("GET /ok HTTP/1.1\r\nHost:\r\n{white}a\r\n\r\n"));
            row.refuses(&[400], format!("GET /ok HTTP/1.1\r\nHost: a\r\n{white}b\r\n\r\n"));
            row.refuses(&[400], format!("GET /ok\r\n{white}HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
    });
}

#[test]
fn a30_malformed_field_lines() {
    row("A30", "400, 0 canaries", |row| {
        for bad in cases("A30 field lines") {
            // An empty line ends the head: the text after it is the next request.
            if bad.is_empty() {
                row.ends(&[200, 400], get("\r\nX: 1\r\n"));
                continue;
            }
            row.refuses(&[400], get(format!("{bad}\r\n")));
            row.refuses(&[400], get(format!("{bad}\r\nX: 1\r\n")));
            row.refuses(&[400], post(format!("Content-Length: 3\r\n{bad}\r\n"), "abc"));
        }
        for byte in bytes_but(|byte| is_tchar(byte) || byte == b':') {
            row.refuses(&[400], get(bytes(&[&[byte], b"X: 1\r\n"])));
            row.refuses(&[400], get(bytes(&[b"X", &[byte], b"Y: 1\r\n"])));
            row.refuses(&[400], get(bytes(&[b"X", &[byte], b": 1\r\n"])));
        }
        for byte in bytes_but(|byte| !is_tchar(byte)) {
            row.serves(&[200], get(bytes(&[&[byte], b": 1\r\n"])));
        }
    });
}

#[test]
fn a31_control_characters_in_values() {
    row("A31", "400, 0 canaries", |row| {
        for byte in bytes_but(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
            for name in ["X", "Content-Length", "Transfer-Encoding", "Connection"] {
                for (before, behind) in [("", "3"), ("3", "3"), ("3", "")] {
                    let field =
                        [name.as_bytes(), b": ", before.as_bytes(), &[byte], behind.as_bytes(), b"\r\n"];
                    row.refuses(&[400], post(bytes(&field), "abc"));
                }
            }
            row.refuses(&[400], get(bytes(&[b"X:", &[byte], b"\r\n"])));
        }
    });
}

#[test]
fn a32_obs_text_in_values() {
    row("A32", "served, no byte of it white space", |row| {
        for byte in 0x80..=0xff {
            row.serves(&[200], get(bytes(&[b"X: a", &[byte], b"b\r\n"])));
        }
        for byte in bytes_but(|byte| byte.is_ascii()) {
            row.serves(&[200], get(bytes(&[b"X:", &[byte], b"\r\n"])));
            // Not trimmed: "close" with one of these bytes is not "close".
            row.serves(&[200], get(bytes(&[b"Connection: close", &[byte], b"\r\n"])));
            row.serves(&[200], get(bytes(&[b"Connection: ", &[byte], b"close\r\n"])));
        }
    });
}

#[test]
fn a33_only_sp_and_htab_are_trimmed() {
    row("A33", "exact", |row| {
        for before in ["", " ", "\t", "  ", " \t", "\t \t \t"] {
            for behind in ["", " ", "\t", "  ", "\t ", " \t \t "] {
                row.ends(&[200], get(format!("Connection:{before}close{behind}\r\n")));
                row.serves(&[405], post(format!("Content-Length:{before}3{behind}\r\n"), "abc"));
                let body = "3\r\nabc\r\n0\r\n\r\n";
                row.serves(&[405], post(format!("Transfer-Encoding:{before}chunked{behind}\r\n"), body));
                row.serves(&[200], format!("GET /ok HTTP/1.1\r\nHost:{before}a{behind}\r\n\r\n"));
            }
        }
        for white in [&b"\xa0"[..], b"\x85", b"\xc2\xa0", b"\xe2\x80\x83", b"\xef\xbb\xbf"] {
            for (before, behind) in [(white, &b""[..]), (b"", white)] {
                let field = |name: &[u8], value: &[u8]| bytes(&[name, b": ", before, value, behind, b"\r\n"]);
                row.serves(&[200], get(field(b"Connection", b"close")));
                row.refuses(&[400], post(field(b"Content-Length", b"3"), "abc"));
                row.refuses(
                    &[400, 501],
                    post(field(b"Transfer-Encoding", b"chunked"), "3\r\nabc\r\n0\r\n\r\n"),
                );
                row.refuses(&[417], get(field(b"Expect", b"100-continue")));
                row.refuses(&[400], bytes(&[b"GET /ok HTTP/1.1\r\n", &field(b"Host", b"a"), b"\r\n"]));
            }
        }
    });
}

#[test]
fn a34_malformed_ends_of_the_head() {
    row("A34", "400, 0 canaries", |row| {
        for end in cases("A34 ends") {
            row.refuses(&[400], format!("GET /ok HTTP/1.1\r\nHost: a{end}"));
            row.refuses(&[400], format!("POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 3{end}abc"));
        }
    });
}

/// A GET whose head is `length` bytes long, in lines within their limit.
fn head_of(length: usize) -> Vec<u8> {
    let (beginning, end) = ("GET /ok HTTP/1.1\r\nHost: a\r\n", "\r\n");
    let mut head = String::from(beginning);
    while head.len() + end.len() < length {
        let left = length - head.len() - end.len();
        // The rest for the line after this one must be long enough for a field.
        let line = if left <= 8_000 { left } else { 7_000 };
        head += &format!("X: {}\r\n", "a".repeat(line - "X: \r\n".len()));
    }
    head += end;
    assert_eq!(head.len(), length);
    head.into()
}

#[test]
fn a35_too_many_and_too_long_fields() {
    row("A35", "bounds exact, beyond them 431", |row| {
        for (method, status) in [("GET", 200), ("HEAD", 200), ("POST", 405)] {
            row.methods(&[method, "GET"]);
            let first = format!("{method} /ok HTTP/1.1");
            // Host is one more field.
            for count in [98, 99] {
                row.serves(&[status], request(&first, "X: 1\r\n".repeat(count), ""));
            }
            for count in [100, 101, 1_000] {
                row.refuses(&[431], request(&first, "X: 1\r\n".repeat(count), ""));
            }
            for (name, value) in
                [("X".to_string(), 8_192 - 3), ("X".repeat(8_191), 0), ("X".repeat(4_000), 4_190)]
            {
                let field = |more: usize| {
                    let space = if value > 0 { " " } else { "" };
                    format!("{name}:{space}{}\r\n", "a".repeat(value + more))
                };
                assert_eq!(field(0).len(), 8_192 + 2);
                row.serves(&[status], request(&first, field(0), ""));
                row.refuses(&[431], request(&first, field(1), ""));
                row.refuses(&[431], request(&first, field(2), ""));
                row.refuses(&[431], request(&first, field(9_000), ""));
            }
        }
        row.methods(&["GET"]);
        for length in [32 * 1024 - 1, 32 * 1024] {
            row.serves(&[200], head_of(length));
        }
        for length in [32 * 1024 + 1, 32 * 1024 + 2, 33_000, 65_536, 100_000] {
            row.refuses(&[431], head_of(length));
        }
        let long = "a".repeat(400);
        row.refuses(&[431], get(format!("X: {long}\r\n").repeat(99)));
        // A length must not wrap around at 2^16.
        for length in [65_535, 65_536, 65_537, 70_000] {
            row.refuses(&[431], get(format!("Content-Length{}: 3\r\n", "x".repeat(length))));
            row.refuses(&[431], get(format!("X: {}\r\n", "a".repeat(length))));
        }
        row.refuses(&[431], format!("GET /ok HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(40_000)));
        row.refuses(&[431], format!("GET /ok HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(8_200)));
    });
}

#[test]
fn a36_repeated_fields() {
    row("A36", "400 (501 for unknown codings), 0 canaries", |row| {
        for (name, values) in [
            ("Host", ["a", "b"]),
            ("Content-Length", ["3", "4"]),
            ("Content-Type", ["text/plain", "text/html"]),
        ] {
            let other_case = name.to_ascii_lowercase();
            for second in values {
                for (one, two) in [(name, name), (name, other_case.as_str()), (other_case.as_str(), name)] {
                    let [first, _] = values;
                    row.refuses(&[400], post(format!("{one}: {first}\r\n{two}: {second}\r\n"), "abc"));
                    row.refuses(
                        &[400],
                        post(format!("{one}: {second}\r\nX: 1\r\n{two}: {first}\r\n"), "abc"),
                    );
                    row.refuses(&[400], post(format!("{one}:\r\n{two}: {second}\r\n"), "abc"));
                    row.refuses(
                        &[400],
                        get(format!("{one}: {first}\r\n{two}: {second}\r\n{one}: {first}\r\n")),
                    );
                }
            }
        }
        // A list may be over several lines; no list of two codings is accepted (A53).
        for (first, second) in [("chunked", "chunked"), ("chunked", "identity"), ("identity", "chunked")] {
            let fields = format!("Transfer-Encoding: {first}\r\ntransfer-encoding: {second}\r\n");
            row.refuses(&[400, 501], post(&fields, "abc"));
            row.refuses(&[400, 501], get(&fields));
        }
        row.serves(&[405], post("Content-Type: a/b\r\nContent-Length: 3\r\n", "abc"));
        row.serves(&[200], get("X: 1\r\nX: 1\r\nx: 2\r\nAccept: a\r\nAccept: b\r\n"));
    });
}

#[test]
fn a37_underscores_are_not_hyphens() {
    row("A37", "ignored", |row| {
        for field in cases("A37 field lines") {
            row.serves(&[200], get(format!("{field}\r\n")));
            row.serves(&[405], post(format!("{field}\r\n"), ""));
            row.serves(&[405], post(format!("{field}\r\nContent-Length: 3\r\n"), "abc"));
        }
    });
}
