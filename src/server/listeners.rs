//! Making the listening sockets, once, before any worker is forked.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::io::Errno;

use super::inherit::{self, Inherited, InheritedSocket};
use super::listen_spec::{BindError, Endpoint, ListenSpec};
use super::unix::{self, SocketFile};
use crate::reactor::{AcceptMode, ListenSocket};
use crate::sys::socket;

/// Connections that may wait to be accepted; the kernel takes the less of this and `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address, its port filled in.
    Internet(SocketAddr),
    /// A file.
    Unix(PathBuf),
}

impl Address {
    /// It as a link to what is served below `prefix`; one that stands for all is shown as the one that always works.
    #[must_use]
    pub fn url(&self, prefix: &str) -> String {
        let address = match self {
            Self::Internet(address) => address,
            Self::Unix(path) => return format!("unix:{}", path.display()),
        };
        if !address.ip().is_unspecified() {
            return format!("http://{address}{prefix}/");
        }
        let (local, all) = if address.is_ipv4() { ("127.0.0.1", "IPv4 ") } else { ("[::1]", "") };
        let port = address.port();
        format!("http://{local}:{port}{prefix}/ (and every other {all}address of this machine)")
    }
}

/// The sockets of a server.
#[derive(Debug)]
pub struct Listeners {
    /// Where it listens, in the order in which that was asked for.
    pub addresses: Vec<Address>,
    /// The files of Unix sockets, in the order of these; they go with the last who has them, and before the sockets:
    /// as long as its socket is open, nothing else can have a file's inode.
    files: Vec<Rc<SocketFile>>,
    /// The rights that these files are to have.
    unix_mode: u32,
    /// The sockets of each worker; one set for all of them unless the mode is `reuseport`.
    sockets: Vec<Vec<ListenSocket>>,
    /// Whether a service manager gave them, so that no configuration changes them.
    activated: bool,
}

impl Listeners {
    /// Has the kernel hand connections over only when their first bytes are here (see [`socket::defer_accept`]), or
    /// no longer so; those through Unix sockets come as before.
    ///
    /// # Errors
    /// As [`socket::defer_accept`].
    pub fn defer_accept(&self, on: bool) -> io::Result<()> {
        let mut tcp = self.sockets.iter().flatten().filter(|socket| matches!(socket, ListenSocket::Tcp(_)));
        tcp.try_for_each(|listener| socket::defer_accept(listener.as_fd(), on))
    }

    /// The sockets of the worker in this seat; the others' are closed. Call it in the worker: there the files of
    /// Unix sockets stay. A worker for whom there is no set shares that of another.
    #[must_use]
    pub fn into_worker(mut self, seat: usize) -> Vec<ListenSocket> {
        let set = seat % self.sockets.len();
        self.sockets.swap_remove(set)
    }

    /// There are so many workers now: sockets that nobody accepts from any more are closed, because the kernel
    /// would go on dealing them connections.
    pub fn keep_for(&mut self, workers: usize) {
        self.sockets.truncate(workers.max(1));
    }

    /// This process serves with it from now on: it removes the files of Unix sockets at the end, also those that
    /// another process has made. Call it when nothing can go wrong any more.
    pub fn own_files(&self) {
        self.files.iter().for_each(|file| file.own(self.unix_mode));
    }

    /// Another process serves with it from now on, and the files are left to it.
    pub fn leave_files(&self) {
        self.files.iter().for_each(|file| file.leave());
    }

    /// All of them, for a process that is to go on with them, and what [`Inherited`] knows each by there.
    #[must_use]
    pub fn for_successor(&self) -> Vec<(BorrowedFd<'_>, &'static str)> {
        let name = inherit::name(self.activated);
        self.each().map(|socket| (socket.as_fd(), name)).collect()
    }

    /// The same sockets, for [`bind`] to take those that a new configuration asks for as well.
    ///
    /// # Errors
    /// As fcntl(2): no descriptor is left.
    pub fn inherit(&self) -> io::Result<Inherited> {
        let mut files = self.files.iter().cloned();
        let copies: io::Result<_> = self
            .each()
            .map(|socket| {
                let file = if matches!(socket, ListenSocket::Unix(_)) { files.next() } else { None };
                Ok(InheritedSocket { socket: inherit::duplicate(socket)?, file })
            })
            .collect();
        Ok(Inherited::new(copies?, self.activated))
    }

    /// Every socket once: each set has the Unix sockets.
    fn each(&self) -> impl Iterator<Item = &ListenSocket> {
        let is_new = |set: usize, socket: &ListenSocket| set == 0 || matches!(socket, ListenSocket::Tcp(_));
        let sets = self.sockets.iter().enumerate();
        sets.flat_map(move |(number, set)| set.iter().filter(move |socket| is_new(number, socket)))
    }

    /// The sockets of a service manager, which all workers share.
    fn activated(sockets: Vec<ListenSocket>) -> Result<Self, BindError> {
        let addresses: io::Result<_> = sockets.iter().map(inherit::address_of).collect();
        let addresses = addresses
            .map_err(|error| BindError::of_environment(format!("a socket has no address: {error}")))?;
        Ok(Self { addresses, files: Vec::new(), unix_mode: 0, sockets: vec![sockets], activated: true })
    }
}

/// Listens at `places` for `workers` workers. A name with several addresses is bound on all of them, on the same
/// port; the files of Unix sockets get the rights `unix_mode`. Where one of the sockets that are `there` already
/// listens, it is taken; the others are left.
///
/// # Errors
/// When a host has no address, or one of the places cannot be listened on.
pub fn bind(
    places: &[ListenSpec],
    unix_mode: u32,
    mode: AcceptMode,
    workers: usize,
    there: &mut Inherited,
) -> Result<Listeners, BindError> {
    if let Some(sockets) = there.take_activated() {
        return Listeners::activated(sockets);
    }
    let sets = if mode == AcceptMode::Reuseport { workers } else { 1 };
    let mut bound = Listeners {
        addresses: Vec::new(),
        files: Vec::new(),
        unix_mode,
        sockets: (0..sets).map(|_| Vec::new()).collect(),
        activated: false,
    };
    let addresses = places.iter().map(ListenSpec::resolve).collect::<Result<Vec<_>, _>>()?;
    there.promise(addresses.iter().flatten().filter(|address| address.port() != 0).copied().collect());
    for (place, addresses) in places.iter().zip(addresses) {
        match place {
            ListenSpec::Listed(Endpoint::Unix(path)) => bound
                .add_unix(path, there)
                .map_err(|what| place.error(format!("unix:{}: {what}", path.display())))?,
            place => bound.add_place(place, addresses, mode, there)?,
        }
    }
    Ok(bound)
}

impl Listeners {
    fn add_place(
        &mut self,
        place: &ListenSpec,
        wanted: Vec<SocketAddr>,
        mode: AcceptMode,
        there: &mut Inherited,
    ) -> Result<(), BindError> {
        let (mut port, mut missing) = (None, None);
        for mut address in wanted {
            if let Some(port) = port {
                if matches!(place, ListenSpec::Listed(Endpoint::Everywhere(_))) {
                    break;
                }
                // Any port: the first address chooses it.
                address.set_port(port);
            }
            match self.add(address, mode, there) {
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

    fn add(
        &mut self,
        mut address: SocketAddr,
        mode: AcceptMode,
        there: &mut Inherited,
    ) -> io::Result<SocketAddr> {
        let reuse_port = mode == AcceptMode::Reuseport;
        let mut kept = there.take(address, reuse_port).into_iter();
        if let Some(first) = kept.as_slice().first() {
            address = internet(first)?;
        } else if reuse_port {
            // With SO_REUSEPORT another server of the same user on this port would go unnoticed; without
            // it, it is in the way.
            address = socket::listen(address, 1, false)?.local_addr()?;
        }
        for set in &mut self.sockets {
            let socket = match kept.next() {
                Some(socket) => socket,
                None => socket::listen(address, BACKLOG, reuse_port)?.into(),
            };
            address = internet(&socket)?;
            set.push(socket);
        }
        self.addresses.push(Address::Internet(address));
        Ok(address)
    }

    /// There is one such socket; each set has it.
    fn add_unix(&mut self, path: &Path, there: &mut Inherited) -> Result<(), String> {
        let (socket, file) = match there.take_unix(path) {
            Some(kept) => kept,
            None => {
                let (listener, file) = unix::bind(path, self.unix_mode, BACKLOG)?;
                (listener.into(), Rc::new(file))
            }
        };
        self.files.push(file);
        for set in &mut self.sockets {
            set.push(inherit::duplicate(&socket).map_err(|error| error.to_string())?);
        }
        self.addresses.push(Address::Unix(path.into()));
        Ok(())
    }
}

fn internet(socket: &ListenSocket) -> io::Result<SocketAddr> {
    match inherit::address_of(socket)? {
        Address::Internet(address) => Ok(address),
        Address::Unix(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn bind_host(host: &str, port: u16, mode: AcceptMode, workers: usize) -> Result<Listeners, BindError> {
        bind(&[ListenSpec::HostAndPort(host.into(), port)], 0o666, mode, workers, &mut Inherited::default())
    }

    fn internet(address: &Address) -> SocketAddr {
        match address {
            Address::Internet(address) => *address,
            Address::Unix(path) => panic!("{}", path.display()),
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
            ListenSpec::HostAndPort("127.0.0.1".into(), 0),
            ListenSpec::Listed(Endpoint::Unix(path.clone())),
            ListenSpec::Listed(Endpoint::Everywhere(0)),
        ];
        let bound =
            bind(&places, 0o600, AcceptMode::Reuseport, 2, &mut Inherited::default()).expect("sockets");
        assert_eq!(bound.addresses.len(), 3);
        assert_eq!(bound.addresses[1], Address::Unix(path.clone()));
        assert!(internet(&bound.addresses[2]).ip().is_unspecified());
        let again = bind(&places[1..2], 0o600, AcceptMode::Exclusive, 1, &mut Inherited::default())
            .expect_err("in use");
        assert_eq!(again.option, "--listen");
        assert!(again.to_string().contains("already in use"), "{again}");
        drop(bound);
        assert!(!path.exists());
    }

    /// Whoever wants any port does not get the one that another wants by its number.
    #[test]
    fn a_port_that_is_named_goes_to_who_names_it() {
        let any = ListenSpec::Listed(Endpoint::Host("127.0.0.1".into(), 0));
        let first = bind_host("127.0.0.1", 0, AcceptMode::Shared, 1).expect("a port");
        let named = internet(&first.addresses[0]);
        let places = [any, ListenSpec::Listed(Endpoint::Host("127.0.0.1".into(), named.port()))];
        let mut there = first.inherit().expect("its sockets");
        let second = bind(&places, 0o600, AcceptMode::Shared, 1, &mut there).expect("both");
        assert_ne!(internet(&second.addresses[0]), named);
        assert_eq!(internet(&second.addresses[1]), named);
        // Again, and everyone has what he had.
        let mut there = second.inherit().expect("its sockets");
        let third = bind(&places, 0o600, AcceptMode::Shared, 1, &mut there).expect("both");
        assert_eq!(third.addresses, second.addresses);
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
