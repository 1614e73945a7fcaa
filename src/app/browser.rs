//! Opening a URL in the browser of this machine.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::sys::process::Pid;

/// The program that knows the user's browser.
const OPENER: &str = if cfg!(target_vendor = "apple") { "open" } else { "xdg-open" };

/// Starts a browser, which is not waited for: the master reaps it as any child. Returns its process and its name.
///
/// # Errors
/// A line that says which program cannot be run.
pub(super) fn open(url: &str) -> Result<(Pid, String), String> {
    let wanted = env::var("BROWSER").unwrap_or_default();
    let mut failure = String::new();
    for line in commands(&wanted) {
        let words = with_url(line, url);
        match start(&words) {
            Ok(pid) => return Ok((pid, words[0].clone())),
            Err(error) => failure = format!("cannot run {}: {error}", words[0]),
        }
    }
    Err(failure)
}

/// The commands of `$BROWSER`, which colons separate, or else the one of the system.
fn commands(wanted: &str) -> impl Iterator<Item = &str> {
    let given = wanted.split(':').filter(|line| !line.trim().is_empty());
    let default = wanted.trim_matches([':', ' ']).is_empty().then_some(OPENER);
    given.chain(default)
}

/// The words of a command, with the URL in place of `%s`, or after them.
fn with_url(line: &str, url: &str) -> Vec<String> {
    let mut words: Vec<String> = line.split_whitespace().map(|word| word.replace("%s", url)).collect();
    if !line.contains("%s") {
        words.push(url.into());
    }
    words
}

/// In a process group of its own, so that Ctrl+C does not end it, and without the server's streams.
fn start(words: &[String]) -> io::Result<Pid> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Pid::of(i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_may_have_several_commands() {
        let all = |wanted| commands(wanted).map(|line| with_url(line, "U").join(",")).collect::<Vec<_>>();
        assert_eq!(all("firefox"), ["firefox,U"]);
        assert_eq!(all("a --new %s:b"), ["a,--new,U", "b,U"]);
        for nothing in ["", ":", " : "] {
            assert_eq!(all(nothing), [format!("{OPENER},U")], "{nothing:?}");
        }
    }
}
