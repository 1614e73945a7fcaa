//! Telling a service manager how the server is (sd_notify(3)): one datagram for each change, to the socket that
//! `NOTIFY_SOCKET` names. Where there is none, nobody is told, and nothing waits for the one who is.

use std::ffi::OsString;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use log::warn;

use crate::sys::process::{self, Pid, take_variable};

/// The variables of the environment.
const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// Tells whoever has started the server, if he wants to know.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often he wants to hear that all is well.
    watchdog: Option<Duration>,
    pinged: Option<Instant>,
    /// For a successor, who is to be told the same.
    environment: Vec<(&'static str, OsString)>,
}

impl Notifier {
    /// As the environment asks for; the word is taken out of it. Call it at the start, while this process has one
    /// thread.
    #[must_use]
    pub fn from_environment() -> Self {
        let (name, watchdog) = (take_variable(SOCKET), take_variable(WATCHDOG));
        let is_ours = |pid: OsString| {
            pid.to_str().and_then(|pid| pid.parse().ok()) == Some(process::current().number())
        };
        let watchdog = watchdog.filter(|_| take_variable(WATCHDOG_PID).is_none_or(is_ours));
        let Some(name) = name else {
            return Self::default();
        };
        match open(&name) {
            Ok(socket) => {
                let micros = watchdog.as_ref().and_then(|micros| micros.to_str()?.parse().ok());
                let mut environment = vec![(SOCKET, name)];
                environment.extend(watchdog.map(|micros| (WATCHDOG, micros)));
                let watchdog = micros.filter(|micros| *micros > 0).map(Duration::from_micros);
                Self { socket: Some(socket), watchdog, pinged: None, environment }
            }
            Err(error) => {
                warn!("nobody can be told at {SOCKET}={}: {error}", name.display());
                Self::default()
            }
        }
    }

    /// The time in which the service manager wants to hear of us.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// What the environment said, for a successor.
    pub(super) fn environment(&self) -> &[(&'static str, OsString)] {
        &self.environment
    }

    /// The server serves, as this says.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// It still serves, as this says.
    pub(super) fn status(&self, status: &str) {
        self.tell(&format!("STATUS={status}"));
    }

    /// It is about to begin with another configuration, or program; [`Notifier::ready`] ends that.
    pub(super) fn reloading(&self, status: &str) {
        let now = process::monotonic_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS={status}"));
    }

    /// It is on its way out.
    pub(super) fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Another process goes on in its place.
    pub(super) fn handed_over(&self, to: Pid, status: &str) {
        self.tell(&format!("READY=1\nMAINPID={to}\nSTATUS={status}"));
    }

    /// When the next sign of life is due.
    pub(super) fn next_ping(&self) -> Option<Instant> {
        let half = self.watchdog? / 2;
        self.pinged.map(|at| at + half)
    }

    /// Gives a sign of life if it is time, and if all is well.
    pub(super) fn ping(&mut self, now: Instant, all_is_well: impl FnOnce() -> bool) {
        if self.watchdog.is_none() || self.next_ping().is_some_and(|at| at > now) {
            return;
        }
        self.pinged = Some(now);
        if all_is_well() {
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, message: &str) {
        if let Some((socket, address)) = &self.socket {
            // Whoever does not listen, or is too slow for a few short datagrams, is not waited for.
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}

/// A path, or a name that stands nowhere in the file system, which begins with `@`.
fn open(name: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_encoded_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        [b'@', rest @ ..] => abstract_address(rest)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it begins neither with / nor with @")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
