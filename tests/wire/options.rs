//! The options of the file service: `--dotfiles --no-symlinks --max-age --precompressed --listing`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::rules::holds;
use crate::support::{Client, Folder, Response, with_both_backends};

#[test]
fn dotfiles() {
    with_both_backends(|start| {
        let folder = Folder::new();
        fs::create_dir(folder.root().join(".git")).expect("a folder");
        folder.write(".git/config", "config");
        folder.write(".env", "env");
        folder.write("...", "three dots");
        let server = start(&folder.root(), &["--dotfiles"]);
        let mut client = server.connect();
        for (target, want) in [
            ("/.git/config", "config"),
            ("/.env", "env"),
            ("/%2eenv", "env"),
            ("/...", "three dots"),
            ("/.git/../.env", "env"),
            ("/./.env", "env"),
        ] {
            assert_eq!(client.get(target, "").text(), want, "{target}");
        }
        assert_eq!(client.get("/.git", "").field("Location"), Some("./.git/"));
        assert_eq!(client.get("/../secret", "").status, 400, "two dots still mean one level up");
    });
}

#[test]
fn symlinks_are_refused() {
    with_both_backends(|start| {
        let folder = Folder::new();
        symlink("ok", folder.root().join("link")).expect("a link");
        symlink("sub", folder.root().join("dir")).expect("a link");
        symlink("root", folder.beside("way")).expect("a link");
        // Links on the way to the root are the operator's, and allowed.
        let server = start(&folder.beside("way"), &["--no-symlinks", "--listing"]);
        let mut client = server.connect();
        for (target, want) in [
            ("/ok", 200),
            ("/sub/", 200),
            ("/link", 404),
            ("/dir", 404),
            ("/dir/", 404),
            ("/dir/index.html", 404),
        ] {
            assert_eq!(client.get(target, "").status, want, "{target}");
        }
        fs::remove_file(folder.root().join("index.html")).expect("no index");
        assert_eq!(links(&client.get("/", "")), ["sub/", "big", "ok"], "and not listed either");
    });
}

#[test]
fn symlinks_lead_where_they_may() {
    with_both_backends(|start| {
        let folder = Folder::new();
        let root = folder.root();
        fs::create_dir(folder.beside("outside")).expect("a folder");
        fs::write(folder.beside("outside/file"), "outside").expect("a file");
        symlink(root.join("ok"), root.join("absolute")).expect("a link");
        symlink(root.join("sub"), root.join("dir")).expect("a link");
        symlink("../outside/file", root.join("out")).expect("a link");
        symlink(folder.beside("outside"), root.join("away")).expect("a link");
        symlink("nothing", root.join("broken")).expect("a link");
        fs::remove_file(root.join("index.html")).expect("no index");
        let inside = ["dir/", "sub/", "absolute", "big", "ok"];
        let server = start(&root, &["--listing"]);
        let mut client = server.connect();
        for (target, want) in [
            ("/absolute", 200),
            ("/dir", 301),
            ("/dir/", 200),
            ("/out", 404),
            ("/away/file", 404),
            ("/away/", 404),
            ("/broken", 404),
        ] {
            assert_eq!(client.get(target, "").status, want, "{target}");
        }
        assert_eq!(links(&client.get("/", "")), inside);
        server.wait_for("leads out of the root");
        assert_eq!(
            server.count_said("leads out of the root by a symbolic link"),
            1,
            "a line, and not one each"
        );
        let server = start(&root, &["--listing", "--follow-symlinks", "--sandbox", "off"]);
        let mut client = server.connect();
        for (target, want) in [("/out", 200), ("/away/file", 200), ("/away/", 200), ("/broken", 404)] {
            assert_eq!(client.get(target, "").status, want, "{target}");
        }
        assert_eq!(client.get("/../outside/file", "").status, 400, "only links lead out");
        assert_eq!(links(&client.get("/", "")), [&["away/"], &inside[..4], &["ok", "out"]].concat());
    });
}

#[test]
fn max_age() {
    let folder = Folder::new();
    let server = crate::support::Server::start(&folder.root(), &["--max-age", "3600"]);
    let mut client = server.connect();
    for (target, fields, status, want) in [
        ("/ok", "", 200, Some("max-age=3600")),
        ("/", "", 200, Some("max-age=3600")),
        ("/ok", "Range: bytes=0-1\r\n", 206, Some("max-age=3600")),
        ("/ok", "Range: bytes=0-1,3-3\r\n", 206, Some("max-age=3600")),
        ("/ok", "If-None-Match: *\r\n", 304, Some("max-age=3600")),
        ("/ok", "Range: bytes=100-\r\n", 416, None),
        ("/ok", "If-Match: \"x\"\r\n", 412, None),
        ("/none", "", 404, None),
        ("/sub", "", 301, None),
    ] {
        let response = client.get(target, fields);
        let got = (response.status, response.field("Cache-Control"));
        assert_eq!(got, (status, want), "{target} {fields}");
    }
    let plain = crate::support::Server::start(&folder.root(), &[]);
    assert_eq!(plain.connect().get("/ok", "").field("Cache-Control"), None);
}

fn set_modified(folder: &Folder, name: &str, seconds: u64) {
    let file = OpenOptions::new().write(true).open(folder.root().join(name)).expect("a file");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).expect("a time");
}

fn accepting(client: &mut Client, target: &str, codings: &str) -> Response {
    client.get(target, &format!("Accept-Encoding: {codings}\r\n"))
}

#[test]
fn b23_a_sibling_that_the_client_takes() {
    with_both_backends(|start| {
        let folder = Folder::new();
        for (suffix, content) in [("", "plain"), (".br", "br"), (".zst", "zst"), (".gz", "gz")] {
            folder.write(format!("a.css{suffix}"), content);
            set_modified(&folder, &format!("a.css{suffix}"), 1_000_000_000);
            folder.write(format!("sub/index.html{suffix}"), content);
        }
        let server = start(&folder.root(), &["--precompressed"]);
        let mut client = server.connect();
        let mut tags = Vec::new();
        for (codings, coding, body) in [
            ("gzip, deflate, br, zstd", Some("br"), "br"),
            ("gzip, zstd", Some("zstd"), "zst"),
            ("gzip", Some("gzip"), "gz"),
            ("gzip, br;q=0.5", Some("gzip"), "gz"),
            ("*", Some("br"), "br"),
            ("br;q=0, *;q=0.1", Some("zstd"), "zst"),
            ("identity, br;q=0.5", None, "plain"),
            ("identity;q=0", None, "plain"),
            ("deflate", None, "plain"),
            ("", None, "plain"),
        ] {
            let response = accepting(&mut client, "/a.css", codings);
            assert_eq!((response.status, response.text()), (200, body), "{codings}");
            assert_eq!(response.field("Content-Encoding"), coding, "{codings}");
            assert_eq!(response.field("Content-Type"), Some("text/css"), "{codings}");
            assert_eq!(response.field("Vary"), Some("Accept-Encoding"), "{codings}");
            tags.push(response.field("ETag").expect("a tag").to_string());
        }
        assert_eq!(client.get("/a.css", "").text(), "plain", "without Accept-Encoding the file itself");
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 4, "one for each encoding: {tags:?}");
        let index = accepting(&mut client, "/sub/", "br");
        assert_eq!((index.text(), index.field("Content-Type")), ("br", Some("text/html")));
        let head = client.ask("HEAD /a.css HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
        assert_eq!((head.field("Content-Length"), head.field("Content-Encoding")), (Some("2"), Some("gzip")));
        check_conditions_and_ranges(&mut client);
    });
    holds(
        "B23",
        "12 preconditions with a range × both backends: 304, a part of the original, or the whole sibling",
        "as if there were no range; bytes of two codings are never joined",
    );
}

fn check_conditions_and_ranges(client: &mut Client) {
    let tag = accepting(client, "/a.css", "br").field("ETag").expect("a tag").to_string();
    let unchanged = client.get("/a.css", &format!("Accept-Encoding: br\r\nIf-None-Match: {tag}\r\n"));
    assert_eq!((unchanged.status, unchanged.field("Vary")), (304, Some("Accept-Encoding")));
    assert_eq!(unchanged.field("ETag"), Some(tag.as_str()));
    let other = client.get("/a.css", &format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n"));
    assert_eq!((other.status, other.text()), (200, "gz"), "the tag is that of another encoding");
    check_ranges(client, &tag);
}

/// A range is one of the original; `tag` is that of the sibling. Preconditions are evaluated as if there were no range, and
/// no client that names the sibling gets bytes of the original, or the other way round.
fn check_ranges(client: &mut Client, tag: &str) {
    let ask = |client: &mut Client, fields: &str| {
        client.get("/a.css", &format!("Accept-Encoding: br\r\n{fields}\r\n"))
    };
    let plain = client.get("/a.css", "");
    let plain_tag = plain.field("ETag").expect("a tag").to_string();
    let date = plain.field("Last-Modified").expect("a date").to_string();
    let range = ask(client, "Range: bytes=1-2");
    assert_eq!((range.status, range.text(), range.field("Content-Encoding")), (206, "la", None));
    assert_eq!(
        (range.field("Vary"), range.field("Content-Range"), range.field("ETag")),
        (Some("Accept-Encoding"), Some("bytes 1-2/5"), Some(plain_tag.as_str()))
    );
    for (fields, status, text, coding) in [
        (format!("If-None-Match: {tag}"), 304, "", None),
        (format!("If-None-Match: {plain_tag}"), 304, "", None),
        ("If-None-Match: \"x\"".into(), 206, "la", None),
        (format!("If-Modified-Since: {date}"), 304, "", None),
        // The client has bytes of the sibling.
        (format!("If-Match: {tag}"), 200, "br", Some("br")),
        (format!("If-Range: {tag}"), 200, "br", Some("br")),
        // It may have, since original and sibling have the same date.
        (format!("If-Range: {date}"), 200, "br", Some("br")),
        (format!("If-Unmodified-Since: {date}"), 200, "br", Some("br")),
        // It has bytes of the original.
        (format!("If-Match: {plain_tag}"), 206, "la", None),
        (format!("If-Range: {plain_tag}"), 206, "la", None),
        ("If-Match: *".into(), 206, "la", None),
        ("If-Range: \"x\"".into(), 200, "br", Some("br")),
    ] {
        let response = ask(client, &format!("Range: bytes=1-2\r\n{fields}"));
        assert_eq!((response.status, response.field("Content-Encoding")), (status, coding), "{fields}");
        assert!(response.text() == text, "{fields}: {}", response.text());
        assert_eq!(response.field("Vary"), Some("Accept-Encoding"), "{fields}");
    }
    assert_eq!(ask(client, "Range: bytes=1-2\r\nIf-Match: \"x\"").status, 412);
    assert_eq!(ask(client, "Range: bytes=9-").status, 416);
    let ignored = ask(client, "Range: bytes=x");
    assert_eq!((ignored.status, ignored.text()), (200, "br"), "as if there were no range");
}

#[test]
fn files_that_are_no_siblings() {
    with_both_backends(|start| {
        let folder = Folder::new();
        let root = folder.root();
        for name in ["old", "dir", "link", "out", "alone", "same"] {
            folder.write(name, "plain");
            set_modified(&folder, name, 1_000_000_000);
        }
        folder.write("old.br", "older than its original");
        set_modified(&folder, "old.br", 999_999_999);
        folder.write("lonely.gz", "without an original");
        fs::create_dir(root.join("dir.br")).expect("a folder");
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("dir.gz"), rustix::fs::Mode::RWXU).expect("a FIFO");
        symlink("old.br", root.join("link.br")).expect("a link");
        symlink("ok", root.join("link.gz")).expect("a link");
        fs::write(folder.beside("out.br"), "outside").expect("a file");
        symlink("../out.br", root.join("out.br")).expect("a link");
        fs::hard_link(root.join("same"), root.join("same.gz")).expect("a link");
        let server = start(&root, &["--precompressed"]);
        let mut client = server.connect();
        for name in ["old", "dir", "out", "alone"] {
            let response = accepting(&mut client, &format!("/{name}"), "br, gzip, zstd");
            assert_eq!((response.status, response.text()), (200, "plain"), "{name}");
            assert_eq!((response.field("Vary"), response.field("Content-Encoding")), (None, None), "{name}");
        }
        assert_eq!(accepting(&mut client, "/lonely", "gzip").status, 404);
        assert_eq!(accepting(&mut client, "/lonely.gz", "gzip").text(), "without an original");
        let linked = accepting(&mut client, "/link", "br, gzip");
        assert_eq!(
            (linked.text(), linked.field("Content-Encoding")),
            ("hello\n", Some("gzip")),
            "followed inside"
        );
        let (plain, coded) = (client.get("/same", ""), accepting(&mut client, "/same", "gzip"));
        assert_ne!(plain.field("ETag"), coded.field("ETag"), "one inode, two encodings");
        // Without the flag no sibling is looked for.
        let plain = start(&root, &[]);
        let response = accepting(&mut plain.connect(), "/link", "br, gzip");
        assert_eq!((response.text(), response.field("Vary")), ("plain", None));
    });
}

/// The links of a page, unchanged.
fn links(page: &Response) -> Vec<&str> {
    let rows = page.text().split("<tr><td><a href=\"").skip(1);
    rows.map(|row| row.split('"').next().expect("an end")).collect()
}

#[test]
fn listings() {
    with_both_backends(|start| {
        let folder = Folder::new();
        let root = folder.root();
        fs::create_dir_all(root.join("list/Zoo")).expect("folders");
        fs::create_dir_all(root.join("list/empty")).expect("folders");
        for name in ["b.txt", "A b.txt", "<i>&.txt", ".hidden", "c\nd"] {
            folder.write(format!("list/{name}"), vec![b'x'; 1536]);
        }
        set_modified(&folder, "list/b.txt", 784_111_777);
        for (link, target) in [
            ("in", "b.txt"),
            ("in_dir", "Zoo"),
            ("out", "../../secret"),
            ("gone", "nothing"),
            ("round", "round"),
        ] {
            symlink(target, root.join("list").join(link)).expect("a link");
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("list/fifo"), rustix::fs::Mode::RWXU)
            .expect("a FIFO");
        let server = start(&root, &["--listing", "--max-age", "60", "--file-cache", "0"]);
        let mut client = server.connect();
        let page = client.get("/list/", "");
        assert_eq!(page.status, 200);
        assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(
            page.field("Cache-Control"),
            Some("no-cache"),
            "no max-age: a listing may change at any time"
        );
        assert_eq!((page.field("ETag"), page.field("Last-Modified")), (None, None));
        let want =
            ["../", "empty/", "in_dir/", "Zoo/", "%3Ci%3E%26.txt", "A%20b.txt", "b.txt", "c%0Ad", "in"];
        assert_eq!(links(&page), want, "folders first, by name, and what would be served only");
        assert!(page.text().contains("3 folders, 5 files"), "{}", page.text());
        assert!(page.text().contains(">&lt;i&gt;&amp;.txt</a>"), "{}", page.text());
        assert_eq!(
            page.text().matches("<td> 1.5 KiB<td>1994-11-06 08:49").count(),
            2,
            "the file and its link"
        );
        for link in links(&page) {
            assert_eq!(client.get(&format!("/list/{link}"), "").status, 200, "{link}");
        }
        let head = client.ask("HEAD /list/ HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((head.status, head.field("Content-Length")), (200, page.field("Content-Length")));
        assert_eq!(client.get("/list", "").field("Location"), Some("./list/"), "still redirected");
        assert_eq!(client.get("/list/?sort=name", "").body, page.body);
        assert_eq!(client.get("/list/", "Range: bytes=0-9\r\n").status, 200);
        assert_eq!(client.get("/list/", "If-Match: \"x\"\r\n").status, 412);
        assert!(client.get("/list/empty/", "").text().contains("Nothing here"));
        assert_eq!(client.get("/", "").text(), "<html>index</html>", "the index comes first");
        for (target, want) in
            [("/none/", 404), ("/list/b.txt/", 404), ("/list/.hidden", 404), ("/list/fifo/", 404)]
        {
            assert_eq!(client.get(target, "").status, want, "{target}");
        }
        fs::remove_file(root.join("index.html")).expect("no index");
        let page = client.get("/", "");
        assert!(!links(&page).contains(&"../"), "nothing is above the root");
        assert_eq!(links(&page), ["list/", "sub/", "big", "ok"]);
        let all = start(&root, &["--listing", "--dotfiles"]);
        assert!(links(&all.connect().get("/list/", "")).contains(&".hidden"));
    });
}

/// The announced length is that of the page, for numbers of rows around the sizes of its pieces.
#[test]
fn listings_of_every_length() {
    let folder = Folder::new();
    let server = crate::support::Server::start(&folder.root(), &["--listing"]);
    fs::create_dir(folder.root().join("list")).expect("a folder");
    let mut names = 0;
    for count in [0, 1, 2, 255, 256, 257, 511, 512, 513, 1999, 2000, 2001, 2100] {
        for n in names..count {
            folder.write(format!("list/{n}"), "");
        }
        names = count;
        // Making the files may take longer than the keep-alive time-out.
        let mut client = server.connect();
        let page = client.get("/list/", "");
        assert_eq!(links(&page).len(), count + 1, "{count} and the way up");
        assert!(page.text().ends_with("</table>\n"));
        assert_eq!(page.text().matches("<td>     0 B<td>").count(), count, "sizes of all");
        assert_eq!(client.get("/ok", "").text(), "hello\n", "the next response begins where the page ends");
    }
}
