//! What a test has found out about a row of the rules, for `scripts/reliability` to make a table of.

use std::fmt::Display;

/// Says in the output of the test that `row` (such as `A27` or `C6`) holds, what was measured, and the bar it
/// was measured against. Call it behind the assertions, never before them.
///
/// `scripts/reliability` reads the lines; the name of the test is the name of its thread. They are about the server:
/// its twins say nothing.
pub fn holds(row: &str, measured: impl Display, bar: impl Display) {
    if is_twin() {
        return;
    }
    let test = std::thread::current().name().unwrap_or("main").to_string();
    println!("RULES | {row} | {test} | {measured} | {bar}");
}

/// Whether this test crate is about a twin. (`server::Front`)
fn is_twin() -> bool {
    env!("CARGO_CRATE_NAME").starts_with("twin_")
}

/// As [`holds`] for several rows that one assertion has settled: `"A43 A44 A45"`.
pub fn hold(rows: &str, measured: impl Display, bar: impl Display) {
    rows.split(' ').for_each(|row| holds(row, &measured, &bar));
}

/// Says that `row` was not put to the test, and why: it does not count as holding.
pub fn not_run(row: &str, why: impl Display) {
    if is_twin() {
        return;
    }
    let test = std::thread::current().name().unwrap_or("main").to_string();
    println!("RULES | {row} | {test} | not run: {why} | -");
}

/// Whether a crowd of thousands can be had here, with a descriptor on each side for each of them, beside the tests
/// that run at the same time. Where not, the rows are not run, and it is said why.
pub fn has_room_for_a_crowd(rows: &str) -> bool {
    const NEEDED: usize = 8192;
    let allowed = stheno::sys::process::raise_descriptor_limit();
    if allowed < NEEDED {
        rows.split(' ').for_each(|row| {
            not_run(row, format_args!("{NEEDED} descriptors are needed, {allowed} are allowed"));
        });
    }
    allowed >= NEEDED
}
