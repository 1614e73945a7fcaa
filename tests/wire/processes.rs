//! Master and workers: deaths, stops, drains, and what is left behind: nothing.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::rules::holds;
use crate::support::server::{eventually, halt, is_alive, is_running, send};
use crate::support::{Client, Folder, Front, Server};

/// Clients that ask all the time, each for itself, and count what went wrong.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(server: &Server, clients: usize) -> Self {
        let (stop, answered, failed) = (Arc::<AtomicBool>::default(), Arc::default(), Arc::default());
        let address = server.address();
        let threads = (0..clients)
            .map(|_| {
                let (stop, answered, failed) =
                    (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&failed));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let ask = std::panic::catch_unwind(|| {
                            let mut client = Client::connect(address);
                            for _ in 0..10 {
                                assert_eq!(client.get("/ok", "").text(), "hello\n");
                            }
                        });
                        let count: &AtomicU64 = if ask.is_ok() { &answered } else { &failed };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self { stop, answered, failed, threads }
    }

    /// Waits until so many more conversations have gone well.
    fn wait_for_more(&self, conversations: u64) {
        let wanted = self.answered.load(Ordering::Relaxed) + conversations;
        eventually("more is answered", || self.answered.load(Ordering::Relaxed) >= wanted);
    }

    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client");
        }
        (self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// RULES D1, D2: the others answer on, and another takes the place.
#[test]
fn a_killed_worker_is_replaced_under_load() {
    if Front::lacks("a_killed_worker_is_replaced_under_load") {
        return;
    }
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["-w", "4"]);
    let clients = 4;
    let load = Load::start(&server, clients);
    load.wait_for_more(20);
    for _ in 0..5 {
        let before = server.children();
        let victim = before[0];
        send(victim, Signal::KILL);
        eventually("another has taken the place", || {
            let now = server.children();
            now.len() == 4 && !now.contains(&victim)
        });
        load.wait_for_more(20);
    }
    let (answered, failed) = load.stop();
    assert!(failed <= 5 * clients as u64, "{failed} of {answered} conversations failed in 5 kills");
}

/// RULES D3.
#[test]
fn all_workers_killed_at_once_are_replaced() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["-w", "4"]);
    let before = server.workers.clone();
    before.iter().for_each(|pid| send(*pid, Signal::KILL));
    eventually("four others", || {
        let now = server.children();
        now.len() == Front::of_this_crate().processes(4) && !now.iter().any(|pid| before.contains(pid))
    });
    assert_eq!(server.connect().get("/ok", "").status, 200);
}

/// The listening socket belongs to the master: what waits in it survives the worker (DESIGN 4.3).
#[test]
fn a_connection_that_waits_is_answered_by_the_successor() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &[]);
    let worker = server.workers[0];
    halt(worker);
    let mut waiting: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    send(worker, Signal::KILL);
    for client in &mut waiting {
        assert_eq!(client.get("/ok", "").status, 200);
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_load_leaves_nothing() {
    for signal in [Signal::INT, Signal::QUIT] {
        let folder = Folder::new();
        let mut server = Server::start(&folder.root(), &["-w", "2"]);
        let load = Load::start(&server, 4);
        load.wait_for_more(10);
        let mut stuck = server.connect();
        stuck.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
        let (workers, address) = (server.children(), server.address());
        let started = Instant::now();
        server.signal(signal);
        let status = server.wait();
        assert_eq!(status.code(), Some(0), "{:?}", server.said());
        assert!(started.elapsed() < Duration::from_secs(2), "RULES D8");
        assert!(!workers.iter().any(|pid| is_running(*pid)), "no process is left");
        load.stop();
        TcpListener::bind(address).expect("no socket is left");
    }
}

/// RULES D7: answers that are due are finished, the last one says `close`, nobody is cut off.
#[test]
fn sigterm_lets_a_download_finish() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 50_000_000]);
    let mut server = Server::start(&folder.root(), &["-w", "2"]);
    let mut idle = server.connect();
    assert_eq!(idle.get("/ok", "").status, 200);
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut received = vec![0; 1_000_000];
    client.stream.read_exact(&mut received).expect("the beginning");
    server.signal(Signal::TERM);
    assert!(idle.read_raw_to_end().is_empty(), "an idle connection is closed");
    client.stream.read_to_end(&mut received).expect("the rest");
    let responses = crate::support::parse_all(&received, "GET");
    assert_eq!(responses[0].body.len(), 50_000_000);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_drain() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 50_000_000]);
    let mut server = Server::start(&folder.root(), &[]);
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut received = vec![0; 1000];
    client.stream.read_exact(&mut received).expect("the beginning");
    server.signal(Signal::TERM);
    server.wait_for("draining 1 connections");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// RULES D14: workers do not outlive their master.
#[test]
fn workers_leave_when_the_master_is_killed() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.root(), &["-w", "3"]);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    let (workers, address) = (server.workers.clone(), server.address());
    server.signal(Signal::KILL);
    assert_eq!(server.wait().code(), None);
    eventually("all workers are gone", || !workers.iter().any(|pid| is_alive(*pid)));
    TcpListener::bind(address).expect("the port is free");
}

/// RULES E13.
#[test]
fn the_port_can_be_taken_again_at_once() {
    let folder = Folder::new();
    let mut first = Server::start(&folder.root(), &[]);
    let port = first.address().port().to_string();
    for _ in 0..10 {
        let mut client = first.connect();
        client.get("/ok", "Connection: close\r\n");
        client.read_raw_to_end();
    }
    first.stop();
    for _ in 0..5 {
        let mut again = Server::start(&folder.root(), &["--port", &port]);
        assert_eq!(again.connect().get("/ok", "").status, 200);
        again.stop();
    }
}

#[test]
fn every_accept_mode_serves() {
    for mode in ["exclusive", "shared", "reuseport"] {
        let folder = Folder::new();
        let server = Server::start(&folder.root(), &["-w", "4", "--accept", mode]);
        // A runtime has no exclusive wake-up, and says what it does instead.
        let mode = Front::of_this_crate().accept(mode);
        assert!(server.wait_for("poller").ends_with(&format!("accept {mode}")));
        let load = Load::start(&server, 8);
        load.wait_for_more(200);
        let (_, failed) = load.stop();
        assert_eq!(failed, 0, "{mode}");
    }
}

/// RULES E2: with exclusive wake-ups and re-adding, all workers get their share, one connection after the
/// other and many at once.
///
/// On a machine that is busy with other things a worker may be late for its turn, so there are three tries.
#[test]
fn exclusive_accept_is_balanced() {
    if Front::lacks("exclusive_accept_is_balanced") {
        return;
    }
    let folder = Folder::new();
    let counts: Vec<Vec<usize>> = (0..3).map(|_| connections_of_four_workers(&folder)).collect();
    let balanced = |counts: &&Vec<usize>| {
        let (least, most) = (counts.iter().min().expect("four"), counts.iter().max().expect("four"));
        *most * 2 <= *least * 3
    };
    assert!(counts.iter().any(|counts| balanced(&counts)), "{counts:?}");
}

fn connections_of_four_workers(folder: &Folder) -> Vec<usize> {
    let server = Server::start(&folder.root(), &["-w", "4", "--log", "debug"]);
    for _ in 0..800 {
        let mut client = server.connect();
        assert_eq!(client.get("/ok", "Connection: close\r\n").status, 200);
    }
    let count = |pid: &i32| {
        let line = format!("stheno: {pid} Incoming connection");
        server.said().iter().filter(|said| said.starts_with(&line)).count()
    };
    eventually("all are logged", || server.workers.iter().map(count).sum::<usize>() == 800);
    server.workers.iter().map(count).collect()
}

/// RULES D27: a worker holds what it needs and nothing of its siblings' or its master's.
#[test]
fn a_worker_holds_no_foreign_descriptors() {
    if Front::lacks("a_worker_holds_no_foreign_descriptors") {
        return;
    }
    let folder = Folder::new();
    for (mode, sockets) in [("exclusive", 1), ("reuseport", 1)] {
        let server = Server::start(&folder.root(), &["-w", "3", "--accept", mode]);
        for worker in &server.workers {
            // What this very process holds, the server may have been born with.
            let inherited = links("self");
            let kinds = || -> Vec<String> {
                links(&worker.to_string()).into_iter().filter(|link| !inherited.contains(link)).collect()
            };
            let count = |kind: &str| kinds().iter().filter(|link| link.starts_with(kind)).count();
            // It lets go of the pipe on which it has said that it is ready.
            eventually("the worker has set itself up", || {
                count("anon_inode:[eventfd]") == 1 && count("pipe:") <= 2
            });
            assert_eq!(count("socket:"), sockets + 1, "{mode}: {:?}", kinds());
            assert_eq!(count("anon_inode:[eventpoll]"), 1, "{mode}: {:?}", kinds());
            // Both ends of its signals.
            assert_eq!(count("pipe:"), 2, "{mode}: {:?}", kinds());
        }
    }
    holds(
        "D27",
        "3 workers each: one listener, the line to the master, one epoll, a pipe, in 2 accept modes",
        "nothing else",
    );
}

/// What the descriptors of a process are.
fn links(pid: &str) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let link = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
    entries.filter_map(link).map(|link| link.to_string_lossy().into_owned()).collect()
}

/// An order that comes while a worker sets itself up is not slept through.
#[test]
fn a_server_that_is_told_to_stop_as_it_starts_stops() {
    let folder = Folder::new();
    for _ in 0..20 {
        let mut server = Server::start(&folder.root(), &["-w", "4"]);
        let started = Instant::now();
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0), "{:?}", server.said());
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", server.said());
    }
}

/// Who has been let in by the kernel is answered, although the worker never saw him before the end.
#[test]
fn clients_in_the_queue_are_answered_before_the_end() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.root(), &[]);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    let worker = server.workers[0];
    halt(worker);
    let mut waiting: Vec<Client> = (0..60)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    server.signal(Signal::TERM);
    server.wait_for("Shutting down");
    send(worker, Signal::CONT);
    for client in &mut waiting {
        assert_eq!(client.read("GET").status, 200);
    }
    drop(waiting);
    assert_eq!(server.wait().code(), Some(0));
}

/// RULES D7: while answers finish, nobody new is let in to wait for nothing.
#[test]
fn a_draining_server_is_gone_for_newcomers() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 50_000_000]);
    let mut server = Server::start(&folder.root(), &["-w", "2"]);
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut received = vec![0; 1000];
    client.stream.read_exact(&mut received).expect("the beginning");
    server.signal(Signal::TERM);
    eventually("connections are refused", || std::net::TcpStream::connect(server.address()).is_err());
    client.stream.read_to_end(&mut received).expect("the rest");
    assert_eq!(crate::support::parse_all(&received, "GET")[0].body.len(), 50_000_000);
    assert_eq!(server.wait().code(), Some(0));
}

/// RULES D7: clients that go on asking are told in an answer, and lose none.
#[test]
fn busy_clients_are_told_that_it_ends() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.root(), &["-w", "2"]);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = server.connect();
            std::thread::spawn(move || {
                while !client.get("/ok", "").closes() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            })
        })
        .collect();
    eventually("they are all connected", || server.connect().get("/ok", "").status == 200);
    server.signal(Signal::TERM);
    clients.into_iter().for_each(|client| client.join().expect("every request was answered"));
    assert_eq!(server.wait().code(), Some(0));
}

/// A worker that does not stop is killed, once.
#[test]
fn a_stuck_worker_is_killed_once() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.root(), &["-w", "2"]);
    let worker = server.workers[0];
    halt(worker);
    let started = Instant::now();
    assert_eq!(server.stop().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(3));
    server.wait_for("is killed");
    let lines = server.said();
    let kills: Vec<_> = lines.iter().filter(|line| line.contains("is killed")).collect();
    assert_eq!(kills.len(), 1, "{lines:?}");
}
