//! RULES A23 to A26: the host.

use super::{bytes, bytes_but, request, row};

/// A GET whose only field lines are these.
fn with(fields: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(&[b"GET /ok HTTP/1.1\r\n", fields.as_ref(), b"\r\n"])
}

#[test]
fn a23_no_host() {
    row("A23", "400, 0 canaries", |row| {
        for first in [
            "GET /ok HTTP/1.1",
            "GET / HTTP/1.1",
            "GET /ok HTTP/1.2",
            "GET /ok HTTP/1.9",
            "GET http://a/ok HTTP/1.1",
            "GET https://a HTTP/1.1",
            "POST /ok HTTP/1.1",
            "PUT / HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "OPTIONS / HTTP/1.1",
            "CONNECT a:443 HTTP/1.1",
            "TRACE / HTTP/1.1",
            "BREW / HTTP/1.1",
            "get / HTTP/1.1",
            "GET /none HTTP/1.1",
        ] {
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
fn a25_hosts_that_are_none() {
    row("A25", "400, 0 canaries", |row| {
        for host in [
            "u@a",
            "u:p@a",
            "@a",
            "a@",
            "a/b",
            "a/",
            "/",
            "a, b",
            "a,b",
            ",",
            "a,",
            ",a",
            "a b",
            "a\tb",
            "a:8x",
            "a:x",
            "a:70000",
            "a:65536",
            "a:99999999999999999999",
            "a:-1",
            "a:+80",
            "a:0x50",
            "a:8 0",
            "a: 80",
            "a :80",
            "a:80:80",
            "a::80",
            "a:80,",
            "a:80/",
            ":80",
            ":",
            "::1",
            "[::1",
            "::1]",
            "[::1]]",
            "[[::1]]",
            "[::1]x",
            "[::1]:x",
            "[::1]:70000",
            "[::1]80",
            "[]",
            "[",
            "]",
            "[::g]",
            "[1.2.3.4]",
            "[a]",
            "[::1%eth0]",
            "[:::1]",
            "[v.a]",
            "[v1.]",
            "[v1]",
            "http://a",
            "https://a/",
            "//a",
            "a?b",
            "?a",
            "a#b",
            "#",
            "a\\b",
            "a%",
            "a%4",
            "a%zz",
            "\"a\"",
            "<a>",
            "{a}",
            "a|b",
            "a^b",
            "a`b",
            "\u{e4}",
            "a\u{a0}",
            "\u{ff41}",
            "a\0",
            "\0",
            "a\x7f",
        ] {
            row.refuses(&[400], with(format!("Host: {host}\r\n")));
            row.refuses(&[400], format!("GET /ok HTTP/1.0\r\nHost: {host}\r\n\r\n"));
            row.refuses(&[400], format!("GET http://a/ok HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        }
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte);
        // A percent is known with two digits behind it only, and "bc" are two.
        for byte in bytes_but(|byte| is_known(byte) || byte == b'%') {
            row.refuses(&[400], with(bytes(&[b"Host: a", &[byte], b"bc\r\n"])));
        }
    });
}

#[test]
fn a26_hosts_that_are_some() {
    row("A26", "served", |row| {
        for host in [
            "",
            " ",
            "\t",
            " \t ",
            "a",
            " a ",
            "\ta\t",
            "a:80",
            "a:",
            "a:0",
            "a:00080",
            "a:65535",
            "A.B",
            "a.",
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "[::1]:",
            "[::]",
            "[::ffff:1.2.3.4]",
            "[2001:DB8::1]",
            "[v1.a:b]",
            "a_b",
            "a-b",
            "xn--bcher-kva.example",
            "%41",
            "a~b",
            "a!$&'()*+;=b",
            "localhost",
            "1",
            "-",
            "...",
        ] {
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
