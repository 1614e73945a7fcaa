//! The effect of each signal, once and in storms.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::regulars::Regulars;
use super::{RELOADED, SECOND, serve, serve_in_background, until_workers};
use crate::support::Front;
use crate::support::rules::holds;
use crate::support::server::{eventually, send};

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
    assert_eq!(server.connect().get("/ok", "").status, 200, "the last worker stays");
    server.signal(Signal::WINCH);
    until_workers(master, 0);
    server.signal(Signal::WINCH);
    let mut waiting = server.connect();
    waiting.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(200));
    assert!(server.children().is_empty(), "only the master is left");
    server.signal(Signal::HUP);
    assert_eq!(waiting.read("GET").status, 200, "the waiting client is served by a new worker");
    until_workers(master, 2);
    holds(
        "D6",
        "TTIN twice: 4 workers; TTOU six times: 1; WINCH twice: 0, then HUP: 2; no client is refused",
        "exact",
    );
}

#[test]
fn d6_d18_a_storm_of_signals() {
    let (_folder, server) = serve_in_background(&["-w", "2"]);
    let master = server.master();
    let regulars = Regulars::start(server.address(), 4);
    let storm = [Signal::HUP, Signal::USR1, Signal::TTIN, Signal::TTOU, Signal::CHILD, Signal::WINCH];
    for round in 0..1000 {
        send(master, storm[round % storm.len()]);
        // Some workers are killed and replaced meanwhile.
        if round % 100 == 0
            && let Some(worker) = server.children().first()
        {
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_raw(*worker).expect("a pid"),
                Signal::KILL,
            );
        }
    }
    // Pending signals have no order, so the master may take a TTIN of the storm after the last HUP.
    let wanted = Front::of_this_crate().processes(2);
    eventually("the last HUP decides the number of workers", || {
        let reloads = server.count_said(RELOADED);
        server.signal(Signal::HUP);
        let until = Instant::now() + SECOND;
        let is_so = || server.count_said(RELOADED) > reloads && server.children().len() == wanted;
        while !is_so() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        is_so()
    });
    regulars.wait_for_more(50);
    drop(regulars.stop());
    assert_eq!(server.connect().get("/ok", "").status, 200);
    holds("D6", "1,000 mixed signals: it serves, with the number of workers of the last HUP", "0 crashes");
    holds("D18", "1,000 signals among 10 deaths and their forks: 0 deadlocks", "0 deadlocks");
}

/// Workers ignore the master's signals, because `pkill stheno` signals all of them.
#[test]
fn workers_ignore_signals_for_the_master() {
    let (_folder, server) = serve(&["-w", "2"]);
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH, Signal::TTIN, Signal::TTOU] {
        server.workers.iter().for_each(|pid| send(*pid, signal));
    }
    for _ in 0..10 {
        assert_eq!(server.connect().get("/ok", "").status, 200);
    }
    assert_eq!(server.children(), server.workers);
}
