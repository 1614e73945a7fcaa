//! Sets of addresses, as `--allow` and the options for proxies name them.

use std::net::IpAddr;

use crate::reactor::Peer;

/// The advice for a set that cannot be read.
pub const NETWORKS: &str = "give addresses or networks such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32, separated by \
    commas; private for those of private networks and this machine, unix for connections through a Unix socket";

/// The networks of the word `private`: loopback (RFC 1122, RFC 4291), private use (RFC 1918, RFC 4193) and link-local
/// (RFC 3927, RFC 4291).
const PRIVATE: [&str; 8] = [
    "127.0.0.0/8",
    "::1",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "169.254.0.0/16",
    "fe80::/10",
];

/// The bits of an IPv4 address in the form of IPv6 (RFC 4291 §2.5.5.2) before its own.
const MAPPED: u8 = 96;

/// A network: an address, and the number of its bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    prefix: u8,
}

/// A set of addresses, and perhaps of connections through Unix sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    networks: Vec<Network>,
    unix: bool,
}

impl Networks {
    /// Reads a list with commas; `*` is every peer. An IPv4 address in the form of IPv6 is the IPv4 address; `::/0` is IPv6 only.
    ///
    /// # Errors
    /// What to give instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut set = Self::default();
        for word in text.split(',').map(str::trim) {
            match word {
                "unix" | "unix:" => set.unix = true,
                "*" => set.extend(Self::parse("0.0.0.0/0, ::/0, unix")?),
                "private" => {
                    for word in PRIVATE {
                        set.networks.push(Network::parse(word)?);
                    }
                }
                word => set.networks.push(Network::parse(word)?),
            }
        }
        Ok(set)
    }

    /// Adds the members of another set.
    pub fn extend(&mut self, other: Self) {
        self.networks.extend(other.networks);
        self.unix |= other.unix;
    }

    /// Whether the peer is a member.
    #[must_use]
    pub fn contains(&self, peer: Peer) -> bool {
        match peer.ip() {
            Some(ip) => self.networks.iter().any(|network| network.contains(ip)),
            None => self.unix,
        }
    }
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let advice = || NETWORKS.to_string();
        let (address, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
        let given: IpAddr = address.parse().map_err(|_| advice())?;
        let most = if given.is_ipv4() { 32 } else { 128 };
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => most,
            Some(text) if is_number(text) => text.parse().map_err(|_| advice())?,
            Some(_) => return Err(advice()),
        };
        let first = given.to_canonical();
        let network = match (given.is_ipv6() && first.is_ipv4(), prefix) {
            (_, prefix) if prefix > most => return Err(advice()),
            (true, prefix) if prefix < MAPPED => return Err(advice()),
            (true, prefix) => Self { first, prefix: prefix - MAPPED },
            (false, prefix) => Self { first, prefix },
        };
        let begin = network.begin();
        if begin != first {
            return Err(format!("{text} has bits after its prefix: give {begin}/{}", network.prefix));
        }
        Ok(network)
    }

    /// The first address of the network that `first` is in.
    fn begin(&self) -> IpAddr {
        let prefix = u32::from(self.prefix);
        match self.first {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                IpAddr::V4((ip.to_bits() & mask).into())
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
                IpAddr::V6((ip.to_bits() & mask).into())
            }
        }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let same = self.first.is_ipv4() == ip.is_ipv4();
        same && Self { first: ip, ..*self }.begin() == self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn peer(ip: &str) -> Peer {
        SocketAddr::new(ip.parse().expect("an address"), 1).into()
    }

    #[test]
    fn members() {
        for (set, inside, outside) in [
            ("192.0.2.7", "192.0.2.7 ::ffff:192.0.2.7", "192.0.2.6 2001:db8::1"),
            ("10.0.0.0/8, 2001:db8::/32", "10.255.0.1 2001:db8:1::2 ::ffff:10.1.1.1", "11.0.0.1 2001:db9::1"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1 ::1"),
            ("0.0.0.0/0", "1.2.3.4 255.255.255.255", "::1 2001:db8::1"),
            ("::/0", "::1 ffff::", "1.2.3.4 ::ffff:1.2.3.4"),
            ("198.51.100.128/25", "198.51.100.128 198.51.100.255", "198.51.100.127"),
            (
                "private",
                "127.0.0.1 ::1 10.0.0.1 172.31.0.1 192.168.1.1 fd00::1 fe80::1",
                "172.32.0.1 8.8.8.8",
            ),
            ("unix", "", "127.0.0.1"),
            ("*", "1.2.3.4 ::1", ""),
        ] {
            let networks = Networks::parse(set).expect(set);
            let is_in = |ip: &str| networks.contains(peer(ip));
            assert!(inside.split_whitespace().all(is_in), "{set}: {inside}");
            assert!(!outside.split_whitespace().any(is_in), "{set}: {outside}");
            assert_eq!(networks.contains(Peer::Unix), ["unix", "*"].contains(&set), "{set}");
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for text in [
            "",
            "10.0.0.0/8,",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0/8",
            "::/129",
            "::ffff:0:0/95",
            "localhost",
            "10.0.0.1/8",
            "fe80::1%eth0",
            "2001:db8::1/32",
        ] {
            assert!(Networks::parse(text).is_err(), "{text}");
        }
        let line = Networks::parse("10.0.0.1/8").expect_err("bits");
        assert_eq!(line, "10.0.0.1/8 has bits after its prefix: give 10.0.0.0/8");
    }
}
