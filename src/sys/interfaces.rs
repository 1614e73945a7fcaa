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
    // SAFETY: `first` is valid for writing, and becomes a list that `freeifaddrs` below frees.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut next = first;
    // SAFETY: `next` is null or an entry of the list, which is not freed before the end of the loop.
    while let Some(entry) = unsafe { next.as_ref() } {
        let is_running = [libc::IFF_UP, libc::IFF_RUNNING]
            .iter()
            .all(|flag| i64::from(entry.ifa_flags) & i64::from(*flag) != 0);
        // SAFETY: the address and the name are the entry's, and so live as long as the list.
        if let Some(address) = unsafe { internet(entry.ifa_addr) }.filter(|_| is_running) {
            // SAFETY: as above; a name ends with a zero byte.
            let interface = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
            found.push(InterfaceAddress { interface, address });
        }
        next = entry.ifa_next;
    }
    // SAFETY: the list is getifaddrs's own, and nothing points to it any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

/// The IP address in a socket address.
///
/// # Safety
/// `address` is null, or points to a socket address that is as long as its family says.
unsafe fn internet(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: every socket address has a family; the caller vouches for its length.
    match i32::from(unsafe { address.as_ref() }?.sa_family) {
        libc::AF_INET => {
            // SAFETY: the family says what it is; it may begin anywhere.
            let internet: libc::sockaddr_in = unsafe { ptr::read_unaligned(address.cast()) };
            Some(Ipv4Addr::from(internet.sin_addr.s_addr.to_ne_bytes()).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let internet: libc::sockaddr_in6 = unsafe { ptr::read_unaligned(address.cast()) };
            Some(Ipv6Addr::from(internet.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
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
