//! Handing over to another program (SIGUSR2), as a rule a newer version of this one: no client is refused meanwhile.
//!
//! ```text
//! old: USR2 ──► fork, exec ────────────────► serves on ◄─── "ready" ─┐ ──► drains, ends
//! new:              └─► LISTEN_FDS ──► workers ──► serves ───────────┘
//! ```
//!
//! The listening sockets are passed as systemd passes them (sd_listen_fds(3)). One more descriptor, which
//! `STHENO_READY_FD` names, is a pipe on which the successor writes a line when it serves. If it ends before that, or
//! takes too long, the old process goes on and writes a line into its log.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::reporter::Reporter;
use super::stopping::{ExitingWorker, StopMode};
use super::{Ended, Master, Phase, Work};
use crate::sys::descriptor::{self, FIRST_PASSED};
use crate::sys::process::{self, Forked, take_variable};
use crate::sys::signal::{self, Blocked, Signal};

/// The variable that names the descriptor on which a successor reports that it is ready.
const READY_FD: &str = "STHENO_READY_FD";

/// The line that a successor reports. Any other line is the reason of its failure.
const READY_LINE: &[u8] = b"ready\n";

/// The longest time in which a successor may become ready; its workers have half of it.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(60);

/// The exit code for a program that cannot be run, as the shell has it.
const NOT_RUN: i32 = 127;

/// The program that SIGUSR2 starts: the file that is then at the path this one was started from.
#[derive(Clone, Debug, Default)]
pub struct Executable {
    /// Its path.
    pub program: PathBuf,
    /// Its arguments, without its name.
    pub arguments: Vec<OsString>,
    /// The folder in which it starts, if that is not the current one: its arguments may have paths that begin there.
    pub folder: Option<PathBuf>,
}

/// The pipe to the process that has started this one, and drains when this one serves.
#[derive(Debug)]
pub struct Predecessor(OwnedFd);

impl Predecessor {
    /// The predecessor that the environment names, if any; the variable is removed from the environment. Call it at
    /// the start, before anything is opened.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        let number = take_variable(READY_FD)?.to_str()?.parse().ok()?;
        descriptor::adopt(number).ok().map(Self)
    }

    pub(super) fn report_ready(self) {
        // An error means that the predecessor has ended.
        let _ = rustix::io::write(self.0, READY_LINE);
    }
}

#[derive(Debug)]
enum UpgradeProgress {
    Waiting,
    Ready,
    Failed(String),
}

/// Starts the program with these sockets under these names, and with these variables.
fn start(
    executable: &Executable,
    sockets: &[(BorrowedFd<'_>, &str)],
    variables: &[(&'static str, OsString)],
    now: Instant,
) -> io::Result<Reporter> {
    let (report, theirs) = descriptor::pipe()?;
    let blocked = Blocked::all();
    match process::fork()? {
        Forked::Parent(pid) => Ok(Reporter::new(pid, report, now + UPGRADE_TIMEOUT)),
        Forked::Child => exec_successor(executable, sockets, variables, &theirs, blocked),
    }
}

fn progress(successor: &mut Reporter, now: Instant) -> UpgradeProgress {
    successor.read();
    if successor.received.starts_with(READY_LINE) {
        return UpgradeProgress::Ready;
    }
    match successor.exit {
        Some(exit) if successor.received.is_empty() => {
            UpgradeProgress::Failed(format!("it has ended: {exit}"))
        }
        Some(_) => UpgradeProgress::Failed(successor.text().trim().into()),
        None if now >= successor.deadline => UpgradeProgress::Failed("it takes too long".into()),
        None => UpgradeProgress::Waiting,
    }
}

/// In the child: puts the open sockets in order and runs the program.
fn exec_successor(
    executable: &Executable,
    sockets: &[(BorrowedFd<'_>, &str)],
    variables: &[(&'static str, OsString)],
    report: &OwnedFd,
    blocked: Blocked,
) -> ! {
    let (mut files, names): (Vec<_>, Vec<_>) = sockets.iter().copied().unzip();
    files.push(report.as_fd());
    // A signal must not run our handler here, where descriptors are about to mean something else.
    let ready = signal::reset(&Signal::ALL).and_then(|()| descriptor::duplicate_at(&files, FIRST_PASSED));
    drop(blocked);
    let number = i32::try_from(names.len()).map_or(FIRST_PASSED, |count| FIRST_PASSED + count);
    let error = ready.err().unwrap_or_else(|| {
        let mut command = Command::new(&executable.program);
        command.args(&executable.arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &executable.folder {
            command.current_dir(folder);
        }
        command.env("LISTEN_PID", process::current().to_string());
        command.env("LISTEN_FDS", names.len().to_string());
        command.env("LISTEN_FDNAMES", names.join(":"));
        command.env(READY_FD, number.to_string()).exec()
    });
    if let Ok(report) = descriptor::adopt(number) {
        let line = format!("cannot run {}: {error}\n", executable.program.display());
        let _ = rustix::io::write(report, line.as_bytes());
    }
    std::process::exit(NOT_RUN)
}

impl Master {
    /// Starts the program that is now at the path this one was started from.
    pub(super) fn begin_upgrade(&mut self, work: &mut dyn Work) {
        let program = self.executable.program.display();
        let reloads = self.rehearsal.is_some() || self.pending.is_some();
        if self.upgrade.is_some() || reloads || self.phase != Phase::Serving {
            warn!(
                "no hand-over to {program}: a start, reload or hand-over is under way; send SIGUSR2 again later"
            );
            return;
        }
        if process::current().number() == 1 {
            warn!("no hand-over to {program}: the container ends with process 1");
            return;
        }
        info!("handing over to {program}");
        self.notifier.reloading("Handing over to a new program");
        if let Some(pidfile) = &mut self.pidfile
            && let Err(error) = pidfile.step_aside()
        {
            warn!("the pid file cannot be renamed: {error}");
        }
        match start(&self.executable, &work.sockets(), self.notifier.environment(), Instant::now()) {
            Ok(upgrade) => self.upgrade = Some(upgrade),
            Err(error) => self.fail_upgrade(&error.to_string()),
        }
    }

    /// Drains when the successor is ready; goes on as before when it has failed.
    pub(super) fn advance_upgrade(&mut self, now: Instant, work: &mut dyn Work) {
        let Some(upgrade) = &mut self.upgrade else {
            return;
        };
        let pid = upgrade.pid;
        match progress(upgrade, now) {
            UpgradeProgress::Waiting => {}
            UpgradeProgress::Ready => {
                self.upgrade = None;
                info!("process {pid} serves now; this one drains and exits");
                self.notifier.handed_over(pid, "Handed over to a new program");
                work.handed_over();
                self.begin_stop(Ended::Stopped, StopMode::Drain(self.plan.grace), work);
            }
            UpgradeProgress::Failed(reason) => {
                if self.upgrade.take().is_some_and(|upgrade| upgrade.exit.is_none()) {
                    self.exiting.push(ExitingWorker::new(pid, None, StopMode::Stop, now));
                }
                self.fail_upgrade(&reason);
            }
        }
    }

    fn fail_upgrade(&mut self, reason: &str) {
        if let Some(pidfile) = &mut self.pidfile
            && let Err(error) = pidfile.step_back()
        {
            warn!("the pid file cannot be put back: {error}");
        }
        let program = self.executable.program.display();
        error!("{program} has not taken over, and this process goes on: {reason}");
        self.notifier.ready(&self.status());
    }
}
