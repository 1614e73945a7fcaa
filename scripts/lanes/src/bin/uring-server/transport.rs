//! A transport between completions: what one read has brought, and what one write will take.

use std::io;
use std::mem;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use stheno::chat::Transport;

/// The most bytes of output that one write takes. A file is copied: io_uring has no sendfile, and splice would need a pipe
/// for each connection.
const WRITE: usize = 128 * 1024;

/// The bytes of a connection that is about to close, beside those of `input`.
const LATE: usize = 4096;

/// What a turn leaves to be done, in this order.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The connection is reset, and nothing else.
    pub(crate) resets: bool,
    pub(crate) output: Vec<u8>,
    /// The sending half is closed.
    pub(crate) ends: bool,
}

#[derive(Debug)]
pub(crate) struct Completions<'a> {
    socket: BorrowedFd<'a>,
    /// What a read has brought, once; empty for the end.
    input: Option<&'a [u8]>,
    outcome: Outcome,
    looks_again: bool,
    late: Vec<u8>,
}

impl<'a> Completions<'a> {
    /// `output` is empty memory.
    pub(crate) fn new(socket: BorrowedFd<'a>, input: Option<&'a [u8]>, output: Vec<u8>) -> Self {
        let outcome = Outcome { output, ..Outcome::default() };
        Self { socket, input, outcome, looks_again: false, late: Vec::new() }
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        self.outcome
    }

    fn room(&self) -> usize {
        WRITE - self.outcome.output.len()
    }
}

impl Transport for Completions<'_> {
    fn recv(&mut self) -> io::Result<Option<&[u8]>> {
        if !mem::take(&mut self.looks_again) || self.input.is_some() {
            return Ok(self.input.take());
        }
        self.late.resize(LATE, 0);
        match rustix::net::recv(self.socket, &mut self.late[..], RecvFlags::DONTWAIT) {
            Ok((count, _)) => Ok(Some(&self.late[..count])),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn look_again(&mut self) {
        self.looks_again = true;
    }

    fn send(&mut self, bytes: &[u8], _more: bool) -> io::Result<Option<usize>> {
        let count = bytes.len().min(self.room());
        self.outcome.output.extend_from_slice(&bytes[..count]);
        Ok((count > 0).then_some(count))
    }

    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<Option<usize>> {
        let (room, output) = (self.room(), &mut self.outcome.output);
        let (filled, count) = (output.len(), usize::try_from(len).map_or(room, |len| len.min(room)));
        if count == 0 {
            return Ok(None);
        }
        output.resize(filled + count, 0);
        let taken = rustix::io::pread(file, &mut output[filled..], offset);
        output.truncate(filled + *taken.as_ref().unwrap_or(&0));
        Ok(Some(taken?))
    }

    fn shutdown(&mut self) {
        self.outcome.ends = true;
    }

    fn reset(&mut self) -> io::Result<()> {
        self.outcome.resets = true;
        Ok(())
    }
}
