//! Signals: a handler only counts, the loop acts.
//!
//! The handler counts and writes one byte into a pipe (the self-pipe trick); both are safe at any point of the
//! program (signal-safety(7)). The loop waits for the pipe beside its sockets, and then takes the counts. The kernel
//! keeps one pending signal of each kind, so a storm may arrive as fewer signals; each delivered one is counted.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use super::descriptor;

/// The signals that the server acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Signal {
    /// `SIGINT`: Ctrl+C. Stop fast.
    Interrupt = libc::SIGINT,
    /// `SIGQUIT`: Ctrl+\. Stop fast.
    Quit = libc::SIGQUIT,
    /// `SIGTERM`: drain, then stop.
    Terminate = libc::SIGTERM,
    /// `SIGCHLD`: a child ended.
    Child = libc::SIGCHLD,
    /// `SIGHUP`: reload the configuration.
    Hangup = libc::SIGHUP,
    /// `SIGUSR1`: reopen the logs.
    User1 = libc::SIGUSR1,
    /// `SIGUSR2`: hand over to the program that is now at this one's path.
    User2 = libc::SIGUSR2,
    /// `SIGWINCH`: drain all workers.
    Window = libc::SIGWINCH,
    /// `SIGTTIN`: one worker more.
    TtyIn = libc::SIGTTIN,
    /// `SIGTTOU`: one worker less.
    TtyOut = libc::SIGTTOU,
    /// `SIGABRT`: end, and leave a trace of the current position. It is only sent, never received.
    Abort = libc::SIGABRT,
    /// `SIGXFSZ`: a file has reached the limit of its size. It is only ignored: the write fails with `EFBIG`.
    FileSize = libc::SIGXFSZ,
}

impl Signal {
    /// Every signal that can be received; SIGTTOU and SIGCHLD, which only the master handles, are the last.
    pub const ALL: [Self; 10] = [
        Self::Interrupt,
        Self::Quit,
        Self::Terminate,
        Self::Hangup,
        Self::User1,
        Self::User2,
        Self::Window,
        Self::TtyIn,
        Self::TtyOut,
        Self::Child,
    ];

    /// The system's number.
    #[must_use]
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The system's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Terminate => "SIGTERM",
            Self::Child => "SIGCHLD",
            Self::Hangup => "SIGHUP",
            Self::User1 => "SIGUSR1",
            Self::User2 => "SIGUSR2",
            Self::Window => "SIGWINCH",
            Self::TtyIn => "SIGTTIN",
            Self::TtyOut => "SIGTTOU",
            Self::Abort => "SIGABRT",
            Self::FileSize => "SIGXFSZ",
        }
    }
}

/// How often each signal was delivered since the last take; all handled signals have numbers below 32.
static PENDING: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];
/// What the handler writes.
const OURS: u8 = 0;
/// The descriptor that the handler writes to; -1 for none.
static WAKE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn handle(number: libc::c_int) {
    if let Some(count) = usize::try_from(number).ok().and_then(|number| PENDING.get(number)) {
        count.fetch_add(1, Ordering::SeqCst);
    }
    let wake = WAKE.load(Ordering::SeqCst);
    // The code that the handler interrupted owns `errno`.
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    let byte = [OURS];
    // SAFETY: write(2) is async-signal-safe; the buffer lives on this stack. A full pipe or a closed
    // descriptor is an error without effect: the signal is counted above.
    unsafe { libc::write(wake, byte.as_ptr().cast(), 1) };
    set_errno(errno);
}

fn set_errno(value: i32) {
    #[cfg(any(target_os = "linux", target_os = "emscripten"))]
    // SAFETY: the location is this thread's own errno, valid as long as the thread.
    unsafe {
        *libc::__errno_location() = value;
    }
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    // SAFETY: the location is this thread's own errno, valid as long as the thread.
    unsafe {
        *libc::__error() = value;
    }
    #[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
    // SAFETY: the location is this thread's own errno, valid as long as the thread.
    unsafe {
        *libc::__errno() = value;
    }
}

fn our_handler() -> libc::sighandler_t {
    handle as *const () as libc::sighandler_t
}

/// The receiving end of this process's signals. A process has one: a new one takes over from the last.
#[derive(Debug)]
pub struct Signals {
    read: OwnedFd,
    write: OwnedFd,
    /// Whether another handler than ours has written to the pipe since that was last asked for.
    foreign: AtomicBool,
}

impl Signals {
    /// Installs the handler for `signals`: pipe2(2), sigaction(2).
    pub fn install(signals: &[Signal]) -> io::Result<Self> {
        let this = Self::none()?;
        WAKE.store(this.write.as_raw_fd(), Ordering::SeqCst);
        PENDING.iter().for_each(|count| count.store(0, Ordering::SeqCst));
        signals.iter().try_for_each(|signal| set_action(*signal, our_handler()))?;
        Ok(this)
    }

    /// A receiver that gets no signals, for a loop in a process whose signals are not its own: pipe2(2).
    pub fn none() -> io::Result<Self> {
        let (read, write) = descriptor::pipe()?;
        Ok(Self { read, write, foreign: AtomicBool::new(false) })
    }

    /// Installs the handler again for those of `signals` that have another one now, and returns these.
    pub fn reinstall(signals: &[Signal]) -> io::Result<Vec<Signal>> {
        let mut lost = Vec::new();
        for signal in signals {
            if exchange_action(*signal, None)?.sa_sigaction != our_handler() {
                set_action(*signal, our_handler())?;
                lost.push(*signal);
            }
        }
        Ok(lost)
    }

    /// The end of the pipe that wakes the loop. The handlers of an interpreter in this process may write to it as well,
    /// any byte but NUL.
    pub fn waker(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }

    /// Whether another handler has written to the pipe since the last call, as far as [`Signals::take`] has read it.
    pub fn take_foreign(&self) -> bool {
        self.foreign.swap(false, Ordering::Relaxed)
    }

    /// Takes the counts and calls `each` for every signal, as often as it was delivered. Errors are those of read(2) on
    /// the pipe, which only wakes the loop: the signals are taken all the same.
    pub fn take(&self, mut each: impl FnMut(Signal)) -> io::Result<()> {
        let drained = descriptor::drain_pipe(self.read.as_fd(), |bytes| {
            if bytes.iter().any(|byte| *byte != OURS) {
                self.foreign.store(true, Ordering::Relaxed);
            }
        });
        for signal in Signal::ALL {
            let number = usize::try_from(signal.number()).unwrap_or_default();
            let count = PENDING.get(number).map_or(0, |count| count.swap(0, Ordering::SeqCst));
            (0..count).for_each(|_| each(signal));
        }
        drained.map(drop)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Drop for Signals {
    /// The handler must not write to a number that another file gets next.
    fn drop(&mut self) {
        let ours = self.write.as_raw_fd();
        let _ = WAKE.compare_exchange(ours, -1, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Restores the default action of `signals` with sigaction(2), as a forked child needs.
pub fn reset(signals: &[Signal]) -> io::Result<()> {
    signals.iter().try_for_each(|signal| set_action(*signal, libc::SIG_DFL))
}

/// Ignores `signal` from now on (sigaction(2)), also in children.
pub fn ignore(signal: Signal) -> io::Result<()> {
    set_action(signal, libc::SIG_IGN)
}

/// Whether `signal` is ignored (sigaction(2)), as in a process that nohup(1) has started.
pub fn is_ignored(signal: Signal) -> io::Result<bool> {
    Ok(exchange_action(signal, None)?.sa_sigaction == libc::SIG_IGN)
}

fn set_action(signal: Signal, handler: libc::sighandler_t) -> io::Result<()> {
    let mut action = empty_action();
    action.sa_sigaction = handler;
    // SA_RESTART: a blocking call elsewhere (getaddrinfo, a write to a log) goes on after the handler.
    action.sa_flags = libc::SA_RESTART;
    exchange_action(signal, Some(&action)).map(drop)
}

fn empty_action() -> libc::sigaction {
    // SAFETY: an all-zero sigaction is a valid value: no flags, an empty mask, the default handler.
    unsafe { std::mem::zeroed() }
}

/// Sets the action of a signal, if `action` is given, and returns the one before.
fn exchange_action(signal: Signal, action: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut before = empty_action();
    let action = action.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `action` is valid for the call or null, `before` for writing; the handler is async-signal-safe.
    match unsafe { libc::sigaction(signal.number(), action, &raw mut before) } {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Blocks signals in this thread until it is dropped: all of them around a fork, so that a signal for the parent never
/// runs the parent's handler in the child.
#[derive(Debug)]
#[must_use = "signals are blocked only while the value lives"]
pub struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    /// Blocks all signals: pthread_sigmask(3).
    pub fn all() -> Self {
        let mut every = no_signals();
        // SAFETY: `every` is valid for writing.
        unsafe { libc::sigfillset(&raw mut every) };
        Self { before: change_mask(libc::SIG_SETMASK, &every) }
    }

    /// Blocks one signal.
    pub fn one(signal: Signal) -> Self {
        let mut one = no_signals();
        // SAFETY: `one` is valid for writing, and the number is that of a signal.
        unsafe { libc::sigaddset(&raw mut one, signal.number()) };
        Self { before: change_mask(libc::SIG_BLOCK, &one) }
    }
}

/// Lets every signal through to this thread, whatever its parent had blocked: pthread_sigmask(3).
pub fn unblock_all() {
    change_mask(libc::SIG_SETMASK, &no_signals());
}

fn no_signals() -> libc::sigset_t {
    // SAFETY: an all-zero sigset_t is valid storage, and the empty set on every system of this crate.
    unsafe { std::mem::zeroed() }
}

/// Changes the mask of this thread, and returns the one before.
fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut before = no_signals();
    // SAFETY: both sets are valid for the call; it cannot fail with the three constants for `how`.
    unsafe { libc::pthread_sigmask(how, std::ptr::from_ref(set), &raw mut before) };
    before
}

impl Drop for Blocked {
    fn drop(&mut self) {
        change_mask(libc::SIG_SETMASK, &self.before);
    }
}
