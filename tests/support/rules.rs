//! Reports what a test has measured for a row of the rules; `scripts/reliability` makes a table of the reports.

use std::fmt::Display;

/// Reports that `row` (such as `A27` or `C6`) holds, the measured value, and the bar for it. Call it after the
/// assertions.
///
/// `scripts/reliability` reads the line from the output of the test; the name of the thread is that of the
/// test. Test crates for the twins report nothing.
pub fn holds(row: &str, measured: impl Display, bar: impl Display) {
    if is_twin() {
        return;
    }
    let test = std::thread::current().name().unwrap_or("main").to_string();
    println!("RULES | {row} | {test} | {measured} | {bar}");
}

/// Whether this test crate runs a twin. (`server::Front`)
fn is_twin() -> bool {
    env!("CARGO_CRATE_NAME").starts_with("twin_")
}

/// As [`holds`], for several rows that one assertion covers: `"A43 A44 A45"`.
pub fn hold(rows: &str, measured: impl Display, bar: impl Display) {
    rows.split(' ').for_each(|row| holds(row, &measured, &bar));
}

/// Reports that `row` was not tested, and why; the row does not count as holding.
pub fn not_run(row: &str, why: impl Display) {
    if is_twin() {
        return;
    }
    let test = std::thread::current().name().unwrap_or("main").to_string();
    println!("RULES | {row} | {test} | not run: {why} | -");
}

/// Whether this process may have thousands of connections, with a descriptor on each side, besides the tests
/// that run at the same time. If not, reports the rows as not run.
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
