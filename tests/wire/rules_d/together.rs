//! Reloads, upgrades and logs, combined with configuration files, Unix sockets and confined workers.

use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use stheno::sys::rights;

use super::regulars::Regulars;
use super::reload::reload;
use super::{Orphan, until_workers};
use crate::support::rules::not_run;
use crate::support::server::{children, eventually, is_alive, listening, send};
use crate::support::{Client, Folder, Front, Server};

/// A user that every system has, by number.
const NOBODY: u32 = 65534;

/// Replaces the configuration file in one step.
fn write(folder: &Folder, text: &str) -> PathBuf {
    let (new, path) = (folder.beside("stheno.toml.new"), folder.beside("stheno.toml"));
    fs::write(&new, text).expect("a file");
    fs::rename(new, &path).expect("a rename");
    path
}

fn start(folder: &Folder, text: &str) -> Server {
    Server::start_from_file(write(folder, text).to_str().expect("UTF-8"), &[])
}

/// Waits until all of the processes have ended.
fn until_gone(pids: &[i32]) {
    eventually("the old processes have ended", || !pids.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn a_changed_file_is_in_force_after_a_reload() {
    let folder = Folder::new();
    let second = folder.beside("second");
    fs::create_dir_all(second.join("list")).expect("folders");
    fs::write(second.join("ok"), "second\n").expect("a file");
    let old = "root = \"root\"\nlisten = \"127.0.0.1:0\"\naccess-log = \"off\"\nworkers = 1\n";
    let server = start(&folder, old);
    let socket = folder.beside("s.sock");
    assert_eq!(server.connect().get("/ok", "").text(), "hello\n");
    write(
        &folder,
        "root = \"second\"\nlisten = [\"127.0.0.1:0\", \"unix:s.sock\"]\naccess-log = \"off\"\nworkers = 3\n\
         listing = true\n",
    );
    reload(&server);
    until_gone(&server.workers);
    until_workers(server.master(), Front::of_this_crate().processes(3));
    // The port stays the same, although port 0 is configured.
    for mut client in [server.connect(), Client::connect_unix(&socket)] {
        assert_eq!(client.get("/ok", "").text(), "second\n");
        assert_eq!(client.get("/list/", "").status, 200, "a listing");
    }
    // A listener that is no longer configured is closed, and its file removed.
    write(&folder, old);
    let before = server.children();
    reload(&server);
    until_gone(&before);
    assert!(!socket.exists());
    assert_eq!(server.connect().get("/list/", "").status, 404);
}

#[test]
fn a_broken_file_changes_nothing() {
    let folder = Folder::new();
    let good = "root = \"root\"\nport = 0\naccess-log = \"off\"\n";
    let server = start(&folder, good);
    let other = Folder::new();
    fs::create_dir(other.beside("taken")).expect("a folder");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = busy.local_addr().expect("an address").port();
    let cases = [
        (
            "root = \"root\"\nworkers = \"two\"\n".to_string(),
            "stheno.toml:2: workers: expected a whole number",
        ),
        ("root = \"root\"\nwokers = 2\n".into(), "stheno.toml:2: unknown key \"wokers\""),
        ("root = \"root\"\nworkers = 9999\n".into(), "stheno.toml:2: workers \"9999\": give"),
        ("\nroot = \"gone\"\n".into(), "stheno.toml:2: root: cannot serve"),
        ("root = \"root\"\nlogfile = \"no/such/log\"\n".into(), "stheno.toml:2: logfile: cannot write"),
        (
            format!("root = \"root\"\nlisten = [\"unix:s.sock\", \"127.0.0.1:{port}\"]\n"),
            "stheno.toml:2: listen: cannot listen on",
        ),
    ];
    for (number, (text, says)) in cases.iter().enumerate() {
        write(&folder, text);
        server.signal(Signal::HUP);
        eventually("it is refused", || server.count_said("the old one stays in force") == number + 1);
        assert_eq!(server.count_said(says), 1, "{says}: {:?}", server.said());
        assert!(!folder.beside("s.sock").exists(), "the socket of the failed reload is gone");
    }
    assert_eq!(server.children(), server.workers);
    assert_eq!(server.connect().get("/ok", "").text(), "hello\n");
    write(&folder, good);
    reload(&server);
}

#[test]
fn a_unix_socket_outlives_reloads() {
    for accept in ["exclusive", "reuseport"] {
        let folder = Folder::new();
        let (socket, text) = (folder.beside("s.sock"), |mode: &str| {
            format!(
                "root = \"root\"\nlisten = [\"unix:s.sock\", \"127.0.0.1:0\"]\naccess-log = \"off\"\nworkers = 2\n\
                 accept = \"{accept}\"\nunix-mode = \"{mode}\"\n"
            )
        });
        let mut server = start(&folder, &text("0666"));
        let inode = || fs::metadata(&socket).expect("the file").ino();
        let (before, path) = (inode(), socket.clone());
        let regulars = Regulars::start_by(8, move || Client::connect_unix(&path));
        for _ in 0..5 {
            let old = server.children();
            reload(&server);
            regulars.wait_for_more(50);
            until_gone(&old);
            assert_eq!(inode(), before, "the same socket");
        }
        let (answered, failures) = regulars.stop();
        assert!(failures.is_empty(), "{accept}: {} of {answered} failed: {failures:?}", failures.len());
        // The same file gets new permissions.
        write(&folder, &text("0600"));
        reload(&server);
        assert_eq!((inode(), fs::metadata(&socket).expect("the file").mode() & 0o777), (before, 0o600));
        // A removed file is made again.
        fs::remove_file(&socket).expect("the file");
        reload(&server);
        assert_eq!(Client::connect_unix(&socket).get("/ok", "").status, 200);
        server.stop();
        assert!(!socket.exists());
    }
}

#[test]
fn a_unix_socket_outlives_upgrades() {
    let folder = Folder::new();
    let (socket, pidfile) = (folder.beside("s.sock"), folder.beside("pid"));
    let text = "root = \"root\"\nlisten = [\"unix:s.sock\", \"127.0.0.1:0\"]\naccess-log = \"off\"\nworkers = 2\n\
                pidfile = \"pid\"\n";
    let mut server = start(&folder, text);
    let before = fs::metadata(&socket).expect("the file").ino();
    let path = socket.clone();
    let regulars = Regulars::start_by(8, move || Client::connect_unix(&path));
    let pid = || fs::read_to_string(&pidfile).ok().and_then(|text| text.trim().parse::<i32>().ok());
    // A successor that fails to start leaves the file to the old server.
    write(&folder, &format!("{text}max-connections = 4000000000\n"));
    server.signal(Signal::USR2);
    server.wait_for("has not taken over");
    assert_eq!(fs::metadata(&socket).expect("the file").ino(), before);
    write(&folder, text);
    let mut masters = vec![Orphan(server.master())];
    for _ in 0..5 {
        let old = masters[masters.len() - 1].0;
        send(old, Signal::USR2);
        eventually("the pid file has the next master", || pid().is_some_and(|pid| pid != old));
        masters.push(Orphan(pid().expect("a pid")));
        regulars.wait_for_more(50);
        until_gone(&[old]);
        assert_eq!(fs::metadata(&socket).expect("the file").ino(), before, "the file stays");
    }
    assert_eq!(server.wait().code(), Some(0));
    let (answered, failures) = regulars.stop();
    assert!(failures.is_empty(), "{} of {answered} failed: {failures:?}", failures.len());
    let last = masters[masters.len() - 1].0;
    let address = listening(u32::try_from(last).expect("a pid"));
    assert!(TcpStream::connect(address).is_ok(), "the TCP socket was passed on, too");
    drop(masters);
    eventually("the last master removes it", || !socket.exists());
    assert!(UnixStream::connect(&socket).is_err());
}

/// The paths of the open files of a process.
fn open_files(pid: i32) -> Vec<PathBuf> {
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
    folder.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect()
}

/// Renames the access log three times and has it opened again, with a request in between; returns the contents
/// of the four files.
fn rotate(server: &Server, access: &Path) -> Vec<String> {
    let old = |number: u32| access.with_extension(format!("{number}.old"));
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    for number in 1..=3 {
        assert_eq!(server.connect().get(&format!("/ok?{number}"), "").status, 200);
        eventually("a line", || text(access).contains(&format!("/ok?{number}")));
        fs::rename(access, old(number)).expect("a rename");
        server.signal(Signal::USR1);
        eventually("the worker has the new file", || {
            open_files(server.workers[0]).iter().any(|file| file == access)
        });
    }
    assert_eq!(server.connect().get("/ok?4", "").status, 200);
    eventually("the last line", || text(access).contains("/ok?4"));
    (1..=3).map(|number| text(&old(number))).chain([text(access)]).collect()
}

/// A confined worker cannot open a log file, least of all as another user, so the master passes it the new one.
/// The log is also in the root, and in a folder above it, to which the worker may not write.
#[test]
fn workers_without_access_get_the_new_log_from_the_master() {
    let mut cases = vec!["logs/access.log", "access.log", "root/access.log"];
    let root_only = "private/access.log";
    if rights::is_root() {
        cases.push(root_only);
    } else {
        not_run("D12", "only root may become another user");
    }
    for log in cases {
        let folder = Folder::new();
        for made in ["logs", "private"] {
            fs::create_dir(folder.beside(made)).expect("a folder");
        }
        let mut text = format!("root = \"root\"\nport = 0\nlog = \"info\"\naccess-log = \"{log}\"\n");
        if log == root_only {
            fs::set_permissions(folder.beside(""), Permissions::from_mode(0o755)).expect("rights");
            fs::set_permissions(folder.beside("private"), Permissions::from_mode(0o700)).expect("rights");
            text += &format!("user = \"{NOBODY}\"\n");
        }
        let server = start(&folder, &text);
        let files = rotate(&server, &folder.beside(log).canonicalize().expect("a log"));
        for (index, text) in files.iter().enumerate() {
            assert_eq!(text.lines().count(), 1, "{log}: {files:?}");
            assert!(text.contains(&format!("/ok?{}", index + 1)), "{log}: {files:?}");
        }
    }
}

#[test]
fn another_user_after_a_reload() {
    if !rights::is_root() {
        return not_run("D24", "only root may become another user");
    }
    let folder = Folder::new();
    fs::set_permissions(folder.beside(""), Permissions::from_mode(0o755)).expect("rights");
    let text = "root = \"root\"\nlisten = [\"127.0.0.1:0\", \"unix:s.sock\"]\naccess-log = \"off\"\n";
    let server = start(&folder, text);
    let user = |pid: i32| fs::metadata(format!("/proc/{pid}")).expect("a process").uid();
    for (line, wanted) in [(format!("user = \"{NOBODY}\"\n"), NOBODY), (String::new(), 0)] {
        write(&folder, &format!("{text}{line}"));
        for _ in 0..2 {
            let before = server.children();
            reload(&server);
            until_gone(&before);
            // A process that has ended remains a child until it is waited for.
            eventually("only new workers are left", || {
                children(server.master()).iter().all(|child| !before.contains(child))
            });
            let now = children(server.master());
            let status = fs::read_to_string(format!("/proc/{}/status", now[0])).expect("status");
            let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a line");
            assert!(uid.split_whitespace().all(|uid| uid.parse() == Ok(wanted)), "{uid}");
            assert_eq!((user(server.master()), server.connect().get("/ok", "").status), (0, 200));
            assert_eq!(Client::connect_unix(&folder.beside("s.sock")).get("/ok", "").status, 200);
        }
    }
}
