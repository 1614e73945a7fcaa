//! The command line of `stheno-wsgi`.

use std::ffi::OsString;
use std::io::{self, Write};

use pyo3::prelude::*;

use super::options::{GivenOptions, POSITIONAL, options};
use super::server::{self, Callbacks};
use crate::app;
use crate::cli;
use crate::config::{self, ConfigError};

/// Runs the command line with these words. Returns the exit code.
pub(super) fn run(py: Python<'_>, words: Vec<OsString>, callbacks: Callbacks) -> i32 {
    let started = py.detach(|| start(words, callbacks));
    started.unwrap_or_else(|error| i32::from(app::complain("stheno-wsgi", error)))
}

fn start(words: Vec<OsString>, callbacks: Callbacks) -> Result<i32, ConfigError> {
    let words: Result<Vec<String>, _> = words.into_iter().map(OsString::into_string).collect();
    let words = words.map_err(|word| ConfigError::Usage(format!("{word:?} is not UTF-8")))?;
    let options = options();
    let settings = cli::parse_by_table(&options, POSITIONAL, &words).map_err(ConfigError::Usage)?;
    let has = |name| settings.iter().any(|setting| setting.option.name == name);
    if has("help") {
        return Ok(print(&config::help_after(include_str!("usage.txt"), &options)));
    }
    if has("version") {
        return Ok(print(concat!("stheno-wsgi ", env!("CARGO_PKG_VERSION"), "\n")));
    }
    let is_check = has("check");
    let given = GivenOptions::from_command(settings, |name| std::env::var(name).ok())?;
    if !given.read()?.has(POSITIONAL) {
        return Err(ConfigError::Usage("give the application, as in stheno-wsgi MODULE:CALLABLE".into()));
    }
    if !is_check {
        return server::serve(given, callbacks);
    }
    let code = server::check(given, callbacks)?;
    Ok(if code == 0 { print("configuration is fine\n") } else { code })
}

fn print(text: &str) -> i32 {
    // A closed standard output is not an error.
    let _ = io::stdout().write_all(text.as_bytes());
    0
}
