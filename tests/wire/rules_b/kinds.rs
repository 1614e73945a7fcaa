//! B8, B12: paths that are no regular files, and files that cannot be opened.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, makedev, mkfifoat, mknodat};
use rustix::process::{Pid, Resource, Rlimit, geteuid, getrlimit, prlimit};

use super::Asker;
use crate::support::rules::holds;
use crate::support::{Folder, Server, with_both_backends};

/// The best of `TRIES` tries is the server's time; the rest is other load of this machine.
const TRIES: usize = 20;

/// Makes `/dev/zero` and a device without a driver, if permitted.
fn make_devices(root: &Path) -> bool {
    let device = |name: &str, number| {
        mknodat(CWD, root.join(name), FileType::CharacterDevice, Mode::from_raw_mode(0o644), number)
    };
    device("zero", makedev(1, 5)).is_ok() && device("undriven", makedev(60, 99)).is_ok()
}

/// Round-trip times of `/ok` until `stop`, in order of length.
fn round_trips(server: &Server, stop: &AtomicBool) -> Vec<Duration> {
    let mut client = server.connect();
    let mut times = Vec::new();
    // Once at least: on a busy machine the test may be over before this thread has begun.
    while times.is_empty() || !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        assert_eq!(client.get("/ok", "").status, 200);
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    times
}

/// The time of the slowest target, each at its best.
fn slowest(server: &Server, targets: &[&str]) -> Duration {
    let mut asker = Asker::new(server);
    let best = |target: &&str| {
        let tries = (0..TRIES).map(|_| {
            let asked = Instant::now();
            assert_eq!(asker.get(target).status, 404, "{target}");
            asked.elapsed()
        });
        tries.min().expect("a try")
    };
    targets.iter().map(best).max().expect("a target")
}

#[test]
fn b8_paths_of_other_kinds_do_not_block() {
    let bar = Duration::from_millis(5);
    let measured = RefCell::new(Vec::new());
    with_both_backends(|start| {
        let folder = Folder::new();
        let root = folder.root();
        mkfifoat(CWD, root.join("fifo"), Mode::RWXU).expect("a FIFO");
        let _socket = UnixListener::bind(root.join("socket")).expect("a socket");
        symlink("fifo", root.join("link")).expect("a link");
        let mut targets = vec!["/fifo", "/socket", "/link"];
        if make_devices(&root) {
            targets.extend(["/zero", "/undriven"]);
        } else {
            println!("without devices: only root may make them");
        }
        // Without cache, each request opens its path.
        let server = start(&root, &["--file-cache", "0"]);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let other = scope.spawn(|| round_trips(&server, &stop));
            let slowest = slowest(&server, &targets);
            stop.store(true, Ordering::Relaxed);
            let others = other.join().expect("the other client");
            assert!(slowest <= bar, "{slowest:?}");
            let p50 = others[others.len() / 2];
            assert!(p50 <= 20 * bar, "the other client waited {p50:?}");
            let kinds = targets.len();
            measured.borrow_mut().push(format!("{kinds} kinds {slowest:.1?}, others' median {p50:.1?}"));
        });
        // Files of proc(5) have size 0, so the server reads none of their content.
        let proc = start(Path::new("/proc"), &[]);
        let mut asker = Asker::new(&proc);
        for (target, want) in [
            ("/version", 200),
            ("/self/status", 200),
            ("/self/root/etc/passwd", 404),
            ("/self/cwd/Cargo.toml", 404),
        ] {
            let response = asker.get(target);
            assert_eq!((response.status, response.body.len() > 100), (want, false), "{target}");
        }
    });
    let measured = measured.into_inner().join("; with the fallback: ");
    holds("B8", format_args!("all 404, best times: {measured}; /proc does not block"), "404 in ≤ 5 ms");
}

/// A reader that comes and goes would end a writer by SIGPIPE.
#[test]
fn b8_a_fifo_is_not_opened() {
    with_both_backends(|start| {
        let folder = Folder::new();
        let fifo = folder.root().join("fifo");
        mkfifoat(CWD, &fifo, Mode::RWXU).expect("a FIFO");
        symlink("fifo", folder.root().join("link")).expect("a link");
        let server = start(&folder.root(), &["--listing"]);
        // It waits until a reader opens the FIFO.
        let writer = thread::spawn({
            let fifo = fifo.clone();
            move || fs::OpenOptions::new().write(true).open(fifo).expect("the FIFO")
        });
        let mut client = server.connect();
        for target in ["/fifo", "/link", "/fifo/", "/link?x"].repeat(20) {
            assert_eq!(client.get(target, "").status, 404, "{target}");
        }
        fs::remove_file(folder.root().join("index.html")).expect("no index");
        assert!(!client.get("/", "").text().contains("fifo"), "nor listed");
        assert!(!writer.is_finished(), "somebody has opened it");
        let reader = fs::OpenOptions::new().read(true).write(true).open(fifo).expect("the FIFO");
        writer.join().expect("the writer");
        drop(reader);
    });
    holds("B8", "a FIFO with a writer: 404, not listed, and never opened", "404");
}

/// Limits the process to its current descriptors while `test` runs.
fn without_descriptors<T>(pid: i32, test: impl FnOnce() -> T) -> T {
    let process = Pid::from_raw(pid);
    let usual = getrlimit(Resource::Nofile);
    let open: Vec<u64> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("descriptors")
        .filter_map(|entry| entry.expect("an entry").file_name().to_str()?.parse().ok())
        .collect();
    let free = (0..).find(|number| !open.contains(number));
    let limit = Rlimit { current: free, maximum: usual.maximum };
    let before = prlimit(process, Resource::Nofile, limit).expect("prlimit");
    let result = test();
    prlimit(process, Resource::Nofile, before).expect("prlimit");
    result
}

#[test]
fn b12_failures_have_their_statuses() {
    with_both_backends(|start| {
        let folder = Folder::new();
        let root = folder.root();
        symlink("loop", root.join("loop")).expect("a link");
        let server = start(&root, &["--listing", "--file-cache", "0"]);
        let mut asker = Asker::new(&server);
        let long_name = format!("/{}", "n".repeat(300));
        let long_path = format!("/{}ok", "sub/".repeat(1500));
        for target in [long_name.as_str(), &long_path, "/loop", "/loop/x", "/ok/x", "/ok/", "/none"] {
            assert_eq!(asker.get(target).status, 404, "{target}");
        }
        // Everything else that the next responses need is open already.
        assert_eq!(asker.get("/ok").status, 200);
        without_descriptors(server.workers[0], || {
            for target in ["/ok", "/", "/sub/", "/sub"] {
                assert_eq!(asker.get(target).status, 503, "EMFILE: {target}");
            }
        });
        assert_eq!(asker.get("/ok").status, 200);
    });
    holds(
        "B12",
        "ENAMETOOLONG, ELOOP, ENOTDIR 404; EMFILE 503; EACCES 403 (own test); EIO 500 (unit test)",
        "exact table",
    );
}

/// Root may read everything, so the server runs as another user.
#[test]
fn b12_unreadable_files_are_forbidden() {
    for twin in ["", "all"] {
        let folder = Folder::new();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
        };
        set(&folder.beside(""), 0o755);
        folder.write("locked", "x");
        fs::create_dir(folder.root().join("shut")).expect("a folder");
        fs::create_dir(folder.root().join("unlisted")).expect("a folder");
        folder.write("unlisted/file", "known by name");
        symlink("locked", folder.root().join("link")).expect("a link");
        set(&folder.root().join("locked"), 0o000);
        set(&folder.root().join("shut"), 0o000);
        set(&folder.root().join("unlisted"), 0o311);
        let server = Server::start_with(&folder.root(), &["--listing"], |command| {
            command.env("STHENO_FORCE_FALLBACK", twin);
            if geteuid().is_root() {
                command.uid(65534).gid(65534);
            }
        });
        let mut asker = Asker::new(&server);
        for (target, want) in [
            ("/locked", 403),
            ("/link", 403),
            ("/shut/", 403),
            ("/shut/x", 403),
            ("/unlisted", 301),
            ("/unlisted/", 403),
            ("/unlisted/file", 200),
            ("/ok", 200),
        ] {
            assert_eq!(asker.get(target).status, want, "{target}, {twin}");
        }
        // A directory without read permission is still a directory; so is such a root.
        set(&folder.root().join("sub"), 0o711);
        set(&folder.root(), 0o711);
        assert_eq!(asker.get("/sub").status, 301);
        assert_eq!(asker.get("/sub/").status, 200);
    }
    holds("B12", "EACCES of files, folders and listings × both backends: 403", "EACCES → 403");
}
