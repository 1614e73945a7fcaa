//! RULES A62 to A68: the life of a connection, and what the answers on it look like.

use std::panic::catch_unwind;
use std::time::Duration;

use super::{get, line, post, request, row};
use crate::support::fronts::CANARY;
use crate::support::{Dice, Fronts, Response, parse_all, parse_each, response, rules};

#[test]
fn a62_a_thousand_pipelined_requests() {
    const COUNT: usize = 1_000;
    let fronts = Fronts::new();
    (0..COUNT).for_each(|n| fronts.folder.write(format!("n{n}"), format!("this is {n}")));
    let all: String = (0..COUNT).map(|n| format!("GET /n{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let in_order = |responses: &[Response]| {
        let own = |(n, response): (usize, &Response)| response.text() == format!("this is {n}");
        responses.len() == COUNT && responses.iter().enumerate().all(own)
    };
    let (mut core, mut dice) = (fronts.core(), Dice::new(62));
    assert!(in_order(&parse_all(&core.run([all.as_bytes()]).sent, "GET")));
    for most in [1, 9, 100, 5_000] {
        assert!(
            in_order(&parse_all(&core.run(dice.pieces(all.as_bytes(), most)).sent, "GET")),
            "up to {most}"
        );
    }
    let mut client = fronts.server.connect();
    client.send(&all);
    client.finish();
    assert!(in_order(&client.read_to_end("GET")));
    // A client that reads while it sends, and takes its time.
    let mut client = fronts.server.connect();
    for (number, piece) in dice.pieces(all.as_bytes(), 5_000).into_iter().enumerate() {
        client.send(piece);
        if number % 3 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    client.finish();
    assert!(in_order(&client.read_to_end("GET")));
    rules::holds(
        "A62",
        format_args!("{COUNT}/{COUNT} in order, 7 times over two fronts"),
        "1,000/1,000 in order",
    );
}

/// What is refused, and with what.
const BAD: [(&str, u16); 18] = [
    ("BAD\r\n\r\n", 400),
    ("G\x01T / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET /\r\n\r\n", 400),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", 413),
    ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n", 400),
    ("MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", 400),
    ("\x16\x03\x01\x02\0\x01", 400),
];

#[test]
fn a63_good_bad_good() {
    row("A63", "200 400, FIN, third not run, first complete", |row| {
        for (bad, status) in BAD {
            for (good, answer) in [
                (get(""), 200),
                (line("GET /big HTTP/1.1"), 200),
                (line("GET /none HTTP/1.1"), 404),
                (post("Content-Length: 3\r\n", "abc"), 405),
                (post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), 405),
            ] {
                row.ends(&[answer, status], [&good, bad.as_bytes(), &good].concat());
                row.ends(&[answer, answer, status], [&good, &good, bad.as_bytes(), &good, &good].concat());
            }
            row.refuses(&[status], [bad.as_bytes(), bad.as_bytes(), get("").as_slice()].concat());
        }
    });
}

#[test]
fn a64_bytes_behind_a_close() {
    row("A64", "0 extra responses", |row| {
        let last = [
            (get("Connection: close\r\n"), 200),
            (request("GET /ok HTTP/1.0", "", ""), 200),
            (line("GET /big HTTP/1.0"), 200),
            (post("Connection: x, Close\r\nContent-Length: 3\r\n", "abc"), 405),
            (post("Connection: close\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), 405),
            (get("Content-Length: 70000\r\n"), 200),
        ];
        for (last, status) in &last {
            for (bad, _) in BAD {
                row.ends(&[*status], [last, bad.as_bytes()].concat());
                row.ends(&[200, *status], [&get(""), last, bad.as_bytes(), &get("")].concat());
            }
            for behind in ["", CANARY, "\0", "\r\n", "G", "x"] {
                row.ends(&[*status], [last, behind.as_bytes()].concat());
            }
        }
    });
}

/// A head of 32 KiB, a byte at a time: nothing in it is looked at more often than a few times.
#[test]
fn a66_the_cost_of_a_head_is_linear() {
    const RUNS: u32 = 20;
    let fronts = Fronts::new();
    let mut core = fronts.core();
    let field = format!("X: {}\r\n", "a".repeat(8_000));
    let mut head = format!("GET /ok HTTP/1.1\r\nHost: a\r\n{}", field.repeat(4));
    head += &format!("Y: {}\r\n\r\n", "b".repeat(32 * 1024 - head.len() - 7));
    assert_eq!(head.len(), 32 * 1024);
    let before = cpu_of_this_thread();
    for _ in 0..RUNS {
        let outcome = core.run(head.as_bytes().chunks(1));
        assert_eq!(parse_all(&outcome.sent, "GET")[0].status, 200);
    }
    let milliseconds = (cpu_of_this_thread() - before).as_secs_f64() * 1e3 / f64::from(RUNS);
    // Searched from its beginning each time it would be half a billion bytes: seconds in this build.
    assert!(milliseconds < 100.0, "{milliseconds} ms");
    let build = if cfg!(debug_assertions) { "test" } else { "release" };
    let measured = format!("{milliseconds:.2} ms of CPU for 32,768 writes, {build} build");
    rules::holds("A66", measured, "≤ 10 ms");
}

/// schedstat: the first number is nanoseconds on a CPU (proc(5)).
fn cpu_of_this_thread() -> Duration {
    let numbers = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    Duration::from_nanos(numbers.split_whitespace().next().expect("a number").parse().expect("a number"))
}

/// Every method, every kind of target, every condition, pipelined on one connection: the strict parser reads
/// whatever comes of it.
#[test]
fn a67_answers_are_valid() {
    let fronts = Fronts::new();
    let (mut core, mut requests, mut methods) = (fronts.core(), Vec::new(), Vec::new());
    let conditions = conditions(&fronts);
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        for target in [
            "/",
            "/ok",
            "/big",
            "/sub",
            "/sub/",
            "/none",
            "/ok/",
            "/../x",
            "/.git",
            "/%00",
            "//sub",
            "http://a/ok",
        ] {
            for condition in &conditions {
                methods.push(method);
                requests.push(request(&format!("{method} {target} HTTP/1.1"), condition, ""));
            }
        }
    }
    let mut statuses = std::collections::BTreeSet::new();
    let all = requests.concat();
    for responses in [
        parse_each(&core.run([all.as_slice()]).sent, &methods),
        fronts.over_the_wire(&all, 10_000, false, &methods),
    ] {
        assert_eq!(responses.len(), requests.len());
        statuses.extend(responses.iter().map(|response| response.status));
    }
    // Those that end the connection, and HTTP/1.0.
    for (bad, status) in BAD {
        for (method, bad) in [("GET", bad.to_string()), ("HEAD", bad.replacen("GET ", "HEAD ", 1))] {
            let methods = if bad.starts_with("HEAD ") { [method] } else { ["GET"] };
            for responses in [
                parse_each(&core.run([bad.as_bytes()]).sent, &methods),
                fronts.over_the_wire(bad.as_bytes(), 10_000, true, &methods),
            ] {
                assert_eq!(responses.len(), 1);
                statuses.insert(responses[0].status);
                assert_eq!(responses[0].status, status);
            }
        }
    }
    for (method, request) in methods.iter().zip(&requests).step_by(7) {
        let old = String::from_utf8(request.clone()).expect("text").replace("HTTP/1.1", "HTTP/1.0");
        assert_eq!(parse_each(&core.run([old.as_bytes()]).sent, &[method]).len(), 1);
    }
    assert!(statuses.len() >= 14, "{statuses:?}");
    let all = response::checked();
    let measured = format!("{all} answers of the suite checked by then, 0 violations, statuses {statuses:?}");
    rules::holds("A67", measured, "0 violations in the whole suite");
}

/// Field lines on which answers depend.
fn conditions(fronts: &Fronts) -> Vec<String> {
    let seen = fronts.server.connect().get("/ok", "");
    let (tag, date) = (seen.field("ETag").unwrap_or("\"x\""), seen.field("Last-Modified").expect("a date"));
    vec![
        String::new(),
        format!("If-None-Match: {tag}\r\n"),
        "If-None-Match: *\r\n".into(),
        "If-Match: \"other\"\r\n".into(),
        format!("If-Modified-Since: {date}\r\n"),
        "Range: bytes=0-0\r\n".into(),
        "Range: bytes=-3\r\n".into(),
        "Range: bytes=0-0,2-3\r\n".into(),
        "Range: bytes=1000000-\r\n".into(),
        "Accept-Encoding: gzip, br\r\n".into(),
        "Content-Length: 0\r\n".into(),
    ]
}

/// The parser of the test's side is worth what it refuses.
#[test]
fn a67_the_checker_sees_every_violation() {
    let good = "HTTP/1.1 200 OK\r\nServer: stheno\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\n\
                Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc";
    let see =
        |answer: String, method: &'static str| catch_unwind(move || parse_all(answer.as_bytes(), method));
    assert_eq!(see(good.into(), "GET").expect("valid").len(), 1);
    assert_eq!(see(good.repeat(2), "GET").expect("valid").len(), 2);
    let mut seen = 0;
    for (what, with) in [
        ("HTTP/1.1", "HTTP/1.0"),
        ("HTTP/1.1", "HTTP/1.2"),
        ("HTTP/1.1", "http/1.1"),
        ("200 OK", "200 Ok"),
        ("200 OK", "200"),
        ("200 OK", "200 "),
        ("200 OK", "200  OK"),
        ("200 OK", "0200 OK"),
        ("200 OK", "299 OK"),
        ("200 OK", "100 Continue"),
        ("200 OK", "101 Switching Protocols"),
        ("200 OK", "404 OK"),
        ("OK\r\n", "OK\n"),
        ("OK\r\n", "OK\r"),
        ("OK\r\n", "OK \r\n"),
        ("Server: stheno\r\n", ""),
        ("Server: stheno\r\n", "Server: stheno\n"),
        ("Server: stheno", "Server: a\rb"),
        ("Server: stheno", "Server : stheno"),
        ("Server: stheno", "Server:stheno"),
        ("Server: stheno", "Server: stheno "),
        ("Server: stheno", "Server: stheno\0"),
        ("Server: stheno", "Server: "),
        ("Server: stheno", "Se rver: stheno"),
        ("Server", "S\u{e9}rver"),
        ("Server: stheno\r\n", "Server: stheno\r\n\tx\r\n"),
        ("Sun, 06", "Mon, 06"),
        ("Sun, 06 Nov 1994", "Sunday, 06-Nov-94"),
        ("1994", "94"),
        ("GMT", "UTC"),
        ("06 Nov", "6 Nov"),
        ("Date", "X-Date"),
        ("Connection: keep-alive", "Connection: maybe"),
        ("Connection: keep-alive", "X: y"),
        ("Connection: keep-alive", "Connection: close\r\nConnection: close"),
        ("Content-Length: 3", "Content-Length: 2"),
        ("Content-Length: 3", "Content-Length: 4"),
        ("Content-Length: 3", "Content-Length: +3"),
        ("Content-Length: 3", "Content-Length: 3\r\nContent-Length: 3"),
        ("Content-Length: 3", "Content-Length: 3\r\ncontent-length: 3"),
        ("Content-Length: 3\r\n", ""),
        ("Content-Length: 3", "Content-Length: 3\r\nTransfer-Encoding: chunked"),
        ("Content-Type: text/plain\r\n", ""),
        ("Content-Type: text/plain", "Content-Type: a/b\r\nContent-Type: a/b"),
        ("200 OK", "204 No Content"),
        ("200 OK", "304 Not Modified"),
        ("200 OK", "405 Method Not Allowed"),
        ("200 OK", "416 Range Not Satisfiable"),
        ("200 OK", "206 Partial Content"),
        ("200 OK", "301 Moved Permanently"),
        ("200 OK", "408 Request Timeout"),
        ("200 OK", "505 HTTP Version Not Supported"),
        ("200 OK", "404 Not Found"),
        ("200 OK\r\n", "200 OK\r\nContent-Range: bytes 0-1/2\r\n"),
        ("200 OK\r\n", "200 OK\r\nLocation: /\r\n"),
        ("200 OK\r\n", "206 Partial Content\r\nContent-Range: bytes 2-1/3\r\n"),
        ("200 OK\r\n", "301 Moved Permanently\r\nLocation: //a/\r\n"),
        ("200 OK\r\n", "301 Moved Permanently\r\nLocation: http://a/\r\n"),
        ("200 OK\r\n", "200 OK\r\nLast-Modified: yesterday\r\n"),
        ("200 OK\r\n", "200 OK\r\nX: 1\r\nX: 2\r\n"),
    ] {
        assert!(good.contains(what), "{what:?}");
        assert!(
            see(good.replacen(what, with, 1), "GET").is_err(),
            "{what:?} replaced by {with:?} went unseen"
        );
        seen += 1;
    }
    assert!(see(good.into(), "HEAD").is_err(), "a body behind the answer to HEAD went unseen");
    assert!(see(format!("{good}\r\n"), "GET").is_err(), "bytes behind the answer went unseen");
    assert!(see(good.replace("keep-alive", "close").repeat(2), "GET").is_err(), "an answer behind a close");
    rules::holds(
        "A67",
        format_args!("{} kinds of violation are seen by the checker", seen + 3),
        "all of them",
    );
}

#[test]
fn a68_nothing_is_reflected() {
    let fronts = Fronts::new();
    let mut core = fronts.core();
    let (mut answers, mut redirects) = (0, 0);
    std::fs::create_dir(fronts.folder.root().join("evil <script>\"&\r\nSet-Cookie: x")).expect("a folder");
    std::fs::create_dir(fronts.folder.root().join("evil <script>\"&'%")).expect("a folder");
    for target in [
        "/%0d%0aSet-Cookie:x",
        "/%0D%0ASet-Cookie:%20x",
        "/sub%0d%0aSet-Cookie:x",
        "/sub/%0d%0aSet-Cookie:x",
        "/%0aSet-Cookie:x",
        "/%0dSet-Cookie:x",
        "/sub?%0d%0aSet-Cookie:x",
        "/sub?a=%0aSet-Cookie:x",
        "/sub?\"><script>evil()</script>",
        "/evil%20%3Cscript%3E%22&%0d%0aSet-Cookie:%20x",
        "/evil%20%3Cscript%3E%22%26'%25",
        "/evil%20<script>\"&'%25",
        "/<script>evil()</script>",
        "/none?<script>evil()</script>",
        "/\"onload=\"evil()",
        "/%3Cscript%3Eevil()%3C/script%3E",
        "//evil.com/sub",
        "//evil.com/..",
        "//evil.com/../sub",
        "/%2f/evil.com",
        "/%2fsub",
        "//sub",
        "///sub",
        "/.//sub",
        "/./sub",
        "/sub/..//sub",
        "/\\evil.com",
        "/%5cevil.com",
        "/sub%5c..",
        "/sub;evil",
        "/sub%00",
        "/%e5%98%8a%e5%98%8dSet-Cookie:x",
        "http://evil.com/sub",
        "http://evil.com//evil.com/../sub",
        "http://evil.com/none",
    ] {
        for method in ["GET", "HEAD", "POST", "BREW"] {
            // All that a client can choose, with the same words in it.
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: evil.com\r\nReferer: <script>evil()\r\nX: evil\r\n\r\n"
            );
            let responses = [
                parse_all(&core.run([request.as_bytes()]).sent, method),
                fronts.over_the_wire(request.as_bytes(), 10_000, false, &[method]),
            ];
            for response in responses.iter().flatten() {
                answers += 1;
                redirects += usize::from(response.status == 301);
                let location = response.field("Location").unwrap_or_default();
                let (path, _) = location.split_once('?').unwrap_or((location, ""));
                assert!(!path.contains(['<', '>', '"', '\'', '\\', '&', ' ']), "{target}: {location}");
                let others = response.fields.iter().filter(|(name, _)| name != "Location");
                for text in others.map(|(_, value)| value.as_str()).chain([response.text()]) {
                    assert!(!text.contains("evil") && !text.contains("script"), "{target}: {text}");
                }
                assert!(response.field("Set-Cookie").is_none(), "{target}: {response:?}");
            }
            assert!(responses.iter().all(|responses| responses.len() == 1), "{method} {target}");
        }
    }
    assert!(redirects > 0);
    let measured = format!("{answers} answers, {redirects} of them redirects, 0 reflect anything");
    rules::holds("A68", measured, "0 reflections, 0 injected fields");
}
