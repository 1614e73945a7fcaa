//! Pages: `--index`, `--clean-urls`, `--spa`, `--error-page`, and the pages of errors.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::process::Signal;

use crate::support::server::{eventually, run};
use crate::support::{Client, Folder, Response, Server};

/// What a browser sends when a person opens a page.
const BROWSER: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

/// What it sends for a script.
const SCRIPT: &str = "Accept: */*\r\n";

fn text(client: &mut Client, target: &str) -> String {
    let response = client.get(target, BROWSER);
    assert_eq!(response.status, 200, "{target}");
    response.text().into()
}

fn remove(folder: &Folder, name: &str) {
    fs::remove_file(folder.root().join(name)).expect("remove");
}

fn head(client: &mut Client, target: &str, fields: &str) -> Response {
    client.ask(&format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

/// The cache lives for an hour, and the next request sees each change all the same.
#[test]
fn the_first_index_that_exists() {
    let folder = Folder::new();
    let index = "default.htm, index.xhtml,index.html";
    let server = Server::start(
        &folder.root(),
        &["--no-listing", "--index", index, "--precompressed", "--file-cache", "3600"],
    );
    let mut client = server.connect();
    assert_eq!(text(&mut client, "/"), "<html>index</html>");
    assert_eq!(text(&mut client, "/"), "<html>index</html>");
    folder.write("index.xhtml", "<html>second</html>");
    folder.write("index.xhtml.gz", "zipped");
    let second = client.get("/", "");
    assert_eq!((second.text(), second.field("Vary")), ("<html>second</html>", Some("Accept-Encoding")));
    assert_eq!(second.field("Content-Type"), Some("application/xhtml+xml"));
    let zipped = client.get("/", "Accept-Encoding: gzip\r\n");
    assert_eq!((zipped.text(), zipped.field("Content-Encoding")), ("zipped", Some("gzip")));
    assert_eq!(zipped.field("Content-Type"), Some("application/xhtml+xml"), "the type of the original");
    assert_eq!(text(&mut client, "/index.html"), "<html>index</html>", "by its own name as well");
    fs::create_dir(folder.root().join("default.htm")).expect("a folder");
    assert_eq!(text(&mut client, "/"), "<html>second</html>", "a folder is no index");
    fs::remove_dir(folder.root().join("default.htm")).expect("remove");
    folder.write("default.htm", "<html>first</html>");
    assert_eq!(client.get("/", "Accept-Encoding: gzip\r\n").text(), "<html>first</html>");
    assert_eq!(text(&mut client, "/"), "<html>first</html>");
    remove(&folder, "default.htm");
    assert_eq!(text(&mut client, "/"), "<html>second</html>");
    for name in ["index.xhtml", "index.html"] {
        remove(&folder, name);
    }
    let hint = client.get("/", SCRIPT);
    assert_eq!(hint.status, 404);
    assert!(hint.text().contains("no default.htm or index.xhtml or index.html;"), "{}", hint.text());
    symlink(folder.beside("secret"), folder.root().join("index.xhtml")).expect("a link");
    folder.write("index.html", "<html>third</html>");
    assert_eq!(client.get("/", "").status, 404, "an index that leads out is refused, and not passed over");
}

/// Whether the worker holds the file open. A file that has changed just now is not cached.
fn holds_open(server: &Server, name: &str) -> bool {
    let links = fs::read_dir(format!("/proc/{}/fd", server.workers[0])).expect("descriptors");
    links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|link| link.ends_with(name))
}

/// A cached document is not served any longer when a file appears that comes before it.
#[test]
fn the_cache_notices_an_earlier_candidate() {
    let folder = Folder::new();
    fs::create_dir(folder.root().join("docs")).expect("a folder");
    for name in ["index.html", "about.html", "docs.html"] {
        folder.write(name, name.repeat(5_000));
    }
    let options = ["--index", "a.html,index.html", "--clean-urls", "--spa", "--file-cache", "3600"];
    let server = Server::start(&folder.root(), &options);
    let mut client = server.connect();
    for (target, cached, earlier) in [
        ("/", "index.html", "a.html"),
        ("/about", "about.html", "about"),
        ("/docs", "docs.html", ""),
        ("/route", "a.html", "route.html"),
    ] {
        eventually("the document is cached", || {
            assert!(text(&mut client, target) == cached.repeat(5_000), "{target} is not {cached}");
            holds_open(&server, cached)
        });
        assert!(text(&mut client, target) == cached.repeat(5_000), "{target} is not {cached}");
        if !earlier.is_empty() {
            folder.write(earlier, earlier.repeat(5_000));
            assert!(text(&mut client, target) == earlier.repeat(5_000), "{target} is not {earlier}");
        }
    }
}

#[test]
fn clean_urls() {
    let folder = Folder::new();
    folder.write("about.html", "<html>about</html>");
    folder.write("about.html.br", "brotli");
    folder.write("plain", "plain");
    folder.write("plain.html", "<html>plain</html>");
    fs::create_dir_all(folder.root().join("docs/deep")).expect("a folder");
    folder.write("docs.html", "<html>docs</html>");
    folder.write("docs/one.html", "<html>one</html>");
    folder.write("sub.html", "<html>beside sub</html>");
    folder.write(".well-known.html", "hidden");
    let options = ["--clean-urls", "--precompressed", "--file-cache", "3600"];
    let server = Server::start(&folder.root(), &options);
    let mut client = server.connect();
    for (target, want) in [
        ("/about", "<html>about</html>"),
        ("/about.html", "<html>about</html>"),
        ("/plain", "plain"),
        ("/docs", "<html>docs</html>"),
        ("/docs/one?a=b", "<html>one</html>"),
        ("/sub", "<html>beside sub</html>"),
        ("/sub/", "<html>sub</html>"),
        ("/index", "<html>index</html>"),
    ] {
        for _ in 0..2 {
            assert_eq!(text(&mut client, target), want, "{target}");
        }
    }
    let about = client.get("/about", "Accept-Encoding: br\r\n");
    assert_eq!((about.text(), about.field("Content-Encoding")), ("brotli", Some("br")));
    assert_eq!(about.field("Content-Type"), Some("text/html"));
    let tag = client.get("/about", "").field("ETag").expect("a tag").to_string();
    assert_eq!(client.get("/about", &format!("If-None-Match: {tag}\r\n")).status, 304);
    assert_eq!(client.get("/about", "Range: bytes=0-5\r\n").text(), "<html>");
    for (target, location) in [
        ("/about/", Some("../about")),
        ("/docs/?a=%22&b", Some("../docs?a=%22&b")),
        ("/%61bout/", Some("../%61bout")),
        ("/docs/deep", Some("./deep/")),
        // What a client makes of `../about` there is another path.
        ("/about//", None),
        ("/.well-known", None),
        ("/.well-known/", None),
        ("/x%2fabout/", None),
        ("/none/", None),
        ("/none", None),
        ("/docs/deep/", None),
    ] {
        let response = client.get(target, "");
        let want = if location.is_some() { 301 } else { 404 };
        assert_eq!((response.status, response.field("Location")), (want, location), "{target}");
    }
    folder.write("about", "now a file");
    assert_eq!(text(&mut client, "/about"), "now a file");
    remove(&folder, "about");
    fs::create_dir(folder.root().join("about")).expect("a folder");
    assert_eq!(text(&mut client, "/about"), "<html>about</html>", "a page comes before a folder");
    folder.write("about/index.html", "<html>in about</html>");
    assert_eq!(text(&mut client, "/about"), "<html>about</html>");
    assert_eq!(text(&mut client, "/about/"), "<html>in about</html>");
    remove(&folder, "about.html");
    assert_eq!(client.get("/about", "").field("Location"), Some("./about/"));
    let long = format!("/{}", "x".repeat(253));
    assert_eq!(client.get(&long, "").status, 404);
    drop(server);
    let server = Server::start(&folder.root(), &[]);
    assert_eq!(server.connect().get("/index", "").status, 404, "without the option");
}

#[test]
fn listed_folders_stay_listed_beside_a_page() {
    let folder = Folder::new();
    fs::create_dir(folder.root().join("docs")).expect("a folder");
    folder.write("docs.html", "<html>docs</html>");
    let server = Server::start(&folder.root(), &["--clean-urls", "--listing", "--spa"]);
    let mut client = server.connect();
    assert_eq!(text(&mut client, "/docs"), "<html>docs</html>");
    assert!(client.get("/docs/", BROWSER).text().contains("Nothing here"), "a listing");
    fs::remove_dir(folder.root().join("docs")).expect("remove");
    assert_eq!(client.get("/docs/", BROWSER).field("Location"), Some("../docs"));
    assert_eq!(text(&mut client, "/none/"), "<html>index</html>");
}

#[test]
fn history_routing() {
    let folder = Folder::new();
    folder.write("index.html.gz", "zipped");
    folder.write("a.js", "1");
    fs::create_dir_all(folder.root().join("assets")).expect("a folder");
    fs::create_dir_all(folder.root().join(".git")).expect("a folder");
    folder.write("locked", "x");
    symlink(folder.beside("secret"), folder.root().join("out")).expect("a link");
    let options = ["--spa", "--precompressed", "--max-age", "3600", "--file-cache", "3600"];
    let server = Server::start(&folder.root(), &options);
    let mut client = server.connect();
    let index = client.get("/", BROWSER);
    assert_eq!(index.field("Cache-Control"), Some("max-age=3600"));
    assert_eq!(index.field("Vary"), Some("Accept-Encoding"));
    let tag = index.field("ETag").expect("a tag").to_string();
    for target in
        ["/users/7", "/users/john.doe?tab=1", "/assets/", "/ok/below", "/none.js", &"/x".repeat(300)]
    {
        let page = client.get(target, BROWSER);
        assert_eq!((page.status, page.text()), (200, "<html>index</html>"), "{target}");
        assert_eq!(page.field("Content-Type"), Some("text/html"));
        assert_eq!(page.field("Cache-Control"), Some("no-cache"), "{target}");
        assert_eq!(page.field("Vary"), Some("Accept, Accept-Encoding"));
        assert_eq!(page.field("ETag"), Some(tag.as_str()));
        let program = client.get(target, SCRIPT);
        assert_eq!((program.status, program.field("Vary")), (404, Some("Accept")), "{target}");
    }
    assert_eq!(client.get("/users/7", "").status, 404, "no Accept");
    let zipped = client.get("/users/7", &format!("{BROWSER}Accept-Encoding: gzip\r\n"));
    assert_eq!((zipped.text(), zipped.field("Vary")), ("zipped", Some("Accept, Accept-Encoding")));
    let empty = head(&mut client, "/users/7", BROWSER);
    assert_eq!((empty.status, empty.field("Content-Length")), (200, Some("18")));
    let unchanged = client.get("/users/7", &format!("{BROWSER}If-None-Match: {tag}\r\n"));
    assert_eq!((unchanged.status, unchanged.field("Cache-Control")), (304, Some("no-cache")));
    assert_eq!(client.get("/users/7", &format!("{BROWSER}If-Match: \"x\"\r\n")).status, 412);
    let part = client.get("/users/7", &format!("{BROWSER}Range: bytes=6-10\r\n"));
    assert_eq!((part.status, part.text(), part.field("Cache-Control")), (206, "index", Some("no-cache")));
    let part = client.get("/users/7", &format!("{BROWSER}Range: bytes=6-10\r\nAccept-Encoding: gzip\r\n"));
    assert_eq!((part.status, part.text()), (206, "index"), "of the original");
    for (target, status) in
        [("/.git/config", 404), ("/../x", 400), ("/%00", 400), ("/out", 404), ("/sub", 301), ("/a.js", 200)]
    {
        assert_eq!(client.get(target, BROWSER).status, status, "{target}");
    }
    assert_eq!(client.ask(&format!("POST /users/7 HTTP/1.1\r\nHost: a\r\n{BROWSER}\r\n")).status, 405);
    folder.write("users", "a file now");
    assert_eq!(text(&mut client, "/users"), "a file now");
    folder.write("index.html", "<html>new build</html>");
    assert_eq!(text(&mut client, "/users/7"), "<html>new build</html>");
    remove(&folder, "index.html");
    assert_eq!(client.get("/users/7", BROWSER).status, 404);
    assert_eq!(client.get("/users/7", BROWSER).status, 404);
    folder.write("index.html", "<html>again</html>");
    assert_eq!(text(&mut client, "/users/7"), "<html>again</html>");
}

/// Unknown paths share one document, and evict none.
#[test]
fn many_unknown_paths_are_one_document() {
    let folder = Folder::new();
    folder.write("200.html", "y".repeat(50_000));
    let server = Server::start(&folder.root(), &["--spa-file", "/200.html", "--file-cache", "3600"]);
    let mut client = server.connect();
    let get = |client: &mut Client, number: u32| client.get(&format!("/route/{number}"), BROWSER).body.len();
    eventually("the document is cached", || {
        assert_eq!(get(&mut client, 0), 50_000);
        // The response before this one has its file no longer.
        text(&mut client, "/") == "<html>index</html>" && holds_open(&server, "200.html")
    });
    for number in 0..200 {
        assert_eq!(get(&mut client, number), 50_000);
    }
    assert_eq!(text(&mut client, "/"), "<html>index</html>");
    let links = fs::read_dir(format!("/proc/{}/fd", server.workers[0])).expect("descriptors");
    let links = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let held = links.filter(|link| link.ends_with("200.html")).count();
    assert_eq!(held, 1, "descriptors of one file");
    remove(&folder, "200.html");
    fs::create_dir(folder.root().join("200.html")).expect("a folder");
    assert_eq!(client.get("/route", BROWSER).status, 404, "a folder is no document");
}

/// Browsers get a page, and programs a text.
#[test]
fn errors_are_pages_for_browsers() {
    let folder = Folder::new();
    folder.write("locked", "x");
    let locked = fs::Permissions::from_mode(0o000);
    fs::set_permissions(folder.root().join("locked"), locked).expect("permissions");
    fs::create_dir_all(folder.root().join("empty")).expect("a folder");
    // Root reads every file; its workers without capabilities do not.
    let server = Server::start(&folder.root(), &["--no-listing"]);
    let mut client = server.connect();
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    for (method, target, status, title) in [
        ("GET", "/none", 404, "There is nothing here"),
        ("GET", "/empty/", 404, "This folder has no index.html"),
        ("GET", "/../x", 400, "This address has no meaning"),
        ("GET", "/locked", 403, "This cannot be read"),
        ("POST", "/ok", 405, "This can only be read"),
        ("BREW", "/ok", 501, "This server knows no such method"),
    ] {
        if status == 403 && client.get(target, "").status == 200 {
            println!("this user reads every file: no 403");
            continue;
        }
        let ask = |accept: &str| format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{accept}\r\n");
        let page = client.ask(&ask(BROWSER));
        assert_eq!((page.status, page.field("Content-Type")), (status, Some("text/html; charset=utf-8")));
        assert!(page.text().contains(&format!("<h1>{title}</h1>")), "{target}: {}", page.text());
        assert!(page.field("Content-Security-Policy").is_some_and(|policy| policy.contains("'none'")));
        assert!(!page.text().contains(root) && !page.text().contains(&target[1..]), "{target}");
        let plain = client.ask(&ask(SCRIPT));
        assert_eq!((plain.status, plain.field("Content-Type")), (status, Some("text/plain; charset=utf-8")));
        assert!(!plain.text().contains('<') && plain.text().lines().count() == 2, "{}", plain.text());
        for response in [&page, &plain] {
            assert_eq!(response.field("Vary"), Some("Accept"));
            assert_eq!(response.field("X-Content-Type-Options"), Some("nosniff"));
            assert_eq!(response.field("Allow").is_some(), [405, 501].contains(&status));
        }
    }
    let page = client.get("/none", BROWSER).body.len().to_string();
    assert_eq!(head(&mut client, "/none", BROWSER).field("Content-Length"), Some(page.as_str()));
    let hint = client.get("/empty/", SCRIPT);
    assert!(hint.text().contains("no index.html") && hint.text().contains("--listing"), "{}", hint.text());
    assert!(client.get("/empty/", BROWSER).text().contains("<code>--listing</code>"));
    assert!(!client.get("/none/", SCRIPT).text().contains("--listing"), "no folder, no hint");
    // A malformed request has no field that could be believed.
    let mut client = server.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{BROWSER}Bad Name: x\r\n\r\n"));
    let malformed = client.read_to_end("GET").remove(0);
    assert_eq!((malformed.status, malformed.field("Vary")), (400, None));
    assert!(malformed.text().starts_with("400 Bad Request\n"));
}

#[test]
fn pages_of_the_operator() {
    let folder = Folder::new();
    let page = folder.beside("missing.html");
    fs::write(&page, "<html>ours: ä").expect("a page");
    fs::write(folder.beside("405.txt"), "no").expect("a page");
    let missing = format!("404={}", page.display());
    let method = format!("405={}", folder.beside("405.txt").display());
    let server = Server::start(&folder.root(), &["--error-page", &missing, "--error-page", &method, "--spa"]);
    let mut client = server.connect();
    remove(&folder, "index.html");
    for (target, fields) in [("/none", BROWSER), ("/none", SCRIPT), ("/.hidden", ""), ("/", BROWSER)] {
        let response = client.get(target, fields);
        assert_eq!((response.status, response.field("Vary")), (404, Some("Accept")), "{target}");
        if response.field("Content-Type") == Some("text/html; charset=utf-8") {
            assert_eq!(response.text(), "<html>ours: ä");
        } else {
            panic!("{response:?}");
        }
        assert_eq!(response.field("Content-Security-Policy"), None, "the page may have style sheets");
    }
    assert_eq!(head(&mut client, "/none", "").field("Content-Length"), Some("14"));
    fs::write(&page, "<html>theirs").expect("a page");
    assert!(client.get("/none", "").text().contains("ours"), "read at the start");
    server.signal(Signal::HUP);
    eventually("the new page is served", || server.connect().get("/none", BROWSER).text() == "<html>theirs");
}

/// As for all other options: 2 for a value that is none, 1 for one that cannot be used.
#[test]
fn mistakes() {
    let folder = Folder::new();
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    let big = folder.beside("big.html");
    fs::write(&big, vec![b'x'; 300_000]).expect("a file");
    let (fifo, big) = (folder.beside("fifo"), format!("404={}", big.display()));
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    let fifo = format!("404={}", fifo.display());
    for (words, code, says) in [
        (&["--index", ""][..], 2, "give names of files"),
        (&["--index", "a,,b"], 2, "give names of files"),
        (&["--index", "a/b"], 2, "give names of files"),
        (&["--index", ".."], 2, "give names of files"),
        (&["--index", "a,b,c,d,e,f,g,h,i"], 2, "at most 8"),
        (&["--spa-file", "../x"], 2, "below the root"),
        (&["--spa-file", "dist/"], 2, "below the root"),
        (&["--spa-file", "/"], 2, "below the root"),
        (&["--error-page", "404"], 2, "404=404.html"),
        (&["--error-page", "200=x"], 2, "give one of the codes 400, 403, 404"),
        (&["--error-page", "416=x"], 2, "give one of the codes"),
        (&["--error-page", "404=/etc/hostname", "--error-page", "404=/etc/hostname"], 2, "one file for each"),
        (&["--error-page", "404=/no/such/file"], 1, "cannot read the page /no/such/file"),
        (&["--error-page", "404=/etc"], 1, "not a regular file"),
        (&["--error-page", &fifo], 1, "not a regular file"),
        (&["--error-page", &big], 1, "larger than 256 KiB"),
    ] {
        let (got, _, error) = run(&[&["-r", root, "--port", "0"], words].concat());
        assert_eq!((got, error.matches('\n').count()), (code, 1), "{words:?}: {error}");
        assert!(error.contains(says), "{words:?}: {error}");
    }
    fs::write(folder.beside("oops.html"), "<html>oops").expect("a page");
    let file = folder.beside("stheno.toml");
    let text = "root = \"root\"\nport = 0\naccess-log = \"off\"\nerror-page = [\"404=oops.html\"]\nspa-file = \"none\"\n";
    fs::write(&file, text).expect("a file");
    let server = Server::start_from_file(file.to_str().expect("UTF-8"), &[]);
    assert_eq!(server.connect().get("/none", BROWSER).text(), "<html>oops", "a path from the file's folder");
}
