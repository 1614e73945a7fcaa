//! `--record`: a worker in its sandbox writes what its loop did.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use stheno::recording::{Kind, Record, Recording};

use crate::support::server::{eventually, run, send};
use crate::support::{Folder, Server};

fn read(path: &Path) -> Option<Recording> {
    Recording::parse(&fs::read(path).ok()?).ok()
}

/// The number of channels of this type that have come and gone.
fn lives(recording: &Recording, name: &str) -> (usize, usize) {
    let named = |record: &&Record| recording.type_name(record.key) == name;
    let count = |kind| recording.records.iter().filter(|record| record.kind == kind).filter(named).count();
    (count(Kind::New), count(Kind::Close))
}

#[test]
fn a_worker_writes_its_recording_at_sigusr1_and_at_its_end() {
    let folder = Folder::new();
    let file = folder.beside("loop.rec");
    let log = folder.beside("access.log");
    let (record, access_log) = (file.display().to_string(), log.display().to_string());
    let mut server = Server::start(&folder.root(), &["--record", &record, "--access-log", &access_log]);
    assert_eq!(server.connect().get("/none", "").status, 404);
    let mut sent = 0;
    for _ in 0..3 {
        let mut client = server.connect();
        sent += client.get("/ok", "").body.len();
        client.finish();
        client.read_raw_to_end();
    }
    let asked = server.children();
    send(asked[0], Signal::USR1);
    eventually("the recording is written", || {
        read(&file).is_some_and(|recording| lives(&recording, "HttpChannel") == (4, 4))
    });
    let mut client = server.connect();
    sent += client.get("/ok", "").body.len();
    assert!(server.stop().success());
    let recording = read(&file).expect("a recording");
    assert_eq!(recording.facts["worker"], "1");
    assert_eq!(recording.facts["pid"], asked[0].to_string());
    assert_eq!(lives(&recording, "HttpChannel"), (5, 5));
    responses_are_those_of_the_log(&recording, &fs::read_to_string(&log).expect("a log"));
    assert!(recording.totals["written"] > sent as u64, "heads and bodies");
    assert!(recording.totals["read"] > 0 && recording.totals["turns"] > 0);
    let events = recording.records.iter().filter(|record| record.kind == Kind::Event).count();
    assert!(events > 0);
}

#[test]
fn each_of_several_workers_has_a_file() {
    let folder = Folder::new();
    let file = folder.beside("loop.rec").display().to_string();
    let mut server = Server::start(&folder.root(), &["--record", &file, "-w", "3"]);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert!(server.stop().success());
    assert!(!Path::new(&file).exists());
    let responses: u64 = (1..=3)
        .map(|number| {
            let recording = read(Path::new(&format!("{file}.{number}"))).expect("a recording");
            assert_eq!(recording.facts["worker"], number.to_string());
            recording.totals["written"]
        })
        .sum();
    assert!(responses > 0);
}

#[test]
fn what_cannot_be_recorded_is_one_line() {
    let folder = Folder::new();
    let root = folder.root().display().to_string();
    let file = folder.beside("x.rec").display().to_string();
    for (options, says) in [
        (&["--record", "/nonexistent/x.rec"][..], "cannot write the recording /nonexistent/x.rec"),
        (&["--record-when-turn-exceeds", "50"], "give the file as well, with --record"),
        (&["--record", &file, "--record-when-turn-exceeds", "0"], "give a number from 1 to"),
    ] {
        let words = [&["--port", "0", "-r", &root], options].concat();
        let (code, _, error) = run(&words);
        assert!(code != 0 && error.contains(says) && error.trim_end().lines().count() == 1, "{error}");
    }
}

/// What a process has got from its calls of this name, by the report of strace(1): the number of calls, and their sum.
fn traced(report: &str, pid: i32, call: &str) -> (u64, u64) {
    let of_it = |line: &&str| {
        let Some((process, rest)) = line.split_once(' ') else { return false };
        let rest = rest.trim_start();
        process == pid.to_string()
            && (rest.starts_with(&format!("{call}(")) || rest.starts_with(&format!("<... {call} resumed>")))
    };
    let result = |line: &str| line.rsplit_once(" = ")?.1.split(' ').next()?.parse::<i64>().ok();
    let results: Vec<i64> = report.lines().filter(of_it).filter_map(result).collect();
    (results.len() as u64, results.iter().map(|result| u64::try_from(*result).unwrap_or(0)).sum())
}

/// The figures of a recording are those of the kernel.
#[test]
#[cfg(target_os = "linux")]
fn a_recording_agrees_with_strace() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 3_000_000]);
    let (file, traces) = (folder.beside("loop.rec"), folder.beside("strace.txt"));
    let options = ["--record", &file.display().to_string()];
    let what = "trace=recvfrom,sendto,sendfile,writev,epoll_wait,epoll_pwait";
    let server = Server::start_traced(&folder.root(), &options, what, &traces);
    let mut server = server.expect("strace(1), which this test needs");
    let mut requests = 0;
    for target in ["/ok", "/large", "/nothing-here", "/sub/"] {
        let mut client = server.connect();
        for _ in 0..5 {
            assert!(client.get(target, "").status > 0);
            requests += 1;
        }
        client.finish();
        client.read_raw_to_end();
    }
    let worker = server.workers[0];
    assert!(server.stop().success());
    // The tracer is a process of its own, which may write a moment longer.
    eventually("the report is complete", || {
        let is_end = |line: &str| line.starts_with(&format!("{worker} ")) && line.contains("+++ exited");
        fs::read_to_string(&traces).is_ok_and(|report| report.lines().any(is_end))
    });
    let report = fs::read_to_string(&traces).expect("the report");
    let recording = read(&file).expect("a recording");
    let of = |call: &str| traced(&report, worker, call);
    let written: u64 = ["sendto", "sendfile", "writev"].iter().map(|call| of(call).1).sum();
    assert!(of("recvfrom").0 > requests && written > 15_000_000, "{report}");
    assert_eq!(recording.totals["read"], of("recvfrom").1, "bytes read");
    assert_eq!(recording.totals["written"], written, "bytes written");
    assert_eq!(recording.totals["turns"], of("epoll_wait").0 + of("epoll_pwait").0, "turns");
    // Where the ring has all of it, so do its records.
    let sum = |kind| {
        recording.records.iter().filter(|record| record.kind == kind).map(|record| record.b).sum::<u64>()
    };
    assert_eq!((sum(Kind::Read), sum(Kind::Write)), (recording.totals["read"], recording.totals["written"]));
}

/// One record for each line, with its status and its bytes.
fn responses_are_those_of_the_log(recording: &Recording, log: &str) {
    let recorded: Vec<(u32, u64)> = recording
        .records
        .iter()
        .filter(|record| record.kind == Kind::Response)
        .map(|record| (record.a, record.b))
        .collect();
    let logged: Vec<(u32, u64)> = log
        .lines()
        .map(|line| {
            let mut words = line.rsplit("HTTP/1.1\" ").next().expect("a status").split(' ');
            let mut number = || words.next().expect("a number").parse::<u64>().expect("a number");
            (u32::try_from(number()).expect("a status"), number())
        })
        .collect();
    assert_eq!(recorded, logged);
    assert_eq!(recording.totals["responses"], recorded.len() as u64);
    assert_eq!(recorded.len(), 5);
}
