//! Files for log lines, which are written to without ever waiting: a log that takes nothing must not stop
//! those who have something to say.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::sys::descriptor;

/// How a log is opened: it never blocks, and what is written goes to its end.
const FLAGS: OFlags =
    OFlags::WRONLY.union(OFlags::APPEND).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// An open file for log lines. What it does not take is lost.
#[derive(Debug)]
pub struct LogTarget(OwnedFd);

impl LogTarget {
    /// Opens a file for appending, and makes it if need be.
    ///
    /// # Errors
    /// As open(2); a FIFO that nobody reads is an error.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mode = Mode::from_raw_mode(0o644);
        Ok(Self(rustix::fs::open(path, FLAGS | OFlags::CREATE, mode)?))
    }

    /// Whether [`LogTarget::open`] would succeed, without making a file.
    ///
    /// # Errors
    /// As it would fail.
    pub fn check(path: &Path) -> io::Result<()> {
        match rustix::fs::open(path, FLAGS, Mode::empty()) {
            Err(Errno::NOENT) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new("."));
                let rights = Access::WRITE_OK | Access::EXEC_OK;
                Ok(rustix::fs::accessat(rustix::fs::CWD, folder, rights, AtFlags::EACCESS)?)
            }
            result => result.map(drop).map_err(Into::into),
        }
    }

    /// One of the standard streams, without making it non-blocking for those who share it, if that can be
    /// had. A regular file never blocks; it is shared as it is, with the place in it where everyone writes.
    ///
    /// # Errors
    /// When there is no such stream.
    pub fn standard(stream: &impl AsFd) -> io::Result<Self> {
        if descriptor::facts(stream.as_fd())?.kind == descriptor::Kind::Regular {
            return Ok(Self(descriptor::duplicate(stream)?));
        }
        descriptor::reopen_for_append(stream.as_fd())
            .or_else(|_| {
                let own = descriptor::duplicate(stream)?;
                descriptor::set_nonblocking(own.as_fd())?;
                Ok(own)
            })
            .map(Self)
    }
}

impl From<OwnedFd> for LogTarget {
    /// An open file that does not block.
    fn from(file: OwnedFd) -> Self {
        Self(file)
    }
}

impl From<LogTarget> for OwnedFd {
    fn from(target: LogTarget) -> Self {
        target.0
    }
}

/// For the log of the process: a line that is not taken is as good as written.
impl Write for LogTarget {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match rustix::io::write(&self.0, line) {
            Err(Errno::AGAIN) => Ok(line.len()),
            result => Ok(result?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
