//! `sendfile(2)`: bytes of a file to a socket without a copy through this process.
//!
//! Three twins with one signature: Linux, the BSDs and macOS, and a read and a send for all other systems and for
//! files that the kernel cannot send.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::descriptor::read_at;
use super::fallback;
use super::socket::NO_SIGNAL;

/// The most bytes of one call: the limit of `sendfile(2)` on Linux.
const MAX_COUNT: usize = 0x7fff_f000;

/// Sends up to `count` bytes of `file`, from `offset`, to `socket` with sendfile(2) or send(2), and returns how many were
/// sent. `Ok(0)` means that the file ends at `offset`: it was cut while it was being sent.
pub fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    let count = count.min(MAX_COUNT);
    if count == 0 {
        return Ok(0);
    }
    if fallback::without_sendfile() {
        return copy(socket, file, offset, count);
    }
    match in_kernel(socket, file, offset, count) {
        // The file system cannot map pages (some FUSE, some virtual files), or fails: a read then succeeds, or tells why.
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::OVERFLOW | Errno::IO)
            ) =>
        {
            copy(socket, file, offset, count)
        }
        result => result,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn in_kernel(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    mut offset: u64,
    count: usize,
) -> io::Result<usize> {
    loop {
        match rustix::fs::sendfile(socket, file, Some(&mut offset), count) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

#[cfg(any(target_os = "freebsd", target_os = "dragonfly", target_vendor = "apple"))]
fn in_kernel(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
    use std::os::fd::AsRawFd;
    let (file, socket) = (file.as_raw_fd(), socket.as_raw_fd());
    let offset = libc::off_t::try_from(offset).map_err(|_| Errno::OVERFLOW)?;
    loop {
        // macOS takes the count where it returns how many were sent.
        #[cfg(target_vendor = "apple")]
        let (sent, result) = {
            let mut sent = libc::off_t::try_from(count).map_err(|_| Errno::OVERFLOW)?;
            // SAFETY: both descriptors are open for the call; `sent` is valid for reading and writing; no headers.
            let result =
                unsafe { libc::sendfile(file, socket, offset, &raw mut sent, std::ptr::null_mut(), 0) };
            (sent, result)
        };
        #[cfg(not(target_vendor = "apple"))]
        let (sent, result) = {
            let mut sent = 0;
            let no_headers = std::ptr::null_mut();
            // SAFETY: both descriptors are open for the call; `sent` is valid for writing; no headers.
            let result = unsafe { libc::sendfile(file, socket, offset, count, no_headers, &raw mut sent, 0) };
            (sent, result)
        };
        let error = if result == 0 { None } else { Errno::from_io_error(&io::Error::last_os_error()) };
        match partly(error, sent) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// What a call has sent that tells it in an out-parameter, also when the socket is full or a signal came in between. With
/// any other error the parameter may still have the value that the caller gave it.
#[cfg(any(test, target_os = "freebsd", target_os = "dragonfly", target_vendor = "apple"))]
fn partly(error: Option<Errno>, sent: i64) -> Result<usize, Errno> {
    match (error, usize::try_from(sent).unwrap_or(0)) {
        (None, sent) => Ok(sent),
        (Some(Errno::AGAIN | Errno::INTR), sent) if sent > 0 => Ok(sent),
        (Some(error), _) => Err(error),
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_vendor = "apple"
)))]
fn in_kernel(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
    copy(socket, file, offset, count)
}

/// The portable twin. It keeps nothing: bytes that the socket does not take are read again next time.
fn copy(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let wanted = count.min(buffer.len());
    let filled = read_at(file, &mut buffer[..wanted], offset)?;
    if filled == 0 {
        return Ok(0);
    }
    loop {
        match rustix::net::send(socket, &buffer[..filled], NO_SIGNAL) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    type Send = fn(BorrowedFd<'_>, BorrowedFd<'_>, u64, usize) -> io::Result<usize>;

    fn sent_by(send: Send, offset: u64, count: usize) -> (usize, Vec<u8>) {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(b"0123456789").expect("write");
        let (here, mut there) = UnixStream::pair().expect("a socket pair");
        let sent = send(here.as_fd(), file.as_fd(), offset, count).expect("send");
        drop(here);
        let mut got = Vec::new();
        there.read_to_end(&mut got).expect("read");
        (sent, got)
    }

    #[test]
    fn twins_agree() {
        for send in [in_kernel as Send, copy as Send] {
            assert_eq!(sent_by(send, 0, 10), (10, b"0123456789".to_vec()));
            assert_eq!(sent_by(send, 7, 2), (2, b"78".to_vec()));
            assert_eq!(sent_by(send, 7, 100), (3, b"789".to_vec()), "a file that is shorter than the count");
            assert_eq!(sent_by(send, 10, 5), (0, Vec::new()), "a file that was cut");
        }
    }

    /// The out-parameter counts only where the manual says so: sendfile(2) of FreeBSD and of macOS.
    #[test]
    fn partial_results() {
        assert_eq!(partly(None, 0), Ok(0), "the end of the file");
        assert_eq!(partly(None, 7), Ok(7));
        assert_eq!(partly(Some(Errno::AGAIN), 7), Ok(7), "the socket is full now");
        assert_eq!(partly(Some(Errno::AGAIN), 0), Err(Errno::AGAIN));
        assert_eq!(partly(Some(Errno::INTR), 7), Ok(7));
        assert_eq!(partly(Some(Errno::INTR), 0), Err(Errno::INTR));
        assert_eq!(partly(Some(Errno::INVAL), 7), Err(Errno::INVAL), "macOS has not written the parameter");
        assert_eq!(partly(Some(Errno::PIPE), 7), Err(Errno::PIPE));
    }

    #[test]
    fn a_full_socket_would_block() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_len(64 << 20).expect("a sparse file");
        for send in [in_kernel as Send, copy as Send] {
            let (here, _there) = UnixStream::pair().expect("a socket pair");
            here.set_nonblocking(true).expect("non-blocking");
            let error = (0..100_000)
                .find_map(|_| send(here.as_fd(), file.as_fd(), 0, 1 << 20).err())
                .expect("the socket fills up");
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
    }
}
