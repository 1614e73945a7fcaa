//! The file service: conditions, ranges, sizes. Paths and files that change are in `rules_b`, options in
//! `options`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::support::rules::holds;
use crate::support::server::eventually;
use crate::support::{Client, Folder, Response, Server, with_both_backends};

fn server() -> (Folder, Server) {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &[]);
    (folder, server)
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

/// The date of all files in many container images: it identifies none, so they have a tag only.
#[test]
fn files_from_the_beginning_of_time_have_a_tag() {
    let (folder, server) = server();
    let mut client = server.connect();
    for name in ["ok", "big"] {
        let mut tags = Vec::new();
        for content in [b"one", b"two"] {
            fs::write(folder.root().join(name), content.repeat(if name == "ok" { 5 } else { 50_000 }))
                .expect("it");
            set_modified(&folder, name, 1);
            let mut tag = String::new();
            // A large file that has changed just now has a weak tag.
            eventually("a strong tag", || {
                let response = client.get(&format!("/{name}"), &format!("If-Modified-Since: {AFTER}\r\n"));
                assert_eq!((response.status, response.field("Last-Modified")), (200, None), "{name}");
                tag = response.field("ETag").expect("a tag").to_string();
                tag.starts_with('"')
            });
            let again = client.get(&format!("/{name}"), &format!("If-None-Match: {tag}\r\n"));
            assert_eq!(again.status, 304, "{name}");
            tags.push(tag);
        }
        assert_ne!(tags[0], tags[1], "{name}: other content of the same size and date");
    }
}

/// The same content has the same tag on every machine, if the times were copied, too, or the file is small.
#[test]
fn replicas_have_the_same_validators() {
    let replicas = [server(), server()];
    let validators = |target: &str| {
        replicas.each_ref().map(|(folder, server)| {
            set_modified(folder, "big", 784_111_777);
            let response = server.connect().get(target, "");
            (response.field("ETag").map(String::from), response.field("Last-Modified").map(String::from))
        })
    };
    let [here, there] = validators("/big");
    assert_eq!(here, there);
    let [here, there] = validators("/ok");
    assert_eq!(here.0, there.0, "written at different times");
    assert!(here.0.is_some());
}

#[test]
fn b22_ranges() {
    with_both_backends(|start| {
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
            ("BYTES= 7-9 ,", 7, 9),
            ("bytes=7-9,10-19,5-7", 5, 19),
        ] {
            let part = client.get("/letters", &format!("Range: {range}\r\n"));
            assert_eq!(part.status, 206, "{range}");
            assert_eq!(part.field("Content-Range"), Some(format!("bytes {first}-{last}/100000").as_str()));
            assert!(part.body == content[first..=last], "{range}");
        }
        for (fields, want) in [
            ("Range: bytes=100000-", 416),
            ("Range: bytes=-0", 416),
            ("Range: bytes=100000-,200000-300000,-0", 416),
            ("Range: bytes=5-2", 200),
            ("Range: bytes=x", 200),
            ("Range: bytes=0-4,x", 200),
            ("Range: bytes=100000-,x", 200),
            ("Range: bytes=", 200),
            ("Range: bytes=,", 200),
            ("Range: bytes=-", 200),
            ("Range: bytes=+0-4", 200),
            ("Range: bytes=0--4", 200),
            ("Range: bytes = 0-4", 200),
            ("Range: bytes", 200),
            ("Range: 0-4", 200),
            ("Range: foo", 200),
            ("Range:", 200),
            ("Range: items=0-4", 200),
            ("Range: bytes=0-4\r\nRange: bytes=7-9", 200),
            ("Range: bytes=0-,1-", 200),
            ("Range: bytes=0-4\r\nIf-Range: \"x\"", 200),
            ("Range: bytes=0-4\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT", 206),
            ("Range: bytes=0-4\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ] {
            let response = client.get("/letters", &format!("{fields}\r\n"));
            assert_eq!(response.status, want, "{fields}");
            match want {
                416 => assert_eq!(response.field("Content-Range"), Some("bytes */100000")),
                200 => assert!(response.body == content, "{fields}: whole"),
                _ => {}
            }
        }
        let etag = client.get("/letters", "").field("ETag").expect("an ETag").to_string();
        let fields = |weak| format!("Range: bytes=0-4\r\nIf-Range: {weak}{etag}\r\n");
        assert_eq!(client.get("/letters", &fields("")).status, 206);
        assert_eq!(client.get("/letters", &fields("W/")).status, 200);
        assert_eq!(client.ask("HEAD /letters HTTP/1.1\r\nHost: a\r\nRange: bytes=0-4\r\n\r\n").status, 200);
        let response = client.get("/letters", "Range: bytes=0-9,-10,40000-79999\r\n");
        check_multipart(&response, &content, &[(0, 9), (99_990, 99_999), (40_000, 79_999)]);
        let response = client.get("/letters", "Range: bytes=10-19,50-59,0-9,55-70\r\n");
        check_multipart(&response, &content, &[(0, 19), (50, 70)]);
        check_many_ranges(&mut client, &content);
    });
    holds(
        "B22",
        "34 ranges × both backends: 200, 206 or 416 as RFC 9110 §14.2 says; 700 parts byte by byte, 600 merged into one",
        "exact; malformed ones ignored",
    );
}

/// zchunk asks for hundreds of ranges at once.
fn check_many_ranges(client: &mut Client, content: &[u8]) {
    let far_apart: Vec<(usize, usize)> = (0..700).map(|at| (at * 100, at * 100 + 49)).collect();
    let range = |ranges: &[(usize, usize)]| {
        let ranges: Vec<String> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        format!("Range: bytes={}\r\n", ranges.join(","))
    };
    check_multipart(&client.get("/letters", &range(&far_apart)), content, &far_apart);
    let touching: Vec<(usize, usize)> = (0..600).rev().map(|at| (at * 100, at * 100 + 99)).collect();
    let one = client.get("/letters", &range(&touching));
    assert_eq!((one.status, one.field("Content-Range")), (206, Some("bytes 0-59999/100000")));
    assert!(one.body == content[..60_000], "one part");
}

/// Checks that the response has these parts, in this order, and compares each byte.
fn check_multipart(response: &Response, content: &[u8], parts: &[(usize, usize)]) {
    assert_eq!(response.status, 206);
    let content_type = response.field("Content-Type").expect("a type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let mut want = Vec::new();
    for &(first, last) in parts {
        // The first boundary has its CR LF, too: zsync does not find it otherwise.
        want.extend(format!("\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n").bytes());
        want.extend(format!("Content-Range: bytes {first}-{last}/100000\r\n\r\n").bytes());
        want.extend_from_slice(&content[first..=last]);
    }
    want.extend(format!("\r\n--{boundary}--\r\n").bytes());
    assert!(response.body == want, "{} parts, in the order asked", parts.len());
}

#[test]
fn an_empty_file() {
    let (folder, server) = server();
    folder.write("empty", "");
    let mut client = server.connect();
    let response = client.get("/empty", "");
    assert_eq!((response.status, response.field("Content-Length")), (200, Some("0")));
    let tag = response.field("ETag").expect("a tag").to_string();
    for range in ["0-", "0-127", "-5", "-0", "5-", "0-0,-1", "0-1,3-4"] {
        for fields in ["".to_string(), format!("If-Range: {tag}\r\n")] {
            let fields = format!("Range: bytes={range}\r\n{fields}");
            let whole = client.get("/empty", &fields);
            assert_eq!((whole.status, whole.field("Content-Length")), (200, Some("0")), "{fields}");
            let head = client.ask(&format!("HEAD /empty HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
            assert_eq!((head.status, head.field("Content-Length")), (200, Some("0")), "{fields}");
        }
    }
    assert_eq!(client.get("/ok", "").status, 200);
}

/// SEED §3: files over 2 GB, at their ends and at the positions where 32 bits overflow.
#[test]
fn files_over_four_gigabytes() {
    with_both_backends(|start| {
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

/// Names and contents, and their `Content-Type`.
#[test]
fn b25_types_and_charsets() {
    let cyrillic = "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}";
    // In windows-1251.
    let old = b"\xef\xf0\xe8\xe2\xe5\xf2".to_vec();
    let with = |before: &str, content: &[u8]| [before.as_bytes(), content].concat();
    let long = |at: usize, content: &[u8]| [&vec![b'a'; at][..], content, &vec![b'b'; 100_000][..]].concat();
    let files: Vec<(&str, Vec<u8>, &str)> = vec![
        ("old.xml", with("<?xml version=\"1.0\" encoding=\"windows-1251\"?>", &old), "text/xml"),
        ("new.xml", with("<?xml version=\"1.0\"?>", cyrillic.as_bytes()), "text/xml"),
        ("page.xhtml", cyrillic.into(), "application/xhtml+xml"),
        ("new.html", cyrillic.into(), "text/html; charset=utf-8"),
        ("old.html", old.clone(), "text/html"),
        ("said.html", with("<meta charset=utf-8>", cyrillic.as_bytes()), "text/html"),
        ("ascii.html", b"<p>ASCII".to_vec(), "text/html"),
        ("new.css", with("/* ", cyrillic.as_bytes()), "text/css; charset=utf-8"),
        ("said.css", with("@charset \"utf-8\"; ", cyrillic.as_bytes()), "text/css"),
        ("new.js", with("// ", cyrillic.as_bytes()), "text/javascript; charset=utf-8"),
        ("old.txt", old.clone(), "text/plain"),
        ("new.txt", cyrillic.into(), "text/plain; charset=utf-8"),
        ("ascii.txt", b"ASCII".to_vec(), "text/plain; charset=utf-8"),
        ("empty.txt", Vec::new(), "text/plain; charset=utf-8"),
        ("utf16.txt", b"\xff\xfea\0b\0".to_vec(), "text/plain"),
        // The first 4 KiB end within a character.
        ("long.txt", long(4095, "\u{e4}".as_bytes()), "text/plain; charset=utf-8"),
        ("long_old.txt", long(4000, &old), "text/plain"),
        ("a.go", b"package a".to_vec(), "text/plain; charset=utf-8"),
        ("Dockerfile", b"FROM scratch".to_vec(), "text/plain; charset=utf-8"),
        ("a.m4a", b"sound".to_vec(), "audio/mp4"),
        ("a.tgz", b"archive".to_vec(), "application/gzip"),
        ("a.html.gz", b"archive".to_vec(), "application/gzip"),
        ("\u{44f}.rb", cyrillic.into(), "text/plain; charset=utf-8"),
    ];
    with_both_backends(|start| {
        let folder = Folder::new();
        for (name, content, _) in &files {
            folder.write(name, content);
        }
        for cache in ["0", "1"] {
            let server = start(&folder.root(), &["--file-cache", cache]);
            let mut client = server.connect();
            for (name, content, want) in &files {
                for _ in 0..2 {
                    client.send(format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n"));
                    let response = client.read("GET");
                    assert_eq!(response.field("Content-Type"), Some(*want), "{name}");
                    assert!(response.body == *content, "{name}");
                    assert_eq!(response.field("Content-Encoding"), None, "{name}");
                }
                let part = client.get(&format!("/{name}"), "Range: bytes=1-1\r\n");
                assert_eq!(part.field("Content-Type"), Some(*want), "a part of {name}");
            }
        }
    });
    holds(
        "B25",
        format!("{} files × both backends × file cache off and on: exact", files.len()),
        "a charset only where the first 4 KiB show it",
    );
}

/// An image that browsers decode only with its coding, and never a second time.
#[test]
fn an_image_that_is_compressed_by_definition() {
    let folder = Folder::new();
    folder.write("a.svgz", "as if compressed");
    folder.write("a.svgz.gz", "compressed twice");
    let server = Server::start(&folder.root(), &["--precompressed"]);
    let mut client = server.connect();
    for codings in ["gzip, br", "identity", "*"] {
        let image = client.get("/a.svgz", &format!("Accept-Encoding: {codings}\r\n"));
        assert_eq!(image.field("Content-Type"), Some("image/svg+xml"), "{codings}");
        assert_eq!((image.field("Content-Encoding"), image.text()), (Some("gzip"), "as if compressed"));
        assert_eq!(image.field("Vary"), None);
    }
    let part = client.get("/a.svgz", "Range: bytes=3-4\r\nAccept-Encoding: gzip\r\n");
    assert_eq!((part.status, part.text(), part.field("Content-Encoding")), (206, "if", Some("gzip")));
    assert_eq!(client.get("/a.svgz.gz", "").field("Content-Encoding"), None);
}
