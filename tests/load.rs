//! `examples/stheno_load`: its reports are right, in the closed and in the open model.

#![allow(unreachable_pub, reason = "the parts of one test crate")]

#[allow(dead_code, reason = "each test crate uses a part of it")]
#[path = "support/example.rs"]
mod example;
#[allow(dead_code, reason = "each test crate uses a part of it")]
#[path = "ladder/rung.rs"]
mod rung;

use std::net::TcpListener;
use std::time::Duration;

use rung::{Rung, command, run};
use rustix::process::{Signal, kill_process};

const LOAD: &str = "stheno_load";

/// Every program that these tests start.
fn programs() -> Vec<&'static str> {
    vec![LOAD, "web_singlethread", "web_reactor"]
}

fn url(rung: &Rung) -> String {
    format!("http://{}/", rung.address)
}

/// Runs it to its end, and returns its standard output.
fn load(options: &[&str]) -> String {
    let (code, out, err) = run(LOAD, options);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    out
}

/// The number after a word at the beginning of a line.
fn number(said: &str, word: &str) -> f64 {
    let line = said.lines().find_map(|line| line.trim_start().strip_prefix(word));
    let number = line.and_then(|rest| rest.split([' ', ',', ':']).find(|word| !word.is_empty()));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {word} in {said}"))
}

/// The law: one server of 20 ms gives 50 responses a second to 20 users that would request 90.
#[test]
fn the_closed_model_finds_the_law() {
    let rung = Rung::start("web_singlethread", &["--db", "20"]);
    let options =
        ["--url", &url(&rung), "--users", "20", "--wait", "0.1-0.3", "--time", "3", "--warm-up", "1"];
    // A busy machine gets three tries; none can exceed the law.
    let mut tries = (0..3).map(|_| {
        let said = load(&[&options[..], &["--servers", "1", "--db", "20"]].concat());
        assert!(said.contains("predicted    50.00 requests/s") && !said.contains("failures"), "{said}");
        let rate = number(&said, "rate");
        assert!(rate <= 51.0, "{said}");
        rate
    });
    assert!(tries.any(|rate| rate > 42.5), "15 % less than the law");
    assert!(rung.stop().status.success());
}

/// Equal seeds give equal think times, and with a fast server the same number of requests.
#[test]
fn equal_seeds_give_equal_think_times() {
    let rung = Rung::start("web_reactor", &["--db", "0"]);
    let count = |seed: &str| {
        let url = url(&rung);
        let said = load(&["--url", &url, "--users", "4", "--wait", "0.2-0.3", "--time", "2", "--seed", seed]);
        number(&said, "answers")
    };
    // Each user sends a request every quarter of a second; at the end one response per user may differ.
    assert!((count("7") - count("7")).abs() <= 4.0);
    assert!(rung.stop().status.success());
}

#[test]
fn the_open_model_keeps_its_rate() {
    let rung = Rung::start("web_reactor", &["--db", "5"]);
    let folder = tempfile::tempdir().expect("a folder");
    let lines = folder.path().join("requests.csv");
    let lines = lines.to_str().expect("UTF-8");
    let said = load(&["--url", &url(&rung), "--rate", "100", "--time", "2", "--requests", lines]);
    let answers = number(&said, "answers");
    assert!((150.0..=200.0).contains(&answers) && !said.contains("failures"), "{said}");
    let lines = std::fs::read_to_string(lines).expect("the lines");
    let mut lines = lines.lines();
    assert_eq!(lines.next(), Some("ended,milliseconds,failure,late"));
    let column = |line: &str, place| line.split(',').nth(place).unwrap().parse::<f64>().unwrap();
    let times: Vec<(f64, f64)> = lines.map(|line| (column(line, 1), column(line, 3))).collect();
    assert_eq!(times.len() as f64, answers, "a line for each");
    assert!(times.iter().all(|(time, late)| *time >= late + 5.0), "the database takes 5 ms");
    assert!(rung.stop().status.success());
}

/// A server that is stopped for one of three seconds: a third of the requests are due then, and have to wait.
/// Counted from the time they were sent, only four show the stall, one for each connection.
#[test]
fn omission_is_seen_only_from_when_it_was_due() {
    let rung = Rung::start("web_reactor", &["--db", "2"]);
    let folder = tempfile::tempdir().expect("a folder");
    let table = folder.path().join("percentiles.csv");
    let url = url(&rung);
    let mut asking = command(LOAD);
    asking.args(["--url", &url, "--rate", "200", "--connections", "4", "--time", "3", "--percentiles"]);
    let asking = asking.arg(&table).spawn().expect("the load");
    std::thread::sleep(Duration::from_secs(1));
    kill_process(rung.pid(), Signal::STOP).expect("kill");
    std::thread::sleep(Duration::from_secs(1));
    kill_process(rung.pid(), Signal::CONT).expect("kill");
    assert!(asking.wait_with_output().expect("its end").status.success());
    let text = std::fs::read_to_string(table).expect("the table");
    let row = text.lines().find(|line| line.starts_with("0.9000")).expect("nine of ten");
    let times: Vec<f64> = row.split(',').skip(1).map(|time| time.parse().expect("a number")).collect();
    assert!(times[0] > 300.0, "nine of ten, since due: {row}");
    assert!(times[1] * 2.0 < times[0], "and since sent: {row}");
    assert!(rung.stop().status.success());
}

/// Connections are reused as long as the server keeps them, and then made again; neither is a failure.
#[test]
fn connections_are_kept_as_long_as_the_server_keeps_them() {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    // Three responses for each connection, and then a close without an announcement.
    let server = std::thread::spawn(move || {
        let mut connections = 0;
        while connections < 5 {
            let mut client = listener.accept().expect("a client").0;
            connections += 1;
            for _ in 0..3 {
                let mut request = [0; 1024];
                if client.read(&mut request).is_ok_and(|count| count > 0) {
                    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").expect("a response");
                }
            }
        }
    });
    let said = load(&["--url", &url, "--users", "1", "--wait", "0.01", "--time", "2"]);
    server.join().expect("the server");
    assert!((15.0..=16.0).contains(&number(&said, "answers")), "{said}");
}

#[test]
fn failures_are_counted() {
    let unused = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let said = load(&["--url", &format!("http://{unused}/"), "--users", "2", "--wait", "0", "--time", "1"]);
    assert!(said.contains("refused") && number(&said, "answers") == 0.0, "{said}");
    // There is a pause after each failure, so the count stays small.
    assert!((2.0..=30.0).contains(&number(&said, "failures")), "{said}");
}

#[test]
fn a_bad_word_is_one_clear_line() {
    for (options, code) in [
        (&["--prot", "1"][..], 2),
        (&["--users", "0"], 1),
        (&["--wait", "5-1"], 1),
        (&["--rate", "0"], 1),
        (&["--rate", "10", "--users", "3"], 1),
        (&["--connections", "3"], 1),
        (&["--url", "https://localhost/"], 1),
        (&["--url", "http://localhost:port/"], 1),
        (&["--time", "5", "--warm-up", "5"], 1),
        (&["--servers", "1"], 1),
        (&["--threads", "0"], 1),
    ] {
        let (real, out, err) = run(LOAD, options);
        assert_eq!((real, out.as_str(), err.lines().count()), (code, "", 1), "{options:?}: {err}");
        assert!(err.starts_with("stheno_load: ") && err.contains("stheno_load --help"), "{err}");
    }
}
