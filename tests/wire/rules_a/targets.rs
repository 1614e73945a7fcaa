//! RULES A5, A14 to A16, A18 to A21: request targets.

use super::{bytes, bytes_but, cases, line, row};

#[test]
fn a5_spaces_in_the_target() {
    row("A5", "400, 0 canaries", |row| {
        for target in cases("A5 targets") {
            row.refuses(&[400], line(format!("GET {target} HTTP/1.1")));
            row.refuses(&[400], line(format!("GET http://a{target} HTTP/1.1")));
        }
        row.refuses(&[400], line("GET http://a b/ok HTTP/1.1"));
        row.refuses(&[400], line("GET http:// a/ok HTTP/1.1"));
        row.serves(&[404], line("GET /a%20b HTTP/1.1"));
    });
}

#[test]
fn a14_absolute_targets() {
    row("A14", "served; Host still required", |row| {
        for target in cases("A14 targets") {
            let first = format!("GET {target} HTTP/1.1");
            row.serves(&[200], line(&first));
            row.serves(&[200], format!("{first}\r\nHost:\r\n\r\n"));
            row.serves(&[200], format!("{first}\r\nHost: quite-another:81\r\n\r\n"));
            row.ends(&[200], format!("GET {target} HTTP/1.0\r\n\r\n"));
            row.refuses(&[400], format!("{first}\r\n\r\n"));
            row.refuses(&[400], format!("{first}\r\nHost: a\r\nHost: a\r\n\r\n"));
            row.refuses(&[400], format!("{first}\r\nHost: a/b\r\n\r\n"));
        }
        row.serves(&[405], line("POST http://a/ok HTTP/1.1"));
        row.serves(&[404], line("GET http://a/none HTTP/1.1"));
        row.serves(
            &[204, 204],
            [line("OPTIONS http://a HTTP/1.1"), line("OPTIONS http://a/ok HTTP/1.1")].concat(),
        );
        row.methods(&["HEAD", "GET"]).serves(&[200], line("HEAD http://a/ok HTTP/1.1"));
    });
}

#[test]
fn a15_absolute_targets_without_a_valid_host() {
    row("A15", "400, 0 canaries", |row| {
        for target in cases("A15 targets") {
            row.refuses(&[400], line(format!("GET {target} HTTP/1.1")));
            row.refuses(&[400], line(format!("OPTIONS {target} HTTP/1.1")));
        }
    });
}

#[test]
fn a16_targets_in_the_wrong_form() {
    row("A16", "400, 0 canaries", |row| {
        for target in cases("A16 targets") {
            for method in ["GET", "POST", "DELETE", "BREW"] {
                row.refuses(&[400], line(format!("{method} {target} HTTP/1.1")));
            }
        }
        for target in ["**", "*x", "*/", "*?", "ok", "a:80", "?"] {
            row.refuses(&[400], line(format!("OPTIONS {target} HTTP/1.1")));
        }
        for target in cases("A16 authorities") {
            row.refuses(&[400], line(format!("CONNECT {target} HTTP/1.1")));
        }
    });
}

#[test]
fn a18_fragments() {
    row("A18", "400, 0 canaries", |row| {
        for target in cases("A18 targets") {
            row.refuses(&[400], line(format!("GET {target} HTTP/1.1")));
        }
        row.serves(&[404], line("GET /ok%23a HTTP/1.1"));
        row.serves(&[200], line("GET /ok?%23a HTTP/1.1"));
    });
}

#[test]
fn a19_bytes_outside_of_targets() {
    row("A19", "control bytes and DEL 400, 0 canaries; bytes above 7F served", |row| {
        for byte in bytes_but(|byte| byte.is_ascii_graphic() || byte >= 0x80) {
            let byte = [byte];
            row.refuses(&[400], line(bytes(&[b"GET ", &byte, b"/ok HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"GET /o", &byte, b"k HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"GET /ok", &byte, b" HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"GET /ok?a", &byte, b"b HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"GET http://a", &byte, b"/ok HTTP/1.1"])));
        }
        for byte in bytes_but(|byte| byte.is_ascii_control() || b" #".contains(&byte)) {
            row.serves(&[200], line(bytes(&[b"GET /ok?a", &[byte], b"b HTTP/1.1"])));
        }
        for byte in 0x80..=0xff {
            let byte = [byte];
            row.serves(&[404], line(bytes(&[b"GET /ok", &byte, b" HTTP/1.1"])));
            row.serves(&[404], line(bytes(&[b"GET http://a/", &byte, b" HTTP/1.1"])));
            // They stand for themselves in paths and queries only.
            row.refuses(&[400], line(bytes(&[b"GET ", &byte, b"/ok HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"GET http://a", &byte, b"/ok HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"CONNECT a", &byte, b":80 HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"G", &byte, b" /ok HTTP/1.1"])));
        }
    });
}

#[test]
fn a20_percents_without_two_digits() {
    row("A20", "400 in a path or a host, 0 canaries; no meaning in a query", |row| {
        for bad in [
            "%", "%4", "%zz", "%g0", "%0g", "%%41", "%u0041", "%-1", "%+1", "%0x", "%4%31", "%;4", "%\"4",
            "%.4", "%/4", "%:4", "%@4", "%G4", "%`4", "%4G", "%4/", "%4@", "%_4", "%%",
        ] {
            for (before, behind) in [("/", ""), ("/a", "/b"), ("/a", "?b=%41"), ("http://a/", "")] {
                row.refuses(&[400], line(format!("GET {before}{bad}{behind} HTTP/1.1")));
            }
            row.refuses(&[400], line(format!("GET http://a{bad}/ok HTTP/1.1")));
            row.refuses(&[400], line(format!("GET http://a{bad}?ok HTTP/1.1")));
            for (before, behind) in [("/ok?", ""), ("/ok?a=", "&b"), ("/%6fk?", "?%"), ("http://a/ok?", "")] {
                row.serves(&[200], line(format!("GET {before}{bad}{behind} HTTP/1.1")));
            }
        }
        for good in ["/%6f%6b", "/%6F%6B", "/o%6b", "/ok?%00%0d%0A%ff%FF%25", "/%6Fk", "/ok?q=50%"] {
            row.serves(&[200], line(format!("GET {good} HTTP/1.1")));
        }
    });
}

#[test]
fn a21_long_targets() {
    row("A21", "8192 served, 8193 refused with 414", |row| {
        for (method, prefix) in
            [("GET", "/ok?"), ("GET", "http://a/ok?"), ("HEAD", "/ok?"), ("POST", "/"), ("OPTIONS", "/")]
        {
            let first = |length: usize, version: &str| {
                line(format!("{method} {prefix}{} {version}", "a".repeat(length - prefix.len())))
            };
            let status = match method {
                "POST" => 405,
                "OPTIONS" => 204,
                _ => 200,
            };
            row.methods(&[method, "GET"]);
            // RFC 9112 §3 recommends lines of 8,000: method, two spaces and version are 13 of these bytes.
            for length in [7_987, 8_000, 8_191, 8_192] {
                row.serves(&[status], first(length, "HTTP/1.1"));
            }
            for length in [8_193, 8_194, 8_236, 8_256, 8_257, 9_000, 16_384, 32_768, 70_000] {
                row.refuses(&[414], first(length, "HTTP/1.1"));
            }
            row.ends(&[status], first(8_192, "HTTP/1.0"));
            row.refuses(&[414], first(8_193, "HTTP/1.0"));
        }
        // A line without an end.
        row.methods(&["GET"]);
        row.refuses(&[414], format!("GET /{}", "a".repeat(9_000)));
    });
}
