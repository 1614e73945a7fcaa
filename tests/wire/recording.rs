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
    let mut server = Server::start(&folder.root(), &["--record", &file.display().to_string()]);
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
        read(&file).is_some_and(|recording| lives(&recording, "HttpChannel") == (3, 3))
    });
    let mut client = server.connect();
    sent += client.get("/ok", "").body.len();
    assert!(server.stop().success());
    let recording = read(&file).expect("a recording");
    assert_eq!(recording.facts["worker"], "1");
    assert_eq!(recording.facts["pid"], asked[0].to_string());
    assert_eq!(lives(&recording, "HttpChannel"), (4, 4));
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
