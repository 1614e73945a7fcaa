//! What the Python side asks for, checked.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;

use super::hooks::ProcessHooks;
use super::shared::Trusted;
use crate::config::{self, BaseConfig, MAX_WORKERS, PLACES, STATUS_PATHS, STATUS_PLACES, Sources};
use crate::http1::{Limits, Settings};
use crate::reactor::AcceptMode;
use crate::server::ListenSpec;

/// The options of the command line, or of Python's `serve()`. Their meaning is in `stheno_wsgi/options.py`.
#[derive(Debug, FromPyObject)]
pub(super) struct WsgiOptions {
    /// Returns the application; runs in each worker, or before the fork with `--preload`.
    pub(super) load: Py<PyAny>,
    /// Runs in each worker after the application was loaded, with the number of the worker and a function that returns whether
    /// it drains.
    pub(super) ready: Py<PyAny>,
    /// Runs when processes begin and end (`--hooks`).
    pub(super) hooks: ProcessHooks,
    /// The name of the application in the start-up lines.
    pub(super) name: String,
    listen: Vec<String>,
    host: String,
    port: u16,
    workers: usize,
    /// Threads of each worker that call the application; 0 for the loop itself.
    pub(super) threads: usize,
    pub(super) preload: bool,
    log: String,
    logfile: Option<PathBuf>,
    record: Option<PathBuf>,
    record_when_turn_exceeds: Option<u64>,
    access_log: String,
    max_body: u64,
    /// Requests after which a worker is replaced; 0 for no limit.
    pub(super) max_requests: u64,
    timeout: f64,
    grace: f64,
    /// The place of the status page, and its path on the public port.
    status: Option<String>,
    status_path: Option<String>,
    /// The path of the application, without a slash at its end.
    pub(super) url_prefix: String,
    /// Folders that are served without Python, by the prefix of their paths.
    pub(super) mounts: Vec<(String, PathBuf)>,
    forwarded_allow_ips: String,
    /// The program and the arguments that this process was started with.
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

/// The checked configuration of the WSGI server.
#[derive(Debug)]
pub(super) struct WsgiConfig {
    pub(super) base: BaseConfig,
    pub(super) trusted: Trusted,
    pub(super) options: WsgiOptions,
}

impl WsgiOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// A line that says what is wrong, with the option.
    pub(super) fn check(mut self) -> Result<WsgiConfig, String> {
        count("--threads", self.threads)?;
        self.url_prefix.truncate(self.url_prefix.trim_end_matches('/').len());
        if !self.url_prefix.is_empty() && !self.url_prefix.starts_with('/') {
            return Err(format!("--url-prefix {}: begin it with a slash", self.url_prefix));
        }
        for (prefix, folder) in &mut self.mounts {
            prefix.truncate(prefix.trim_end_matches('/').len());
            if !prefix.starts_with('/') {
                let folder = folder.display();
                return Err(format!("--static {prefix}={folder}: give a prefix that is more than a slash"));
            }
        }
        let trusted = Trusted::parse(&self.forwarded_allow_ips)
            .map_err(|word| format!("--forwarded-allow-ips: {word} is not an address, a network or *"))?;
        Ok(WsgiConfig { base: self.base()?, trusted, options: self })
    }

    fn record_long_turns(&self) -> Result<Option<Duration>, String> {
        match (self.record_when_turn_exceeds, &self.record) {
            (Some(_), None) => Err("--record-when-turn-exceeds: give the file as well, with --record".into()),
            (millis, _) => Ok(millis.map(Duration::from_millis)),
        }
    }

    fn base(&self) -> Result<BaseConfig, String> {
        let places = self
            .listen
            .iter()
            .map(|text| ListenSpec::parse(text).ok_or_else(|| format!("--listen {text}: {PLACES}")));
        let mut listen = places.collect::<Result<Vec<_>, _>>()?;
        if listen.is_empty() {
            listen.push(ListenSpec::host_and_port(&self.host, self.port));
        }
        let limits = Limits { body: self.max_body, ..Limits::default() };
        Ok(BaseConfig {
            listen,
            tls: None,
            redirect: Vec::new(),
            unix_mode: 0o666,
            accept: AcceptMode::Exclusive,
            defer_accept: false,
            workers: config::workers(count("--workers", self.workers)?),
            grace: seconds("--grace", self.grace)?,
            worker_timeout: seconds("--timeout", self.timeout)?,
            pidfile: None,
            log: config::log_level(&self.log).map_err(|wanted| format!("--log {}: {wanted}", self.log))?,
            record: self.record.clone(),
            record_long_turns: self.record_long_turns()?,
            logfile: self.logfile.clone(),
            access_log: config::access_log(&self.access_log),
            access_log_format: None,
            proxies: None,
            needs_tls: false,
            settings: Settings { limits, ..Settings::default() },
            connections: None,
            per_address: None,
            reserved: 0,
            status: option("--status", self.status.as_deref(), STATUS_PLACES, ListenSpec::parse_status)?,
            status_path: option(
                "--status-path",
                self.status_path.as_deref(),
                STATUS_PATHS,
                config::checked_path,
            )?,
            qr: false,
            open: false,
            summary: false,
            sources: Sources::default(),
        })
    }
}

/// The value of an option that may be missing; `wanted` says what to give instead of one that cannot be read.
fn option<T>(
    option: &str,
    text: Option<&str>,
    wanted: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    text.map(|text| read(text).ok_or_else(|| format!("{option} {text}: {wanted}"))).transpose()
}

fn count(option: &str, number: usize) -> Result<usize, String> {
    match number {
        0..=MAX_WORKERS => Ok(number),
        _ => Err(format!("{option} {number}: give a number from 0 to {MAX_WORKERS}")),
    }
}

fn seconds(option: &str, value: f64) -> Result<Duration, String> {
    let time = Duration::try_from_secs_f64(value).ok().filter(|time| time.as_secs() <= 86_400);
    time.ok_or_else(|| format!("{option} {value}: give seconds, 86400 at most"))
}
