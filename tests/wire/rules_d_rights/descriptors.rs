//! RULES D27: the descriptors that a worker holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::support::rules::holds;
use crate::support::server::{eventually, send};
use crate::support::{Folder, Front, Server};

/// The descriptors of a worker that it did not inherit from this test, counted by kind.
fn held(pid: i32) -> BTreeMap<String, usize> {
    let links = |pid: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
        let high = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().parse().is_ok_and(|number: i32| number > 2));
        high.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    };
    let ours = links("self");
    let mut held = BTreeMap::new();
    for link in links(&pid.to_string()).into_iter().filter(|link| !ours.contains(link)) {
        let name = link.to_string_lossy();
        let kind = name.split(':').next().filter(|kind| ["socket", "pipe"].contains(kind));
        *held.entry(kind.unwrap_or(&name).to_string()).or_default() += 1;
    }
    held
}

#[test]
fn d27_a_worker_holds_what_it_needs() {
    if Front::lacks("d27_a_worker_holds_what_it_needs") {
        return;
    }
    for mode in ["exclusive", "reuseport"] {
        check_workers(mode);
    }
    holds(
        "D27",
        "3 listeners, the line to the master, epoll, eventfd, the bells of shared listeners, 3 ends of pipes, 2 logs, the root, 0–2; in 2 accept modes",
        "exactly these",
    );
}

fn check_workers(mode: &str) {
    let folder = Folder::new();
    let place = folder.beside("").canonicalize().expect("a place");
    let name = |name: &str| place.join(name).to_str().expect("UTF-8").to_string();
    let unix = format!("unix:{}", name("s.sock"));
    let (log, access_log) = (name("server.log"), name("access.log"));
    let options =
        ["--listen", "127.0.0.1:0", "--listen", &unix, "--logfile", &log, "--access-log", &access_log];
    let server = Server::start(&folder.root(), &[&options[..], &["-w2", "--accept", mode]].concat());
    let want: BTreeMap<String, usize> = [
        // Two TCP listeners, one of them from --port; one Unix listener; the line to the master.
        ("socket".into(), 4),
        // Both ends of the pipe for its signals, and the end of the one that wakes the master.
        ("pipe".into(), 3),
        ("anon_inode:[eventpoll]".into(), 1),
        // That of the loop, and the bells of listeners that workers share.
        ("anon_inode:[eventfd]".into(), if mode == "exclusive" { 4 } else { 2 }),
        (log.clone(), 1),
        (access_log.clone(), 1),
        (name("root"), 1),
    ]
    .into();
    for worker in &server.workers {
        let (mut last, mut tries) = (BTreeMap::new(), 0);
        eventually("the worker holds these descriptors and no others", || {
            last = held(*worker);
            tries += 1;
            assert!(tries < 1000, "{mode}: {last:?}");
            last == want
        });
        let input = fs::read_link(format!("/proc/{worker}/fd/0")).expect("standard input");
        assert_eq!(input, PathBuf::from("/dev/null"), "not the terminal of the master");
    }
    let before = server.children();
    send(before[0], Signal::KILL);
    eventually("the next worker holds the same", || {
        let now = server.children();
        let next = now.iter().find(|pid| !before.contains(pid));
        next.is_some_and(|pid| held(*pid) == want)
    });
}
