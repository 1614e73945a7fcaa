//! RULES A27 to A42: the header fields.

use super::{bytes, bytes_but, get, is_tchar, post, request, row};

/// What has been taken for white space by somebody.
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
                // The value folded away, folded in the middle, followed by more or by nothing.
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
fn a30_names_that_are_none() {
    row("A30", "400, 0 canaries", |row| {
        for bad in [
            "X",
            "X 1",
            "X;1",
            "X=1",
            "",
            ":",
            ": v",
            ":v",
            ":: v",
            "Content-Length",
            "Content-Length 3",
            "Content-Length; 3",
            "Transfer-Encoding chunked",
            "GET /canary HTTP/1.1",
            "GET http://a/canary HTTP/1.1",
            "=: v",
            "\"X\": v",
            "X[]: 1",
            "X(a): 1",
            "<X>: 1",
            "X/Y: 1",
            "X,Y: 1",
            "X@Y: 1",
            "X\\: 1",
            "{X}: 1",
            "\u{ff38}: 1",
            "\u{130}: 1",
            "Content-Len\u{df}: 3",
            "\u{212a}: 1",
            "X\0: 1",
            "\0X: 1",
            "\0: 1",
            "\0",
        ] {
            // An empty line ends the head: what stands behind it is the next request.
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
            // Not trimmed: "close" with it is not "close".
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
fn a34_ends_of_the_head_that_are_none() {
    row("A34", "400, 0 canaries", |row| {
        for end in [
            "\r\n\rX",
            "\r\n\r\r\n",
            "\r\n\r",
            "\r\n\r\r",
            "\r\r\n\r\n",
            "\r\r\n",
            "\r\r",
            "\n\r\n",
            "\r\n\n",
            "\n\n",
            "\n\r",
            "\r\n\rX\r\n",
            "\r\n\r \n",
            "\r\n \r\n",
            "\r\n\t\r\n\r\n",
            "\r\n\0\r\n",
            "\r\n\x0b\r\n",
            "\r\n\r\0\n",
            "\r\n\r\t\n",
        ] {
            row.refuses(&[400], format!("GET /ok HTTP/1.1\r\nHost: a{end}"));
            row.refuses(&[400], format!("POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 3{end}abc"));
        }
    });
}

/// A GET whose head is `length` bytes long, in lines that are short enough.
fn head_of(length: usize) -> Vec<u8> {
    let (beginning, end) = ("GET /ok HTTP/1.1\r\nHost: a\r\n", "\r\n");
    let mut head = String::from(beginning);
    while head.len() + end.len() < length {
        let left = length - head.len() - end.len();
        // What is left for the line after this one has to be long enough for a field.
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
            // With Host they are one more.
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
        // That a length is a multiple of 2^16 or more does not make it short.
        for length in [65_535, 65_536, 65_537, 70_000] {
            row.refuses(&[431], get(format!("Content-Length{}: 3\r\n", "x".repeat(length))));
            row.refuses(&[431], get(format!("X: {}\r\n", "a".repeat(length))));
        }
        row.refuses(&[431], format!("GET /ok HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(40_000)));
        row.refuses(&[431], format!("GET /ok HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(8_200)));
    });
}

#[test]
fn a36_fields_that_may_stand_once() {
    row("A36", "400, 0 canaries", |row| {
        for (name, values) in [
            ("Host", ["a", "b"]),
            ("Content-Length", ["3", "4"]),
            ("Transfer-Encoding", ["chunked", "identity"]),
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
        row.serves(&[405], post("Content-Type: a/b\r\nContent-Length: 3\r\n", "abc"));
        row.serves(&[200], get("X: 1\r\nX: 1\r\nx: 2\r\nAccept: a\r\nAccept: b\r\n"));
    });
}

#[test]
fn a37_underscores_are_no_hyphens() {
    row("A37", "ignored", |row| {
        for field in [
            "Content_Length: 5",
            "content_length: 5",
            "CONTENT_LENGTH: x",
            "Transfer_Encoding: chunked",
            "transfer_encoding: x",
            "Content_Length: 5\r\nContent_Length: 6",
            "X_Forwarded_For: 1",
            "Host_: b",
            "_Host: b",
            "Connection_: close",
            "Proxy_Connection: close",
            "Content_Type: a\r\nContent_Type: b",
            "ContentLength: 5",
            "Content-Length_: 5",
            "_Content-Length: 5",
            "Content--Length: 5",
            "Content.Length: 5",
            "TransferEncoding: chunked",
            "HTTP_HOST: b",
            "Expect_: x",
            "X-Content-Length: 5",
            "Content-Lengths: 5",
        ] {
            row.serves(&[200], get(format!("{field}\r\n")));
            row.serves(&[405], post(format!("{field}\r\n"), ""));
            row.serves(&[405], post(format!("{field}\r\nContent-Length: 3\r\n"), "abc"));
        }
    });
}

#[test]
fn a38_connection_is_a_list() {
    row("A38", "close anywhere closes", |row| {
        for close in [
            "close",
            "CLOSE",
            "Close",
            "cLoSe",
            "x, close",
            "close, x",
            "x,close,y",
            "x,,close",
            ",close",
            "close,",
            "x\t,\tclose\t,\ty",
            " , close , ",
            "keep-alive, close",
            "close,keep-alive",
            "keep-alive,close",
            "close,close",
            "Upgrade, close",
            "TE, Close",
            "x\r\nConnection: close",
            "close\r\nConnection: x",
            "close\r\nconnection: keep-alive",
            "keep-alive\r\nCONNECTION: close",
            "\r\nConnection:\r\nConnection: close",
            "a\r\nX: 1\r\nConnection: b, close",
        ] {
            row.ends(&[200], get(format!("Connection: {close}\r\n")));
            row.ends(&[405], post(format!("Connection: {close}\r\nContent-Length: 3\r\n"), "abc"));
            row.ends(&[200], request("GET /ok HTTP/1.0", format!("Connection: {close}\r\n"), ""));
        }
        for kept in [
            "",
            "x",
            "closed",
            "clos",
            "xclose",
            "close-x",
            "\"close\"",
            "close;q=1",
            "close=1",
            "clo se",
            "keep-alive",
            "Keep-Alive, TE",
            "x y close z",
            "close/1",
            "'close'",
            "(close)",
            "close.",
            "-close",
        ] {
            row.serves(&[200], get(format!("Connection: {kept}\r\n")));
        }
        for kept in [
            "keep-alive",
            "Keep-Alive",
            "KEEP-ALIVE",
            "x, keep-alive",
            "TE,,Keep-Alive",
            "x\r\nConnection: keep-alive",
        ] {
            row.serves(&[200], request("GET /ok HTTP/1.0", format!("Connection: {kept}\r\n"), ""));
        }
        for ended in ["", "x", "keepalive", "keep-alive;x", "\"keep-alive\"", "keep alive", "keep_alive"] {
            row.ends(&[200], request("GET /ok HTTP/1.0", format!("Connection: {ended}\r\n"), ""));
        }
        for other in [
            "Proxy-Connection: close",
            "X-Connection: close",
            "Keep-Alive: timeout=0, max=0",
            "Connections: close",
        ] {
            row.serves(&[200], get(format!("{other}\r\n")));
        }
    });
}

#[test]
fn a39_empty_elements_of_lists() {
    row("A39", "no loop", |row| {
        for value in ["TE,,Keep-Alive", ",", ",,", ", ,\t,", ",,,x,,,", "\t,", ",a,", ",,,,keep-alive,,,,"] {
            row.serves(&[200], get(format!("Connection: {value}\r\n")));
            row.serves(&[200], get(format!("Connection:{value}\r\n").repeat(50)));
        }
        row.serves(&[200], get(format!("Connection: {}\r\n", ",".repeat(8_000))));
        row.ends(&[200], get(format!("Connection: {}close\r\n", ", ".repeat(4_000))));
        row.ends(&[200], request("GET /ok HTTP/1.0", format!("Connection: {}\r\n", ",".repeat(8_000)), ""));
    });
}

#[test]
fn a40_upgrades() {
    row("A40", "ignored, never 101", |row| {
        let websocket = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
        let settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
        for (connection, upgrade, more) in [
            ("Upgrade, HTTP2-Settings", "h2c", settings),
            ("upgrade, http2-settings", "h2c", settings),
            ("HTTP2-Settings, Upgrade", "H2C", settings),
            ("Upgrade, HTTP2-Settings", "h2c, websocket", settings),
            ("Upgrade", "h2c", ""),
            ("Upgrade", "h2", ""),
            ("Upgrade", "websocket", websocket),
            ("upgrade", "WebSocket", websocket),
            ("keep-alive, Upgrade", "websocket", websocket),
            ("Upgrade", "TLS/1.0", ""),
            ("Upgrade", "HTTP/2.0", ""),
            ("Upgrade", "HTTP/2.0, SHTTP/1.3, IRC/6.9, RTA/x11", ""),
            ("Upgrade", "", ""),
            ("Upgrade", "connect-udp", ""),
            ("keep-alive", "h2c", settings),
        ] {
            let fields = format!("Connection: {connection}\r\nUpgrade: {upgrade}\r\n{more}");
            row.serves(&[200], get(&fields));
            row.serves(&[405], post(format!("{fields}Content-Length: 3\r\n"), "abc"));
            row.serves(&[204], request("OPTIONS * HTTP/1.1", &fields, ""));
            // What an upgraded connection would begin with is a request like any other here.
            row.ends(&[200, 505], [get(&fields), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()].concat());
            row.ends(&[200, 400], [get(&fields), b"\x81\x85\x37\xfa\x21\x3d".to_vec()].concat());
        }
        row.ends(&[200], get("Connection: Upgrade, close\r\nUpgrade: h2c\r\n"));
    });
}

#[test]
fn a41_expectations_of_continue() {
    row("A41", "final status and close; never 100", |row| {
        for value in ["100-continue", "100-Continue", "100-CONTINUE", "  100-continue\t"] {
            let expect = format!("Expect: {value}\r\n");
            // The canary may be a body here: nobody can know, and nobody may answer it.
            row.ends(&[405], post(format!("{expect}Content-Length: 3\r\n"), ""));
            row.ends(&[405], post(format!("{expect}Content-Length: 3\r\n"), "abc"));
            row.ends(&[405], post(format!("Content-Length: 90000\r\n{expect}"), ""));
            row.ends(&[405], post(format!("{expect}Transfer-Encoding: chunked\r\n"), ""));
            row.ends(
                &[405],
                post(format!("{expect}Transfer-Encoding: chunked\r\n"), "3\r\nabc\r\n0\r\n\r\n"),
            );
            row.ends(&[200], get(format!("{expect}Content-Length: 3\r\n")));
            row.ends(&[413], get(format!("{expect}Content-Length: 2000000\r\n")));
            row.refuses(&[400], get(format!("{expect}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")));
            row.refuses(&[501], get(format!("{expect}Transfer-Encoding: gzip\r\n")));
            // There is no body to wait for.
            row.serves(&[200], get(&expect));
            row.serves(&[405], post(format!("{expect}Content-Length: 0\r\n"), ""));
            row.serves(&[405], post(&expect, ""));
            // HTTP/1.0 has no interim answers.
            let old = request("POST /ok HTTP/1.0", format!("{expect}Content-Length: 3\r\n"), "abc");
            row.ends(&[405], old);
            let fields = format!("{expect}Connection: keep-alive\r\nContent-Length: 3\r\n");
            row.serves(&[405], request("POST /ok HTTP/1.0", fields, "abc"));
        }
    });
}

#[test]
fn a42_other_expectations() {
    row("A42", "417, close", |row| {
        for value in [
            "200-ok",
            "100-continue2",
            "x100-continue",
            "100 continue",
            "100_continue",
            "100-continue, x",
            "x, 100-continue",
            "100-continue;a",
            "100-continue;a=b",
            "x=y",
            "x",
            "0",
            "100",
            "continue",
            "\"100-continue\"",
            "100-continue=1",
            "100-continue\r\nExpect: x",
            "x\r\nExpect: 100-continue",
            "101-continue",
            "meaning-of-life=42",
            "102-processing",
        ] {
            row.refuses(&[417], get(format!("Expect: {value}\r\n")));
            row.refuses(&[417], post(format!("Expect: {value}\r\nContent-Length: 3\r\n"), "abc"));
            row.refuses(&[417], post(format!("Expect: {value}\r\nTransfer-Encoding: chunked\r\n"), ""));
        }
        row.methods(&["HEAD"]).refuses(&[417], request("HEAD /ok HTTP/1.1", "Expect: x\r\n", ""));
    });
}
