//! What each signal does: once, twice, and in storms.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::regulars::Regulars;
use super::{SECOND, serve, serve_in_background, until_workers};
use crate::support::hostile::ask_once;
use crate::support::process::is_installed;
use crate::support::rules::{holds, not_run};
use crate::support::server::{children, command, eventually, halt, is_alive, send};
use crate::support::{Client, Folder, Front, Server};

/// A client in the middle of a download that it does not go on with.
fn stuck(server: &Server) -> Client {
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream.read_exact(&mut [0; 1000]).expect("the beginning");
    client
}

fn serve_large(options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    folder.write_sparse("large", 1 << 30);
    let server = Server::start(&folder.root(), options);
    (folder, server)
}

#[test]
fn d6_workers_come_and_go() {
    if Front::lacks("d6_workers_come_and_go") {
        return;
    }
    let (_folder, server) = serve_in_background(&["-w", "2"]);
    let master = server.master();
    server.signal(Signal::TTIN);
    until_workers(master, 3);
    server.signal(Signal::TTIN);
    until_workers(master, 4);
    server.signal(Signal::TTOU);
    until_workers(master, 3);
    for _ in 0..5 {
        server.signal(Signal::TTOU);
        std::thread::sleep(Duration::from_millis(20));
    }
    until_workers(master, 1);
    assert_eq!(server.connect().get("/ok", "").status, 200, "the last one stays");
    server.signal(Signal::WINCH);
    until_workers(master, 0);
    server.signal(Signal::WINCH);
    let mut waiting = server.connect();
    waiting.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(200));
    assert!(server.children().is_empty(), "the master stays alone");
    server.signal(Signal::HUP);
    assert_eq!(waiting.read("GET").status, 200, "who waited is served by the new ones");
    until_workers(master, 2);
    holds(
        "D6",
        "TTIN twice: 4 workers; TTOU six times: 1; WINCH twice: 0, then HUP: 2, nobody refused",
        "exact",
    );
}

#[test]
fn d6_a_second_signal_shortens_the_wait() {
    for (first, second) in
        [(Signal::TERM, Signal::TERM), (Signal::TERM, Signal::INT), (Signal::INT, Signal::INT)]
    {
        let (_folder, mut server) = serve_large(&["-w", "2"]);
        let client = stuck(&server);
        server.signal(first);
        server.wait_for("Shutting down");
        let started = Instant::now();
        server.signal(second);
        assert_eq!(server.wait().code(), Some(0));
        let took = started.elapsed();
        assert!(took < 4 * SECOND, "{first:?} {second:?}: {took:?}");
        drop(client);
    }
    holds("D6", "a second TERM or INT ends a drain of 30 s within 2 s", "2 s");
}

#[test]
fn d6_d18_a_storm_of_signals() {
    let (_folder, server) = serve_in_background(&["-w", "2"]);
    let master = server.master();
    let regulars = Regulars::start(server.address(), 4);
    let storm = [Signal::HUP, Signal::USR1, Signal::TTIN, Signal::TTOU, Signal::CHILD, Signal::WINCH];
    for round in 0..1000 {
        send(master, storm[round % storm.len()]);
        // Deaths and births in the midst of it.
        if round % 100 == 0
            && let Some(worker) = server.children().first()
        {
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_raw(*worker).expect("a pid"),
                Signal::KILL,
            );
        }
    }
    // Signals that wait have no order: a TTIN of the storm may be heard behind the HUP that was sent last.
    let wanted = Front::of_this_crate().processes(2);
    eventually("the last word is as many workers as were asked for", || {
        let reloads = server.count_said("has been read again");
        server.signal(Signal::HUP);
        let until = Instant::now() + SECOND;
        let is_so =
            || server.count_said("has been read again") > reloads && server.children().len() == wanted;
        while !is_so() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        is_so()
    });
    regulars.wait_for_more(50);
    drop(regulars.stop());
    assert_eq!(server.connect().get("/ok", "").status, 200);
    holds("D6", "1,000 mixed signals: it serves, with the workers that the last HUP asked for", "0 crashes");
    holds("D18", "1,000 signals among 10 deaths and their forks: 0 deadlocks", "0 deadlocks");
}

#[test]
fn d7_a_drain_fails_nobody() {
    let folder = Folder::new();
    let mut server = Server::start(&folder.root(), &["-w", "2"]);
    let mut idle: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    idle.iter_mut().for_each(|client| assert_eq!(client.get("/ok", "").status, 200));
    let address = server.address();
    let busy: Vec<_> = (0..100)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut answers = 0;
                loop {
                    let answer = client.get("/big", "");
                    assert_eq!(answer.body.len(), 100_000);
                    answers += 1;
                    if answer.closes() {
                        return (answers, Instant::now());
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        })
        .collect();
    // Whoever is not in by then is in the queue, and is answered as well; whoever has not connected is not there.
    eventually("they are all in", || {
        crate::support::process::connections(address.port()).iter().filter(|one| one.is_read_up()).count()
            >= 110
    });
    std::thread::sleep(Duration::from_millis(200));
    let told = Instant::now();
    server.signal(Signal::TERM);
    assert!(idle.iter_mut().all(|client| client.read_raw_to_end().is_empty()), "idle ones are closed");
    let quiet = told.elapsed();
    drop(idle);
    assert!(quiet >= Duration::from_millis(950), "and not before a quiet second: {quiet:?}");
    let answers: Vec<(u32, Instant)> =
        busy.into_iter().map(|client| client.join().expect("whole answers")).collect();
    assert_eq!(server.wait().code(), Some(0));
    let ended = Instant::now();
    let last = answers.iter().map(|(_, at)| *at).max().expect("some").max(told + quiet);
    let after = ended.saturating_duration_since(last);
    assert!(after < 2 * SECOND, "{after:?}");
    let answers: u32 = answers.iter().map(|(answers, _)| answers).sum();
    holds(
        "D7",
        format!(
            "100 busy clients: {answers} answers, 0 failed; 20 idle ones closed after {quiet:.1?}; gone {after:.1?} later"
        ),
        "0 failed, ≥ 1 s quiet, ≤ 100 ms after the last",
    );
}

#[test]
fn d7_a_drain_has_an_end() {
    let (_folder, mut server) = serve_large(&["--grace", "1"]);
    let client = stuck(&server);
    // The answer to another says that the worker has been at its loop since, and has counted.
    ask_once(server.address(), "/ok");
    let started = Instant::now();
    server.signal(Signal::TERM);
    server.wait_for("Shutting down: up to 1 s for ");
    assert_eq!(server.wait().code(), Some(0));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(900) && took < 4 * SECOND, "{took:?}");
    drop(client);
    holds("D7", format!("--grace 1 and a client that does not read: gone after {took:.1?}"), "at the limit");
}

#[test]
fn d8_a_fast_stop_is_fast() {
    let (_folder, mut server) = serve_large(&["-w", "2"]);
    let clients: Vec<Client> = (0..300).map(|_| stuck(&server)).collect();
    // One worker does not even take signals.
    halt(server.workers[0]);
    let started = Instant::now();
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    let took = started.elapsed();
    assert!(took < 3 * SECOND, "{took:?}");
    assert!(server.count_said("Shutting down: ") == 1, "{:?}", server.said());
    drop(clients);
    holds("D8", format!("300 stuck clients, a stopped worker: gone {took:.1?} after INT"), "≤ 2 s");
}

/// Whoever signals all processes of a name means no harm to workers.
#[test]
fn workers_ignore_what_is_meant_for_the_master() {
    let (_folder, server) = serve(&["-w", "2"]);
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH, Signal::TTIN, Signal::TTOU] {
        server.workers.iter().for_each(|pid| send(*pid, signal));
    }
    for _ in 0..10 {
        assert_eq!(server.connect().get("/ok", "").status, 200);
    }
    assert_eq!(server.children(), server.workers);
}

/// A server in the foreground of a terminal of script(1).
struct InTerminal {
    folder: Folder,
    script: Child,
    server: i32,
    ended: bool,
}

impl InTerminal {
    /// `env` is a command line that says how the server begins with SIGHUP. The tests themselves may have been started
    /// with nohup(1).
    fn start(env: &str) -> Self {
        let folder = Folder::new();
        let line = format!(
            "exec {env} {} -r {} --port 0 --access-log off --pidfile {}",
            command().get_program().to_str().expect("UTF-8"),
            folder.root().to_str().expect("UTF-8"),
            folder.beside("pid").to_str().expect("UTF-8"),
        );
        let mut script = Command::new("script");
        script.args(["-qfc", &line, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::null());
        let script = script.spawn().expect("a terminal");
        let mut it = Self { folder, script, server: 0, ended: false };
        eventually("it serves", || it.pid().is_some());
        it.server = it.pid().expect("a pid");
        it
    }

    /// From its pid file, while it is there.
    fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.folder.beside("pid")).ok()?.trim().parse().ok()
    }

    fn reload(&self) {
        let before = children(self.server);
        send(self.server, Signal::HUP);
        eventually("there are new workers alone", || {
            let now = children(self.server);
            !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
        });
    }

    fn hang_up(&mut self) {
        self.script.kill().expect("a terminal that is there");
        self.script.wait().expect("an end");
    }

    fn has_ended(&mut self) {
        eventually("the server has ended", || !is_alive(self.server));
        self.ended = true;
        assert_eq!(self.pid(), None);
    }
}

impl Drop for InTerminal {
    /// The server is not our child: a test that fails would leave it behind. Its workers go with it.
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
        if self.server != 0 && !self.ended && is_alive(self.server) {
            send(self.server, Signal::KILL);
        }
    }
}

/// Whoever closes the window of a server in its foreground wants no server in the background.
#[test]
fn d6_a_terminal_that_hangs_up_ends_its_server() {
    if !is_installed("script") {
        return not_run("D6", "without script(1) there is no terminal");
    }
    let mut terminal = InTerminal::start("env --default-signal=HUP");
    // It means that only once there is no terminal.
    terminal.reload();
    terminal.hang_up();
    terminal.has_ended();
    holds("D6", "HUP of a terminal that hangs up: the server in its foreground drains and ends", "exact");
}

/// Whoever has said nohup(1) wants one.
#[test]
fn d6_nohup_outlives_its_terminal() {
    if !is_installed("script") {
        return not_run("D6", "without script(1) there is no terminal");
    }
    let mut terminal = InTerminal::start("env --ignore-signal=HUP");
    terminal.hang_up();
    terminal.reload();
    send(terminal.server, Signal::TERM);
    terminal.has_ended();
    holds("D6", "HUP of a terminal that hangs up, under nohup: the server goes on, and reloads", "exact");
}
