//! The checked configuration of a server.
//!
//! [`Config::load`] is the one way from words to a [`Config`]: command line and configuration file are read into the
//! same [`Values`], by the same table of options ([`options`]), and checked by the same functions. An error names the
//! option and, if the file has it, the line.

mod access;
mod error;
mod file;
mod headers;
mod limits;
mod listen;
mod pages;
mod rights;
mod tls;
mod values;

use std::io::IsTerminal;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use log::LevelFilter;

use crate::cli::{self, OptionGroup, ServerWords};
use crate::files::Options;
use crate::http1::Settings;
use crate::reactor::AcceptMode;
use crate::server::{Jail, ListenSpec, LogFormat, Networks};
use crate::sys::account::Identity;
use crate::sys::{beneath, process};
use crate::tls::TlsFiles;

pub use access::AccessConfig;
#[cfg(feature = "wsgi")]
pub(crate) use access::access;
pub use error::{ConfigError, Sources};
#[cfg(feature = "wsgi")]
pub(crate) use rights::identity;
pub use values::Values;

/// More workers than this are a mistake in the command line, and a fork bomb if they were not.
pub(crate) const MAX_WORKERS: usize = 1024;

/// The words of `--log`, in any case of letters: Python's names, Rust's, and `off`.
const LOG_LEVELS: [(&str, LevelFilter); 10] = [
    ("debug", LevelFilter::Debug),
    ("info", LevelFilter::Info),
    ("warning", LevelFilter::Warn),
    ("error", LevelFilter::Error),
    ("critical", LevelFilter::Error),
    ("off", LevelFilter::Off),
    ("trace", LevelFilter::Trace),
    ("notset", LevelFilter::Trace),
    ("warn", LevelFilter::Warn),
    ("fatal", LevelFilter::Error),
];

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTo {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// The end of a file.
    File(PathBuf),
}

/// The part of a configuration that every program of this crate has, whatever it serves: sockets, processes, logs and
/// the limits of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseConfig {
    /// Where to listen; at least one place.
    pub listen: Vec<ListenSpec>,
    /// Where certificates come from, if the places to listen speak TLS.
    pub tls: Option<TlsFiles>,
    /// The places that redirect to them.
    pub redirect: Vec<ListenSpec>,
    /// The permissions of the files of Unix sockets.
    pub unix_mode: u32,
    /// How workers share a port.
    pub accept: AcceptMode,
    /// Whether the kernel keeps connections until their first bytes have arrived.
    pub defer_accept: bool,
    /// The number of worker processes; at least 1.
    pub workers: usize,
    /// How long responses that are due may take when the server drains.
    pub grace: Duration,
    /// How long the server accepts after SIGTERM.
    pub drain_delay: Duration,
    /// How long a worker may be away from its loop; zero for any time.
    pub worker_timeout: Duration,
    /// The file that holds the process id of the master.
    pub pidfile: Option<PathBuf>,
    /// The lowest level that is logged.
    pub log: LevelFilter,
    /// The file that each worker's loop is recorded in.
    pub record: Option<PathBuf>,
    /// How long a turn has to take to be written at once.
    pub record_long_turns: Option<Duration>,
    /// The file of the log; `None` for standard error.
    pub logfile: Option<PathBuf>,
    /// Where the access log goes.
    pub access_log: AccessLogTo,
    /// The format of the access log, unless it is the combined one.
    pub access_log_format: Option<Arc<LogFormat>>,
    /// The proxies that use the PROXY protocol.
    pub proxies: Option<Networks>,
    /// Clients send passwords, which must not go over the network in clear text.
    pub needs_tls: bool,
    /// The limits of one connection.
    pub settings: Settings,
    /// Connections per worker; `None` for what its descriptors allow.
    pub connections: Option<usize>,
    /// Connections of one address per worker, if they are limited.
    pub per_address: Option<NonZeroU32>,
    /// Descriptors of each worker that are not for connections: those of the file cache.
    pub reserved: usize,
    /// The place of the status page.
    pub status: Option<ListenSpec>,
    /// The path of the status page on the public port, without a slash at its end.
    pub status_path: Option<String>,
    /// Whether the start prints a QR code of the URL.
    pub qr: bool,
    /// Whether the start opens the URL in a browser.
    pub open: bool,
    /// Whether responses are counted for a line at the end: somebody looks at standard error.
    pub summary: bool,
    /// The options that a configuration file sets, with their lines.
    pub sources: Sources,
}

impl BaseConfig {
    /// Every place to listen: those for clients, unless a service manager has opened these, those that redirect to them, then
    /// that of the status page.
    #[must_use]
    pub fn places(&self, is_activated: bool) -> Vec<ListenSpec> {
        let public = if is_activated { &[] } else { self.listen.as_slice() };
        public.iter().chain(&self.redirect).chain(&self.status).cloned().collect()
    }

    /// Whether there is a status page.
    #[must_use]
    pub fn has_status(&self) -> bool {
        self.status.is_some() || self.status_path.is_some()
    }
}

/// The checked configuration of the file server. Making one opens nothing but the root, to see that it is there, and
/// the file of `--mime-types`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sockets, processes, logs and limits.
    pub base: BaseConfig,
    /// The directory to serve: absolute, without symbolic links.
    pub root: PathBuf,
    /// Which files are served, and how.
    pub files: Options,
    /// Who may read them.
    pub access: AccessConfig,
    /// The user and group that workers become, if they change.
    pub identity: Option<Identity>,
    /// Whether workers confine themselves to the root.
    pub jail: Jail,
}

impl Config {
    /// Reads the words after the program's name, and the file that `--config` names. This changes nothing, so a running
    /// server may call it again.
    ///
    /// # Errors
    /// The first mistake in them.
    pub fn load(words: &[String]) -> Result<Self, ConfigError> {
        Self::from_values(&Values::read::<ServerWords>(options(), words)?)
    }

    /// Checks the values of all options.
    ///
    /// # Errors
    /// The first value that is not valid; a root that cannot be served.
    pub fn from_values(values: &Values) -> Result<Self, ConfigError> {
        Ok(Self {
            base: base(values)?,
            root: root(values)?,
            files: limits::files(values)?,
            access: access::access(values)?,
            identity: rights::identity(values)?,
            jail: rights::jail(values)?,
        })
    }
}

/// The options of the server.
#[must_use]
pub fn options() -> Vec<OptionGroup> {
    cli::table(include_str!("config/options.txt"))
}

/// The text of `--help`, for the options in `groups`.
#[must_use]
pub fn help(groups: &[OptionGroup]) -> String {
    help_after(include_str!("config/usage.txt"), groups)
}

/// The text of `--help` of a program that is used as `usage` says.
pub(crate) fn help_after(usage: &str, groups: &[OptionGroup]) -> String {
    [usage, &cli::help(groups), include_str!("config/help.txt")].concat()
}

/// Checks the values that every program of this crate has.
///
/// # Errors
/// The first value that is not valid.
pub(crate) fn base(values: &Values) -> Result<BaseConfig, ConfigError> {
    let connections = values.has("max-connections");
    Ok(BaseConfig {
        listen: listen::places(values)?,
        tls: tls::files(values)?,
        redirect: tls::redirects(values)?,
        unix_mode: listen::unix_mode(values)?,
        accept: accept_mode(values)?,
        defer_accept: values.has("defer-accept"),
        workers: workers(values.number("workers", 0..=MAX_WORKERS)?),
        grace: values.seconds_or_zero("grace")?,
        drain_delay: values.seconds_or_zero("drain-delay")?,
        worker_timeout: values.seconds_or_zero("worker-timeout")?,
        pidfile: values.path("pidfile"),
        log: log_level(values.text("log")).map_err(|wanted| values.usage("log", &wanted))?,
        record: values.path("record"),
        record_long_turns: record_long_turns(values)?,
        logfile: values.path("logfile"),
        access_log: access_log(values.text("access-log")),
        access_log_format: access::log_format(values)?,
        proxies: access::networks(values, "proxy-protocol")?,
        needs_tls: access::needs_tls(values)?,
        settings: limits::settings(values)?,
        connections: connections.then(|| values.number("max-connections", 1..=usize::MAX)).transpose()?,
        per_address: NonZeroU32::new(values.number("max-connections-per-ip", 0..=u32::MAX)?),
        reserved: 0,
        status: listen::status(values)?,
        status_path: listen::status_path(values)?,
        qr: values.has("qr"),
        open: values.has("open"),
        summary: std::io::stderr().is_terminal(),
        sources: values.sources().clone(),
    })
}

/// The number of workers that `number` asks for, where 0 is one per core.
fn workers(number: usize) -> usize {
    if number == 0 { process::cores() } else { number }
}

/// The level that a word of `--log` names.
///
/// # Errors
/// What to give instead.
fn log_level(word: &str) -> Result<LevelFilter, String> {
    let level = LOG_LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    let names = || LOG_LEVELS.map(|(name, _)| name).join(", ");
    level.map(|(_, level)| *level).ok_or_else(|| format!("give one of {}", names()))
}

/// The target that a word of `--access-log` names.
fn access_log(word: &str) -> AccessLogTo {
    match word {
        "off" | "" => AccessLogTo::Off,
        "-" => AccessLogTo::Stdout,
        path => AccessLogTo::File(path.into()),
    }
}

fn record_long_turns(values: &Values) -> Result<Option<Duration>, ConfigError> {
    let name = "record-when-turn-exceeds";
    if !values.has(name) {
        return Ok(None);
    }
    if values.path("record").is_none() {
        return Err(values.usage(name, "give the file as well, with --record"));
    }
    Ok(Some(Duration::from_millis(values.number(name, 1..=3_600_000)?)))
}

fn accept_mode(values: &Values) -> Result<AcceptMode, ConfigError> {
    let mut modes = [AcceptMode::Exclusive, AcceptMode::Shared, AcceptMode::Reuseport].into_iter();
    let word = values.text("accept");
    modes
        .find(|mode| mode.to_string() == word)
        .map(AcceptMode::here)
        .ok_or_else(|| values.usage("accept", "give exclusive, shared or reuseport"))
}

fn root(values: &Values) -> Result<PathBuf, ConfigError> {
    let given = values.text("root");
    let error =
        |what: String| Err(values.sources().start_error("--root", format!("cannot serve {given}: {what}")));
    let path = Path::new(given);
    match std::path::absolute(path).and_then(|root| beneath::open_root(&root).map(|_| root)) {
        Ok(root) => Ok(root),
        Err(_) if given.parse::<u16>().is_ok() && !path.exists() => {
            error(format!("there is no such folder; a port is given with -p {given}"))
        }
        Err(failure) if failure.kind() == std::io::ErrorKind::NotADirectory => {
            error("it is not a directory; give one, as in stheno FOLDER or with -r".into())
        }
        Err(failure) => error(format!(
            "{failure}; give a directory that can be read, as in stheno FOLDER or with -r (see --help)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Timeouts;

    fn config(line: &[&str]) -> Result<Config, ConfigError> {
        Config::load(&line.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_checked() {
        for words in ["--port -1", "--port ", "--workers 1025", "--workers -1", "--workers two"] {
            match config(&words.split(' ').collect::<Vec<_>>()) {
                Err(ConfigError::Usage(line)) => assert!(line.contains("give"), "{line}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }

    /// The defaults of the table are valid, and the limits are those of the library.
    #[test]
    fn defaults() {
        let config = config(&[]).expect("the defaults");
        assert_eq!(config.base.settings, Settings::default());
        assert_eq!(config.base.listen, [ListenSpec::HostAndPort("127.0.0.1".into(), 9000)]);
        assert_eq!((config.base.workers, config.base.log, config.base.logfile), (1, LevelFilter::Info, None));
        assert_eq!(config.base.access_log, AccessLogTo::Stdout);
        assert_eq!(config.root, Path::new(env!("CARGO_MANIFEST_DIR")), "absolute");
    }

    /// A time-out that is longer than the default is not cut short by the rate.
    #[test]
    fn the_rate_counts_from_the_second_time_out_on() {
        let timeouts = |line: &[&str]| config(line).expect("times").base.settings.timeouts;
        assert_eq!(timeouts(&[]), Timeouts::default());
        let longer = timeouts(&["--body-timeout", "60", "--write-timeout", "0.5"]);
        assert_eq!(longer.body_grace, Duration::from_secs(120));
        assert_eq!(longer.write_grace, Duration::from_secs(1));
    }

    /// A longer time-out is not cut short by a silence, and a short one is no shorter for it.
    #[test]
    fn a_lingering_peer_may_be_silent_for_a_share_of_the_time() {
        let idle = |seconds| {
            config(&["--linger-timeout", seconds]).expect("times").base.settings.timeouts.linger_idle
        };
        for (seconds, want) in [("0.5", 500), ("5", 2_000), ("10", 2_000), ("60", 12_000)] {
            assert_eq!(idle(seconds).as_millis(), want, "{seconds}");
        }
    }

    #[test]
    fn no_workers_means_one_per_core() {
        assert_eq!(config(&["-w", "0"]).expect("a number").base.workers, process::cores());
    }

    #[test]
    fn level_names_of_both_languages_in_any_case() {
        for (names, want) in [
            ("trace notset", LevelFilter::Trace),
            ("DEBUG", LevelFilter::Debug),
            ("Info", LevelFilter::Info),
            ("WARNING warn", LevelFilter::Warn),
            ("ERROR CRITICAL fatal", LevelFilter::Error),
            ("off", LevelFilter::Off),
        ] {
            assert!(names.split(' ').all(|name| log_level(name) == Ok(want)), "{names}");
        }
    }
}
