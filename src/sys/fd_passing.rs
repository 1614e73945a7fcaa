//! Passing open files from one process to another: `SCM_RIGHTS` (unix(7)).
//!
//! A process that may open a file can pass it to one that may not. A message is the name of one file, and the file.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// The longest name: `PATH_MAX`.
const LONGEST_NAME: usize = 4096;

/// Sockets that keep the boundaries of messages; where the system has none, a message ends with its file.
const SOCKET_TYPE: SocketType = if cfg!(any(target_os = "macos", target_os = "ios")) {
    SocketType::STREAM
} else {
    SocketType::SEQPACKET
};

/// An open file with its name.
#[derive(Debug)]
pub struct PassedFile {
    /// The name that both processes use for it.
    pub name: Vec<u8>,
    /// The same open file description as the sender's.
    pub file: OwnedFd,
}

/// What [`receive`] finds.
#[derive(Debug)]
pub enum Received {
    /// A file.
    File(PassedFile),
    /// Nothing now.
    Nothing,
    /// The other end and every copy of it is closed.
    End,
}

/// `socketpair(2)`: two connected sockets, non-blocking and closed on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(any(target_os = "macos", target_os = "ios")))]
    return Ok(socketpair(
        AddressFamily::UNIX,
        SOCKET_TYPE,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?);
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    {
        let (one, other) = socketpair(AddressFamily::UNIX, SOCKET_TYPE, SocketFlags::empty(), None)?;
        [&one, &other].into_iter().try_for_each(super::descriptor::set_flags)?;
        Ok((one, other))
    }
}

/// Sends a file with sendmsg(2): `WouldBlock` when the other end is full, `EPIPE` when it is closed.
pub fn send(socket: BorrowedFd<'_>, passed: &PassedFile) -> io::Result<()> {
    let files = [passed.file.as_fd()];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    // It returns false without room; there is room for one file.
    control.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(socket, &[IoSlice::new(&passed.name)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one file with recvmsg(2). A message without a file is ignored.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Received> {
    let mut name = [0; LONGEST_NAME];
    loop {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let count = match recvmsg(socket, &mut [IoSliceMut::new(&mut name)], &mut control, flags) {
            Ok(message) => message.bytes,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            Err(error) => return Err(error.into()),
        };
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        match file {
            Some(file) => return Ok(Received::File(PassedFile { name: name[..count].to_vec(), file })),
            None if count == 0 => return Ok(Received::End),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn files_arrive_in_order_each_with_its_name_and_then_the_end() {
        let (ours, theirs) = pair().expect("sockets");
        assert!(matches!(receive(theirs.as_fd()), Ok(Received::Nothing)));
        let mut pipes = Vec::new();
        for name in ["one", "another"] {
            let (read, write) = std::io::pipe().expect("a pipe");
            send(ours.as_fd(), &PassedFile { name: name.into(), file: write.into() }).expect("sent");
            pipes.push((name, read));
        }
        for (name, mut read) in pipes {
            let Ok(Received::File(passed)) = receive(theirs.as_fd()) else { panic!("a file") };
            assert_eq!(passed.name, name.as_bytes());
            rustix::io::write(&passed.file, name.as_bytes()).expect("a pipe");
            drop(passed);
            let mut text = String::new();
            read.read_to_string(&mut text).expect("the end: no other process holds it");
            assert_eq!(text, name);
        }
        drop(ours);
        assert!(matches!(receive(theirs.as_fd()), Ok(Received::End)));
        let file = pair().expect("sockets").0;
        let (ours, _) = pair().expect("sockets");
        assert!(
            send(ours.as_fd(), &PassedFile { name: "late".into(), file }).is_err(),
            "the other end is closed"
        );
    }
}
