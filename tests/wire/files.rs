//! The file service: paths, kinds of files, conditions, ranges, files that change while they are sent.
//!
//! What depends on system calls runs twice: with the system's fast calls, and with their twins.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::Instant;

use crate::support::folder::SECRET;
use crate::support::{Client, Folder, Response, Server, with_both_twins};

fn server() -> (Folder, Server) {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &[]);
    (folder, server)
}

/// RULES B1, B2, B3: no way of writing `..` leads out.
#[test]
fn traversal() {
    let (folder, server) = server();
    folder.write("%2e%2e", "a name with percents");
    assert_eq!(server.connect().get("/%252e%252e", "").text(), "a name with percents");
    let ups = [
        "../",
        "%2e%2e/",
        ".%2e/",
        "%2e./",
        "%%32%65%%32%65/",
        "%252e%252e/",
        "..%2f",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "%c0%ae%c0%ae/",
        "..;/",
        ".../",
        "....//",
        "..%00/",
        "..%0d/",
        "./../",
        "sub/../../",
    ];
    let mut client = server.connect();
    let mut tried = 0;
    for up in ups {
        for levels in 1..=12 {
            for target in ["secret", "etc/passwd"] {
                let path = format!("/{}{target}", up.repeat(levels));
                let response = client.get(&path, "");
                tried += 1;
                assert!([400, 403, 404].contains(&response.status), "{path}: {}", response.status);
                assert!(!response.body.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
                if response.closes() {
                    client = server.connect();
                }
            }
        }
    }
    assert!(tried >= 200);
}

/// RULES B4, B7, B8, B12.
#[test]
fn symlinks_and_odd_files() {
    with_both_twins(|start| {
        let folder = Folder::new();
        let root = folder.root();
        for (link, target) in [
            ("in", "ok"),
            ("sub/up", "../ok"),
            ("chain", "in"),
            ("out", "../secret"),
            ("abs", "/etc/hostname"),
            ("proc", "/proc/self/root"),
            ("loop", "loop"),
            ("dir", "sub"),
            ("outdir", ".."),
        ] {
            symlink(target, root.join(link)).expect("a symlink");
        }
        let fifo = root.join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).expect("a FIFO");
        let _socket = UnixListener::bind(root.join("socket")).expect("a socket");
        let server = start(&root, &[]);
        let long = format!("/{}", "n".repeat(300));
        for (target, want) in [
            ("/in", 200),
            ("/sub/up", 200),
            ("/chain", 200),
            ("/dir/", 200),
            ("/dir", 301),
            ("/out", 404),
            ("/abs", 404),
            ("/proc/etc/hostname", 404),
            ("/outdir/secret", 404),
            ("/loop", 404),
            ("/fifo", 404),
            ("/socket", 404),
            ("/ok/x", 404),
            (long.as_str(), 404),
            ("/OK", 404),
            ("/ok.", 404),
            ("/ok%20", 404),
        ] {
            let started = Instant::now();
            let response = server.connect().get(target, "");
            assert_eq!(response.status, want, "{target}");
            assert!(started.elapsed().as_secs() < 2, "{target} was waited for");
        }
    });
}

/// RULES B12: what may not be read is 403. Root may read everything, so the server runs as someone else.
#[test]
fn unreadable_files() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let folder = Folder::new();
    let set = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode")
    };
    set(&folder.beside(""), 0o755);
    folder.write("locked", "x");
    set(&folder.root().join("locked"), 0o000);
    let server = Server::start_with(&folder.root(), &[], |command| {
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
    });
    assert_eq!(server.connect().get("/locked", "").status, 403);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    // A directory that may be gone through but not listed is a directory; so is such a root.
    set(&folder.root().join("sub"), 0o711);
    set(&folder.root(), 0o711);
    assert_eq!(server.connect().get("/sub", "").status, 301);
    assert_eq!(server.connect().get("/sub/", "").status, 200);
}

/// RULES B9.
#[test]
fn dotfiles_do_not_exist() {
    let (folder, server) = server();
    for directory in [".git", ".well-known", "sub/.well-known"] {
        fs::create_dir(folder.root().join(directory)).expect("a folder");
        folder.write(format!("{directory}/config"), "x");
    }
    folder.write(".env", "x");
    for (target, want) in [
        ("/.git/config", 404),
        ("/.env", 404),
        ("/%2eenv", 404),
        ("/sub/.well-known/config", 404),
        ("/.well-known/config", 200),
    ] {
        assert_eq!(server.connect().get(target, "").status, want, "{target}");
    }
}

/// RULES B10, B11, A68.
#[test]
fn redirects_stay_here() {
    let (folder, server) = server();
    fs::create_dir(folder.root().join("evil \" \u{43c}")).expect("a folder");
    for (target, location) in [
        ("/sub", "/sub/"),
        ("/sub?a=b&c", "/sub/?a=b&c"),
        ("//sub", "/sub/"),
        ("///sub?x", "/sub/?x"),
        ("http://elsewhere/sub", "/sub/"),
        ("/./sub", "/sub/"),
        ("/evil%20%22%20%D0%BC", "/evil%20%22%20%D0%BC/"),
    ] {
        let response = server.connect().get(target, "");
        assert_eq!((response.status, response.field("Location")), (301, Some(location)), "{target}");
    }
    for target in ["/%0d%0aSet-Cookie:x", "/sub%0d%0aX:y", "//evil.com/%2e%2e", "/\\evil.com"] {
        let response = server.connect().get(target, "");
        assert!(response.field("Set-Cookie").is_none() && response.status != 301, "{target}");
    }
}

/// RULES B18: names are bytes.
#[test]
fn names_that_are_not_utf_8() {
    let (folder, server) = server();
    folder.write(OsStr::from_bytes(b"\xff<script>.txt"), "odd");
    folder.write("\u{43c}\u{435}\u{434}\u{443}\u{437}\u{430}.html", "medusa");
    assert_eq!(server.connect().get("/%ff%3Cscript%3E.txt", "").text(), "odd");
    assert_eq!(server.connect().get("/%D0%BC%D0%B5%D0%B4%D1%83%D0%B7%D0%B0.html", "").text(), "medusa");
}

fn set_modified(folder: &Folder, name: &str, seconds: u64) {
    let file = OpenOptions::new().write(true).open(folder.root().join(name)).expect("a file");
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).expect("a time");
}

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

#[test]
fn conditions() {
    let (folder, server) = server();
    set_modified(&folder, "ok", 784_111_777);
    let mut client = server.connect();
    let plain = client.get("/ok", "");
    assert_eq!(plain.field("Last-Modified"), Some(MODIFIED));
    let etag = plain.field("ETag").expect("an ETag").to_string();
    let mut status = |fields: &str| client.get("/ok", &format!("{fields}\r\n")).status;
    for (fields, want) in [
        (format!("If-None-Match: {etag}"), 304),
        (format!("If-None-Match: W/{etag}"), 304),
        (format!("If-None-Match: \"x\", ,{etag}"), 304),
        (format!("If-None-Match: \"x\"\r\nIf-None-Match: {etag}"), 304),
        ("If-None-Match: *".into(), 304),
        ("If-None-Match: \"x\"".into(), 200),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {AFTER}"), 200),
        (format!("If-Modified-Since: {MODIFIED}"), 304),
        (format!("If-Modified-Since: {AFTER}"), 304),
        (format!("If-Modified-Since: {BEFORE}"), 200),
        ("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT".into(), 304),
        ("If-Modified-Since: Tue, 31 Dec 2199 23:59:59 GMT".into(), 304),
        ("If-Modified-Since: yesterday".into(), 200),
        (format!("If-Match: {etag}"), 200),
        (format!("If-Match: W/{etag}"), 412),
        ("If-Match: *".into(), 200),
        ("If-Match: \"x\"".into(), 412),
        (format!("If-Unmodified-Since: {MODIFIED}"), 200),
        (format!("If-Unmodified-Since: {BEFORE}"), 412),
        (format!("If-Match: {etag}\r\nIf-Unmodified-Since: {BEFORE}"), 200),
        (format!("If-Match: {etag}\r\nIf-None-Match: {etag}"), 304),
    ] {
        assert_eq!(status(&fields), want, "{fields}");
    }
    let unchanged = client.get("/ok", "If-None-Match: *\r\n");
    assert_eq!(unchanged.field("ETag"), Some(etag.as_str()));
    assert!(unchanged.field("Last-Modified").is_some() && unchanged.field("Content-Type").is_none());
    assert_eq!(client.get("/none", "If-Match: \"x\"\r\n").status, 404, "404 before preconditions");
    let head = client.ask(&format!("HEAD /ok HTTP/1.1\r\nHost: a\r\nIf-None-Match: {etag}\r\n\r\n"));
    assert_eq!(head.status, 304);
}

#[test]
fn files_from_the_beginning_of_time_have_no_validators() {
    let (folder, server) = server();
    set_modified(&folder, "ok", 1);
    let response = server.connect().get("/ok", &format!("If-Modified-Since: {AFTER}\r\n"));
    assert_eq!((response.status, response.field("ETag"), response.field("Last-Modified")), (200, None, None));
}

#[test]
fn ranges() {
    with_both_twins(|start| {
        let folder = Folder::new();
        let content: Vec<u8> = (0..100_000u32).map(|n| b'a' + (n % 26) as u8).collect();
        folder.write("letters", &content);
        set_modified(&folder, "letters", 784_111_777);
        let server = start(&folder.root(), &[]);
        let mut client = server.connect();
        for (range, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=99999-", 99_999, 99_999),
            ("bytes=-10", 99_990, 99_999),
            ("bytes=5-70000", 5, 70_000),
            ("bytes=50000-1000000", 50_000, 99_999),
            ("bytes=200000-300000,7-9", 7, 9),
        ] {
            let part = client.get("/letters", &format!("Range: {range}\r\n"));
            assert_eq!(part.status, 206, "{range}");
            assert_eq!(part.field("Content-Range"), Some(format!("bytes {first}-{last}/100000").as_str()));
            assert!(part.body == content[first..=last], "{range}");
        }
        for (fields, want) in [
            ("Range: bytes=100000-", 416),
            ("Range: bytes=5-2", 416),
            ("Range: bytes=x", 416),
            ("Range: items=0-4", 200),
            ("Range: bytes=0-4\r\nRange: bytes=7-9", 200),
            ("Range: bytes=0-,1-", 200),
            ("Range: bytes=0-4\r\nIf-Range: \"x\"", 200),
            ("Range: bytes=0-4\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT", 206),
            ("Range: bytes=0-4\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ] {
            let response = client.get("/letters", &format!("{fields}\r\n"));
            assert_eq!(response.status, want, "{fields}");
            if want == 416 {
                assert_eq!(response.field("Content-Range"), Some("bytes */100000"));
            }
        }
        let etag = client.get("/letters", "").field("ETag").expect("an ETag").to_string();
        let fields = |weak| format!("Range: bytes=0-4\r\nIf-Range: {weak}{etag}\r\n");
        assert_eq!(client.get("/letters", &fields("")).status, 206);
        assert_eq!(client.get("/letters", &fields("W/")).status, 200);
        assert_eq!(client.ask("HEAD /letters HTTP/1.1\r\nHost: a\r\nRange: bytes=0-4\r\n\r\n").status, 200);
        check_multipart(&client.get("/letters", "Range: bytes=0-9,-10,40000-79999\r\n"), &content);
    });
}

fn check_multipart(response: &Response, content: &[u8]) {
    assert_eq!(response.status, 206);
    let content_type = response.field("Content-Type").expect("a type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let mut want = Vec::new();
    for (at, (first, last)) in [(0, 9), (99_990, 99_999), (40_000, 79_999)].into_iter().enumerate() {
        let before = if at == 0 { "" } else { "\r\n" };
        want.extend(format!("{before}--{boundary}\r\nContent-Type: application/octet-stream\r\n").bytes());
        want.extend(format!("Content-Range: bytes {first}-{last}/100000\r\n\r\n").bytes());
        want.extend_from_slice(&content[first..=last]);
    }
    want.extend(format!("\r\n--{boundary}--\r\n").bytes());
    assert!(response.body == want, "the parts, in the order asked");
}

#[test]
fn an_empty_file() {
    let (folder, server) = server();
    folder.write("empty", "");
    let mut client = server.connect();
    let response = client.get("/empty", "");
    assert_eq!((response.status, response.field("Content-Length")), (200, Some("0")));
    assert_eq!(client.get("/empty", "Range: bytes=0-\r\n").status, 416);
    assert_eq!(client.get("/ok", "").status, 200);
}

/// SEED §3: files over 2 GB, by their ends and by the places where 32 bits end.
#[test]
fn files_over_four_gigabytes() {
    with_both_twins(|start| {
        let folder = Folder::new();
        let file = fs::File::create(folder.root().join("huge")).expect("a file");
        let size: u64 = 5 << 30;
        file.set_len(size).expect("a sparse file");
        let marks = [0, (1 << 31) - 4, (1 << 32) - 4, size - 8];
        for mark in marks {
            file.write_all_at(b"markmark", mark).expect("a mark");
        }
        let server = start(&folder.root(), &[]);
        let mut client = server.connect();
        let head = client.ask("HEAD /huge HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(head.field("Content-Length"), Some(size.to_string().as_str()));
        for mark in marks {
            let part = client.get("/huge", &format!("Range: bytes={mark}-{}\r\n", mark + 7));
            assert_eq!(part.text(), "markmark", "at {mark}");
        }
    });
}

/// Sends a request for a file that does not fit into the socket and reads its head and a little more.
fn begin_download(server: &Server, target: &str) -> (Client, Vec<u8>) {
    let mut client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut received = vec![0; 100_000];
    client.stream.read_exact(&mut received).expect("the beginning");
    (client, received)
}

const LARGE: usize = 64 << 20;

/// RULES B13: the connection ends early, nothing is padded, nothing follows.
#[test]
fn a_file_that_is_cut_while_it_is_sent() {
    with_both_twins(|start| {
        let folder = Folder::new();
        folder.write("large", vec![b'A'; LARGE]);
        let server = start(&folder.root(), &[]);
        let (mut client, mut received) = begin_download(&server, "/large");
        let file = OpenOptions::new().write(true).open(folder.root().join("large")).expect("the file");
        file.set_len(1000).expect("cut");
        // The close may arrive as a reset: the server had more to read from us.
        let mut rest = Vec::new();
        let _ = client.stream.read_to_end(&mut rest);
        received.extend(rest);
        let body = received.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        assert!(received.len() - body < LARGE, "cut short");
        // The pages that sendfile has queued are the file's own: what the cut sets to zero in them is
        // zero in flight, too. Anything else would be another answer.
        let other = received[body..].iter().position(|byte| ![b'A', 0].contains(byte));
        assert_eq!(other, None, "nothing but the file");
        assert_eq!(server.connect().get("/ok", "").status, 200);
    });
}

/// RULES B14, B15: the length is that of the head; a file that is replaced is sent to its end.
#[test]
fn files_that_grow_or_are_replaced_while_they_are_sent() {
    let (folder, server) = server();
    folder.write("large", vec![b'A'; LARGE]);
    let (mut client, received) = begin_download(&server, "/large");
    let mut file = OpenOptions::new().append(true).open(folder.root().join("large")).expect("the file");
    file.write_all(b"BBBB").expect("grow");
    folder.write("new", "CCCC");
    fs::rename(folder.root().join("new"), folder.root().join("large")).expect("replace");
    let mut everything = received;
    client.finish();
    everything.extend(client.read_raw_to_end());
    let responses = crate::support::parse_all(&everything, "GET");
    assert_eq!(responses.len(), 2);
    assert!(responses[0].body.len() == LARGE && responses[0].body.iter().all(|byte| *byte == b'A'));
    assert_eq!(responses[1].text(), "hello\n");
    let new = server.connect().get("/large", "");
    assert_eq!(new.text(), "CCCC");
    assert_ne!(new.field("ETag"), responses[0].field("ETag"));
}

/// RULES B20.
#[test]
fn a_root_that_is_moved_goes_on_being_served() {
    let (folder, server) = server();
    fs::rename(folder.root(), folder.beside("moved")).expect("move");
    fs::create_dir(folder.root()).expect("another");
    assert_eq!(server.connect().get("/ok", "").text(), "hello\n");
}
