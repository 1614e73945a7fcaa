//! The rights that a worker gives up before it serves: those of its starter, and the rest of the file system.

use std::io;
use std::os::fd::BorrowedFd;

use log::warn;
use rustix::fs::{Access, AtFlags};

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

    /// Whether a worker can open nothing outside of its root.
    #[must_use]
    pub fn is_jail(&self) -> bool {
        self.jail != Jail::Off
    }

    /// Gives up what this worker does not need, after everything is open. `root` is the directory that it serves, known
    /// by its inode from here on, whatever it is renamed to.
    ///
    /// # Errors
    /// As [`rights::give_up`]; when the root can no longer be entered; as [`sandbox::enter`] and
    /// [`seccomp::refuse`] if the jail is required. A worker must not serve then.
    pub fn enter(self, root: BorrowedFd<'_>) -> io::Result<()> {
        let explain = |what: &'static str| move |error| io::Error::other(format!("{what}: {error}"));
        rights::give_up(self.identity).map_err(explain("cannot give up its rights"))?;
        rustix::fs::accessat(root, ".", Access::EXEC_OK, AtFlags::empty())
            .map_err(|error| explain("without its rights it may not enter the root")(error.into()))?;
        if self.jail == Jail::Off {
            return Ok(());
        }
        // The keys of this thread's hash maps: without getrandom(2) they come from a file, which the sandbox hides.
        let _ = std::hash::RandomState::new();
        self.jailed("cannot enter its sandbox", sandbox::enter(root))?;
        self.jailed("cannot filter system calls", seccomp::refuse())
    }

    /// With [`Jail::BestEffort`], a kernel that cannot is no error.
    fn jailed(&self, what: &str, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if self.jail == Jail::Required => Err(io::Error::other(format!("{what}: {error}"))),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            Err(error) => {
                warn!("a worker {what}, and serves all the same: {error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}
