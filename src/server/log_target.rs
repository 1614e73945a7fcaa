//! Files for log lines. Writing never waits: a log that takes nothing must not stop the server.
//!
//! A file can be opened again by its path ([`LogTarget::reopen`]): log rotation renames the file and asks for that, and
//! the next line is in a new file. A process without the right to open it receives the new file from one that has it
//! ([`LogTarget::take_over`]). One write goes to one file, so no line is lost or split.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::{LevelFilter, error};
use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::sys::descriptor;
use crate::sys::orders::PassedFile;

/// A log never blocks, and is appended to.
const FLAGS: OFlags =
    OFlags::WRONLY.union(OFlags::APPEND).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// An open file for log lines; lines that it does not take are lost. Clones share the file, also when it is opened
/// again.
#[derive(Clone, Debug)]
pub struct LogTarget(Arc<Mutex<Opened>>);

#[derive(Debug)]
struct Opened {
    file: OwnedFd,
    /// The path that it was opened by; a standard stream has none.
    path: Option<PathBuf>,
}

impl LogTarget {
    /// Opens a file for appending, and creates it if there is none.
    ///
    /// # Errors
    /// As open(2); a FIFO without a reader is an error.
    pub fn open(path: &Path) -> io::Result<Self> {
        let opened = Opened { file: open(path)?, path: Some(path.into()) };
        Ok(Self(Arc::new(Mutex::new(opened))))
    }

    /// Checks whether [`LogTarget::open`] would succeed, without creating a file.
    ///
    /// # Errors
    /// As [`LogTarget::open`].
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

    /// A standard stream. It is opened again where possible, so that it does not become non-blocking for the processes
    /// that share it. A regular file never blocks; it is shared with its position.
    ///
    /// # Errors
    /// When there is no such stream.
    pub fn standard(stream: &impl AsFd) -> io::Result<Self> {
        if descriptor::metadata(stream.as_fd())?.kind == descriptor::FileKind::Regular {
            return Ok(descriptor::duplicate(stream)?.into());
        }
        let own = descriptor::reopen_for_append(stream.as_fd()).or_else(|_| {
            let own = descriptor::duplicate(stream)?;
            descriptor::set_nonblocking(own.as_fd())?;
            io::Result::Ok(own)
        });
        own.map(Self::from)
    }

    /// Standard error, or `/dev/null`: a server without standard error serves without a log.
    ///
    /// # Errors
    /// When there is not even `/dev/null`.
    pub fn standard_error() -> io::Result<Self> {
        Self::standard(&io::stderr()).or_else(|_| Self::open(Path::new("/dev/null")))
    }

    /// Makes this the target of the process's log, in the seed's format: `name: pid message`. A second server in the
    /// same process keeps the log of the first.
    pub fn take_the_log(&self, level: LevelFilter) {
        let mut builder = env_logger::Builder::new();
        // A reload may change the level, so it is set for the whole process, below; libraries log warnings only.
        builder.filter_level(LevelFilter::Warn).filter_module("stheno", LevelFilter::Trace);
        builder.format(|out, record| {
            let name = record.target().split("::").next().unwrap_or_default();
            writeln!(out, "{name}: {} {}", std::process::id(), record.args())
        });
        builder.target(env_logger::Target::Pipe(Box::new(self.clone())));
        let _ = builder.try_init();
        log::set_max_level(level);
    }

    /// Opens the file again by its path; a standard stream, which has none, stays. Returns the open file and its path,
    /// for processes that cannot open it. If this fails, lines go to the old file.
    ///
    /// # Errors
    /// As open(2), with the path.
    pub fn reopen(&self) -> io::Result<Option<PassedFile>> {
        let mut opened = self.opened();
        let Some(path) = &opened.path else {
            return Ok(None);
        };
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = open(path).map_err(named)?;
        let copy = descriptor::duplicate(&file)?;
        let name = path.as_os_str().as_encoded_bytes().to_vec();
        opened.file = file;
        Ok(Some(PassedFile { name, file: copy }))
    }

    /// Opens all of them again, and logs failures. Returns the files that have a path.
    pub fn reopen_all<'a>(logs: impl IntoIterator<Item = &'a Self>) -> Vec<PassedFile> {
        let reopened = logs.into_iter().map(Self::reopen).map(|result| {
            result.unwrap_or_else(|error| {
                error!("cannot open a log again, and keep the old file: {error}");
                None
            })
        });
        reopened.flatten().collect()
    }

    /// Writes to `handed` from now on, if it has the same path. Returns whether it has.
    ///
    /// # Errors
    /// As fcntl(2): no descriptor is left; then lines go to the old file.
    pub fn take_over(&self, handed: &PassedFile) -> io::Result<bool> {
        let mut opened = self.opened();
        let ours =
            opened.path.as_ref().is_some_and(|path| path.as_os_str().as_encoded_bytes() == handed.name);
        if ours {
            opened.file = descriptor::duplicate(&handed.file)?;
        }
        Ok(ours)
    }

    /// Writes to the file of `other` from now on.
    ///
    /// # Errors
    /// As fcntl(2): no descriptor is left.
    pub fn redirect(&self, other: &Self) -> io::Result<()> {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ok(());
        }
        let other = other.opened();
        let next = Opened { file: descriptor::duplicate(&other.file)?, path: other.path.clone() };
        *self.opened() = next;
        Ok(())
    }

    /// One write(2).
    pub(super) fn write_once(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let opened = self.opened();
        loop {
            match rustix::io::write(&opened.file, bytes) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        // A panic leaves an open file in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FLAGS | OFlags::CREATE, Mode::from_raw_mode(0o644))?)
}

impl From<OwnedFd> for LogTarget {
    /// `file` must not block.
    fn from(file: OwnedFd) -> Self {
        Self(Arc::new(Mutex::new(Opened { file, path: None })))
    }
}

/// For the log of the process. A line that would block counts as written.
impl Write for LogTarget {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.write_once(line) {
            Err(Errno::AGAIN) => Ok(line.len()),
            result => Ok(result?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
