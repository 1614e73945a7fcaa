//! The tests that are not run against the twins (`examples/tokio_httpd.rs`), with the reasons.
//!
//! A test checks at its start, or before the part in question: `if Front::lacks("its_name") { return; }`. A
//! file of `tests/wire` that a lane leaves out is a row, too. `tests/twin` prints the rows of its lane, and
//! fails if a file or a test is missing without a row.

use super::server::Front;

/// A test, or a file of tests.
#[derive(Debug)]
pub struct Lack {
    pub what: &'static str,
    pub fronts: &'static [Front],
    pub why: &'static str,
}

/// Both twins.
const TWINS: &[Front] = &[Front::Prefork, Front::Threads];

/// The twin with a process for each `-w`.
const PREFORK: &[Front] = &[Front::Prefork];

/// The twin with one process.
const THREADS: &[Front] = &[Front::Threads];

const NOT_EXCLUSIVE: &str = "Tokio registers a listener as mio does, without exclusive wake-up: the fastest worker gets most connections";
const NOT_EXCLUSIVE_ROOM: &str = "Tokio wakes all workers for a connection, or `-w` is threads of one worker";
const TRIED_BY_THREADS: &str =
    "the cost of a connection is the same code in both lanes, and is tested in the other one";
const TRIED_BY_PREFORK: &str =
    "the file service is the same code in both lanes, and is tested in the other one";
const ONE_PROCESS: &str = "`-w` is threads here; several processes are tested in the other lane";
const NO_STATUS: &str = "the status page is served by our own loop; the twin refuses the option";
const NOT_GUARDED: &str =
    "passwords are verified beside our own loop, and the twin serves everybody; it refuses the options";
const NOT_OUR_CHANNEL: &str =
    "the layers below the protocol are those of our own channel; the twin refuses the option";
const NO_TLS: &str = "a session lies between our channel and its socket; the twin refuses the options";
const NOT_OUR_LOOP: &str = "the loop is Tokio's, and is not recorded";
const NO_FRONT: &str = "takes many seconds and tests the master only, which is the same for all fronts";
const DESCRIPTORS: &str =
    "Tokio holds two descriptors of its epoll, and an eventfd; each thread has one of the root";

/// Whole files of `tests/wire`.
pub const FILES: &[Lack] = &[
    Lack { what: "access", fronts: TWINS, why: NOT_GUARDED },
    Lack { what: "proxy_protocol", fronts: TWINS, why: NOT_OUR_CHANNEL },
    Lack { what: "recording", fronts: TWINS, why: NOT_OUR_LOOP },
    Lack { what: "metrics", fronts: TWINS, why: NO_STATUS },
    Lack { what: "status", fronts: TWINS, why: NO_STATUS },
    Lack { what: "tls", fronts: TWINS, why: NO_TLS },
    Lack { what: "rules_b", fronts: THREADS, why: TRIED_BY_PREFORK },
    Lack { what: "rules_c", fronts: PREFORK, why: TRIED_BY_THREADS },
    Lack { what: "rules_e", fronts: PREFORK, why: TRIED_BY_THREADS },
];

/// Tests, or parts of them.
pub const TESTS: &[Lack] = &[
    Lack { what: "what_a_client_has_to_be_is_told", fronts: TWINS, why: NOT_GUARDED },
    Lack { what: "e2_workers_share_the_connections", fronts: TWINS, why: NOT_EXCLUSIVE },
    Lack { what: "e22_a_burst_is_shared_out", fronts: TWINS, why: NOT_EXCLUSIVE },
    Lack { what: "shares_stay_equal", fronts: TWINS, why: NOT_EXCLUSIVE },
    Lack { what: "a_worker_that_is_ahead_sleeps", fronts: TWINS, why: NOT_EXCLUSIVE },
    Lack { what: "e23_workers_that_hang_delay_no_connection", fronts: TWINS, why: NOT_EXCLUSIVE },
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
        what: "b20_a_new_root_is_seen_without_requests",
        fronts: TWINS,
        why: "an idle thread of Tokio has no turns in which it could look; the first request tells it",
    },
    Lack {
        what: "c9_connections_per_address_are_limited",
        fronts: THREADS,
        why: "its last part: a client's close is seen by its own task, which may run after the acceptor's",
    },
    Lack {
        what: "unused_files_are_closed",
        fronts: THREADS,
        why: "a sleeping thread does no upkeep, and no task can be sent to it",
    },
    Lack {
        what: "e12_errors_of_accept_are_survived",
        fronts: TWINS,
        why: "its EAGAIN for nothing: Tokio is edge-triggered, so the event is not repeated",
    },
    Lack {
        what: "c6_few_readers_that_stop_hold_much_of_the_kernel",
        fronts: TWINS,
        why: "the twin does not count its connections that have much room in the kernel",
    },
    Lack {
        what: "c25_heads_that_are_not_whole_hold_little_together",
        fronts: TWINS,
        why: "the bound is the connection table's of the reactor",
    },
    Lack { what: "c24_a_full_worker_leaves_connections_to_others", fronts: TWINS, why: NOT_EXCLUSIVE_ROOM },
    Lack {
        what: "e12_errors_that_stay",
        fronts: TWINS,
        why: "Tokio asks again at once: a pause after many failures is the reactor's listener's",
    },
    Lack {
        what: "e21_a_crowd_that_asks_for_slow_files_ends_no_worker",
        fronts: TWINS,
        why: "the turns are the runtime's, and the twin gives its signs of life from a task",
    },
    Lack {
        what: "ctrl_c_prints_what_was_served",
        fronts: TWINS,
        why: "tasks of several threads would write the same counters",
    },
    Lack { what: "e18_a_long_turn_is_logged", fronts: TWINS, why: "the runtime does not measure its turns" },
];

impl Lack {
    /// The rows of this lane.
    pub fn of(rows: &'static [Self], front: Front) -> impl Iterator<Item = &'static Self> {
        rows.iter().filter(move |row| row.fronts.contains(&front))
    }
}

impl Front {
    /// Whether the front of this crate leaves this test out; prints the reason.
    pub fn lacks(test: &str) -> bool {
        assert!(TESTS.iter().any(|row| row.what == test), "tests/support/lacks.rs has no row for {test}");
        let front = Self::of_this_crate();
        let row = Lack::of(TESTS, front).find(|row| row.what == test);
        row.iter().for_each(|row| println!("TWIN | {front:?} | {test} | {}", row.why));
        row.is_some()
    }
}
