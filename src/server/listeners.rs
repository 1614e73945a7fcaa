//! The listening sockets, made once, before any worker is forked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::inherit::{self, Inherited, InheritedSocket};
use super::listen_spec::{Address, BindError, Endpoint, ListenSpec, Resolved, is_missing};
use super::unix::{self, SocketFile};
use crate::reactor::{AcceptMode, ListenSocket, SharedListener};
use crate::sys::bell::Bell;
use crate::sys::socket;

/// Connections that may wait to be accepted; `net.core.somaxconn` is the kernel's own limit.
const BACKLOG: i32 = 4096;

/// The time that the kernel waits longer for a peer than the connection does.
const KERNEL_PATIENCE: Duration = Duration::from_secs(5);

/// The shortest time that the kernel waits for a peer.
const LEAST_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// The listening sockets of a server.
#[derive(Debug)]
pub struct Listeners {
    /// The addresses, in the order of the configuration.
    pub addresses: Vec<Address>,
    /// How many of the addresses, at the end, are those that redirect to TLS.
    pub redirects: usize,
    /// The files of the Unix sockets, in the order of these. They are removed with their last owner, and before the
    /// sockets: while a socket is open, no other file can have its inode.
    files: Vec<Arc<SocketFile>>,
    /// The permissions of these files.
    unix_mode: u32,
    /// The sockets of each worker; one set for all of them unless the mode is `reuseport`.
    sockets: Vec<Vec<ListenSocket>>,
    /// One for each socket of a set, which the workers share.
    bells: Vec<Bell>,
    /// Whether a service manager passed them, so that no configuration changes them.
    activated: bool,
    /// Whether they are those of the status page.
    is_status: bool,
}

/// The files of the Unix sockets of a server. They are removed when this is dropped, if it is the last owner.
#[derive(Debug)]
pub struct SocketFiles {
    _files: Vec<Arc<SocketFile>>,
}

impl Listeners {
    /// Sets whether the kernel keeps connections until their first bytes have arrived (see [`socket::defer_accept`]).
    /// Unix sockets are not affected.
    ///
    /// # Errors
    /// As [`socket::defer_accept`].
    pub fn defer_accept(&self, on: bool) -> io::Result<()> {
        self.tcp().try_for_each(|listener| socket::defer_accept(listener, on))
    }

    /// Sets how long the kernel waits for a peer that acknowledges nothing or has no room: `silence`, the longest time that
    /// the connection itself waits, and a little longer, because the kernel does not tell the peer that it gives up. At
    /// least 30 s, since a short time-out is no statement about the network. Unix sockets are not affected.
    ///
    /// # Errors
    /// As [`socket::set_user_timeout`].
    pub fn set_user_timeout(&self, silence: Duration) -> io::Result<()> {
        let time = (silence + KERNEL_PATIENCE).max(LEAST_USER_TIMEOUT);
        self.tcp().try_for_each(|listener| socket::set_user_timeout(listener, time))
    }

    /// Has the kernel probe no connection before it has been idle for `keep_alive`, the time after which the connection
    /// closes by itself. Ten thousand connections that are probed at once lose probes, and a healthy one whose probes are
    /// lost ends. Unix sockets are not affected.
    ///
    /// # Errors
    /// As [`socket::set_first_probe`].
    pub fn set_first_probe(&self, keep_alive: Duration) -> io::Result<()> {
        let time = keep_alive.max(socket::FIRST_PROBE);
        self.tcp().try_for_each(|listener| socket::set_first_probe(listener, time))
    }

    fn tcp(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let all = self.sockets.iter().flatten();
        all.filter(|socket| matches!(socket, ListenSocket::Tcp(_))).map(ListenSocket::as_fd)
    }

    /// The sockets of the worker in this slot; those of other workers are closed. Call it in the worker, which leaves
    /// the files of Unix sockets in place. A worker without a set of its own shares that of another.
    #[must_use]
    pub fn into_worker(mut self, slot: usize) -> Vec<SharedListener> {
        let set = slot % self.sockets.len();
        let bells = self.bells.into_iter().map(Some);
        let listeners = self.sockets.swap_remove(set).into_iter().zip(bells);
        listeners.map(|(socket, bell)| SharedListener { socket, bell }).collect()
    }

    /// Copies of the sockets of the worker in this slot, in the order of the addresses, to look at their queues. A copy
    /// keeps a socket listening: drop it when the worker drains.
    ///
    /// # Errors
    /// As fcntl(2), when no descriptor is left.
    pub fn queues(&self, slot: usize) -> io::Result<Vec<ListenSocket>> {
        self.sockets[slot % self.sockets.len()].iter().map(inherit::duplicate).collect()
    }

    /// Closes the sockets beyond those of `workers` workers: the kernel would go on to give them connections that
    /// nothing accepts.
    pub fn keep_for(&mut self, workers: usize) {
        self.sockets.truncate(workers.max(1));
    }

    /// Has one of the workers that wait look for connections.
    pub fn wake_a_worker(&self) {
        self.bells.iter().for_each(Bell::ring);
    }

    /// Whether a service manager passed them.
    #[must_use]
    pub fn is_activated(&self) -> bool {
        self.activated
    }

    /// Makes this process the owner of the files of Unix sockets, also of those that another process has made: it
    /// removes them at the end. Call it when the start can no longer fail.
    pub fn own_files(&self) {
        self.files.iter().for_each(|file| file.own(self.unix_mode));
    }

    /// Keeps the files when the sockets go to a worker in this process.
    #[must_use]
    pub fn keep_files(&self) -> SocketFiles {
        SocketFiles { _files: self.files.clone() }
    }

    /// Leaves the files of Unix sockets to another process, which serves from now on.
    pub fn leave_files(&self) {
        self.files.iter().for_each(|file| file.leave());
    }

    /// All sockets, for a successor, with the name that [`Inherited`] knows each by.
    #[must_use]
    pub fn for_successor(&self) -> Vec<(BorrowedFd<'_>, &'static str)> {
        let name = inherit::name(self.activated, self.is_status);
        self.each().map(|socket| (socket.as_fd(), name)).collect()
    }

    /// Copies of the sockets, from which [`bind`] takes those that a new configuration keeps.
    ///
    /// # Errors
    /// As fcntl(2), when no descriptor is left, and as getsockname(2).
    pub fn inherit(&self) -> io::Result<Inherited> {
        let mut files = self.files.iter().cloned();
        let copies: io::Result<_> = self
            .each()
            .map(|socket| {
                let file = if matches!(socket, ListenSocket::Unix(_)) { files.next() } else { None };
                InheritedSocket::new(inherit::duplicate(socket)?, file)
            })
            .collect();
        Ok(Inherited::new(copies?, self.activated))
    }

    /// Every socket once, although each set has the Unix sockets.
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
        let (files, bells) = (Vec::new(), Vec::new());
        Ok(Self {
            addresses,
            redirects: 0,
            files,
            unix_mode: 0,
            sockets: vec![sockets],
            bells,
            activated: true,
            is_status: false,
        })
    }

    /// Makes the bells, after the sockets.
    fn with_bells(mut self) -> Result<Self, BindError> {
        let bells: io::Result<_> = self.sockets[0].iter().map(|_| Bell::new()).collect();
        self.bells =
            bells.map_err(|error| BindError::of_environment(format!("no eventfd is left: {error}")))?;
        Ok(self)
    }
}

/// Listens at `places` for `workers` workers. A name with several addresses in `resolved` is bound on all of them, on the
/// same port; the files of Unix sockets get the permissions `unix_mode`. A socket of `inherited` is taken if it already listens at
/// one of the places.
///
/// # Errors
/// When a place cannot be listened on.
pub fn bind(
    places: &[ListenSpec],
    Resolved(addresses): Resolved,
    unix_mode: u32,
    mode: AcceptMode,
    workers: usize,
    inherited: &mut Inherited,
) -> Result<Listeners, BindError> {
    if let Some(sockets) = inherited.take_activated() {
        return Listeners::activated(sockets)?.with_bells();
    }
    let sets = if mode == AcceptMode::Reuseport { workers } else { 1 };
    let mut listeners = Listeners {
        addresses: Vec::new(),
        redirects: 0,
        files: Vec::new(),
        unix_mode,
        sockets: (0..sets).map(|_| Vec::new()).collect(),
        bells: Vec::new(),
        activated: false,
        is_status: places.iter().any(|place| matches!(place, ListenSpec::Status(_))),
    };
    inherited.promise(addresses.iter().flatten().filter(|address| address.port() != 0).copied().collect());
    if mode == AcceptMode::Reuseport
        && let Some(address) = addresses.iter().find_map(|wanted| inherited.without_reuse_port(wanted))
    {
        let line = format!(
            "cannot change to reuseport: this server listens on {address} without SO_REUSEPORT, and no other \
             socket may join it there; restart the server, or keep the accept mode"
        );
        return Err(BindError { option: "--accept", line });
    }
    let mut public = 0;
    for (place, addresses) in places.iter().zip(addresses) {
        match place {
            ListenSpec::Listed(Endpoint::Unix(path)) | ListenSpec::Status(Endpoint::Unix(path)) => listeners
                .add_unix(path, inherited)
                .map_err(|what| place.error(format!("unix:{}: {what}", path.display())))?,
            place => listeners.add_place(place, addresses, mode, inherited)?,
        }
        if !matches!(place, ListenSpec::Redirect(_)) {
            public = listeners.addresses.len();
        }
    }
    listeners.redirects = listeners.addresses.len() - public;
    listeners.with_bells()
}

impl Listeners {
    fn add_place(
        &mut self,
        place: &ListenSpec,
        wanted: Vec<SocketAddr>,
        mode: AcceptMode,
        inherited: &mut Inherited,
    ) -> Result<(), BindError> {
        let (mut port, mut missing) = (None, None);
        let ips: Vec<IpAddr> = wanted.iter().map(SocketAddr::ip).collect();
        for mut address in wanted {
            if let Some(port) = port {
                if matches!(
                    place,
                    ListenSpec::Listed(Endpoint::Everywhere(_))
                        | ListenSpec::Redirect(Endpoint::Everywhere(_))
                ) {
                    break;
                }
                // Any port: the first address chooses it.
                address.set_port(port);
            }
            match self.add(address, mode, inherited) {
                Ok(address) => port = Some(address.port()),
                // `localhost` may name an address that this machine does not have (without IPv6, say).
                Err(error) if is_missing(&error) => missing = Some((address, error)),
                Err(error) => return Err(place.explain(address, &ips, &error)),
            }
        }
        match (port, missing) {
            (Some(_), _) => Ok(()),
            (None, Some((address, error))) => Err(place.explain(address, &ips, &error)),
            (None, None) => Err(place.error("a host that has no address".into())),
        }
    }

    fn add(
        &mut self,
        mut address: SocketAddr,
        mode: AcceptMode,
        inherited: &mut Inherited,
    ) -> io::Result<SocketAddr> {
        let reuse_port = mode == AcceptMode::Reuseport;
        let mut kept = inherited.take(address, reuse_port).into_iter();
        if let Some(first) = kept.as_slice().first() {
            address = internet(first)?;
        } else if reuse_port {
            // With SO_REUSEPORT another server of the same user on this port would go unnoticed; a socket
            // without it fails.
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

    /// Adds one socket, which every set shares.
    fn add_unix(&mut self, path: &Path, inherited: &mut Inherited) -> Result<(), String> {
        let (socket, file) = match inherited.take_unix(path) {
            Some(kept) => kept,
            None => {
                let (listener, file) = unix::bind(path, self.unix_mode, BACKLOG)?;
                (listener.into(), Arc::new(file))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn bind_host(host: &str, port: u16, mode: AcceptMode, workers: usize) -> Result<Listeners, BindError> {
        let places = [ListenSpec::HostAndPort(host.into(), port)];
        bind(&places, Resolved::of(&places)?, 0o666, mode, workers, &mut Inherited::default())
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
        let ours = rustix::net::getsockname(sockets[0].socket.as_fd()).expect("an address");
        assert_eq!(SocketAddr::try_from(ours).expect("an address"), address);
    }

    /// A place with any port does not take the socket of a place that names the port.
    #[test]
    fn a_named_port_goes_to_the_place_that_names_it() {
        let any = ListenSpec::Listed(Endpoint::Host("127.0.0.1".into(), 0));
        let first = bind_host("127.0.0.1", 0, AcceptMode::Shared, 1).expect("a port");
        let named = internet(&first.addresses[0]);
        let places = [any, ListenSpec::Listed(Endpoint::Host("127.0.0.1".into(), named.port()))];
        let mut kept = first.inherit().expect("its sockets");
        let resolved = Resolved::of(&places).expect("addresses");
        let second = bind(&places, resolved.clone(), 0o600, AcceptMode::Shared, 1, &mut kept).expect("both");
        assert_ne!(internet(&second.addresses[0]), named);
        assert_eq!(internet(&second.addresses[1]), named);
        // A second time, every place keeps its socket.
        let mut kept = second.inherit().expect("its sockets");
        let third = bind(&places, resolved, 0o600, AcceptMode::Shared, 1, &mut kept).expect("both");
        assert_eq!(third.addresses, second.addresses);
    }
}
