//! Signals: a handler only queues, the loop acts.
//!
//! The handler counts and writes one byte into a pipe (the self-pipe trick); both are safe at any point of the
//! program (signal-safety(7)). The loop waits for the pipe beside its sockets, and then takes what has been
//! counted. The kernel holds one signal of a kind back at a time, so those of a storm may become fewer, but what
//! was delivered is never lost, and twice is twice.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::descriptor;

/// The signals that the server acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`: Ctrl+C. Stop fast.
    Interrupt,
    /// `SIGQUIT`: Ctrl+\. Stop fast.
    Quit,
    /// `SIGTERM`: drain, then stop.
    Terminate,
    /// `SIGCHLD`: a child ended.
    Child,
    /// `SIGHUP`: begin again with what the configuration says now.
    Hangup,
    /// `SIGUSR1`: open the logs anew.
    User1,
    /// `SIGUSR2`: hand over to the program that stands in our place now.
    User2,
    /// `SIGWINCH`: send the workers away.
    Window,
    /// `SIGTTIN`: one worker more.
    TtyIn,
    /// `SIGTTOU`: one worker less.
    TtyOut,
    /// `SIGABRT`: end, and leave a trace of where you were. Only ever sent.
    Abort,
}

impl Signal {
    /// Every signal that can be received.
    pub const ALL: [Self; 10] = [
        Self::Interrupt,
        Self::Quit,
        Self::Terminate,
        Self::Child,
        Self::Hangup,
        Self::User1,
        Self::User2,
        Self::Window,
        Self::TtyIn,
        Self::TtyOut,
    ];

    /// The system's number.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Interrupt => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Terminate => libc::SIGTERM,
            Self::Child => libc::SIGCHLD,
            Self::Hangup => libc::SIGHUP,
            Self::User1 => libc::SIGUSR1,
            Self::User2 => libc::SIGUSR2,
            Self::Window => libc::SIGWINCH,
            Self::TtyIn => libc::SIGTTIN,
            Self::TtyOut => libc::SIGTTOU,
            Self::Abort => libc::SIGABRT,
        }
    }
}

/// How often each signal has come and was not taken; all that we handle have numbers below 32.
static PENDING: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];
/// Where the handler writes its byte; -1 while nobody listens.
static WAKE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn queue(number: libc::c_int) {
    if let Some(count) = usize::try_from(number).ok().and_then(|number| PENDING.get(number)) {
        count.fetch_add(1, Ordering::SeqCst);
    }
    let wake = WAKE.load(Ordering::SeqCst);
    let errno = Errno::save();
    let byte = [0u8];
    // SAFETY: write(2) is async-signal-safe; the buffer lives on this stack. A full pipe or a closed
    // descriptor is an error that changes nothing: it is counted above.
    unsafe { libc::write(wake, byte.as_ptr().cast(), 1) };
    errno.restore();
}

/// `errno` belongs to the code that the handler interrupted.
struct Errno(io::Error);

impl Errno {
    fn save() -> Self {
        Self(io::Error::last_os_error())
    }

    fn restore(self) {
        let value = self.0.raw_os_error().unwrap_or(0);
        #[cfg(any(target_os = "linux", target_os = "emscripten"))]
        // SAFETY: the location is this thread's own errno, valid as long as the thread.
        unsafe {
            *libc::__errno_location() = value;
        }
        #[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
        // SAFETY: the location is this thread's own errno, valid as long as the thread.
        unsafe {
            *libc::__error() = value;
        }
        let _ = value;
    }
}

/// The receiving end of this process's signals. One a process: a new one takes over from the last.
#[derive(Debug)]
pub struct Signals {
    read: OwnedFd,
    write: OwnedFd,
}

impl Signals {
    /// Makes the pipe and installs the handler for `signals`.
    ///
    /// # Errors
    /// As pipe2(2) and sigaction(2).
    pub fn install(signals: &[Signal]) -> io::Result<Self> {
        let (read, write) = descriptor::pipe()?;
        WAKE.store(write.as_raw_fd(), Ordering::SeqCst);
        PENDING.iter().for_each(|count| count.store(0, Ordering::SeqCst));
        for signal in signals {
            set_action(*signal, queue as *const () as libc::sighandler_t)?;
        }
        Ok(Self { read, write })
    }

    /// Takes what has been counted and calls `each` for every signal, as often as it came.
    ///
    /// # Errors
    /// As read(2) on the pipe.
    pub fn take(&self, mut each: impl FnMut(Signal)) -> io::Result<()> {
        descriptor::drain_pipe(self.read.as_fd(), |_| {})?;
        for signal in Signal::ALL {
            let number = usize::try_from(signal.number()).unwrap_or_default();
            let count = PENDING.get(number).map_or(0, |count| count.swap(0, Ordering::SeqCst));
            (0..count).for_each(|_| each(signal));
        }
        Ok(())
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Drop for Signals {
    /// The handler must not write into a descriptor number that someone else gets next.
    fn drop(&mut self) {
        let ours = self.write.as_raw_fd();
        let _ = WAKE.compare_exchange(ours, -1, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Gives the signals their default meaning again, as a forked child needs.
///
/// # Errors
/// As sigaction(2).
pub fn reset(signals: &[Signal]) -> io::Result<()> {
    signals.iter().try_for_each(|signal| set_action(*signal, libc::SIG_DFL))
}

/// Whether this process was started with the signal ignored, as nohup(1) does.
///
/// # Errors
/// As sigaction(2).
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

/// Sets what a signal does, if something is given; answers what it did before.
fn exchange_action(signal: Signal, action: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut before = empty_action();
    let action = action.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `action` is valid for the call or null, `before` for writing; the handler is async-signal-safe (see
    // `queue`).
    match unsafe { libc::sigaction(signal.number(), action, &raw mut before) } {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}

/// All signals held back in this thread until the value is dropped: around a fork, so that a signal meant
/// for the parent never runs the parent's handler in the child.
#[derive(Debug)]
#[must_use = "signals are held back only while the value lives"]
pub struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    /// Holds all signals back.
    pub fn all() -> Self {
        // SAFETY: an all-zero sigset_t is valid storage; sigfillset and pthread_sigmask initialise both.
        let (mut every, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
        // SAFETY: `every` is valid for writing.
        unsafe { libc::sigfillset(&raw mut every) };
        // SAFETY: both sets are valid for the call; SIG_SETMASK cannot fail with them.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const every, &raw mut before) };
        Self { before }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `before` is the mask that pthread_sigmask gave us.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}
