//! What a worker gives up before it serves: the rights of who started it, and the rest of the file system.

use std::io;
use std::os::fd::BorrowedFd;

use log::warn;
use rustix::fs::{Access, AtFlags};

use crate::sys::account::Identity;
use crate::sys::{rights, sandbox, seccomp};

/// Whether workers put themselves into a jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jail {
    /// They do not.
    Off,
    /// As far as the kernel knows how.
    #[default]
    BestEffort,
    /// All of it, or there is no worker.
    Required,
}

/// Made by the master, entered by each worker.
#[derive(Debug)]
pub struct Confinement {
    identity: Option<Identity>,
    jail: Jail,
}

impl Confinement {
    /// For workers that become `identity`, if it is another.
    #[must_use]
    pub fn new(identity: Option<Identity>, jail: Jail) -> Self {
        Self { identity, jail }
    }

    /// Gives up what the worker does not need, in the worker, once everything is open. `root` is the directory
    /// that it serves; it is known by its inode from here on, whatever it is renamed to.
    ///
    /// # Errors
    /// As [`rights::give_up`]; when the root cannot be entered any more; as [`sandbox::enter`] and
    /// [`seccomp::refuse`] if the jail is required. A worker must not serve then.
    pub fn enter(self, root: BorrowedFd<'_>) -> io::Result<()> {
        let explain = |what: &'static str| move |error| io::Error::other(format!("{what}: {error}"));
        rights::give_up(self.identity).map_err(explain("cannot give up its rights"))?;
        rustix::fs::accessat(root, ".", Access::EXEC_OK, AtFlags::empty())
            .map_err(|error| explain("without its rights it may not enter the root")(error.into()))?;
        if self.jail == Jail::Off {
            return Ok(());
        }
        self.jailed("cannot enter its jail", sandbox::enter(root))?;
        self.jailed("cannot let go of system calls", seccomp::refuse())
    }

    /// What a kernel does not know is no error where the best effort is asked for.
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
