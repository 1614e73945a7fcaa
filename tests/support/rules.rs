//! What a test has found out about a row of the rules, for `scripts/reliability` to make a table of.

use std::fmt::Display;

/// Says in the output of the test that `row` (such as `A27` or `C6`) holds, what was measured, and the bar it
/// was measured against. Call it behind the assertions, never before them.
///
/// `scripts/reliability` reads the lines; the name of the test is the name of its thread.
pub fn holds(row: &str, measured: impl Display, bar: impl Display) {
    let test = std::thread::current().name().unwrap_or("main").to_string();
    println!("RULES | {row} | {test} | {measured} | {bar}");
}

/// As [`holds`] for several rows that one assertion has settled: `"A43 A44 A45"`.
pub fn hold(rows: &str, measured: impl Display, bar: impl Display) {
    rows.split(' ').for_each(|row| holds(row, &measured, &bar));
}

/// Says that `row` was not put to the test, and why: it does not count as holding.
pub fn not_run(row: &str, why: impl Display) {
    let test = std::thread::current().name().unwrap_or("main").to_string();
    println!("RULES | {row} | {test} | not run: {why} | -");
}
