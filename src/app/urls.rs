//! The URLs of a server, with those of this machine in its networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::server::Address;
use crate::sys::interfaces::{self, InterfaceAddress};

/// A machine may have hundreds of addresses; this many of those that others can use are shown.
const MOST_SHOWN: usize = 8;

/// One URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerUrl {
    pub(super) text: String,
    /// Who can use it beside this machine: a note for the reader, in parentheses; empty for nobody.
    pub(super) note: String,
    /// Whether another machine can use it.
    pub(super) is_shared: bool,
}

/// The URLs of the places at which a server listens, in their order. One that is every address of this machine has the
/// loopback address first, then IPv4, then IPv6, and the address of the default route before others.
pub(super) fn urls(addresses: &[Address], scheme: &str, prefix: &str) -> Vec<ServerUrl> {
    let is_everywhere =
        |address: &Address| matches!(address, Address::Internet(it) if it.ip().is_unspecified());
    let here = if addresses.iter().any(is_everywhere) { reachable() } else { Vec::new() };
    addresses.iter().flat_map(|address| of(address, scheme, prefix, &here)).collect()
}

/// The URL for a QR code: the first that another machine can use, or else the first.
pub(super) fn to_share(urls: &[ServerUrl]) -> Option<&ServerUrl> {
    urls.iter().find(|url| url.is_shared).or_else(|| to_open(urls))
}

/// The URL for a browser on this machine: the first one.
pub(super) fn to_open(urls: &[ServerUrl]) -> Option<&ServerUrl> {
    urls.iter().find(|url| !url.text.starts_with("unix:"))
}

fn of(address: &Address, scheme: &str, prefix: &str, here: &[InterfaceAddress]) -> Vec<ServerUrl> {
    let listens = match address {
        Address::Internet(listens) if listens.ip().is_unspecified() => listens,
        address => {
            let is_shared = !address.is_local();
            let note = if is_shared { "from other machines, too".into() } else { String::new() };
            return vec![ServerUrl { text: address.url(scheme, prefix), note, is_shared }];
        }
    };
    let url = |ip: IpAddr, note: String| {
        let text = Address::Internet(SocketAddr::new(ip, listens.port())).url(scheme, prefix);
        ServerUrl { text, is_shared: !note.is_empty(), note }
    };
    // A socket for every IPv6 address takes connections over IPv4 as well.
    let families = if listens.is_ipv4() { &[false][..] } else { &[false, true] };
    let local = |is_ipv6: &bool| match is_ipv6 {
        false => url(Ipv4Addr::LOCALHOST.into(), String::new()),
        true => url(Ipv6Addr::LOCALHOST.into(), String::new()),
    };
    let mut urls: Vec<_> = families.iter().map(local).collect();
    let found: Vec<_> = here.iter().filter(|one| families.contains(&one.address.is_ipv6())).collect();
    urls.extend(
        found
            .iter()
            .take(MOST_SHOWN)
            .map(|one| url(one.address, format!("from other machines, through {}", one.interface))),
    );
    if let (Some(last), more @ 1..) = (urls.last_mut(), found.len().saturating_sub(MOST_SHOWN)) {
        last.note += &format!("; {more} more addresses");
    }
    urls
}

/// The addresses of this machine at which others can reach it. Those of the link alone are left out: 169.254.0.0/16
/// (RFC 3927) as a sign of a network without a server of addresses, fe80::/10 (RFC 4291 §2.5.6) because a URL would need
/// the name of the interface on the other machine.
fn reachable() -> Vec<InterfaceAddress> {
    let is_for_others = |address: &IpAddr| match address.to_canonical() {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    let mut found = interfaces::addresses().unwrap_or_default();
    found.retain(|one| is_for_others(&one.address));
    let first = [false, true].map(interfaces::of_default_route);
    found.sort_by_key(|one| (one.address.is_ipv6(), !first.contains(&Some(one.address))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn internet(text: &str) -> Address {
        Address::Internet(text.parse().expect("an address"))
    }

    fn here(addresses: &[&str]) -> Vec<InterfaceAddress> {
        let one = |text: &&str| InterfaceAddress {
            interface: "eth0".into(),
            address: text.parse().expect("an address"),
        };
        addresses.iter().map(one).collect()
    }

    fn texts(urls: &[ServerUrl]) -> Vec<&str> {
        urls.iter().map(|url| url.text.as_str()).collect()
    }

    #[test]
    fn all_addresses_are_each_of_them() {
        let here = here(&["192.0.2.7", "2001:db8::7"]);
        let four = of(&internet("0.0.0.0:80"), "http", "/app", &here);
        assert_eq!(texts(&four), ["http://127.0.0.1:80/app/", "http://192.0.2.7:80/app/"]);
        assert_eq!(four[1].note, "from other machines, through eth0");
        assert_eq!(to_share(&four), Some(&four[1]));
        assert_eq!(to_open(&four), Some(&four[0]));
        let both = of(&internet("[::]:80"), "http", "", &here);
        let want =
            ["http://127.0.0.1:80/", "http://[::1]:80/", "http://192.0.2.7:80/", "http://[2001:db8::7]:80/"];
        assert_eq!(texts(&both), want);
    }

    #[test]
    fn one_address_is_itself() {
        for (address, text, is_shared) in [
            (internet("127.0.0.1:80"), "http://127.0.0.1:80/", false),
            (internet("[2001:db8::1]:80"), "http://[2001:db8::1]:80/", true),
            (Address::Unix("/run/socket".into()), "unix:/run/socket", false),
        ] {
            let urls = of(&address, "http", "", &here(&["192.0.2.7"]));
            assert_eq!((texts(&urls), urls[0].is_shared), (vec![text], is_shared));
        }
        assert_eq!(to_share(&of(&Address::Unix("/run/socket".into()), "http", "", &[])), None);
    }

    #[test]
    fn a_machine_with_many_addresses_shows_some() {
        let many: Vec<String> = (0..100).map(|number| format!("192.0.2.{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let urls = of(&internet("0.0.0.0:80"), "http", "", &here(&many));
        assert_eq!(urls.len(), 1 + MOST_SHOWN);
        assert!(urls[MOST_SHOWN].note.ends_with("; 92 more addresses"), "{}", urls[MOST_SHOWN].note);
    }

    #[test]
    fn this_machine_has_no_address_of_the_link() {
        let found = reachable();
        assert!(found.iter().all(|one| !one.address.is_loopback()), "{found:?}");
        assert!(!found.iter().any(|one| one.address.to_string().starts_with("fe80")), "{found:?}");
    }
}
