//! Where to listen, as somebody says it; and what is wrong with that, as he is told.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use rustix::io::Errno;

use super::unix;

/// Where to listen, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenSpec {
    /// One of a list of places.
    Listed(Endpoint),
    /// The one place that host and port make together.
    HostAndPort(String, u16),
}

/// What stands in a list of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address or name, and a port; 0 for any.
    Host(String, u16),
    /// A port of every address of this machine.
    Everywhere(u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Endpoint {
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

impl ListenSpec {
    /// Whether it can be found: its name has an address, its path may hold a socket. Nothing is bound.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), BindError> {
        match self {
            Self::Listed(Endpoint::Unix(path)) => {
                unix::check(path).map_err(|what| self.error(format!("unix:{}: {what}", path.display())))
            }
            _ => self.resolve().map(drop),
        }
    }

    /// The option that says where it is.
    pub(super) fn option(&self) -> &'static str {
        match self {
            Self::Listed(_) => "--listen",
            Self::HostAndPort(..) => "--host",
        }
    }

    pub(super) fn error(&self, line: String) -> BindError {
        BindError { option: self.option(), line: format!("cannot listen on {line}") }
    }

    /// The addresses of a host, each once; none of a Unix socket.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, BindError> {
        let (host, port) = match self {
            Self::HostAndPort(host, port) | Self::Listed(Endpoint::Host(host, port)) => {
                (host.as_str(), *port)
            }
            // The second one is for where there is no IPv6 at all.
            Self::Listed(Endpoint::Everywhere(port)) => {
                return Ok(vec![
                    (Ipv6Addr::UNSPECIFIED, *port).into(),
                    (Ipv4Addr::UNSPECIFIED, *port).into(),
                ]);
            }
            Self::Listed(Endpoint::Unix(_)) => return Ok(Vec::new()),
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
    pub(super) fn explain(&self, address: SocketAddr, error: &io::Error) -> BindError {
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

/// Why there are no sockets: a line that says what to do, and the option that it is about.
#[derive(Debug, PartialEq, Eq)]
pub struct BindError {
    /// The option.
    pub option: &'static str,
    pub(super) line: String,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for BindError {}

impl BindError {
    /// About what the environment says.
    pub(super) fn of_environment(line: String) -> Self {
        Self { option: "LISTEN_FDS", line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_they_are_written() {
        let host = |host: &str, port| Some(Endpoint::Host(host.into(), port));
        for (text, want) in [
            ("127.0.0.1:80", host("127.0.0.1", 80)),
            ("localhost:0", host("localhost", 0)),
            ("[::]:8080", host("::", 8080)),
            ("[2001:db8::1]:443", host("2001:db8::1", 443)),
            (":80", Some(Endpoint::Everywhere(80))),
            ("unix:/run/x.sock", Some(Endpoint::Unix("/run/x.sock".into()))),
            ("unix:x", Some(Endpoint::Unix("x".into()))),
        ] {
            assert_eq!(Endpoint::parse(text), want, "{text}");
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
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }
}
