//! Reload, upgrade and logs, together with configuration files, Unix sockets and workers in their jail.

use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use stheno::sys::{rights, sandbox};

use super::regulars::Regulars;
use super::reload::reload;
use super::{Orphan, until_workers};
use crate::support::rules::not_run;
use crate::support::server::{children, eventually, is_alive, listening, send};
use crate::support::{Client, Folder, Server};

/// A user that every system has, by number.
const NOBODY: u32 = 65534;

/// Writes the configuration file, in one step.
fn write(folder: &Folder, text: &str) -> PathBuf {
    let (new, path) = (folder.beside("stheno.toml.new"), folder.beside("stheno.toml"));
    fs::write(&new, text).expect("a file");
    fs::rename(new, &path).expect("a rename");
    path
}

fn start(folder: &Folder, text: &str) -> Server {
    Server::start_from_file(write(folder, text).to_str().expect("UTF-8"), &[])
}

/// Waits until none of the processes is left.
fn until_gone(pids: &[i32]) {
    eventually("the old ones have gone", || !pids.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn a_changed_file_is_in_force_after_a_reload() {
    let folder = Folder::new();
    let second = folder.beside("second");
    fs::create_dir_all(second.join("list")).expect("folders");
    fs::write(second.join("ok"), "anew\n").expect("a file");
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
    until_workers(server.master(), 3);
    // The same port, although any one is asked for.
    for mut client in [server.connect(), Client::connect_unix(&socket)] {
        assert_eq!(client.get("/ok", "").text(), "anew\n");
        assert_eq!(client.get("/list/", "").status, 200, "a listing");
    }
    // A place that is not asked for any more goes, and so does its file.
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
            "stheno.toml:2: workers: a whole number is wanted",
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
        assert!(!folder.beside("s.sock").exists(), "what was made for nothing is gone");
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
        // Other rights are given to the same file.
        write(&folder, &text("0600"));
        reload(&server);
        assert_eq!((inode(), fs::metadata(&socket).expect("the file").mode() & 0o777), (before, 0o600));
        // Taken away by somebody, it is made anew.
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
    // A successor that cannot begin leaves the file to who serves.
    write(&folder, &format!("{text}max-connections = 4000000000\n"));
    server.signal(Signal::USR2);
    server.wait_for("has not taken over");
    assert_eq!(fs::metadata(&socket).expect("the file").ino(), before);
    write(&folder, text);
    let mut masters = vec![Orphan(server.master())];
    for _ in 0..5 {
        let old = masters[masters.len() - 1].0;
        send(old, Signal::USR2);
        eventually("another is in the pid file", || pid().is_some_and(|pid| pid != old));
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
    assert!(TcpStream::connect(address).is_ok(), "the TCP socket has come along");
    drop(masters);
    eventually("the last one takes it away", || !socket.exists());
    assert!(UnixStream::connect(&socket).is_err());
}

/// The names of what a process holds open.
fn open_files(pid: i32) -> Vec<PathBuf> {
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
    folder.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect()
}

/// What a worker in its jail says when its logs are renamed, twice; and where its lines stand then.
fn rotate(folder: &Folder, server: &Server, access: &Path) -> (usize, String) {
    for number in ["1", "2"] {
        assert_eq!(server.connect().get(&format!("/ok?{number}"), "").status, 200);
        let line = format!("/ok?{number}");
        let written = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text.contains(&line));
        eventually("a line", || written(access) || written(&folder.beside("1.old")));
        fs::rename(access, folder.beside(&format!("{number}.old"))).expect("a rename");
        server.signal(Signal::USR1);
        eventually("it is there anew", || access.exists());
        eventually("the order has been given", || server.count_said("opened anew").to_string() == number);
        eventually("the worker has taken it", || {
            open_files(server.workers[0]).iter().any(|file| file == access)
                || server.count_said("go on with the old file") > 0
        });
    }
    assert_eq!(server.connect().get("/ok?3", "").status, 200);
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    eventually("the last line", || {
        [access, &folder.beside("1.old"), &folder.beside("2.old")]
            .iter()
            .any(|path| text(path).contains("/ok?3"))
    });
    (server.count_said("go on with the old file"), text(access))
}

#[test]
fn workers_in_their_jail_open_logs_anew_in_a_folder_of_their_own() {
    if sandbox::abi() == 0 {
        return not_run("D12", "this kernel has no Landlock");
    }
    let text = |log: &str| format!("root = \"root\"\nport = 0\nlog = \"info\"\naccess-log = \"{log}\"\n");
    let folder = Folder::new();
    fs::create_dir(folder.beside("logs")).expect("a folder");
    let server = start(&folder, &text("logs/access.log"));
    let (complaints, lines) = rotate(&folder, &server, &folder.beside("logs/access.log"));
    assert!(complaints == 0 && lines.contains("/ok?3"), "{complaints}: {lines}");
    // Above the root it may not, and says so once.
    let folder = Folder::new();
    let server = start(&folder, &text("access.log"));
    let (complaints, lines) = rotate(&folder, &server, &folder.beside("access.log"));
    assert!(complaints == 1 && !lines.contains("/ok?3"), "{complaints}: {lines}");
    reload(&server);
    until_gone(&server.workers);
    assert_eq!(server.connect().get("/ok?4", "").status, 200);
    eventually("a reload gives them the new one", || {
        fs::read_to_string(folder.beside("access.log")).is_ok_and(|text| text.contains("/ok?4"))
    });
}

#[test]
fn another_user_after_a_reload() {
    if !rights::is_root() {
        return not_run("D24", "only root may become somebody else");
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
            // Who has ended is a child until it has been waited for.
            eventually("only new ones are left", || {
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
