//! What the errors of accept(2) mean.

use std::io;

use rustix::io::Errno;

/// What an error of accept(2) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// No connection waits.
    NoneWaiting,
    /// The connection that waited has failed; the next one may be fine.
    NextOne,
    /// The system is out of descriptors or memory.
    Pause,
    /// The listener itself is broken.
    Broken,
}

impl AcceptOutcome {
    /// Classifies an error of accept(2). Linux returns errors of the network from the next accept (RULES E12).
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN) => Self::NoneWaiting,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Pause,
            Some(Errno::INVAL | Errno::BADF | Errno::NOTSOCK) => Self::Broken,
            _ => Self::NextOne,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULES E12: each error that accept(2) names.
    #[test]
    fn verdicts() {
        for (errors, verdict) in [
            (&[Errno::AGAIN] as &[Errno], AcceptOutcome::NoneWaiting),
            (&[Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM], AcceptOutcome::Pause),
            (&[Errno::INVAL, Errno::BADF, Errno::NOTSOCK], AcceptOutcome::Broken),
            (
                &[
                    Errno::INTR,
                    Errno::CONNABORTED,
                    Errno::PROTO,
                    Errno::NETDOWN,
                    Errno::NOPROTOOPT,
                    Errno::HOSTDOWN,
                    Errno::HOSTUNREACH,
                    Errno::OPNOTSUPP,
                    Errno::NETUNREACH,
                    Errno::TIMEDOUT,
                    Errno::CONNRESET,
                    Errno::PERM,
                ],
                AcceptOutcome::NextOne,
            ),
        ] {
            for error in errors {
                assert_eq!(AcceptOutcome::of(&(*error).into()), verdict, "{error}");
            }
        }
    }
}
