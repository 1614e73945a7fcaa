//! What responses have besides the file: `--header --cache --cors --mime-types --default-type`, and the types of
//! unknown names.

use std::fs;

use rustix::process::Signal;

use crate::support::server::{eventually, run};
use crate::support::{Client, Folder, Response, Server, with_both_backends};

/// The responses of one server about these targets, in all their kinds: target, fields, status.
const KINDS: [(&str, &str, u16); 10] = [
    ("/ok", "", 200),
    ("/ok", "Range: bytes=0-1\r\n", 206),
    ("/ok", "Range: bytes=0-1,3-3\r\n", 206),
    ("/ok", "If-None-Match: *\r\n", 304),
    ("/ok", "If-Match: \"x\"\r\n", 412),
    ("/ok", "Range: bytes=100-\r\n", 416),
    ("/sub", "", 301),
    ("/empty/", "", 200),
    ("/none", "", 404),
    ("/../x", "", 400),
];

/// A folder with a directory to list.
fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.root().join("empty")).expect("a folder");
    folder
}

fn options(client: &mut Client, target: &str, fields: &str) -> Response {
    client.ask(&format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

#[test]
fn fields_are_in_every_response() {
    let folder = folder();
    let server = Server::start(
        &folder.root(),
        &["--listing", "--header", "X-Frame-Options: DENY", "--header", "X-A:b: c"],
    );
    let mut client = server.connect();
    for (target, fields, status) in KINDS {
        // Twice: the second one is from the cache.
        for _ in 0..2 {
            let response = client.get(target, fields);
            assert_eq!(response.status, status, "{target} {fields}");
            assert_eq!(response.field("X-Frame-Options"), Some("DENY"), "{target} {fields}");
            assert_eq!(response.field("X-A"), Some("b: c"), "{target} {fields}");
        }
    }
    assert_eq!(options(&mut client, "/ok", "").field("X-A"), Some("b: c"));
    let head = client.ask("HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.field("X-A"), Some("b: c"));
    for method in ["POST", "BREW"] {
        let refused = client.ask(&format!("{method} /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(refused.field("X-A"), Some("b: c"), "{method}");
    }
}

#[test]
fn fields_by_path() {
    with_both_backends(|start| {
        let folder = folder();
        fs::create_dir_all(folder.root().join("a b/c")).expect("folders");
        folder.write("a b/c/d.js", "1");
        folder.write("a b/c/d.js.gz", "gzip");
        let server = start(
            &folder.root(),
            &[
                "--precompressed",
                "--listing",
                "--header",
                "/a b/**=X-A: folder",
                "--header",
                "*.js=X-A: script",
                "--header",
                "index.html=X-A: index",
                "--header",
                "X-A: rest",
                "--header",
                "/empty/**=Content-Security-Policy: script-src 'self'",
                "--header",
                "/*=Content-Security-Policy: default-src 'self'",
            ],
        );
        let mut client = server.connect();
        for (target, fields, want) in [
            ("/a%20b/c/d.js", "", "folder"),
            ("/x/../a%20b%2fc/d.js", "", "folder"),
            ("/a%20b/c/d.js", "Accept-Encoding: gzip\r\n", "folder"),
            ("/a%20b/c/d.js", "Accept-Encoding: gzip\r\nRange: bytes=0-0\r\n", "folder"),
            ("/a%20b/c/none", "", "folder"),
            ("/a%20b/", "", "folder"),
            ("/a%20b", "", "folder"),
            ("/none.js", "", "script"),
            ("/", "", "index"),
            ("/sub/", "", "index"),
            ("/sub/index.html", "", "index"),
            ("/sub", "", "rest"),
            ("/ok", "", "rest"),
            ("/%00", "", "rest"),
        ] {
            for _ in 0..2 {
                assert_eq!(client.get(target, fields).field("X-A"), Some(want), "{target} {fields}");
            }
        }
        let policy = |response: Response| response.field("Content-Security-Policy").map(String::from);
        assert_eq!(policy(client.get("/ok", "")).as_deref(), Some("default-src 'self'"));
        let listing = policy(client.get("/empty/", "")).expect("a policy");
        assert!(listing.contains("default-src 'none'"), "the page needs its own: {listing}");
    });
}

#[test]
fn caching_by_path() {
    let folder = folder();
    fs::create_dir(folder.root().join("assets")).expect("a folder");
    folder.write("assets/index-BmZ3x1.js", "1");
    let forever = "immutable, max-age=31536000";
    let server = Server::start(
        &folder.root(),
        &[
            "--listing",
            "--max-age",
            "60",
            "--cache",
            &format!("/assets/**={forever}"),
            "--cache",
            "*.{html,htm}=no-cache",
            "--cache",
            "index.html=no-store",
        ],
    );
    let mut client = server.connect();
    for (target, fields, status, want) in [
        ("/assets/index-BmZ3x1.js", "", 200, Some(forever)),
        ("/assets/index-BmZ3x1.js", "If-None-Match: *\r\n", 304, Some(forever)),
        ("/assets/index-BmZ3x1.js", "Range: bytes=0-0\r\n", 206, Some(forever)),
        ("/assets/index-BmZ3x1.js", "Range: bytes=7-\r\n", 416, None),
        // An old page asks for what a deployment has removed.
        ("/assets/index-Old.js", "", 404, None),
        ("/assets", "", 301, None),
        ("/assets/", "", 200, Some("no-cache")),
        ("/", "", 200, Some("no-cache")),
        ("/sub/", "", 200, Some("no-cache")),
        ("/ok", "", 200, Some("max-age=60")),
    ] {
        let response = client.get(target, fields);
        assert_eq!((response.status, response.field("Cache-Control")), (status, want), "{target} {fields}");
    }
}

const ORIGIN: &str = "Access-Control-Allow-Origin";
const EXPOSE: &str = "Access-Control-Expose-Headers";

#[test]
fn any_origin_may_read() {
    let folder = folder();
    let server = Server::start(&folder.root(), &["--listing", "--cors", "*", "--header", "X-A: b"]);
    let mut client = server.connect();
    for (target, fields, status) in KINDS {
        for origin in ["Origin: https://a.example\r\n", "Origin: null\r\n", ""] {
            let response = client.get(target, &format!("{fields}{origin}"));
            assert_eq!((response.status, response.field(ORIGIN)), (status, Some("*")), "{target} {fields}");
            assert!(!response.varies().contains(&"Origin"), "{response:?}");
            let exposed: Vec<&str> = response.field(EXPOSE).expect("names").split(", ").collect();
            for name in [
                "Accept-Ranges",
                "Content-Encoding",
                "Content-Length",
                "Content-Range",
                "ETag",
                "Last-Modified",
                "X-A",
            ] {
                assert!(exposed.contains(&name), "{name}: {exposed:?}");
            }
        }
    }
    let asked = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n\
                 Access-Control-Request-Headers: range, if-match, x-trace\r\n";
    let preflight = options(&mut client, "/ok", asked);
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.field(ORIGIN), Some("*"));
    assert_eq!(preflight.field("Access-Control-Allow-Methods"), Some("GET, HEAD"));
    assert_eq!(preflight.field("Access-Control-Allow-Headers"), Some("*, Authorization"));
    assert_eq!(preflight.field("Access-Control-Max-Age"), Some("86400"));
    assert_eq!(preflight.field("Access-Control-Allow-Credentials"), None);
    let plain = options(&mut client, "/ok", "");
    assert_eq!((plain.field(ORIGIN), plain.field("Access-Control-Allow-Methods")), (Some("*"), None));
}

#[test]
fn some_origins_may_read() {
    with_both_backends(|start| {
        let folder = folder();
        folder.write("ok.gz", "gzip");
        let server = start(
            &folder.root(),
            &[
                "--listing",
                "--precompressed",
                "--cors",
                "https://A.example:443",
                "--cors",
                "http://localhost:5173",
            ],
        );
        let mut client = server.connect();
        let origins = [
            ("Origin: https://a.example\r\n", Some("https://a.example")),
            ("Origin: http://localhost:5173\r\n", Some("http://localhost:5173")),
            ("Origin: https://b.example\r\n", None),
            ("Origin: https://a.example.b.example\r\n", None),
            ("Origin: http://a.example\r\n", None),
            ("Origin: null\r\n", None),
            ("Origin: https://a.example\r\nOrigin: https://b.example\r\n", None),
            ("", None),
        ];
        let coded = ["Accept-Encoding: gzip\r\n", "Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n"];
        let coded = [("/ok", coded[0], 200), ("/ok", coded[1], 206)];
        for (target, fields, status) in KINDS.into_iter().chain(coded) {
            // The document in the cache is the same for all of them.
            for (origin, want) in origins {
                let response = client.get(target, &format!("{fields}{origin}"));
                assert_eq!(
                    (response.status, response.field(ORIGIN)),
                    (status, want),
                    "{target} {fields}{origin}"
                );
                let varies = response.varies();
                let has_file = target == "/ok" && status < 400;
                assert!(varies.contains(&"Origin"), "{target} {fields}{origin}: {varies:?}");
                assert_eq!(varies.contains(&"Accept-Encoding"), has_file, "{target} {fields}{origin}");
            }
        }
        for (origin, want) in origins {
            let preflight =
                options(&mut client, "/ok", &format!("{origin}Access-Control-Request-Method: GET\r\n"));
            assert_eq!((preflight.status, preflight.field(ORIGIN)), (204, want), "{origin}");
        }
    });
}

#[test]
fn without_the_options_there_are_no_fields() {
    let folder = folder();
    let server = Server::start(&folder.root(), &["--listing"]);
    let mut client = server.connect();
    for (target, fields, _) in KINDS {
        let response = client.get(target, &format!("{fields}Origin: https://a.example\r\n"));
        let is_added = |(name, _): &(String, String)| name.starts_with("Access-");
        assert!(!response.fields.iter().any(is_added), "{response:?}");
        assert!(!response.varies().contains(&"Origin"), "{response:?}");
    }
}

/// Names without a known type, and their `Content-Type`.
#[test]
fn unknown_names_have_the_type_of_their_content() {
    let (text, binary) = ("text/plain; charset=utf-8", "application/octet-stream");
    let files: [(&str, &[u8], &str); 13] = [
        ("settings", b"a = b\n", text),
        ("notes.2024", "\u{43f}\u{440}\u{438}".as_bytes(), text),
        ("nothing", b"", text),
        ("program", b"\x7fELF\x02\x01\x01\0", binary),
        ("old", b"\xef\xf0\xe8", binary),
        ("coloured", b"\x1b[31m", binary),
        ("page", b"<script>alert(1)</script>", text),
        ("a.bin", b"text", binary),
        ("a.ts", b"let a: number = 1;", text),
        ("b.ts", b"G\x40\x11\x10\0", "video/mp2t"),
        ("go.mod", b"module a", text),
        ("id.pub", b"ssh-ed25519 AAAA", text),
        ("a.php", b"<?php", text),
    ];
    with_both_backends(|start| {
        let folder = Folder::new();
        for (name, content, _) in files {
            folder.write(name, content);
        }
        let server = start(&folder.root(), &[]);
        let mut client = server.connect();
        for (name, _, want) in files {
            for fields in ["", "Range: bytes=0-0\r\n"] {
                let response = client.get(&format!("/{name}"), fields);
                assert_eq!(response.field("Content-Type"), Some(want), "{name}");
                let sniffing = response.field("X-Content-Type-Options");
                assert_eq!(sniffing, (want == text).then_some("nosniff"), "{name}");
            }
        }
        folder.write("a.go", "package a");
        folder.write("a.css", "a {}");
        assert_eq!(client.get("/a.go", "").field("X-Content-Type-Options"), Some("nosniff"), "not a script");
        assert_eq!(client.get("/a.css", "").field("X-Content-Type-Options"), None);
    });
}

#[test]
fn types_of_the_operator() {
    let folder = Folder::new();
    let table = folder.beside("mime.types");
    fs::write(&table, "text/x-mine mine txt\n").expect("a table");
    for (name, content) in
        [("a.mine", "\u{e4}"), ("a.txt", "a"), ("a.css", "\u{e4}"), ("page", "\u{e4}"), ("b", "\0")]
    {
        folder.write(name, content);
    }
    fs::write(folder.root().join("a.mine.gz"), "gzip").expect("a sibling");
    let path = table.to_str().expect("UTF-8");
    let options = ["--precompressed", "--mime-types", path, "--default-type", "text/html"];
    let server = Server::start(&folder.root(), &options);
    let mut client = server.connect();
    let mut types = |wants: &[(&str, &str)]| {
        for (name, want) in wants {
            let response = client.get(&format!("/{name}"), "Accept-Encoding: gzip\r\n");
            assert_eq!(response.field("Content-Type"), Some(*want), "{name}");
        }
    };
    types(&[
        ("a.mine", "text/x-mine; charset=utf-8"),
        ("a.txt", "text/x-mine; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("page", "text/html; charset=utf-8"),
        ("b", "text/html"),
    ]);
    fs::write(&table, "types {\n  text/x-other mine;\n}\n").expect("a table");
    server.signal(Signal::HUP);
    eventually("the new table", || {
        let response = server.connect().get("/a.mine", "");
        response.field("Content-Type") == Some("text/x-other; charset=utf-8")
    });
    fs::write(&table, "text/x-one a\nnonsense b\n").expect("a table");
    server.signal(Signal::HUP);
    server.wait_for("mime.types:2: \"nonsense\" is no type");
    assert_eq!(
        server.connect().get("/a.mine", "").field("Content-Type"),
        Some("text/x-other; charset=utf-8")
    );
}

/// A mistake ends the start in one line that says what to do.
#[test]
fn mistakes() {
    let folder = Folder::new();
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    fs::write(folder.beside("types"), "a\n").expect("a table");
    let table = folder.beside("types");
    let table = table.to_str().expect("UTF-8");
    for (options, code, says) in [
        (&["--header", "X-A"][..], 2, "--header \"X-A\": give 'NAME: VALUE' or 'GLOB=NAME: VALUE'"),
        (
            &["--header", "X-A: b", "--header", "Content-Length: 1"],
            2,
            "the server frames its messages itself",
        ),
        (&["--header", "X-A: b\r\nX-B: c"], 2, "printable ASCII only"),
        (&["--cache", "*=imutable"], 2, "\"imutable\" is no directive of Cache-Control"),
        (&["--cors", "example.org"], 2, "--cors \"example.org\": give an origin such as"),
        (&["--cors", "*", "--cors", "https://a.example"], 2, "give * alone"),
        (&["--cors", "*", "--header", "Access-Control-Allow-Origin: *"], 2, "--cors writes these"),
        (&["--default-type", "text"], 2, "give TYPE/SUBTYPE"),
        (&["--mime-types", table], 2, "types:1: \"a\" is no type"),
        (&["--mime-types", "/nothing/there"], 1, "cannot read the media types in /nothing/there"),
        (&["--mime-types", "/dev/zero"], 1, "not a regular file"),
    ] {
        let (got, _, error) = run(&[&["-r", root, "--check"], options].concat());
        assert!(
            got == code && error.contains(says) && error.lines().count() == 1,
            "{options:?}: {got} {error}"
        );
    }
    let file = folder.beside("stheno.toml");
    let text = "header = [\"X-A: b\", \"*.js=X-A: c\"]\ncache = \"*=no-store\"\ncors = [\"*\"]\nmime-types = \"types\"\n";
    fs::write(&file, text).expect("a file");
    fs::write(folder.beside("types"), "text/x-a ok\n").expect("a table");
    let (code, _, error) = run(&["-r", root, "--config", file.to_str().expect("UTF-8"), "--check"]);
    assert_eq!(code, 0, "{error}");
    fs::write(&file, "\nheader = [\"X-A: b\", \"Date: c\"]\n").expect("a file");
    let (code, _, error) = run(&["-r", root, "--config", file.to_str().expect("UTF-8"), "--check"]);
    assert!(
        code == 2 && error.contains("stheno.toml:2: header \"Date: c\": Date cannot be given"),
        "{error}"
    );
}
