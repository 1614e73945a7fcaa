//! Orders of a master to one worker: messages on a pair of sockets, of which each process holds one end.
//!
//! An order needs no right to send signals (kill(2)), and the end of either process shows as the end of the other's
//! socket. A reopened log comes with its file (`SCM_RIGHTS`, unix(7)), because a worker may have given up the right to
//! open it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::socket::NO_SIGNAL;

/// The longest name: `PATH_MAX`.
const LONGEST_NAME: usize = 4096;

/// How often a call is tried for which the kernel has no memory.
const TRIES: u32 = 3;

/// Sockets that keep the boundaries of messages. Where the system has none, messages without a file may arrive as one:
/// each order begins with a NUL, which no name has.
const SOCKET_TYPE: SocketType =
    if cfg!(target_vendor = "apple") { SocketType::STREAM } else { SocketType::SEQPACKET };

/// `MSG_CMSG_CLOEXEC`: files arrive closed on exec. Where the flag does not exist, they are made so after they have arrived: a
/// worker starts no program, so none inherits them in between.
#[cfg(not(target_vendor = "apple"))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();

const DRAIN: &[u8] = b"\0D";
const STOP: &[u8] = b"\0S";

/// An open file with its name.
#[derive(Debug)]
pub struct PassedFile {
    /// The name that both processes use for it.
    pub name: Vec<u8>,
    /// The same open file description as the sender's.
    pub file: OwnedFd,
}

/// What a master tells a worker.
#[derive(Debug)]
pub enum MasterOrder {
    /// Accept nothing more, finish the responses that are due, exit.
    Drain,
    /// Exit at once.
    Stop,
    /// Write to this file from now on, if it is the log of that name.
    Log(PassedFile),
}

/// `socketpair(2)`: two connected sockets, non-blocking and closed on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(socketpair(AddressFamily::UNIX, SOCKET_TYPE, flags, None)?)
    }
    #[cfg(target_vendor = "apple")]
    {
        let (one, other) = socketpair(AddressFamily::UNIX, SOCKET_TYPE, SocketFlags::empty(), None)?;
        for socket in [&one, &other] {
            super::descriptor::set_flags(socket)?;
            super::socket::without_sigpipe(socket.as_fd())?;
        }
        Ok((one, other))
    }
}

/// Sends an order with sendmsg(2): `WouldBlock` when the other end is full, `EPIPE` when it is closed.
pub fn send(socket: BorrowedFd<'_>, order: &MasterOrder) -> io::Result<()> {
    let (bytes, file) = match order {
        MasterOrder::Drain => (DRAIN, None),
        MasterOrder::Stop => (STOP, None),
        MasterOrder::Log(passed) => (passed.name.as_slice(), Some([passed.file.as_fd()])),
    };
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if let Some(files) = &file {
        // It returns false without room; there is room for one file.
        control.push(SendAncillaryMessage::ScmRights(files));
    }
    tried(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut control, NO_SIGNAL))?;
    Ok(())
}

/// Receives with recvmsg(2) until nothing is left, and calls `each` for every order. Returns `false` when the other end
/// and every copy of it is closed. A log whose file does not arrive, because no descriptor is left, is an error.
pub fn receive(socket: BorrowedFd<'_>, mut each: impl FnMut(MasterOrder)) -> io::Result<bool> {
    let mut buffer = [0; LONGEST_NAME];
    loop {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            tried(|| recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, CLOSE_ON_EXEC));
        let count = match received {
            Ok(message) => message.bytes,
            Err(Errno::AGAIN) => return Ok(true),
            // The other process has ended with orders unread.
            Err(Errno::CONNRESET) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        #[cfg(target_vendor = "apple")]
        file.iter().try_for_each(|file| rustix::io::fcntl_setfd(file, rustix::io::FdFlags::CLOEXEC))?;
        let mut parts = buffer[..count].split(|byte| *byte == 0);
        let name = parts.next().unwrap_or_default();
        match file {
            Some(file) => each(MasterOrder::Log(PassedFile { name: name.to_vec(), file })),
            None if count == 0 => return Ok(false),
            None if !name.is_empty() => return Err(Errno::MFILE.into()),
            None => {}
        }
        for part in parts {
            match part {
                b"D" => each(MasterOrder::Drain),
                b"S" => each(MasterOrder::Stop),
                _ => {}
            }
        }
    }
}

/// Repeats a call that a signal has interrupted, and a few times one for which the kernel had no memory: it often has
/// some a moment later.
fn tried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let mut left = TRIES;
    loop {
        match call() {
            Err(Errno::INTR) => {}
            Err(Errno::NOMEM | Errno::NOBUFS) if left > 1 => left -= 1,
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn orders_arrive_in_order_logs_with_their_file_and_then_the_end() {
        let (ours, theirs) = pair().expect("sockets");
        let received = || {
            let mut orders = Vec::new();
            let is_open = receive(theirs.as_fd(), |order| orders.push(order)).expect("a line");
            (orders, is_open)
        };
        assert!(matches!(received(), (orders, true) if orders.is_empty()));
        let mut pipes = Vec::new();
        send(ours.as_fd(), &MasterOrder::Drain).expect("sent");
        for name in ["one", "another"] {
            let (read, write) = std::io::pipe().expect("a pipe");
            let passed = PassedFile { name: name.into(), file: write.into() };
            send(ours.as_fd(), &MasterOrder::Log(passed)).expect("sent");
            pipes.push((name, read));
        }
        send(ours.as_fd(), &MasterOrder::Stop).expect("sent");
        let (orders, is_open) = received();
        assert!(
            is_open
                && matches!(
                    orders[..],
                    [MasterOrder::Drain, MasterOrder::Log(_), MasterOrder::Log(_), MasterOrder::Stop]
                )
        );
        let mut logs = orders.into_iter().filter_map(|order| match order {
            MasterOrder::Log(passed) => Some(passed),
            _ => None,
        });
        for (name, mut read) in pipes {
            let passed = logs.next().expect("a file");
            assert_eq!(passed.name, name.as_bytes());
            rustix::io::write(&passed.file, name.as_bytes()).expect("a pipe");
            drop(passed);
            let mut text = String::new();
            read.read_to_string(&mut text).expect("the end: no other process holds it");
            assert_eq!(text, name);
        }
        send(ours.as_fd(), &MasterOrder::Drain).expect("sent");
        drop(ours);
        assert!(matches!(received(), (orders, false) if orders.len() == 1), "the last order, and the end");
        let (ours, _) = pair().expect("sockets");
        assert!(send(ours.as_fd(), &MasterOrder::Drain).is_err(), "the other end is closed");
    }

    #[test]
    fn a_call_without_memory_is_tried_again_but_not_for_ever() {
        let mut calls = 0;
        let mut fail = |times, errno| {
            calls = 0;
            let result = tried(|| {
                calls += 1;
                if calls <= times { Err(errno) } else { Ok(()) }
            });
            (result, calls)
        };
        assert_eq!(fail(2, Errno::NOMEM), (Ok(()), 3));
        assert_eq!(fail(9, Errno::NOBUFS), (Err(Errno::NOBUFS), 3));
        assert_eq!(fail(9, Errno::INTR), (Ok(()), 10));
        assert_eq!(fail(1, Errno::IO), (Err(Errno::IO), 1));
    }
}
