//! RULES A10 to A13, A17: methods.

use super::{bytes, bytes_but, cases, is_tchar, line, request, row};

#[test]
fn a10_unknown_methods() {
    row("A10", "501", |row| {
        for method in cases("A10 methods") {
            assert!(method.len() <= 32);
            row.serves(&[501], line(format!("{method} /ok HTTP/1.1")));
            row.serves(&[501], request(&format!("{method} / HTTP/1.1"), "Content-Length: 3\r\n", "abc"));
        }
        for length in [33, 34, 64, 1000, 9000] {
            row.refuses(&[501], line(format!("{} /ok HTTP/1.1", "M".repeat(length))));
            row.refuses(&[501], "M".repeat(length));
        }
    });
}

#[test]
fn a11_malformed_methods() {
    row("A11", "400, 0 canaries", |row| {
        for byte in bytes_but(is_tchar) {
            row.refuses(&[400], line(bytes(&[&[byte], b"GET /ok HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"G", &[byte], b"T /ok HTTP/1.1"])));
            // After the method a space is one too many; any other byte is a part of the method.
            row.refuses(&[400], line(bytes(&[b"GET", &[byte], b" /ok HTTP/1.1"])));
        }
    });
}

#[test]
fn a12_methods_that_are_not_allowed() {
    row("A12", "405 with Allow", |row| {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            for target in ["/ok", "/", "/none", "http://a/ok", "/sub", "/../x"] {
                row.serves(&[405], line(format!("{method} {target} HTTP/1.1")));
            }
            let first = format!("{method} /ok HTTP/1.1");
            row.serves(&[405], request(&first, "Content-Length: 3\r\n", "abc"));
            row.serves(&[405], request(&first, "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"));
            row.ends(&[405], request(&first, "Connection: close\r\n", ""));
            row.ends(&[405], request(&format!("{method} /ok HTTP/1.0"), "", ""));
        }
        for target in ["a:443", "127.0.0.1:80", "[::1]:443"] {
            row.serves(&[405], line(format!("CONNECT {target} HTTP/1.1")));
        }
    });
}

#[test]
fn a13_methods_are_case_sensitive() {
    row("A13", "501", |row| {
        for method in
            ["get", "Get", "gET", "GEt", "head", "Head", "post", "Post", "options", "Options", "put", "trace"]
        {
            row.serves(&[501], line(format!("{method} /ok HTTP/1.1")));
        }
    });
}

#[test]
fn a17_options_of_the_server() {
    row("A17", "204 with Allow", |row| {
        for target in ["*", "/", "/ok", "/none", "http://a", "http://a/ok"] {
            row.serves(&[204], line(format!("OPTIONS {target} HTTP/1.1")));
            row.ends(&[204], request(&format!("OPTIONS {target} HTTP/1.0"), "", ""));
            let first = format!("OPTIONS {target} HTTP/1.1");
            row.serves(&[204], request(&first, "Content-Length: 0\r\n", ""));
            row.serves(&[204], request(&first, "Content-Length: 3\r\n", "abc"));
            row.serves(&[204], request(&first, "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"));
            row.ends(&[204], request(&first, "Connection: close\r\n", ""));
        }
        row.refuses(&[400], "OPTIONS * HTTP/1.1\r\n\r\n");
    });
}
