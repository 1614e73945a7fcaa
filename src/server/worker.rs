//! One worker process: its loop, and how it ends.

mod commands;

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use log::{info, warn};

use super::redirector::Redirector;
use super::{
    Acceptor, AccessLog, Capacity, Layering, Ledger, LogTarget, RedirectPlace, ResponseCounter, Shared,
    TurnFacts, WorkerService,
};
use crate::clock::Instant;
use crate::heartbeat::Heartbeat;
use crate::http1::Settings;
use crate::reactor::{
    AcceptMode, Dispatcher, FileWrapper, Listener, NoProbe, Probe, Reactor, SharedListener,
};
use crate::recording::Recorder;
use crate::sys::orders::PassedFile;
use crate::sys::process;
use crate::sys::signal::Signals;

use commands::{Commands, MasterLink, SignalChannel, SignalFd};

/// A turn of the loop that takes this long is reported in the log: HAProxy's figure.
const LAG: Duration = Duration::from_millis(100);

/// How often a long turn is reported.
const LAG_COMPLAINT: Duration = Duration::from_secs(10);

/// How often the service may put things away.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Memory is given back when a crowd of at least `CROWD` channels goes, each time that three quarters of it have gone,
/// down to `A_FEW`: for less the call is not worth it.
const CROWD: usize = 256;
const A_FEW: usize = 8;

/// How often free memory between used memory is given back: each burst leaves other gaps, and over days they would add
/// up.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// A worker with more panics than this in one minute ends.
const MAX_PANICS: u64 = 10;

/// Everything that a worker is made of.
#[derive(Debug)]
pub struct Worker<S> {
    /// The limits and names of every connection.
    pub settings: Settings,
    /// How many connections the worker takes.
    pub capacity: Capacity,
    /// Makes the responses.
    pub service: S,
    /// Where a line for every response goes, if anywhere.
    pub access_log: Option<AccessLog>,
    /// The log of this process; it is replaced when the log has been opened again.
    pub log: Option<LogTarget>,
    /// The listening sockets.
    pub listeners: Vec<SharedListener>,
    /// What their connections have between socket and protocol.
    pub layering: Layering,
    /// Where requests without TLS are redirected, if anywhere.
    pub redirect: Option<RedirectPlace>,
    /// How the workers share them.
    pub accept: AcceptMode,
    /// The signals of this process.
    pub signals: Signals,
    /// One of a pair of sockets whose other end only the master holds, so that its end shows the end of the master. The
    /// master's orders come through it.
    pub master_link: OwnedFd,
    /// The signs of life for the master.
    pub heartbeat: Heartbeat,
    /// How long responses may take after the order to drain.
    pub grace: Duration,
    /// Counts the responses, beside the counter of the service.
    pub counter: Option<Box<dyn ResponseCounter>>,
    /// Records the responses. A reactor that is to be recorded has a clone of it as its probe.
    pub recorder: Option<Recorder>,
}

/// A worker whose loop is set up.
#[derive(Debug)]
pub struct Running<S, P: Probe = NoProbe> {
    reactor: Reactor<P>,
    shared: Rc<Shared<S>>,
    commands: Rc<Commands>,
    /// How many channels are neither connections nor listeners.
    housekeepers: usize,
    listeners: usize,
    /// Shared with every acceptor: the count shows how many are left.
    alive: Rc<()>,
    grace: Duration,
    log: Option<LogTarget>,
    heartbeat: Heartbeat,
    layering: Layering,
    redirects: Option<Rc<Shared<Redirector>>>,
    /// When the service was last tended.
    tended: Instant,
    /// When a long turn was last worth a line.
    complained: Option<Instant>,
    /// The most channels since memory was last given back, and whether they were a crowd, or are the rest of one.
    crowd: usize,
    crowded: bool,
    /// When memory was last given back.
    trimmed: Instant,
    /// When the current minute began, and how many panics there were before it.
    minute: (Instant, u64),
}

impl<S> Worker<S> {
    /// The same worker with another service, which is made of this one.
    pub fn map_service<T>(self, make: impl FnOnce(S) -> T) -> Worker<T> {
        Worker {
            service: make(self.service),
            settings: self.settings,
            capacity: self.capacity,
            access_log: self.access_log,
            log: self.log,
            listeners: self.listeners,
            layering: self.layering,
            redirect: self.redirect,
            accept: self.accept,
            signals: self.signals,
            master_link: self.master_link,
            heartbeat: self.heartbeat,
            grace: self.grace,
            counter: self.counter,
            recorder: self.recorder,
        }
    }
}

/// Sets the name of this process, if it is a worker of a master: another program keeps its own.
fn set_title(heartbeat: &Heartbeat, title: &str) {
    if heartbeat.has_master() {
        process::set_title(title);
    }
}

impl<S: WorkerService + std::fmt::Debug + 'static> Worker<S> {
    /// Sets up the loop, in the process that runs it.
    ///
    /// # Errors
    /// When the kernel refuses what the loop needs: another try would end the same way.
    pub fn boot(self) -> io::Result<Running<S>> {
        self.boot_on(Reactor::new()?)
    }

    /// As [`Worker::boot`], on a reactor that exists already: for a service that has to know its waker.
    ///
    /// # Errors
    /// As [`Worker::boot`].
    pub fn boot_on<P: Probe>(self, mut reactor: Reactor<P>) -> io::Result<Running<S, P>> {
        set_title(&self.heartbeat, "stheno: worker");
        let commands = Rc::new(Commands::default());
        let signals = FileWrapper(SignalFd(self.signals));
        reactor.add(SignalChannel { signals, commands: Rc::clone(&commands) });
        reactor.add(MasterLink { socket: FileWrapper(self.master_link), commands: Rc::clone(&commands) });
        let housekeepers = reactor.len();
        let shares = self.heartbeat.shares();
        let recorder = self.recorder.map(|recorder| Box::new(recorder) as Box<dyn ResponseCounter>);
        let counters = self.service.counter().into_iter().chain(self.counter).chain(recorder).collect();
        // The target is the same: it follows when that is opened again.
        let log = self.redirect.as_ref().and(self.access_log.as_ref());
        let log = log.map(|log| log.another().into_sink());
        let ledger = Ledger::of(self.access_log.map(AccessLog::into_sink), counters);
        let shared = Shared::new(self.settings, self.service, ledger, self.capacity, shares, reactor.waker());
        let (shared, alive) = (Rc::new(shared), Rc::new(()));
        let listeners = self.listeners.len();
        for (number, socket) in (0..).zip(self.listeners) {
            let (layering, listener) = (self.layering.of(&socket.socket), Listener::new(socket, self.accept));
            let acceptor = Acceptor::new(listener, Rc::clone(&shared), Rc::clone(&alive));
            reactor.add(acceptor.with_number(number).with_layering(layering));
        }
        let (settings, proxies) = (&shared.settings, &self.layering.proxies);
        let redirects =
            self.redirect.map(|place| place.listen(settings.clone(), proxies.clone(), log, &mut reactor));
        let redirects = redirects.transpose()?;
        let minute = (reactor.now().monotonic, 0);
        let running = Running {
            reactor,
            shared,
            commands,
            housekeepers,
            listeners,
            alive,
            grace: self.grace,
            log: self.log,
            heartbeat: self.heartbeat,
            layering: self.layering,
            redirects,
            tended: minute.0,
            complained: None,
            crowd: 0,
            crowded: false,
            trimmed: minute.0,
            minute,
        };
        if housekeepers != 2 || running.has_lost_a_listener() {
            return Err(io::Error::other("the loop does not take its sockets"));
        }
        Ok(running)
    }
}

impl<S: WorkerService, P: Probe> Running<S, P> {
    /// Adds a channel beside the worker's own, one of [`WorkerService::channels_beside`].
    pub fn add(&mut self, channel: impl Dispatcher + 'static) {
        self.reactor.add(channel);
    }

    /// Serves until it is told to stop. The master's [`Drain`], SIGTERM, the end of the master, and a service that retires mean:
    /// accept no more, finish the responses that are due, close. Its [`Stop`], SIGINT and SIGQUIT mean: close.
    ///
    /// [`Drain`]: crate::sys::orders::MasterOrder::Drain
    /// [`Stop`]: crate::sys::orders::MasterOrder::Stop
    ///
    /// # Errors
    /// When the kernel refuses to wait, or a listening socket is lost: another process has to take over.
    pub fn serve(mut self) -> io::Result<()> {
        let mut drained_by: Option<Instant> = None;
        let mut now = Instant::now();
        self.heartbeat.ready();
        // Commands first: they may have come while the loop was being set up, and nothing would wake us.
        while !self.is_over(&mut drained_by) {
            // Before the wait, not after it: connections that were accepted while the loop was set up may be over
            // already, and so may those that the drain has just closed.
            self.flush_log();
            self.heartbeat.beat(now);
            let rest = self.tend().into_iter().chain([self.heartbeat.every()]);
            let rest = rest.chain(self.shared.service.before_waiting());
            let timeout = drained_by.map(|at| at.saturating_duration_since(Instant::now()));
            self.reactor.turn(timeout.into_iter().chain(rest).min())?;
            self.give_memory_back();
            let last = std::mem::replace(&mut now, self.look_at_the_clock());
            if self.shared.service.is_watched() {
                self.report_turn(last, now);
            }
            self.count_panics()?;
            if drained_by.is_none() && self.has_lost_a_listener() {
                return Err(io::Error::other("a listening socket is lost"));
            }
        }
        let left = self.connections();
        if drained_by.is_some() && left > 0 {
            warn!("the drain ends with connections in the middle of a response: {left}");
            self.shared.service.cut_off();
        }
        // Closes every connection, which logs what each still had on its way.
        self.reactor.close_all();
        self.flush_log();
        self.reactor.probe().finish();
        Ok(())
    }

    /// Does what was asked for; returns whether nothing is left to do.
    fn is_over(&mut self, drained_by: &mut Option<Instant>) -> bool {
        if self.commands.rare.take() {
            self.do_what_is_rare();
        }
        if self.shared.service.is_outdated() {
            self.heartbeat.outdated();
        }
        if self.shared.service.is_retiring() && drained_by.is_none() {
            self.heartbeat.retire();
            self.commands.drain.set(true);
        }
        if self.commands.drain.get() && drained_by.is_none() {
            *drained_by = Some(Instant::now() + self.grace);
            self.shared.draining.set(true);
            self.redirects.iter().for_each(|shared| shared.draining.set(true));
            self.shared.service.drain();
            self.reactor.shutdown();
            self.heartbeat.draining();
            set_title(&self.heartbeat, "stheno: leaving");
            info!("draining {} connections", self.connections());
        }
        let drained = self.reactor.len() <= self.housekeepers + self.shared.service.channels_beside();
        self.commands.stop.get() || drained_by.is_some_and(|at| drained || at <= Instant::now())
    }

    #[cold]
    fn do_what_is_rare(&mut self) {
        for handed in self.commands.logs.take() {
            self.change_log(&handed);
        }
        if self.commands.save.take() {
            self.reactor.probe().save();
        }
        if self.commands.foreign.take() {
            self.shared.service.note_signal();
        }
    }

    /// How many channels are connections of clients.
    fn connections(&self) -> usize {
        let listeners = Rc::strong_count(&self.alive) - 1;
        let others = self.housekeepers + listeners + self.shared.service.channels_beside();
        self.reactor.len().saturating_sub(others)
    }

    /// Tells the service about the turn that ended `now`; the one before ended at `last`.
    fn report_turn(&self, last: Instant, now: Instant) {
        let begun = self.reactor.now().monotonic;
        let turn = TurnFacts {
            begun,
            waited: begun.saturating_duration_since(last),
            worked: now.saturating_duration_since(begun),
            events: self.reactor.events(),
        };
        self.shared.service.note_turn(&turn, &|| self.shared.connections.activities());
    }

    /// Replaces the logs; lines that were gathered before go to the old file.
    fn change_log(&self, handed: &PassedFile) {
        let access_log = self.shared.with_log(|log| log.take_over(handed));
        let log = self.log.as_ref().map(|log| log.take_over(handed).map(drop));
        for error in [access_log, log].into_iter().flatten().filter_map(Result::err) {
            warn!("a log cannot be changed for the new one: {error}");
        }
    }

    /// Lets the service put away what it no longer needs, once a second at the most; returns in what time it is due
    /// again. Any turn of the loop may have left something to put away.
    fn tend(&mut self) -> Option<Duration> {
        let now = self.reactor.now();
        let since = now.monotonic.saturating_duration_since(self.tended);
        if since < TEND_EVERY {
            return Some(TEND_EVERY - since);
        }
        self.tended = now.monotonic;
        self.shared.service.tend(now)
    }

    /// Gives back what an attack or a busy hour took (RULES C18).
    fn give_memory_back(&mut self) {
        let now = self.reactor.len();
        self.crowd = self.crowd.max(now);
        self.crowded |= self.crowd >= CROWD;
        if self.crowded && now <= self.crowd / 4 {
            self.crowd = now;
            self.crowded = now >= A_FEW;
            self.reactor.shrink();
            self.shared.shrink();
            self.trim();
        } else if self.reactor.now().monotonic.saturating_duration_since(self.trimmed) >= TRIM_EVERY {
            self.trim();
        }
    }

    fn trim(&mut self) {
        self.trimmed = self.reactor.now().monotonic;
        self.layering.forget_old();
        process::release_memory();
    }

    /// Reports a turn that took too long: every connection waited for it. The doctor of a recording says more of it, and says
    /// it instead. Returns the time.
    fn look_at_the_clock(&mut self) -> Instant {
        let now = Instant::now();
        let lag = now.saturating_duration_since(self.reactor.now().monotonic);
        let is_long = lag >= LAG && !self.reactor.probe().reports_long_turns();
        if is_long && self.complained.is_none_or(|at| now.saturating_duration_since(at) >= LAG_COMPLAINT) {
            self.complained = Some(now);
            warn!("one turn of the loop took {} ms: every connection waited for it", lag.as_millis());
        }
        now
    }

    /// Counts panics. One costs one connection; many mean that the state of this process is broken.
    fn count_panics(&mut self) -> io::Result<()> {
        let now = self.reactor.now().monotonic;
        if now.saturating_duration_since(self.minute.0) >= Duration::from_secs(60) {
            self.minute = (now, self.reactor.panics());
        }
        if self.reactor.panics() - self.minute.1 > MAX_PANICS {
            return Err(io::Error::other(format!("more than {MAX_PANICS} panics in a minute")));
        }
        Ok(())
    }

    fn has_lost_a_listener(&self) -> bool {
        Rc::strong_count(&self.alive) <= self.listeners
    }

    fn flush_log(&self) {
        self.shared.with_log(|log| log.flush());
        if let Some(redirects) = &self.redirects {
            redirects.with_log(|log| log.flush());
        }
    }
}
