//! The words of the command line, as they were written. What they mean is checked in [`crate::config`].

use argh::{ArgsInfo, FlagInfo, FlagInfoKind, FromArgs, Optionality};

/// Simple asynchronous web-server.
#[derive(ArgsInfo, Debug, FromArgs, PartialEq, Eq)]
#[argh(
    note = "Signals to the master:\n    TERM        finish the answers that are due, within --grace, and stop\n    INT, QUIT   stop at once (Ctrl+C); a second TERM, INT or QUIT waits 2 s at the most\n    HUP         read the configuration anew, and begin with new workers\n    USR1        open the logs anew\n    USR2        hand over to the program that stands in this one's place now\n    WINCH       send the workers away, until HUP\n    TTIN, TTOU  a worker more, a worker less",
    note = "Exit codes: 0 stopped by a signal, 1 could not start, 2 bad command line or configuration file.",
    example = "stheno -w 2 -r examples/site"
)]
pub struct Args {
    /// read options from a TOML file as well: the names below are its keys, and what stands on the command line wins
    #[argh(option, arg_name = "file")]
    pub config: Option<String>,

    /// say whether options and files are fine, and exit
    #[argh(switch)]
    pub check: bool,

    /// address or name to listen on (default 127.0.0.1; 0.0.0.0 or :: for all)
    #[argh(option)]
    pub host: Option<String>,

    /// port to listen on (default 9000; 0 = any free one, the start-up lines tell)
    #[argh(option, arg_name = "n")]
    pub port: Option<String>,

    /// listen there (several times, if need be): HOST:PORT, with an IPv6 address in brackets; :PORT for all addresses; unix:PATH. Then --host and --port count only if they are given, too
    #[argh(option, arg_name = "place")]
    pub listen: Vec<String>,

    /// rights of the files of Unix sockets (default 0666: everyone on this machine may connect)
    #[argh(option, arg_name = "octal")]
    pub unix_mode: Option<String>,

    /// least level that is logged: debug, info, warning, error, critical (default info)
    #[argh(option, default = "\"info\".into()")]
    pub log: String,

    /// file that the log is appended to (default: standard error)
    #[argh(option, arg_name = "file")]
    pub logfile: Option<String>,

    /// worker processes (default 1; 0 = one per core)
    #[argh(option, short = 'w', arg_name = "n", default = "\"1\".into()")]
    pub workers: String,

    /// directory that is served (default .)
    #[argh(option, short = 'r', arg_name = "folder", default = "\".\".into()")]
    pub root: String,

    /// file that gets a line for every answer, - for standard output, off for none (default -)
    #[argh(option, arg_name = "file", default = "\"-\".into()")]
    pub access_log: String,

    /// how workers share the port: exclusive, shared, reuseport (default exclusive)
    #[argh(option, default = "\"exclusive\".into()")]
    pub accept: String,

    /// accept a connection only when its first bytes are here (Linux)
    #[argh(switch)]
    pub defer_accept: bool,

    /// file that says which process the master is, for as long as it runs
    #[argh(option, arg_name = "file")]
    pub pidfile: Option<String>,

    /// print the version and exit
    #[argh(switch)]
    pub version: bool,

    /// list directories that have no index.html
    #[argh(switch)]
    pub listing: bool,

    /// serve names that begin with a dot as well
    #[argh(switch)]
    pub dotfiles: bool,

    /// refuse every path that goes through a symbolic link
    #[argh(switch)]
    pub no_symlinks: bool,

    /// send NAME.br, NAME.zst or NAME.gz in place of NAME to clients that take it
    #[argh(switch)]
    pub precompressed: bool,

    /// let caches keep an answer so long (default: they decide)
    #[argh(option, arg_name = "seconds")]
    pub max_age: Option<String>,

    /// believe for so long what was found at a path (default 1; 0: look each time)
    #[argh(option, arg_name = "seconds")]
    pub file_cache: Option<String>,

    /// leave the version out of the Server field
    #[argh(switch)]
    pub no_server_header: bool,

    /// user that workers become, by name or number (only root may ask for it)
    #[argh(option, arg_name = "who")]
    pub user: Option<String>,

    /// group that workers belong to, by name or number (default: the user's; only root may ask for it)
    #[argh(option, arg_name = "who")]
    pub group: Option<String>,

    /// whether workers can read the root and nothing else: on, off (default on, as far as the kernel knows how)
    #[argh(option, default = "\"on\".into()")]
    pub sandbox: String,

    /// do not start where the kernel cannot keep workers in
    #[argh(switch)]
    pub require_sandbox: bool,

    /// a whole head, from its first byte (default 10)
    #[argh(option, arg_name = "seconds")]
    pub header_timeout: Option<String>,

    /// an idle connection between two requests (default 15)
    #[argh(option, arg_name = "seconds")]
    pub keepalive_timeout: Option<String>,

    /// a body, between two reads (default 10)
    #[argh(option, arg_name = "seconds")]
    pub body_timeout: Option<String>,

    /// a body, on average, after twice --body-timeout (default 500)
    #[argh(option, arg_name = "bytes/s")]
    pub min_body_rate: Option<String>,

    /// an answer, between two writes (default 30)
    #[argh(option, arg_name = "seconds")]
    pub write_timeout: Option<String>,

    /// an answer, on average, after twice --write-timeout (default 1024)
    #[argh(option, arg_name = "bytes/s")]
    pub min_write_rate: Option<String>,

    /// a connection after its last answer (default 10)
    #[argh(option, arg_name = "seconds")]
    pub linger_timeout: Option<String>,

    /// answers that are due, after SIGTERM (default 30)
    #[argh(option, arg_name = "seconds")]
    pub grace: Option<String>,

    /// a worker that does not come back to its loop, before it is ended (default 10; 0 = for ever)
    #[argh(option, arg_name = "seconds")]
    pub worker_timeout: Option<String>,

    /// connections of one worker (default: what its descriptors allow)
    #[argh(option, arg_name = "n")]
    pub max_connections: Option<String>,

    /// connections of one address with one worker (default 0: no limit)
    #[argh(option, arg_name = "n")]
    pub max_connections_per_ip: Option<String>,

    /// requests of one connection (default 0: no limit)
    #[argh(option, arg_name = "n")]
    pub max_requests_per_connection: Option<String>,

    /// the target in a request line (default 8192)
    #[argh(option, arg_name = "bytes")]
    pub max_target_bytes: Option<String>,

    /// one field line (default 8192)
    #[argh(option, arg_name = "bytes")]
    pub max_field_bytes: Option<String>,

    /// field lines of one head (default 100)
    #[argh(option, arg_name = "n")]
    pub max_fields: Option<String>,

    /// a whole head (default 32768)
    #[argh(option, arg_name = "bytes")]
    pub max_header_bytes: Option<String>,

    /// a request body (default 1048576)
    #[argh(option, arg_name = "bytes")]
    pub max_body_bytes: Option<String>,
}

/// Where `--help` begins a new heading: before these options.
const HEADINGS: [(&str, &str); 4] = [
    ("--listing", "Files:"),
    ("--user", "Rights:"),
    ("--header-timeout", "Limits of time, in seconds; and of speed, in bytes per second:"),
    ("--max-connections ", "Limits of number, and of size in bytes:"),
];

/// What the words come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Serve(Box<Args>),
    /// Print this and leave with success.
    Print(String),
}

/// What stands behind an option, as the name of its value in [`Args`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is there or not.
    Nothing,
    /// Words of any kind.
    Text,
    /// A path.
    Path,
    /// A place to listen, which may be a path.
    Place,
    /// A number in octal digits.
    Octal,
    /// A name, or a number.
    Who,
    /// A whole number.
    Number,
    /// Seconds, perhaps with decimals.
    Seconds,
}

/// One option of the command line, and so one key of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its long name, without dashes.
    pub name: &'static str,
    /// Its letter, if it has one.
    pub short: Option<char>,
    /// What stands behind it.
    pub takes: Takes,
    /// Whether it may stand several times.
    pub repeats: bool,
}

impl Known {
    fn of(flag: &FlagInfo<'static>) -> Self {
        let takes = match flag.kind {
            FlagInfoKind::Switch => Takes::Nothing,
            FlagInfoKind::Option { arg_name: "file" | "folder" } => Takes::Path,
            FlagInfoKind::Option { arg_name: "place" } => Takes::Place,
            FlagInfoKind::Option { arg_name: "octal" } => Takes::Octal,
            FlagInfoKind::Option { arg_name: "who" } => Takes::Who,
            FlagInfoKind::Option { arg_name: "n" | "bytes" | "bytes/s" } => Takes::Number,
            FlagInfoKind::Option { arg_name: "seconds" } => Takes::Seconds,
            FlagInfoKind::Option { .. } => Takes::Text,
        };
        let name = flag.long.trim_start_matches("--");
        Self { name, short: flag.short, takes, repeats: flag.optionality == Optionality::Repeating }
    }

    fn is_called(&self, word: &str) -> bool {
        match word.strip_prefix("--") {
            Some(name) => name == self.name,
            None => {
                self.short.is_some_and(|short| word.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4])))
            }
        }
    }
}

/// Every option, `--help` among them. The table is [`Args`] itself: there is no other.
#[must_use]
pub fn options() -> Vec<Known> {
    Args::get_args_info().flags.iter().map(Known::of).collect()
}

/// The options that stand among these words, values left out.
#[must_use]
pub fn given(words: &[String]) -> Vec<Known> {
    let options = options();
    let mut given = Vec::new();
    let mut is_value = false;
    for word in split(words.iter().cloned()) {
        let known = options.iter().find(|known| !is_value && known.is_called(&word));
        is_value = known.is_some_and(|known| known.takes != Takes::Nothing);
        given.extend(known);
    }
    given
}

/// Reads the words behind the program's name.
///
/// # Errors
/// One line that says what is wrong.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let words = split(words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Args::from_args(&["stheno"], &words) {
        Ok(args) if args.version => {
            Ok(Command::Print(concat!("stheno ", env!("CARGO_PKG_VERSION"), "\n").into()))
        }
        Ok(args) => Ok(Command::Serve(Box::new(args))),
        Err(exit) if exit.status.is_ok() => Ok(Command::Print(with_headings(&exit.output))),
        Err(exit) => Err(one_line(&exit.output)),
    }
}

/// Writes `--port=8080`, `-w=4` and `-w4` as `--port 8080` and `-w 4`, and `-h` as `--help`. A word that is an
/// option's value is left as it is.
fn split(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let options = options();
    let is_switch =
        |word: &str| options.iter().any(|known| known.takes == Takes::Nothing && known.is_called(word));
    let mut split = Vec::new();
    let mut is_value = false;
    for word in words {
        let glued = ["-w", "-r"].iter().any(|short| word.starts_with(short)) && word.len() > 2;
        let joined = match word.as_bytes().get(2) {
            Some(b'=') | None => word.split_once('='),
            Some(_) if glued => Some(word.split_at(2)),
            Some(_) => word.split_once('='),
        };
        match joined {
            Some((option, value)) if !is_value && option.starts_with('-') => {
                split.extend([option.to_string(), value.to_string()]);
            }
            _ if !is_value && word == "-h" => split.push("--help".into()),
            _ => {
                is_value = !is_value && word.starts_with('-') && !is_switch(&word);
                split.push(word);
            }
        }
    }
    split
}

/// argh lists all options in one run, and once more in a line of a thousand characters; so many are read
/// more easily in groups.
fn with_headings(help: &str) -> String {
    let mut text = String::new();
    for line in help.lines() {
        let heading = HEADINGS.iter().find(|(option, _)| line.trim_start().starts_with(option));
        match heading {
            _ if line.starts_with("Usage:") => text += "Usage: stheno [options]",
            // It says of itself what everyone knows who sees it.
            _ if line.trim_start().starts_with("--help") => continue,
            Some((_, heading)) => text += &format!("\n{heading}\n{line}"),
            None => text += line,
        }
        text.push('\n');
    }
    text
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &[&str]) -> Result<Args, String> {
        match parse(line.iter().map(ToString::to_string))? {
            Command::Serve(args) => Ok(*args),
            Command::Print(text) => Err(format!("printed: {text}")),
        }
    }

    #[test]
    fn both_ways_of_giving_a_value() {
        let spaced =
            args(&["--port", "8080", "-w", "4", "-r", "a=b", "--access-log", "-"]).expect("arguments");
        let joined = args(&["--port=8080", "-w=4", "-r=a=b", "--access-log=-"]).expect("arguments");
        assert_eq!(spaced, joined);
        assert_eq!(
            (spaced.port.as_deref(), spaced.workers.as_str(), spaced.root.as_str()),
            (Some("8080"), "4", "a=b")
        );
        assert_eq!(args(&["-w4", "-ra=b"]).expect("arguments").root, "a=b");
        for odd in ["--x=y", "-h", "-w4"] {
            assert_eq!(args(&["-r", odd]).expect("a value may look like an option").root, odd);
        }
    }

    #[test]
    fn the_seeds_defaults() {
        let args = args(&[]).expect("arguments");
        assert_eq!((args.host, args.port, args.log.as_str()), (None, None, "info"), "see config");
        assert_eq!((args.logfile, args.workers.as_str(), args.root.as_str()), (None, "1", "."));
    }

    #[test]
    fn options_are_told_from_values() {
        let words = ["--listing", "-w4", "-r", "--port", "--host=x", "--log", "debug"].map(String::from);
        let names: Vec<&str> = given(&words).iter().map(|known| known.name).collect();
        assert_eq!(names, ["listing", "workers", "root", "host", "log"]);
    }

    #[test]
    fn bad_words_are_one_line() {
        for line in [&["--prot", "1"][..], &["stray"], &["--port"], &["--port", "1", "--port", "2"]] {
            let error = args(line).expect_err("refused");
            assert!(!error.contains('\n') && !error.starts_with("printed"), "{error}");
        }
    }

    #[test]
    fn help_and_version_are_printed() {
        for word in ["-h", "--help"] {
            let text = args(&[word]).expect_err("printed");
            assert!(
                text.contains("Simple asynchronous web-server") && text.contains("--access-log"),
                "{text}"
            );
        }
        assert!(args(&["--version"]).expect_err("printed").contains(env!("CARGO_PKG_VERSION")));
    }
}
