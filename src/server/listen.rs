//! Making the listening sockets, once, before any worker is forked.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::reactor::{AcceptMode, ListenSocket};
use crate::sys::socket;

/// Connections that may wait to be accepted; the kernel takes the less of this and `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The sockets of a server.
#[derive(Debug)]
pub struct Bound {
    /// Where it listens, ports filled in.
    pub addresses: Vec<SocketAddr>,
    /// The sockets of each worker; one set for all of them unless the mode is `reuseport`.
    sockets: Vec<Vec<TcpListener>>,
}

/// Why there are none: a line that says what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct BindError(String);

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BindError {}

impl Bound {
    /// Has the kernel hand connections over only when their first bytes are here. (see [`socket::defer_accept`])
    ///
    /// # Errors
    /// As [`socket::defer_accept`].
    pub fn defer_accept(&self) -> io::Result<()> {
        self.sockets.iter().flatten().try_for_each(|listener| socket::defer_accept(listener.as_fd()))
    }

    /// The sockets of the worker in this seat; the others' are closed. Call it in the worker.
    #[must_use]
    pub fn into_worker(mut self, seat: usize) -> Vec<ListenSocket> {
        let set = if self.sockets.len() == 1 { 0 } else { seat };
        self.sockets.swap_remove(set).into_iter().map(Into::into).collect()
    }
}

/// Binds `host` and `port` for `workers` workers. A name with several addresses is bound on all of them, on
/// the same port.
///
/// # Errors
/// When the host has no address, or one of its addresses cannot be listened on.
pub fn bind(host: &str, port: u16, mode: AcceptMode, workers: usize) -> Result<Bound, BindError> {
    let wanted = resolve(host, port)?;
    let mut bound = Bound {
        addresses: Vec::new(),
        sockets: (0..if mode == AcceptMode::Reuseport { workers } else { 1 }).map(|_| Vec::new()).collect(),
    };
    let mut missing = None;
    for mut address in wanted {
        // Any port: the first address chooses it.
        if let Some(first) = bound.addresses.first().filter(|_| port == 0) {
            address.set_port(first.port());
        }
        match bound.add(address, mode) {
            Ok(()) => {}
            // `localhost` may name an address that this machine has not (no IPv6, say).
            Err(error) if is_missing(&error) => missing = Some((address, error)),
            Err(error) => return Err(explain(address, &error)),
        }
    }
    match (bound.addresses.is_empty(), missing) {
        (false, _) => Ok(bound),
        (true, Some((address, error))) => Err(explain(address, &error)),
        (true, None) => Err(BindError(format!("the host '{host}' has no address"))),
    }
}

/// The addresses of a host, each once.
///
/// # Errors
/// When it has none.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, BindError> {
    let resolved = (host, port).to_socket_addrs();
    let resolved = resolved.map_err(|error| BindError(format!("cannot find the host '{host}': {error}")))?;
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

impl Bound {
    fn add(&mut self, mut address: SocketAddr, mode: AcceptMode) -> io::Result<()> {
        let reuse_port = mode == AcceptMode::Reuseport;
        if reuse_port {
            // With SO_REUSEPORT another server of the same user on this port would go unnoticed; without
            // it, it is in the way.
            address = socket::listen(address, 1, false)?.local_addr()?;
        }
        for set in &mut self.sockets {
            let socket = socket::listen(address, BACKLOG, reuse_port)?;
            address = socket.local_addr()?;
            set.push(socket);
        }
        self.addresses.push(address);
        Ok(())
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

fn explain(address: SocketAddr, error: &io::Error) -> BindError {
    let advice = match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => {
            "the port is taken; choose another with --port, or --port 0 for any free one"
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            "not permitted; ports below 1024 need root, choose another with --port"
        }
        Some(Errno::ADDRNOTAVAIL) => "this machine has no such address; choose another with --host",
        Some(Errno::AFNOSUPPORT) => "this machine does not speak that protocol; choose another with --host",
        _ => return BindError(format!("cannot listen on {address}: {error}")),
    };
    BindError(format!("cannot listen on {address}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reuseport_gives_each_worker_a_socket_and_still_notices_others() {
        let bound = bind("127.0.0.1", 0, AcceptMode::Reuseport, 3).expect("a port");
        let address = bound.addresses[0];
        for mode in [AcceptMode::Reuseport, AcceptMode::Exclusive] {
            let error = bind("127.0.0.1", address.port(), mode, 3).expect_err("the port is taken");
            assert!(error.to_string().contains("--port"), "{error}");
        }
        let sockets = bound.into_worker(2);
        assert_eq!(sockets.len(), 1);
        let ours = rustix::net::getsockname(std::os::fd::AsFd::as_fd(&sockets[0])).expect("an address");
        assert_eq!(SocketAddr::try_from(ours).expect("an address"), address);
    }

    #[test]
    fn a_name_is_bound_on_all_its_addresses_on_one_port() {
        let bound = bind("localhost", 0, AcceptMode::Shared, 1).expect("localhost");
        let port = bound.addresses[0].port();
        assert!(bound.addresses.iter().all(|address| address.port() == port && address.ip().is_loopback()));
    }

    #[test]
    fn reasons_say_what_to_do() {
        let error = bind("192.0.2.1", 0, AcceptMode::Exclusive, 1).expect_err("not an address of ours");
        assert!(error.to_string().contains("--host"), "{error}");
        let error = bind("no such host.invalid", 0, AcceptMode::Exclusive, 1).expect_err("no host");
        assert!(error.to_string().contains("no such host.invalid"), "{error}");
    }
}
