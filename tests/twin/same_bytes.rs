//! Every request of the corpus, and those about files, ranges, conditions, options, pipelines and limits.

use super::{Pair, answer, assert_same};
use crate::support::{Dice, Folder};
use crate::wire::corpus;

/// Both respond the same, in whatever pieces the request comes.
fn compare(pair: &Pair, dice: &mut Dice, name: &str, payload: &[u8]) {
    let whole = pair.each(|server| answer(server, &[payload], true));
    assert_same(name, whole.clone());
    let middle = payload.split_at(payload.len() / 2);
    for pieces in [vec![middle.0, middle.1], dice.pieces(payload, 100)] {
        let both = pair.each(|server| answer(server, &pieces, true));
        assert_same(&format!("{name}, beginning with {} bytes", pieces[0].len()), both);
    }
}

#[test]
fn the_corpus() {
    let folder = Folder::new();
    let (pair, mut dice) = (Pair::start(&folder.root(), &["-w", "2"]), Dice::new(17));
    for case in corpus::cases() {
        compare(&pair, &mut dice, &case.id, &case.payload);
    }
}

/// Every target with every field.
fn requests(targets: &[&str], fields: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for method in ["GET", "HEAD", "OPTIONS", "POST"] {
        for target in targets {
            for field in fields {
                all.push(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{field}\r\n"));
            }
        }
    }
    all
}

fn compare_all(pair: &Pair, requests: &[String]) {
    let mut dice = Dice::new(18);
    for request in requests {
        let both = pair.each(|server| answer(server, &[request.as_bytes()], true));
        assert_same(request, both);
    }
    // All of them on one connection: more than a turn may answer.
    compare(pair, &mut dice, "all of them, pipelined", requests.concat().as_bytes());
}

fn site() -> Folder {
    let folder = Folder::new();
    folder.write("letters.txt", (0..100_000u32).map(|n| b'a' + (n % 26) as u8).collect::<Vec<u8>>());
    folder.write("letters.txt.gz", "not really");
    folder.write("empty", "");
    folder.write(".hidden", "hidden");
    folder.write_sparse("large", 3_000_000);
    std::fs::create_dir(folder.root().join("list")).expect("a folder");
    for name in ["list/a", "list/b & c", "list/.d"] {
        folder.write(name, name);
    }
    std::os::unix::fs::symlink("ok", folder.root().join("link")).expect("a link");
    folder
}

const TARGETS: [&str; 10] =
    ["/", "/ok", "/letters.txt", "/empty", "/large", "/sub", "/list/", "/link", "/.hidden", "/none?q=1"];

const FIELDS: [&str; 10] = [
    "",
    "Range: bytes=0-4\r\n",
    "Range: bytes=5-70000\r\n",
    "Range: bytes=0-9,-10,40000-79999\r\n",
    "Range: bytes=9999999-\r\n",
    "If-None-Match: *\r\n",
    "If-Modified-Since: Tue, 31 Dec 2199 23:59:59 GMT\r\n",
    "If-Match: \"x\"\r\n",
    "Accept-Encoding: gzip\r\n",
    "Content-Length: 3\r\n\r\nabc",
];

#[test]
fn files() {
    let folder = site();
    compare_all(&Pair::start(&folder.root(), &[]), &requests(&TARGETS, &FIELDS[..9]));
    compare_all(&Pair::start(&folder.root(), &["--file-cache", "0"]), &requests(&TARGETS, &["", FIELDS[1]]));
}

#[test]
fn options() {
    let folder = site();
    let options = ["--listing", "--dotfiles", "--no-symlinks", "--precompressed", "--max-age", "60"];
    let pair = Pair::start(&folder.root(), &[&options[..], &["--no-server-header"]].concat());
    compare_all(&pair, &requests(&TARGETS, &["", FIELDS[1], FIELDS[8]]));
}

#[test]
fn limits() {
    let folder = site();
    let limits = ["--max-header-bytes", "300", "--max-target-bytes", "64", "--max-field-bytes", "80"];
    let more = ["--max-fields", "4", "--max-body-bytes", "10", "--max-requests-per-connection", "3"];
    let pair = Pair::start(&folder.root(), &[limits, more].concat());
    let mut dice = Dice::new(19);
    let get = |fields: &str| format!("GET /ok HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    for (name, request) in [
        ("requests", get("").repeat(5)),
        ("a target", get("").replace("/ok", &format!("/{}", "o".repeat(70)))),
        ("a field", get(&format!("X: {}\r\n", "x".repeat(90)))),
        ("fields", get("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n")),
        ("a head", get(&format!("X: {0}\r\nY: {0}\r\nZ: {0}{0}\r\n", "x".repeat(70)))),
        ("a body", get("Content-Length: 11\r\n")),
        ("a body in chunks", get("Transfer-Encoding: chunked\r\n") + "b\r\nhello world\r\n0\r\n\r\n"),
        ("a body that fits", get("Content-Length: 10\r\n") + "helloworld" + &get("")),
    ] {
        compare(&pair, &mut dice, name, request.as_bytes());
    }
}
