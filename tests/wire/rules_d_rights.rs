//! RULES D24 to D27: what a worker may do, and what it holds.
//!
//! What is given up belongs to a thread: so the jail is tried from within by threads of this test, which enter it as
//! a worker does, and the workers themselves are looked at from outside.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::UNIX_EPOCH;

use stheno::server::{Confinement, Jail};
use stheno::sys::{beneath, rights, sandbox};

use crate::support::process::is_installed;
use crate::support::rules::{holds, not_run};
use crate::support::server::{command, eventually, run};
use crate::support::{Folder, Front, Server};

/// A user that every system has, by number, so that no file need know him.
const NOBODY: &str = "65534";

/// One line of a process's proc(5) status.
fn status(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What no worker has, whoever started it.
fn check_rights(worker: i32) {
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&status(worker, set), 16), Ok(0), "{set}");
    }
    if rights::is_root() {
        assert_eq!(u64::from_str_radix(&status(worker, "CapBnd"), 16), Ok(0));
    }
    assert_eq!(status(worker, "NoNewPrivs"), "1");
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        // Landlock cannot be seen from outside; what comes behind it can.
        eventually("system calls are filtered", || status(worker, "Seccomp") == "2");
    }
}

/// Everything that a worker does, done by one that has given up what it can.
fn check_service(folder: &Folder, server: &Server) {
    let mut client = server.connect();
    assert_eq!(client.get("/ok", "").text(), "hello\n");
    assert_eq!(client.get("/", "").text(), "<html>index</html>");
    assert_eq!(client.get("/big", "").body.len(), 100_000, "by sendfile");
    assert_eq!(client.get("/big", "Range: bytes=1-2,4-5\r\n").status, 206);
    assert_eq!(client.get("/sub", "").field("Location"), Some("/sub/"));
    assert_eq!(client.get("/link", "").text(), "hello\n", "a symlink inside");
    for target in ["/none", "/out", "/etc", "/proc"] {
        assert_eq!(client.get(target, "").status, 404, "{target}");
    }
    let page = client.get("/list/", "");
    assert!(page.status == 200 && page.text().contains("one"), "{}", page.text());
    assert_eq!(client.get("/list/one", "Accept-Encoding: gzip\r\n").text(), "packed", "a sibling");
    // What comes into the root later on belongs to it.
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
        not_run("D24", "only root can become somebody else");
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
    // A file that only root may read is one that this worker may not.
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
fn d24_who_may_ask_for_it() {
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
    // Who may not enter the root after giving up his rights must not serve it.
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
        Err(error) => not_run("D24", format_args!("nobody may not run the server here: {error}")),
    }
}

/// What is tried, and how it ended.
type Tries = BTreeMap<&'static str, Option<io::ErrorKind>>;

struct House {
    folder: Folder,
    listener: TcpListener,
    /// A Unix socket outside of the root.
    socket: PathBuf,
    _unix: UnixListener,
    /// A name in the abstract space of Unix sockets.
    abstract_name: SocketAddr,
    _abstract: UnixListener,
    logs: PathBuf,
}

impl House {
    fn new() -> Self {
        let folder = folder();
        let logs = folder.beside("logs");
        fs::create_dir(&logs).expect("a folder");
        fs::write(logs.join("old"), "lines").expect("a file");
        fs::hard_link(folder.beside("secret"), folder.root().join("hard")).expect("a link");
        let socket = folder.beside("socket");
        let name = format!("stheno-test-{}", logs.display());
        let abstract_name = SocketAddr::from_abstract_name(name).expect("a name");
        Self {
            folder,
            listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
            _unix: UnixListener::bind(&socket).expect("a socket"),
            socket,
            _abstract: UnixListener::bind_addr(&abstract_name).expect("a socket"),
            abstract_name,
            logs,
        }
    }

    /// Tries everything, in this thread.
    fn tries(&self) -> Tries {
        let root = self.folder.root();
        let mut tries = Tries::new();
        let mut attempt = |what, result: io::Result<()>| {
            tries.insert(what, result.err().map(|error| error.kind()));
        };
        let write = |path: &Path| OpenOptions::new().append(true).create(true).open(path)?.write_all(b"x");
        attempt("read a file", fs::read(root.join("ok")).map(drop));
        attempt("list a folder", fs::read_dir(root.join("list")).map(drop));
        attempt("read a hard link", fs::read(root.join("hard")).map(drop));
        attempt("read /etc/passwd", fs::read("/etc/passwd").map(drop));
        attempt("read beside the root", fs::read(self.folder.beside("secret")).map(drop));
        attempt("follow a link out", fs::read(root.join("out")).map(drop));
        attempt("list /", fs::read_dir("/").map(drop));
        attempt("read /proc/self", fs::read("/proc/self/cmdline").map(drop));
        attempt("write a file", write(&root.join("ok")));
        attempt("make a file", write(&root.join("new")));
        attempt("truncate a file", File::create(root.join("big")).map(drop));
        attempt("make a folder", fs::create_dir(root.join("dir")));
        attempt("make a link", symlink("ok", root.join("sym")));
        attempt("make a socket", UnixListener::bind(root.join("socket")).map(drop));
        attempt("rename a file", fs::rename(root.join("list/one"), root.join("list/renamed")));
        attempt("remove a file", fs::remove_file(root.join("sub/index.html")));
        attempt("write beside the root", write(&self.folder.beside("new")));
        attempt("write a log", write(&self.logs.join("old")));
        attempt("make a log", write(&self.logs.join("new")));
        attempt("read a log", fs::read(self.logs.join("old")).map(drop));
        attempt("remove a log", fs::remove_file(self.logs.join("old")));
        attempt("run a program", Command::new("/bin/sh").args(["-c", ":"]).status().map(drop));
        attempt("connect", TcpStream::connect(self.listener.local_addr().expect("an address")).map(drop));
        attempt("listen", TcpListener::bind("127.0.0.1:0").map(drop));
        attempt("change a mode", fs::set_permissions(root.join("ok"), Permissions::from_mode(0o640)));
        attempt("change a time", File::open(root.join("ok")).and_then(|file| file.set_modified(UNIX_EPOCH)));
        attempt("send to anybody", UdpSocket::bind("127.0.0.1:0").map(drop));
        attempt("connect to a Unix socket", UnixStream::connect(&self.socket).map(drop));
        attempt("connect to an abstract socket", UnixStream::connect_addr(&self.abstract_name).map(drop));
        tries
    }

    /// The same from within the jail that a worker enters.
    fn tries_confined(&self) -> Tries {
        thread::scope(|scope| {
            let confined = scope.spawn(|| {
                let root = self.folder.root().canonicalize().expect("a root");
                let directory = beneath::open_root(&root).expect("a root");
                let confinement = Confinement::new(None, Jail::Required);
                confinement.enter(directory.as_fd()).expect("a jail");
                self.tries()
            });
            confined.join().expect("the thread")
        })
    }
}

#[test]
fn d25_a_worker_sees_the_root_and_nothing_else() {
    if sandbox::abi() < sandbox::WHOLE_ABI {
        return not_run("D25", format_args!("this kernel's Landlock has version {}", sandbox::abi()));
    }
    let denied = Some(io::ErrorKind::PermissionDenied);
    let house = House::new();
    let confined = house.tries_confined();
    let allowed = ["read a file", "list a folder", "read a hard link"];
    for (what, end) in &confined {
        let want = if allowed.contains(what) { None } else { denied };
        let is_known = *what != "connect to an abstract socket" || sandbox::abi() >= 6;
        assert!(*end == want || !is_known, "{what}: {end:?}");
    }
    // The control: without a jail all of it can be done.
    let free = House::new().tries();
    assert!(free.values().all(Option::is_none), "{free:?}");
    holds(
        "D25",
        format_args!(
            "{} of {} things denied, Landlock {}; control: all of them possible",
            confined.values().filter(|end| **end == denied).count(),
            confined.len(),
            sandbox::abi(),
        ),
        "EACCES; reading and listing go on",
    );
    holds(
        "D26",
        "programs, sockets of every family, modes and times of files: EPERM; a list of what is refused",
        "EPERM, and the whole suite runs with it",
    );
}

/// The jail is no obstacle to anything that the server does, and it is entered: the kernel's own answer says so.
#[test]
fn d25_workers_serve_from_within() {
    let folder = folder();
    let server = Server::start(&folder.root(), &OPTIONS);
    check_service(&folder, &server);
    // The root is known by its inode: it may be moved, and another may take its name.
    fs::rename(folder.root(), folder.beside("moved")).expect("rename");
    fs::create_dir(folder.root()).expect("a folder");
    folder.write("ok", "another");
    let mut client = server.connect();
    assert_eq!(client.get("/ok", "").text(), "hello\n");
    assert!(client.get("/list/", "").text().contains("two"));
    drop((client, server));

    let workers = Front::of_this_crate().processes(2);
    let traces = folder.beside("traces");
    if sandbox::abi() == 0 || !is_installed("strace") {
        return not_run("D25", "there is no Landlock, or no strace to see workers enter it");
    }
    for (options, want) in
        [(&["-w2"][..], workers), (&["-w2", "--require-sandbox"], workers), (&["-w2", "--sandbox=off"], 0)]
    {
        let mut server = Server::start_traced(&folder.root(), options, "landlock_restrict_self", &traces);
        if server.is_none() {
            return not_run("D25", "strace may not attach itself");
        }
        let server = server.as_mut().expect("a server");
        for _ in 0..20 {
            assert_eq!(server.connect().get("/ok", "").status, 200);
        }
        let filtered = if want > 0 { "2" } else { "0" };
        // One of them may have served everyone before the other has begun.
        eventually("system calls are filtered, or not", || {
            server.workers.iter().all(|worker| status(*worker, "Seccomp") == filtered)
        });
        server.stop();
        let mut entered = 0;
        eventually("the traces are complete", || {
            let text = fs::read_to_string(&traces).expect("traces");
            // A call of one process may be written down in two pieces, around one of another.
            let calls = text.lines().filter(|line| line.contains("landlock_restrict_self"));
            entered = calls.filter(|line| line.ends_with("= 0")).count();
            entered >= want
        });
        assert_eq!(entered, want, "{options:?}");
    }
    holds(
        "D25",
        "all kinds of answers from within the jail; 2 of 2 workers seen to enter it",
        "server still serves",
    );
}

/// What a worker holds that this test, its grandparent, did not leave to it; by kind.
fn held(pid: i32) -> BTreeMap<String, usize> {
    let links = |pid: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
        let high = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().parse().is_ok_and(|number: i32| number > 2));
        high.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    };
    let ours = links("self");
    let mut held = BTreeMap::new();
    for link in links(&pid.to_string()).into_iter().filter(|link| !ours.contains(link)) {
        let name = link.to_string_lossy();
        let kind = name.split(':').next().filter(|kind| ["socket", "pipe"].contains(kind));
        *held.entry(kind.unwrap_or(&name).to_string()).or_default() += 1;
    }
    held
}

#[test]
fn d27_a_worker_holds_what_it_needs() {
    if Front::lacks("d27_a_worker_holds_what_it_needs") {
        return;
    }
    let folder = Folder::new();
    let place = folder.beside("").canonicalize().expect("a place");
    let name = |name: &str| place.join(name).to_str().expect("UTF-8").to_string();
    let unix = format!("unix:{}", name("s.sock"));
    let (log, access_log) = (name("server.log"), name("access.log"));
    let options =
        ["--listen", "127.0.0.1:0", "--listen", &unix, "--logfile", &log, "--access-log", &access_log];
    let server = Server::start(&folder.root(), &[&options[..], &["-w2"]].concat());
    let want: BTreeMap<String, usize> = [
        // Two of TCP, one of them from --port; one in the file system; its end of its life line.
        ("socket".into(), 4),
        // Both ends of that of its signals.
        ("pipe".into(), 2),
        ("anon_inode:[eventpoll]".into(), 1),
        ("anon_inode:[eventfd]".into(), 1),
        (log.clone(), 1),
        (access_log.clone(), 1),
        (name("root"), 1),
    ]
    .into();
    for worker in &server.workers {
        let mut last = BTreeMap::new();
        let mut tries = 0;
        eventually("it holds what it needs, and no more", || {
            last = held(*worker);
            tries += 1;
            assert!(tries < 1000, "{last:?}");
            last == want
        });
    }
    // And for those that come later.
    let before = server.children();
    crate::support::server::send(before[0], rustix::process::Signal::KILL);
    eventually("the successor holds no more", || {
        let now = server.children();
        let newcomer = now.iter().find(|pid| !before.contains(pid));
        newcomer.is_some_and(|pid| held(*pid) == want)
    });
    holds(
        "D27",
        "3 listeners, the line to the master, epoll, eventfd, 2 ends of a pipe, 2 logs, the root, 0–2",
        "exactly these",
    );
}
