//! `--explain`, and the hints in the log.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::server::{Front, run};
use crate::support::{Folder, Server};

/// A folder with a file of each kind that a person wonders about.
fn folder() -> Folder {
    let folder = Folder::new();
    let root = folder.root();
    folder.write("page.html", "<p>é</p>");
    folder.write("page.html.br", "br");
    folder.write(".env", "secret");
    folder.write("README.md", "read me");
    folder.write("blob.xyzzy", [0, 1, 2]);
    folder.write("locked", "locked");
    fs::set_permissions(root.join("locked"), Permissions::from_mode(0o000)).expect("a mode");
    fs::create_dir(root.join("empty")).expect("a folder");
    symlink("../secret", root.join("out")).expect("a link");
    symlink("sub", root.join("inside")).expect("a link");
    folder
}

fn explain(folder: &Folder, words: &[&str]) -> (i32, String) {
    let root = folder.root();
    let words = [&["-r", root.to_str().expect("UTF-8"), "--explain"], words].concat();
    let (code, out, error) = run(&words);
    assert_eq!(error, "", "{words:?}");
    (code, out)
}

#[test]
fn what_a_client_has_to_be_is_told() {
    if Front::lacks("what_a_client_has_to_be_is_told") {
        return;
    }
    let (code, out) = explain(&folder(), &["/ok", "--allow", "10.0.0.0/8"]);
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("access --allow: 403 for clients in no such network"), "{out}");
}

#[test]
fn the_questions_of_people() {
    let folder = folder();
    for (words, code, says) in [
        (&["/out"][..], 1, &["out -> ../secret", "--follow-symlinks", "404 Not Found"][..]),
        (&["/inside/"], 0, &["inside -> sub", "200 OK"]),
        (&["/inside/", "--no-symlinks"], 1, &["404 with --no-symlinks"]),
        (&["/.env"], 1, &["--dotfiles", "404"]),
        (&["/.env", "--dotfiles"], 0, &["200 OK"]),
        (&["/readme.md"], 1, &["there is README.md"]),
        (&["/empty/", "--no-listing"], 1, &["without --listing"]),
        (&["/empty/"], 0, &["a listing", "200 OK"]),
        (&["/none", "--spa"], 1, &["add --explain-header 'Accept: text/html'", "404"]),
        (
            &["/none", "--spa", "--explain-header", "Accept: text/html"],
            0,
            &["the document of --spa", "never kept without a question", "Cache-Control: no-cache"],
        ),
        (&["/locked"], 1, &["cannot be read by user", "mode is 0000", "403 Forbidden"]),
        (&["/blob.xyzzy"], 0, &["a browser downloads it", "3 bytes"]),
        (&["/../x"], 1, &["above the root", "400 Bad Request"]),
        (&["/", "--explain-header", "bad name: x"], 1, &["refused     a header field is malformed"]),
        (&["/page.html", "--explain-header", "Accept-Encoding: br"], 0, &["without --precompressed"]),
        (
            &["/page.html", "--precompressed", "--explain-header", "Accept-Encoding: br"],
            0,
            &[".br is there", "Content-Encoding: br", "body        2 bytes"],
        ),
        (&["/page.html", "--precompressed"], 0, &["does not accept the sibling", "Vary: Accept-Encoding"]),
        (&["/ok", "--explain-header", "If-None-Match: *"], 0, &["304", "body        none"]),
        (&["/big", "--explain-header", "Range: bytes=9-"], 0, &["1 part(s)", "206 Partial", "99991 bytes"]),
        (&["HEAD http://host:1/big#top"], 0, &["HEAD /big HTTP/1.1", "Host: host:1", "body        none"]),
    ] {
        let (got, out) = explain(&folder, words);
        let joined = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(got, code, "{words:?}: {out}");
        for say in says {
            let say = say.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(joined.contains(&say), "{words:?} does not say {say:?}: {out}");
        }
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    }
}

/// What is explained is what is sent, to the byte, except for the date.
#[test]
fn an_explanation_is_the_response_of_the_server() {
    let folder = folder();
    let options = ["--precompressed", "--max-age", "60"];
    let server = Server::start(&folder.root(), &options);
    for (target, field) in [
        ("/page.html", ""),
        ("/page.html", "Accept-Encoding: br"),
        ("/big", "Range: bytes=1-2"),
        ("/big", "If-None-Match: *"),
        ("/sub", ""),
        ("/out", ""),
        ("/%00", ""),
    ] {
        let mut words = [&[target][..], &options].concat();
        let mut line = String::new();
        if !field.is_empty() {
            words.extend(["--explain-header", field]);
            line = format!("{field}\r\n");
        }
        let (_, out) = explain(&folder, &words);
        let response = server.connect().get(target, &line);
        let shown = out.split_once("response    ").expect("a response").1;
        let fields: Vec<&str> = shown.lines().map(str::trim).collect();
        assert!(fields[0].starts_with(&format!("HTTP/1.1 {} ", response.status)), "{target}: {out}");
        for name in [
            "ETag",
            "Content-Type",
            "Content-Length",
            "Cache-Control",
            "Vary",
            "Content-Encoding",
            "Location",
        ] {
            let prefix = format!("{name}: ");
            let shown = fields.iter().find_map(|line| line.strip_prefix(&prefix));
            assert_eq!(shown, response.field(name), "{target} {field}: {name}");
        }
    }
}

#[test]
fn mistakes_in_a_url_are_one_line() {
    let folder = Folder::new();
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    for words in [&["--explain", "localhost:9000/"][..], &["--explain", "/", "--explain-header", "x"]] {
        let (code, out, error) = run(&[&["-r", root], words].concat());
        assert!(code == 2 && out.is_empty() && error.matches('\n').count() == 1, "{words:?}: {error}");
        assert!(error.contains("give a"), "{error}");
    }
}

/// A client cannot fill the log: each kind of cause has one line.
#[test]
fn hints_are_logged_once_for_each_cause() {
    let folder = folder();
    let mut server = Server::start(&folder.root(), &[]);
    let mut client = server.connect();
    for _ in 0..3 {
        for (target, status) in [("/out", 404), ("/.env", 404), ("/.git/config", 404), ("/locked", 403)] {
            assert_eq!(client.get(target, "").status, status, "{target}");
        }
    }
    server.stop();
    for (says, option) in [
        ("out leads out of the root by a symbolic link", "--follow-symlinks"),
        ("has a name that begins with a dot", "--dotfiles"),
        ("locked cannot be read by user", "mode is 0000"),
    ] {
        let lines: Vec<String> = server.said().into_iter().filter(|line| line.contains(says)).collect();
        assert!(lines.len() == 1 && lines[0].contains(option), "{says}: {lines:?}");
    }
}
