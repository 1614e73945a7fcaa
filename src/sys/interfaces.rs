//! The addresses of this machine.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::ptr;

/// An address of a network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The name of the interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// The IPv4 and IPv6 addresses of the interfaces that are up and connected (getifaddrs(3)), loopback among them.
///
/// # Errors
/// As getifaddrs(3).
pub fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    let mut found = Vec::new();
    // SAFETY: `first` becomes a list that is freed once, at the end. Until then its entries are valid, their names end with a
    // zero byte, and each address is null or as long as its family says; it may begin anywhere, so it is copied.
    unsafe {
        if libc::getifaddrs(&raw mut first) != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut next = first;
        while let Some(entry) = next.as_ref() {
            next = entry.ifa_next;
            let family = entry.ifa_addr.as_ref().map_or(libc::AF_UNSPEC, |any| i32::from(any.sa_family));
            let address: IpAddr = match family {
                _ if !is_running(entry.ifa_flags) => continue,
                libc::AF_INET => {
                    let internet: libc::sockaddr_in = ptr::read_unaligned(entry.ifa_addr.cast());
                    Ipv4Addr::from(internet.sin_addr.s_addr.to_ne_bytes()).into()
                }
                libc::AF_INET6 => {
                    let internet: libc::sockaddr_in6 = ptr::read_unaligned(entry.ifa_addr.cast());
                    Ipv6Addr::from(internet.sin6_addr.s6_addr).into()
                }
                _ => continue,
            };
            let interface = CStr::from_ptr(entry.ifa_name).to_string_lossy().into_owned();
            found.push(InterfaceAddress { interface, address });
        }
        libc::freeifaddrs(first);
    }
    Ok(found)
}

fn is_running(flags: libc::c_uint) -> bool {
    [libc::IFF_UP, libc::IFF_RUNNING].iter().all(|flag| i64::from(flags) & i64::from(*flag) != 0)
}

/// The address from which this machine reaches others by default: that of the interface which has the default route. No
/// packet is sent. `None` without a route.
#[must_use]
pub fn of_default_route(is_ipv6: bool) -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849), which are behind every default route.
    let (here, there): (IpAddr, IpAddr) = match is_ipv6 {
        false => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        true => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    };
    let socket = UdpSocket::bind((here, 0)).ok()?;
    socket.connect((there, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_one_of_them() {
        let found = addresses().expect("addresses");
        assert!(found.iter().any(|one| one.address.is_loopback() && !one.interface.is_empty()), "{found:?}");
        assert!(!found.iter().any(|one| one.address.is_unspecified()), "{found:?}");
        // What the kernel chooses is one of them, too.
        for address in [false, true].into_iter().filter_map(of_default_route) {
            assert!(found.iter().any(|one| one.address == address), "{address} is not in {found:?}");
        }
    }
}
