//! What a configuration asks for, open. Everything that can fail is tried here, before there is a process to clean up.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::{AccessLogTo, BaseConfig, ConfigError};
use crate::master::{Assignment, Plan};
use crate::reactor::AcceptMode;
use crate::recording::{About, Output, Recorder, RecorderOptions};
use crate::server::{
    AccessLog, Address, BindError, Capacity, Inherited, Layering, Listeners, LogTarget, RedirectPlace,
    Resolved, Worker, bind,
};
use crate::status::{Board, Station};
use crate::sys::process;
use crate::tls::{Credentials, Kept, Tls};

/// Fewer connections than this are worth a warning at the start, unless they were asked for.
const FEW_CONNECTIONS: usize = 256;

/// What the loop of a worker is able to tell.
const TELLS: &str = "read write register hook state clock response";

/// A configuration, its sockets and its access log.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) config: BaseConfig,
    pub(crate) listeners: Listeners,
    pub(crate) access_log: Option<LogTarget>,
    /// The socket of the status page, and the counters that it shows.
    pub(crate) status: Option<(Listeners, Board)>,
    /// The counters of the line at the end, where no status page has them.
    tally: Option<Board>,
    /// Certificates and keys.
    pub(crate) tls: Option<Credentials>,
    capacity: Capacity,
}

impl Setup {
    /// Opens all of it. Sockets that are already in `inherited` are not bound again. The places to listen have the
    /// addresses `resolved`.
    pub(super) fn open(
        config: BaseConfig,
        mut resolved: Resolved,
        inherited: &mut Inherited,
        board: &mut Option<Board>,
        secrets: &mut Kept,
    ) -> Result<Self, ConfigError> {
        let tls = open_tls(&config, secrets)?;
        let access_log = open_access_log(&config)?;
        check_recording(&config)?;
        let BaseConfig { unix_mode, accept, workers, .. } = &config;
        if inherited.is_activated() && !config.redirect.is_empty() {
            let line = "the service manager passes the sockets: leave --redirect-http out".into();
            return Err(config.sources.start_error("--redirect-http", line));
        }
        let mut places = config.places(inherited.is_activated());
        places.truncate(places.len() - config.status.iter().len());
        let for_status = resolved.split_off(places.len());
        let mut kept = inherited.take_status();
        let listeners = bind(&places, resolved, *unix_mode, *accept, *workers, inherited)
            .map_err(|error| cannot_listen(&config, &error))?;
        listeners
            .defer_accept(config.defer_accept)
            .map_err(|error| config.sources.start_error("--defer-accept", error.to_string()))?;
        listeners
            .set_user_timeout(config.settings.timeouts.longest_silence())
            .map_err(|error| config.sources.start_error("--write-timeout", error.to_string()))?;
        listeners
            .set_first_probe(config.settings.timeouts.keep_alive)
            .map_err(|error| config.sources.start_error("--keepalive-timeout", error.to_string()))?;
        let is_local = listeners.addresses.iter().all(Address::is_local);
        check_passwords(&config, is_local)?;
        let status = open_status(&config, for_status, &mut kept, board)?;
        // A start does not fail for the line at its end.
        let is_tallied = config.summary && status.is_none();
        let tally = is_tallied.then(|| counters(&config, board).ok()).flatten();
        let capacity = capacity(&config)?;
        Ok(Self { config, listeners, access_log, status, tally, tls, capacity })
    }

    /// Opens all of it for a worker in this process, without a master.
    #[cfg(feature = "wsgi")]
    pub(crate) fn open_alone(config: BaseConfig) -> Result<Self, ConfigError> {
        let resolved = resolve(&config, false)?;
        let inherited = &mut Inherited::default();
        let setup = Self::open(config, resolved, inherited, &mut None, &mut Kept::default())?;
        setup.all_listeners().for_each(Listeners::own_files);
        Ok(setup)
    }

    /// The listening sockets of all kinds.
    pub(crate) fn all_listeners(&self) -> impl Iterator<Item = &Listeners> {
        [&self.listeners].into_iter().chain(self.status.iter().map(|(listeners, _)| listeners))
    }

    /// Checks everything that [`Setup::open`] does, and the log, and changes nothing.
    pub(crate) fn check(config: &BaseConfig) -> Result<(), ConfigError> {
        let access_log = match &config.access_log {
            AccessLogTo::File(path) => Some(path),
            AccessLogTo::Off | AccessLogTo::Stdout => None,
        };
        for (option, path) in [("--logfile", config.logfile.as_ref()), ("--access-log", access_log)] {
            path.map_or(Ok(()), |path| check_target(config, option, path))?;
        }
        check_recording(config)?;
        check_passwords(config, Resolved::of(&config.listen).is_ok_and(|resolved| resolved.is_local()))?;
        if let Some(credentials) = open_tls(config, &mut Kept::default())? {
            // There is no log: the lines are what a check is for.
            credentials.warnings(SystemTime::now()).iter().for_each(|line| eprintln!("warning: {line}"));
        }
        for place in config.places(false) {
            place.check().map_err(|error| cannot_listen(config, &error))?;
        }
        capacity(config).map(drop)
    }

    pub(super) fn plan(&self) -> Plan {
        let BaseConfig { workers, grace, drain_delay, worker_timeout, .. } = self.config;
        Plan { workers, grace, drain_delay, worker_timeout }
    }

    /// Opens the recording of the worker in this slot, if there is to be one. Call it in the worker's process, before a
    /// sandbox is entered.
    ///
    /// # Errors
    /// As open(2).
    pub(crate) fn recorder(&self, slot: usize) -> io::Result<Option<Recorder>> {
        let Some(path) = &self.config.record else {
            return Ok(None);
        };
        let is_alone = self.config.workers == 1;
        let output = if is_alone { Output::create(path) } else { Output::create(&numbered(path, slot + 1)) };
        let about = About { worker: slot + 1, tells: TELLS, ..About::default() };
        let exceeds = self.config.record_long_turns;
        Ok(Some(Recorder::new(RecorderOptions {
            about,
            output: Some(output?),
            exceeds,
            doctor: true,
            ..RecorderOptions::default()
        })))
    }

    /// A worker that serves `service`, and its status page. Call it in the worker's process: the sockets of other workers
    /// are closed.
    pub(crate) fn into_worker<S>(
        self,
        assignment: Assignment,
        log: LogTarget,
        recorder: Option<Recorder>,
        service: S,
    ) -> (Worker<S>, Option<Station>) {
        let names = self.listeners.addresses.iter().map(ToString::to_string).collect();
        // Without a descriptor for them, the page shows no queues.
        let queues = || self.listeners.queues(assignment.slot).unwrap_or_default();
        let station = self.status.map(|(listeners, board)| Station {
            board,
            queues: (names, queues()),
            listeners: listeners.into_worker(assignment.slot),
            path: self.config.status_path.clone(),
        });
        let index = assignment.heartbeat.peers().own().index();
        let counter = self.tally.and_then(|board| board.counter(index));
        let redirects = self.listeners.redirects;
        let public = &self.listeners.addresses[..self.listeners.addresses.len() - redirects];
        let port = public.iter().find_map(Address::port);
        let mut listeners = self.listeners.into_worker(assignment.slot);
        let redirected = listeners.split_off(listeners.len() - redirects);
        let redirect = port.filter(|_| !redirected.is_empty());
        let redirect = redirect.map(|port| RedirectPlace { listeners: redirected, port });
        let worker = Worker {
            settings: self.config.settings,
            capacity: self.capacity,
            service,
            access_log: self
                .access_log
                .map(|target| AccessLog::with_format(target, self.config.access_log_format.clone())),
            log: Some(log),
            listeners,
            layering: Layering {
                proxies: self.config.proxies.map(Arc::new),
                tls: self.tls.map(|credentials| Rc::new(Tls::new(&credentials))),
            },
            redirect,
            accept: self.config.accept,
            signals: assignment.signals,
            master_link: assignment.master_link,
            heartbeat: assignment.heartbeat,
            grace: self.config.grace,
            counter,
            recorder,
        };
        (worker, station)
    }
}

/// Opens the socket of the status page, and makes the counters at the first time.
fn open_status(
    config: &BaseConfig,
    resolved: Resolved,
    kept: &mut Inherited,
    board: &mut Option<Board>,
) -> Result<Option<(Listeners, Board)>, ConfigError> {
    if !config.has_status() {
        return Ok(None);
    }
    let places = config.status.as_slice();
    let listeners = bind(places, resolved, config.unix_mode, AcceptMode::Shared, 1, kept)
        .map_err(|error| cannot_listen(config, &error))?;
    for address in listeners.addresses.iter().filter(|address| !address.is_local()) {
        log::warn!(
            "the status page at {address} is open to other machines: leave the host out for this machine only"
        );
    }
    Ok(Some((listeners, counters(config, board)?)))
}

/// The counters of all workers, which are made at the first time.
fn counters(config: &BaseConfig, board: &mut Option<Board>) -> Result<Board, ConfigError> {
    let made = match *board {
        Some(made) => made,
        None => Board::new().map_err(|error| {
            config.sources.start_error("--status", format!("no memory for counters: {error}"))
        })?,
    };
    Ok(*board.insert(made))
}

/// Reads certificates and keys.
fn open_tls(config: &BaseConfig, secrets: &mut Kept) -> Result<Option<Credentials>, ConfigError> {
    let open = |files| Credentials::open(files, secrets);
    let opened = config.tls.as_ref().map(open).transpose();
    opened.map_err(|error| config.sources.start_error(error.option, error.to_string()))
}

/// Looks up the names of the places to listen, unless a service manager has chosen these.
pub(super) fn resolve(config: &BaseConfig, activated: bool) -> Result<Resolved, ConfigError> {
    Resolved::of(&config.places(activated)).map_err(|error| cannot_listen(config, &error))
}

/// Opens the target of the log.
pub(crate) fn open_log(config: &BaseConfig) -> Result<LogTarget, ConfigError> {
    match &config.logfile {
        None => LogTarget::standard_error()
            .map_err(|error| ConfigError::Start(format!("cannot write a log: {error}"))),
        Some(path) => LogTarget::open(path).map_err(|error| unwritable(config, "--logfile", path, &error)),
    }
}

fn open_access_log(config: &BaseConfig) -> Result<Option<LogTarget>, ConfigError> {
    match &config.access_log {
        AccessLogTo::Off => Ok(None),
        // A server without standard output serves without an access log.
        AccessLogTo::Stdout => LogTarget::standard(&io::stdout()).map_err(|error| {
            let line = format!("cannot write the access log to standard output: {error}");
            config.sources.start_error("--access-log", line)
        }),
        AccessLogTo::File(path) => {
            let opened = LogTarget::open(path);
            opened.map(Some).map_err(|error| unwritable(config, "--access-log", path, &error))
        }
    }
}

fn check_target(config: &BaseConfig, option: &str, path: &Path) -> Result<(), ConfigError> {
    LogTarget::check(path).map_err(|error| unwritable(config, option, path, &error))
}

/// Checks that no password goes over the network in clear text.
fn check_passwords(config: &BaseConfig, is_local: bool) -> Result<(), ConfigError> {
    if !config.needs_tls || config.tls.is_some() || is_local {
        return Ok(());
    }
    let line = "passwords would go over the network in clear text: give --tls-cert and --tls-key, or --tls-self-signed; listen \
                on 127.0.0.1 behind a proxy with TLS; or allow it with --auth-without-tls";
    Err(config.sources.start_error("--auth", line.into()))
}

/// Checks that a recording can be written where it is to be: workers open it, and could only end if they cannot.
fn check_recording(config: &BaseConfig) -> Result<(), ConfigError> {
    config.record.as_deref().map_or(Ok(()), |path| check_target(config, "--record", path))
}

/// `loop.rec.2` for `loop.rec` and the second worker.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".{number}"));
    name.into()
}

fn unwritable(config: &BaseConfig, option: &str, path: &Path, error: &io::Error) -> ConfigError {
    let what = match option {
        "--logfile" => "log file",
        "--record" => "recording",
        _ => "access log",
    };
    let path = path.display();
    let line = format!("cannot write the {what} {path}: {error}; give another with {option}");
    config.sources.start_error(option, line)
}

fn cannot_listen(config: &BaseConfig, error: &BindError) -> ConfigError {
    config.sources.start_error(error.option, error.to_string())
}

/// The room of a worker, which its descriptors limit: each response may need one for its file, beside the connection's.
fn capacity(config: &BaseConfig) -> Result<Capacity, ConfigError> {
    let descriptors = process::raise_descriptor_limit();
    let for_redirects = if config.redirect.is_empty() { 0 } else { 2 * RedirectPlace::CONNECTIONS };
    let reserved = config.reserved + for_redirects;
    let fitting = Capacity::fitting(descriptors.saturating_sub(reserved));
    let connections = config.connections.unwrap_or(fitting);
    if connections > fitting {
        let line = format!(
            "--max-connections {connections} needs {} descriptors for each worker, and {descriptors} are \
             allowed: raise ulimit -n, or give {fitting} or less",
            Capacity::descriptors_for(connections).saturating_add(reserved),
        );
        return Err(config.sources.start_error("--max-connections", line));
    }
    if config.connections.is_none() && connections < FEW_CONNECTIONS {
        log::warn!(
            "{descriptors} descriptors allow {connections} connections for each worker: raise ulimit -n for more"
        );
    }
    Ok(Capacity { connections, per_address: config.per_address })
}
