//! The master with a worker in a state that no request can bring about: it never comes back to its loop.

use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal as Kill, getppid, kill_process};
use stheno::master::{Assignment, Ended, Master, Plan, Surroundings, Work};
use stheno::sys::orders::{self, MasterOrder, PassedFile};
use stheno::sys::process::Pid;
use stheno::sys::{readiness, shared};

#[allow(dead_code, unreachable_pub, reason = "shared with the tests over the wire")]
#[path = "support/rules.rs"]
mod rules;

/// The variable that makes this program the server instead of the test.
const SERVER: &str = "STHENO_TEST_MASTER";

const TIMEOUT: Duration = Duration::from_millis(500);

/// The first worker of slot 0 spins. The second one ends the master; until then all workers beat and wait.
struct Spinning {
    /// The number of workers that slot 0 has had, counted over all processes.
    births: &'static AtomicU64,
}

impl Work for Spinning {
    fn work(&mut self, assignment: Assignment) -> i32 {
        let births = if assignment.slot == 0 { self.births.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
        assignment.heartbeat.ready();
        if births == 1 {
            loop {
                std::hint::spin_loop();
            }
        }
        if births == 2 {
            kill_process(getppid().expect("a master"), Kill::TERM).expect("a signal");
        }
        let mut over = false;
        while !over {
            assignment.heartbeat.beat(stheno::clock::Instant::now());
            let files = [assignment.signals.as_fd(), assignment.master_link.as_fd()];
            readiness::wait_any(&files, Some(assignment.heartbeat.every())).expect("a wait");
            let link = assignment.master_link.as_fd();
            let open = orders::receive(link, |order| {
                over |= matches!(order, MasterOrder::Drain | MasterOrder::Stop)
            });
            assert!(open.expect("orders"), "the master has ended first");
        }
        0
    }

    fn started(&mut self, _: &[Pid]) {}

    fn rehearse(&mut self) -> Result<String, String> {
        Err("there is nothing to read".into())
    }

    fn reload(&mut self, _: &str) -> Result<Plan, String> {
        Err("there is nothing to read".into())
    }

    fn reloaded(&mut self, _: bool) {}

    fn worker_ended(&mut self) {}

    fn resized(&mut self, _: usize) {}

    fn reopen_logs(&mut self) -> Vec<PassedFile> {
        Vec::new()
    }

    fn sockets(&self) -> Vec<(BorrowedFd<'_>, &'static str)> {
        Vec::new()
    }

    fn handed_over(&mut self) {}

    fn stopping(&mut self) {}
}

fn serve() {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).target(env_logger::Target::Stderr).init();
    let plan = Plan {
        workers: 2,
        grace: Duration::from_secs(1),
        drain_delay: Duration::ZERO,
        worker_timeout: TIMEOUT,
    };
    let master = Master::new(plan, Surroundings::default()).expect("a master");
    let births = &shared::words(1).expect("memory")[0];
    assert_eq!(master.run(&mut Spinning { births }).expect("workers"), Ended::Stopped);
    assert_eq!(births.load(Ordering::SeqCst), 2, "the one that spins, and its replacement");
}

/// RULES D15. The master forks, so it gets a process of its own, in which this test runs on the only thread.
#[test]
fn d15_a_worker_that_spins_is_ended() {
    if std::env::var_os(SERVER).is_some() {
        return serve();
    }
    let mut server = Command::new(std::env::current_exe().expect("a path"));
    server.args(["--exact", "d15_a_worker_that_spins_is_ended", "--test-threads=1", "--nocapture"]);
    let output = server.env(SERVER, "1").output().expect("a process");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("is told to abort").count(), 1, "one worker, once: {said}");
    assert!(said.contains("is told to abort: it runs"), "{said}");
    assert_eq!(said.matches("has died").count(), 1, "{said}");
    assert!(!said.contains("is killed"), "SIGABRT ends a process that runs: {said}");
    rules::holds(
        "D15",
        format_args!("a worker that spins: ABRT after {TIMEOUT:?}, and another in its slot"),
        "ended",
    );
}
