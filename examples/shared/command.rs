//! The command line of a program with more than options: by argh, reported as `seed` does.

use std::io;
use std::process::ExitCode;

use argh::TopLevelCommand;

use crate::seed;

/// Reads the command line, runs `program`, and reports an error in one line.
pub(crate) fn main<A: TopLevelCommand>(program: fn(A) -> io::Result<()>) -> ExitCode {
    let words = seed::words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match A::from_args(&[seed::NAME], &words) {
        Ok(args) => seed::report(program(args)),
        Err(exit) if exit.status.is_ok() => {
            print!("{}", exit.output);
            ExitCode::SUCCESS
        }
        Err(exit) => seed::complain(&exit.output),
    }
}
