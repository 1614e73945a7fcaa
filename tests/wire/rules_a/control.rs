//! RULES A38 to A42: Connection, Upgrade, Expect.

use super::{cases, get, post, request, row};

#[test]
fn a38_connection_is_a_list() {
    row("A38", "close anywhere closes", |row| {
        for close in cases("A38 close") {
            row.ends(&[200], get(format!("Connection: {close}\r\n")));
            row.ends(&[405], post(format!("Connection: {close}\r\nContent-Length: 3\r\n"), "abc"));
            row.ends(&[200], request("GET /ok HTTP/1.0", format!("Connection: {close}\r\n"), ""));
        }
        for kept in cases("A38 no close") {
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
            // The first bytes of an upgraded connection are parsed as an ordinary request.
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
            // The canary may be a body here, so it must not get a response.
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
            // HTTP/1.0 has no interim responses.
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
        for value in cases("A42 expectations") {
            row.refuses(&[417], get(format!("Expect: {value}\r\n")));
            row.refuses(&[417], post(format!("Expect: {value}\r\nContent-Length: 3\r\n"), "abc"));
            row.refuses(&[417], post(format!("Expect: {value}\r\nTransfer-Encoding: chunked\r\n"), ""));
        }
        row.methods(&["HEAD"]).refuses(&[417], request("HEAD /ok HTTP/1.1", "Expect: x\r\n", ""));
    });
}
