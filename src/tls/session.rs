//! One TLS session between a transport and a protocol; it does no input and output of its own.
//!
//! *Input.* All plaintext of a read is handed on at once, so rustls never holds any that no event would announce.
//!
//! *Output.* The protocol is told that its bytes have left when their ciphertext has left. If the transport takes only a
//! part, the session owes the protocol the rest: further calls repeat the same bytes, and pay for them, without
//! encrypting them again. So deadlines, rates and the log of the protocol are as true as over a plain socket, and the
//! ciphertext that waits is bounded by one piece. A small beginning of an output, such as the head of a response, is held
//! until the rest comes in the same hook: both leave in one record.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::SystemTime;

use rustls::ServerConnection;

use super::Tls;
use crate::chat::Transport;

/// The most plaintext of a record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// The most plaintext that is encrypted for one send, and so the most that waits for a peer that does not read.
const PIECE: usize = 4 * RECORD;

/// The type of a record with a handshake message (RFC 8446 §5.1), the first byte of every TLS connection.
const HANDSHAKE: u8 = 22;

/// The body of the response to a request without TLS.
const SPEAKS_HTTPS: &str = "400 Bad Request\nThis port speaks HTTPS: use https:// in the URL\n";

/// The server's side of a session.
#[derive(Debug)]
pub struct Session {
    tls: ServerConnection,
    shared: Rc<Tls>,
    /// The plaintext of the last read; lent by [`Tls`] for the time of a hook.
    plain: Vec<u8>,
    /// Plaintext that the protocol believes to have left, and that leaves with what follows, or at the end of the hook.
    held: Vec<u8>,
    /// Plaintext that is encrypted, and that the protocol does not know to have left.
    owed: usize,
    /// No byte has come so far.
    is_new: bool,
    /// The peer has closed its half.
    is_ended: bool,
    closing: Closing,
}

/// How far this side's half is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Open,
    /// The end is announced (`close_notify`); once this has left, the transport is shut down.
    Notified,
    /// The transport is shut down, or about to be reset.
    Done,
}

impl Session {
    /// A session that waits for a `ClientHello`.
    pub(super) fn new(tls: ServerConnection, shared: Rc<Tls>) -> Self {
        Self {
            tls,
            shared,
            plain: Vec::new(),
            held: Vec::new(),
            owed: 0,
            is_new: true,
            is_ended: false,
            closing: Closing::Open,
        }
    }

    /// Receives plaintext, as [`Transport::recv`] does. A peer that closes without `close_notify` has closed its half
    /// (RFC 9112 §9.8): the framing of a request shows whether it is whole.
    ///
    /// # Errors
    /// As the transport; `ConnectionAborted` when the peer's bytes are not TLS as it should be. An alert has been sent
    /// then.
    pub fn recv(&mut self, io: &mut impl Transport) -> io::Result<Option<&[u8]>> {
        if self.plain.capacity() == 0 {
            self.plain = self.shared.plain.take();
        }
        self.plain.clear();
        loop {
            if self.is_ended {
                return Ok(Some(&[]));
            }
            let decrypted = match io.recv()? {
                None => return Ok(None),
                Some([]) => {
                    self.is_ended = true;
                    continue;
                }
                Some([first, ..]) if self.is_new && *first != HANDSHAKE && first.is_ascii_uppercase() => {
                    self.refuse(io)?;
                    continue;
                }
                Some(ciphertext) => self.decrypt(ciphertext),
            };
            if let Err(error) = decrypted {
                // The alert: without room for it, the close alone has to tell the peer.
                self.drain(io, false)?;
                io.shutdown();
                self.closing = Closing::Done;
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, error));
            }
            // What rustls has to say now, such as tickets, leaves with the response.
            if !self.plain.is_empty() {
                return Ok(Some(&self.plain));
            }
        }
    }

    /// Responds to HTTP without TLS, and ends.
    fn refuse(&mut self, io: &mut impl Transport) -> io::Result<()> {
        self.is_ended = true;
        self.closing = Closing::Done;
        let (date, length) = (httpdate::fmt_http_date(SystemTime::now()), SPEAKS_HTTPS.len());
        let response = format!(
            "HTTP/1.1 400 Bad Request\r\nDate: {date}\r\nConnection: close\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{SPEAKS_HTTPS}"
        );
        io.send(response.as_bytes(), false)?;
        io.shutdown();
        Ok(())
    }

    /// Appends the plaintext of received bytes to `plain`.
    fn decrypt(&mut self, mut ciphertext: &[u8]) -> Result<(), rustls::Error> {
        self.is_new = false;
        while !ciphertext.is_empty() && !self.is_ended {
            let taken = self.tls.read_tls(&mut ciphertext);
            if !matches!(taken, Ok(1..)) {
                return Err(rustls::Error::General("a record is too long".into()));
            }
            let state = self.tls.process_new_packets()?;
            self.is_ended = state.peer_has_closed();
            let (begin, count) = (self.plain.len(), state.plaintext_bytes_to_read());
            if count > 0 {
                self.plain.resize(begin + count, 0);
                let read = self.tls.reader().read_exact(&mut self.plain[begin..]);
                read.map_err(|error| rustls::Error::General(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Sends plaintext, as [`Transport::send`] does.
    ///
    /// # Errors
    /// As the transport.
    pub fn send(&mut self, io: &mut impl Transport, bytes: &[u8], more: bool) -> io::Result<Option<usize>> {
        if self.owed > 0 {
            return self.pay(io);
        }
        let held = self.held.len();
        if more && held + bytes.len() < RECORD {
            self.held.extend_from_slice(bytes);
            return Ok(Some(bytes.len()));
        }
        let count = bytes.len().min(PIECE - held);
        self.encrypt(&bytes[..count])?;
        self.owed = count;
        self.pay(io)
    }

    /// Sends bytes of a file, as [`Transport::send_file`] does.
    ///
    /// # Errors
    /// As the transport, and as pread(2).
    pub fn send_file(
        &mut self,
        io: &mut impl Transport,
        file: BorrowedFd<'_>,
        offset: u64,
        len: u64,
    ) -> io::Result<Option<usize>> {
        if self.owed > 0 {
            return self.pay(io);
        }
        let most = PIECE - self.held.len();
        let wanted = usize::try_from(len).map_or(most, |len| len.min(most));
        let shared = Rc::clone(&self.shared);
        let mut buffer = shared.file.take();
        buffer.resize(PIECE, 0);
        let count = loop {
            match rustix::io::pread(file, &mut buffer[..wanted], offset) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result?,
            }
        };
        let encrypted = if count > 0 { self.encrypt(&buffer[..count]) } else { Ok(()) };
        shared.file.set(buffer);
        encrypted?;
        if count == 0 {
            return Ok(Some(0));
        }
        self.owed = count;
        self.pay(io)
    }

    /// Sends ciphertext. Returns how much of the plaintext that is owed counts as sent: the last byte does when all has
    /// left.
    fn pay(&mut self, io: &mut impl Transport) -> io::Result<Option<usize>> {
        let sent = self.drain(io, false)?;
        let paid = if self.tls.wants_write() { sent.min(self.owed - 1) } else { self.owed };
        self.owed -= paid;
        Ok((paid > 0).then_some(paid))
    }

    /// Encrypts what is held, and `bytes`.
    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<()> {
        let all = self.held.len() + bytes.len();
        if all == 0 {
            return Ok(());
        }
        let parts = [IoSlice::new(&self.held), IoSlice::new(bytes)];
        let taken = self.tls.writer().write_vectored(&parts)?;
        self.held.clear();
        // Without a limit of the buffer it takes all, unless the session is at its end.
        if taken == all { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }

    /// Sends ciphertext while there is room. Returns the number of bytes.
    fn drain(&mut self, io: &mut impl Transport, more: bool) -> io::Result<usize> {
        let mut sent = 0;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Joined { io, shared: &self.shared, more }) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Closes this half: announces the end, and shuts the transport down behind it.
    ///
    /// Ciphertext that the transport has no room for leaves later, in [`Session::settle`].
    pub fn shutdown(&mut self, io: &mut impl Transport) {
        self.notify();
        // An error is ignored: the next read reports that the peer is gone.
        let _ = self.settle(io, false);
    }

    fn notify(&mut self) {
        if self.closing == Closing::Open {
            // What is held leaves first; if it cannot, the connection is broken.
            let _ = self.encrypt(&[]);
            self.tls.send_close_notify();
            self.closing = Closing::Notified;
        }
    }

    /// Sends what is held and what waits, at the end of a hook. `is_last`: the connection closes then.
    ///
    /// # Errors
    /// As the transport.
    pub fn settle(&mut self, io: &mut impl Transport, is_last: bool) -> io::Result<()> {
        if is_last {
            self.notify();
        } else if !self.held.is_empty() {
            self.encrypt(&[])?;
        }
        if self.owed == 0 {
            self.drain(io, false)?;
        }
        if self.closing == Closing::Notified && !self.tls.wants_write() {
            self.closing = Closing::Done;
            if !is_last {
                io.shutdown();
            }
        }
        if self.plain.capacity() > 0 {
            self.shared.plain.set(std::mem::take(&mut self.plain));
        }
        Ok(())
    }

    /// Whether ciphertext waits that the protocol does not know of.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Makes the following close a reset: nothing more is said.
    pub fn reset(&mut self) {
        self.closing = Closing::Done;
    }
}

/// The transport as rustls writes to it: the records of a piece leave in one send.
struct Joined<'a, T> {
    io: &'a mut T,
    shared: &'a Tls,
    more: bool,
}

impl<T: Transport> Write for Joined<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.io.send(bytes, self.more)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        if let [record] = records {
            return self.write(record);
        }
        let mut joined = self.shared.joined.take();
        joined.clear();
        records.iter().for_each(|record| joined.extend_from_slice(record));
        let result = self.write(&joined);
        self.shared.joined.set(joined);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
