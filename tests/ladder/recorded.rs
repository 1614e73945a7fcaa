//! `--record`: the file of each rung is a true account of one conversation; and the mistakes of these options.

use std::path::Path;

use stheno::recording::{Kind, Record, Recording};

use crate::loops::{LOOPS, converse};
use crate::rung::run;
use crate::{echo, web};

/// Reads the file of a recording.
pub fn read(file: &Path) -> Recording {
    Recording::parse(&std::fs::read(file).expect("the file")).expect("a recording")
}

fn of_kind(recording: &Recording, kind: Kind) -> impl Iterator<Item = &Record> {
    recording.records.iter().filter(move |record| record.kind == kind)
}

#[test]
fn each_recording_is_a_true_account() {
    let place = tempfile::tempdir().expect("a temporary folder");
    for rungs_loop in LOOPS {
        let (name, file) = (rungs_loop.name, place.path().join(rungs_loop.name));
        let told = converse(rungs_loop, &["--record", file.to_str().expect("UTF-8")]);
        let recording = read(&file);
        assert_eq!(recording.facts["program"], name);
        assert!(recording.source.starts_with("//! - New here: "), "{name}");
        // A hook that panics does not say what it has read.
        let sent = if name == "async_server_step1" { 0 } else { told.sent };
        for (kind, word, wanted) in [(Kind::Read, "read", sent), (Kind::Write, "written", told.received)] {
            let sum: u64 = of_kind(&recording, kind).map(|record| record.b).sum();
            assert_eq!((sum, recording.totals[word]), (wanted, wanted), "{name}: bytes {word}");
        }
        let turns = of_kind(&recording, Kind::Turn).count() as u64;
        assert_eq!(recording.totals["turns"], turns, "{name}");
        every_enter_has_its_exit(name, &recording);
        every_client_is_closed(name, &recording, &std::fs::read(&file).expect("the file"));
    }
}

fn every_enter_has_its_exit(name: &str, recording: &Recording) {
    let mut hooks: Vec<(u64, u16)> = Vec::new();
    for record in &recording.records {
        match record.kind {
            Kind::Enter => hooks.push((record.key, record.name)),
            Kind::Exit => assert_eq!(hooks.pop(), Some((record.key, record.name)), "{name}: {record:?}"),
            Kind::Wait | Kind::Turn => assert_eq!(hooks, [], "{name}: {record:?}"),
            _ => {}
        }
    }
    assert_eq!(hooks, [], "{name}");
    assert!(of_kind(recording, Kind::Enter).count() >= 6, "{name} tells of no hooks");
}

/// What is not closed at the end is in the head, and is no client.
fn every_client_is_closed(name: &str, recording: &Recording, file: &[u8]) {
    let closed = |key: u64| of_kind(recording, Kind::Close).filter(|record| record.key == key).count();
    let is_client = |new: &Record| {
        let mut peers = of_kind(recording, Kind::Peer);
        peers.any(|peer| peer.key == new.key)
    };
    let new: Vec<&Record> = of_kind(recording, Kind::New).collect();
    let clients: Vec<&&Record> = new.iter().filter(|new| is_client(new)).collect();
    // The sockets of a runtime's tasks are not seen by `accept` of the loop below them.
    assert_eq!(clients.len(), if name == "web_futures" { 0 } else { 2 }, "{name}");
    for client in clients {
        // A descriptor is used again: as many closes as there were clients.
        let same = new.iter().filter(|other| other.key == client.key).count();
        assert_eq!(closed(client.key), same, "{name}: {client:?}");
    }
    let end = file.windows(2).position(|two| two == b"\n\n").expect("a head");
    let head = std::str::from_utf8(&file[..end]).expect("UTF-8");
    let open = head.lines().filter(|line| line.starts_with("channel ")).count();
    assert_eq!(new.len() - of_kind(recording, Kind::Close).count(), open, "{name}: {head}");
}

#[test]
fn a_mistake_in_these_options_is_one_clear_line() {
    for name in LOOPS.iter().map(|rungs_loop| rungs_loop.name) {
        for (options, code, said) in [
            (&["--port", "0", "--record", "/nonexistent/x"][..], 1, "/nonexistent/x"),
            (&["--record"], 2, "--record"),
            (&["--record-when-turn-exceeds", "x"], 2, "milliseconds"),
            (&["--record-when-turn-exceeds", "5"], 2, "give --record"),
        ] {
            let (got, out, err) = run(name, options);
            assert_eq!((got, out.as_str(), err.lines().count()), (code, "", 1), "{name} {options:?}: {err}");
            assert!(err.starts_with(&format!("{name}: ")) && err.contains(said), "{err}");
        }
    }
}

/// Rungs without a loop have no such options.
#[test]
fn help_shows_them_where_there_is_a_loop() {
    for name in echo::RUNGS.iter().copied().chain(web::rungs()).chain(["web_cpubound", "async_server_step3"])
    {
        let has_loop = LOOPS.iter().any(|rungs_loop| rungs_loop.name == name);
        let (_, help, _) = run(name, &["--help"]);
        for option in ["--loop", "--record ", "--record-when-turn-exceeds", "--step"] {
            assert_eq!(help.contains(option), has_loop, "{name} {option}: {help}");
        }
        if !has_loop {
            let (code, _, err) = run(name, &["--loop"]);
            assert!(code == 2 && err.contains("--loop"), "{name}: {err}");
        }
    }
}
