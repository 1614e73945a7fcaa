//! The tag of a large file without a date is a hash of its content, which is made in steps.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{content, get, put, set_time, tag};
use crate::support::rules::{holds, not_run};
use crate::support::server::{Stop, eventually, run};
use crate::support::strace::{NO_STRACE, Strace};
use crate::support::{Folder, Front, Response, Server};

const LARGE: u64 = 96 * 1024 * 1024;

const HEAD: &str = "HEAD /huge HTTP/1.1\r\nHost: a\r\n\r\n";

/// A folder with a file without a date, whose last change is so long ago that its tag is strong.
fn folder_with(size: u64) -> Folder {
    let folder = Folder::new();
    folder.write_sparse("huge", size);
    put(&folder, "probe", &content(0, 20_000), 1);
    set_time(&folder.root().join("huge"), 1);
    folder
}

/// Waits until a file that was changed after the large one has a strong tag, without a request for the large one.
fn settle(server: &Server) {
    let mut client = server.connect();
    eventually("a strong tag", || {
        tag(&client.ask("HEAD /probe HTTP/1.1\r\nHost: a\r\n\r\n")).starts_with('"')
    });
}

/// Bytes that a process has read from files, if the system tells.
fn bytes_read(pid: i32) -> Option<u64> {
    let io = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
}

/// Eight clients request a file at once: it is read once, and another client is served meanwhile.
#[test]
fn a_version_is_hashed_once_and_others_are_served_meanwhile() {
    const CLIENTS: usize = 8;
    let folder = folder_with(LARGE);
    let server = Server::start(&folder.root(), &[]);
    settle(&server);
    let before = bytes_read(server.workers[0]);
    let (begun, stop, waiting) = (Instant::now(), AtomicBool::new(false), Barrier::new(CLIENTS));
    let (tags, took, longest) = thread::scope(|scope| {
        let other = scope.spawn(|| server.longest_wait(&stop));
        let _stop = Stop(&stop);
        let ask = || {
            let mut client = server.connect();
            waiting.wait();
            tag(&client.ask(HEAD))
        };
        let asked: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        let tags: Vec<String> = asked.into_iter().map(|client| client.join().expect("a tag")).collect();
        let took = begun.elapsed();
        stop.store(true, Ordering::Relaxed);
        (tags, took, other.join().expect("the other client"))
    });
    assert!(tags.iter().all(|tag| *tag == tags[0] && tag.starts_with('"')), "{tags:?}");
    let again = tag(&server.connect().ask(HEAD));
    assert_eq!(again, tags[0]);
    // A thread of the twin has a table of its own.
    let read = match (before, bytes_read(server.workers[0])) {
        (Some(before), Some(after)) if Front::of_this_crate() != Front::Threads => {
            assert!((LARGE..LARGE * 11 / 10).contains(&(after - before)), "{} bytes", after - before);
            "read once"
        }
        _ => "one tag",
    };
    assert!(longest < took, "nobody was served for {took:?}");
    holds(
        "B29",
        format_args!(
            "96 MiB for 8 clients in {took:.0?}, {read}; longest wait of another client {longest:.1?}"
        ),
        "read once; others are served meanwhile",
    );
}

/// The response that waits for a tag has all that a later one has, which does not wait.
#[test]
fn the_first_response_is_as_the_next_one() {
    let folder = folder_with(0);
    let requests = [
        ("GET", "", 200),
        ("HEAD", "", 200),
        ("GET", "Range: bytes=5-9\r\n", 206),
        ("GET", "Range: bytes=9000000-\r\n", 416),
        ("GET", "If-Match: \"x\"\r\n", 412),
        ("GET", "If-None-Match: *\r\n", 304),
        ("GET", "If-Range: \"x\"\r\nRange: bytes=5-9\r\n", 200),
        ("GET", "Accept-Encoding: br\r\n", 200),
        ("GET", "Accept-Encoding: br\r\nRange: bytes=5-9\r\n", 206),
        ("HEAD", "Accept-Encoding: br\r\nRange: bytes=5-9\r\n", 200),
    ];
    for number in 0..requests.len() {
        for suffix in ["", ".br"] {
            let size = if suffix.is_empty() { 8_000_000 } else { 4_000_000 };
            put(&folder, &format!("file-{number}.css{suffix}"), &content(7, size), 1);
        }
    }
    fs::write(folder.root().join("probe"), content(1, 20_000)).expect("a file");
    set_time(&folder.root().join("probe"), 1);
    let rules = ["--cors", "https://a.example", "--header", "X-Rule: yes", "--cache", "*=no-cache"];
    let server = Server::start(&folder.root(), &[&["--precompressed"][..], &rules].concat());
    settle(&server);
    let before = bytes_read(server.workers[0]);
    for (number, (method, fields, status)) in requests.into_iter().enumerate() {
        let target = format!("/file-{number}.css");
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n{fields}\r\n");
        let [first, next] = std::array::from_fn(|_| {
            let mut response = server.connect().ask(&request);
            response.fields.retain(|(name, _)| name != "Date");
            response
        });
        assert_eq!((first.status, &first), (status, &next), "{request}");
        let names = ["Access-Control-Allow-Origin", "X-Rule"];
        assert!(names.iter().all(|name| first.field(name).is_some()), "{first:?}");
    }
    if let (Some(before), Some(after)) = (before, bytes_read(server.workers[0])) {
        assert!(after - before > 60_000_000, "the first ones were hashed");
    }
}

/// `--explain` shows the tag that a client gets.
#[test]
fn explain_has_the_tag() {
    let folder = folder_with(0);
    let server = Server::start(&folder.root(), &[]);
    settle(&server);
    let tag = tag(&server.connect().ask("HEAD /probe HTTP/1.1\r\nHost: a\r\n\r\n"));
    let root = folder.root();
    let none_match = format!("If-None-Match: {tag}");
    let arguments =
        ["-r", root.to_str().expect("a path"), "--explain", "/probe", "--explain-header", &none_match];
    let (code, text, _) = run(&arguments);
    assert_eq!(code, 0, "{text}");
    for says in
        ["a date of 1970", &format!("ETag: {tag}"), "304 Not Modified", "the copy of the client is current"]
    {
        assert!(text.contains(says), "{says}: {text}");
    }
}

/// Several files are hashed at once, and a client with several requests in one packet gets its responses in order.
#[test]
fn files_take_turns() {
    let folder = folder_with(LARGE);
    for number in 0..6 {
        put(&folder, &format!("file-{number}"), &content(number, 2_000_000), 0);
    }
    let server = Server::start(&folder.root(), &[]);
    let mut client = server.connect();
    let names: Vec<String> = (0..6).map(|number| format!("/file-{number}")).chain(["/huge".into()]).collect();
    eventually("strong tags", || {
        names.iter().for_each(|name| client.send(format!("HEAD {name} HTTP/1.1\r\nHost: a\r\n\r\n")));
        let responses: Vec<Response> = names.iter().map(|_| client.read("HEAD")).collect();
        let lengths: Vec<_> = responses.iter().map(|response| response.field("Content-Length")).collect();
        assert!(lengths[..6].iter().all(|length| *length == Some("2000000")), "{lengths:?}");
        responses.iter().all(|response| tag(response).starts_with('"'))
    });
}

/// A client that leaves while its file is hashed leaves nothing behind, and the next one goes on.
#[test]
fn a_client_that_leaves_is_forgotten() {
    let folder = folder_with(LARGE);
    let mut server = Server::start(&folder.root(), &[]);
    settle(&server);
    for _ in 0..20 {
        let mut client = server.connect();
        client.send(get("/huge", "") + HEAD);
        drop(client);
    }
    assert!(tag(&server.connect().ask(HEAD)).starts_with('"'));
    assert!(server.stop().success());
}

/// A file that cannot be read to its end has no tag and no response but an error; the next request begins where it ended.
#[test]
fn a_file_that_cannot_be_hashed_is_an_error() {
    let folder = folder_with(LARGE);
    let server = Server::start(&folder.root(), &[]);
    settle(&server);
    {
        // The first three look for its type and its ends.
        let Some(_strace) = Strace::inject(server.workers[0], &["pread64:error=EIO:when=20+"]) else {
            return not_run("B27", NO_STRACE);
        };
        let response = server.connect().get("/huge", "");
        assert_eq!((response.status, response.field("ETag")), (500, None));
        server.wait_for("cannot serve huge: ");
    }
    assert!(tag(&server.connect().ask(HEAD)).starts_with('"'));
    holds("B27", "pread EIO while a file is hashed: 500 and a line", "as said");
}

/// A drain waits for a response whose tag is being made.
#[test]
fn a_drain_waits_for_the_tag() {
    let folder = folder_with(8 * LARGE);
    let mut server = Server::start(&folder.root(), &[]);
    settle(&server);
    let mut client = server.connect();
    // The first response shows that the connection is accepted.
    assert_eq!(client.get("/ok", "").status, 200);
    client.send(HEAD);
    server.signal(Signal::TERM);
    server.wait_for("Shutting down");
    let response = client.read("HEAD");
    assert!(response.status == 200 && tag(&response).starts_with('"'));
    drop(client);
    assert!(server.wait().success());
}

/// A file that is larger than is hashed has the tag of its machine, at once.
#[test]
fn a_file_that_is_too_large_has_the_tag_of_its_machine() {
    let folder = folder_with(1024 * 1024 * 1024 + 1);
    let server = Server::start(&folder.root(), &[]);
    settle(&server);
    let (before, response) = (bytes_read(server.workers[0]), server.connect().ask(HEAD));
    assert_eq!(tag(&response).matches('-').count(), 2, "time, size and inode: {response:?}");
    assert_eq!(response.field("Last-Modified"), None);
    if let (Some(before), Some(after)) = (before, bytes_read(server.workers[0])) {
        assert!(after - before < 1_000_000, "{} bytes were read", after - before);
    }
}

/// A file is changed again and again while it is hashed, in place and by a rename. Each strong tag is that of a whole version:
/// none is that of a mixture.
#[test]
fn a_change_while_it_is_hashed_is_seen() {
    const LENGTH: usize = 40_000_000;
    let folder = Folder::new();
    let versions: Vec<Vec<u8>> = (0..3).map(|version| content(version, LENGTH)).collect();
    for (version, bytes) in versions.iter().enumerate() {
        put(&folder, &format!("version-{version}"), bytes, 1);
    }
    put(&folder, "huge", &versions[0], 1);
    put(&folder, "probe", &content(0, 20_000), 1);
    let server = Server::start(&folder.root(), &[]);
    settle(&server);
    let mut client = server.connect();
    let known: Vec<String> = (0..versions.len())
        .map(|version| tag(&client.ask(&format!("HEAD /version-{version} HTTP/1.1\r\nHost: a\r\n\r\n"))))
        .collect();
    assert!(known.iter().all(|tag| tag.starts_with('"')), "{known:?}");
    let (path, stop) = (folder.root().join("huge"), AtomicBool::new(false));
    let change = |round: usize| {
        let bytes = &versions[round % versions.len()];
        if round.is_multiple_of(2) {
            put(&folder, "new", bytes, 1);
            fs::rename(folder.root().join("new"), &path).expect("a rename");
        } else {
            let mut file = fs::File::options().write(true).open(&path).expect("it");
            bytes.chunks(1_000_000).for_each(|piece| file.write_all(piece).expect("a write"));
            set_time(&path, 1);
        }
    };
    let (mut strong, mut weak) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                change(round);
                // Longer than a fresh change makes a tag weak, so that hashing begins, and mostly not until its end.
                thread::sleep(Duration::from_millis(50 + round as u64 % 4 * 3));
            }
        });
        let (_stop, begun) = (Stop(&stop), Instant::now());
        while begun.elapsed() < Duration::from_secs(3) {
            let response = client.ask(HEAD);
            // While it is written it has a date, and after a pause of the writer a tag of that.
            if response.status == 503 || response.field("Last-Modified").is_some() {
                continue;
            }
            let tag = tag(&response);
            let is_known = known.contains(&tag);
            assert!(is_known || tag.starts_with("W/"), "{tag} is that of a mixture");
            (strong, weak) = (strong + u32::from(is_known), weak + u32::from(!is_known));
        }
    });
    assert!(strong + weak >= 10, "{strong} strong tags, {weak} weak ones");
}
