//! The ladder of the course (`examples/`): every rung works over the wire as its header says, and its log is
//! the lab's.
//!
//! There is one script for all echo rungs, one for all web rungs, and a test for each mistake of the lab's
//! programs that is fixed here. `STHENO_GOLDEN=write cargo test --test ladder` rewrites the transcripts in
//! `tests/golden`.

#![allow(unreachable_pub, reason = "the parts of one test crate")]

#[path = "ladder/echo.rs"]
mod echo;
#[path = "ladder/examined.rs"]
mod examined;
#[path = "support/example.rs"]
mod example;
#[path = "ladder/golden.rs"]
mod golden;
#[path = "ladder/loops.rs"]
mod loops;
#[path = "ladder/map.rs"]
mod map;
#[path = "ladder/recorded.rs"]
mod recorded;
#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "ladder/rung.rs"]
mod rung;
#[path = "ladder/step_by_step.rs"]
mod step_by_step;
#[path = "ladder/steps.rs"]
mod steps;
#[path = "ladder/web.rs"]
mod web;

/// Every program that these tests start.
fn programs() -> Vec<&'static str> {
    map::servers().chain(map::OTHERS).chain(["recording"]).collect()
}
