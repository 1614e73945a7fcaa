//! Messages to a service manager (sd_notify(3)): one datagram for each change, to the socket that `NOTIFY_SOCKET`
//! names. Without the variable nothing is sent; the server never waits for a service manager.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use log::warn;
use rustix::io::Errno;

use crate::sys::process::{self, Pid, take_variable};

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The connection to the service manager that has started the server, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// The longest time between two messages that all is well.
    watchdog: Option<Duration>,
    pinged: Option<Instant>,
    /// The last state that the service manager has not taken: without READY it would end the server.
    unsent: RefCell<Option<String>>,
    /// The variables for a successor.
    environment: Vec<(&'static str, OsString)>,
}

impl Notifier {
    /// As the environment says; the variables are removed from it. Call it at the start, while this process has one
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
                Self { socket: Some(socket), watchdog, environment, ..Self::default() }
            }
            Err(error) => {
                warn!("cannot notify a service manager at {SOCKET}={}: {error}", name.display());
                Self::default()
            }
        }
    }

    /// The service manager's watchdog time.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The variables that this was made from, for a successor.
    pub(super) fn environment(&self) -> &[(&'static str, OsString)] {
        &self.environment
    }

    pub(super) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    pub(super) fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// The server is about to use another configuration or program; [`Notifier::ready`] ends that.
    pub(super) fn reloading(&self, status: &str) {
        let now = process::monotonic_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS={status}"));
    }

    pub(super) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// The process `to` serves now in place of this one.
    pub(super) fn handed_over(&self, to: Pid, status: &str) {
        self.send(&format!("READY=1\nMAINPID={to}\nSTATUS={status}"));
    }

    /// When the next [`Notifier::ping`] is due.
    pub(super) fn next_ping(&self) -> Option<Instant> {
        let half = self.watchdog? / 2;
        self.pinged.map(|at| at + half)
    }

    /// Sends what was not taken before. Resets the watchdog of the service manager if it is time, and if all is well.
    pub(super) fn ping(&mut self, now: Instant, all_is_well: impl FnOnce() -> bool) {
        if let Some(state) = self.unsent.take() {
            self.send(&state);
        }
        if self.watchdog.is_none() || self.next_ping().is_some_and(|at| at > now) {
            return;
        }
        self.pinged = Some(now);
        if all_is_well() {
            self.deliver("WATCHDOG=1");
        }
    }

    /// Sends a state. A service manager whose queue is full is not waited for; [`Notifier::ping`] sends it again, unless
    /// another state has taken its place.
    fn send(&self, state: &str) {
        self.unsent.replace((!self.deliver(state)).then(|| state.into()));
    }

    /// Returns whether there is no reason to send it again.
    fn deliver(&self, message: &str) -> bool {
        let Some((socket, address)) = &self.socket else {
            return true;
        };
        let sent =
            socket.send_to_addr(message.as_bytes(), address).map_err(|error| Errno::from_io_error(&error));
        !matches!(sent, Err(Some(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM)))
    }
}

/// Opens a socket for a path, or for an abstract name, which begins with `@` and is in no file system.
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
