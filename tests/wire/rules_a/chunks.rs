//! RULES A50 to A61: Transfer-Encoding and chunks.

use super::{bytes, bytes_but, cases, get, is_tchar, post, request, row};

const BODY: &str = "3\r\nabc\r\n0\r\n\r\n";

fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", body)
}

#[test]
fn a50_both_framings() {
    row("A50", "400, 0 canaries", |row| {
        for coding in ["chunked", "CHUNKED", "identity", "gzip", "gzip, chunked", "", "x", "chunked, chunked"]
        {
            for length in ["0", "3", "5", "13", "100", "+3", "", "3, 3"] {
                let (te, cl) =
                    (format!("Transfer-Encoding: {coding}\r\n"), format!("Content-Length: {length}\r\n"));
                for fields in [format!("{te}{cl}"), format!("{cl}{te}"), format!("{cl}X: 1\r\n{te}")] {
                    row.refuses(&[400], post(fields, BODY));
                }
                row.refuses(&[400], request("GET /ok HTTP/1.1", format!("{te}{cl}"), BODY));
                row.refuses(&[400], request("POST /ok HTTP/1.0", format!("{cl}{te}"), BODY));
            }
        }
    });
}

#[test]
fn a51_transfer_encoding_in_http_1_0() {
    row("A51", "400, 0 canaries", |row| {
        for coding in ["chunked", "Chunked", "identity", "gzip", "gzip, chunked", "", "x"] {
            for more in [
                "",
                "Connection: keep-alive\r\n",
                "Connection: close\r\n",
                "Connection: Transfer-Encoding\r\n",
            ] {
                for first in ["POST /ok HTTP/1.0", "GET /ok HTTP/1.0", "OPTIONS * HTTP/1.0"] {
                    row.refuses(
                        &[400],
                        request(first, format!("Transfer-Encoding: {coding}\r\n{more}"), BODY),
                    );
                }
            }
        }
    });
}

#[test]
fn a52_unknown_codings() {
    row("A52", "501, 0 canaries", |row| {
        for coding in cases("A52 codings") {
            row.refuses(&[501], post(format!("Transfer-Encoding: {coding}\r\n"), BODY));
            row.refuses(&[501], request("GET /ok HTTP/1.1", format!("transfer-encoding:{coding}\r\n"), BODY));
        }
    });
}

#[test]
fn a53_chunked_twice_or_not_last() {
    row("A53", "400, or 501 where chunked is last and once; 0 canaries", |row| {
        for coding in cases("A53 malformed") {
            row.refuses(&[400], post(format!("Transfer-Encoding: {coding}\r\n"), BODY));
            row.refuses(&[400], get(format!("Transfer-Encoding: {coding}\r\n")));
        }
        // Two lines are one list (RFC 9110 §5.3): each pair is refused as it is on one line.
        for (first, second, status) in [
            ("chunked", "chunked", 400),
            ("chunked", "identity", 400),
            ("chunked", "gzip", 400),
            ("chunked", "", 400),
            ("", "chunked", 400),
            ("chunked", "x", 400),
            ("gzip", "chunked, chunked", 400),
            ("gzip, chunked", "gzip", 400),
            ("gzip;q=1", "chunked", 400),
            ("gzip", "\"chunked\"", 400),
            ("identity", "chunked", 501),
            ("gzip", "chunked", 501),
            ("gzip, deflate", "chunked", 501),
            ("gzip", "deflate, Chunked", 501),
            ("x", "y", 501),
            ("identity", "identity", 501),
        ] {
            row.refuses(&[status], post(format!("Transfer-Encoding: {first}, {second}\r\n"), BODY));
            for name in ["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"] {
                row.refuses(
                    &[status],
                    post(format!("Transfer-Encoding: {first}\r\n{name}: {second}\r\n"), BODY),
                );
                row.refuses(
                    &[status],
                    post(format!("{name}: {first}\r\nX: 1\r\nTransfer-Encoding: {second}\r\n"), BODY),
                );
                // Neither a length nor HTTP/1.0 makes any of them acceptable.
                let fields =
                    format!("{name}: {first}\r\nContent-Length: 5\r\nTransfer-Encoding: {second}\r\n");
                row.refuses(&[400], post(fields, BODY));
                let fields = format!("{name}: {first}\r\nTransfer-Encoding: {second}\r\n");
                row.refuses(&[400], request("POST /ok HTTP/1.0", fields, BODY));
            }
        }
        row.refuses(&[400, 501], post("Transfer-Encoding: identity\r\n", BODY));
        // Valid: chunked is the last coding and occurs once, in any case and with white space around it.
        for coding in cases("A53 chunked") {
            row.serves(&[405], post(format!("Transfer-Encoding:{coding}\r\n"), BODY));
            row.serves(&[200], request("GET /ok HTTP/1.1", format!("TRANSFER-encoding: {coding}\r\n"), BODY));
        }
    });
}

#[test]
fn a54_malformed_codings() {
    row("A54", "400 or 501, 0 canaries", |row| {
        for coding in cases("A54 codings") {
            row.refuses(&[400, 501], post(format!("Transfer-Encoding: {coding}\r\n"), BODY));
            row.refuses(&[400, 501], get(format!("Transfer-Encoding: {coding}\r\n")));
        }
        for byte in bytes_but(|byte| b" \t".contains(&byte)) {
            row.refuses(&[400, 501], post(bytes(&[b"Transfer-Encoding: chunked", &[byte], b"\r\n"]), BODY));
            row.refuses(&[400, 501], post(bytes(&[b"Transfer-Encoding: ", &[byte], b"chunked\r\n"]), BODY));
        }
        for byte in bytes_but(|_| false) {
            row.refuses(&[400, 501], post(bytes(&[b"Transfer-Encoding: chun", &[byte], b"ked\r\n"]), BODY));
        }
    });
}

#[test]
fn a55_chunk_sizes() {
    row("A55", "400 (413 if merely too large), 0 canaries", |row| {
        for size in cases("A55 sizes") {
            row.refuses(&[400], chunked(format!("{size}\r\nabc\r\n0\r\n\r\n")));
            row.refuses(&[400], chunked(format!("1\r\na\r\n{size}\r\nabc\r\n0\r\n\r\n")));
            row.refuses(&[400], chunked(format!("{size}\r\n\r\n")));
        }
        row.refuses(&[400], chunked(format!("{}3\r\nabc\r\n0\r\n\r\n", "0".repeat(8_000))));
        for byte in bytes_but(|byte| byte.is_ascii_hexdigit() || byte == b';') {
            row.refuses(&[400], chunked(bytes(&[b"3", &[byte], b"\r\nabc\r\n0\r\n\r\n"])));
            row.refuses(&[400], chunked(bytes(&[&[byte], b"3\r\nabc\r\n0\r\n\r\n"])));
        }
        for size in cases("A55 large") {
            row.refuses(&[413, 405], chunked(format!("{size}\r\nabc\r\n0\r\n\r\n")));
            row.refuses(&[413, 405], chunked(format!("3\r\nabc\r\n{size};x=y\r\nabc\r\n0\r\n\r\n")));
        }
        let ten = "0123456789";
        for size in ["a", "A", "0a", "0A", "00000a", "000000000000000a", "000000000000000A"] {
            for end in ["0", "00", "0000000000000000"] {
                row.serves(&[405], chunked(format!("{size}\r\n{ten}\r\n{end}\r\n\r\n")));
            }
        }
        row.serves(&[405], chunked("1f\r\n0123456789abcdef0123456789abcde\r\n0\r\n\r\n"));
        row.serves(&[405], chunked("0\r\n\r\n"));
    });
}

#[test]
fn a56_bare_line_ends_between_chunks() {
    row("A56", "400, 0 canaries", |row| {
        let body = "3;a=b\r\nabc\r\n1\r\nd\r\n0;x\r\nT: 1\r\n\r\n";
        let ends: Vec<usize> = body.match_indices("\r\n").map(|(at, _)| at).collect();
        for at in &ends {
            let (before, behind) = (&body[..*at], &body[at + 2..]);
            for instead in [
                "\n", "\r", "\n\r", "\r\r\n", "\n\r\n", "\n\n", "\r\r", "", " \n", "\r \n", "\0\r\n",
                "\x0b\r\n",
            ] {
                row.refuses(&[400], chunked(format!("{before}{instead}{behind}")));
            }
            // It is refused at this position, with or without more input.
            row.refuses(&[400], chunked(format!("{before}\n")));
            row.refuses(&[400], chunked(format!("{before}\r")));
        }
        for at in 0..body.len() {
            // A CR within the data counts as data, but makes it longer than its size says.
            row.refuses(&[400], chunked(format!("{}\r{}", &body[..at], &body[at..])));
            let with_lf = chunked(format!("{}\n{}", &body[..at], &body[at..]));
            // An LF after the last CR ends the body; the LF that follows it starts a malformed request.
            if at + 1 < body.len() { row.refuses(&[400], with_lf) } else { row.ends(&[405, 400], with_lf) }
        }
        row.refuses(&[400], chunked(body.replace("\r\n", "\n")));
        row.refuses(&[400], chunked(body.replace("\r\n", "\r")));
    });
}

#[test]
fn a57_chunk_data_of_the_wrong_length() {
    row("A57", "400, 0 canaries", |row| {
        for body in cases("A57 bodies") {
            row.refuses(&[400], chunked(body));
        }
    });
}

#[test]
fn a58_chunk_extensions() {
    row("A58", "malformed 400, well-formed ignored", |row| {
        for extension in cases("A58 malformed") {
            row.refuses(&[400], chunked(format!("3{extension}\r\nabc\r\n0\r\n\r\n")));
            row.refuses(&[400], chunked(format!("3\r\nabc\r\n0{extension}\r\n\r\n")));
        }
        for extension in cases("A58 well-formed") {
            row.serves(&[405], chunked(format!("3{extension}\r\nabc\r\n0\r\n\r\n")));
            row.serves(&[405], chunked(format!("3\r\nabc\r\n0{extension}\r\n\r\n")));
        }
        for byte in bytes_but(|byte| is_tchar(byte) || b";=".contains(&byte)) {
            row.refuses(&[400], chunked(bytes(&[b"3;a", &[byte], b"b\r\nabc\r\n0\r\n\r\n"])));
            row.refuses(&[400], chunked(bytes(&[b"3;a=b", &[byte], b"c\r\nabc\r\n0\r\n\r\n"])));
        }
        for byte in bytes_but(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
            row.refuses(&[400], chunked(bytes(&[b"3;a=\"b", &[byte], b"c\"\r\nabc\r\n0\r\n\r\n"])));
            row.refuses(&[400], chunked(bytes(&[b"3;a=\"b\\", &[byte], b"c\"\r\nabc\r\n0\r\n\r\n"])));
        }
    });
}

#[test]
fn a59_extensions_and_overhead_are_bounded() {
    row("A59", "4096 bytes of extensions served, 4097 400; overhead 400", |row| {
        let extension = |length: usize| format!(";{}", "a".repeat(length - 1));
        for length in [4_000, 4_095, 4_096] {
            row.serves(&[405], chunked(format!("3{}\r\nabc\r\n0\r\n\r\n", extension(length))));
            row.serves(&[405], chunked(format!("3\r\nabc\r\n0{}\r\n\r\n", extension(length))));
        }
        for length in [4_097, 4_098, 4_112, 4_113, 5_000, 100_000] {
            row.refuses(&[400], chunked(format!("3{}\r\nabc\r\n0\r\n\r\n", extension(length))));
            row.refuses(&[400], chunked(format!("3{}", extension(length))));
        }
        // The limit holds for all chunks of a body together.
        let chunk = |length: usize| format!("1{}\r\nx\r\n", extension(length));
        row.serves(&[405], chunked(format!("{}0\r\n\r\n", chunk(64).repeat(64))));
        row.refuses(&[400], chunked(format!("{}0;a\r\n\r\n", chunk(64).repeat(64))));
        row.refuses(&[400], chunked(format!("{}0\r\n\r\n", chunk(2).repeat(2_049))));
        // Twenty bytes of framing for each byte of content, in many chunks.
        let wasteful = "0000000000000001\r\nx\r\n";
        row.serves(&[405], chunked(format!("{}0\r\n\r\n", wasteful.repeat(4_900))));
        row.refuses(&[400], chunked(format!("{}0\r\n\r\n", wasteful.repeat(5_100))));
        // The smallest chunks cost five bytes of framing each.
        row.serves(&[405], chunked(format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(20_100))));
    });
}

#[test]
fn a60_trailers() {
    row("A60", "strict, ≤ 8 KiB and 50 fields, else 400", |row| {
        let with = |trailer: &[u8]| chunked(bytes(&[b"3\r\nabc\r\n0\r\n", trailer, b"\r\n"]));
        for trailer in cases("A60 trailers") {
            row.serves(&[405], with(trailer.as_bytes()));
        }
        for name in ["Host", "Content-Length", "Transfer-Encoding", "Trailer", "Authorization"] {
            for name in [name.to_string(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
                for value in ["3", "chunked", "", "a"] {
                    row.refuses(&[400], with(format!("{name}: {value}\r\n").as_bytes()));
                    row.refuses(&[400], with(format!("X: 1\r\n{name}:{value}\r\nY: 2\r\n").as_bytes()));
                }
            }
        }
        for trailer in cases("A60 malformed") {
            row.refuses(&[400], with(format!("{trailer}\r\n").as_bytes()));
        }
        for byte in bytes_but(|byte| is_tchar(byte) || byte == b':') {
            row.refuses(&[400], with(&bytes(&[b"X", &[byte], b": 1\r\n"])));
        }
        for byte in bytes_but(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
            row.refuses(&[400], with(&bytes(&[b"X: a", &[byte], b"b\r\n"])));
        }
        for count in [49, 50] {
            row.serves(&[405], with("X: 1\r\n".repeat(count).as_bytes()));
        }
        for count in [51, 52, 500] {
            row.refuses(&[400], with("X: 1\r\n".repeat(count).as_bytes()));
        }
        let line = |length: usize| format!("X: {}\r\n", "a".repeat(length - 5));
        for trailer in [line(8_191), line(8_192), line(4_096).repeat(2), line(4_000) + &line(4_192)] {
            row.serves(&[405], with(trailer.as_bytes()));
        }
        for trailer in [
            line(8_193),
            line(8_194),
            line(9_000),
            line(70_000),
            line(4_096) + &line(4_097),
            line(4_096).repeat(3),
        ] {
            row.refuses(&[400], with(trailer.as_bytes()));
        }
        row.refuses(&[400], chunked(format!("0\r\nX: {}", "a".repeat(9_000))));
    });
}

#[test]
fn a61_a_request_after_a_bad_chunk() {
    row("A61", "one 400, 0 canaries", |row| {
        for bad in cases("A61 bodies") {
            for first in [
                "POST /ok HTTP/1.1",
                "GET /ok HTTP/1.1",
                "PUT / HTTP/1.1",
                "OPTIONS * HTTP/1.1",
                "BREW / HTTP/1.1",
            ] {
                let request = |body: &str| request(first, "Transfer-Encoding: chunked\r\n", body);
                for good in ["", "3\r\nabc\r\n", "1\r\na\r\n1\r\na\r\n"] {
                    row.refuses(&[400], request(&format!("{good}{bad}")));
                }
                row.ends(&[200, 400], [get(""), request(&bad)].concat());
            }
        }
        row.methods(&["HEAD"]);
        row.refuses(&[400], request("HEAD /ok HTTP/1.1", "Transfer-Encoding: chunked\r\n", "z\r\n"));
    });
}
