//! What the server is told to do, checked.
//!
//! [`Config::load`] is the one way from words to a [`Config`]: the words of the command line, and behind them
//! those that a configuration file comes to, are read by the same parser and checked by the same functions.
//! What is wrong is said with the place where it stands.

mod fault;
mod file;
mod listen;
mod rights;

use std::fmt::Display;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use log::LevelFilter;

use crate::cli::{self, Args, Command};
use crate::files::Options;
use crate::http1::{Limits, MAX_FIELDS, Settings, Timeouts};
use crate::reactor::AcceptMode;
use crate::server::{Jail, ListenSpec};
use crate::sys::account::Identity;
use crate::sys::{beneath, process};

use fault::Fault;
pub use fault::{ConfigError, Sources};

/// More workers than this are a mistake in the command line, and a fork bomb if they were not.
const MAX_WORKERS: usize = 1024;

/// How long answers that are due may take after SIGTERM: gunicorn's figure, and what Kubernetes waits before
/// it kills.
const GRACE: Duration = Duration::from_secs(30);

/// How long a worker may be away from its loop before it is ended. A file server's hooks take milliseconds; a disk
/// that takes longer than this is broken.
const WORKER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long what was found at a path is believed. Long enough to save a busy server two thirds of its work, short
/// enough that whoever changes a file and reloads the page does not wonder.
const FILE_CACHE: Duration = Duration::from_secs(1);

/// No time limit is shorter or longer: below, nothing could be answered; above, it would be no limit.
const MIN_TIME: Duration = Duration::from_millis(1);
const MAX_TIME: Duration = Duration::from_secs(86_400);

/// How many of its time-outs a body, or an answer, may take before its rate counts. The rate would end a peer
/// that pauses for less than its time-out otherwise, if that is a long one.
const GRACES: u32 = 2;

/// No head is larger, whatever is asked for: it is held in memory, for each connection that sends one.
const MAX_HEAD: usize = 1024 * 1024;

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

/// A checked configuration. Making one opens nothing but the root, to see that it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen: one place at least.
    pub listen: Vec<ListenSpec>,
    /// The rights of the files of Unix sockets.
    pub unix_mode: u32,
    /// What is logged.
    pub log: LevelFilter,
    /// Where the log goes, if not to standard error.
    pub logfile: Option<PathBuf>,
    /// Worker processes; at least 1.
    pub workers: usize,
    /// The directory that is served: absolute, without symlinks.
    pub root: PathBuf,
    /// Where the access log goes.
    pub access_log: AccessLogTo,
    /// How workers share the port.
    pub accept: AcceptMode,
    /// Whether the kernel keeps connections to itself until they say something.
    pub defer_accept: bool,
    /// How long answers that are due may take when the server drains.
    pub grace: Duration,
    /// How long a worker may be away from its loop; zero for ever.
    pub worker_timeout: Duration,
    /// The file that says which process the master is.
    pub pidfile: Option<PathBuf>,
    /// What of the directory is served, and how.
    pub files: Options,
    /// The limits of one connection.
    pub settings: Settings,
    /// Connections of one worker, if a number is asked for.
    pub connections: Option<usize>,
    /// Connections of one address with one worker, if they are limited.
    pub per_address: Option<NonZeroU32>,
    /// Who workers become, if they are not to stay who they are.
    pub identity: Option<Identity>,
    /// Whether workers put themselves into a jail.
    pub jail: Jail,
    /// Which options stand in a configuration file, and where.
    pub sources: Sources,
}

impl Config {
    /// Reads the words behind the program's name, and the file that `--config` names, and checks all of it. What
    /// stands on the command line wins.
    ///
    /// It changes nothing, so it may be called again while the server runs; then it says what the server would
    /// do if it were started now.
    ///
    /// # Errors
    /// The first thing that is wrong with them, or with the root. `--help` and `--version` are refused: they are
    /// no configuration.
    pub fn load(words: &[String]) -> Result<Self, ConfigError> {
        let read = |words: &[String]| match cli::parse(words.iter().cloned()) {
            Ok(Command::Serve(args)) => Ok(args),
            Ok(Command::Print(_)) => {
                Err(ConfigError::Usage("this prints something, and serves nothing".into()))
            }
            Err(line) => Err(ConfigError::Usage(line)),
        };
        let args = read(words)?;
        let Some(path) = args.config.as_ref().map(PathBuf::from) else {
            return Self::of(&args, Sources::default());
        };
        let mut entries = file::read(&path)?;
        let given = cli::given(words);
        let is_given = |name: &str| given.iter().any(|option| option.name == name);
        entries.retain(|entry| match entry.option.name {
            // Where to listen is one question: what the command line says of it is no addition to a list.
            "listen" => !["listen", "host", "port"].into_iter().any(is_given),
            name @ ("host" | "port") => !is_given("listen") && !is_given(name),
            name => !is_given(name),
        });
        let mut all = words.to_vec();
        all.extend(entries.iter().flat_map(|entry| entry.words.iter().cloned()));
        let lines = entries.iter().map(|entry| (entry.option.name, entry.line)).collect();
        Self::of(&*read(&all)?, Sources::new(path, lines))
    }

    fn of(args: &Args, sources: Sources) -> Result<Self, ConfigError> {
        Self::checked(args)
            .map(|config| Self { sources: sources.clone(), ..config })
            .map_err(|fault| sources.explain(fault))
    }

    /// Words that say that something which an option asks for cannot be had, and where the option stands.
    #[must_use]
    pub fn start_error(&self, option: &'static str, line: String) -> ConfigError {
        self.sources.explain(Fault::start(option, line))
    }

    fn checked(args: &Args) -> Result<Self, Fault> {
        Ok(Self {
            listen: listen::places(args)?,
            unix_mode: listen::unix_mode(args.unix_mode.as_deref())?,
            log: level(&args.log)?,
            logfile: args.logfile.as_ref().map(PathBuf::from),
            workers: workers(&args.workers)?,
            accept: accept_mode(&args.accept)?,
            defer_accept: args.defer_accept,
            access_log: access_log(&args.access_log),
            root: root(Path::new(&args.root))?,
            grace: seconds("--grace", args.grace.as_deref(), GRACE)?,
            worker_timeout: seconds_or_none(
                "--worker-timeout",
                args.worker_timeout.as_deref(),
                WORKER_TIMEOUT,
            )?,
            pidfile: args.pidfile.as_ref().map(PathBuf::from),
            files: files(args)?,
            settings: settings(args)?,
            connections: connections(args)?,
            per_address: per_address(args)?,
            identity: rights::identity(args)?,
            jail: rights::jail(args)?,
            sources: Sources::default(),
        })
    }
}

fn workers(value: &str) -> Result<usize, Fault> {
    match value.parse() {
        Ok(0) => Ok(process::cores()),
        Ok(count) if count <= MAX_WORKERS => Ok(count),
        _ => Err(Fault::usage("--workers", value, "give a number from 0 (one per core) to 1024")),
    }
}

/// Python's level names and Rust's, in any case.
fn level(value: &str) -> Result<LevelFilter, Fault> {
    match value.to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::Off),
        "critical" | "fatal" | "error" => Ok(LevelFilter::Error),
        "warning" | "warn" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        "trace" | "notset" => Ok(LevelFilter::Trace),
        _ => Err(Fault::usage("--log", value, "give debug, info, warning, error or critical")),
    }
}

fn accept_mode(value: &str) -> Result<AcceptMode, Fault> {
    let modes = [AcceptMode::Exclusive, AcceptMode::Shared, AcceptMode::Reuseport];
    modes
        .into_iter()
        .find(|mode| mode.to_string() == value)
        .ok_or_else(|| Fault::usage("--accept", value, "give exclusive, shared or reuseport"))
}

fn files(args: &Args) -> Result<Options, Fault> {
    let option = "--max-age";
    let max_age = args.max_age.as_deref().map(|value| {
        value.parse().map_err(|_| Fault::usage(option, value, "give whole seconds, 0 to 4294967295"))
    });
    Ok(Options {
        listing: args.listing,
        dotfiles: args.dotfiles,
        symlinks: !args.no_symlinks,
        precompressed: args.precompressed,
        max_age: max_age.transpose()?,
        file_cache: seconds_or_none("--file-cache", args.file_cache.as_deref(), FILE_CACHE)?,
        ..Options::default()
    })
}

/// As [`seconds`], where zero is a value with a meaning of its own.
fn seconds_or_none(option: &'static str, value: Option<&str>, default: Duration) -> Result<Duration, Fault> {
    match value {
        Some("0") => Ok(Duration::ZERO),
        value => seconds(option, value, default),
    }
}

fn settings(args: &Args) -> Result<Settings, Fault> {
    Ok(Settings {
        limits: limits(args)?,
        timeouts: timeouts(args)?,
        server: Settings::server(!args.no_server_header).into(),
        ..Settings::default()
    })
}

fn timeouts(args: &Args) -> Result<Timeouts, Fault> {
    let default = Timeouts::default();
    let rate =
        |option: &'static str, value: Option<&str>, default| number(option, value, default, 1..=u64::MAX);
    let linger = seconds("--linger-timeout", args.linger_timeout.as_deref(), default.linger)?;
    let body_idle = seconds("--body-timeout", args.body_timeout.as_deref(), default.body_idle)?;
    let write_idle = seconds("--write-timeout", args.write_timeout.as_deref(), default.write_idle)?;
    Ok(Timeouts {
        head: seconds("--header-timeout", args.header_timeout.as_deref(), default.head)?,
        keep_alive: seconds("--keepalive-timeout", args.keepalive_timeout.as_deref(), default.keep_alive)?,
        body_idle,
        body_grace: body_idle * GRACES,
        body_rate: rate("--min-body-rate", args.min_body_rate.as_deref(), default.body_rate)?,
        write_idle,
        write_grace: write_idle * GRACES,
        write_rate: rate("--min-write-rate", args.min_write_rate.as_deref(), default.write_rate)?,
        linger,
        linger_idle: default.linger_idle.min(linger),
        ..default
    })
}

fn limits(args: &Args) -> Result<Limits, Fault> {
    let default = Limits::default();
    let size = |option: &'static str, value: &Option<String>, default: usize, least: usize| {
        number(option, value.as_deref(), default, least..=MAX_HEAD)
    };
    let limits = Limits {
        target: size("--max-target-bytes", &args.max_target_bytes, default.target, 64)?,
        field_line: size("--max-field-bytes", &args.max_field_bytes, default.field_line, 64)?,
        head: size("--max-header-bytes", &args.max_header_bytes, default.head, 256)?,
        fields: number("--max-fields", args.max_fields.as_deref(), default.fields, 1..=MAX_FIELDS)?,
        body: number("--max-body-bytes", args.max_body_bytes.as_deref(), default.body, 0..=i64::MAX as u64)?,
        requests: NonZeroU64::new(number(
            "--max-requests-per-connection",
            args.max_requests_per_connection.as_deref(),
            0,
            0..=u64::MAX,
        )?),
        ..default
    };
    Ok(Limits { drained_body: limits.drained_body.min(limits.body), ..limits })
}

fn connections(args: &Args) -> Result<Option<usize>, Fault> {
    let value = args.max_connections.as_deref();
    value.map(|_| number("--max-connections", value, 0, 1..=usize::MAX)).transpose()
}

fn per_address(args: &Args) -> Result<Option<NonZeroU32>, Fault> {
    let value = args.max_connections_per_ip.as_deref();
    Ok(NonZeroU32::new(number("--max-connections-per-ip", value, 0, 0..=u32::MAX)?))
}

/// A span of time in seconds, with decimals if need be.
fn seconds(option: &'static str, value: Option<&str>, default: Duration) -> Result<Duration, Fault> {
    let Some(value) = value else {
        return Ok(default);
    };
    let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|time| (MIN_TIME..=MAX_TIME).contains(time))
        .ok_or_else(|| Fault::usage(option, value, "give seconds, from 0.001 to 86400"))
}

fn number<T>(
    option: &'static str,
    value: Option<&str>,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T, Fault>
where
    T: FromStr + PartialOrd + Display,
{
    let Some(value) = value else {
        return Ok(default);
    };
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        Fault::usage(option, value, &format!("give a number from {least} to {most}"))
    })
}

fn access_log(value: &str) -> AccessLogTo {
    match value {
        "off" => AccessLogTo::Off,
        "-" => AccessLogTo::Stdout,
        path => AccessLogTo::File(path.into()),
    }
}

fn root(path: &Path) -> Result<PathBuf, Fault> {
    let complain = |what: String| Fault::start("--root", format!("cannot serve {}: {what}", path.display()));
    let advise =
        |error: std::io::Error| complain(format!("{error}; give a directory that can be read with -r"));
    let root = path.canonicalize().map_err(advise)?;
    match beneath::open_root(&root) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(complain("it is not a directory; give one with -r".into()));
        }
        Err(error) => return Err(advise(error)),
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &[&str]) -> Result<Config, ConfigError> {
        Config::load(&line.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_checked() {
        for (option, value) in [
            ("--port", "65536"),
            ("--port", "-1"),
            ("--port", ""),
            ("--workers", "1025"),
            ("--workers", "-1"),
            ("--workers", "two"),
            ("--log", "loud"),
            ("--accept", "first"),
        ] {
            match config(&[option, value]) {
                Err(ConfigError::Usage(line)) => {
                    assert!(line.starts_with(option) && line.contains("give"), "{line}")
                }
                other => panic!("{option} {value}: {other:?}"),
            }
        }
    }

    /// A time-out that is longer than the default is not cut short by the rate.
    #[test]
    fn the_rate_counts_from_the_second_time_out_on() {
        let timeouts = |line: &[&str]| config(line).expect("times").settings.timeouts;
        assert_eq!(timeouts(&[]), Timeouts::default());
        let longer = timeouts(&["--body-timeout", "60", "--write-timeout", "0.5"]);
        assert_eq!(longer.body_grace, Duration::from_secs(120));
        assert_eq!(longer.write_grace, Duration::from_secs(1));
    }

    #[test]
    fn level_names_of_both_languages_in_any_case() {
        for (name, want) in [
            ("DEBUG", LevelFilter::Debug),
            ("Info", LevelFilter::Info),
            ("WARNING", LevelFilter::Warn),
            ("warn", LevelFilter::Warn),
            ("ERROR", LevelFilter::Error),
            ("CRITICAL", LevelFilter::Error),
            ("trace", LevelFilter::Trace),
            ("off", LevelFilter::Off),
        ] {
            assert_eq!(config(&["--log", name]).expect("a level").log, want, "{name}");
        }
    }

    #[test]
    fn the_root_must_be_a_directory() {
        for (root, want) in [("/no/such/folder", "No such file"), ("Cargo.toml", "not a directory")] {
            match config(&["-r", root]) {
                Err(ConfigError::Start(line)) => {
                    assert!(line.contains(want) && line.contains("-r"), "{line}")
                }
                other => panic!("{root}: {other:?}"),
            }
        }
        assert_eq!(config(&["-r", "src/.."]).expect("a root").root, Path::new(env!("CARGO_MANIFEST_DIR")));
    }

    #[test]
    fn no_workers_means_one_per_core() {
        assert_eq!(config(&["-w", "0"]).expect("a number").workers, process::cores());
    }
}
