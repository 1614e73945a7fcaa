//! Listings (`--listing`): order, formats, and directories of many names.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Client, Folder, Response, Server, with_both_backends};

/// A folder with `list/`, in which each order of the entries is another one.
fn folder() -> Folder {
    let folder = Folder::new();
    for sub in ["list", "list/Sub", "list/sub 2"] {
        fs::create_dir(folder.root().join(sub)).expect("a folder");
    }
    for (name, size, time) in [("a2", 30, 1), ("A10", 2000, 3), ("b", 7, 2)] {
        folder.write(format!("list/{name}"), vec![b'x'; size]);
        set_modified(&folder, name, time);
    }
    set_modified(&folder, "Sub", 5);
    set_modified(&folder, "sub 2", 4);
    folder
}

fn set_modified(folder: &Folder, name: &str, seconds: u64) {
    let file = fs::File::open(folder.root().join("list").join(name)).expect("it");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).expect("a time");
}

/// The texts of the links in the rows.
fn names(page: &Response) -> Vec<&str> {
    let rows = page.text().split("<tr><td><a href=\"").skip(1);
    rows.map(|row| row.split(['>', '<']).nth(1).expect("a name")).collect()
}

#[test]
fn the_query_decides_the_order() {
    let folder = folder();
    with_both_backends(|start| {
        let server = start(&folder.root(), &["--listing"]);
        let mut client = server.connect();
        for (query, want) in [
            ("", ["Sub/", "sub 2/", "a2", "A10", "b"]),
            ("?sort=name&order=desc", ["sub 2/", "Sub/", "b", "A10", "a2"]),
            ("?sort=size", ["Sub/", "sub 2/", "b", "a2", "A10"]),
            ("?sort=size&order=desc", ["Sub/", "sub 2/", "A10", "a2", "b"]),
            ("?sort=date&order=asc", ["sub 2/", "Sub/", "a2", "b", "A10"]),
            ("?order=desc&sort=date", ["Sub/", "sub 2/", "A10", "b", "a2"]),
            ("?sort=colour&order=up&x", ["Sub/", "sub 2/", "a2", "A10", "b"]),
        ] {
            let page = client.get(&format!("/list/{query}"), "");
            assert_eq!(names(&page)[1..], want, "{query}");
            assert!(
                page.text().contains("<td>  2.0 KiB<td>")
                    || page.text().contains("1.9 KiB<td>1970-01-01 00:00")
            );
            let head = client.ask(&format!("HEAD /list/{query} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(head.field("Content-Length"), page.field("Content-Length"));
        }
        // The order stays on the way into a folder, and on the way up.
        let page = client.get("/list/?sort=size&order=desc", "");
        let query = "?sort=size&amp;order=desc\"";
        for link in ["\"../", "\"./", "\"sub%202/"] {
            assert!(page.text().contains(&format!("<a href={link}{query}")), "{link} {}", page.text());
        }
        assert!(page.text().contains("<a href=\"A10\">"), "no query for a file");
        let sorted =
            "<th scope=\"col\" aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">Size</a>";
        assert!(page.text().contains(sorted), "{}", page.text());
        assert_eq!(page.text().matches("aria-sort").count() - page.text().matches("[aria-sort").count(), 1);
        let moved = client.get("/list?sort=size", "");
        assert_eq!(moved.field("Location"), Some("./list/?sort=size"));
    });
}

#[test]
fn the_fields_of_a_listing() {
    let folder = folder();
    let server = Server::start(&folder.root(), &["--listing"]);
    let mut client = server.connect();
    for (query, accept, media_type, varies) in [
        ("", "", "text/html; charset=utf-8", true),
        ("", "Accept: text/html,*/*;q=0.8\r\n", "text/html; charset=utf-8", true),
        ("", "Accept: application/json\r\n", "application/json", true),
        ("", "Accept: text/html;q=0.5\r\nAccept: application/json;q=0.9\r\n", "application/json", true),
        ("?format=json", "Accept: text/html\r\n", "application/json", false),
        ("?format=html", "Accept: application/json\r\n", "text/html; charset=utf-8", false),
        ("?format=csv", "", "text/html; charset=utf-8", true),
    ] {
        let response = client.get(&format!("/list/{query}"), accept);
        assert_eq!(response.field("Content-Type"), Some(media_type), "{query} {accept}");
        assert_eq!(response.field("Vary"), varies.then_some("Accept"), "{query} {accept}");
        assert_eq!(response.field("X-Content-Type-Options"), Some("nosniff"));
        let policy = response.field("Content-Security-Policy").unwrap_or_default();
        assert_eq!(policy.contains("default-src 'none'"), media_type.starts_with("text/html"));
        assert_eq!(response.field("Cache-Control"), Some("no-cache"));
    }
}

fn entries(client: &mut Client, target: &str) -> Vec<Value> {
    let response = client.get(target, "Accept: application/json\r\n");
    assert_eq!(response.status, 200, "{target}");
    serde_json::from_str(response.text()).expect("an array")
}

#[test]
fn json_has_the_fields_of_autoindex() {
    let folder = folder();
    let odd = folder.root().join("list").join(OsStr::from_bytes(b"\xff\"<&\n:#?.txt"));
    fs::write(&odd, "odd").expect("a file");
    with_both_backends(|start| {
        let server = start(&folder.root(), &["--listing"]);
        let mut client = server.connect();
        let list = entries(&mut client, "/list/?sort=size&order=desc");
        let field = |name| list.iter().map(|entry| entry[name].clone()).collect::<Vec<_>>();
        assert_eq!(field("name"), ["Sub", "sub 2", "A10", "a2", "b", "\u{fffd}\"<&\n:#?.txt"]);
        assert_eq!(field("type"), ["directory", "directory", "file", "file", "file", "file"]);
        assert_eq!(field("size")[2..], [2000, 30, 7, 3]);
        assert_eq!(list[0].get("size"), None, "of files only");
        assert_eq!(list[0]["mtime"], "Thu, 01 Jan 1970 00:00:05 GMT");
        for entry in &list {
            let target = format!("/list/{}", entry["url"].as_str().expect("a URL"));
            let response = client.get(&target, "");
            assert_eq!(response.status, 200, "{target}");
            if entry["type"] == "file" {
                assert_eq!(entry["size"], response.body.len());
            }
        }
        assert_eq!(entries(&mut client, "/list/Sub/"), Vec::<Value>::new());
        assert_eq!(client.get("/list/Sub/?format=json", "").text(), "[\n]\n");
    });
}

/// More names than one turn of the loop reads: the requests behind them wait, and the length is promised in each version
/// and format.
#[test]
fn a_listing_of_several_turns_is_whole() {
    let folder = Folder::new();
    let many = folder.root().join("many");
    fs::create_dir(&many).expect("a folder");
    fs::write(many.join("n0"), "").expect("a file");
    const NAMES: usize = 20_000;
    for n in 1..NAMES {
        fs::hard_link(many.join("n0"), many.join(format!("n{n}"))).expect("a link");
    }
    with_both_backends(|start| {
        let server = start(&folder.root(), &["--listing"]);
        let mut client = server.connect();
        for query in ["", "?sort=size", "?sort=date&order=desc", "?format=json", "?format=json&sort=size"] {
            let ask = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            let target = format!("/many/{query}");
            let batch =
                [ask("GET", "/ok"), ask("GET", &target), ask("HEAD", &target), ask("GET", "/ok")].concat();
            client.send(batch);
            assert_eq!(client.read("GET").text(), "hello\n");
            let page = client.read("GET");
            assert_eq!(page.status, 200, "{query}");
            let positions: Vec<usize> = [0, 9, 10, 999, 1000, NAMES - 1]
                .iter()
                .map(|n| page.text().find(&format!("\"n{n}\"")).unwrap_or_else(|| panic!("n{n} in {query}")))
                .collect();
            assert!(positions.is_sorted(), "{query}: {positions:?}");
            let rows =
                page.text().matches("\n<tr><td><a href=\"n").count() + page.text().matches("\n{ ").count();
            assert_eq!(rows, NAMES, "{query}");
            assert_eq!(client.read("HEAD").field("Content-Length"), page.field("Content-Length"));
            assert_eq!(client.read("GET").text(), "hello\n");
            let old = server.connect().ask(&format!("GET {target} HTTP/1.0\r\n\r\n"));
            assert!(old.body == page.body && old.field("Content-Length").is_some(), "HTTP/1.0: {query}");
        }
        // A body is read before the response.
        let request = "GET /many/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        client.send(request);
        client.send("12345");
        assert_eq!(client.read("GET").status, 200);
        // Clients that are gone before the response begins, or in its middle.
        for _ in 0..20 {
            let mut other = server.connect();
            other.send("GET /many/?sort=size HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        let mut other = server.connect();
        other.send("GET /many/ HTTP/1.1\r\nHost: a\r\n\r\n");
        other.read_some(&mut [0; 10]);
        drop(other);
        assert_eq!(client.get("/ok", "").text(), "hello\n");
        assert_eq!(names(&server.connect().get("/many/", "")).len(), NAMES + 1);
    });
}
