//! RULES A23 to A26: the host.

use super::{bytes, bytes_but, cases, request, row};

/// A GET with these field lines only.
fn with(fields: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(&[b"GET /ok HTTP/1.1\r\n", fields.as_ref(), b"\r\n"])
}

#[test]
fn a23_no_host() {
    row("A23", "400, 0 canaries", |row| {
        for first in cases("A23 request lines") {
            row.refuses(&[400], format!("{first}\r\n\r\n"));
            for other in [
                "X: 1",
                "Hos: a",
                "Hosts: a",
                "Host_: a",
                "X-Host: a",
                "X-Forwarded-Host: a",
                ":authority: a",
            ] {
                row.refuses(&[400], format!("{first}\r\n{other}\r\n\r\n"));
            }
        }
        row.methods(&["HEAD"]).refuses(&[400], "HEAD /ok HTTP/1.1\r\n\r\n");
    });
}

#[test]
fn a24_several_hosts() {
    row("A24", "400, 0 canaries", |row| {
        for (first, second) in [
            ("a", "a"),
            ("a", "b"),
            ("a", ""),
            ("", "a"),
            ("", ""),
            ("a", "A"),
            ("a", "a:80"),
            ("a:80", "a:80"),
            ("a", "a "),
            ("[::1]", "[::1]"),
            ("a", "u@a"),
        ] {
            row.refuses(&[400], with(format!("Host: {first}\r\nHost: {second}\r\n")));
            row.refuses(&[400], with(format!("Host: {first}\r\nhost: {second}\r\n")));
            row.refuses(&[400], with(format!("HOST:{first}\r\nX: 1\r\nhOsT:{second}\r\n")));
            row.refuses(&[400], with(format!("Host: {first}\r\nHost: {second}\r\nHost: {first}\r\n")));
            for line in
                ["GET http://a/ok HTTP/1.1", "GET /ok HTTP/1.0", "GET /ok HTTP/1.9", "POST / HTTP/1.1"]
            {
                row.refuses(&[400], format!("{line}\r\nHost: {first}\r\nHost: {second}\r\n\r\n"));
            }
        }
    });
}

#[test]
fn a25_malformed_hosts() {
    row("A25", "400, 0 canaries", |row| {
        for host in cases("A25 hosts") {
            row.refuses(&[400], with(format!("Host: {host}\r\n")));
            row.refuses(&[400], format!("GET /ok HTTP/1.0\r\nHost: {host}\r\n\r\n"));
            row.refuses(&[400], format!("GET http://a/ok HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        }
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte);
        // A percent sign is valid with two digits after it, as in "%bc".
        for byte in bytes_but(|byte| is_known(byte) || byte == b'%') {
            row.refuses(&[400], with(bytes(&[b"Host: a", &[byte], b"bc\r\n"])));
        }
    });
}

#[test]
fn a26_valid_hosts() {
    row("A26", "served", |row| {
        for host in cases("A26 hosts") {
            row.serves(&[200], with(format!("Host:{host}\r\n")));
        }
        row.serves(&[200], with("hOST: a\r\n"));
        row.ends(&[200], "GET /ok HTTP/1.0\r\n\r\n");
        row.ends(&[200], "GET / HTTP/1.0\r\nX: 1\r\n\r\n");
        row.ends(&[200], request("GET /ok HTTP/1.0", "", ""));
        row.serves(&[200], "GET /ok HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        row.serves(&[405], "POST /ok HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc");
    });
}
