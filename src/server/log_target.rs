//! Files for log lines. Writing never waits: a log that takes nothing must not stop the server. Lines that it does not
//! take are counted, and the first line that it takes again is preceded by their number.
//!
//! A file can be opened again by its path ([`LogTarget::reopen`]): log rotation renames the file and asks for that, and
//! the next line is in a new file. A process without the right to open it receives the new file from one that has it
//! ([`LogTarget::take_over`]). One write goes to one file, so no line is lost or split.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::{LevelFilter, Record, error};
use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::printable::Printable;
use crate::sys::descriptor::{self, FileKind};
use crate::sys::orders::PassedFile;
use crate::sys::readiness;
use crate::sys::signal::{Blocked, Signal};
use crate::sys::socket::{NO_SIGNAL, without_sigpipe};

/// The most bytes that a pipe takes in one piece (pipe(7), `PIPE_BUF`).
pub(super) const PIPE_PIECE: usize = 4096;

/// The most bytes of one write to a regular file. The kernel holds the file's lock for the whole of it.
const FILE_PIECE: usize = 64 * 1024;

/// Appends the line of a record, or nothing, to the memory of it.
pub type LineFormat = fn(&Record<'_>, &mut Vec<u8>);

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
    sink: Sink,
    /// The path that it was opened by; a standard stream has none.
    path: Option<PathBuf>,
    /// Lines of the process's log that the file has not taken since the last one that it took.
    lost: u64,
    /// Whether the last write ended within a line.
    torn: bool,
}

/// What a file is, which decides how it is written to without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    /// A regular file, which never blocks.
    Regular,
    /// Anything else that is non-blocking.
    Other,
    /// Sockets cannot be opened again, and the flags of the open one belong to others, too.
    Socket,
    /// With `stty tostop` the kernel stops a background process that writes, unless it blocks SIGTTOU.
    Terminal {
        /// Whether the flags belong to others, too, because it could not be opened again.
        shared: bool,
    },
}

impl Opened {
    fn new(file: OwnedFd, path: Option<PathBuf>) -> Self {
        let sink = if rustix::termios::isatty(&file) {
            let shared = !descriptor::is_nonblocking(file.as_fd());
            Sink::Terminal { shared }
        } else if rustix::net::sockopt::socket_type(&file).is_ok() {
            // Where a send has no flag for it; SIGPIPE is ignored by the standard library as well.
            let _ = without_sigpipe(file.as_fd());
            Sink::Socket
        } else if descriptor::metadata(file.as_fd()).is_ok_and(|facts| facts.kind == FileKind::Regular) {
            Sink::Regular
        } else {
            Sink::Other
        };
        Self { file, sink, path, lost: 0, torn: false }
    }

    /// Writes to `file` from now on.
    fn change(&mut self, file: OwnedFd, path: Option<PathBuf>) {
        *self = Self { lost: self.lost, ..Self::new(file, path) };
    }

    /// Writes once, and does not wait.
    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let write = || loop {
            match rustix::io::write(&self.file, bytes) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        };
        match self.sink {
            Sink::Regular | Sink::Other => write(),
            Sink::Socket => rustix::net::send(&self.file, bytes, SendFlags::DONTWAIT | NO_SIGNAL),
            Sink::Terminal { shared } => {
                let _blocked = Blocked::one(Signal::TtyOut);
                match readiness::wait_writable(self.file.as_fd(), Duration::ZERO) {
                    Ok(false) if shared => Err(Errno::AGAIN),
                    _ => write(),
                }
            }
        }
    }

    /// Writes a line of the process's log, and before it the number of lines that were lost.
    fn log(&mut self, line: &[u8]) {
        if self.lost > 0 {
            let end = if self.torn { "\n" } else { "" };
            let notice = format!("{end}stheno: {} lines lost here: {}\n", std::process::id(), self.lost);
            if !self.takes(notice.as_bytes()) {
                return;
            }
            self.lost = 0;
        }
        self.takes(line);
    }

    /// Writes a line, and counts it if it is not taken whole.
    fn takes(&mut self, line: &[u8]) -> bool {
        let written = self.write(line);
        let is_whole = written == Ok(line.len());
        self.lost += u64::from(!is_whole);
        self.torn = !is_whole && (self.torn || written.is_ok_and(|written| written > 0));
        is_whole
    }
}

impl LogTarget {
    /// Opens a file for appending, and creates it if there is none.
    ///
    /// # Errors
    /// As open(2); a FIFO without a reader is an error.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Opened::new(open(path)?, Some(path.into()))))))
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

    /// A standard stream; `None` if this process was started without it. It is opened again where possible, so that it
    /// does not become non-blocking for the processes that share it. A regular file never blocks; it is shared with its position. Of the others that cannot be opened
    /// again, only pipes become non-blocking: a shell reads from its terminal.
    ///
    /// # Errors
    /// As fcntl(2): no descriptor is left.
    pub fn standard(stream: &impl AsFd) -> io::Result<Option<Self>> {
        match descriptor::metadata(stream.as_fd()) {
            Ok(facts) if facts.kind == FileKind::Regular => {
                return Ok(Some(descriptor::duplicate(stream)?.into()));
            }
            Ok(_) => {
                if let Ok(own) = descriptor::reopen_for_append(stream.as_fd()) {
                    return Ok(Some(own.into()));
                }
            }
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BADF) => return Ok(None),
            // It may be a regular file, and a file that is open twice has two positions: one writes over the other.
            Err(_) => {}
        }
        let opened = Opened::new(descriptor::duplicate(stream)?, None);
        if opened.sink == Sink::Other {
            descriptor::set_nonblocking(opened.file.as_fd())?;
        }
        Ok(Some(Self(Arc::new(Mutex::new(opened)))))
    }

    /// Standard error, or `/dev/null`: a server without standard error serves without a log.
    ///
    /// # Errors
    /// When there is not even `/dev/null`, or no descriptor is left.
    pub fn standard_error() -> io::Result<Self> {
        Self::standard(&io::stderr())?.map_or_else(|| Self::open(Path::new("/dev/null")), Ok)
    }

    /// The most bytes of one write between which no other process writes.
    pub(super) fn piece(&self) -> usize {
        if self.opened().sink == Sink::Regular { FILE_PIECE } else { PIPE_PIECE }
    }

    /// Writes lines that are no part of the process's log.
    pub fn print(&self, text: &str) {
        let mut opened = self.opened();
        text.split_inclusive('\n').for_each(|line| opened.log(line.as_bytes()));
    }

    /// Writes lines that are no part of the process's log, in one piece.
    pub fn print_whole(&self, lines: &str) {
        self.opened().log(lines.as_bytes());
    }

    /// Makes this the target of the process's log, in `format` or the seed's: `name: pid message`, and of panics, which
    /// would wait for standard error. A second server in the same process keeps the log of the first.
    pub fn take_the_log(&self, level: LevelFilter, format: Option<LineFormat>) {
        let mut builder = env_logger::Builder::new();
        // A reload may change the level, so it is set for the whole process, below; libraries log warnings only.
        builder.filter_level(LevelFilter::Warn).filter_module("stheno", LevelFilter::Trace);
        builder.format(move |out, record| {
            if let Some(format) = format {
                let mut line = Vec::new();
                format(record, &mut line);
                return out.write_all(&line);
            }
            let name = record.target().split("::").next().unwrap_or_default();
            writeln!(out, "{name}: {} {}", std::process::id(), Printable(record.args()))
        });
        builder.target(env_logger::Target::Pipe(Box::new(self.clone())));
        if builder.try_init().is_ok() {
            std::panic::set_hook(Box::new(|info| {
                error!("{}", info.to_string().replace('\n', " "));
            }));
        }
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
        let path = opened.path.clone();
        opened.change(file, path);
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
            let path = opened.path.clone();
            opened.change(descriptor::duplicate(&handed.file)?, path);
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
        self.opened().change(descriptor::duplicate(&other.file)?, other.path.clone());
        Ok(())
    }

    /// One write(2).
    pub(super) fn write_once(&self, bytes: &[u8]) -> Result<usize, Errno> {
        self.opened().write(bytes)
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
        Self(Arc::new(Mutex::new(Opened::new(file, None))))
    }
}

/// For the log of the process. A line that is lost counts as written.
impl Write for LogTarget {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.opened().log(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that was taken in part is ended before the number of lost lines, and that comes before the next line.
    #[test]
    fn lost_lines_are_counted_and_a_torn_one_is_ended() {
        let (read, to) = descriptor::pipe().expect("a pipe");
        let mut log = LogTarget::from(to);
        let take = || {
            let mut text = Vec::new();
            descriptor::drain_pipe(read.as_fd(), |bytes| text.extend_from_slice(bytes)).expect("text");
            String::from_utf8(text).expect("text")
        };
        let long = "x".repeat(1 << 20) + "\n";
        log.print("first\n");
        log.write_all(long.as_bytes()).expect("a lost line is no error");
        log.print("second\nthird\n");
        let text = take();
        assert!(text.starts_with("first\nxx") && text.ends_with('x'), "a part of the long line");
        log.print("fourth\n");
        let pid = std::process::id();
        assert_eq!(take(), format!("\nstheno: {pid} lines lost here: 3\nfourth\n"));
        log.print("fifth\n");
        assert_eq!(take(), "fifth\n");
    }
}
