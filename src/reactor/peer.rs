//! The other end of a connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A peer with an address, which is no IPv4 address in the form of IPv6.
    Internet(SocketAddr),
    /// A peer on this machine, connected by a Unix socket: it has no address to distinguish it by.
    Unix,
}

impl From<SocketAddr> for Peer {
    /// An IPv4 client of an IPv6 socket has its IPv4 address, so that it is the same client through each socket.
    fn from(mut address: SocketAddr) -> Self {
        address.set_ip(address.ip().to_canonical());
        Self::Internet(address)
    }
}

impl Peer {
    /// The address without the port; `None` for a Unix socket.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Internet(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }

    /// `('127.0.0.1', 56365)`, as the lab's server logs an address; `unix:` for a Unix socket.
    #[must_use]
    pub fn pair(&self) -> String {
        match self {
            Self::Internet(address) => format!("('{}', {})", address.ip(), address.port()),
            Self::Unix => self.to_string(),
        }
    }
}

/// The address with its port; `unix:` for a Unix socket, as in nginx.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(address) => address.fmt(f),
            Self::Unix => f.write_str("unix:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_peer_has_one_address() {
        for (address, want) in [
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("[fe80::1%3]:80", "[fe80::1%3]:80"),
        ] {
            let peer = Peer::from(address.parse::<SocketAddr>().expect("an address"));
            assert_eq!(peer.to_string(), want);
        }
    }

    #[test]
    fn no_address_costs_nothing() {
        assert_eq!(size_of::<Option<IpAddr>>(), size_of::<IpAddr>());
    }
}
