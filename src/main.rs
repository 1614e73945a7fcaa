//! The server's command: words → configuration → sockets → master → workers.

use std::io::{self, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;

use log::LevelFilter;
use stheno::cli::{self, Command};
use stheno::config::{AccessLogTo, Config, ConfigError};
use stheno::files::{FileService, Options};
use stheno::master::{BOOT_FAILURE, Ended, FAILURE, Master, Work};
use stheno::server::{
    AccessLog, Address, BindError, Bound, Capacity, Confinement, Jail, LogTarget, Worker, bind,
};
use stheno::sys::process::{self, Pid};
use stheno::sys::{fallback, sandbox};

/// Fewer connections than this are worth a word at the start, unless they were asked for.
const FEW_CONNECTIONS: usize = 256;

/// What part of the descriptors the file cache may hold at the most.
const CACHED_SHARE: usize = 16;

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(ConfigError::Usage(line)) => complain(&format!("{line} (see stheno --help)"), 2),
        Err(ConfigError::File(line)) => complain(&line, 2),
        Err(ConfigError::Start(line)) => complain(&line, 1),
    }
}

fn complain(line: &str, code: u8) -> ExitCode {
    // If not even this can be said there is nobody to say it to.
    let _ = writeln!(io::stderr(), "stheno: {line}");
    ExitCode::from(code)
}

fn start() -> Result<ExitCode, ConfigError> {
    let words: Result<Vec<String>, _> =
        std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect();
    let words = words.map_err(|word| ConfigError::Usage(format!("{word:?} is not UTF-8")))?;
    let checks_only = match cli::parse(words.iter().cloned()).map_err(ConfigError::Usage)? {
        Command::Serve(args) => args.check,
        Command::Print(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            return Ok(ExitCode::SUCCESS);
        }
    };
    if let Ok(names) = std::env::var(fallback::VARIABLE) {
        fallback::force(&names).map_err(ConfigError::Usage)?;
    }
    let config = Config::load(&words)?;
    if checks_only { check(&config) } else { serve(&config) }
}

/// Looks at everything that a start would need, and leaves it as it is: a server may be running with it.
fn check(config: &Config) -> Result<ExitCode, ConfigError> {
    if let Some(path) = &config.logfile {
        LogTarget::check(path).map_err(|error| bad_log(config, "--logfile", path, &error))?;
    }
    if let AccessLogTo::File(path) = &config.access_log {
        LogTarget::check(path).map_err(|error| bad_log(config, "--access-log", path, &error))?;
    }
    config
        .listen
        .iter()
        .try_for_each(|place| place.check().map_err(|error| cannot_listen(config, &error)))?;
    let descriptors = process::raise_descriptor_limit();
    capacity(config, descriptors, cached_files(config, descriptors))?;
    let _ = io::stdout().write_all(b"configuration is fine\n");
    Ok(ExitCode::SUCCESS)
}

fn serve(config: &Config) -> Result<ExitCode, ConfigError> {
    // Everything that can fail is opened here, before there is a process to clean up.
    let start_error = |what: &str, error: io::Error| ConfigError::Start(format!("{what}: {error}"));
    init_log(config)?;
    let access_log = open_access_log(config)?;
    let descriptors = process::raise_descriptor_limit();
    let cached_files = cached_files(config, descriptors);
    let service = FileService::with_options(&config.root, Options { cached_files, ..config.files }).map_err(
        |error| config.start_error("--root", format!("cannot serve {}: {error}", config.root.display())),
    )?;
    let bound = bind(&config.listen, config.unix_mode, config.accept, config.workers)
        .map_err(|error| cannot_listen(config, &error))?;
    if config.defer_accept {
        bound.defer_accept().map_err(|error| config.start_error("--defer-accept", error.to_string()))?;
    }
    let capacity = capacity(config, descriptors, cached_files)?;
    let master = Master::new(config.workers, config.grace)
        .map_err(|error| start_error("cannot set up the master process", error))?;

    let addresses = bound.addresses.clone();
    let mut server =
        Server { config, capacity, addresses, kept: Some((bound, service, access_log, confinement(config))) };
    let ended = master.run(&mut server);
    match ended.map_err(|error| start_error("cannot run worker processes", error))? {
        Ended::Stopped => Ok(ExitCode::SUCCESS),
        Ended::BootFailed => Err(ConfigError::Start("the workers could not start".into())),
    }
}

/// What workers give up. Whether the kernel can keep them in is said once, here.
fn confinement(config: &Config) -> Confinement {
    if config.jail == Jail::BestEffort && sandbox::abi() < sandbox::WHOLE_ABI {
        log::info!("this kernel has no Landlock, or a part of it: workers are kept in as far as it goes");
    }
    let access_log = match &config.access_log {
        AccessLogTo::File(path) => Some(path.as_path()),
        _ => None,
    };
    let logs = config.logfile.as_deref().into_iter().chain(access_log);
    Confinement::new(config.identity, config.jail, &config.root, logs)
}

/// Says which place it is, and where it was asked for.
fn cannot_listen(config: &Config, error: &BindError) -> ConfigError {
    config.start_error(error.option, error.to_string())
}

/// What the master has its workers do.
struct Server<'a> {
    config: &'a Config,
    capacity: Capacity,
    addresses: Vec<Address>,
    /// What every worker is born with. It is a fork of this process, so each takes a copy of its own.
    kept: Option<(Bound, FileService, Option<LogTarget>, Confinement)>,
}

impl Work for Server<'_> {
    fn work(&mut self, seat: usize, life: OwnedFd) -> i32 {
        let Some((bound, service, access_log, confinement)) = self.kept.take() else {
            return BOOT_FAILURE;
        };
        let listeners = bound.into_worker(seat);
        // Before the first connection is accepted, and behind everything that has to be opened.
        if let Err(error) = confinement.enter(service.root()) {
            log::error!("a worker cannot serve: {error}");
            return BOOT_FAILURE;
        }
        let worker = Worker {
            settings: self.config.settings.clone(),
            capacity: self.capacity,
            service,
            access_log: access_log.map(AccessLog::new),
            listeners,
            accept: self.config.accept,
            life,
            grace: self.config.grace,
        };
        let (code, result) = match worker.boot() {
            Ok(running) => (FAILURE, running.serve()),
            Err(error) => (BOOT_FAILURE, Err(error)),
        };
        match result {
            Ok(()) => 0,
            Err(error) => {
                log::error!("a worker cannot serve: {error}");
                code
            }
        }
    }

    fn started(&mut self, workers: &[Pid]) {
        announce(self.config, &self.addresses, workers);
    }

    /// A listener that nobody accepts from would let clients in and leave them alone.
    fn stopping(&mut self) {
        self.kept = None;
    }
}

/// How many files the file cache may hold open.
fn cached_files(config: &Config, descriptors: usize) -> usize {
    match config.files.file_cache.is_zero() {
        true => 0,
        false => config.files.cached_files.min(descriptors / CACHED_SHARE),
    }
}

/// The descriptors of a worker set the limit: the file of every answer needs one beside its connection.
fn capacity(config: &Config, descriptors: usize, cached_files: usize) -> Result<Capacity, ConfigError> {
    let fitting = Capacity::fitting(descriptors - cached_files);
    let connections = config.connections.unwrap_or(fitting);
    if connections > fitting {
        let line = format!(
            "--max-connections {connections} needs {} descriptors for each worker, and {descriptors} are \
             allowed: raise ulimit -n, or give {fitting} or less",
            Capacity::descriptors_for(connections).saturating_add(cached_files),
        );
        return Err(config.start_error("--max-connections", line));
    }
    if config.connections.is_none() && connections < FEW_CONNECTIONS {
        log::warn!(
            "{descriptors} descriptors allow {connections} connections for each worker: raise ulimit -n for more"
        );
    }
    Ok(Capacity { connections, per_address: config.per_address })
}

/// The seed's format: `name: pid message`.
fn init_log(config: &Config) -> Result<(), ConfigError> {
    let level = config.log;
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Warn.min(level)).filter_module("stheno", level);
    builder.format(|out, record| {
        let name = record.target().split("::").next().unwrap_or_default();
        writeln!(out, "{name}: {} {}", std::process::id(), record.args())
    });
    let target = match &config.logfile {
        None => LogTarget::standard(&io::stderr()).ok(),
        Some(path) => {
            Some(LogTarget::open(path).map_err(|error| bad_log(config, "--logfile", path, &error))?)
        }
    };
    if let Some(target) = target {
        builder.target(env_logger::Target::Pipe(Box::new(target)));
    }
    builder.init();
    Ok(())
}

fn open_access_log(config: &Config) -> Result<Option<LogTarget>, ConfigError> {
    match &config.access_log {
        AccessLogTo::Off => Ok(None),
        // A server without standard output serves without an access log.
        AccessLogTo::Stdout => Ok(LogTarget::standard(&io::stdout()).ok()),
        AccessLogTo::File(path) => {
            let opened = LogTarget::open(path);
            opened.map(Some).map_err(|error| bad_log(config, "--access-log", path, &error))
        }
    }
}

/// Says which log cannot be written, and where it was asked for.
fn bad_log(config: &Config, option: &'static str, path: &Path, error: &io::Error) -> ConfigError {
    let what = if option == "--logfile" { "log file" } else { "access log" };
    let path = path.display();
    config.start_error(option, format!("cannot write the {what} {path}: {error}; give another with {option}"))
}

/// The start-up lines: where it is, what it serves, who does the work, how to stop it.
fn announce(config: &Config, addresses: &[Address], workers: &[Pid]) {
    let (bold, plain) = if io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let poller = if cfg!(target_os = "linux") { "epoll" } else { "kqueue" };
    let pids: Vec<String> = workers.iter().map(ToString::to_string).collect();
    let mut text = format!("{bold}stheno {}{plain}\n", env!("CARGO_PKG_VERSION"));
    text += &format!("  root     {}\n", config.root.display());
    for address in addresses {
        text += &format!("  url      {bold}{}{plain}\n", url(address));
    }
    text += &format!("  workers  {} (pid {})\n", workers.len(), pids.join(", "));
    text += &format!("  poller   {poller}, accept {}\n", config.accept);
    text += &format!("  stop     Ctrl+C, or kill -TERM {} to let answers finish\n", process::current());
    let _ = io::stderr().write_all(text.as_bytes());
}

/// An address as a link; one that stands for all is shown as the one that always works.
fn url(address: &Address) -> String {
    let address = match address {
        Address::Internet(address) => address,
        Address::Unix(path) => return format!("unix:{}", path.display()),
    };
    if !address.ip().is_unspecified() {
        return format!("http://{address}/");
    }
    let (local, all) = if address.is_ipv4() { ("127.0.0.1", "IPv4 ") } else { ("[::1]", "") };
    format!("http://{local}:{}/ (and every other {all}address of this machine)", address.port())
}
