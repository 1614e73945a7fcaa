//! RULES A1 to A22: the request line.

use std::fs;

use super::{bytes, bytes_but, get, is_tchar, line, post, request, row};
use crate::support::server::eventually;
use crate::support::{Dice, Folder, Server, rules};

#[test]
fn a1_empty_lines_before_a_request() {
    row("A1", "10 skipped, the 11th 400", |row| {
        let empty = |count: usize| "\r\n".repeat(count).into_bytes();
        for count in 1..=10 {
            row.serves(&[200], [empty(count), get("")].concat());
            row.serves(&[200], [get(""), empty(count)].concat());
            row.serves(&[405], [post("Content-Length: 3\r\n", "abc"), empty(count)].concat());
        }
        row.serves(&[200, 200], [empty(10), get(""), empty(10), get(""), empty(10)].concat());
        for count in [11, 12, 100] {
            row.refuses(&[400], empty(count));
            row.ends(&[200, 400], [get(""), empty(count)].concat());
        }
        for not_empty in [
            "\n",
            "\n\n",
            "\r",
            "\r\r\n",
            "\r\n\n",
            "\r\n\r",
            "\n\r",
            " \r\n",
            "\t\r\n",
            "\r\n \r\n",
            "\0",
            "\0\r\n",
            "\x0b\r\n",
            "\u{feff}",
            "\r\n\r\n\0",
        ] {
            row.refuses(&[400], not_empty);
        }
    });
}

#[test]
fn a2_bare_line_feeds() {
    row("A2", "400, 0 canaries", |row| {
        let whole = "GET /ok HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
        for method in ["GET", "HEAD", "POST", "BREW"] {
            row.methods(&[method]);
            let whole = whole.replacen("GET", method, 1);
            let ends: Vec<usize> = whole.match_indices("\r\n").map(|(at, _)| at).collect();
            for at in &ends {
                // Without its CR; with the two the wrong way round; with another LF before and behind.
                for instead in ["\n", "\n\r", "\n\r\n", "\r\n\n", "\n\n"] {
                    let (before, behind) = (&whole[..*at], &whole[at + 2..]);
                    // Behind the whole head it is the next request that begins with it.
                    if instead != "\r\n\n" || !behind.is_empty() {
                        row.refuses(&[400], format!("{before}{instead}{behind}"));
                    }
                }
            }
            row.refuses(&[400], whole.replace("\r\n", "\n"));
        }
        row.methods(&["GET"]);
        row.refuses(&[400], "GET / HTTP/1.1\n");
        row.refuses(&[400], "GET / HTTP/2.0\n");
        row.refuses(&[400], "GET\n");
        row.refuses(&[400], post("Content-Length: 3\nX: 1\r\n", "abc"));
    });
}

#[test]
fn a3_bare_carriage_returns() {
    row("A3", "400, 0 canaries", |row| {
        let whole = "GET /ok HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
        // At every position; before an LF it makes that line end one of two CRs.
        for at in 0..whole.len() {
            row.refuses(&[400], format!("{}\r{}", &whole[..at], &whole[at..]));
        }
        // In place of a line end.
        for (at, _) in whole.match_indices("\r\n") {
            row.refuses(&[400], format!("{}\r{}", &whole[..at], &whole[at + 2..]));
        }
        row.refuses(&[400], whole.replace("\r\n", "\r"));
        row.refuses(&[400], whole.replace("\r\n", "\r\r\n"));
        // Behind what else would be refused with something else, and before the end of anything has come.
        row.refuses(&[400], "GET / HTTP/2.0\rHost: a\r\n\r\n");
        row.refuses(&[400], "GET / HTTP/1.1\rX");
        row.refuses(&[400], get("Expect: x\ry\r\n"));
        row.refuses(&[400], get("Transfer-Encoding: gzip\r, chunked\r\n"));
    });
}

#[test]
fn a4_spaces_in_the_request_line() {
    row("A4", "400, 0 canaries", |row| {
        for white in
            [" ", "\t", "  ", " \t", "\x0b", "\x0c", "\x1c", "\x1f", "\u{a0}", "\u{85}", "\u{2003}", "\0"]
        {
            // In place of either space, beside it, and around the line.
            if white != " " {
                row.refuses(&[400], line(format!("GET{white}/ok HTTP/1.1")));
                row.refuses(&[400], line(format!("GET /ok{white}HTTP/1.1")));
            }
            row.refuses(&[400], line(format!("GET {white}/ok HTTP/1.1")));
            row.refuses(&[400], line(format!("GET{white} /ok HTTP/1.1")));
            row.refuses(&[400], line(format!("GET /ok{white} HTTP/1.1")));
            row.refuses(&[400], line(format!("GET /ok {white}HTTP/1.1")));
            row.refuses(&[400], line(format!("{white}GET /ok HTTP/1.1")));
            row.refuses(&[400], line(format!("GET /ok HTTP/1.1{white}")));
        }
    });
}

#[test]
fn a5_spaces_in_the_target() {
    row("A5", "400, 0 canaries", |row| {
        for target in [
            "/a b",
            "/ok ",
            "/ok ok",
            "/ a",
            "/ok?a b",
            "/ok HTTP/1.1",
            "/ok HTTP/1.0 x",
            "/ok .txt",
            "/a b c d",
        ] {
            row.refuses(&[400], line(format!("GET {target} HTTP/1.1")));
            row.refuses(&[400], line(format!("GET http://a{target} HTTP/1.1")));
        }
        row.refuses(&[400], line("GET http://a b/ok HTTP/1.1"));
        row.refuses(&[400], line("GET http:// a/ok HTTP/1.1"));
        row.serves(&[404], line("GET /a%20b HTTP/1.1"));
    });
}

#[test]
fn a6_http_0_9() {
    row("A6", "400, 0 canaries", |row| {
        for method in ["GET", "HEAD"] {
            row.methods(&[method]);
            for rest in [" /ok", " /", " /ok ", " ", "", " http://a/ok", " /ok HTTP", " /ok 0.9"] {
                row.refuses(&[400], format!("{method}{rest}\r\n"));
                row.refuses(&[400], format!("{method}{rest}\r\n\r\n"));
                row.refuses(&[400], line(format!("{method}{rest}")));
            }
            for version in ["HTTP/0.9", "HTTP/0.0", "HTTP/0.1", "HTTP/0"] {
                row.refuses(&[400], line(format!("{method} /ok {version}")));
            }
        }
    });
}

#[test]
fn a7_versions_that_are_none() {
    row("A7", "400, 0 canaries", |row| {
        for version in [
            "http/1.1",
            "Http/1.1",
            "HTTp/1.1",
            "HTTP/1",
            "HTTP/1.",
            "HTTP/.1",
            "HTTP/1.01",
            "HTTP/01.1",
            "HTTP/1.10",
            "HTTP/1.1.",
            "HTTP/1.1.1",
            "HTTP/11",
            "HTTP/1,1",
            "HTTP/1:1",
            "HTTP/1-1",
            "HTTP//1.1",
            "HTTP\\1.1",
            "HTTP1.1",
            "HTTP-1.1",
            "HTTP",
            "HTTP/",
            "HTTP/.",
            "/1.1",
            "1.1",
            "HTTPS/1.1",
            "SHTTP/1.1",
            "XHTTP/1.1",
            "HTP/1.1",
            "HTTPP/1.1",
            "ICY/1.1",
            "RTSP/1.0",
            "SIP/2.0",
            "HTTP/1.x",
            "HTTP/x.1",
            "HTTP/+1.1",
            "HTTP/1.+1",
            "HTTP/-1.1",
            "HTTP/0x1.1",
            "HTTP/1.1HTTP/1.1",
            "HTTP/1.1;",
            "HTTP/1.1,",
            "HTTP/1.1\0",
            "HTTP/1.\u{661}",
            "HTTP/\u{ff11}.1",
            "\u{ff28}TTP/1.1",
            "HTTP/10.0",
            "HTTP/10.1",
            "HTTP/20.0",
            "HTTP/2",
            "HTTP/3",
            "HTTP/2.",
            "HTTP/2.00",
            "HTTP/02.0",
            "HTTP/ 1.1",
            "HTTP /1.1",
            "HTTP/1 .1",
            "HTTP/1. 1",
            "HTTP/4294967295.255",
            "HTTP/4294967297.1",
            "HTTP/1.4294967297",
            "HTTP/257.257",
            "HTTP/18446744073709551617.1",
            "\"HTTP/1.1\"",
            "HTTP/1.1\x7f",
            "HTTP/1.1\u{ff}",
            "HTTP/1.%31",
        ] {
            row.refuses(&[400], line(format!("GET /ok {version}")));
        }
        for byte in bytes_but(|byte| byte.is_ascii_digit()) {
            row.refuses(&[400], line(bytes(&[b"GET /ok HTTP/1.", &[byte]])));
        }
    });
}

#[test]
fn a8_later_minor_versions() {
    row("A8", "served as HTTP/1.1", |row| {
        for minor in 2..=9 {
            let first = format!("GET /ok HTTP/1.{minor}");
            row.serves(&[200], line(&first));
            row.ends(&[200], request(&first, "Connection: close\r\n", ""));
            row.serves(&[200], request(&first, "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"));
            row.ends(&[200], request(&first, "Expect: 100-continue\r\nContent-Length: 3\r\n", ""));
            row.refuses(&[417], request(&first, "Expect: x\r\n", ""));
            row.refuses(&[400], format!("{first}\r\n\r\n"));
        }
        // What comes behind the version is not what was replaced.
        row.serves(&[200], "GET /ok?HTTP/1.2 HTTP/1.2\r\nHost: a\r\nX: HTTP/1.2\r\n\r\n");
    });
}

#[test]
fn a9_later_major_versions() {
    row("A9", "505, 0 canaries", |row| {
        for major in 2..=9 {
            for minor in 0..=9 {
                row.refuses(&[505], line(format!("GET /ok HTTP/{major}.{minor}")));
            }
            // At the end of the line, whatever comes behind it.
            row.refuses(&[505], format!("GET /ok HTTP/{major}.0\r\n"));
            row.refuses(&[505], format!("GET /ok HTTP/{major}.0\r\nHost: a\nX : 1\r\n\r\n"));
            row.refuses(&[505], line(format!("BREW * HTTP/{major}.0")));
        }
        row.refuses(&[505], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        row.refuses(&[505], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0");
        row.methods(&["HEAD"]).refuses(&[505], line("HEAD / HTTP/2.0"));
    });
}

#[test]
fn a10_unknown_methods() {
    row("A10", "501", |row| {
        for method in [
            "BREW",
            "M-SEARCH",
            "PROPFIND",
            "PRI",
            "LINK",
            "GETT",
            "GE",
            "G",
            "XGET",
            "GET-",
            "GET_",
            "-GET",
            "0",
            "*",
            "POSTGET",
            "QUERY",
            "!#$%&'*+-.^_`|~",
            "CONNECTS",
            "HEADS",
            "OPTION",
            "HTTP",
            "A123456789012345678901234567890B",
        ] {
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
fn a11_methods_that_are_no_tokens() {
    row("A11", "400, 0 canaries", |row| {
        for byte in bytes_but(is_tchar) {
            row.refuses(&[400], line(bytes(&[&[byte], b"GET /ok HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"G", &[byte], b"T /ok HTTP/1.1"])));
            // A space behind the method is one too many, anything else a part of it.
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
fn a14_absolute_targets() {
    row("A14", "served; Host still required", |row| {
        for target in [
            "http://a/ok",
            "HTTP://a/ok",
            "hTTp://a/ok",
            "https://a/ok",
            "HTTPS://a/ok",
            "http://a:80/ok",
            "http://a:/ok",
            "http://[::1]/ok",
            "http://[::1]:8080/ok",
            "http://127.0.0.1/ok",
            "http://A.B-c_d/ok",
            "http://other/ok",
            "http://a/ok?x=http://b/",
            "http://a//ok",
            "http://a/./ok",
            "http://a/sub/../ok",
            "http://a",
            "http://a/",
            "http://a?x",
            "https://a:443?",
            "http://%61/ok",
            "http://a:00080/ok",
        ] {
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
fn a15_absolute_targets_of_nobody() {
    row("A15", "400, 0 canaries", |row| {
        for target in [
            "ftp://a/ok",
            "ws://a/ok",
            "wss://a/ok",
            "file:///etc/passwd",
            "gopher://a/",
            "javascript:alert(1)",
            "data:,x",
            "mailto:u@a",
            "urn:a:b",
            "httpx://a/ok",
            "xhttp://a/ok",
            "htt://a/ok",
            "http+unix://a/ok",
            "://a/ok",
            "http:/a/ok",
            "http:a/ok",
            "http:ok",
            "http//a/ok",
            "http:\\\\a\\ok",
            "http://",
            "https://",
            "http:///ok",
            "http:////ok",
            "http://?x",
            "http://:80/ok",
            "http://:/ok",
            "http://u@a/ok",
            "http://u:p@a/ok",
            "http://@a/ok",
            "http://:@a/ok",
            "http://a@/ok",
            "http://u%40@a/ok",
            "http://a@b@c/ok",
            "http://a,b/ok",
            "http://a\\b/ok",
            "http://a:8x/ok",
            "http://a:-1/ok",
            "http://a:+80/ok",
            "http://a:70000/ok",
            "http://a:65536/ok",
            "http://a:80:80/ok",
            "http://[::1/ok",
            "http://::1/ok",
            "http://[::1]x/ok",
            "http://[::g]/ok",
            "http://[]/ok",
            "http://[1.2.3.4]/ok",
            "http://a%zz/ok",
            "http://a%4/ok",
            "http://\"a\"/ok",
            "http://<a>/ok",
            "http://a^b/ok",
            "http://a|b/ok",
            "http://{a}/ok",
            "http://a`b/ok",
            "http://[a/ok",
            "http://a]/ok",
        ] {
            row.refuses(&[400], line(format!("GET {target} HTTP/1.1")));
            row.refuses(&[400], line(format!("OPTIONS {target} HTTP/1.1")));
        }
    });
}

#[test]
fn a16_targets_in_the_wrong_form() {
    row("A16", "400, 0 canaries", |row| {
        for target in [
            "*",
            "**",
            "*/",
            "*?x",
            "/*\\\0",
            "a",
            "a:80",
            "ok",
            "ok/",
            "./ok",
            "../ok",
            ".",
            "..",
            "?",
            "?x",
            "ok?x",
            ":80",
            ":",
            "[::1]:80",
            "127.0.0.1:80",
            "\\ok",
            "%2fok",
            "@a/ok",
            "http",
            "http:",
            "a/b",
            "~/ok",
            "-",
            "=",
            "&a",
            "\"/ok\"",
            "'/ok'",
            "</ok>",
            "(/ok)",
            "HTTP/1.1",
        ] {
            for method in ["GET", "POST", "DELETE", "BREW"] {
                row.refuses(&[400], line(format!("{method} {target} HTTP/1.1")));
            }
        }
        for target in ["**", "*x", "*/", "*?", "ok", "a:80", "?"] {
            row.refuses(&[400], line(format!("OPTIONS {target} HTTP/1.1")));
        }
        for target in [
            "/",
            "/ok",
            "*",
            "a",
            "a:",
            ":443",
            ":",
            "a:x",
            "a:-1",
            "a:70000",
            "u@a:80",
            "http://a/",
            "http://a:80",
            "a:80/",
            "a:80?x",
            "[::1]",
            "[::1:443",
            "[::1]:",
            "a,b:80",
            "::1:443",
            "a:80:80",
        ] {
            row.refuses(&[400], line(format!("CONNECT {target} HTTP/1.1")));
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

#[test]
fn a18_fragments() {
    row("A18", "400, 0 canaries", |row| {
        for target in [
            "/ok#",
            "/ok#a",
            "/#",
            "#",
            "#/ok",
            "/ok?a#b",
            "/ok?#",
            "/#/../ok",
            "/ok##",
            "http://a/ok#b",
            "http://a#b",
            "http://a#",
            "/ok%23#",
            "/#ok?x",
            "*#",
        ] {
            row.refuses(&[400], line(format!("GET {target} HTTP/1.1")));
        }
        row.serves(&[404], line("GET /ok%23a HTTP/1.1"));
        row.serves(&[200], line("GET /ok?%23a HTTP/1.1"));
    });
}

#[test]
fn a19_bytes_that_are_in_no_target() {
    row("A19", "400, 0 canaries", |row| {
        for byte in bytes_but(|byte| byte.is_ascii_graphic()) {
            let byte = [byte];
            row.refuses(&[400], line(bytes(&[b"GET ", &byte, b"/ok HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"GET /o", &byte, b"k HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"GET /ok", &byte, b" HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"GET /ok?a", &byte, b"b HTTP/1.1"])));
            row.refuses(&[400], line(bytes(&[b"GET http://a", &byte, b"/ok HTTP/1.1"])));
        }
        for byte in bytes_but(|byte| !byte.is_ascii_graphic() || b"#%".contains(&byte)) {
            row.serves(&[200], line(bytes(&[b"GET /ok?a", &[byte], b"b HTTP/1.1"])));
        }
    });
}

#[test]
fn a20_percents_without_two_digits() {
    row("A20", "400, 0 canaries", |row| {
        for bad in [
            "%", "%4", "%zz", "%g0", "%0g", "%%41", "%u0041", "%-1", "%+1", "%0x", "%4%31", "%;4", "%\"4",
            "%.4", "%/4", "%:4", "%@4", "%G4", "%`4", "%4G", "%4/", "%4@", "%_4", "%%",
        ] {
            for (before, behind) in
                [("/", ""), ("/a", "/b"), ("/ok?", ""), ("/ok?a=", "&b"), ("http://a/", "")]
            {
                row.refuses(&[400], line(format!("GET {before}{bad}{behind} HTTP/1.1")));
            }
            row.refuses(&[400], line(format!("GET http://a{bad}/ok HTTP/1.1")));
        }
        for good in ["/%6f%6b", "/%6F%6B", "/o%6b", "/ok?%00%0d%0A%ff%FF%25", "/%6Fk"] {
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
            // RFC 9112 §3 recommends lines of 8,000: method, two spaces and version are 13 of them.
            for length in [7_987, 8_000, 8_191, 8_192] {
                row.serves(&[status], first(length, "HTTP/1.1"));
            }
            for length in [8_193, 8_194, 8_236, 8_256, 8_257, 9_000, 16_384, 32_768, 70_000] {
                row.refuses(&[414], first(length, "HTTP/1.1"));
            }
            row.ends(&[status], first(8_192, "HTTP/1.0"));
            row.refuses(&[414], first(8_193, "HTTP/1.0"));
        }
        // A line that never ends.
        row.methods(&["GET"]);
        row.refuses(&[414], format!("GET /{}", "a".repeat(9_000)));
    });
}

#[test]
fn a22_noise() {
    let noise = noise();
    row("A22", "400, at most one line in the log", |row| {
        noise.iter().for_each(|noise| row.refuses(&[400], noise));
    });
    let folder = Folder::new();
    let path = folder.beside("access.log");
    let server = Server::start(&folder.root(), &["--access-log", path.to_str().expect("UTF-8")]);
    for noise in &noise {
        let mut client = server.connect();
        client.try_send(noise);
        assert_eq!(client.read_to_end("GET").len(), 1);
    }
    assert_eq!(server.connect().get("/ok?last", "").status, 200);
    let log = || fs::read_to_string(&path).unwrap_or_default();
    eventually("the last line is written", || log().contains("/ok?last"));
    let lines = log().lines().count() - 1;
    assert!(lines <= noise.len(), "{lines} lines for {} connections", noise.len());
    assert!(log().chars().all(|c| c == '\n' || c.is_ascii_graphic() || c == ' '), "only what can be printed");
    let said = server.said().len();
    let ratio =
        format!("{lines} log lines for {} connections of noise, {said} lines on standard error", noise.len());
    rules::holds("A22", ratio, "at most one line each");
}

/// What other protocols begin with, and nothing at all.
fn noise() -> Vec<Vec<u8>> {
    let mut noise: Vec<Vec<u8>> = [
        &b"\x16\x03\x00\0\x61\x01\0\0\x5d\x03\0"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\nGET / HTTP/1.1\r\n",
        b"\x16\x03\x03\0\x31\x01\0\0\x2d\x03\x03",
        b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO mail\r\n",
        b"PING\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x05\x01\0",
        b"\x04\x01\0\x50\x7f\0\0\x01\0",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        b"OPTIONS rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"INVITE sip:u@a SIP/2.0\r\n\r\n",
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        b"\0\0\0\x2f\xffSMB",
        b"{\"jsonrpc\":\"2.0\"}\r\n",
        b"<policy-file-request/>\0",
        b"\xef\xbb\xbfGET / HTTP/1.1\r\n",
        b"\xff\xfeG\0E\0T\0 \0",
        b"stats\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"GET/ok HTTP/1.1\r\n",
    ]
    .map(<[u8]>::to_vec)
    .into();
    let mut dice = Dice::new(22);
    for length in 1..=200 {
        let mut random: Vec<u8> = (0..length + 8).map(|_| dice.roll().to_le_bytes()[0]).collect();
        // The first byte is none of a method's, so that the rest does not matter.
        random[0] |= 0x80;
        noise.push(random);
    }
    noise
}
