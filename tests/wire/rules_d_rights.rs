//! RULES D24 to D27: the rights of a worker, and what it holds.

mod calls;
mod descriptors;
mod jail;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;

use stheno::sys::rights;

use crate::support::rules::{holds, not_run};
use crate::support::server::{command, eventually, run};
use crate::support::{Folder, Server};

/// A user that every system has, by number, so that it needs no entry in passwd.
const NOBODY: &str = "65534";

/// One line of a process's proc(5) status.
fn status(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Checks the rights that no worker has, under any user.
fn check_rights(worker: i32) {
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&status(worker, set), 16), Ok(0), "{set}");
    }
    if rights::is_root() {
        assert_eq!(u64::from_str_radix(&status(worker, "CapBnd"), 16), Ok(0));
    }
    assert_eq!(status(worker, "NoNewPrivs"), "1");
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        // Landlock is invisible from outside; the filter that is installed after it is visible.
        eventually("system calls are filtered", || status(worker, "Seccomp") == "2");
    }
}

/// Checks all kinds of responses, by workers that have given up their rights.
fn check_service(folder: &Folder, server: &Server) {
    let mut client = server.connect();
    assert_eq!(client.get("/ok", "").text(), "hello\n");
    assert_eq!(client.get("/", "").text(), "<html>index</html>");
    assert_eq!(client.get("/big", "").body.len(), 100_000, "by sendfile");
    assert_eq!(client.get("/big", "Range: bytes=1-2,4-5\r\n").status, 206);
    assert_eq!(client.get("/sub", "").field("Location"), Some("./sub/"));
    assert_eq!(client.get("/link", "").text(), "hello\n", "a symlink inside");
    for target in ["/none", "/out", "/etc", "/proc"] {
        assert_eq!(client.get(target, "").status, 404, "{target}");
    }
    let page = client.get("/list/", "");
    assert!(page.status == 200 && page.text().contains("one"), "{}", page.text());
    assert_eq!(client.get("/list/one", "Accept-Encoding: gzip\r\n").text(), "packed", "a sibling");
    // Files that are added to the root later are served, too.
    folder.write("list/two", "new");
    assert_eq!(client.get("/list/two", "").text(), "new");
}

fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.root().join("list")).expect("a folder");
    folder.write("list/one", "plain");
    folder.write("list/one.gz", "packed");
    symlink("ok", folder.root().join("link")).expect("a link");
    symlink("../secret", folder.root().join("out")).expect("a link");
    folder
}

const OPTIONS: [&str; 3] = ["--listing", "--precompressed", "-w2"];

#[test]
fn d24_workers_give_up_their_rights() {
    let folder = folder();
    let server = Server::start(&folder.root(), &OPTIONS);
    eventually("a worker has given up its rights", || status(server.workers[0], "NoNewPrivs") == "1");
    check_service(&folder, &server);
    check_rights(server.workers[0]);
    let ours = i32::try_from(std::process::id()).expect("a pid");
    for name in ["NoNewPrivs", "CapEff", "CapBnd", "Seccomp"] {
        assert_eq!(status(server.master(), name), status(ours, name), "the master keeps what it was given");
    }
    drop(server);
    if !rights::is_root() {
        not_run("D24", "only root can become another user");
        return;
    }
    for (options, gid) in
        [(&["--user", NOBODY, "--group", "12345"][..], 12345), (&["--user", "nobody"], 65534)]
    {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        if options[1] == "nobody" && !passwd.contains("nobody:x:65534:65534:") {
            continue;
        }
        let server = Server::start(&folder.root(), &[&OPTIONS[..], options].concat());
        check_service(&folder, &server);
        for worker in &server.workers {
            eventually("the worker has given up its rights", || status(*worker, "NoNewPrivs") == "1");
            check_rights(*worker);
            assert_eq!(status(*worker, "Uid"), [NOBODY; 4].join(" "));
            assert_eq!(status(*worker, "Gid"), [gid.to_string().as_str(); 4].join(" "));
            assert_eq!(status(*worker, "Groups"), "");
        }
        assert_eq!(status(server.master(), "Uid"), "0 0 0 0");
    }
    // A worker may not read a file that only root may read.
    folder.write("private", "root's own");
    let root_only = Permissions::from_mode(0o600);
    fs::set_permissions(folder.root().join("private"), root_only).expect("rights");
    let server = Server::start(&folder.root(), &["--user", NOBODY, "--group", NOBODY]);
    assert_eq!(server.connect().get("/private", "").status, 403);
    holds(
        "D24",
        "uid and gid those asked for, no groups, all five sets of capabilities 0, NoNewPrivs 1",
        "uid ≠ 0, CapEff = 0, Groups minimal, NoNewPrivs = 1",
    );
}

#[test]
fn d24_invalid_users_and_groups() {
    let folder = Folder::new();
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    if !rights::is_root() {
        let (code, _, error) = run(&["-r", root, "--port", "0", "--user", NOBODY]);
        assert!(code == 1 && error.contains("for root only"), "{error}");
        return;
    }
    for (options, code, says) in [
        (&["--user", "0"][..], 2, "--user \"0\": give another than root"),
        (&["--user", "root"], 2, "--user \"root\""),
        (&["--user", "no such user"], 2, "there is no such user"),
        (&["--group", "no such group"], 2, "there is no such group"),
        (&["--user", "4000000001"], 1, "give a --group as well"),
        (&["--sandbox", "maybe"], 2, "--sandbox \"maybe\": give on or off"),
        (&["--sandbox", "off", "--require-sandbox"], 2, "leave --require-sandbox out"),
    ] {
        let (got, _, error) = run(&[&["-r", root, "--port", "0"][..], options].concat());
        assert_eq!((got, error.matches('\n').count()), (code, 1), "{error}");
        assert!(error.contains(says), "{error}");
    }
    // A worker that may not enter the root after giving up its rights must not start.
    let closed = Permissions::from_mode(0o700);
    fs::set_permissions(folder.root(), closed).expect("rights");
    let (code, _, error) = run(&["-r", root, "--port", "0", "--user", NOBODY, "--group", NOBODY]);
    assert!(code == 1 && error.contains("may not enter the root"), "{error}");
    let mut other = command();
    other.args(["-r", "/", "--port", "0", "--user", NOBODY]).uid(65534).gid(65534);
    match other.output() {
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(1) && error.contains("for root only"), "{error}");
        }
        Err(error) => not_run("D24", format_args!("user 65534 may not run the server here: {error}")),
    }
}
