//! The server's command: words → configuration → sockets → master → workers.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use stheno::cli::{self, Command};
use stheno::config::{AccessLogTo, Config, ConfigError};
use stheno::files::{FileService, Options};
use stheno::master::{
    Assignment, BOOT_FAILURE, Ended, Executable, FAILURE, Master, Notifier, Plan, Predecessor, Surroundings,
    Work,
};
use stheno::server::{
    AccessLog, BindError, Capacity, Confinement, Inherited, Jail, Listeners, LogTarget, Worker, bind,
};
use stheno::sys::fd_passing::PassedFile;
use stheno::sys::process::{self, Pid};
use stheno::sys::{fallback, sandbox};

/// Fewer connections than this are worth a word at the start, unless they were asked for.
const FEW_CONNECTIONS: usize = 256;

/// What part of the descriptors the file cache may hold at the most.
const CACHED_SHARE: usize = 16;

fn main() -> ExitCode {
    run(OnReactor)
}

/// What serves in a worker: the reactor here; `examples/tokio_httpd.rs` puts a runtime in its place.
pub(crate) trait Front {
    /// The name of the program.
    const NAME: &'static str;

    /// Takes the words that are its own out of those behind the program's name.
    fn take_words(&mut self, _words: &mut Vec<String>) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Changes what it has in another way, in each configuration that is read. Answers how many threads a worker has.
    fn adapt(&self, _config: &mut Config) -> usize {
        1
    }

    /// Serves until it is told to stop, by so many threads. Answers also the code of a worker that could not.
    fn serve(&self, worker: Worker<FileService>, threads: usize) -> (i32, io::Result<()>);
}

struct OnReactor;

impl Front for OnReactor {
    const NAME: &'static str = "stheno";

    fn serve(&self, worker: Worker<FileService>, _threads: usize) -> (i32, io::Result<()>) {
        match worker.boot() {
            Ok(running) => (FAILURE, running.serve()),
            Err(error) => (BOOT_FAILURE, Err(error)),
        }
    }
}

/// The command, with this to serve in its workers.
pub(crate) fn run<F: Front>(front: F) -> ExitCode {
    match start(front) {
        Ok(code) => code,
        Err(ConfigError::Usage(line)) => complain(F::NAME, &format!("{line} (see {} --help)", F::NAME), 2),
        Err(ConfigError::File(line)) => complain(F::NAME, &line, 2),
        Err(ConfigError::Start(line)) => complain(F::NAME, &line, 1),
    }
}

fn complain(name: &str, line: &str, code: u8) -> ExitCode {
    // If not even this can be said there is nobody to say it to.
    let _ = writeln!(io::stderr(), "{name}: {line}");
    ExitCode::from(code)
}

fn start<F: Front>(mut front: F) -> Result<ExitCode, ConfigError> {
    let words: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let mut words = words.map_err(|word| ConfigError::Usage(format!("{word:?} is not UTF-8")))?;
    // A successor is started with all of them.
    let arguments = words.iter().map(OsString::from).collect();
    front.take_words(&mut words)?;
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
    if checks_only {
        return check(&load(&words, &front)?.0);
    }
    // What the environment hands over has its number already: first, before anything else gets it.
    let mut there = Inherited::from_environment().map_err(|error| ConfigError::Start(error.to_string()))?;
    let predecessor = Predecessor::from_environment();
    let (config, threads) = load(&words, &front)?;
    let log = log_target(&config)?;
    log.take_the_log(config.log);
    // The log has to be there for these to complain.
    let notifier = Notifier::from_environment();
    let current = Setup::open(config, threads, &mut there)?;
    drop(there);
    if current.config.jail == Jail::BestEffort && sandbox::abi() < sandbox::WHOLE_ABI {
        log::info!("this kernel has no Landlock, or a part of it: workers are kept in as far as it goes");
    }
    let executable = Executable { program: started_from(), arguments };
    let (pidfile, plan) = (current.config.pidfile.clone(), current.plan());
    let server = Server { front, words, log, current: Some(current), next: None };
    serve(server, plan, Surroundings { pidfile, notifier, predecessor, executable })
}

/// The configuration that the words ask for, as the front has it, and the threads of a worker.
fn load<F: Front>(words: &[String], front: &F) -> Result<(Config, usize), ConfigError> {
    let mut config = Config::load(words)?;
    let threads = front.adapt(&mut config);
    Ok((config, threads))
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

fn serve<F: Front>(
    mut server: Server<F>,
    plan: Plan,
    surroundings: Surroundings,
) -> Result<ExitCode, ConfigError> {
    let master = Master::new(plan, surroundings)
        .map_err(|error| start_error("cannot set up the master process", error))?;
    let ended = master.run(&mut server);
    match ended.map_err(|error| start_error("cannot run worker processes", error))? {
        Ended::Stopped => Ok(ExitCode::SUCCESS),
        Ended::BootFailed => Err(ConfigError::Start("the workers could not start".into())),
    }
}

fn start_error(what: &str, error: io::Error) -> ConfigError {
    ConfigError::Start(format!("{what}: {error}"))
}

/// Where this program was started from: what stands there later is its successor. So it is the path that was
/// written, not the file that it led to.
fn started_from() -> PathBuf {
    let name = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let path = match name.components().count() {
        0 => None,
        // A bare name was looked for.
        1 if !name.as_os_str().as_encoded_bytes().contains(&b'/') => {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).map(|folder| folder.join(&name)).find(|path| path.is_file())
        }
        _ => Some(name),
    };
    let path = path.and_then(|path| std::path::absolute(path).ok()).filter(|path| path.is_file());
    path.or_else(|| std::env::current_exe().ok()).unwrap_or_default()
}

/// Everything that a configuration asks for, open: whatever can fail has been tried, before there is a process to
/// clean up.
struct Setup {
    config: Config,
    /// Of each worker.
    threads: usize,
    capacity: Capacity,
    bound: Listeners,
    service: FileService,
    access_log: Option<LogTarget>,
    confinement: Confinement,
}

impl Setup {
    /// Opens all of it. What is `there` already is not bound a second time.
    fn open(config: Config, threads: usize, there: &mut Inherited) -> Result<Self, ConfigError> {
        let access_log = open_access_log(&config)?;
        let descriptors = process::raise_descriptor_limit();
        let cached_files = cached_files(&config, descriptors);
        let service = FileService::with_options(&config.root, Options { cached_files, ..config.files })
            .map_err(|error| {
                config.start_error("--root", format!("cannot serve {}: {error}", config.root.display()))
            })?;
        let bound = bind(&config.listen, config.unix_mode, config.accept, config.workers, there)
            .map_err(|error| cannot_listen(&config, &error))?;
        bound
            .defer_accept(config.defer_accept)
            .map_err(|error| config.start_error("--defer-accept", error.to_string()))?;
        let capacity = capacity(&config, descriptors, cached_files)?;
        let confinement = Confinement::new(config.identity, config.jail);
        Ok(Self { config, threads, capacity, bound, service, access_log, confinement })
    }

    fn plan(&self) -> Plan {
        let Config { workers, grace, worker_timeout, .. } = self.config;
        Plan { workers, grace, worker_timeout }
    }
}

/// Says which place it is, and where it was asked for.
fn cannot_listen(config: &Config, error: &BindError) -> ConfigError {
    config.start_error(error.option, error.to_string())
}

/// What the master has its workers do. A worker is a fork of the master, so each takes a copy of its own.
struct Server<F> {
    front: F,
    /// The words behind the program's name, but for the front's own, to be read again.
    words: Vec<String>,
    /// Where the log of this process goes.
    log: LogTarget,
    /// What is in force; nothing any more on the way out.
    current: Option<Setup>,
    /// What is to be in force next if its workers can begin, and where the log goes then.
    next: Option<(Setup, LogTarget)>,
}

impl<F: Front> Server<F> {
    /// Opens what the configuration asks for now, beside what is open.
    fn open_next(&self) -> Result<(Setup, LogTarget), ConfigError> {
        let (config, threads) = load(&self.words, &self.front)?;
        let log = log_target(&config)?;
        let there = self.current.as_ref().map(|setup| setup.bound.inherit()).transpose();
        let there = there.map_err(|error| start_error("cannot keep the sockets", error))?;
        Ok((Setup::open(config, threads, &mut there.unwrap_or_default())?, log))
    }

    /// What is next is in force in this process.
    fn adopt_next(&mut self) {
        let Some((setup, log)) = self.next.take() else {
            return;
        };
        log::set_max_level(setup.config.log);
        if let Err(error) = self.log.redirect(&log) {
            log::error!("the log goes on to where it went: {error}");
        }
        self.current = Some(setup);
    }
}

impl<F: Front> Work for Server<F> {
    fn work(&mut self, post: Assignment) -> i32 {
        if post.pending {
            self.adopt_next();
        }
        self.next = None;
        let Some(setup) = self.current.take() else {
            return BOOT_FAILURE;
        };
        let listeners = setup.bound.into_worker(post.slot);
        // Before the first connection is accepted, and behind everything that has to be opened.
        if let Err(error) = setup.confinement.enter(setup.service.root()) {
            log::error!("a worker cannot serve: {error}");
            return BOOT_FAILURE;
        }
        let worker = Worker {
            settings: setup.config.settings,
            capacity: setup.capacity,
            service: setup.service,
            access_log: setup.access_log.map(AccessLog::new),
            log: Some(self.log.clone()),
            listeners,
            accept: setup.config.accept,
            signals: post.signals,
            life: post.master_link,
            heartbeat: post.heartbeat,
            grace: setup.config.grace,
        };
        let (code, result) = self.front.serve(worker, setup.threads);
        match result {
            Ok(()) => 0,
            Err(error) => {
                log::error!("a worker cannot serve: {error}");
                code
            }
        }
    }

    fn started(&mut self, workers: &[Pid]) {
        if let Some(setup) = &self.current {
            setup.bound.own_files();
            announce(setup, workers);
        }
    }

    fn reload(&mut self) -> Result<Plan, String> {
        let (ConfigError::Usage(line) | ConfigError::File(line) | ConfigError::Start(line)) =
            match self.open_next() {
                Ok(next) => {
                    let plan = next.0.plan();
                    self.next = Some(next);
                    return Ok(plan);
                }
                Err(error) => error,
            };
        Err(line)
    }

    fn reloaded(&mut self, in_force: bool) {
        if in_force {
            self.adopt_next();
            self.current.iter().for_each(|setup| setup.bound.own_files());
        }
        self.next = None;
    }

    fn resized(&mut self, workers: usize) {
        if let Some(setup) = &mut self.current {
            setup.bound.keep_for(workers);
        }
    }

    fn reopen_logs(&mut self) -> Vec<PassedFile> {
        let setups =
            [self.current.as_ref(), self.next.as_ref().map(|(setup, _)| setup)].into_iter().flatten();
        let access_logs = setups.filter_map(|setup| setup.access_log.as_ref());
        let logs = [Some(&self.log), self.next.as_ref().map(|(_, log)| log)].into_iter().flatten();
        LogTarget::reopen_all(logs.chain(access_logs))
    }

    fn sockets(&self) -> Vec<(BorrowedFd<'_>, &'static str)> {
        self.current.as_ref().map(|setup| setup.bound.for_successor()).unwrap_or_default()
    }

    fn handed_over(&mut self) {
        self.current.iter().for_each(|setup| setup.bound.leave_files());
    }

    /// A listener that nobody accepts from would let clients in and leave them alone.
    fn stopping(&mut self) {
        (self.current, self.next) = (None, None);
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

fn log_target(config: &Config) -> Result<LogTarget, ConfigError> {
    match &config.logfile {
        None => LogTarget::standard_error().map_err(|error| start_error("cannot write a log", error)),
        Some(path) => LogTarget::open(path).map_err(|error| bad_log(config, "--logfile", path, &error)),
    }
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
fn announce(setup: &Setup, workers: &[Pid]) {
    let config = &setup.config;
    let (bold, plain) = if io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let poller = if cfg!(target_os = "linux") { "epoll" } else { "kqueue" };
    let pids: Vec<String> = workers.iter().map(ToString::to_string).collect();
    let mut text = format!("{bold}stheno {}{plain}\n", env!("CARGO_PKG_VERSION"));
    text += &format!("  root     {}\n", config.root.display());
    for address in &setup.bound.addresses {
        text += &format!("  url      {bold}{}{plain}\n", address.url(""));
    }
    text += &format!("  workers  {} (pid {})\n", workers.len(), pids.join(", "));
    text += &format!("  poller   {poller}, accept {}\n", config.accept);
    text += &format!("  stop     Ctrl+C, or kill -TERM {} to let answers finish\n", process::current());
    let _ = io::stderr().write_all(text.as_bytes());
}
