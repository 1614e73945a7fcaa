//! RULES D25, D26: the jail of a worker.
//!
//! The restrictions belong to a thread. So threads of this test enter the jail as a worker does and try it from
//! within; the workers themselves are examined from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::UNIX_EPOCH;

use stheno::server::{Confinement, Jail};
use stheno::sys::{beneath, sandbox};

use super::calls::{self, Outside};
use super::{OPTIONS, check_service, folder, status};
use crate::support::process::is_installed;
use crate::support::rules::{holds, not_run};
use crate::support::server::{command, eventually};
use crate::support::{Folder, Front, Server};

/// The attempts, and their errors.
type Tries = BTreeMap<&'static str, Option<io::ErrorKind>>;

struct House {
    folder: Folder,
    listener: TcpListener,
    /// A Unix socket outside of the root.
    socket: PathBuf,
    _unix: UnixListener,
    /// A name in the abstract namespace of Unix sockets.
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

    /// Makes all attempts in this thread.
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
        attempt("make a UDP socket", UdpSocket::bind("127.0.0.1:0").map(drop));
        attempt("connect to a Unix socket", UnixStream::connect(&self.socket).map(drop));
        attempt("connect to an abstract socket", UnixStream::connect_addr(&self.abstract_name).map(drop));
        tries
    }

    /// Calls a function in a thread that has entered the jail of a worker.
    fn confined<R: Send>(&self, call: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| {
            let confined = scope.spawn(|| {
                let root = self.folder.root().canonicalize().expect("a root");
                let directory = beneath::open_root(&root).expect("a root");
                let confinement = Confinement::new(None, Jail::Required);
                confinement.enter(directory.as_fd()).expect("a jail");
                call()
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
    // EACCES of Landlock; EPERM and ENOSYS of the filter.
    let denied = [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported].map(Some);
    let house = House::new();
    let confined = house.confined(|| house.tries());
    let allowed = ["read a file", "list a folder", "read a hard link"];
    for (what, end) in &confined {
        let is_right = if allowed.contains(what) { end.is_none() } else { denied.contains(end) };
        assert!(is_right, "{what}: {end:?}");
    }
    // The control: without a jail all attempts succeed.
    let free = House::new().tries();
    assert!(free.values().all(Option::is_none), "{free:?}");
    holds(
        "D25",
        format_args!(
            "{} of {} things denied, Landlock {}; control: all of them possible",
            confined.values().filter(|end| denied.contains(end)).count(),
            confined.len(),
            sandbox::abi(),
        ),
        "EACCES; reading and listing go on",
    );
}

#[test]
fn d26_the_calls_of_a_worker_are_few() {
    if let Some(missing) = Jail::missing() {
        return not_run("D26", format_args!("this kernel lacks {missing}"));
    }
    let house = House::new();
    let mut other = Command::new("sleep").arg("60").spawn().expect("a process");
    let pid = i32::try_from(other.id()).expect("a pid");
    let outside = Outside::new(pid, &house.folder.beside("datagrams"));
    let limits = || fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let limits_before = limits();
    let confined = house.confined(|| {
        // Threads are left, by clone(2), because the filter takes clone3(2) for one that does not exist.
        assert_eq!(thread::spawn(|| 1).join().ok(), Some(1));
        (outside.calls(), calls::allowed())
    });
    let unharmed = limits() == limits_before && other.try_wait().expect("its state").is_none();
    let received = outside.receiver.recv(&mut [0; 8]).map_err(|error| error.kind());
    other.kill().and_then(|()| other.wait()).expect("its end");
    let (refused, allowed) = confined;
    for attempt in &refused {
        assert!(attempt.is_refused(), "{attempt:?}");
    }
    for attempt in &allowed {
        assert!(attempt.has_succeeded(), "{attempt:?}");
    }
    assert!(unharmed, "another process has other limits, or is gone");
    assert_eq!(received, Err(io::ErrorKind::WouldBlock), "a datagram has left the jail");
    assert_eq!(fs::read_link("/proc/self/fd/0").expect("a link"), Path::new("/dev/null"));
    let families: BTreeSet<_> = refused.iter().map(|attempt| attempt.family).collect();
    holds(
        "D26",
        format_args!(
            "a list of what is allowed; {} calls of {} families are refused; threads start; input is /dev/null",
            refused.len(),
            families.len(),
        ),
        "EPERM or ENOSYS, and the whole suite runs with it",
    );
}

/// A confined worker serves everything, and strace shows that it has entered the jail.
#[test]
fn d25_workers_serve_from_within() {
    let folder = folder();
    let server = Server::start(&folder.root(), &OPTIONS);
    check_service(&folder, &server);
    drop(server);

    let workers = Front::of_this_crate().processes(2);
    let traces = folder.beside("traces");
    if sandbox::abi() == 0 || !is_installed("strace") {
        return not_run("D25", "there is no Landlock, or no strace to see workers enter it");
    }
    for (options, want) in
        [(&["-w2"][..], workers), (&["-w2", "--require-sandbox"], workers), (&["-w2", "--sandbox=off"], 0)]
    {
        let mut server =
            Server::start_traced(&folder.root(), options, "trace=landlock_restrict_self", &traces);
        if server.is_none() {
            return not_run("D25", "strace may not attach itself");
        }
        let server = server.as_mut().expect("a server");
        for _ in 0..20 {
            assert_eq!(server.connect().get("/ok", "").status, 200);
        }
        let filtered = if want > 0 { "2" } else { "0" };
        // One worker may have served all requests before the other has started.
        eventually("system calls are filtered, or not", || {
            server.workers.iter().all(|worker| status(*worker, "Seccomp") == filtered)
        });
        server.stop();
        let mut entered = 0;
        eventually("the traces are complete", || {
            let text = fs::read_to_string(&traces).expect("traces");
            // strace may write a call in two lines, with lines of another process in between.
            let calls = text.lines().filter(|line| line.contains("landlock_restrict_self"));
            entered = calls.filter(|line| line.ends_with("= 0")).count();
            entered >= want
        });
        assert_eq!(entered, want, "{options:?}");
    }
    holds(
        "D25",
        "all kinds of responses from within the jail; 2 of 2 workers are seen to enter it",
        "server still serves",
    );
}

/// A kernel that lacks a part of the jail: one line says so at the start, and no worker adds another.
#[test]
fn d25_what_the_kernel_lacks_is_reported_once() {
    let folder = folder();
    for (call, error, lacks) in [
        ("seccomp", "ENOSYS", "the filter of system calls (seccomp)"),
        ("seccomp", "EINVAL", "the filter of system calls (seccomp)"),
        ("landlock_create_ruleset", "EOPNOTSUPP", "Landlock 4 (it has 0; Linux 6.7)"),
    ] {
        let (what, traces) = (format!("inject={call}:error={error}"), folder.beside("traces"));
        let Some(server) = Server::start_traced(&folder.root(), &["-w2"], &what, &traces) else {
            return not_run("D25", "there is no strace to take a part of the kernel away");
        };
        assert_eq!(server.connect().get("/ok", "").status, 200);
        let line = format!("this kernel lacks {lacks}: workers are confined as far as it goes");
        assert_eq!(server.count_said(&line), 1, "{call}: {:?}", server.said());
        drop(server);
        let mut refused = Command::new("timeout");
        refused.args(["20", "strace", "-qqf", "-o", "/dev/null", "-e", &what]).arg(command().get_program());
        refused.args(["--port", "0", "--require-sandbox", "-r"]).arg(folder.root());
        let output = refused.output().expect("strace");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains(lacks), "{call}: {error}");
    }
    holds(
        "D25",
        "kernels without a part of it: 1 line at the start; --require-sandbox does not start",
        "one line",
    );
}
