//! Making the listening sockets, once, before any worker is forked.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::unix::{self, SocketFile};
use crate::reactor::{AcceptMode, ListenSocket};
use crate::sys::socket;

/// Connections that may wait to be accepted; the kernel takes the less of this and `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Where to listen, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One of a list of places.
    Listed(Target),
    /// The one place that host and port make together.
    HostAndPort(String, u16),
}

/// What stands in a list of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address or name, and a port; 0 for any.
    Host(String, u16),
    /// A port of every address of this machine.
    Everywhere(u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Target {
    /// Reads `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `unix:PATH`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (!path.is_empty()).then(|| Self::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':')?;
        // `+80` and ` 80` are numbers to Rust, and typing errors to everyone else.
        let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bracketed {
            Some(host) => host.parse::<Ipv6Addr>().ok().map(|host| Self::Host(host.to_string(), port)),
            None if host.is_empty() => Some(Self::Everywhere(port)),
            // An IPv6 address without brackets does not say where it ends.
            None if host.contains([':', '[', ']', '/']) => None,
            None => Some(Self::Host(host.into(), port)),
        }
    }
}

impl Place {
    /// Whether it can be found: its name has an address, its path may hold a socket. Nothing is bound.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), BindError> {
        match self {
            Self::Listed(Target::Unix(path)) => {
                unix::check(path).map_err(|what| self.error(format!("unix:{}: {what}", path.display())))
            }
            _ => self.resolve().map(drop),
        }
    }

    /// The option that says where it is.
    fn option(&self) -> &'static str {
        match self {
            Self::Listed(_) => "--listen",
            Self::HostAndPort(..) => "--host",
        }
    }

    fn error(&self, line: String) -> BindError {
        BindError { option: self.option(), line: format!("cannot listen on {line}") }
    }

    /// The addresses of a host, each once; none of a Unix socket.
    fn resolve(&self) -> Result<Vec<SocketAddr>, BindError> {
        let (host, port) = match self {
            Self::HostAndPort(host, port) | Self::Listed(Target::Host(host, port)) => (host.as_str(), *port),
            Self::Listed(Target::Everywhere(port)) => return Ok(vec![(Ipv6Addr::UNSPECIFIED, *port).into()]),
            Self::Listed(Target::Unix(_)) => return Ok(Vec::new()),
        };
        let resolved = (host, port).to_socket_addrs();
        let resolved = resolved.map_err(|error| BindError {
            option: self.option(),
            line: format!("cannot find the host '{host}': {error}"),
        })?;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for mut address in resolved {
            // ::ffff:127.0.0.1 is 127.0.0.1.
            address.set_ip(address.ip().to_canonical());
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    /// Says what to do, and which option it is about: of host and port, the one that is in the way.
    fn explain(&self, address: SocketAddr, error: &io::Error) -> BindError {
        let (host, port) = match self {
            Self::Listed(_) => ("--listen", "--listen"),
            Self::HostAndPort(..) => ("--host", "--port"),
        };
        let (option, advice) = match Errno::from_io_error(error) {
            Some(Errno::ADDRINUSE) if port == "--port" => {
                (port, "the port is taken; choose another with --port, or --port 0 for any free one".into())
            }
            Some(Errno::ADDRINUSE) => (port, format!("the port is taken; choose another with {port}")),
            Some(Errno::ACCESS | Errno::PERM) => {
                (port, format!("not permitted; ports below 1024 need root, choose another with {port}"))
            }
            Some(Errno::ADDRNOTAVAIL) => {
                (host, format!("this machine has no such address; choose another with {host}"))
            }
            Some(Errno::AFNOSUPPORT) => {
                (host, format!("this machine does not speak that protocol; choose another with {host}"))
            }
            _ => (host, error.to_string()),
        };
        BindError { option, line: format!("cannot listen on {address}: {advice}") }
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address, its port filled in.
    Internet(SocketAddr),
    /// A file.
    Unix(PathBuf),
}

/// The sockets of a server.
#[derive(Debug)]
pub struct Bound {
    /// Where it listens, in the order in which that was asked for.
    pub addresses: Vec<Address>,
    /// The files of Unix sockets; they go with it, and first: as long as its socket is open, nothing else can
    /// have a file's inode.
    files: Vec<SocketFile>,
    /// The sockets of each worker; one set for all of them unless the mode is `reuseport`.
    sockets: Vec<Vec<ListenSocket>>,
}

/// Why there are none: a line that says what to do, and the option that it is about.
#[derive(Debug, PartialEq, Eq)]
pub struct BindError {
    /// The option.
    pub option: &'static str,
    line: String,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for BindError {}

impl Bound {
    /// Has the kernel hand connections over only when their first bytes are here (see [`socket::defer_accept`]);
    /// those through Unix sockets come as before.
    ///
    /// # Errors
    /// As [`socket::defer_accept`].
    pub fn defer_accept(&self) -> io::Result<()> {
        let tcp = self.sockets.iter().flatten().filter(|socket| matches!(socket, ListenSocket::Tcp(_)));
        tcp.into_iter().try_for_each(|listener| socket::defer_accept(listener.as_fd()))
    }

    /// The sockets of the worker in this seat; the others' are closed. Call it in the worker: there the files of
    /// Unix sockets stay.
    #[must_use]
    pub fn into_worker(mut self, seat: usize) -> Vec<ListenSocket> {
        let set = if self.sockets.len() == 1 { 0 } else { seat };
        self.sockets.swap_remove(set)
    }
}

/// Listens at `places` for `workers` workers. A name with several addresses is bound on all of them, on the same
/// port; the files of Unix sockets get the rights `unix_mode`.
///
/// # Errors
/// When a host has no address, or one of the places cannot be listened on.
pub fn bind(places: &[Place], unix_mode: u32, mode: AcceptMode, workers: usize) -> Result<Bound, BindError> {
    let sets = if mode == AcceptMode::Reuseport { workers } else { 1 };
    let mut bound =
        Bound { addresses: Vec::new(), sockets: (0..sets).map(|_| Vec::new()).collect(), files: Vec::new() };
    for place in places {
        match place {
            Place::Listed(Target::Unix(path)) => bound
                .add_unix(path, unix_mode)
                .map_err(|what| place.error(format!("unix:{}: {what}", path.display())))?,
            place => bound.add_place(place, mode)?,
        }
    }
    Ok(bound)
}

impl Bound {
    fn add_place(&mut self, place: &Place, mode: AcceptMode) -> Result<(), BindError> {
        let (mut port, mut missing) = (None, None);
        let mut wanted = place.resolve()?;
        if let Place::Listed(Target::Everywhere(port)) = place {
            // Where there is no IPv6 at all.
            wanted.push((Ipv4Addr::UNSPECIFIED, *port).into());
        }
        for mut address in wanted {
            if let Some(port) = port {
                if matches!(place, Place::Listed(Target::Everywhere(_))) {
                    break;
                }
                // Any port: the first address chooses it.
                address.set_port(port);
            }
            match self.add(address, mode) {
                Ok(address) => port = Some(address.port()),
                // `localhost` may name an address that this machine has not (no IPv6, say).
                Err(error) if is_missing(&error) => missing = Some((address, error)),
                Err(error) => return Err(place.explain(address, &error)),
            }
        }
        match (port, missing) {
            (Some(_), _) => Ok(()),
            (None, Some((address, error))) => Err(place.explain(address, &error)),
            (None, None) => Err(place.error("a host that has no address".into())),
        }
    }

    fn add(&mut self, mut address: SocketAddr, mode: AcceptMode) -> io::Result<SocketAddr> {
        let reuse_port = mode == AcceptMode::Reuseport;
        if reuse_port {
            // With SO_REUSEPORT another server of the same user on this port would go unnoticed; without
            // it, it is in the way.
            address = socket::listen(address, 1, false)?.local_addr()?;
        }
        for set in &mut self.sockets {
            let socket: TcpListener = socket::listen(address, BACKLOG, reuse_port)?;
            address = socket.local_addr()?;
            set.push(socket.into());
        }
        self.addresses.push(Address::Internet(address));
        Ok(address)
    }

    /// There is one such socket; each set has it.
    fn add_unix(&mut self, path: &Path, mode: u32) -> Result<(), String> {
        let (listener, file) = unix::bind(path, mode, BACKLOG)?;
        self.files.push(file);
        for set in &mut self.sockets {
            let socket: UnixListener = listener.try_clone().map_err(|error| error.to_string())?;
            set.push(socket.into());
        }
        self.addresses.push(Address::Unix(path.into()));
        Ok(())
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn bind_host(host: &str, port: u16, mode: AcceptMode, workers: usize) -> Result<Bound, BindError> {
        bind(&[Place::HostAndPort(host.into(), port)], 0o666, mode, workers)
    }

    fn internet(address: &Address) -> SocketAddr {
        match address {
            Address::Internet(address) => *address,
            Address::Unix(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn places_as_they_are_written() {
        let host = |host: &str, port| Some(Target::Host(host.into(), port));
        for (text, want) in [
            ("127.0.0.1:80", host("127.0.0.1", 80)),
            ("localhost:0", host("localhost", 0)),
            ("[::]:8080", host("::", 8080)),
            ("[2001:db8::1]:443", host("2001:db8::1", 443)),
            (":80", Some(Target::Everywhere(80))),
            ("unix:/run/x.sock", Some(Target::Unix("/run/x.sock".into()))),
            ("unix:x", Some(Target::Unix("x".into()))),
        ] {
            assert_eq!(Target::parse(text), want, "{text}");
        }
        for text in [
            "",
            "80",
            "localhost",
            ":",
            "a:",
            "a:65536",
            "a:-1",
            "a:+1",
            "a: 1",
            "::1:80",
            "[::1]80",
            "[::1]",
            "[a]:1",
            "unix:",
            "http://a:1",
        ] {
            assert_eq!(Target::parse(text), None, "{text}");
        }
    }

    #[test]
    fn reuseport_gives_each_worker_a_socket_and_still_notices_others() {
        let bound = bind_host("127.0.0.1", 0, AcceptMode::Reuseport, 3).expect("a port");
        let address = internet(&bound.addresses[0]);
        for mode in [AcceptMode::Reuseport, AcceptMode::Exclusive] {
            let error = bind_host("127.0.0.1", address.port(), mode, 3).expect_err("the port is taken");
            assert!(error.to_string().contains("--port"), "{error}");
        }
        let sockets = bound.into_worker(2);
        assert_eq!(sockets.len(), 1);
        let ours = rustix::net::getsockname(sockets[0].as_fd()).expect("an address");
        assert_eq!(SocketAddr::try_from(ours).expect("an address"), address);
    }

    /// A Unix socket is one, however many workers there are; its file goes with the last of it.
    #[test]
    fn places_of_both_kinds_side_by_side() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("socket");
        let places = [
            Place::HostAndPort("127.0.0.1".into(), 0),
            Place::Listed(Target::Unix(path.clone())),
            Place::Listed(Target::Everywhere(0)),
        ];
        let bound = bind(&places, 0o600, AcceptMode::Reuseport, 2).expect("sockets");
        assert_eq!(bound.addresses.len(), 3);
        assert_eq!(bound.addresses[1], Address::Unix(path.clone()));
        assert!(internet(&bound.addresses[2]).ip().is_unspecified());
        let again = bind(&places[1..2], 0o600, AcceptMode::Exclusive, 1).expect_err("in use");
        assert_eq!(again.option, "--listen");
        assert!(again.to_string().contains("already in use"), "{again}");
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_name_is_bound_on_all_its_addresses_on_one_port() {
        let bound = bind_host("localhost", 0, AcceptMode::Shared, 1).expect("localhost");
        let addresses: Vec<SocketAddr> = bound.addresses.iter().map(internet).collect();
        let port = addresses[0].port();
        assert!(addresses.iter().all(|address| address.port() == port && address.ip().is_loopback()));
    }

    #[test]
    fn reasons_say_what_to_do() {
        let error = bind_host("192.0.2.1", 0, AcceptMode::Exclusive, 1).expect_err("not an address of ours");
        assert!(error.to_string().contains("--host"), "{error}");
        let error = bind_host("no such host.invalid", 0, AcceptMode::Exclusive, 1).expect_err("no host");
        assert!(error.to_string().contains("no such host.invalid"), "{error}");
    }
}
