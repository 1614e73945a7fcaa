//! Open descriptors: their metadata, their bytes, pipes, and descriptors that pass through exec.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, FileType, OFlags};
use rustix::io::Errno;

/// The number of the first passed descriptor, after the standard streams (sd_listen_fds(3)).
pub const FIRST_PASSED: RawFd = 3;

/// What `fstat(2)` returns for an open descriptor. Size, times and type come from one call on the *same* descriptor
/// that is sent from, so they cannot belong to different files (RULES B16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The type of the file.
    pub kind: FileKind,
    /// The size in bytes.
    pub size: u64,
    /// The number of the inode.
    pub inode: u64,
    /// The file system of the inode.
    pub device: u64,
    /// The number of hard links: 0 when the file was removed, or another one was renamed over it.
    pub links: u32,
    /// Last modification.
    pub modified: FileTime,
    /// Last change of content or metadata: no call can set this time.
    pub changed: FileTime,
}

/// A time of a file, as the kernel tells it. A file system may hold any number, so no arithmetic is done on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime {
    /// Seconds since 1970; negative before.
    pub seconds: i64,
    /// Nanoseconds after the second.
    pub nanoseconds: u32,
}

impl FileTime {
    /// The last second that a date in HTTP can show: the end of the year 9999.
    const LAST: i64 = 253_402_300_799;

    /// The time as a date between the years 1970 and 9999; any other is the nearest of these.
    #[must_use]
    pub fn to_system(self) -> SystemTime {
        let seconds = u64::try_from(self.seconds.clamp(0, Self::LAST)).unwrap_or(0);
        UNIX_EPOCH + Duration::new(seconds, self.nanoseconds)
    }

    /// The time from this until `now`; `None` if this is later.
    #[must_use]
    pub fn age(self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.to_system()).ok()
    }
}

impl Metadata {
    /// Whether both are of one inode.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// The types of file that a file server tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A FIFO, socket, device or anything else.
    Other,
}

/// `fstat(2)`.
pub fn metadata(file: BorrowedFd<'_>) -> io::Result<Metadata> {
    Ok(metadata_of(&fs::fstat(file)?))
}

#[allow(clippy::unnecessary_cast, reason = "the types of `struct stat` differ between systems")]
pub(super) fn metadata_of(stat: &fs::Stat) -> Metadata {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        _ => FileKind::Other,
    };
    let time = |seconds, nanoseconds: i64| {
        let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0).min(999_999_999);
        FileTime { seconds, nanoseconds }
    };
    Metadata {
        kind,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        inode: stat.st_ino as u64,
        device: stat.st_dev as u64,
        links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
    }
}

/// `fstatat(2)`: the file at `path`, relative to `directory` unless it is absolute. Symbolic links are followed, wherever
/// they lead.
pub fn metadata_of_path(directory: BorrowedFd<'_>, path: &CStr) -> io::Result<Metadata> {
    Ok(metadata_of(&fs::statat(directory, path, AtFlags::empty())?))
}

/// `pread(2)` until `buffer` is full or the file ends; returns the number of bytes.
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

/// `pipe2(2)`: a pipe whose two ends are non-blocking and closed on exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    {
        use rustix::pipe::{PipeFlags, pipe_with};
        Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?)
    }
    #[cfg(target_vendor = "apple")]
    {
        let (read, write) = rustix::pipe::pipe()?;
        [&read, &write].into_iter().try_for_each(set_flags)?;
        Ok((read, write))
    }
}

/// Makes a descriptor non-blocking and closed on exec, where no call can make it so from the start.
#[cfg(target_vendor = "apple")]
pub(super) fn set_flags(file: &OwnedFd) -> io::Result<()> {
    rustix::io::fcntl_setfd(file, rustix::io::FdFlags::CLOEXEC)?;
    set_nonblocking(file.as_fd())
}

/// Sets `O_NONBLOCK` with fcntl(2), for every process that shares the open file description.
pub fn set_nonblocking(file: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fs::fcntl_getfl(file)?;
    Ok(fs::fcntl_setfl(file, flags | OFlags::NONBLOCK)?)
}

/// Whether `O_NONBLOCK` is set (fcntl(2)).
#[must_use]
pub fn is_nonblocking(file: BorrowedFd<'_>) -> bool {
    fs::fcntl_getfl(file).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// Whether an open descriptor may be read, and whether it may be written (`O_ACCMODE`, fcntl(2)).
pub fn access(file: BorrowedFd<'_>) -> io::Result<(bool, bool)> {
    let mode = fs::fcntl_getfl(file)? & OFlags::RWMODE;
    Ok((mode != OFlags::WRONLY, mode != OFlags::RDONLY))
}

/// Takes ownership of a descriptor that this process was started with, and sets it to close on exec. Call it once for
/// each, before anything is opened that could get the number. Fails if `number` is not open.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: borrowed for one call, which checks whether it is open.
    rustix::io::fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and the parent process has passed it to this one (see the contract above).
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Duplicates `files` at the numbers from `first` on with dup2(2), for the program that exec(3) starts next. It closes
/// the descriptors that have these numbers, so call it only just before exec.
pub fn duplicate_at(files: &[BorrowedFd<'_>], first: RawFd) -> io::Result<()> {
    let after = first + RawFd::try_from(files.len()).map_err(|_| Errno::MFILE)?;
    // First out of the way: one of the files may have the number that another one gets.
    let moved: Result<Vec<OwnedFd>, Errno> =
        files.iter().map(|file| rustix::io::fcntl_dupfd_cloexec(file, after)).collect();
    for (number, file) in (first..).zip(moved?) {
        // SAFETY: dup2(2) takes any two numbers; the caller gives up the descriptor that had this one.
        if unsafe { libc::dup2(file.as_raw_fd(), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Reads all bytes from a non-blocking pipe with read(2); returns `false` if its other end is closed.
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

/// Opens `/dev/fd/N` of `file` for appending: a second, non-blocking open file description. The flags of the first one
/// stay as they are, because a shell may share its terminal. Sockets cannot be opened this way.
pub fn reopen_for_append(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let name = format!("/dev/fd/{}", file.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(fs::open(name, flags, fs::Mode::empty())?)
}

/// `dup(2)` with close-on-exec.
pub fn duplicate(file: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(file, 3)?)
}
