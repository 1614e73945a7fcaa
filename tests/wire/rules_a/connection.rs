//! RULES A62 to A68: the life of a connection, and the responses on it.

use std::panic::catch_unwind;
use std::time::Duration;

use super::{cases, get, line, pairs, post, request, row};
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
    // A slow client, which sends and reads in turn.
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
        format_args!("{COUNT}/{COUNT} in order, 7 times over both fronts"),
        "1,000/1,000 in order",
    );
}

/// Refused requests, with their statuses.
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
fn a64_bytes_after_a_close() {
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

/// A head of 32 KiB that arrives byte by byte: each byte is examined at most a few times.
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
    // A search from the start each time would examine half a billion bytes: seconds in this build.
    assert!(milliseconds < 100.0, "{milliseconds} ms");
    let build = if cfg!(debug_assertions) { "test" } else { "release" };
    let measured = format!("{milliseconds:.2} ms of CPU for 32,768 writes, {build} build");
    rules::holds("A66", measured, "≤ 10 ms");
}

/// The first number of schedstat is nanoseconds on a CPU (proc(5)).
fn cpu_of_this_thread() -> Duration {
    let numbers = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    Duration::from_nanos(numbers.split_whitespace().next().expect("a number").parse().expect("a number"))
}

/// All methods, targets and conditions, pipelined on one connection: the strict parser accepts every response.
#[test]
fn a67_answers_are_valid() {
    let fronts = Fronts::new();
    let (mut core, mut requests, mut methods) = (fronts.core(), Vec::new(), Vec::new());
    let conditions = conditions(&fronts);
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        for target in cases("A67 targets") {
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
    // Requests that end the connection, and HTTP/1.0.
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
    let measured =
        format!("{all} responses of the suite checked so far, 0 violations, statuses {statuses:?}");
    rules::holds("A67", measured, "0 violations in the whole suite");
}

/// Field lines that affect the response.
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

/// The strict parser of the tests refuses every violation.
#[test]
fn a67_the_checker_sees_every_violation() {
    let good = "HTTP/1.1 200 OK\r\nServer: stheno\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\n\
                Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc";
    let see =
        |answer: String, method: &'static str| catch_unwind(move || parse_all(answer.as_bytes(), method));
    assert_eq!(see(good.into(), "GET").expect("valid").len(), 1);
    assert_eq!(see(good.repeat(2), "GET").expect("valid").len(), 2);
    let mut seen = 0;
    for (what, with) in pairs("A67 violations") {
        assert!(good.contains(&what), "{what:?}");
        assert!(
            see(good.replacen(&what, &with, 1), "GET").is_err(),
            "{what:?} replaced by {with:?} is accepted"
        );
        seen += 1;
    }
    assert!(see(good.into(), "HEAD").is_err(), "a body after the response to HEAD is accepted");
    assert!(see(format!("{good}\r\n"), "GET").is_err(), "bytes after the response are accepted");
    assert!(
        see(good.replace("keep-alive", "close").repeat(2), "GET").is_err(),
        "a response after a close is accepted"
    );
    rules::holds(
        "A67",
        format_args!("the strict parser refuses {} kinds of violation", seen + 3),
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
    for target in cases("A68 targets") {
        for method in ["GET", "HEAD", "POST", "BREW"] {
            // Everything that a client can choose contains the same words.
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
    let measured = format!("{answers} responses, {redirects} of them redirects, 0 reflect anything");
    rules::holds("A68", measured, "0 reflections, 0 injected fields");
}
