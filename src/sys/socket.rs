//! Sockets: listeners with their options, and `send` with its flags.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

/// Unsent bytes that the kernel keeps for one connection before the socket is full. A client that never reads pins
/// 4 MiB of kernel memory in servers that leave this unset, 135 KB with 128 KiB.
pub const NOTSENT_LOWAT: u32 = 128 * 1024;

/// [`NOTSENT_LOWAT`] of a connection whose peer reads. The kernel sends what it keeps as soon as the peer has room,
/// without a turn of this process: large files cost a third less.
pub const GENEROUS_LOWAT: u32 = 4 * 1024 * 1024;

/// How long a connection is silent before the kernel probes whether the peer is still there.
pub const FIRST_PROBE: Duration = Duration::from_secs(30);

/// `MSG_NOSIGNAL`: a send to a peer that is gone fails with `EPIPE`, and raises no `SIGPIPE`. Where the flag does not exist,
/// sockets have an option for it ([`without_sigpipe`]).
#[cfg(not(target_vendor = "apple"))]
pub const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
/// No flag: see [`without_sigpipe`].
#[cfg(target_vendor = "apple")]
pub const NO_SIGNAL: SendFlags = SendFlags::empty();

/// Sets `SO_NOSIGPIPE` where [`NO_SIGNAL`] is no flag; elsewhere it makes no call.
pub fn without_sigpipe(socket: BorrowedFd<'_>) -> io::Result<()> {
    #[cfg(target_vendor = "apple")]
    rustix::net::sockopt::set_socket_nosigpipe(socket, true)?;
    let _ = socket;
    Ok(())
}

/// The longest time that Linux accepts for that (`MAX_TCP_KEEPIDLE`).
const LATEST_PROBE: Duration = Duration::from_secs(32_767);

/// Makes a listening socket with socket(2), bind(2), listen(2): non-blocking, `SO_REUSEADDR` (a restart must not wait
/// for TIME_WAIT), and with the options that accepted sockets inherit (`TCP_NODELAY`, `TCP_NOTSENT_LOWAT`,
/// `SO_KEEPALIVE`).
///
/// An IPv6 wildcard address serves IPv4 as well.
pub fn listen(address: SocketAddr, backlog: i32, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if reuse_port {
        set_reuse_port(&socket)?;
    }
    if let SocketAddr::V6(v6) = address {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    prepare_listener(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Sets the options that accepted sockets inherit.
fn prepare_listener(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    set_notsent_lowat(socket, NOTSENT_LOWAT)?;
    set_first_probe(socket.as_fd(), FIRST_PROBE)
}

/// A listening socket of either kind.
#[derive(Debug)]
pub enum Adopted {
    /// A socket with an IP address.
    Tcp(TcpListener),
    /// A socket with a path.
    Unix(UnixListener),
}

/// Makes a listener of a socket that this process was started with, with the options of [`listen`].
///
/// # Errors
/// `InvalidInput` with a reason for anything but a listening TCP or Unix socket; otherwise as getsockopt(2).
pub fn adopt(socket: OwnedFd) -> io::Result<Adopted> {
    use rustix::net::{AddressFamily, SocketType, getsockname, sockopt};
    let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    match sockopt::socket_type(&socket) {
        Err(Errno::NOTSOCK) => return wrong("it is no socket"),
        kind if kind? != SocketType::STREAM => return wrong("it is no stream socket"),
        _ => {}
    }
    let family = getsockname(&socket)?.address_family();
    if ![AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX].contains(&family) {
        return wrong("it is neither a TCP nor a Unix socket");
    }
    // macOS declares the option, and does not know it: accept(2) then says it.
    #[cfg(not(target_vendor = "apple"))]
    if !sockopt::socket_acceptconn(&socket)? {
        return wrong("it does not listen");
    }
    let socket = Socket::from(socket);
    socket.set_nonblocking(true)?;
    if family == AddressFamily::UNIX {
        return Ok(Adopted::Unix(socket.into()));
    }
    prepare_listener(&socket)?;
    Ok(Adopted::Tcp(socket.into()))
}

/// Makes a non-blocking listening socket at a free `path`, whose file has the permissions `mode`: socket(2), bind(2),
/// chmod(2), listen(2), in this order, because peers can connect after listen(2). Fails with `InvalidInput` when the
/// path is too long for an address.
pub fn listen_unix(path: &Path, mode: u32, backlog: i32) -> io::Result<UnixListener> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&address)?;
    #[allow(clippy::useless_conversion, reason = "the type of a mode differs between systems")]
    let mode = Mode::from_raw_mode(mode.try_into().unwrap_or_default());
    let listening = rustix::fs::chmodat(CWD, path, mode, rustix::fs::AtFlags::empty())
        .map_err(io::Error::from)
        .and_then(|()| socket.listen(backlog))
        .and_then(|()| socket.set_nonblocking(true));
    if let Err(error) = listening {
        // bind(2) has just made it.
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    Ok(socket.into())
}

/// Checks that a path is short enough for the address of a Unix socket; fails with `InvalidInput`.
pub fn check_unix_path(path: &Path) -> io::Result<()> {
    SockAddr::unix(path).map(drop)
}

/// Whether a process listens at the socket `path` (connect(2)). A process that was killed leaves a stale file.
pub fn is_answered(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full queue must not block this process; it means that a process listens.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
            // PROTOTYPE: a datagram socket.
            Some(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => Ok(true),
            _ => Err(error),
        },
    }
}

/// Whether other sockets may listen at the same address (`SO_REUSEPORT`).
#[must_use]
pub fn has_reuse_port(socket: BorrowedFd<'_>) -> bool {
    rustix::net::sockopt::socket_reuseport(socket).unwrap_or(false)
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"))]
fn set_reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd")))]
fn set_reuse_port(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Lets the kernel close connections of `listener` to peers that have disappeared (machine off, cable out): when nothing has
/// arrived for this time, at most 32,767 s, and two probes have no answer (RULES C22).
pub fn set_first_probe(listener: BorrowedFd<'_>, time: Duration) -> io::Result<()> {
    let probes = TcpKeepalive::new().with_time(time.min(LATEST_PROBE));
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos"))]
    let probes = probes.with_interval(Duration::from_secs(15)).with_retries(2);
    SockRef::from(&listener).set_tcp_keepalive(&probes)
}

/// Lets the kernel close connections of `listener` whose peer has acknowledged nothing, or has had no room, for this time
/// (`TCP_USER_TIMEOUT`, tcp(7); on Linux only). It also replaces the number of unanswered probes.
pub fn set_user_timeout(listener: BorrowedFd<'_>, time: Duration) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(&listener).set_tcp_user_timeout(Some(time))?;
    let _ = (listener, time);
    Ok(())
}

/// Lets the kernel keep [`GENEROUS_LOWAT`] bytes of one connection: setsockopt(2), on Linux only.
pub fn be_generous(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_notsent_lowat(&SockRef::from(&socket), GENEROUS_LOWAT)
}

fn set_notsent_lowat(socket: &Socket, bytes: u32) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(bytes)?;
    let _ = (socket, bytes);
    Ok(())
}

/// Lets the kernel report a connection of `listener` when its first bytes are there, or after a second, or ends that
/// (`TCP_DEFER_ACCEPT`, tcp(7)): the first read of an accepted connection then finds bytes.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn defer_accept(listener: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let seconds = libc::c_int::from(on);
    #[allow(clippy::cast_possible_truncation, reason = "the size of an int")]
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is an int that lives until the call returns, and `length` is its size.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Fails with `Unsupported` if `on`: the option exists on Linux only.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn defer_accept(_: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    if on { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
}

/// How many connections wait in the queue of a listening TCP socket (`TCP_INFO`, tcp(7)).
///
/// # Errors
/// As getsockopt(2); `Unsupported` outside Linux.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn queue_length(listener: BorrowedFd<'_>) -> io::Result<usize> {
    const WORDS: usize = QUEUE_FIELD + 1;
    tcp_info::<WORDS>(listener).map(|info| info[QUEUE_FIELD] as usize)
}

/// The length of the queue of a listening TCP socket, and the most that it takes: the backlog of listen(2), which
/// `net.core.somaxconn` limits.
///
/// # Errors
/// As [`queue_length`].
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn queue(listener: BorrowedFd<'_>) -> io::Result<(usize, usize)> {
    const LIMIT_FIELD: usize = std::mem::offset_of!(libc::tcp_info, tcpi_sacked) / size_of::<u32>();
    const WORDS: usize = LIMIT_FIELD + 1;
    tcp_info::<WORDS>(listener).map(|info| (info[QUEUE_FIELD] as usize, info[LIMIT_FIELD] as usize))
}

/// The field that is the length of the queue of a listener (`tcp_get_info` in net/ipv4/tcp.c); `tcpi_sacked` is its limit.
#[cfg(any(target_os = "linux", target_os = "android"))]
const QUEUE_FIELD: usize = std::mem::offset_of!(libc::tcp_info, tcpi_unacked) / size_of::<u32>();

/// The first words of `TCP_INFO`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn tcp_info<const WORDS: usize>(socket: BorrowedFd<'_>) -> io::Result<[u32; WORDS]> {
    let mut info = [0_u32; WORDS];
    #[allow(clippy::cast_possible_truncation, reason = "the size of an array of eight")]
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` has `length` bytes, and both live until the call returns; the kernel writes no more than `length`
    // bytes of its structure.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}

/// Fails with `Unsupported`: the option exists on Linux only.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn queue_length(_: BorrowedFd<'_>) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Fails with `Unsupported`: the option exists on Linux only.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn queue(_: BorrowedFd<'_>) -> io::Result<(usize, usize)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether a socket listens and [`queue`] tells of it; any other descriptor does not.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[must_use]
pub fn is_listening(socket: BorrowedFd<'_>) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// False: no queue is told here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[must_use]
pub fn is_listening(_: BorrowedFd<'_>) -> bool {
    false
}

/// Sets the options that an accepted socket does not inherit from its listener. On Linux it inherits all of them, and
/// this makes no call.
pub fn prepare_accepted(socket: BorrowedFd<'_>) -> io::Result<()> {
    if cfg!(any(target_os = "linux", target_os = "android")) {
        return Ok(());
    }
    without_sigpipe(socket)?;
    Ok(rustix::net::sockopt::set_tcp_nodelay(socket, true)?)
}

/// The address of the other end of a connected TCP socket; `None` for any other descriptor.
#[must_use]
pub fn peer(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    SockRef::from(&socket).peer_addr().ok()?.as_socket()
}

/// `send(2)` without `SIGPIPE`. With `more`, the kernel waits for the following bytes, at most 200 ms, before it makes a
/// segment (`MSG_MORE`): the head of a response and its file leave together. On Linux only: `TCP_NOPUSH` of other systems
/// has no limit of time, and a response whose next piece is late would be held.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], more: bool) -> io::Result<usize> {
    loop {
        match rustix::net::send(socket, bytes, flags(more)) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// As [`send`], for `first` and then `second` (sendmsg(2)).
pub fn send_both(socket: BorrowedFd<'_>, first: &[u8], second: &[u8], more: bool) -> io::Result<usize> {
    let slices = [IoSlice::new(first), IoSlice::new(second)];
    loop {
        match rustix::net::sendmsg(socket, &slices, &mut SendAncillaryBuffer::default(), flags(more)) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

fn flags(more: bool) -> SendFlags {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if more {
        return NO_SIGNAL | SendFlags::MORE;
    }
    let _ = more;
    NO_SIGNAL
}

/// Makes the next close(2) a reset that discards unsent bytes (`SO_LINGER` 0), so that the kernel memory of a client
/// that has stopped reading is free at once.
pub fn reset_on_close(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))?)
}
