//! Handing open files from one process to another: `SCM_RIGHTS` (unix(7)).
//!
//! Whoever may open a file can give it to somebody who may not. A message is the name of one file, and the file.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// No name is longer (`PATH_MAX`).
const LONGEST_NAME: usize = 4096;

/// Messages with ends; where the system has none of that kind, a message ends where a file came with it.
const KIND: SocketType = if cfg!(any(target_os = "macos", target_os = "ios")) {
    SocketType::STREAM
} else {
    SocketType::SEQPACKET
};

/// An open file with its name.
#[derive(Debug)]
pub struct PassedFile {
    /// What the two processes call it.
    pub name: Vec<u8>,
    /// The same open file description as the sender's.
    pub file: OwnedFd,
}

/// What a socket has to say.
#[derive(Debug)]
pub enum Received {
    /// A file.
    File(PassedFile),
    /// Nothing, just now.
    Nothing,
    /// The other end is closed, and with it every copy of it.
    End,
}

/// Two sockets that are connected with each other; neither blocks or is inherited by another program.
///
/// # Errors
/// As socketpair(2).
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(any(target_os = "macos", target_os = "ios")))]
    return Ok(socketpair(AddressFamily::UNIX, KIND, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?);
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    {
        let (one, other) = socketpair(AddressFamily::UNIX, KIND, SocketFlags::empty(), None)?;
        for end in [&one, &other] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
            super::descriptor::set_nonblocking(end.as_fd())?;
        }
        Ok((one, other))
    }
}

/// Hands a file over.
///
/// # Errors
/// As sendmsg(2): `WouldBlock` when the other end takes nothing, `EPIPE` when it is closed.
pub fn hand(socket: BorrowedFd<'_>, handed: &PassedFile) -> io::Result<()> {
    let files = [handed.file.as_fd()];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    // There is room for one.
    control.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(socket, &[IoSlice::new(&handed.name)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes what has come. A message without a file is passed over.
///
/// # Errors
/// As recvmsg(2).
pub fn take(socket: BorrowedFd<'_>) -> io::Result<Received> {
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
    fn files_come_in_order_each_with_its_name_and_then_the_end() {
        let (ours, theirs) = pair().expect("sockets");
        assert!(matches!(take(theirs.as_fd()), Ok(Received::Nothing)));
        let mut pipes = Vec::new();
        for name in ["one", "another"] {
            let (read, write) = std::io::pipe().expect("a pipe");
            hand(ours.as_fd(), &PassedFile { name: name.into(), file: write.into() }).expect("sent");
            pipes.push((name, read));
        }
        for (name, mut read) in pipes {
            let Ok(Received::File(handed)) = take(theirs.as_fd()) else { panic!("a file") };
            assert_eq!(handed.name, name.as_bytes());
            rustix::io::write(&handed.file, name.as_bytes()).expect("a pipe");
            drop(handed);
            let mut text = String::new();
            read.read_to_string(&mut text).expect("the end: nobody else holds it");
            assert_eq!(text, name);
        }
        drop(ours);
        assert!(matches!(take(theirs.as_fd()), Ok(Received::End)));
        let file = pair().expect("sockets").0;
        let (ours, _) = pair().expect("sockets");
        assert!(hand(ours.as_fd(), &PassedFile { name: "late".into(), file }).is_err(), "nobody is there");
    }
}
