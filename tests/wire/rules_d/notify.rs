//! Messages to a service manager (sd_notify(3)).

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Orphan, SECOND};
use crate::support::rules::holds;
use crate::support::server::{eventually, halt, is_alive, send};
use crate::support::{Folder, Front, Server};

/// A fake service manager.
struct Manager {
    socket: UnixDatagram,
    folder: Folder,
}

impl Manager {
    fn new() -> Self {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.beside("notify")).expect("a socket");
        socket.set_read_timeout(Some(10 * SECOND)).expect("a time-out");
        Self { socket, folder }
    }

    fn start(&self, options: &[&str], watchdog: Option<Duration>) -> Server {
        Server::start_with(&self.folder.root(), options, |command| {
            command.env("NOTIFY_SOCKET", self.folder.beside("notify"));
            if let Some(watchdog) = watchdog {
                command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
            }
        })
    }

    /// Receives the next message, and returns its lines.
    fn next(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let count = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..count]).lines().map(String::from).collect()
    }

    /// The number of messages within `time`; each must be `message`.
    fn count(&self, message: &str, time: Duration) -> usize {
        let until = Instant::now() + time;
        let mut count = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.socket.set_read_timeout(Some(left)).expect("a time-out");
            let mut bytes = [0; 4096];
            match self.socket.recv(&mut bytes) {
                Ok(length) => {
                    assert_eq!(String::from_utf8_lossy(&bytes[..length]), message);
                    count += 1;
                }
                Err(error) => {
                    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()), "{error}")
                }
            }
        }
        self.socket.set_read_timeout(Some(10 * SECOND)).expect("a time-out");
        count
    }
}

#[test]
fn d21_a_service_manager_is_told_in_order() {
    let manager = Manager::new();
    let mut server = manager.start(&["-w", "2"], None);
    let serving = match Front::of_this_crate().processes(2) {
        1 => "STATUS=1 worker serving",
        _ => "STATUS=2 workers serving",
    };
    assert_eq!(manager.next(), ["READY=1", serving]);
    server.signal(Signal::HUP);
    let reloading = manager.next();
    assert_eq!((reloading.len(), reloading[0].as_str()), (3, "RELOADING=1"));
    let micros: u64 =
        reloading[1].strip_prefix("MONOTONIC_USEC=").expect("a time").parse().expect("a number");
    let now = stheno::sys::process::monotonic_micros();
    assert!(micros <= now && now - micros < 10_000_000, "{micros}, and now it is {now}");
    assert_eq!(manager.next()[0], "READY=1");
    server.signal(Signal::TERM);
    let stopping = manager.next();
    assert!(stopping[0] == "STOPPING=1" && stopping[1].starts_with("STATUS=Shutting down"), "{stopping:?}");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(manager.count("nothing more", Duration::from_millis(100)), 0);
    holds("D21", "READY with 2 workers; RELOADING with its time, READY; STOPPING", "exact order");
}

#[test]
fn d21_an_upgrade_moves_the_main_process() {
    let manager = Manager::new();
    let mut server = manager.start(&[], None);
    assert_eq!(manager.next()[0], "READY=1");
    server.signal(Signal::USR2);
    assert_eq!(manager.next()[0], "RELOADING=1");
    let ready = manager.next();
    let pid = ready.iter().find_map(|line| line.strip_prefix("MAINPID=")).expect("a pid");
    let successor = Orphan(pid.parse().expect("a number"));
    assert!(ready[0] == "READY=1" && successor.0 != server.master(), "{ready:?}");
    assert_eq!(server.wait().code(), Some(0));
    send(successor.0, Signal::TERM);
    assert_eq!(manager.next()[0], "STOPPING=1", "the successor has inherited the address");
    eventually("it is gone", || !is_alive(successor.0));
    holds(
        "D21",
        "an upgrade: RELOADING, then READY with MAINPID; the successor sends STOPPING",
        "exact order",
    );
}

/// A service manager that is busy gets READY when it has room: without it, it would end the server.
#[test]
fn d21_a_busy_service_manager_is_told_later() {
    let manager = Manager::new();
    let other = UnixDatagram::unbound().expect("a socket");
    other.set_nonblocking(true).expect("a flag");
    let mut queued = 0;
    while other.send_to(b"STATUS=other", manager.folder.beside("notify")).is_ok() {
        queued += 1;
    }
    let _server = manager.start(&["-w", "1"], None);
    for _ in 0..queued {
        assert_eq!(manager.next(), ["STATUS=other"]);
    }
    assert_eq!(manager.next(), ["READY=1", "STATUS=1 worker serving"]);
    holds(
        "D21",
        format!("behind {queued} other messages, a full queue: READY follows when there is room"),
        "yes",
    );
}

#[test]
fn d21_an_abstract_socket() {
    let folder = Folder::new();
    let name = format!("stheno-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    socket.set_read_timeout(Some(10 * SECOND)).expect("a time-out");
    let _server = Server::start_with(&folder.root(), &[], |command| {
        command.env("NOTIFY_SOCKET", format!("@{name}"));
    });
    let mut bytes = [0; 100];
    let count = socket.recv(&mut bytes).expect("a message");
    assert!(bytes[..count].starts_with(b"READY=1\n"));
    holds("D21", "an abstract socket gets the messages", "yes");
}

#[test]
fn d23_watchdog_messages_need_all_workers() {
    if Front::lacks("d23_watchdog_messages_need_all_workers") {
        return;
    }
    let manager = Manager::new();
    let watchdog = SECOND;
    let server = manager.start(&["-w", "2", "--worker-timeout", "0"], Some(watchdog));
    let begun = manager.next();
    assert!(begun[0] == "READY=1" || begun[0] == "WATCHDOG=1", "{begun:?}");
    let alive = manager.count("WATCHDOG=1", 3 * watchdog);
    assert!((4..=8).contains(&alive), "{alive} in 3 s");
    halt(server.workers[0]);
    // One message may be in flight, and one more is due before the heartbeat is late.
    let last = manager.count("WATCHDOG=1", watchdog + watchdog / 2);
    let silent = manager.count("WATCHDOG=1", 2 * watchdog);
    assert!(last <= 2 && silent == 0, "{last}, then {silent}");
    send(server.workers[0], Signal::CONT);
    assert!(manager.count("WATCHDOG=1", 2 * watchdog) >= 2, "the messages come again");
    holds(
        "D23",
        format!("every half second: {alive} in 3 s; after a worker is stopped: {last}, then 0"),
        "stops ≤ 1 period",
    );
}
