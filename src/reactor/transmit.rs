//! From the queue into the socket: `asynchat`'s `initiate_send`.

use std::io;
use std::os::fd::AsFd;

use super::dispatcher::Context;
use crate::chat::{OutQueue, Segment};

/// The result of [`transmit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmitted {
    /// How many bytes the socket took.
    pub bytes: u64,
    /// Whether the queue is empty now.
    pub drained: bool,
}

/// Sends from the front of `queue` until it is empty, the socket is full, or this turn's budget is spent.
///
/// # Errors
/// As send(2) and sendfile(2); `UnexpectedEof` when a file is shorter than was announced: the response cannot be
/// completed, and padding would be taken for content.
pub fn transmit(cx: &mut Context<'_>, socket: &impl AsFd, queue: &mut OutQueue) -> io::Result<Transmitted> {
    let before = queue.taken();
    let mut drained = false;
    loop {
        let sent = match queue.front()? {
            None => {
                drained = true;
                break;
            }
            Some(Segment::Bytes { bytes, more }) => cx.send(socket, bytes, more)?,
            Some(Segment::File { file, offset, len }) => match cx.send_file(socket, file, offset, len)? {
                Some(0) => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short"));
                }
                sent => sent,
            },
        };
        match sent {
            Some(count) => queue.advance(count),
            None => break,
        }
    }
    Ok(Transmitted { bytes: queue.taken() - before, drained })
}
