//! `--file-cache`: files that are used again stay open, which must not show. `rules_b::versions` changes them at random.

use std::fs;

use crate::support::server::eventually;
use crate::support::{Client, Folder, Front, Server};

fn server(folder: &Folder, seconds: &str) -> Server {
    Server::start(&folder.root(), &["--file-cache", seconds])
}

/// Replaces a file as editors and deployments do: by a rename.
fn replace(folder: &Folder, name: &str, content: &str) {
    let new = folder.beside("new");
    fs::write(&new, content).expect("a file");
    fs::rename(&new, folder.root().join(name)).expect("rename");
}

fn content(client: &mut Client, target: &str) -> String {
    String::from_utf8(client.get(target, "").body).expect("UTF-8")
}

/// The number of files of the root that the worker holds open.
fn files_held(server: &Server, folder: &Folder) -> usize {
    let root = folder.root();
    let links = fs::read_dir(format!("/proc/{}/fd", server.workers[0])).expect("descriptors");
    let links = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.starts_with(&root) && *link != root).count()
}

/// The cache lives for an hour, and the next request sees each change all the same.
#[test]
fn the_cache_does_not_show() {
    let folder = Folder::new();
    folder.write("page", "old");
    let server = server(&folder, "3600");
    let mut client = server.connect();
    let first = client.get("/page", "");
    let old = first.field("etag").expect("a tag");
    replace(&folder, "page", "something else");
    let second = client.get("/page?query", "");
    assert_eq!((first.body.as_slice(), second.body.as_slice()), (&b"old"[..], &b"something else"[..]));
    assert_ne!(second.field("etag"), Some(old));
    assert_eq!(client.get("/page", &format!("If-None-Match: {old}\r\n")).status, 200);
    assert_eq!(client.get("/page", &format!("Range: bytes=1-\r\nIf-Range: {old}\r\n")).status, 200);
    fs::write(folder.root().join("page"), "in place").expect("a file");
    let head = client.ask("HEAD /page HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.field("content-length"), Some("8"));
    let path = folder.root().join("page");
    fs::remove_file(&path).expect("remove");
    assert_eq!(client.get("/page", "").status, 404);
    fs::create_dir(&path).expect("a folder");
    assert_eq!(client.get("/page", "").status, 301, "a folder is not served as a file");
    fs::remove_dir(&path).expect("remove");
    std::os::unix::fs::symlink(folder.beside("secret"), &path).expect("a link");
    assert_eq!(client.get("/page", "").status, 404, "a link that leads out is refused");
}

/// A sibling is another file, which may come, change and go.
#[test]
fn siblings_come_and_go() {
    let folder = Folder::new();
    folder.write("page", "plain");
    let server = Server::start(&folder.root(), &["--file-cache", "3600", "--precompressed"]);
    let mut client = server.connect();
    let mut get = || {
        let response = client.get("/page", "Accept-Encoding: gzip\r\n");
        (String::from_utf8(response.body.clone()).expect("text"), response.field("Vary").is_some())
    };
    assert_eq!(get(), ("plain".into(), false));
    folder.write("page.gz", "zipped");
    assert_eq!(get(), ("zipped".into(), true));
    folder.write("page.gz", "zipped again");
    assert_eq!(get(), ("zipped again".into(), true));
    folder.write("page", "newer");
    assert_eq!(get(), ("newer".into(), false), "the sibling is older than the file");
    folder.write("page.gz", "newest");
    assert_eq!(get(), ("newest".into(), true));
    fs::remove_file(folder.root().join("page.gz")).expect("remove");
    assert_eq!(get(), ("newer".into(), false));
}

/// A cached file is closed, so that a removed one frees its space.
#[test]
fn unused_files_are_closed() {
    if Front::lacks("unused_files_are_closed") {
        return;
    }
    let folder = Folder::new();
    let server = server(&folder, "0.05");
    let mut client = server.connect();
    // A file that has changed just now is not cached.
    eventually("the cache holds the large file open, and the bytes of the others", || {
        for target in ["/ok", "/big", "/index.html"] {
            assert_eq!(client.get(target, "").status, 200);
        }
        files_held(&server, &folder) == 1
    });
    eventually("all are closed", || files_held(&server, &folder) == 0);
}

#[test]
fn zero_seconds_is_no_cache() {
    let folder = Folder::new();
    let server = server(&folder, "0");
    let mut client = server.connect();
    for number in 0..50 {
        let want = format!("version {number}");
        replace(&folder, "page", &want);
        assert_eq!(content(&mut client, "/page"), want);
    }
    assert_eq!(files_held(&server, &folder), 0);
}
