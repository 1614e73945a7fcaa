//! B13 to B17, B20: files and roots that change while they are served.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::Asker;
use crate::support::rules::holds;
use crate::support::server::{Stop, eventually};
use crate::support::{Client, Folder, Front, Response, Server, parse_all, with_both_backends};

/// More than any socket buffers.
const LARGE: usize = 20 << 20;

/// Runs `test` with both backends, each without the file cache and with it; `later` waits until cached lookups
/// have expired.
fn in_every_way(test: impl Fn(&dyn Fn(&Path) -> Server, &dyn Fn())) {
    for (seconds, validity) in [("0", Duration::ZERO), ("0.05", Duration::from_millis(50))] {
        let later = || thread::sleep(validity * 2);
        with_both_backends(|start| test(&|root| start(root, &["--file-cache", seconds]), &later));
    }
}

/// Requests a file that does not fit into the socket, and another one after it, and reads a little.
fn begin_download(server: &Server, target: &str) -> (Client, Vec<u8>) {
    let mut client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut received = vec![0; 10_000];
    client.stream.read_exact(&mut received).expect("the beginning");
    (client, received)
}

fn finish_download(mut client: Client, mut received: Vec<u8>) -> Vec<Response> {
    client.finish();
    received.extend(client.read_raw_to_end());
    parse_all(&received, "GET")
}

#[test]
fn b13_a_file_that_is_cut_ends_the_connection() {
    let lengths = [0, 1024];
    in_every_way(|start, later| {
        let folder = Folder::new();
        let server = start(&folder.root());
        for length in lengths {
            folder.write("large", vec![b'A'; LARGE]);
            later();
            let (mut client, mut received) = begin_download(&server, "/large");
            let file = OpenOptions::new().write(true).open(folder.root().join("large")).expect("the file");
            file.set_len(length).expect("cut");
            // The close may arrive as a reset, because the server had unread input.
            let mut rest = Vec::new();
            let _ = client.stream.read_to_end(&mut rest);
            received.extend(rest);
            let body = memchr::memmem::find(&received, b"\r\n\r\n").expect("a head") + 4;
            assert!(received.len() - body < LARGE, "cut to {length}: all of it came");
            // The pages that sendfile has queued are the file's own, so the truncation zeroes them in flight.
            // Any other byte would be padding, or another response.
            let other = received[body..].iter().position(|byte| ![b'A', 0].contains(byte));
            assert_eq!(other, None, "cut to {length}: nothing but the file");
            assert_eq!(server.connect().get("/ok", "").status, 200);
            later();
            assert_eq!(server.connect().get("/large", "").body.len() as u64, length);
        }
    });
    let count = lengths.len() * 4;
    holds(
        "B13",
        format_args!("{count} cuts while sending: {count} closed early, 0 padded, 0 responses inside"),
        "closed early",
    );
    holds("B17", format_args!("{count} cuts of a file that is being sent: 0 dead workers"), "0");
}

/// RULES B17: reading a mapped file after its truncation would kill the process.
#[test]
fn b17_no_file_is_mapped() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut sources = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source");
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            // Anonymous memory may be mapped, and the filter of system calls names the call.
            let maps =
                |line: &str| line.replace("mmap_anonymous", "").replace("SYS_mmap ", "").contains("mmap");
            assert!(!code.into_iter().any(maps), "{}", path.display());
            sources += 1;
        }
    }
    assert!(sources > 30);
    holds("B17", format_args!("{sources} source files: 0 map anything"), "0");
}

#[test]
fn b14_a_file_that_grows_has_the_length_it_had() {
    in_every_way(|start, _| {
        let folder = Folder::new();
        folder.write("large", vec![b'A'; LARGE]);
        let server = start(&folder.root());
        let (client, received) = begin_download(&server, "/large");
        let mut file = OpenOptions::new().append(true).open(folder.root().join("large")).expect("the file");
        file.write_all(&vec![b'B'; 1 << 20]).expect("grow");
        let responses = finish_download(client, received);
        assert!(responses[0].body == vec![b'A'; LARGE], "the length of the head, and no byte more");
        assert_eq!(responses[1].text(), "hello\n");
    });
    holds(
        "B14",
        "20 MiB, 1 MiB appended while sending × both backends × file cache off and on: exactly 20 MiB",
        "exactly Content-Length bytes",
    );
}

#[test]
fn b15_a_file_that_is_replaced_is_sent_to_its_end() {
    in_every_way(|start, later| {
        let folder = Folder::new();
        folder.write("large", vec![b'A'; LARGE]);
        let server = start(&folder.root());
        let (client, received) = begin_download(&server, "/large");
        folder.write("new", vec![b'B'; LARGE]);
        fs::rename(folder.root().join("new"), folder.root().join("large")).expect("replace");
        later();
        let new = server.connect().get("/large", "");
        let responses = finish_download(client, received);
        assert!(responses[0].body == vec![b'A'; LARGE], "the old content, complete");
        assert_eq!(responses[1].text(), "hello\n");
        assert!(new.body == vec![b'B'; LARGE], "the new content, complete");
        assert_ne!(new.field("ETag"), responses[0].field("ETag"));
    });
    holds(
        "B15",
        "old and new content complete × both backends × file cache off and on: 0 mixed bytes; new ETag",
        "0 mixed bytes; new ETag",
    );
}

/// Swaps two names until `stop`, and counts the swaps.
fn swap(one: &Path, other: &Path, stop: &AtomicBool, swaps: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).expect("swap");
        swaps.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn b16_head_and_body_are_of_one_file() {
    const SWAPS: u64 = 50_000;
    const PATIENCE: Duration = Duration::from_secs(2);
    let (swapped, asked) = (AtomicU64::new(0), AtomicU64::new(0));
    in_every_way(|start, _| {
        let folder = Folder::new();
        // A small file that is sent with its head, and a large one that is sent by sendfile.
        let contents = [vec![b'A'; 3_000], vec![b'B'; 50_000]];
        let names = ["x", "y"].map(|name| folder.root().join(name));
        folder.write("x", &contents[0]);
        folder.write("y", &contents[1]);
        let server = start(&folder.root());
        let mut client = server.connect();
        let tags =
            ["/x", "/y"].map(|target| client.get(target, "").field("ETag").expect("a tag").to_string());
        assert_ne!(tags[0], tags[1]);
        let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| swap(&names[0], &names[1], &stop, &swaps));
            let _stop = Stop(&stop);
            let until = Instant::now() + PATIENCE;
            while swaps.load(Ordering::Relaxed) < SWAPS && Instant::now() < until {
                let response = client.get("/x", "");
                let tag = response.field("ETag").expect("a tag");
                let which = usize::from(tag == tags[1]);
                assert_eq!(tag, tags[which]);
                assert!(response.body == contents[which], "the tag of one and the content of the other");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        swapped.fetch_add(swaps.load(Ordering::Relaxed), Ordering::Relaxed);
    });
    let (swapped, asked) = (swapped.into_inner(), asked.into_inner());
    assert!(swapped > 1000 && asked > 100, "{swapped} swaps and {asked} responses prove nothing");
    holds("B16", format_args!("{swapped} swaps, {asked} responses: 0 mix two files"), "0 in 100,000 swaps");
}

/// The root is what has its path, at each request.
#[test]
fn b20_a_root_that_is_moved_or_removed() {
    with_both_backends(|start| {
        let folder = Folder::new();
        // The root is a link, which a deployment switches.
        let current = folder.beside("current");
        symlink("root", &current).expect("a link");
        let server = start(&current, &["--listing", "--file-cache", "60", "--sandbox", "off"]);
        let mut asker = Asker::new(&server);
        assert_eq!(asker.get("/ok").text(), "hello\n");
        let next = folder.beside("next");
        fs::create_dir(&next).expect("another");
        fs::write(next.join("ok"), "next\n").expect("a file");
        symlink("next", folder.beside("new")).expect("a link");
        fs::rename(folder.beside("new"), &current).expect("switch");
        assert_eq!(asker.get("/ok").text(), "next\n", "switched");
        assert!(asker.get("/").text().contains("1 file"), "its listing");

        fs::rename(&next, folder.beside("moved")).expect("move");
        for target in ["/ok", "/", "/sub/", "/sub"] {
            assert_eq!(asker.get(target).status, 404, "moved: {target}");
        }
        fs::create_dir(&next).expect("another");
        assert_eq!(asker.get("/ok").status, 404, "the name belongs to another directory now");
        assert!(asker.get("/").text().contains("Nothing here"));
        fs::write(next.join("ok"), "other\n").expect("a file");
        assert_eq!(asker.get("/ok").text(), "other\n");
        fs::remove_dir_all(&next).expect("remove");
        assert_eq!([asker.get("/ok").status, asker.get("/").status], [404, 404], "removed");
        fs::create_dir(&next).expect("built again");
        fs::write(next.join("ok"), "again\n").expect("a file");
        assert_eq!(asker.get("/ok").text(), "again\n");
    });
    holds(
        "B20",
        "root switched, moved, removed, made again × both backends: the next request sees it, 0 crashes",
        "seen, no crash",
    );
}

/// A worker in its jail cannot open another root; it has the master start workers that can, without a request, too.
#[test]
fn b20_new_workers_for_a_new_root() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["-w", "2"]);
    let get = || {
        let response = server.connect().get("/ok", "");
        (response.status, response.text().to_string())
    };
    assert_eq!(get(), (200, "hello\n".into()));
    fs::rename(folder.root(), folder.beside("moved")).expect("a rename");
    assert_eq!(get().0, 404);
    fs::create_dir(folder.root()).expect("another");
    folder.write("ok", "new\n");
    eventually("new workers serve the new root", || get() == (200, "new\n".into()));
    server.wait_for("another directory has the path of the root");
    // The old one has a file that the new one lacks, and the new one a file that the old one lacks.
    fs::rename(folder.root(), folder.beside("moved-2")).expect("a rename");
    fs::create_dir(folder.root()).expect("another");
    folder.write("added", "added\n");
    eventually("a missing file is missing", || get().0 == 404);
    eventually("an added file is there", || {
        let response = server.connect().get("/added", "");
        assert!([200, 503].contains(&response.status), "not found, and it is there: {}", response.status);
        response.status == 200
    });
    holds("B20", "a root made again under workers in their jail: new workers serve it", "seen");
}

#[test]
fn b20_a_new_root_is_seen_without_requests() {
    if Front::lacks("b20_a_new_root_is_seen_without_requests") {
        return;
    }
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &[]);
    fs::rename(folder.root(), folder.beside("moved")).expect("a rename");
    fs::create_dir(folder.root()).expect("another");
    folder.write("ok", "new\n");
    server.wait_for("has been read again");
    eventually("the new root is served", || server.connect().get("/ok", "").text() == "new\n");
}
