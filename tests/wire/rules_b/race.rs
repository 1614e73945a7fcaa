//! B5, B6: renames between the check and the open.
//!
//! A thread swaps a directory with a symlink that leads out of the root, as fast as the kernel allows, while
//! two clients request files behind that name. The control does what many servers have done: it makes the path
//! canonical, checks that it is inside, and then opens it. The control has to leak; otherwise there is no race.
//!
//! `STHENO_RACE_SECONDS=60` makes it a long run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::has_leaked;
use crate::support::folder::SECRET;
use crate::support::rules::holds;
use crate::support::{Folder, Server, with_both_backends};

/// Requests that a client sends at once.
const BATCH: usize = 16;

/// The duration of the test with each backend.
fn duration() -> Duration {
    let seconds = std::env::var("STHENO_RACE_SECONDS").map(|value| value.parse().expect("seconds"));
    Duration::from_secs_f64(seconds.unwrap_or(1.5))
}

/// Makes a folder where `d` and `f` are alternately a directory and a file, and symlinks out of the root.
fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.beside("outside")).expect("a folder");
    fs::write(folder.beside("outside/file"), SECRET).expect("a secret");
    fs::create_dir(folder.root().join("d")).expect("a folder");
    folder.write("d/file", "inside");
    folder.write("f", "inside");
    symlink("../outside", folder.root().join("d2")).expect("a link");
    symlink("../secret", folder.root().join("f2")).expect("a link");
    symlink("../ok", folder.root().join("sub/up")).expect("a link");
    folder
}

fn flip(root: &Path, stop: &AtomicBool) {
    let names = ["d", "d2", "f", "f2"].map(|name| root.join(name));
    while !stop.load(Ordering::Relaxed) {
        for pair in names.chunks(2) {
            renameat_with(CWD, &pair[0], CWD, &pair[1], RenameFlags::EXCHANGE).expect("swap");
        }
    }
}

/// The responses that the clients got.
#[derive(Debug, Default)]
struct Tally {
    served: AtomicU64,
    refused: AtomicU64,
    /// `..` in the target of a link, during renames: the kernel cannot resolve it.
    unavailable: AtomicU64,
    leaked: AtomicU64,
    slowest: AtomicU64,
}

impl Tally {
    fn total(&self) -> u64 {
        [&self.served, &self.refused, &self.unavailable]
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }
}

/// Requests everything that is swapped, and a link with `..` in it, which does not change (B6).
fn ask(server: &Server, until: Instant, tally: &Tally) {
    let targets = ["/d/file", "/d2/file", "/f", "/sub/up"];
    let mut batch = String::new();
    for target in targets.iter().cycle().take(BATCH) {
        batch += &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let mut client = server.connect();
    while Instant::now() < until {
        let asked = Instant::now();
        client.send(&batch);
        for target in targets.iter().cycle().take(BATCH) {
            let response = client.read("GET");
            let (count, allowed) = match response.status {
                200 => (&tally.served, true),
                404 => (&tally.refused, *target != "/sub/up"),
                503 => (&tally.unavailable, true),
                _ => (&tally.refused, false),
            };
            assert!(allowed, "{target}: {}", response.status);
            count.fetch_add(1, Ordering::Relaxed);
            tally.leaked.fetch_add(u64::from(has_leaked(&response.body)), Ordering::Relaxed);
        }
        let micros = u64::try_from(asked.elapsed().as_micros()).expect("a short time");
        tally.slowest.fetch_max(micros, Ordering::Relaxed);
    }
}

#[test]
fn b5_b6_renames_race_with_requests() {
    let tally = Tally::default();
    with_both_backends(|start| {
        let folder = folder();
        let server = start(&folder.root(), &["--log", "critical", "--file-cache", "0"]);
        let stop = AtomicBool::new(false);
        let until = Instant::now() + duration();
        thread::scope(|scope| {
            let flipper = scope.spawn(|| flip(&folder.root(), &stop));
            let clients = [(); 2].map(|()| scope.spawn(|| ask(&server, until, &tally)));
            let answers = clients.map(thread::ScopedJoinHandle::join);
            stop.store(true, Ordering::Relaxed);
            flipper.join().expect("the flipper");
            assert!(answers.iter().all(Result::is_ok), "a client got a response that it must not get");
        });
        assert_eq!(server.connect().get("/sub/up", "").text(), "hello\n", "without renames it is served");
    });
    let (total, leaked) = (tally.total(), tally.leaked.load(Ordering::Relaxed));
    assert_eq!(leaked, 0, "of {total}");
    assert!(
        tally.served.load(Ordering::Relaxed) > 0 && tally.refused.load(Ordering::Relaxed) > 0,
        "{tally:?}"
    );
    let (unavailable, slowest) =
        (tally.unavailable.load(Ordering::Relaxed), tally.slowest.load(Ordering::Relaxed) / 1000);
    holds("B5", format_args!("{total} requests: 0 leaks ({tally:?})"), "0 leaks in ≥ 1,000,000 requests");
    holds(
        "B6",
        format_args!("{total} requests: {unavailable} × 503, 0 hangs, slowest batch of {BATCH} {slowest} ms"),
        "0 hangs",
    );
}

/// Checks, then opens, which a server must not do.
fn canonicalize_then_open(root: &Path, path: &Path) -> Option<Vec<u8>> {
    let canonical: PathBuf = fs::canonicalize(path).ok()?;
    if canonical.starts_with(root) { fs::read(path).ok() } else { None }
}

#[test]
fn b5_the_control_leaks() {
    let folder = folder();
    let root = fs::canonicalize(folder.root()).expect("the root");
    let stop = AtomicBool::new(false);
    let (tries, leaked) = thread::scope(|scope| {
        scope.spawn(|| flip(&root, &stop));
        let enough = Instant::now() + Duration::from_millis(500);
        let at_the_latest = Instant::now() + Duration::from_secs(20);
        let path = root.join("d/file");
        let (mut tries, mut leaked) = (0, 0);
        while Instant::now() < enough || (leaked == 0 && Instant::now() < at_the_latest) {
            tries += 1;
            leaked += u64::from(canonicalize_then_open(&root, &path).is_some_and(|body| has_leaked(&body)));
        }
        stop.store(true, Ordering::Relaxed);
        (tries, leaked)
    });
    assert!(leaked > 0, "{tries} tries and no leak: without a race, B5 proves nothing");
    holds("B5", format_args!("control, canonicalize then open: {leaked} leaks in {tries} tries"), "> 0");
}

/// The control of B6: the kernel returns `EAGAIN` when `..` in a link races with a rename. The server retries,
/// so its responses do not show it.
#[test]
fn b6_the_kernel_does_say_again() {
    use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
    use rustix::io::Errno;
    let folder = folder();
    let root = open(folder.root(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("the root");
    let stop = AtomicBool::new(false);
    let (tries, again) = thread::scope(|scope| {
        scope.spawn(|| flip(&folder.root(), &stop));
        let until = Instant::now() + Duration::from_secs(10);
        let (mut tries, mut again) = (0, 0);
        while again < 3 && Instant::now() < until {
            tries += 1;
            match openat2(&root, "sub/up", OFlags::RDONLY, Mode::empty(), ResolveFlags::BENEATH) {
                Err(Errno::AGAIN) => again += 1,
                Err(Errno::NOSYS | Errno::PERM) => break,
                result => drop(result.expect("the file")),
            }
        }
        stop.store(true, Ordering::Relaxed);
        (tries, again)
    });
    holds("B6", format_args!("control, openat2 without a retry: {again} × EAGAIN in {tries} tries"), "> 0");
}
