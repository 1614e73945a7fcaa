//! What replicas owe each other: two servers over two copies of a folder, made as `rsync -a` makes them (the same content
//! and times, other inodes). A client that alternates between them sees one server.

mod hashing;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::rules::holds;
use crate::support::server::eventually;
use crate::support::{Client, Folder, Response, Server};

/// A time of this century.
const DATED: u64 = 1_500_000_000;

/// Sets the modification time of a file or a folder, in seconds since 1970.
fn set_time(path: &Path, seconds: u64) {
    let time: SystemTime = UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).expect("it").set_modified(time).expect("a time");
}

fn put(folder: &Folder, name: &str, content: &[u8], seconds: u64) {
    fs::write(folder.root().join(name), content).expect("a file");
    set_time(&folder.root().join(name), seconds);
}

/// Content of `length` bytes that `seed` decides.
fn content(seed: u8, length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).map(|byte: u8| byte ^ seed).collect()
}

/// The names, lengths and times of the files.
const FILES: [(&str, usize, u64); 14] = [
    ("small", 1_000, DATED),
    ("small-old", 1_000, 0),
    ("limit", 16 * 1024, 1),
    ("large", 300_000, DATED),
    ("large-0", 300_000, 0),
    ("large-1", 3_000_000, 1),
    ("text.txt", 400_000, 1),
    ("text.txt.gz", 200_000, 1),
    ("text.txt.br", 100_000, 1),
    ("page.css", 400_000, DATED),
    ("page.css.gz", 200_000, DATED),
    ("part.js", 50_000, 1),
    // The dates of npm and Bazel.
    ("npm.js", 60_000, 499_162_500),
    ("bazel.js", 70_000, 946_684_800),
];

/// Two servers over two copies.
struct Replicas {
    folders: [Folder; 2],
    servers: [Server; 2],
    clients: [Client; 2],
}

impl Replicas {
    fn start(options: &[&str]) -> Self {
        let folders = [Folder::new(), Folder::in_memory()];
        for (at, folder) in folders.iter().enumerate() {
            // A directory in memory is read in the order in which its names were made, others in that of a hash.
            let mut files = FILES.to_vec();
            files.extend((0..100).map(|_| ("", 0, DATED)));
            let names: Vec<String> = (0..files.len()).map(|n| many_name(n, files[n].0)).collect();
            let mut order: Vec<usize> = (0..files.len()).collect();
            if at == 1 {
                order.reverse();
            }
            for n in order {
                let (_, length, seconds) = files[n];
                let seed = u8::try_from(n).expect("few");
                put(folder, &names[n], &content(seed, length), seconds);
            }
            fs::create_dir(folder.root().join("folder")).expect("a folder");
            for name in ["index.html", "ok", "sub/index.html", "big", "sub", "folder", ""] {
                set_time(&folder.root().join(name), DATED);
            }
        }
        let servers = folders.each_ref().map(|folder| Server::start(&folder.root(), options));
        let clients = servers.each_ref().map(Server::connect);
        let replicas = Self { folders, servers, clients };
        replicas.differ();
        replicas
    }

    /// Checks that the copies differ in what must not show.
    fn differ(&self) {
        for (name, ..) in FILES {
            let [one, other] = self.folders.each_ref().map(|folder| folder.root().join(name));
            let [one, other] = [one, other].map(|path| fs::metadata(path).expect("it"));
            assert_eq!(
                (one.len(), one.mtime(), one.mtime_nsec()),
                (other.len(), other.mtime(), other.mtime_nsec())
            );
            assert_ne!((one.dev(), one.ino()), (other.dev(), other.ino()), "{name}");
        }
    }

    /// The responses of both, which have to be the same but for `Date`.
    fn same(&mut self, request: &str) -> Response {
        let [one, other] = self.each(request);
        assert_eq!(one, other, "{request}");
        one
    }

    /// The responses of both, without `Date`.
    fn each(&mut self, request: &str) -> [Response; 2] {
        std::array::from_fn(|at| {
            let mut response = self.clients[at].ask(request);
            if response.closes() {
                self.clients[at] = self.servers[at].connect();
            }
            response.fields.retain(|(name, _)| name != "Date");
            response
        })
    }

    /// Waits until both have a strong tag: one that a file has which has not changed for a moment.
    fn settle(&mut self, target: &str, fields: &str) {
        let request = format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        eventually("strong tags", || {
            self.each(&request).iter().all(|response| tag(response).starts_with('"'))
        });
    }
}

/// The name of a file; one without a name of its own has one that sorting by bytes would misplace.
fn many_name(number: usize, name: &str) -> String {
    match (name, number % 4) {
        ("", 0) => format!("n{number}"),
        ("", 1) => format!("N{number}"),
        ("", 2) => format!("n0{number}"),
        ("", _) => format!("n{}", number - 1) + ".X",
        (name, _) => name.to_string(),
    }
}

fn tag(response: &Response) -> String {
    response.field("ETag").unwrap_or_else(|| panic!("no tag in {response:?}")).to_string()
}

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn validators_are_those_of_the_content_and_its_time() {
    let mut replicas = Replicas::start(&["--precompressed"]);
    let mut tags = BTreeSet::new();
    for (name, length, seconds) in FILES {
        for coding in ["", "gzip", "br"] {
            let target = format!("/{name}");
            let accept =
                if coding.is_empty() { String::new() } else { format!("Accept-Encoding: {coding}\r\n") };
            replicas.settle(&target, &accept);
            let whole = replicas.same(&get(&target, &accept));
            let head = replicas.same(&format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n{accept}\r\n"));
            assert_eq!((whole.status, &whole.fields), (200, &head.fields));
            assert_eq!(whole.field("Last-Modified").is_some(), seconds > 1, "{name}");
            let tag = tag(&whole);
            let is_encoded = whole.field("Content-Encoding").is_some();
            assert_eq!(tag.contains(coding) && !coding.is_empty(), is_encoded, "{name} {coding}");
            if is_encoded || coding.is_empty() {
                assert!(tags.insert(tag.clone()), "{name}: two files have the tag {tag}");
            }
            // Both have the tag, so one is the tag of the other.
            let none_match = replicas.same(&get(&target, &format!("{accept}If-None-Match: {tag}\r\n")));
            assert_eq!(none_match.status, 304, "{name} {coding}");
            let wrong = get(&target, &format!("{accept}If-None-Match: \"x\"\r\n"));
            assert_eq!(replicas.same(&wrong).status, 200, "{name} {coding}");
            let failed = get(&target, &format!("{accept}If-Match: \"x\"\r\n"));
            assert_eq!(replicas.same(&failed).status, 412, "{name} {coding}");
            let ranged = format!("{accept}Range: bytes=100-299\r\nIf-Range: {tag}\r\n");
            let part = replicas.same(&get(&target, &ranged));
            // A range of a sibling is ignored, and the sibling sent whole.
            let want = if is_encoded { (200, &whole.body[..]) } else { (206, &whole.body[100..300]) };
            assert_eq!((part.status, &part.body[..]), want, "{name} {coding}");
            let several = format!("Range: bytes=0-1,{}-\r\nIf-Range: {tag}\r\n", length - 5);
            if !is_encoded {
                let sizes =
                    replicas.each(&get(&target, &several)).map(|parts| (parts.status, parts.body.len()));
                assert_eq!((sizes[0].0, sizes[0]), (206, sizes[1]), "{name}: the boundaries are random");
            }
        }
    }
    let measured =
        format_args!("{} files, {} tags: 200, 206, 304 and 412 as from one server", FILES.len(), tags.len());
    holds("B28", measured, "as from one server");
}

/// The client has part of the sibling's original, and asks where the sibling would be sent.
#[test]
fn a_range_of_an_original_whose_tag_is_to_be_made() {
    let mut replicas = Replicas::start(&["--precompressed"]);
    // Settled, and asked for by nobody before.
    replicas.settle("/large-1", "");
    let original = fs::read(replicas.folders[0].root().join("text.txt")).expect("it");
    let part = replicas.same(&get("/text.txt", "Accept-Encoding: br\r\nRange: bytes=7-9\r\n"));
    assert_eq!((part.status, &part.body[..]), (206, &original[7..10]));
    assert!(!tag(&part).contains("br"));
    let outside = replicas.same(&get("/text.txt", "Accept-Encoding: gzip\r\nRange: bytes=9999999-\r\n"));
    assert_eq!(outside.status, 416);
}

#[test]
fn listings_have_one_order() {
    let mut replicas = Replicas::start(&["--listing"]);
    let orders = replicas.folders.each_ref().map(|folder| {
        let names = fs::read_dir(folder.root()).expect("a folder");
        names.map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>()
    });
    let shows = orders[0] != orders[1] || !Path::new(Folder::MEMORY).is_dir();
    assert!(shows, "the copies are read in one order: this test shows nothing");
    for folder in &replicas.folders {
        fs::remove_file(folder.root().join("index.html")).expect("the index");
        set_time(&folder.root(), DATED);
    }
    let queries = ["", "?sort=name&order=desc", "?sort=size", "?sort=size&order=desc", "?sort=date"];
    for query in queries {
        let page = replicas.same(&get(&format!("/{query}"), "Accept: text/html\r\n"));
        assert!(page.status == 200 && page.text().contains("large-1"), "{query}");
        let json = replicas.same(&get(&format!("/{query}"), "Accept: application/json\r\n"));
        assert!(json.status == 200 && json.text().contains("\"large-1\""), "{query}");
    }
    let count = orders[0].len();
    let measured = format_args!("{count} names in {} orders, as pages and as JSON: equal", queries.len());
    holds("B28", measured, "equal");
}

#[test]
fn errors_are_the_same() {
    let mut replicas = Replicas::start(&["--no-listing"]);
    for folder in &replicas.folders {
        let path = folder.root().join("large");
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("a mode");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000));
    let mut seen = BTreeSet::new();
    for (status, request) in [
        (301, get("/sub", "")),
        (400, get("/%00", "")),
        (400, get("/../x", "")),
        (400, "GET / HTTP/1.1\r\n\r\n".into()),
        (403, get("/large", "")),
        (404, get("/missing", "")),
        (404, get("/folder/", "")),
        (404, get("/.git/config", "")),
        (405, "DELETE /ok HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (412, get("/large-1", "If-Match: \"x\"\r\n")),
        (414, long),
        (416, get("/large-1", "Range: bytes=9000000-\r\n")),
        (416, get("/ok", "Range: bytes=9000000-\r\n")),
        (501, "BREW /ok HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".into()),
    ] {
        for accept in ["text/html", "*/*"] {
            let request =
                request.replacen("\r\nHost: a\r\n", &format!("\r\nHost: a\r\nAccept: {accept}\r\n"), 1);
            let response = replicas.same(&request);
            assert_eq!(response.status, status, "{request}");
            seen.insert(response.status);
        }
    }
    holds("B28", format_args!("errors {seen:?}: equal but for Date"), "equal but for Date");
}

/// The first part of a download comes from one replica, and the file is replaced on the other one before the second part.
#[test]
fn a_replaced_file_is_not_spliced() {
    let mut replicas = Replicas::start(&[]);
    for (name, length, seconds) in FILES {
        let (target, path) = (format!("/{name}"), replicas.folders[1].root().join(name));
        replicas.settle(&target, "");
        let first = replicas.clients[0].get(&target, "Range: bytes=0-99\r\n");
        assert_eq!(first.status, 206);
        let dates = first.field("Last-Modified").map(String::from);
        let rest = format!("Range: bytes=100-\r\nIf-Range: {}\r\n", tag(&first));
        let new = content(200, length);
        for in_place in [true, false] {
            let written = if in_place { path.clone() } else { replicas.folders[1].beside("new") };
            fs::write(&written, &new).expect("the new version");
            // Small files are told apart even at the same time.
            set_time(&written, if seconds > 1 && length > 16 * 1024 { seconds + 1 } else { seconds });
            if !in_place {
                fs::rename(&written, &path).expect("a rename");
            }
            let second = replicas.clients[1].get(&target, &rest);
            assert!(second.status == 200 && second.body == new, "{name}: {}", second.status);
            replicas.settle(&target, "");
            let second = replicas.clients[1].get(&target, &rest);
            assert!(second.status == 200 && second.body == new, "{name}: {}", second.status);
            assert_ne!(tag(&second), tag(&first), "{name}");
            let date = dates.as_ref().filter(|_| length > 16 * 1024);
            if let Some(date) = date {
                let by_date = format!("Range: bytes=100-\r\nIf-Range: {date}\r\n");
                assert_eq!(replicas.clients[1].get(&target, &by_date).status, 200, "{name}");
            }
        }
        // The replica that has the old version goes on with it.
        assert_eq!(replicas.clients[0].get(&target, &rest).status, 206, "{name}");
    }
    let measured =
        format_args!("{} files replaced in place and by rename between two parts: 0 spliced", FILES.len());
    holds("B28", measured, "0 spliced");
}

/// A file with the date of a build is overwritten in place while it is sent, and has the same date again: the response ends
/// with the bytes of the version that it began with. One that is replaced by rename is sent to its end.
#[test]
fn a_response_is_one_version_also_without_a_date() {
    const LENGTH: usize = 40_000_000;
    for in_place in [true, false] {
        let folder = Folder::new();
        let path = folder.root().join("large");
        put(&folder, "large", &vec![b'a'; LENGTH], 1);
        let server = Server::start(&folder.root(), &[]);
        let mut client = TcpStream::connect(server.address()).expect("a connection");
        client.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("a request");
        let mut received = vec![0; 4096];
        client.read_exact(&mut received).expect("the begin of the response");
        let written = if in_place { path.clone() } else { folder.beside("new") };
        fs::write(&written, vec![b'b'; LENGTH]).expect("the new version");
        set_time(&written, 1);
        if !in_place {
            fs::rename(&written, &path).expect("a rename");
        }
        // A response that is cut short may end with a reset.
        let _ = client.read_to_end(&mut received);
        let head = received.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
        let body = &received[head..];
        assert!(body.iter().all(|byte| *byte == b'a'), "in place: {in_place}");
        assert_eq!(body.len() < LENGTH, in_place, "{} bytes", body.len());
    }
}

/// `chmod`, `chown` and `ln` change the time of the last change, and not the content.
#[test]
fn a_tag_survives_a_change_of_the_mode() {
    let mut replicas = Replicas::start(&[]);
    for (name, ..) in FILES {
        let (target, path) = (format!("/{name}"), replicas.folders[0].root().join(name));
        replicas.settle(&target, "");
        let before = replicas.same(&get(&target, ""));
        let changed = fs::metadata(&path).map(|found| (found.ctime(), found.ctime_nsec())).expect("it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("a mode");
        let now = fs::metadata(&path).map(|found| (found.ctime(), found.ctime_nsec())).expect("it");
        assert_ne!(now, changed, "the time of the change has moved");
        replicas.settle(&target, "");
        assert_eq!(replicas.same(&get(&target, "")), before, "{name}");
    }
}
