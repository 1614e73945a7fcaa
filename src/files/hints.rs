//! Why a file that is there is not served: for the log, which has one line for each kind of cause, and for `--explain`.
//!
//! A client must not be able to fill the log, and a scanner asks for `/.env` all day. So each kind of cause is logged once
//! in an hour, by each worker.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use log::info;
use rustix::io::Errno;

use super::path::ResolvedPath;
use super::root::Root;
use crate::clock::Instant;

/// The time between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(3600);

/// A kind of cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// A symbolic link leads out of the root.
    LinkOut,
    /// A name begins with a dot.
    Hidden,
    /// The user of the worker may not read the file.
    Unreadable,
    /// A folder has no index, and folders are not listed.
    Unlisted,
}

/// The number of kinds.
const KINDS: usize = 4;

/// When each kind was last logged.
#[derive(Debug, Default)]
pub(super) struct Hints {
    told: [Cell<Option<Instant>>; KINDS],
}

impl Hints {
    /// Logs a hint, unless one of its kind was logged lately.
    #[cold]
    pub(super) fn tell(&self, hint: Hint, now: Instant, text: impl FnOnce() -> String) {
        let told = &self.told[hint as usize];
        let is_quiet = told.get().is_some_and(|at| now.saturating_duration_since(at) < PAUSE);
        if !is_quiet {
            told.set(Some(now));
            info!("{}", text());
        }
    }
}

/// The text for a path with a hidden name, as it was sent.
#[cold]
pub(super) fn of_hidden(path: &[u8]) -> String {
    format!("{} has a name that begins with a dot, and is 404 without --dotfiles", path.escape_ascii())
}

/// The text for a folder without an index.
#[cold]
pub(super) fn of_unlisted(path: &ResolvedPath, index: &[String]) -> String {
    format!("/{} has no {}, and is 404 without --listing", path.shown(), index.join(" or "))
}

/// The text for a path that leads out of the root.
#[cold]
fn of_link_out(path: &ResolvedPath) -> String {
    let what = "leads out of the root by a symbolic link, and is 404 without --follow-symlinks";
    format!("{} {what}", path.shown())
}

/// The text for a file that this process may not read.
#[cold]
fn of_unreadable(root: &Root, path: &ResolvedPath) -> String {
    let user = rustix::process::geteuid().as_raw();
    let rights = match root.rights(&path.relative) {
        Ok((mode, owner)) => format!("its mode is {mode:04o}, and user {owner} owns it"),
        Err(_) => "a folder above it does not let this user through".into(),
    };
    format!("{} cannot be read by user {user}, and is 403: {rights}", path.shown())
}

/// The hint for a file that could not be opened, if there is more to say than its status does; and its text.
#[cold]
pub(super) fn of_error<'a>(
    root: &'a Root,
    path: &'a ResolvedPath,
    error: &io::Error,
) -> Option<(Hint, Box<dyn FnOnce() -> String + 'a>)> {
    match Errno::from_io_error(error)? {
        Errno::XDEV => Some((Hint::LinkOut, Box::new(|| of_link_out(path)))),
        Errno::ACCESS | Errno::PERM => Some((Hint::Unreadable, Box::new(|| of_unreadable(root, path)))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_each_kind_in_an_hour() {
        let (hints, now) = (Hints::default(), Instant::now());
        // Whether this call was logged: it is then the last one of its kind.
        let told = |hint, after| {
            hints.tell(hint, now + after, String::new);
            hints.told[hint as usize].get() == Some(now + after)
        };
        let second = Duration::from_secs(1);
        assert!(told(Hint::LinkOut, Duration::ZERO) && told(Hint::Hidden, second));
        assert!(!told(Hint::LinkOut, second) && !told(Hint::Hidden, PAUSE));
        assert!(told(Hint::LinkOut, PAUSE) && told(Hint::Unreadable, PAUSE));
    }
}
