//! Handing over to another program, as a rule a newer one of the same name: nobody is refused meanwhile.
//!
//! ```text
//! old: USR2 ──► fork, exec ──────────────► … serves on … ◄─ "ready" ─┐ ──► drains, ends
//! new:              └─► LISTEN_FDS ──► workers ──► serves ───────────┘
//! ```
//!
//! The listening sockets are handed over in systemd's way (sd_listen_fds(3)), and one descriptor more, which
//! `STHENO_READY_FD` names: the successor writes a line there when it serves. If it ends before that, or takes too
//! long, nothing has happened but a line in the log.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::sys::descriptor::{self, FIRST_PASSED};
use crate::sys::process::{self, Exit, Forked, Pid, take_variable};
use crate::sys::signal::{self, Blocked, Signal};

/// The variable that names the descriptor on which a successor says that it is ready.
const READY: &str = "STHENO_READY_FD";

/// What it says there. Anything else is the reason why it is not.
const WORD: &[u8] = b"ready\n";

/// No successor takes longer to be ready: its workers have half of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the shell answers for a program that cannot be run.
const NOT_RUN: i32 = 127;

/// The program that takes over: what stands then where this one was started from.
#[derive(Clone, Debug, Default)]
pub struct Executable {
    /// Its path.
    pub program: PathBuf,
    /// The words behind its name.
    pub arguments: Vec<OsString>,
}

/// The descriptor on which the process before this one waits to hear that it may go.
#[derive(Debug)]
pub struct Predecessor(OwnedFd);

impl Predecessor {
    /// As the environment says, if there is one; the word is taken out of it. Call it at the start, before
    /// anything is opened.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        let number = take_variable(READY)?.to_str()?.parse().ok()?;
        descriptor::adopt(number).ok().map(Self)
    }

    /// Says that this process serves.
    pub(super) fn relieve(self) {
        // If he is gone he need not be told.
        let _ = rustix::io::write(self.0, WORD);
    }
}

/// A successor that has been started.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) pid: Pid,
    report: OwnedFd,
    pub(super) deadline: Instant,
    said: Vec<u8>,
    /// Nothing more comes on the pipe.
    closed: bool,
    /// How it has ended, if it has.
    pub(super) ended: Option<Exit>,
}

/// How far a successor is.
#[derive(Debug)]
pub(super) enum UpgradeProgress {
    Waiting,
    Ready,
    Failed(String),
}

impl Upgrade {
    /// Starts the program, with these sockets under these names and with these variables.
    ///
    /// # Errors
    /// As pipe2(2) and fork(2).
    pub(super) fn start(
        image: &Executable,
        sockets: &[(BorrowedFd<'_>, &str)],
        variables: &[(&'static str, OsString)],
        now: Instant,
    ) -> io::Result<Self> {
        let (report, theirs) = descriptor::pipe()?;
        let blocked = Blocked::all();
        match process::fork()? {
            Forked::Parent(pid) => Ok(Self {
                pid,
                report,
                deadline: now + PATIENCE,
                said: Vec::new(),
                closed: false,
                ended: None,
            }),
            Forked::Child => become_successor(image, sockets, variables, &theirs, blocked),
        }
    }

    /// Where it says that it is ready, for as long as it may.
    pub(super) fn report(&self) -> Option<BorrowedFd<'_>> {
        (!self.closed).then_some(self.report.as_fd())
    }

    /// What it has said so far, and whether it still runs.
    pub(super) fn progress(&mut self, now: Instant) -> UpgradeProgress {
        let said = &mut self.said;
        let open = descriptor::drain_pipe(self.report.as_fd(), |bytes| said.extend_from_slice(bytes));
        self.closed |= !matches!(open, Ok(true));
        if self.said.starts_with(WORD) {
            return UpgradeProgress::Ready;
        }
        match self.ended {
            Some(exit) if self.said.is_empty() => UpgradeProgress::Failed(format!("it has ended: {exit}")),
            Some(_) => UpgradeProgress::Failed(String::from_utf8_lossy(&self.said).trim().into()),
            None if now >= self.deadline => UpgradeProgress::Failed("it takes too long".into()),
            None => UpgradeProgress::Waiting,
        }
    }
}

/// In the child: leaves nothing of this program but its open sockets.
fn become_successor(
    image: &Executable,
    sockets: &[(BorrowedFd<'_>, &str)],
    variables: &[(&'static str, OsString)],
    report: &OwnedFd,
    blocked: Blocked,
) -> ! {
    let (mut files, mut names): (Vec<_>, Vec<_>) = sockets.iter().copied().unzip();
    files.push(report.as_fd());
    // A signal must not run our handler here, with descriptors that mean something else.
    let ready = signal::reset(&Signal::ALL).and_then(|()| descriptor::duplicate_at(&files, FIRST_PASSED));
    drop(blocked);
    let number = i32::try_from(names.len()).map_or(FIRST_PASSED, |count| FIRST_PASSED + count);
    let error = ready.err().unwrap_or_else(|| {
        let mut command = Command::new(&image.program);
        command.args(&image.arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        command.env("LISTEN_PID", process::current().to_string());
        command.env("LISTEN_FDS", names.len().to_string());
        command.env("LISTEN_FDNAMES", std::mem::take(&mut names).join(":"));
        command.env(READY, number.to_string()).exec()
    });
    if let Ok(report) = descriptor::adopt(number) {
        let line = format!("cannot run {}: {error}\n", image.program.display());
        let _ = rustix::io::write(report, line.as_bytes());
    }
    std::process::exit(NOT_RUN)
}
