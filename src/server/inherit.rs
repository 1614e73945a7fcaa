//! Listening sockets that are already open: passed by the process that started this one, or kept from the last
//! configuration.
//!
//! The environment passes them in systemd's way (sd_listen_fds(3)): `LISTEN_FDS` descriptors from number 3 on, for the
//! process `LISTEN_PID`. Sockets of a service manager are taken as they are, and `--listen`, `--host` and `--port` are
//! ignored. Sockets that this server passes to its own successor are known by their names in `LISTEN_FDNAMES`; the
//! configuration decides which of these are taken, as in a reload.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use super::listen_spec::{Address, BindError};
use super::unix::SocketFile;
use crate::reactor::ListenSocket;
use crate::sys::descriptor;
use crate::sys::process::{self, take_variable};
use crate::sys::socket::{self, Adopted};

/// The names of the sockets that a server passes to its successor: its own ones, and those of a service manager.
const OWN: &str = "stheno.own";
const ACTIVATED: &str = "stheno.activated";

/// The name of the socket of the status page, which is the server's own in any case.
const STATUS: &str = "stheno.status";

/// A larger `LISTEN_FDS` is a mistake.
const MOST: u32 = 65_536;

/// A listening socket, and the file if it is a Unix socket of this server.
#[derive(Debug)]
pub(super) struct InheritedSocket {
    socket: ListenSocket,
    file: Option<Arc<SocketFile>>,
    address: Address,
}

impl InheritedSocket {
    /// A socket whose address is not known would be taken for one that no place names, and be closed: it is an error.
    pub(super) fn new(socket: ListenSocket, file: Option<Arc<SocketFile>>) -> io::Result<Self> {
        Ok(Self { address: address_of(&socket)?, socket, file })
    }

    /// The address of a TCP socket; with `reuse_port`, only of one with `SO_REUSEPORT`.
    fn address(&self, reuse_port: bool) -> Option<SocketAddr> {
        let Address::Internet(address) = self.address else {
            return None;
        };
        (!reuse_port || socket::has_reuse_port(self.socket.as_fd())).then_some(address)
    }
}

/// Listening sockets that are already open.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<InheritedSocket>,
    /// Whether a service manager passed them: then they are taken as they are.
    activated: bool,
    /// Addresses that a place of the configuration names with their port.
    promised: Vec<SocketAddr>,
    /// The sockets of the status page.
    status: Vec<InheritedSocket>,
}

impl Inherited {
    /// Takes the sockets that the environment passes, and removes its variables. Sockets for another process are left
    /// alone. Call it at the start, before anything is opened.
    ///
    /// # Errors
    /// When a descriptor is not a listening TCP or Unix socket.
    pub fn from_environment() -> Result<Self, BindError> {
        let text = |name| take_variable(name).and_then(|value| value.into_string().ok()).unwrap_or_default();
        let (count, pid, names) = (text("LISTEN_FDS"), text("LISTEN_PID"), text("LISTEN_FDNAMES"));
        if pid.parse() != Ok(process::current().number()) {
            return Ok(Self::default());
        }
        let count: u32 = match count.parse() {
            Ok(count) if count <= MOST => count,
            _ => {
                return Err(BindError::of_environment(format!(
                    "LISTEN_FDS={count} is not a number of sockets"
                )));
            }
        };
        let names: Vec<&str> = names.split(':').collect();
        let is_status = |index: usize| names.get(index) == Some(&STATUS);
        let activated = names.iter().any(|name| ![OWN, STATUS].contains(name));
        let (mut sockets, mut status) = (Vec::new(), Vec::new());
        for (index, number) in (descriptor::FIRST_PASSED..).take(count as usize).enumerate() {
            match is_status(index) {
                true => status.push(adopt(number, false)?),
                false => sockets.push(adopt(number, activated)?),
            }
        }
        Ok(Self { status, ..Self::new(sockets, count > 0 && activated) })
    }

    pub(super) fn new(sockets: Vec<InheritedSocket>, activated: bool) -> Self {
        Self { sockets, activated, promised: Vec::new(), status: Vec::new() }
    }

    /// Takes the sockets of the status page.
    #[must_use]
    pub fn take_status(&mut self) -> Self {
        Self::new(std::mem::take(&mut self.status), false)
    }

    /// Adds the sockets of a status page.
    #[must_use]
    pub fn with_status(self, status: Self) -> Self {
        Self { status: status.sockets, ..self }
    }

    /// Whether a service manager passed them.
    #[must_use]
    pub fn is_activated(&self) -> bool {
        self.activated
    }

    /// Takes all sockets, if a service manager passed them.
    pub(super) fn take_activated(&mut self) -> Option<Vec<ListenSocket>> {
        self.activated
            .then(|| std::mem::take(&mut self.sockets).into_iter().map(|found| found.socket).collect())
    }

    /// Reserves the sockets at these addresses for places that name the port.
    pub(super) fn promise(&mut self, addresses: Vec<SocketAddr>) {
        self.promised = addresses;
    }

    /// An address at which a socket without `SO_REUSEPORT` listens, if it is one of `wanted`, where port 0 is any port.
    pub(super) fn without_reuse_port(&self, wanted: &[SocketAddr]) -> Option<SocketAddr> {
        let is_wanted = |here: &SocketAddr| {
            wanted.iter().any(|one| one.ip() == here.ip() && [0, here.port()].contains(&one.port()))
        };
        let mut there = self.sockets.iter().filter(|found| found.address(true).is_none());
        there.find_map(|found| found.address(false).filter(is_wanted))
    }

    /// Takes the sockets that listen at `address`, where port 0 is any port; with `reuse_port`, only those with
    /// `SO_REUSEPORT`.
    pub(super) fn take(&mut self, address: SocketAddr, reuse_port: bool) -> Vec<ListenSocket> {
        let is_wanted = |here: SocketAddr| {
            here.ip() == address.ip()
                && (here.port() == address.port() || address.port() == 0 && !self.promised.contains(&here))
        };
        // The first one decides the port.
        let mut there = self.sockets.iter().filter_map(|found| found.address(reuse_port));
        let Some(first) = there.find(|here| is_wanted(*here)) else {
            return Vec::new();
        };
        self.take_all(|found| found.address(reuse_port) == Some(first)).map(|found| found.socket).collect()
    }

    /// Takes the socket whose file is at `path`, however the path is written.
    pub(super) fn take_unix(&mut self, path: &Path) -> Option<(ListenSocket, Arc<SocketFile>)> {
        let mut taken = self.take_all(|found| found.file.as_ref().is_some_and(|file| file.is_at(path)));
        taken.next().and_then(|found| Some((found.socket, found.file?)))
    }

    fn take_all(
        &mut self,
        is_wanted: impl Fn(&InheritedSocket) -> bool,
    ) -> impl Iterator<Item = InheritedSocket> {
        let (taken, left) = std::mem::take(&mut self.sockets).into_iter().partition(is_wanted);
        self.sockets = left;
        Vec::into_iter(taken)
    }
}

/// The address of a socket.
pub(super) fn address_of(socket: &ListenSocket) -> io::Result<Address> {
    match socket {
        ListenSocket::Tcp(listener) => listener.local_addr().map(Address::Internet),
        ListenSocket::Unix(listener) => {
            let address = listener.local_addr()?;
            // A service manager may have made an abstract one, which has no file.
            Ok(Address::Unix(address.as_pathname().unwrap_or(Path::new("@")).into()))
        }
    }
}

/// A second descriptor for the same socket.
pub(super) fn duplicate(socket: &ListenSocket) -> io::Result<ListenSocket> {
    let copy = descriptor::duplicate(socket)?;
    Ok(match socket {
        ListenSocket::Tcp(_) => TcpListener::from(copy).into(),
        ListenSocket::Unix(_) => UnixListener::from(copy).into(),
    })
}

/// The name of a server's sockets for its successor.
pub(super) fn name(activated: bool, is_status: bool) -> &'static str {
    match (activated, is_status) {
        (_, true) => STATUS,
        (true, false) => ACTIVATED,
        (false, false) => OWN,
    }
}

fn adopt(number: RawFd, activated: bool) -> Result<InheritedSocket, BindError> {
    let found = descriptor::adopt(number).and_then(socket::adopt).and_then(|socket| {
        let socket = match socket {
            Adopted::Tcp(listener) => listener.into(),
            Adopted::Unix(listener) => listener.into(),
        };
        InheritedSocket::new(socket, None)
    });
    let mut found = found.map_err(|error| {
        BindError::of_environment(format!("cannot serve on descriptor {number} of LISTEN_FDS: {error}"))
    })?;
    // The file of a service manager's socket is not this server's to remove.
    if let Address::Unix(path) = &found.address
        && !activated
    {
        found.file = SocketFile::of_another(path).map(Arc::new);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn found(reuse_port: bool) -> InheritedSocket {
        let listener = socket::listen((Ipv4Addr::LOCALHOST, 0).into(), 1, reuse_port).expect("a port");
        InheritedSocket::new(listener.into(), None).expect("an address")
    }

    fn internet(socket: &ListenSocket) -> SocketAddr {
        match address_of(socket).expect("an address") {
            Address::Internet(address) => address,
            Address::Unix(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn what_listens_there_is_taken() {
        let (first, second) = (found(false), found(false));
        let wanted = internet(&second.socket);
        let mut inherited = Inherited::new(vec![first, second], false);
        assert!(inherited.take_activated().is_none());
        assert!(inherited.take((Ipv4Addr::UNSPECIFIED, wanted.port()).into(), false).is_empty());
        assert!(inherited.take(wanted, true).is_empty(), "it goes without SO_REUSEPORT");
        let taken = inherited.take(wanted, false);
        assert_eq!(taken.len(), 1);
        assert_eq!(internet(&taken[0]), wanted);
        assert_eq!(inherited.take((Ipv4Addr::LOCALHOST, 0).into(), false).len(), 1, "any port");
        assert!(inherited.take((Ipv4Addr::LOCALHOST, 0).into(), false).is_empty());
    }

    /// A path leads to a socket only while the socket's own file is there.
    #[test]
    fn a_socket_is_known_by_its_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, other) = (folder.path().join("socket"), folder.path().join("other"));
        let listener = UnixListener::bind(&path).expect("a socket");
        let file = SocketFile::of_another(&path).map(Arc::new);
        let found = InheritedSocket::new(listener.into(), file).expect("an address");
        let mut inherited = Inherited::new(vec![found], false);
        std::fs::rename(&path, &other).expect("rename");
        let _stranger = UnixListener::bind(&path).expect("a socket");
        assert!(inherited.take_unix(&path).is_none());
        let (socket, _file) = inherited.take_unix(&other).expect("the socket");
        assert_eq!(address_of(&socket).expect("an address"), Address::Unix(path));
    }
}
