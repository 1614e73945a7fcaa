//! SIGUSR1: renamed logs are opened again.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::SECOND;
use crate::support::rules::holds;
use crate::support::server::eventually;
use crate::support::{Client, Folder, Server};

#[test]
fn d12_rotated_logs_lose_no_line() {
    const ROTATIONS: usize = 20;
    const CLIENTS: u64 = 4;
    let folder = Folder::new();
    // A folder of their own, in which confined workers may open them.
    let logs = folder.beside("logs");
    fs::create_dir(&logs).expect("a folder");
    let (access, log) = (logs.join("access.log"), logs.join("stheno.log"));
    let server = {
        let (access, log) = (access.to_str().expect("UTF-8"), log.to_str().expect("UTF-8"));
        Server::start(
            &folder.root(),
            &["-w", "2", "--access-log", access, "--logfile", log, "--log", "debug"],
        )
    };
    let (stop, asked, address) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), server.address());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(client.get(&format!("/ok?{number}"), "").status, 200);
                }
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for rotation in 0..ROTATIONS {
        for path in [&access, &log] {
            fs::rename(path, path.with_extension(rotation.to_string())).expect("a rename");
        }
        let started = Instant::now();
        server.signal(Signal::USR1);
        eventually("both logs exist again, with lines", || {
            [&access, &log].iter().all(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0))
        });
        slowest = slowest.max(started.elapsed());
        let before = asked.load(Ordering::Relaxed);
        eventually("more requests are sent", || asked.load(Ordering::Relaxed) > before + 50);
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("responses"));
    let asked = asked.load(Ordering::Relaxed);
    let files = || {
        let rotated = (0..ROTATIONS).map(|rotation| access.with_extension(rotation.to_string()));
        rotated
            .chain([access.clone()])
            .map(|path| fs::read_to_string(path).expect("a log"))
            .collect::<String>()
    };
    eventually("the last line is written", || files().lines().count() as u64 == asked);
    let mut seen: HashMap<u64, u32> = HashMap::new();
    for line in files().lines() {
        let number = line.split("GET /ok?").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        assert!(
            line.starts_with("127.0.0.1 - - [") && line.ends_with(|last: char| last.is_ascii_digit()),
            "{line}"
        );
        *seen.entry(number.expect("a whole line")).or_default() += 1;
    }
    assert!((0..asked).all(|number| seen.get(&number) == Some(&1)), "each request has one line");
    assert!(slowest < 2 * SECOND, "{slowest:?}");
    holds(
        "D12",
        format!(
            "{ROTATIONS} rotations, {asked} lines: 0 lost, 0 split; the new files after at most {slowest:.1?}"
        ),
        "0, ≤ 100 ms",
    );
}

/// A worker that starts after a rotation writes to the new log.
#[test]
fn the_next_worker_inherits_the_new_log() {
    let folder = Folder::new();
    let access = folder.beside("access.log");
    let server = Server::start(&folder.root(), &["--access-log", access.to_str().expect("UTF-8")]);
    fs::rename(&access, folder.beside("old.log")).expect("a rename");
    server.signal(Signal::USR1);
    eventually("there is a new log", || access.exists());
    crate::support::server::send(server.workers[0], Signal::KILL);
    eventually("the worker is replaced", || {
        server.children().first().is_some_and(|pid| *pid != server.workers[0])
    });
    assert_eq!(server.connect().get("/ok", "").status, 200);
    eventually("its line is in the new log", || {
        fs::read_to_string(&access).is_ok_and(|text| text.contains("/ok"))
    });
}
