//! TLS, by rustls, over the [`Transport`](crate::chat::Transport) of a connection.
//!
//! | file | contents |
//! |---|---|
//! | `credentials` | certificates and keys: read, checked, chosen for a client |
//! | `session` | one session between a transport and a protocol |
//! | `ticket` | session tickets that every worker can read |
//! | `own` | the certificate of `--tls-self-signed` |
//! | `der` | the encoding of certificates, as far as it is needed |
//! | `absent` | all of it in a program without the feature `tls` |

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod credentials;
#[cfg(feature = "tls")]
mod der;
#[cfg(feature = "tls")]
mod own;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod ticket;

use std::fmt;
use std::path::PathBuf;

#[cfg(not(feature = "tls"))]
pub use absent::{Credentials, Kept, Session, Tls};
#[cfg(feature = "tls")]
pub use credentials::{Credentials, Kept};
#[cfg(feature = "tls")]
pub use session::Session;

/// Where certificates and keys come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Files of certificates (with their chains), each with that of its key. The first is for clients that ask for no
    /// name, or for another.
    pub pairs: Vec<(PathBuf, PathBuf)>,
    /// Whether a certificate is made at the start.
    pub self_signed: bool,
}

/// Why there are no credentials: a line that says what to do, and the option that it is about.
#[derive(Debug)]
pub struct TlsError {
    /// The option, with its dashes.
    pub option: &'static str,
    line: String,
}

impl TlsError {
    fn of(option: &'static str, line: impl Into<String>) -> Self {
        Self { option, line: line.into() }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// What the sessions of a worker share.
#[cfg(feature = "tls")]
pub struct Tls {
    config: std::sync::Arc<rustls::ServerConfig>,
    tickets: std::sync::Arc<ticket::TicketKeys>,
    /// Buffers, each lent to the session whose hook runs: plaintext that was received, bytes of a file, and records that
    /// leave together.
    plain: std::cell::Cell<Vec<u8>>,
    file: std::cell::Cell<Vec<u8>>,
    joined: std::cell::Cell<Vec<u8>>,
}

#[cfg(feature = "tls")]
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

#[cfg(feature = "tls")]
impl Tls {
    /// The sessions of a worker.
    #[must_use]
    pub fn new(credentials: &Credentials) -> Self {
        Self {
            config: std::sync::Arc::clone(&credentials.config),
            tickets: std::sync::Arc::clone(&credentials.tickets),
            plain: std::cell::Cell::default(),
            file: std::cell::Cell::default(),
            joined: std::cell::Cell::default(),
        }
    }

    /// The session of a new connection; `None` if there is none, which is a mistake of this program.
    #[must_use]
    pub fn session(self: &std::rc::Rc<Self>) -> Option<Session> {
        let mut tls = rustls::ServerConnection::new(std::sync::Arc::clone(&self.config)).ok()?;
        // A session bounds its output itself.
        tls.set_buffer_limit(None);
        Some(Session::new(tls, std::rc::Rc::clone(self)))
    }

    /// Forgets the ticket keys that are too old.
    pub fn forget_old(&self) {
        self.tickets.forget_old();
    }
}
