//! What is asked of an open descriptor: what it is, and bytes of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{self, FileType, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

/// The number of the first descriptor that a program is handed, behind the standard streams (sd_listen_fds(3)).
pub const FIRST_PASSED: RawFd = 3;

/// What `fstat(2)` says of an open descriptor. Size, times and type come from one call on the *same*
/// descriptor that is sent from, so they cannot belong to different files (RULES B16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What kind of file it is.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// The inode's number.
    pub inode: u64,
    /// The file system that it is a number of.
    pub device: u64,
    /// Last modification, to the nanosecond; times before 1970 read as 1970.
    pub modified: SystemTime,
    /// Last change of anything, the times among it: nobody can set this one back.
    pub changed: SystemTime,
}

/// The kinds of file that matter to a server of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A FIFO, socket, device or anything else.
    Other,
}

/// `fstat(2)`.
///
/// # Errors
/// As fstat(2).
pub fn facts(file: BorrowedFd<'_>) -> io::Result<Facts> {
    Ok(facts_of(&fs::fstat(file)?))
}

#[allow(clippy::unnecessary_cast, reason = "the types of `struct stat` differ between systems")]
pub(super) fn facts_of(stat: &fs::Stat) -> Facts {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::Regular,
        FileType::Directory => Kind::Directory,
        _ => Kind::Other,
    };
    let time = |seconds: i64, nanoseconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0).min(999_999_999);
        UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    };
    Facts {
        kind,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        inode: stat.st_ino as u64,
        device: stat.st_dev as u64,
        modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
    }
}

/// `pread(2)` until `buffer` is full or the file ends; answers how many bytes there were.
///
/// # Errors
/// As pread(2); an interrupted call is repeated.
pub fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

/// A pipe whose two ends are closed on exec and do not block.
///
/// # Errors
/// As pipe2(2).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(any(target_os = "macos", target_os = "ios")))]
    return Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?);
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    {
        let (read, write) = rustix::pipe::pipe()?;
        for end in [&read, &write] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
            set_nonblocking(end.as_fd())?;
        }
        Ok((read, write))
    }
}

/// Sets `O_NONBLOCK` on the open file description: everyone who shares it is affected.
///
/// # Errors
/// As fcntl(2).
pub fn set_nonblocking(file: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fs::fcntl_getfl(file)?;
    Ok(fs::fcntl_setfl(file, flags | OFlags::NONBLOCK)?)
}

/// Whether an open descriptor may be read, and whether it may be written (`O_ACCMODE`).
///
/// # Errors
/// As fcntl(2).
pub fn access(file: BorrowedFd<'_>) -> io::Result<(bool, bool)> {
    let mode = fs::fcntl_getfl(file)? & OFlags::RWMODE;
    Ok((mode != OFlags::WRONLY, mode != OFlags::RDONLY))
}

/// Takes over a descriptor that this process was started with, and closes it on exec from now on. Call it once
/// for each, and before anything is opened that might get its number.
///
/// # Errors
/// As fcntl(2): there is no such descriptor.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: borrowed for the one call that finds out whether it is open.
    rustix::io::fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and whoever started this process said that it is ours (see the contract above).
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Puts duplicates of `files` at the numbers from `first` on, for a program that is started next: they stay open
/// across exec. What had these numbers before is closed, so call it only where nothing else is done any more.
///
/// # Errors
/// As dup2(2).
pub fn place(files: &[BorrowedFd<'_>], first: RawFd) -> io::Result<()> {
    let behind = first + RawFd::try_from(files.len()).map_err(|_| Errno::MFILE)?;
    // Out of the way first: one of the files may stand where another one goes.
    let moved: Result<Vec<OwnedFd>, Errno> =
        files.iter().map(|file| rustix::io::fcntl_dupfd_cloexec(file, behind)).collect();
    for (number, file) in (first..).zip(moved?) {
        // SAFETY: dup2(2) takes any two numbers; the caller gives up what had this one before.
        if unsafe { libc::dup2(file.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Reads everything a non-blocking pipe holds; answers `false` once its other end is closed.
///
/// # Errors
/// As read(2).
pub fn drain_pipe(pipe: BorrowedFd<'_>, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
    let mut buffer = [0; 64];
    loop {
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => each(&buffer[..count]),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A second, non-blocking open file description of what `file` is, for appending, so that the first
/// one's flags (a terminal that the shell shares, say) stay as they are.
///
/// # Errors
/// As open(2) on `/dev/fd/N`; sockets cannot be opened this way.
pub fn reopen_for_append(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let name = format!("/dev/fd/{}", file.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(fs::open(name, flags, fs::Mode::empty())?)
}

/// `dup(2)` with close-on-exec.
///
/// # Errors
/// As fcntl(2).
pub fn duplicate(file: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(file, 3)?)
}
