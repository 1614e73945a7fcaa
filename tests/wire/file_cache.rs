//! `--file-cache`: lookups are cached for the given time.

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

/// The cache lives for an hour, so all later responses come from it.
#[test]
fn lookups_are_cached() {
    let folder = Folder::new();
    folder.write("page", "old");
    let server = server(&folder, "3600");
    let mut client = server.connect();
    let first = client.get("/page", "");
    replace(&folder, "page", "something else");
    let second = client.get("/page?query", "");
    assert_eq!((first.body.as_slice(), second.body.as_slice()), (&b"old"[..], &b"old"[..]));
    assert_eq!(first.field("etag"), second.field("etag"));
    let etag = first.field("etag").expect("a tag");
    assert_eq!(client.get("/page", &format!("If-None-Match: {etag}\r\n")).status, 304);
    assert_eq!(client.get("/page", "Range: bytes=1-\r\n").body, b"ld");
    let head = client.ask("HEAD /page HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.field("content-length"), head.field("etag")), (Some("3"), Some(etag)));
    // Another spelling is another path.
    assert_eq!(content(&mut client, "/./page"), "something else");
}

#[test]
fn cached_lookups_expire() {
    let folder = Folder::new();
    folder.write("page", "old");
    folder.write("gone", "here");
    let server = server(&folder, "0.05");
    let mut client = server.connect();
    assert_eq!((content(&mut client, "/page"), content(&mut client, "/gone")), ("old".into(), "here".into()));
    replace(&folder, "page", "new");
    fs::remove_file(folder.root().join("gone")).expect("remove");
    eventually("the new page is seen", || content(&mut client, "/page") == "new");
    eventually("the removed file is not served", || client.get("/gone", "").status == 404);
    // Written in place, with the same size: only the times differ.
    folder.write("page", "neu");
    eventually("the newer page is seen", || content(&mut client, "/page") == "neu");
    let directory = folder.root().join("page");
    fs::remove_file(&directory).expect("remove");
    fs::create_dir(&directory).expect("a folder");
    eventually("a folder is not served as a file", || client.get("/page", "").status == 301);
    fs::remove_dir(&directory).expect("remove");
    std::os::unix::fs::symlink(folder.beside("secret"), &directory).expect("a link");
    eventually("a link that leads out is refused", || client.get("/page", "").status == 404);
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
    for target in ["/ok", "/big", "/index.html"] {
        assert_eq!(client.get(target, "").status, 200);
    }
    assert!(files_held(&server, &folder) >= 1, "the cache holds files open");
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
