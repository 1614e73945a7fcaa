//! Waiting for descriptors where mio is no help: a listener that several processes share, and the master.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// When epoll reports a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// In each wait, as long as it can be read.
    Level,
    /// Once for each wake-up.
    Edge,
}

/// Adds `file`, which several processes share, to `epoll` with `EPOLLIN | EPOLLEXCLUSIVE` (epoll_ctl(2)): what happens
/// wakes one of the processes that wait for it, the first in the order of this call, and not all. mio cannot set the flag,
/// but passes the event on unchanged, with `token` as its token.
///
/// # Errors
/// As epoll_ctl(2); `Unsupported` where there is no such flag.
pub(crate) fn add_exclusive(
    epoll: &impl AsRawFd,
    file: BorrowedFd<'_>,
    token: usize,
    trigger: Trigger,
) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::event::epoll::{EventData, EventFlags, add};
        let edge = if trigger == Trigger::Edge { EventFlags::ET } else { EventFlags::empty() };
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE | edge;
        Ok(add(borrow(epoll), file, EventData::new_u64(token as u64), flags)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (epoll, file, token, trigger);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Removes `file` from `epoll`.
///
/// # Errors
/// As epoll_ctl(2).
pub(crate) fn remove(epoll: &impl AsRawFd, file: BorrowedFd<'_>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        Ok(rustix::event::epoll::delete(borrow(epoll), file)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (epoll, file);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Borrows the descriptor of mio's registry, which gives only its number.
#[cfg(target_os = "linux")]
fn borrow(owner: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: this crate calls it with mio's registry only, which keeps its descriptor open while it is borrowed, and
    // the result lives no longer than that.
    unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) }
}

/// poll(2): waits until `file` can be read, at most `timeout`; returns whether it can. A signal ends the wait early.
///
/// # Errors
/// As poll(2).
pub fn wait_readable(file: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    wait_any(&[file], timeout)
}

/// As [`wait_readable`], for room to write.
///
/// # Errors
/// As poll(2).
pub fn wait_writable(file: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let mut files = [PollFd::from_borrowed_fd(file, PollFlags::OUT)];
    match rustix::event::poll(&mut files, Some(&timespec(timeout))) {
        Ok(ready) => Ok(ready > 0),
        // The caller tries to write, and waits again if there is no room.
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// As [`wait_readable`], for any one of several.
///
/// # Errors
/// As poll(2).
pub fn wait_any(files: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    let timeout = timeout.map(timespec);
    let mut files: Vec<PollFd<'_>> =
        files.iter().map(|file| PollFd::from_borrowed_fd(*file, PollFlags::IN)).collect();
    match rustix::event::poll(&mut files, timeout.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Converts a time-out for the kernel.
pub(crate) fn timespec(timeout: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    }
}
