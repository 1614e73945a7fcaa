//! Processes: fork, kill, wait, terminals, limits.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::WaitOptions;

use super::clocks;
use super::signal::Signal;

/// A process id: a positive number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pid(rustix::process::Pid);

impl Pid {
    /// The process id `number`, as an interpreter gives it. Fails unless it is positive.
    pub fn of(number: i32) -> io::Result<Self> {
        from_raw(number)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }
}

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.number().fmt(f)
    }
}

/// The side of a fork that the caller is on.
#[derive(Debug)]
pub enum Forked {
    /// In the process that called, with the child's id.
    Parent(Pid),
    /// In the new process.
    Child,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It left with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => write!(f, "signal {number}"),
        }
    }
}

/// `fork(2)`. Call it while this process has one thread: the child has only the calling thread, and a lock that
/// another thread held stays locked there for ever. It fails without memory, or at the process limit.
pub fn fork() -> io::Result<Forked> {
    // SAFETY: the master forks before any thread is started (and says so in its contract), so the child
    // inherits no lock that is held.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        id => Ok(Forked::Parent(from_raw(id)?)),
    }
}

fn from_raw(id: i32) -> io::Result<Pid> {
    rustix::process::Pid::from_raw(id).map(Pid).ok_or_else(|| io::Error::other("not a process id"))
}

/// This process.
#[must_use]
pub fn current() -> Pid {
    Pid(rustix::process::getpid())
}

/// `kill(2)`. Without `CAP_KILL` root may signal only processes of its own user: then the call is made again as the
/// user of `pid`, which needs `CAP_SETUID`. Call it while this process has one thread.
pub fn send(pid: Pid, signal: Signal) -> io::Result<()> {
    deliver(pid, rustix::process::Signal::from_named_raw(signal.number()).ok_or(Errno::INVAL)?)
}

/// As [`send`] with SIGKILL, which cannot be caught.
pub fn kill(pid: Pid) -> io::Result<()> {
    deliver(pid, rustix::process::Signal::KILL)
}

fn deliver(pid: Pid, signal: rustix::process::Signal) -> io::Result<()> {
    let send = || rustix::process::kill_process(pid.0, signal);
    match send() {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Err(Errno::PERM) if rustix::process::getuid().is_root() => {
            as_owner_of(pid, send).unwrap_or(Err(Errno::PERM)).map_err(Into::into)
        }
        result => Ok(result?),
    }
}

/// Runs `act` with the effective user of `pid` (setresuid(2)). The real user stays root, so the way back is free.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn as_owner_of<T>(pid: Pid, act: impl FnOnce() -> T) -> io::Result<T> {
    use rustix::process::Uid;
    use rustix::thread::set_thread_res_uid;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let owner = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).ok_or(Errno::SRCH)?;
    set_thread_res_uid(Uid::ROOT, Uid::from_raw(owner), Uid::ROOT)?;
    let result = act();
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    Ok(result)
}

/// `waitpid(2)` without waiting: one child that has ended, if any. Call it until it returns `None`: one `SIGCHLD` may
/// mean several children.
pub fn reap() -> Option<(Pid, Exit)> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let exit = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, Some(number)) => Exit::Signal(number),
                    (None, None) => continue,
                };
                return Some((Pid(pid), exit));
            }
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// What a process does at this moment, in a few words from proc(5), for a log: it may be in a sandbox, and unable to tell.
#[must_use]
pub fn activity(pid: Pid) -> String {
    let read = |name| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let stat = read("stat");
    let what = match stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()) {
        Some('R') => "it runs",
        Some('S' | 'I') => "it waits",
        Some('D') => "it waits for a disk",
        Some('T' | 't') => "it is stopped",
        _ => "its state is unknown",
    };
    let call = read("syscall").split(' ').next().and_then(|number| number.parse::<u32>().ok());
    call.map_or_else(|| what.into(), |number| format!("{what} in system call {number}"))
}

/// Lets the kernel kill this process when its parent ends (`PR_SET_PDEATHSIG`), on Linux only: a child that waits for
/// others must not keep the sockets of a server that is gone.
pub fn end_with_parent() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // It cannot fail with a valid signal.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

/// Removes a variable from the environment, so that no child inherits it, and returns its value. Call it while this
/// process has one thread.
#[must_use]
pub fn take_variable(name: &str) -> Option<OsString> {
    let value = std::env::var_os(name)?;
    // SAFETY: the environment is read and written by this one thread only (see the contract above).
    unsafe { std::env::remove_var(name) };
    Some(value)
}

/// Sets the name of this thread in ps(1) and top(1), which is that of the process on its main thread: 15 bytes on Linux,
/// nothing elsewhere.
pub fn set_title(title: &str) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Ok(title) = CString::new(title) {
        // A failure is harmless: only people read the name.
        let _ = rustix::thread::set_name(&title);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = CString::new(title);
}

/// Whether this process is in the foreground of a terminal. The terminal then sends it signals, SIGWINCH at each
/// change of its size among them.
#[must_use]
pub fn is_in_foreground() -> bool {
    let group = terminal().and_then(|terminal| Ok(rustix::termios::tcgetpgrp(&terminal)?));
    group.is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Whether this process has a controlling terminal.
#[must_use]
pub fn has_terminal() -> bool {
    terminal().is_ok()
}

fn terminal() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/tty", flags, Mode::empty())?)
}

/// Microseconds of the monotonic clock, as sd_notify(3) wants them.
#[must_use]
pub fn monotonic_micros() -> u64 {
    clocks::monotonic() / 1_000
}

/// How many processes can run at once: cores, minus what affinity and cgroup quotas take away.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The descriptors to count on where a filter of system calls hides the limit: the usual soft limit.
const UNKNOWN_LIMIT: usize = 1024;

/// Raises the soft limit of open descriptors to the hard limit, for this process and its children, and returns it.
/// Systems keep the soft limit low for programs that use `select`.
#[must_use]
pub fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // rustix takes this call for infallible. SAFETY: `limit` is valid for writing.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return UNKNOWN_LIMIT;
    }
    #[allow(clippy::useless_conversion, reason = "the type of a limit differs between systems")]
    let maximum =
        (limit.rlim_max != libc::RLIM_INFINITY).then(|| limit.rlim_max.try_into().unwrap_or(u64::MAX));
    let current = match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => limit.rlim_max,
        // macOS accepts at most OPEN_MAX although it reports "infinity": the current limit stays.
        Err(_) => limit.rlim_cur,
    };
    usize::try_from(current).unwrap_or(usize::MAX)
}

/// Gives the calling thread a lower priority than others have: work that can wait. It has no effect where the system has one
/// priority for all threads of a process.
pub fn lower_priority() {
    // nice(1)'s default. If it fails, the thread only takes more of its share.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
}

/// Returns freed memory to the system. glibc keeps free memory that lies between blocks in use; other allocators
/// return it by themselves.
pub fn release_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) touches free memory only, and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// `abort(3)`: ends this process with SIGABRT, whose handler may report the current position.
pub fn abort() -> ! {
    std::process::abort()
}
