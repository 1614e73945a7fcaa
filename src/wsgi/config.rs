//! What the Python side asks for, checked.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;

use super::shared::Trusted;
use crate::config::{self, BaseConfig, MAX_WORKERS, PLACES, Sources};
use crate::http1::{Limits, Settings};
use crate::reactor::AcceptMode;
use crate::server::ListenSpec;

/// The options of the command line, or of Python's `serve()`, as they were given.
#[derive(Debug, FromPyObject)]
pub(super) struct WsgiOptions {
    load: Py<PyAny>,
    ready: Py<PyAny>,
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
    program: PathBuf,
    arguments: Vec<String>,
}

/// The checked configuration of the WSGI server.
#[derive(Clone, Debug)]
pub(super) struct WsgiConfig {
    pub(super) base: BaseConfig,
    /// The name of the application in the start-up lines.
    pub(super) name: String,
    /// Threads of each worker that call the application; 0 for the loop itself.
    pub(super) threads: usize,
    /// Requests after which a worker is replaced.
    pub(super) max_requests: Option<u64>,
    /// The path of the application, without a slash at its end.
    pub(super) prefix: String,
    /// Folders that are served without Python, by the prefix of their paths.
    pub(super) mounts: Vec<(String, PathBuf)>,
    pub(super) trusted: Trusted,
}

/// What Python calls back, and what an upgrade starts.
#[derive(Debug)]
pub(super) struct Hooks {
    /// Returns the application; runs in each worker, or before the fork with `--preload`.
    pub(super) load: Py<PyAny>,
    /// Runs in each worker after the application was loaded, with the number of the worker.
    pub(super) ready: Py<PyAny>,
    pub(super) preload: bool,
    /// The program and the arguments that this process was started with.
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
}

impl WsgiOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// A line that says what is wrong, with the option.
    pub(super) fn check(self) -> Result<(WsgiConfig, Hooks), String> {
        let config = WsgiConfig {
            base: self.base()?,
            name: self.name,
            threads: count("--threads", self.threads)?,
            max_requests: Some(self.max_requests).filter(|most| *most > 0),
            prefix: url_prefix(&self.url_prefix)?,
            mounts: self.mounts.into_iter().map(mount).collect::<Result<_, _>>()?,
            trusted: Trusted::parse(&self.forwarded_allow_ips)
                .map_err(|word| format!("--forwarded-allow-ips: {word} is not an address, a network or *"))?,
        };
        let Self { load, ready, preload, program, arguments, .. } = self;
        Ok((config, Hooks { load, ready, preload, program, arguments }))
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
            unix_mode: 0o666,
            accept: AcceptMode::Exclusive,
            defer_accept: false,
            workers: config::workers(count("--workers", self.workers)?),
            grace: seconds("--grace", self.grace)?,
            worker_timeout: seconds("--timeout", self.timeout)?,
            pidfile: None,
            log: config::log_level(&self.log).map_err(|wanted| format!("--log {}: {wanted}", self.log))?,
            logfile: self.logfile.clone(),
            access_log: config::access_log(&self.access_log),
            settings: Settings { limits, ..Settings::default() },
            connections: None,
            per_address: None,
            reserved: 0,
            sources: Sources::default(),
        })
    }
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

fn url_prefix(text: &str) -> Result<String, String> {
    let prefix = text.trim_end_matches('/');
    match prefix.is_empty() || prefix.starts_with('/') {
        true => Ok(prefix.into()),
        false => Err(format!("--url-prefix {prefix}: begin it with a slash")),
    }
}

fn mount((prefix, folder): (String, PathBuf)) -> Result<(String, PathBuf), String> {
    let prefix = prefix.trim_end_matches('/').to_string();
    match prefix.starts_with('/') {
        true => Ok((prefix, folder)),
        false => Err(format!(
            "--static {prefix}={}: give a prefix that begins with a slash and is more than one",
            folder.display()
        )),
    }
}
