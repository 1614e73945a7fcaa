//! One worker process: its runtime, and how it ends. (`server::Worker`)

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use log::{debug, error, info, warn};
use stheno::files::FileService;
use stheno::heartbeat::Heartbeat;
use stheno::http1::Settings;
use stheno::master::{BOOT_FAILURE, FAILURE};
use stheno::reactor::Peer;
use stheno::server::{AccessLog, LogTarget, Worker};
use stheno::sys::orders::{self, MasterOrder, PassedFile};
use stheno::sys::process;
use stheno::sys::signal::{Signal, Signals};
use tokio::io::unix::AsyncFd;
use tokio::runtime::{self, Builder};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::acceptor::Acceptor;
use crate::connection_table::ConnectionTable;
use crate::local::{self, Kit};
use crate::{LOG, Runtime};

/// More panics in one minute end the worker: the reactor's figure.
const MAX_PANICS: u64 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// A descriptor as a number, which tokio asks for where the library gives a borrow.
#[derive(Debug)]
pub(crate) struct Fd<T>(pub(crate) T);

impl<T: AsFd> AsRawFd for Fd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<T: AsFd> Fd<T> {
    /// Registers it with the runtime, as `tokio::net::TcpListener` does for itself: listeners, pipes, signals.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub(crate) fn watch(self) -> io::Result<AsyncFd<Self>> {
        register(self)
    }
}

/// Registers a descriptor, for input and output, until the result is dropped.
///
/// # Errors
/// As epoll_ctl(2).
#[allow(
    deprecated,
    reason = "its successor wants a promise that the number does not outlive its file; here the file is dropped later"
)]
pub(crate) fn register<T: AsRawFd>(file: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(file)
}

/// The state that all tasks share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) connection_table: Arc<ConnectionTable>,
    /// Another thread may take a task that is ready, so a turn that could be a task's does not hold up the acceptor.
    pub(crate) has_helpers: bool,
    draining: watch::Sender<bool>,
    /// Notified when a service that is not being tended is used again.
    pub(crate) used: Notify,
    panics: Mutex<Panics>,
    /// Notified when there have been too many panics.
    broken: Notify,
}

#[derive(Debug, Default)]
struct Panics {
    all: u64,
    /// The start of the current minute, and the number of panics before it.
    minute: Option<(Instant, u64)>,
}

impl World {
    /// One panic costs one connection. Many mean that something is broken that a new process does not have.
    pub(crate) fn count_panic(&self, peer: Peer) {
        let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, before) = (Instant::now(), panics.all);
        panics.all += 1;
        error!(target: LOG, "a panic in the handling of {peer}: the connection is dropped ({} so far)", panics.all);
        let minute = panics.minute.filter(|minute| now - minute.0 < MINUTE).unwrap_or((now, before));
        panics.minute = Some(minute);
        if panics.all - minute.1 > MAX_PANICS {
            self.broken.notify_one();
        }
    }

    /// Waits until the server drains.
    pub(crate) async fn draining(&self) {
        // The sender is in this struct: it cannot be gone.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }
}

/// The heartbeat to the master, sent when a thread is about to wait, with the number of connections.
#[derive(Debug)]
struct Heart {
    heartbeat: Heartbeat,
    connection_table: Arc<ConnectionTable>,
}

impl Heart {
    fn beat(&self) {
        self.heartbeat.beat(stheno::clock::Instant::now());
        self.heartbeat.shares().publish(self.connection_table.len());
        if local::is_outdated() {
            self.heartbeat.outdated();
        }
    }
}

/// Serves until it is told to stop. An error has the exit code of the worker beside it.
pub(crate) fn serve(
    worker: Worker<FileService>,
    kind: Runtime,
    threads: usize,
) -> Result<(), (i32, io::Error)> {
    let (runtime, task) = boot(worker, kind, threads).map_err(|error| (BOOT_FAILURE, error))?;
    let result = runtime.block_on(task.run(kind));
    // Drops every connection, which logs what each still had on its way.
    drop(runtime);
    local::flush_log();
    result.map_err(|error| (FAILURE, error))
}

fn boot(
    worker: Worker<FileService>,
    kind: Runtime,
    threads: usize,
) -> io::Result<(runtime::Runtime, FirstTask)> {
    process::set_title("stheno: worker");
    let kits = Kit::several(threads, &worker.service, worker.access_log.as_ref())?;
    let heart = Arc::new(OnceLock::new());
    let runtime = runtime_of(kind, kits, &heart)?;
    let _inside = runtime.enter();
    let world = Arc::new(World {
        settings: worker.settings,
        connection_table: ConnectionTable::new(worker.capacity),
        has_helpers: threads > 1,
        draining: watch::Sender::new(false),
        used: Notify::new(),
        panics: Mutex::default(),
        broken: Notify::new(),
    });
    let listeners = worker.listeners.into_iter();
    let acceptors = listeners.map(|listener| Acceptor::new(Arc::clone(&world), listener.socket));
    let (acceptors, connection_table) =
        (acceptors.collect::<io::Result<_>>()?, Arc::clone(&world.connection_table));
    let (signals, master_link) = (Fd(worker.signals).watch()?, Fd(worker.master_link).watch()?);
    // Nothing can fail from here on.
    let heartbeat = worker.heartbeat;
    heartbeat.ready();
    let task = FirstTask {
        world,
        acceptors,
        signals,
        master_link,
        beat_every: heartbeat.every(),
        heart: Arc::clone(&heart),
        grace: worker.grace,
        access_log: worker.access_log,
        log: worker.log,
    };
    heart.get_or_init(|| Heart { heartbeat, connection_table });
    Ok((runtime, task))
}

/// A runtime; each of its threads takes one of the kits.
fn runtime_of(
    kind: Runtime,
    mut kits: Vec<Kit>,
    heart: &Arc<OnceLock<Heart>>,
) -> io::Result<runtime::Runtime> {
    let heart = Arc::clone(heart);
    let rest = move || {
        local::flush_log();
        if let Some(heart) = heart.get() {
            heart.beat();
        }
    };
    match kind {
        Runtime::Prefork => {
            kits.pop().into_iter().for_each(Kit::install);
            Builder::new_current_thread().enable_all().on_thread_park(rest).build()
        }
        Runtime::Threads => {
            let mut builder = Builder::new_multi_thread();
            builder.enable_all().worker_threads(kits.len()).max_blocking_threads(1);
            let kits = Mutex::new(kits);
            builder.on_thread_start(move || {
                let kit = kits.lock().unwrap_or_else(PoisonError::into_inner).pop();
                kit.into_iter().for_each(Kit::install);
            });
            // No task can be sent to a certain thread, so each thread tends its own service before it waits.
            builder.on_thread_park(move || {
                rest();
                local::try_with(|local| {
                    local.tend();
                });
            });
            builder.on_thread_stop(local::flush_log).build()
        }
    }
}

/// The task that starts the others, follows commands, and beats for the master.
struct FirstTask {
    world: Arc<World>,
    acceptors: Vec<Acceptor>,
    signals: AsyncFd<Fd<Signals>>,
    master_link: AsyncFd<Fd<OwnedFd>>,
    beat_every: Duration,
    heart: Arc<OnceLock<Heart>>,
    grace: Duration,
    /// The logs, for a change of their files.
    access_log: Option<AccessLog>,
    log: Option<LogTarget>,
}

/// The commands of signals and of the master; its end is a command as well.
#[derive(Debug, Default)]
struct Commands {
    stop: bool,
    drain: bool,
    /// The master is gone.
    orphaned: bool,
    /// Logs that the master has opened again.
    logs: Vec<PassedFile>,
}

impl FirstTask {
    /// Serves until it is told to stop. [`MasterOrder::Drain`], SIGTERM, and the end of the master, mean: accept no more,
    /// finish the responses that are due, close. [`MasterOrder::Stop`], SIGINT and SIGQUIT mean: close.
    async fn run(mut self, kind: Runtime) -> io::Result<()> {
        let world = Arc::clone(&self.world);
        let mut acceptors = JoinSet::new();
        for acceptor in self.acceptors.drain(..) {
            acceptors.spawn(acceptor.run());
        }
        if kind == Runtime::Prefork {
            tokio::spawn(tend(Arc::clone(&world)));
        }
        // For a thread that never waits, or always does.
        let mut beats = interval(self.beat_every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut drained_by: Option<Instant> = None;
        let mut is_orphaned = false;
        loop {
            let is_draining = drained_by.is_some();
            let commands = tokio::select! {
                commands = self.signalled() => commands?,
                commands = commands_of_master(&self.master_link), if !is_orphaned => commands?,
                _ = beats.tick() => {
                    let _ = self.heart.get().inspect(|heart| heart.beat());
                    continue;
                }
                () = world.broken.notified() => {
                    return Err(io::Error::other(format!("more than {MAX_PANICS} panics in a minute")));
                }
                result = all_gone(&mut acceptors, &world.connection_table, is_draining) => return result,
                () = sleep_until(drained_by.unwrap_or_else(Instant::now)), if is_draining => return Ok(()),
            };
            commands.logs.iter().for_each(|handed| self.change_log(handed));
            is_orphaned |= commands.orphaned;
            if commands.stop {
                return Ok(());
            }
            if commands.drain && !is_draining {
                drained_by = Some(Instant::now() + self.grace);
                self.drain();
            }
        }
    }

    /// Waits for a signal.
    async fn signalled(&self) -> io::Result<Commands> {
        let mut commands = Commands::default();
        self.signals.readable().await?.clear_ready();
        self.signals.get_ref().0.take(|signal| match signal {
            Signal::Terminate => commands.drain = true,
            Signal::Interrupt | Signal::Quit => commands.stop = true,
            // Meant for the master, by a signal to all processes of this name.
            _ => {}
        })?;
        Ok(commands)
    }

    fn drain(&self) {
        let _ = self.heart.get().inspect(|heart| heart.heartbeat.draining());
        process::set_title("stheno: leaving");
        info!(target: LOG, "draining {} connections", self.world.connection_table.len());
        self.world.connection_table.drain();
        self.world.draining.send_replace(true);
    }

    /// Writes to new files from now on. The lines of this thread go to the old ones first; all threads share the
    /// target.
    fn change_log(&mut self, handed: &PassedFile) {
        local::flush_log();
        let access_log = self.access_log.as_mut().map(|log| log.take_over(handed));
        let log = self.log.as_ref().map(|log| log.take_over(handed).map(drop));
        for error in [access_log, log].into_iter().flatten().filter_map(Result::err) {
            warn!(target: LOG, "a log cannot be changed for the new one: {error}");
        }
    }
}

/// Waits for a command of the master.
async fn commands_of_master(master_link: &AsyncFd<Fd<OwnedFd>>) -> io::Result<Commands> {
    master_link.readable().await?.clear_ready();
    let mut commands = Commands::default();
    let open = orders::receive(master_link.get_ref().0.as_fd(), |order| match order {
        MasterOrder::Drain => commands.drain = true,
        MasterOrder::Stop => commands.stop = true,
        MasterOrder::Log(handed) => commands.logs.push(handed),
    });
    match open {
        Ok(true) => return Ok(commands),
        Ok(false) => debug!(target: LOG, "the master is gone"),
        Err(error) => {
            warn!(target: LOG, "the line to the master fails, and this worker ends its service: {error}");
        }
    }
    Ok(Commands { drain: true, orphaned: true, ..commands })
}

/// Waits for the end of a drain: of all acceptors, and then of all connections.
///
/// # Errors
/// When an acceptor ends outside of a drain.
async fn all_gone(
    acceptors: &mut JoinSet<io::Result<()>>,
    connection_table: &ConnectionTable,
    is_draining: bool,
) -> io::Result<()> {
    while let Some(ended) = acceptors.join_next().await {
        if !is_draining {
            return Err(io::Error::other(format!("a listening socket is lost: {ended:?}")));
        }
    }
    connection_table.wait_until(|all| all.len() == 0).await;
    Ok(())
}

/// Tends the service while it has something to release.
async fn tend(world: Arc<World>) {
    loop {
        match local::with(local::Local::tend) {
            Some(rest) => sleep(rest).await,
            None => world.used.notified().await,
        }
    }
}
