//! What the Python side asks for, checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;
use pyo3::prelude::*;

use super::shared::Trusted;
use crate::config::AccessLogTo;
use crate::http1::{Limits, Settings, Timeouts};
use crate::server::{Endpoint, ListenSpec};
use crate::sys::process;

/// The answer to everything that the command line, or `serve()`, may say.
#[derive(Debug, FromPyObject)]
pub(super) struct Options {
    /// Answers the application; runs in each worker, or before the fork with `--preload`.
    load: Py<PyAny>,
    /// Runs in each worker when the application is there, with the number of its seat.
    ready: Py<PyAny>,
    /// What it is called in the start-up lines.
    name: String,
    listen: Vec<String>,
    host: String,
    port: u16,
    workers: usize,
    threads: usize,
    preload: bool,
    log: String,
    logfile: Option<PathBuf>,
    access_log: String,
    max_body: u64,
    max_requests: u64,
    timeout: f64,
    grace: f64,
    url_prefix: String,
    mounts: Vec<(String, PathBuf)>,
    forwarded_allow_ips: String,
    /// What this program was started as, for a successor.
    program: PathBuf,
    arguments: Vec<String>,
}

/// What the server is told to do.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) load: Py<PyAny>,
    pub(super) ready: Py<PyAny>,
    pub(super) name: String,
    pub(super) places: Vec<ListenSpec>,
    pub(super) workers: usize,
    pub(super) threads: usize,
    pub(super) preload: bool,
    pub(super) log: LevelFilter,
    pub(super) logfile: Option<PathBuf>,
    pub(super) access_log: AccessLogTo,
    pub(super) settings: Settings,
    pub(super) max_requests: Option<u64>,
    pub(super) timeout: Duration,
    pub(super) grace: Duration,
    pub(super) prefix: String,
    pub(super) mounts: Vec<(String, PathBuf)>,
    pub(super) trusted: Trusted,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

/// More workers or threads than this are a mistake.
const MOST: usize = 1024;

impl Config {
    /// Checks what is asked for.
    ///
    /// # Errors
    /// A line that says what is wrong, with the option.
    pub(super) fn check(options: Options) -> Result<Self, String> {
        let listed = options.listen.iter().map(|text| {
            Endpoint::parse(text)
                .map(ListenSpec::Listed)
                .ok_or_else(|| format!("--listen {text}: give HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH"))
        });
        let mut places = listed.collect::<Result<Vec<_>, _>>()?;
        if places.is_empty() {
            places.push(ListenSpec::HostAndPort(options.host, options.port));
        }
        for (option, number, least) in [("--workers", options.workers, 0), ("--threads", options.threads, 0)]
        {
            if !(least..=MOST).contains(&number) {
                return Err(format!("{option} {number}: give a number from {least} to {MOST}"));
            }
        }
        let seconds = |option: &str, value: f64| {
            Duration::try_from_secs_f64(value)
                .ok()
                .filter(|time| time.as_secs() <= 86_400)
                .ok_or_else(|| format!("{option} {value}: give seconds, 86400 at the most"))
        };
        let mounts = options.mounts.into_iter().map(|(prefix, folder)| {
            let prefix = prefix.trim_end_matches('/').to_string();
            match prefix.starts_with('/') {
                true => Ok((prefix, folder)),
                false => Err(format!(
                    "--static {prefix}={}: the prefix begins with a slash and is more than one",
                    folder.display()
                )),
            }
        });
        let prefix = options.url_prefix.trim_end_matches('/').to_string();
        if !prefix.is_empty() && !prefix.starts_with('/') {
            return Err(format!("--url-prefix {prefix}: it begins with a slash"));
        }
        let limits = Limits { body: options.max_body, ..Limits::default() };
        Ok(Self {
            load: options.load,
            ready: options.ready,
            name: options.name,
            places,
            workers: if options.workers == 0 { process::cores() } else { options.workers },
            threads: options.threads,
            preload: options.preload,
            log: level(&options.log)?,
            logfile: options.logfile,
            access_log: match options.access_log.as_str() {
                "off" | "" => AccessLogTo::Off,
                "-" => AccessLogTo::Stdout,
                path => AccessLogTo::File(Path::new(path).into()),
            },
            settings: Settings { limits, timeouts: Timeouts::default(), ..Settings::default() },
            max_requests: Some(options.max_requests).filter(|most| *most > 0),
            timeout: seconds("--timeout", options.timeout)?,
            grace: seconds("--grace", options.grace)?,
            prefix,
            mounts: mounts.collect::<Result<_, _>>()?,
            trusted: Trusted::parse(&options.forwarded_allow_ips).map_err(|word| {
                format!("--forwarded-allow-ips: {word} is no address, no network and not *")
            })?,
            program: options.program,
            arguments: options.arguments,
        })
    }
}

/// Any of Python's level names, in any case.
fn level(name: &str) -> Result<LevelFilter, String> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "critical" | "fatal" | "error" => LevelFilter::Error,
        "warn" | "warning" => LevelFilter::Warn,
        "info" | "notset" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        _ => return Err(format!("--log {name}: give debug, info, warning, error or critical")),
    })
}
