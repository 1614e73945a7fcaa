//! What is not asked of the twins (`examples/tokio_httpd.rs`), and why: all of it.
//!
//! A test asks at its begin, or where it comes to it: `if Front::lacks("its_name") { return; }`. A file of
//! `tests/wire` that a lane does not have at all is a row as well. `tests/twin` prints the rows of its lane, and fails when a
//! file or a test is missing without one.

use super::server::Front;

/// A test, or a file of tests.
#[derive(Debug)]
pub struct Lack {
    pub what: &'static str,
    pub fronts: &'static [Front],
    pub why: &'static str,
}

/// Both of them.
const TWINS: &[Front] = &[Front::Prefork, Front::Threads];

/// The one that is a process for each `-w`.
const PREFORK: &[Front] = &[Front::Prefork];

/// The one that is one process.
const THREADS: &[Front] = &[Front::Threads];

const NOT_EXCLUSIVE: &str =
    "Tokio registers a listener as mio does: there is no exclusive wake-up, who is fastest gets most";
const TRIED_BY_THREADS: &str =
    "what a connection may cost is the same code in both lanes, and tried in the other one";
const TRIED_BY_PREFORK: &str = "the files are the same code in both lanes, and tried in the other one";
const ONE_PROCESS: &str =
    "`-w` is threads here: who is beside one process, and its place among several, is the other lane's";
const NO_FRONT: &str = "many seconds of the master's own, which knows no front: tried with the server";
const DESCRIPTORS: &str =
    "Tokio holds its epoll by two descriptors, and an eventfd; each thread has the root";

/// Whole files of `tests/wire`.
pub const FILES: &[Lack] = &[
    Lack { what: "rules_b", fronts: THREADS, why: TRIED_BY_PREFORK },
    Lack { what: "rules_c", fronts: PREFORK, why: TRIED_BY_THREADS },
    Lack { what: "rules_e", fronts: PREFORK, why: TRIED_BY_THREADS },
];

/// Tests, or a part of them.
pub const TESTS: &[Lack] = &[
    Lack { what: "e2_workers_share_the_connections", fronts: TWINS, why: NOT_EXCLUSIVE },
    Lack { what: "d6_workers_come_and_go", fronts: THREADS, why: ONE_PROCESS },
    Lack {
        what: "d1_d2_a_dead_worker_is_replaced_and_others_are_unharmed",
        fronts: THREADS,
        why: ONE_PROCESS,
    },
    Lack { what: "d4_a_crash_loop_is_slowed_down", fronts: TWINS, why: NO_FRONT },
    Lack { what: "d16_a_suspended_host_kills_no_worker", fronts: TWINS, why: NO_FRONT },
    Lack { what: "d23_watchdog_messages_need_all_workers", fronts: TWINS, why: NO_FRONT },
    Lack { what: "d27_a_worker_holds_what_it_needs", fronts: TWINS, why: DESCRIPTORS },
    Lack {
        what: "c9_connections_per_address_are_limited",
        fronts: THREADS,
        why: "its last part: who hangs up is seen by his own task, which may come behind the acceptor's",
    },
    Lack {
        what: "unused_files_are_closed",
        fronts: THREADS,
        why: "a thread that sleeps tends nothing, and no task can be sent to it",
    },
    Lack {
        what: "e12_errors_of_accept_are_survived",
        fronts: TWINS,
        why: "its EAGAIN for nothing: an edge is told once, and Tokio's are edges",
    },
    Lack {
        what: "e18_a_long_turn_is_logged",
        fronts: TWINS,
        why: "nobody in a runtime sees how long one of its turns takes",
    },
];

impl Lack {
    /// The rows of this lane.
    pub fn of(rows: &'static [Self], front: Front) -> impl Iterator<Item = &'static Self> {
        rows.iter().filter(move |row| row.fronts.contains(&front))
    }
}

impl Front {
    /// Whether the front of this crate cannot do what this test is about, or is not asked to; says why.
    pub fn lacks(test: &str) -> bool {
        assert!(TESTS.iter().any(|row| row.what == test), "tests/support/lacks.rs has no row for {test}");
        let front = Self::of_this_crate();
        let row = Lack::of(TESTS, front).find(|row| row.what == test);
        row.iter().for_each(|row| println!("TWIN | {front:?} | {test} | {}", row.why));
        row.is_some()
    }
}
