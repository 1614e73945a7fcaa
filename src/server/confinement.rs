//! The rights that a worker gives up before it serves: those of its starter, its standard input, the rest of the file
//! system, and the system calls that serving files does not need.

use std::io;
use std::os::fd::BorrowedFd;

use log::warn;
use rustix::fs::{Access, AtFlags, Mode, OFlags};

use crate::sys::account::Identity;
use crate::sys::{rights, sandbox, seccomp};

/// Whether workers confine themselves to the root, and with which certainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jail {
    /// No confinement.
    Off,
    /// As far as the kernel can.
    #[default]
    BestEffort,
    /// Completely, or the worker fails.
    Required,
}

impl Jail {
    /// What the kernel or the processor lacks for a complete jail, if anything.
    #[must_use]
    pub fn missing() -> Option<String> {
        let is_filtered = sandbox::REFUSES_CALLS || seccomp::is_available();
        let filter = (!is_filtered).then(|| "the filter of system calls (seccomp)".into());
        let missing: Vec<String> = sandbox::missing().into_iter().chain(filter).collect();
        (!missing.is_empty()).then(|| missing.join(" and "))
    }
}

/// The confinement of a worker: made by the master, entered by each worker.
#[derive(Debug)]
pub struct Confinement {
    identity: Option<Identity>,
    jail: Jail,
}

impl Confinement {
    /// A confinement for workers that become `identity`, if there is one.
    #[must_use]
    pub fn new(identity: Option<Identity>, jail: Jail) -> Self {
        Self { identity, jail }
    }

    /// What the kernel lacks for the jail, if workers serve all the same.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        Some(self.jail).filter(|jail| *jail == Jail::BestEffort).and_then(|_| Jail::missing())
    }

    /// Whether a worker can open nothing outside of its root.
    #[must_use]
    pub fn is_jail(&self) -> bool {
        self.jail != Jail::Off
    }

    /// Gives up what this worker does not need, after everything is open. `root` is the directory that it serves, known
    /// by its inode from here on, whatever it is renamed to.
    ///
    /// # Errors
    /// As [`rights::give_up`]; when there is no `/dev/null`, or the root can no longer be entered; as
    /// [`sandbox::enter`] and [`seccomp::enter`] if the jail is required. A worker must not serve then.
    pub fn enter(self, root: BorrowedFd<'_>) -> io::Result<()> {
        let explain = |what: &'static str| move |error| io::Error::other(format!("{what}: {error}"));
        leave_standard_input().map_err(explain("cannot read /dev/null instead of its standard input"))?;
        rights::give_up(self.identity).map_err(explain("cannot give up its rights"))?;
        rustix::fs::accessat(root, ".", Access::EXEC_OK, AtFlags::empty())
            .map_err(|error| explain("without its rights it may not enter the root")(error.into()))?;
        if self.jail == Jail::Off {
            return Ok(());
        }
        // The keys of this thread's hash maps: without getrandom(2) they come from a file, which the sandbox hides.
        let _ = std::hash::RandomState::new();
        self.jailed("cannot enter its sandbox", sandbox::enter(root))?;
        if sandbox::REFUSES_CALLS {
            return Ok(());
        }
        self.jailed("cannot filter system calls", seccomp::enter())
    }

    /// With [`Jail::BestEffort`], a kernel that cannot is no error.
    fn jailed(&self, what: &str, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if self.jail == Jail::Required => Err(io::Error::other(format!("{what}: {error}"))),
            // Reported once, by the master.
            Err(_) if self.missing().is_some() => Ok(()),
            Err(error) => {
                warn!("a worker {what}, and serves all the same: {error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// A worker reads nothing from the terminal or the pipe of the master, and cannot put input into that terminal.
fn leave_standard_input() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::stdio::dup2_stdin(null)?)
}
