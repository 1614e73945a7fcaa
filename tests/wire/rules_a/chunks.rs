//! RULES A50 to A61: Transfer-Encoding and chunks.

use super::{bytes, bytes_but, get, is_tchar, post, request, row};

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
        for coding in [
            "gzip",
            "GZIP",
            "x-gzip",
            "deflate",
            "compress",
            "br",
            "zstd",
            "identity",
            "xchunked",
            "chunkedx",
            "chunke",
            "hunked",
            "chunked2",
            "x-chunked",
            "chunked.",
            "chunked-",
            "gzip, chunked",
            "gzip,chunked",
            "deflate, gzip",
            "gzip, deflate, chunked",
            "identity, chunked",
            "x, chunked",
            "xchunked, chunked",
            "cow",
            "7bit",
            "chunked'",
        ] {
            row.refuses(&[501], post(format!("Transfer-Encoding: {coding}\r\n"), BODY));
            row.refuses(&[501], request("GET /ok HTTP/1.1", format!("transfer-encoding:{coding}\r\n"), BODY));
        }
    });
}

#[test]
fn a53_chunked_is_not_once_and_last() {
    row("A53", "400 (501 for identity), 0 canaries", |row| {
        for coding in [
            "chunked, identity",
            "chunked,identity",
            "chunked, gzip",
            "chunked, chunked",
            "chunked,chunked",
            "chunked , chunked",
            "Chunked, CHUNKED",
            "gzip, chunked, chunked",
            "chunked, gzip, chunked",
            "chunked, x, identity",
            "identity, chunked, identity",
            "chunked\t,\tgzip",
            "chunked, chunked, chunked",
        ] {
            row.refuses(&[400], post(format!("Transfer-Encoding: {coding}\r\n"), BODY));
            row.refuses(&[400], get(format!("Transfer-Encoding: {coding}\r\n")));
        }
        for (first, second) in [
            ("chunked", "chunked"),
            ("chunked", "identity"),
            ("identity", "chunked"),
            ("gzip", "chunked"),
            ("chunked", "gzip"),
            ("chunked", ""),
            ("", "chunked"),
            ("x", "y"),
            ("chunked", "x"),
            ("identity", "identity"),
        ] {
            for name in ["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"] {
                row.refuses(
                    &[400],
                    post(format!("Transfer-Encoding: {first}\r\n{name}: {second}\r\n"), BODY),
                );
                row.refuses(
                    &[400],
                    post(format!("{name}: {first}\r\nX: 1\r\nTransfer-Encoding: {second}\r\n"), BODY),
                );
            }
        }
        row.refuses(&[400, 501], post("Transfer-Encoding: identity\r\n", BODY));
        // Chunked once and last, in any case and with white space around it, is chunked.
        for coding in [
            "chunked",
            "CHUNKED",
            "Chunked",
            "cHUNKED",
            " chunked",
            "chunked ",
            "\tchunked\t",
            "  chunked \t ",
        ] {
            row.serves(&[405], post(format!("Transfer-Encoding:{coding}\r\n"), BODY));
            row.serves(&[200], request("GET /ok HTTP/1.1", format!("TRANSFER-encoding: {coding}\r\n"), BODY));
        }
    });
}

#[test]
fn a54_codings_that_are_malformed() {
    row("A54", "400 or 501, 0 canaries", |row| {
        for coding in [
            "",
            " ",
            "\t",
            ",",
            ",,",
            ", chunked",
            ",chunked",
            "chunked,",
            "chunked ,",
            "chunked, ,",
            ",,chunked",
            "gzip,,chunked",
            "chunked;a=b",
            "chunked;",
            "chunked; a",
            "chunked ;a=b",
            "gzip;q=1, chunked",
            "\"chunked\"",
            "'chunked'",
            "(chunked)",
            "[chunked]",
            "<chunked>",
            "chunked chunked",
            "gzip chunked",
            "chun ked",
            "chun\tked",
            "chunked=1",
            "=chunked",
            "chunked:",
            ":chunked",
            "chunked/1",
            "chunked\\",
            "\\chunked",
            "chunked\"",
            "@chunked",
            "{chunked}",
            "chunked()",
            "\u{a0}chunked",
            "chunked\u{a0}",
            "\u{85}chunked",
            "chunked\u{2003}",
            "\u{feff}chunked",
            "\u{212a}chunked",
            "chun\u{212a}ed",
            "\x0bchunked",
            "chunked\x0b",
            "\x0cchunked",
            "chunked\x0c",
            "\0chunked",
            "chunked\0",
            "chunked\x1f",
            "\x1fchunked",
            "chunked\x7f",
            "chunked, \x0b",
            "\"gzip, chunked\"",
            "gzip; chunked",
        ] {
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
        for size in [
            "",
            " ",
            "\t",
            " 3",
            "3 ",
            "\t3",
            "3\t",
            "+3",
            "-3",
            "-0",
            "+0",
            "--3",
            "0x3",
            "0X3",
            "0x",
            "x3",
            "3x",
            "3h",
            "\\x3",
            "#3",
            "$3",
            "1_0",
            "_3",
            "3_",
            "3.0",
            "3.",
            ".3",
            "3,",
            "3,3",
            "3 3",
            "g",
            "G",
            "3g",
            "\"3\"",
            "'3'",
            "(3)",
            "3:",
            "=3",
            "3=",
            "3/",
            "3&",
            "3%",
            "%33",
            "INVALID!!!",
            "three",
            "\u{ff13}",
            "\u{663}",
            "\u{b2}",
            "3\u{a0}",
            "\u{feff}3",
            "3\0",
            "\x003",
            "3\x0b",
            "\x0b3",
            "3\x7f",
            "NaN",
            "00000000000000003",
            "000000000000000000000000000000003",
            "10000000000000003",
            "ffffffffffffffff3",
            "8000000000000000",
            "8000000000000003",
            "ffffffffffffffff",
            "FFFFFFFFFFFFFFFF",
            "fffffffffffffffd",
            "ffffffffffffffff0",
            "100000000000000000000000000000003",
        ] {
            row.refuses(&[400], chunked(format!("{size}\r\nabc\r\n0\r\n\r\n")));
            row.refuses(&[400], chunked(format!("1\r\na\r\n{size}\r\nabc\r\n0\r\n\r\n")));
            row.refuses(&[400], chunked(format!("{size}\r\n\r\n")));
        }
        row.refuses(&[400], chunked(format!("{}3\r\nabc\r\n0\r\n\r\n", "0".repeat(8_000))));
        for byte in bytes_but(|byte| byte.is_ascii_hexdigit() || byte == b';') {
            row.refuses(&[400], chunked(bytes(&[b"3", &[byte], b"\r\nabc\r\n0\r\n\r\n"])));
            row.refuses(&[400], chunked(bytes(&[&[byte], b"3\r\nabc\r\n0\r\n\r\n"])));
        }
        for size in [
            "10001",
            "fffff",
            "100000",
            "100001",
            "7fffffff",
            "80000000",
            "ffffffff",
            "100000003",
            "7fffffffffffffff",
        ] {
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
            // It is refused where it stands, whether or not anything follows.
            row.refuses(&[400], chunked(format!("{before}\n")));
            row.refuses(&[400], chunked(format!("{before}\r")));
        }
        for at in 0..body.len() {
            // Inside of the data a CR is data, but makes it longer than it is said to be.
            row.refuses(&[400], chunked(format!("{}\r{}", &body[..at], &body[at..])));
            let with_lf = chunked(format!("{}\n{}", &body[..at], &body[at..]));
            // Behind the last CR it ends the body, and the LF behind it begins nothing.
            if at + 1 < body.len() { row.refuses(&[400], with_lf) } else { row.ends(&[405, 400], with_lf) }
        }
        row.refuses(&[400], chunked(body.replace("\r\n", "\n")));
        row.refuses(&[400], chunked(body.replace("\r\n", "\r")));
    });
}

#[test]
fn a57_data_that_ends_elsewhere() {
    row("A57", "400, 0 canaries", |row| {
        for body in [
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabcd0\r\n\r\n",
            "3\r\nabc0\r\n\r\n",
            "3\r\nabcXX0\r\n\r\n",
            "3\r\nabc \r\n0\r\n\r\n",
            "3\r\nabc\r0\r\n\r\n",
            "3\r\nabc\r\r\n0\r\n\r\n",
            "2\r\nabc\r\n0\r\n\r\n",
            "1\r\nabc\r\n0\r\n\r\n",
            "4\r\nabc\r\n0\r\n\r\n",
            "5\r\nabc\r\n0\r\n\r\n",
            "6\r\nabc\r\n0\r\n\r\n",
            "3\r\nabc\r\n\r\n0\r\n\r\n",
            "3\r\n\r\nabc\r\n0\r\n\r\n",
            "3\r\nabc\r\n\r\n",
            "3\r\nabc\r\n;\r\n0\r\n\r\n",
            "3\r\nabc;0\r\n\r\n",
            "0\r\nXX",
            "0\r\nX",
            "0\r\n \r\n",
            "0\r\n\t\r\n",
            "0\r\n0\r\n\r\n",
            "0\r\n3\r\nabc\r\n0\r\n\r\n",
            "0\r\n\rX",
            "0XX\r\n\r\n",
            "0\r\nGET /canary HTTP/1.1\r\nHost: a\r\n\r\n",
            "0\r\n",
            "0\r\n\0\r\n",
            "0\r\nabc\r\n\r\n",
            "0",
            "3\r\nab",
            "3",
        ] {
            row.refuses(&[400], chunked(body));
        }
    });
}

#[test]
fn a58_chunk_extensions() {
    row("A58", "malformed 400, well-formed ignored", |row| {
        for extension in [
            ";",
            ";;",
            ";a;",
            ";;a",
            ";=",
            ";=b",
            ";a=",
            ";a==b",
            ";a=b=c",
            ";a=b c",
            ";a b",
            "; ",
            ";a=;b",
            ";a=\"",
            ";a=\"b",
            ";a=b\"",
            ";a=\"b\"c",
            ";a=\"b\"\"c\"",
            ";\"a\"",
            ";\"a\"=b",
            ";a=\"\\",
            ";a=\"\\\"",
            ";a=b,c",
            ",a",
            "a=b;",
            ";a/b",
            ";a:b",
            ";(a)",
            ";a=(b)",
            ";[a]",
            ";a@b",
            ";{a}",
            ";a\\b",
            ";a=b\\",
            ";<a>",
            ";?",
            ";a=?",
            ";\u{e4}",
            ";a=\u{e4}",
            ";a\rb",
            ";a\nb",
            ";a\0",
            ";\0",
            ";a=\0",
            ";a=\"\0\"",
            ";a=\"\r\"",
            ";a=\"\n\"",
            ";a=\"\r\n\"",
            ";a=\"b\r\nc\"",
            ";a\x0b",
            ";a\x7f",
            ";a=\"\x7f\"",
            ";a=\"\\\0\"",
            ";a=\"\\\r\"",
            ";a=\"\\\n\"",
            ";a\r\n b",
            ";a=\r\n\tb",
            ";a=b;\r",
            ";a;b;c;",
            "\0;a",
        ] {
            row.refuses(&[400], chunked(format!("3{extension}\r\nabc\r\n0\r\n\r\n")));
            row.refuses(&[400], chunked(format!("3\r\nabc\r\n0{extension}\r\n\r\n")));
        }
        for extension in [
            ";a",
            ";a=b",
            ";a;b",
            ";a=b;c=d;e",
            ";a=\"\"",
            ";a=\"b\"",
            ";a=\"b c\"",
            ";a=\"b;c=d\"",
            ";a=\"\\\"\"",
            ";a=\"\\\\\"",
            ";a=\"\\b\"",
            ";a=\"b\tc\"",
            ";a=\"\u{e4}\"",
            ";a=\"\\\u{e4}\"",
            ";!#$%&'*+-.^_`|~=1",
            ";3",
            ";3=3",
            ";0x3",
            ";a=\"3\";b",
            ";chunked",
            ";a=\"()<>@,;:/[]?={}\"",
            ";a;a;a;a",
            ";a=\"b\";c=\"d\"",
        ] {
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
        // In all of a body's chunks together.
        let chunk = |length: usize| format!("1{}\r\nx\r\n", extension(length));
        row.serves(&[405], chunked(format!("{}0\r\n\r\n", chunk(64).repeat(64))));
        row.refuses(&[400], chunked(format!("{}0;a\r\n\r\n", chunk(64).repeat(64))));
        row.refuses(&[400], chunked(format!("{}0\r\n\r\n", chunk(2).repeat(2_049))));
        // Twenty bytes of framing for each of content, for long enough.
        let wasteful = "0000000000000001\r\nx\r\n";
        row.serves(&[405], chunked(format!("{}0\r\n\r\n", wasteful.repeat(4_900))));
        row.refuses(&[400], chunked(format!("{}0\r\n\r\n", wasteful.repeat(5_100))));
        // Five are what the smallest chunks cost.
        row.serves(&[405], chunked(format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(20_100))));
    });
}

#[test]
fn a60_trailers() {
    row("A60", "strict, ≤ 8 KiB and 50 fields, else 400", |row| {
        let with = |trailer: &[u8]| chunked(bytes(&[b"3\r\nabc\r\n0\r\n", trailer, b"\r\n"]));
        for trailer in [
            "",
            "X: 1\r\n",
            "X:1\r\nY:\r\n",
            "x-t: \t1\t \r\n",
            "X: \u{e4}\r\n",
            "Connection: close\r\n",
            "!#$: 1\r\n",
            "X: a:b\r\n",
        ] {
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
        for trailer in [
            "X T",
            "X",
            ":",
            ": 1",
            "X : 1",
            "X\t: 1",
            " X: 1",
            "\tX: 1",
            "X: 1\r\n Y",
            "X: 1\r\n\tY: 2",
            "X: 1\r\n \r\nY: 1",
            "X: a\0b",
            "X: a\rb",
            "X: a\nb",
            "X: a\x01b",
            "X: \x7f",
            "X\0: 1",
            "\0",
            "X[]: 1",
            "\u{e4}: 1",
            "X: 1\r",
            "X: 1\n",
            "X: 1\r\nY",
            "=",
            "a=b",
            "GET /canary HTTP/1.1",
            "GET http://a/canary HTTP/1.1",
            "0",
            "3\r\nabc",
        ] {
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
fn a61_a_request_behind_a_bad_chunk() {
    row("A61", "one 400, 0 canaries", |row| {
        for bad in [
            "INVALID!!!\r\n",
            "z\r\n",
            "3\r\nabcd\r\n",
            "3 \r\n",
            "-1\r\n",
            "\r\n",
            "3;\r\nabc\r\n",
            "3\nabc\n0\n\n",
            "0\r\n:\r\n",
        ] {
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
                row.ends(&[200, 400], [get(""), request(bad)].concat());
            }
        }
        row.methods(&["HEAD"]);
        row.refuses(&[400], request("HEAD /ok HTTP/1.1", "Transfer-Encoding: chunked\r\n", "z\r\n"));
    });
}
