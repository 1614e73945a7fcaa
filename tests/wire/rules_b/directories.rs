//! B21: directories of many names.

use std::cell::RefCell;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::support::rules::holds;
use crate::support::{Folder, Server, with_both_backends};

/// The number of names. `STHENO_HUGE_NAMES=1000000` makes it the directory of the rule.
fn names() -> usize {
    std::env::var("STHENO_HUGE_NAMES").map_or(20_000, |value| value.parse().expect("a number"))
}

/// Makes a directory with `names` names. They are hard links, because these are faster to make than files.
fn fill(directory: &Path, names: usize) {
    fs::create_dir(directory).expect("a folder");
    let mut file = PathBuf::new();
    for n in 0..names {
        let name = directory.join(format!("name-{n:07}"));
        // Most file systems limit the links of a file to some ten thousand.
        if n % 30_000 == 0 {
            fs::write(&name, "").expect("a file");
            file = name;
        } else {
            fs::hard_link(&file, name).expect("a link");
        }
    }
}

/// The resident memory of a process in KiB.
fn resident(pid: i32) -> i64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn first_byte(server: &Server, target: &str) -> Duration {
    let mut client = server.connect();
    let asked = Instant::now();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let mut byte = [0];
    client.stream.read_exact(&mut byte).expect("a byte");
    let first = asked.elapsed();
    client.read_raw_to_end();
    first
}

#[test]
fn b21_a_directory_of_any_size_is_listed_whole() {
    let folder = Folder::new();
    let huge = folder.root().join("huge");
    fill(&huge, 9_999);
    fill(&folder.root().join("endless"), names());
    let measured = RefCell::new(Vec::new());
    with_both_backends(|start| {
        let server = start(&folder.root(), &["--listing"]);
        let mut client = server.connect();
        assert_eq!(client.get("/ok", "").status, 200);
        let before = resident(server.workers[0]);
        let stop = AtomicBool::new(false);
        let (first, longest) = thread::scope(|scope| {
            let other = scope.spawn(|| server.longest_wait(&stop));
            let tries = (0..3).map(|_| first_byte(&server, "/huge/"));
            let first = tries.min().expect("a try");
            stop.store(true, Ordering::Relaxed);
            (first, other.join().expect("the other client"))
        });
        let grown = resident(server.workers[0]) - before;
        let page = client.get("/huge/", "");
        let rows = page.text().matches("<tr><td><a href=\"name-").count();
        assert!(rows == 9_999 && page.text().contains("9,999 files"), "{rows} rows");
        assert_eq!(page.text().matches("<td>     0 B<td>").count(), 9_999, "sizes and times of all");
        let stop = AtomicBool::new(false);
        let (endless, longest_of_endless) = thread::scope(|scope| {
            let other = scope.spawn(|| server.longest_wait(&stop));
            let page = server.connect().get("/endless/", "");
            stop.store(true, Ordering::Relaxed);
            (page, other.join().expect("the other client"))
        });
        assert_eq!(endless.text().matches("<tr><td><a href=\"name-").count(), names());
        let head = client.ask("HEAD /huge/ HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(head.field("Content-Length"), page.field("Content-Length"));
        assert!(grown <= 8 * 1024, "{grown} KiB more");
        // The time of a debug build says nothing about the server.
        if !cfg!(debug_assertions) {
            assert!(first <= Duration::from_millis(100), "first byte after {first:?}");
        }
        let figures = format!(
            "first byte {first:.1?}, longest wait of another client {longest:.1?} ({longest_of_endless:.1?} beside {} \
             names), RSS +{grown} KiB",
            names()
        );
        measured.borrow_mut().push(figures);
    });
    let measured = measured.into_inner().join("; with the fallback: ");
    let build = if cfg!(debug_assertions) { "not optimised" } else { "optimised" };
    holds(
        "B21",
        format_args!("9,999 names, {build}: {measured}"),
        "first byte ≤ 100 ms, stall ≤ 20 ms, RSS +≤ 8 MiB, all rows",
    );
}

/// No listing is cached, also not that of a directory which has not changed for years.
#[test]
fn b21_a_listing_is_never_an_old_one() {
    let folder = Folder::new();
    let long = folder.root().join("long");
    fill(&long, 2_500);
    let settle =
        || fs::File::open(&long).expect("it").set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    settle().expect("an old time");
    let server = Server::start(&folder.root(), &["--listing"]);
    let mut client = server.connect();
    let first = client.get("/long/", "");
    assert!(first.text().contains("2,500 files"), "long");
    assert_eq!(client.get("/long/", "").body, first.body);
    folder.write("long/added", "");
    let second = client.get("/long/", "");
    assert!(second.text().contains("2,501 files") && second.text().contains("\"added\""), "as it is now");
    fs::remove_file(long.join("added")).expect("remove");
    assert_eq!(client.get("/long/", "").body, first.body);
}
