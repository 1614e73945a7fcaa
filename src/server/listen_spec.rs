//! The places to listen, as a configuration gives them, and the errors that name their option.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{self, PathBuf};

use rustix::io::Errno;

use super::unix;

/// How many ports after a taken one are tried.
const PORTS_TO_TRY: usize = 20;

/// One place to listen, as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenSpec {
    /// An element of a list of places (`--listen`).
    Listed(Endpoint),
    /// The place of `--host` and `--port`.
    HostAndPort(String, u16),
    /// A place that redirects to TLS (`--redirect-http`).
    Redirect(Endpoint),
    /// The place of the status page (`--status`).
    Status(Endpoint),
}

/// An element of a list of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address or name, and a port; 0 for any.
    Host(String, u16),
    /// A port on every address of this machine.
    Everywhere(u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `unix:PATH`. A path does not begin with `@`: other programs mean an
    /// abstract socket by that, which has no permissions.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (!path.is_empty() && !path.starts_with('@')).then(|| Self::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':')?;
        // Rust reads `+80` as a number, too; here it is a typing error.
        let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bracketed {
            Some(host) => host.parse::<Ipv6Addr>().ok().map(|host| Self::Host(host.to_string(), port)),
            None if host.is_empty() => Some(Self::Everywhere(port)),
            // The end of an IPv6 address without brackets is unknown.
            None if host.contains([':', '[', ']', '/']) => None,
            None => Some(Self::Host(host.into(), port)),
        }
    }
}

impl ListenSpec {
    /// Reads one place of a list, as [`Endpoint::parse`] does. The path of a Unix socket becomes absolute.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match Endpoint::parse(text)? {
            Endpoint::Unix(path) => path::absolute(path).ok().map(Endpoint::Unix).map(Self::Listed),
            endpoint => Some(Self::Listed(endpoint)),
        }
    }

    /// Reads the place of the status page: as [`ListenSpec::parse`] does, or a port alone. A place without a host means the
    /// loopback address, because the page is not for clients.
    #[must_use]
    pub fn parse_status(text: &str) -> Option<Self> {
        let is_port = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let with_colon = format!(":{text}");
        Some(Self::Status(match Endpoint::parse(if is_port { &with_colon } else { text })? {
            Endpoint::Everywhere(port) => Endpoint::Host(Ipv4Addr::LOCALHOST.to_string(), port),
            Endpoint::Unix(path) => Endpoint::Unix(path::absolute(path).ok()?),
            endpoint => endpoint,
        }))
    }

    /// The place that host and port make. An IPv6 address may be in brackets, as in a URL.
    #[must_use]
    pub fn host_and_port(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        Self::HostAndPort(bare.unwrap_or(host).into(), port)
    }

    /// Checks the place without binding it: its name has an address, its path can hold a socket.
    ///
    /// # Errors
    /// Why it cannot be listened on.
    pub fn check(&self) -> Result<(), BindError> {
        match self {
            Self::Listed(Endpoint::Unix(path)) | Self::Status(Endpoint::Unix(path)) => {
                unix::check(path).map_err(|what| self.error(format!("unix:{}: {what}", path.display())))
            }
            _ => self.resolve().map(drop),
        }
    }

    /// Whether the place is a Unix socket.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Listed(Endpoint::Unix(_)) | Self::Status(Endpoint::Unix(_)))
    }

    /// Whether the place is a loopback address as it is given, or `localhost`. Another name may be anything; a Unix socket
    /// is made for a proxy, whose clients are not known.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::HostAndPort(host, _)
            | Self::Listed(Endpoint::Host(host, _))
            | Self::Status(Endpoint::Host(host, _)) => match host.parse::<IpAddr>() {
                Ok(address) => address.to_canonical().is_loopback(),
                Err(_) => host.eq_ignore_ascii_case("localhost"),
            },
            Self::Listed(_) | Self::Redirect(_) | Self::Status(_) => false,
        }
    }

    /// The option that gives the place.
    pub(super) fn option(&self) -> &'static str {
        match self {
            Self::Listed(_) => "--listen",
            Self::HostAndPort(..) => "--host",
            Self::Redirect(_) => "--redirect-http",
            Self::Status(_) => "--status",
        }
    }

    pub(super) fn error(&self, line: String) -> BindError {
        BindError { option: self.option(), line: format!("cannot listen on {line}") }
    }

    /// The addresses of a host, each once; empty for a Unix socket.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, BindError> {
        let (host, port) = match self {
            Self::HostAndPort(host, port)
            | Self::Listed(Endpoint::Host(host, port))
            | Self::Redirect(Endpoint::Host(host, port))
            | Self::Status(Endpoint::Host(host, port)) => (host.as_str(), *port),
            // The second one is for machines without IPv6.
            Self::Listed(Endpoint::Everywhere(port))
            | Self::Redirect(Endpoint::Everywhere(port))
            | Self::Status(Endpoint::Everywhere(port)) => {
                return Ok(vec![
                    (Ipv6Addr::UNSPECIFIED, *port).into(),
                    (Ipv4Addr::UNSPECIFIED, *port).into(),
                ]);
            }
            Self::Listed(Endpoint::Unix(_))
            | Self::Redirect(Endpoint::Unix(_))
            | Self::Status(Endpoint::Unix(_)) => return Ok(Vec::new()),
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

    /// The error of listening on `address`, one of the addresses `ips` of this place: advice, and the option that it is
    /// about, `--host` or `--port`.
    pub(super) fn explain(&self, address: SocketAddr, ips: &[IpAddr], error: &io::Error) -> BindError {
        let (host, port) = match self {
            Self::Listed(_) => ("--listen", "--listen"),
            Self::HostAndPort(..) => ("--host", "--port"),
            Self::Redirect(_) => ("--redirect-http", "--redirect-http"),
            Self::Status(_) => ("--status", "--status"),
        };
        let (option, advice) = match Errno::from_io_error(error) {
            Some(Errno::ADDRINUSE) if port == "--port" => (port, taken(address.port(), ips)),
            Some(Errno::ADDRINUSE) => (port, format!("the port is taken; choose another with {port}")),
            Some(Errno::ACCESS | Errno::PERM) => {
                (port, format!("not permitted; ports below 1024 need root, choose another with {port}"))
            }
            Some(Errno::ADDRNOTAVAIL) => {
                (host, format!("this machine has no such address; choose another with {host}"))
            }
            Some(Errno::AFNOSUPPORT) => {
                (host, format!("this machine does not support that protocol; choose another with {host}"))
            }
            _ => (host, error.to_string()),
        };
        BindError { option, line: format!("cannot listen on {address}: {advice}") }
    }
}

/// Whether this machine does not have the address: `localhost` may be one without IPv6.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

/// The advice for a port that another program has: the next free one.
fn taken(port: u16, ips: &[IpAddr]) -> String {
    let is_free_at = |ip: &IpAddr, port| match TcpListener::bind((*ip, port)) {
        Ok(_) => true,
        Err(error) => is_missing(&error),
    };
    let is_free = |next: &u16| ips.iter().all(|ip| is_free_at(ip, *next));
    match (port..=u16::MAX).skip(1).take(PORTS_TO_TRY).find(is_free) {
        Some(free) => {
            format!("port {port} is taken; {free} is free: give -p {free}, or --port 0 for any free one")
        }
        None => format!("port {port} is taken; choose another with -p, or --port 0 for any free one"),
    }
}

/// The addresses of each place of a list; a Unix socket has none. In a reload another process looks them up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved(pub(super) Vec<Vec<SocketAddr>>);

impl Resolved {
    /// Looks up the names; a resolver may take long.
    ///
    /// # Errors
    /// When a host has no address.
    pub fn of(places: &[ListenSpec]) -> Result<Self, BindError> {
        places.iter().map(ListenSpec::resolve).collect::<Result<_, _>>().map(Self)
    }

    /// Whether only processes of this machine can connect to any of the places.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.iter().flatten().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// Takes the places from `at` on out of the list.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        Self(self.0.split_off(at))
    }

    /// A text for another process: a line for each place.
    #[must_use]
    pub fn to_text(&self, places: &[ListenSpec]) -> String {
        let line = |(place, addresses): (&ListenSpec, &Vec<SocketAddr>)| {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("{place:?}\t{}\n", addresses.join(" "))
        };
        places.iter().zip(&self.0).map(line).collect()
    }

    /// Reads the text; `None` unless it is about these places.
    #[must_use]
    pub fn from_text(text: &str, places: &[ListenSpec]) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let read = |(line, place): (&&str, &ListenSpec)| {
            let addresses = line.strip_prefix(&format!("{place:?}\t"))?;
            addresses.split_whitespace().map(|address| address.parse().ok()).collect::<Option<Vec<_>>>()
        };
        let all: Option<Vec<_>> = lines.iter().zip(places).map(read).collect();
        all.filter(|_| lines.len() == places.len()).map(Self)
    }
}

/// The address of a listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address with its real port.
    Internet(SocketAddr),
    /// The file of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The URL of what is served below `prefix`, with this scheme (`http` or `https`).
    #[must_use]
    pub fn url(&self, scheme: &str, prefix: &str) -> String {
        match self {
            Self::Internet(address) => format!("{scheme}://{address}{prefix}/"),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The port, of a TCP socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Internet(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// Whether only processes of this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Internet(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why there are no sockets: a line with advice, and the option that it is about.
#[derive(Debug, PartialEq, Eq)]
pub struct BindError {
    /// The option, with its dashes; `LISTEN_FDS` for the environment.
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
    /// An error of the environment.
    pub(super) fn of_environment(line: String) -> Self {
        Self { option: "LISTEN_FDS", line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_travel_as_a_text_about_their_places() {
        let places =
            ["[::1]:80", "127.0.0.1:0", "unix:/a b\nc"].map(|text| ListenSpec::parse(text).expect("a place"));
        let resolved = Resolved::of(&places).expect("no name");
        let text = resolved.to_text(&places);
        assert_eq!(Resolved::from_text(&text, &places), Some(resolved));
        assert_eq!(Resolved::from_text(&text, &places[1..]), None);
        assert_eq!(Resolved::from_text(&text, &[&places[..], &places[..1]].concat()), None);
        assert_eq!(Resolved::from_text("", &[]), Some(Resolved::default()));
    }

    #[test]
    fn a_place_is_on_this_machine_alone() {
        for (text, want) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("LocalHost:1", true),
            ("localhost.example:1", false),
            (":1", false),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
            ("unix:/a", false),
        ] {
            assert_eq!(ListenSpec::parse(text).expect("a place").is_loopback(), want, "{text}");
        }
        assert!(ListenSpec::host_and_port("[::1]", 1).is_loopback());
    }

    #[test]
    fn a_status_page_without_a_host_is_for_this_machine() {
        let status = |host: &str, port| Some(ListenSpec::Status(Endpoint::Host(host.into(), port)));
        for (text, want) in [
            ("9100", status("127.0.0.1", 9100)),
            (":9100", status("127.0.0.1", 9100)),
            ("0.0.0.0:0", status("0.0.0.0", 0)),
            ("[::1]:80", status("::1", 80)),
            ("unix:/a", Some(ListenSpec::Status(Endpoint::Unix("/a".into())))),
            ("", None),
            ("65536", None),
            ("host", None),
        ] {
            assert_eq!(ListenSpec::parse_status(text), want, "{text}");
        }
        let local = |text: &str| Address::Internet(text.parse().expect("an address")).is_local();
        assert!(local("127.0.0.1:1") && local("[::1]:1") && local("[::ffff:127.0.0.1]:1"));
        assert!(!local("0.0.0.0:1") && !local("[::]:1") && Address::Unix("/a".into()).is_local());
    }

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
            ("unix:./@x", Some(Endpoint::Unix("./@x".into()))),
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
            "unix:@x",
            "http://a:1",
        ] {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }
}
