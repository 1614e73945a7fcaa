//! The start of every program of this crate: words → configuration → sockets and logs → master → workers.
//!
//! | file | content |
//! |---|---|
//! | `browser` | opening the URL (`--open`) |
//! | `explain` | one request, answered to standard output |
//! | `files` | the file server: its command line, and what its workers serve |
//! | `qr` | a QR code for a terminal (`--qr`) |
//! | `server` | the master's side: start, reload, upgrade |
//! | `serving` | a worker on the reactor |
//! | `setup` | everything that a configuration asks for, open |
//! | `start_lines` | the lines of a start |
//! | `summary` | the line at the end |
//! | `urls` | the URLs of a server |
//!
//! [`run`] is the whole of `stheno`, and of its twin on Tokio: the two differ in their [`Front`]. The WSGI server
//! brings another `server::App`.

mod browser;
mod explain;
mod files;
mod qr;
pub(crate) mod server;
mod serving;
pub(crate) mod setup;
pub(crate) mod start_lines;
mod summary;
mod urls;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli;
use crate::config::{self, ConfigError};
use crate::master::{Ended, Executable};
use crate::server::LogTarget;
use crate::sys::{fallback, process};

use files::FileApp;
pub use files::Front;
use server::{App, Server};
pub use serving::{serve, serve_on};
use setup::Setup;

/// Runs the command line of this process; `front` serves in the workers.
pub fn run<F: Front>(front: F) -> ExitCode {
    start(front).unwrap_or_else(|error| ExitCode::from(complain(F::NAME, error)))
}

/// Prints why the program `name` does not serve. Returns its exit code.
pub(crate) fn complain(name: &str, error: ConfigError) -> u8 {
    let (line, code) = match error {
        ConfigError::Usage(line) => (format!("{line} (see {name} --help)"), 2),
        ConfigError::File(line) => (line, 2),
        ConfigError::Start(line) => (line, 1),
    };
    // Nothing can report that standard error is closed.
    let _ = LogTarget::standard_error().map(|stderr| stderr.print(&format!("{name}: {line}\n")));
    code
}

fn start<F: Front>(front: F) -> Result<ExitCode, ConfigError> {
    let words: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let words = words.map_err(|word| ConfigError::Usage(format!("{word:?} is not UTF-8")))?;
    let options = front.options();
    let given = cli::parse::<F::Words>(&options, &words).map_err(ConfigError::Usage)?;
    let has = |name| given.iter().any(|setting| setting.option.name == name);
    if has("help") {
        return print(&config::help(&options));
    }
    if has("version") {
        return print(concat!("stheno ", env!("CARGO_PKG_VERSION"), "\n"));
    }
    if let Ok(names) = std::env::var(fallback::VARIABLE) {
        fallback::force(&names).map_err(ConfigError::Usage)?;
    }
    let executable =
        Executable { program: started_from(), arguments: words.iter().map(OsString::from).collect() };
    let mut app = FileApp { front, words };
    if has("check") {
        Setup::check(&app.load(false)?.0)?;
        return print("configuration is fine\n");
    }
    if has("explain-header") && !has("explain") {
        return Err(ConfigError::Usage("--explain-header: give the URL as well, with --explain".into()));
    }
    if has("explain") {
        let (text, is_fine) = app.explain()?;
        print(&text)?;
        return Ok(ExitCode::from(u8::from(!is_fine)));
    }
    match Server::open(app)?.run(executable, process::fork)? {
        Ended::Stopped => Ok(ExitCode::SUCCESS),
        Ended::BootFailed => Err(ConfigError::Start("the workers could not start".into())),
    }
}

fn print(text: &str) -> Result<ExitCode, ConfigError> {
    // A closed standard output is not an error.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// The path that this program was started from: a later version of it takes over from there. So it is the path as it
/// was given, not the file that it led to.
fn started_from() -> PathBuf {
    let name = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let path = match name.components().count() {
        0 => None,
        // The shell looked a bare name up.
        1 if !name.as_os_str().as_encoded_bytes().contains(&b'/') => {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).map(|folder| folder.join(&name)).find(|path| path.is_file())
        }
        _ => Some(name),
    };
    let path = path.and_then(|path| std::path::absolute(path).ok()).filter(|path| path.is_file());
    path.or_else(|| std::env::current_exe().ok()).unwrap_or_default()
}
