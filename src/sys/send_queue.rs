//! What a socket has taken and its peer has not acknowledged.

use std::os::fd::BorrowedFd;

/// How many bytes of a connected stream socket the peer has not acknowledged: `SIOCOUTQ` of Linux (tcp(7), unix(7): there
/// with the kernel's own overhead), `FIONWRITE` of FreeBSD and NetBSD, `SO_NWRITE` of macOS. `None` elsewhere.
#[must_use]
pub fn unacknowledged(socket: BorrowedFd<'_>) -> Option<u64> {
    system::unacknowledged(socket)
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "netbsd"))]
mod system {
    use std::os::fd::{AsRawFd, BorrowedFd};

    #[cfg(any(target_os = "linux", target_os = "android"))]
    use libc::TIOCOUTQ as OUTPUT;

    #[cfg(any(target_os = "freebsd", target_os = "netbsd"))]
    use libc::FIONWRITE as OUTPUT;

    pub(super) fn unacknowledged(socket: BorrowedFd<'_>) -> Option<u64> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the request writes one int, and `bytes` is one that lives until the call returns.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), OUTPUT, &raw mut bytes) };
        if result == 0 { u64::try_from(bytes).ok() } else { None }
    }
}

#[cfg(target_vendor = "apple")]
mod system {
    use std::os::fd::{AsRawFd, BorrowedFd};

    pub(super) fn unacknowledged(socket: BorrowedFd<'_>) -> Option<u64> {
        let mut bytes: libc::c_int = 0;
        #[allow(clippy::cast_possible_truncation, reason = "the size of an int")]
        let mut length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: `bytes` is an int of `length` bytes, and both live until the call returns.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NWRITE,
                (&raw mut bytes).cast(),
                &raw mut length,
            )
        };
        if result == 0 { u64::try_from(bytes).ok() } else { None }
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_vendor = "apple"
)))]
mod system {
    use std::os::fd::BorrowedFd;

    pub(super) fn unacknowledged(_: BorrowedFd<'_>) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    /// On loopback the kernel of the peer acknowledges at once what fits in its buffer.
    #[test]
    fn what_does_not_fit_is_not_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        let (server, _) = listener.accept().expect("accept");
        assert!(unacknowledged(server.as_fd()).is_none_or(|bytes| bytes == 0));
        server.set_nonblocking(true).expect("non-blocking");
        let mut sent = 0;
        while let Ok(count) = (&server).write(&[b'x'; 64 * 1024]) {
            sent += count;
        }
        let Some(before) = unacknowledged(server.as_fd()) else {
            return;
        };
        assert!(before > 0 && before <= sent as u64, "{before} of {sent}");
        client.read_exact(&mut vec![0; sent]).expect("all of it");
        // The acknowledgement of the last segment may be delayed.
        while unacknowledged(server.as_fd()) != Some(0) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_unix_socket_tells_it_too() {
        let (mut one, mut other) = UnixStream::pair().expect("a pair");
        one.write_all(b"twelve bytes").expect("write");
        let Some(before) = unacknowledged(one.as_fd()) else {
            return;
        };
        if cfg!(any(target_os = "linux", target_os = "android")) {
            assert!(before >= 12, "{before}");
        }
        other.read_exact(&mut [0; 12]).expect("read");
        assert_eq!(unacknowledged(one.as_fd()), Some(0));
    }
}
