//! RULES A43 to A49: Content-Length.

use std::time::Duration;

use super::{bytes, bytes_but, cases, get, post, request, row};
use crate::support::fronts::CANARY;
use crate::support::parse_all;

#[test]
fn a43_malformed_lengths() {
    row("A43", "400, 0 canaries", |row| {
        for length in cases("A43 lengths") {
            row.refuses(&[400], post(format!("Content-Length: {length}\r\n"), "abc"));
            row.refuses(&[400], get(format!("Content-Length: {length}\r\n")));
            row.refuses(&[400], request("POST /ok HTTP/1.0", format!("Content-Length: {length}\r\n"), "abc"));
        }
        for byte in bytes_but(|byte| byte.is_ascii_digit()) {
            row.refuses(&[400], post(bytes(&[b"Content-Length: 3", &[byte], b"3\r\n"]), "abc"));
            if !b" \t".contains(&byte) {
                row.refuses(&[400], post(bytes(&[b"Content-Length: ", &[byte], b"3\r\n"]), "abc"));
                row.refuses(&[400], post(bytes(&[b"Content-Length: 3", &[byte], b"\r\n"]), "abc"));
            }
        }
    });
}

#[test]
fn a44_lists_of_lengths() {
    row("A44", "400, 0 canaries", |row| {
        for list in [
            "3, 3", "3,3", "3 ,3", "3\t,\t3", "3, 4", "4, 3", "0, 3", "3, 0", "3,", ",3", ",", "3,,3", ", 3",
            "3, ", "3, 3, 3", "3, x",
        ] {
            row.refuses(&[400], post(format!("Content-Length: {list}\r\n"), "abc"));
            row.refuses(&[400], get(format!("Content-Length: {list}\r\n")));
        }
        for (first, second) in [
            ("3", "3"),
            ("3", "4"),
            ("0", "3"),
            ("3", "0"),
            ("0", "0"),
            ("3", "03"),
            ("3", ""),
            ("", "3"),
            ("3", "x"),
        ] {
            for name in ["Content-Length", "content-length", "CONTENT-LENGTH"] {
                row.refuses(&[400], post(format!("Content-Length: {first}\r\n{name}: {second}\r\n"), "abc"));
                row.refuses(
                    &[400],
                    post(format!("{name}: {first}\r\nX: 1\r\nContent-Length: {second}\r\n"), "abc"),
                );
                row.refuses(&[400], get(format!("{name}:{first}\r\n{name}:{second}\r\n{name}:{first}\r\n")));
            }
        }
    });
}

#[test]
fn a45_lengths_beyond_integers() {
    row("A45", "400 or 413, 0 canaries", |row| {
        let mut lengths: Vec<String> = [
            "9223372036854775808",
            "9223372036854775811",
            "18446744073709551615",
            "18446744073709551616",
            "18446744073709551619",
            "36893488147419103235",
            "10000000000000000000",
            "100000000000000000003",
            "340282366920938463463374607431768211456",
            "340282366920938463463374607431768211459",
            "9999999999999999999999999999999999999999",
            "018446744073709551619",
        ]
        .map(String::from)
        .into();
        lengths.extend([20, 21, 40, 100, 1_000, 8_000].map(|zeros| format!("1{}", "0".repeat(zeros))));
        lengths.push(format!("{}18446744073709551619", "0".repeat(1_000)));
        for length in lengths {
            row.refuses(&[400, 413], post(format!("Content-Length: {length}\r\n"), "abc"));
            row.refuses(&[400, 413], get(format!("Content-Length: {length}\r\n")));
        }
        // Lengths that an integer can hold, but the server does not accept.
        for length in
            ["9223372036854775807", "4294967296", "4294967299", "2147483648", "6442450947", "1099511627779"]
        {
            row.refuses(&[413], get(format!("Content-Length: {length}\r\n")));
            row.refuses(&[413, 405], post(format!("Content-Length: {length}\r\n"), "abc"));
        }
    });
}

#[test]
fn a46_bodies_that_are_too_large() {
    row("A46", "413 before reading", |row| {
        for length in ["1048577", "1048578", "2000000", "1000000000", "0000001048577"] {
            row.refuses(&[413], get(format!("Content-Length: {length}\r\n")));
            row.refuses(&[413], get(format!("Content-Length: {length}\r\nConnection: keep-alive\r\n")));
            // A method that is refused anyway may get that refusal.
            row.refuses(&[405, 413], post(format!("Content-Length: {length}\r\n"), ""));
            row.methods(&["HEAD"]);
            row.refuses(&[413], request("HEAD /ok HTTP/1.1", format!("Content-Length: {length}\r\n"), ""));
            row.methods(&["GET"]);
        }
        for length in ["1048576", "1048575"] {
            row.ends(&[200], get(format!("Content-Length: {length}\r\n")));
        }
        row.refuses(&[413], get("Transfer-Encoding: chunked\r\n\r\n100001\r\n"));
        row.refuses(&[413], get("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n100000\r\nx"));
    });
}

#[test]
fn a47_lengths_with_zeros_and_white_space() {
    row("A47", "served", |row| {
        let zeros = "0".repeat(4_000);
        for length in [
            "3",
            "03",
            "003",
            "0000000000000000000003",
            &format!("{zeros}3"),
            " 3",
            "\t3",
            "3 ",
            "3\t",
            " \t 3 \t ",
            "\t\t003\t\t",
        ] {
            row.serves(&[405], post(format!("Content-Length:{length}\r\n"), "abc"));
            row.serves(&[200], request("GET /ok HTTP/1.1", format!("Content-Length:{length}\r\n"), "abc"));
            row.serves(&[405], post(format!("content-LENGTH: {length}\r\n"), "\r\n\r"));
        }
        for length in ["0", "00", "000", &zeros, " 0 ", "\t0"] {
            row.serves(&[405], post(format!("Content-Length:{length}\r\n"), ""));
            row.serves(&[200], get(format!("Content-Length:{length}\r\n")));
        }
        row.serves(&[405], post("Content-Length: 10\r\n", "0123456789"));
        row.serves(&[405], post("Content-Length: 010\r\n", "0123456789"));
    });
}

#[test]
fn a48_bodies_of_requests_that_need_none() {
    row("A48", "read up to 64 KiB, else close", |row| {
        for (method, status) in
            [("GET", 200), ("HEAD", 200), ("OPTIONS", 204), ("DELETE", 405), ("BREW", 501)]
        {
            row.methods(&[method, "GET"]);
            let first = format!("{method} /ok HTTP/1.1");
            // A body that looks like a request is still a body.
            for body in ["a", "abc", CANARY, "\r\n\r\n", "0\r\n\r\n"] {
                row.serves(&[status], request(&first, format!("Content-Length: {}\r\n", body.len()), body));
                let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                row.serves(&[status], request(&first, "Transfer-Encoding: chunked\r\n", chunk));
            }
            let (most, more) = ("x".repeat(65_536), "x".repeat(65_537));
            row.serves(&[status], request(&first, "Content-Length: 65536\r\n", &most));
            row.ends(&[status], request(&first, "Content-Length: 65537\r\n", &more));
            row.ends(&[status], request(&first, "Content-Length: 65537\r\n", ""));
            let chunked = |body: &str| format!("{:X}\r\n{body}\r\n0\r\n\r\n", body.len());
            row.serves(&[status], request(&first, "Transfer-Encoding: chunked\r\n", chunked(&most)));
            row.ends(&[status], request(&first, "Transfer-Encoding: chunked\r\n", chunked(&more)));
            let chunk = format!("9c40\r\n{}\r\n", "x".repeat(40_000));
            let two = format!("{chunk}{chunk}0\r\n\r\n");
            row.ends(&[status], request(&first, "Transfer-Encoding: chunked\r\n", two));
        }
    });
}

#[test]
fn a49_bodies_that_end_early() {
    row("A49", "no response; 408 and close in time", |row| {
        let sized = post("Content-Length: 9\r\n", "abcdefgh");
        let chunked = post("Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: 1\r\n\r");
        let got = request("GET /ok HTTP/1.1", "Content-Length: 9\r\n", &CANARY.as_bytes()[..8]);
        for request in [sized, chunked, got] {
            for length in 1..=request.len() {
                row.stays_silent(&request[..length]);
            }
            // A client that waits gets a 408, and no response to its request.
            let late = row.core().run_and_wait(&request, Duration::from_secs(10));
            let responses = parse_all(&late.sent, "GET");
            assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), [408]);
            assert!(late.ended && responses[0].closes());
        }
    });
}
