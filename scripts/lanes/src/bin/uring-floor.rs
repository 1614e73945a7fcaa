//! The cost of a loop on io_uring that does nothing else: the counterpart of `examples/floor.rs`.
//!
//! One call into the kernel for each turn submits what the last turn has made and waits for what comes next. A listener
//! and a connection cost one submission each for their whole lives (multishot accept and receive); received bytes lie
//! in buffers that the kernel takes from a ring; a send reports its failure only. Connections have no descriptors: they
//! are slots of a table of the ring. As in the floor, a request is any input that ends with an empty line and arrives in
//! one piece, and every response is the same.
//!
//! Try it: `uring-floor --port 9005 --size 1024`

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU16, Ordering};

use argh::FromArgs;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{BufRingEntry, Fd, Fixed};
use io_uring::{IoUring, SubmissionQueue, Submitter, cqueue, opcode};
use memchr::memmem;
use rustix::process::{Resource, getrlimit};
use stheno_lanes::{because, exit_code, in_threads, listen};

/// Entries of the submission queue; a turn that makes more submits in between.
const SUBMISSIONS: u32 = 1024;
/// Entries of the completion queue; the kernel keeps what does not fit.
const COMPLETIONS: u32 = 8192;
/// The most connections of a ring. Further ones wait in the queue of the listener.
const CONNECTIONS: u64 = 16 * 1024;
/// Buffers for received bytes, a power of two, and the bytes of each.
const BUFFERS: u16 = 1024;
const BUFFER: u32 = 2048;
/// The most requests in one piece; a piece with more ends its connection.
const MOST: usize = 128;
/// Which buffers a receive uses: there is one group.
const GROUP: u16 = 0;

/// A send that has not taken all bytes at once fails.
const WHOLE_OR_FAIL: i32 = libc::MSG_WAITALL | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// Results of completions.
const FULL: i32 = -libc::ENFILE;
const GONE: i32 = -libc::ECONNABORTED;
const NO_BUFFER: i32 = -libc::ENOBUFS;

/// A server that parses nothing and always sends the same response, on io_uring.
#[derive(FromArgs)]
struct Args {
    /// port to listen on (default 9005)
    #[argh(option, default = "9005")]
    port: u16,

    /// bytes of the body (default 1024)
    #[argh(option, default = "1024")]
    size: usize,

    /// threads, each with a ring (default 1)
    #[argh(option, short = 'w', default = "1")]
    workers: usize,
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    let name = env!("CARGO_BIN_NAME");
    let serve = move |listener| Floor::new(listener, args.size)?.run();
    exit_code(name, listen(args.port).and_then(|listener| in_threads(name, &listener, args.workers, serve)))
}

/// What a completion belongs to: the upper 16 bits of its number. The others are a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Accept,
    Receive,
    Send,
    /// The end of a connection, whose failure changes nothing.
    End,
}

/// A connection: the number of its slot, and how many connections have had the slot before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    slot: u32,
    turn: u16,
}

impl Connection {
    fn file(self) -> Fixed {
        Fixed(self.slot)
    }

    fn number(self, kind: Kind) -> u64 {
        (kind as u64) << 48 | u64::from(self.turn) << 32 | u64::from(self.slot)
    }

    fn of_number(number: u64) -> (Kind, Self) {
        let kind = [Kind::Accept, Kind::Receive, Kind::Send, Kind::End][(number >> 48) as usize];
        (kind, Self { slot: number as u32, turn: (number >> 32) as u16 })
    }
}

struct Floor {
    listener: TcpListener,
    buffers: Buffers,
    /// `MOST` responses, which the kernel may read at any time.
    responses: &'static [u8],
    /// How many connections have had each slot.
    turns: Vec<u16>,
    is_accepting: bool,
    /// All slots are taken.
    is_full: bool,
    /// What the next call submits.
    made: Vec<Entry>,
}

impl Floor {
    fn new(listener: TcpListener, size: usize) -> io::Result<Self> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n");
        Ok(Self {
            listener,
            buffers: Buffers::new(),
            responses: [head.into_bytes(), vec![b'x'; size]].concat().repeat(MOST).leak(),
            turns: Vec::new(),
            is_accepting: false,
            is_full: false,
            made: Vec::new(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut ring = ring().map_err(|error| because("io_uring cannot be used here", &error))?;
        let slots = slots();
        self.turns = vec![0; slots as usize];
        ring.submitter().register_files_sparse(slots).map_err(|error| because("register slots", &error))?;
        self.buffers.register(&ring).map_err(|error| because("register buffers", &error))?;
        let (submitter, mut submissions, mut completions) = ring.split();
        loop {
            if !self.is_accepting {
                self.accept();
            }
            self.buffers.publish();
            submit(&mut self.made, &submitter, &mut submissions)?;
            finish(submitter.submit_and_wait(1))?;
            completions.sync();
            for completion in &mut completions {
                self.complete(&completion)?;
            }
        }
    }

    fn accept(&mut self) {
        let accept = opcode::AcceptMulti::new(Fd(self.listener.as_raw_fd())).allocate_file_index(true);
        self.push(Connection { slot: 0, turn: 0 }, Kind::Accept, accept.build());
        self.is_accepting = true;
    }

    fn complete(&mut self, completion: &cqueue::Entry) -> io::Result<()> {
        let (kind, connection) = Connection::of_number(completion.user_data());
        let (result, flags) = (completion.result(), completion.flags());
        match kind {
            Kind::Accept => self.accepted(result, flags)?,
            Kind::Receive => self.received(connection, result, flags),
            // Also responses that do not fit into the socket: the clients of the benchmark read what they asked for.
            Kind::Send if self.turns[connection.slot as usize] == connection.turn => {
                self.shut_down(connection)
            }
            Kind::Send | Kind::End => {}
        }
        Ok(())
    }

    fn accepted(&mut self, result: i32, flags: u32) -> io::Result<()> {
        self.is_accepting = cqueue::more(flags);
        match result {
            slot @ 0.. => {
                self.receive(Connection { slot: slot.cast_unsigned(), turn: self.turns[slot as usize] })
            }
            // No slot is free: it goes on when a connection has ended.
            FULL => (self.is_accepting, self.is_full) = (true, true),
            GONE => {}
            error => return Err(because("accept", &io::Error::from_raw_os_error(-error))),
        }
        Ok(())
    }

    fn receive(&mut self, connection: Connection) {
        self.push(connection, Kind::Receive, opcode::RecvMulti::new(connection.file(), GROUP).build());
    }

    fn received(&mut self, connection: Connection, result: i32, flags: u32) {
        if let Some(buffer) = cqueue::buffer_select(flags) {
            let piece = self.buffers.bytes(buffer, usize::try_from(result).unwrap_or_default());
            let requests = memmem::find_iter(piece, b"\r\n\r\n").count();
            self.buffers.give(buffer);
            self.respond(connection, requests);
        }
        match result {
            _ if cqueue::more(flags) => {}
            // The kernel ends a multishot that works now and then, and one that finds no free buffer.
            1.. | NO_BUFFER => self.receive(connection),
            _ => {
                self.turns[connection.slot as usize] = connection.turn.wrapping_add(1);
                self.push(connection, Kind::End, opcode::Close::new(connection.file()).build());
                self.is_accepting &= !std::mem::take(&mut self.is_full);
            }
        }
    }

    fn respond(&mut self, connection: Connection, requests: usize) {
        match u32::try_from(self.responses.len() / MOST * requests) {
            Ok(0) => {}
            Ok(length) if requests <= MOST => {
                let send = opcode::Send::new(connection.file(), self.responses.as_ptr(), length);
                self.push(connection, Kind::Send, send.flags(WHOLE_OR_FAIL).build());
            }
            _ => self.shut_down(connection),
        }
    }

    /// Ends the connection by an end of its input.
    fn shut_down(&mut self, connection: Connection) {
        self.push(connection, Kind::End, opcode::Shutdown::new(connection.file(), libc::SHUT_RDWR).build());
    }

    fn push(&mut self, connection: Connection, kind: Kind, entry: Entry) {
        let is_silent = matches!(kind, Kind::Send | Kind::End);
        let entry = if is_silent { entry.flags(Flags::SKIP_SUCCESS) } else { entry };
        self.made.push(entry.user_data(connection.number(kind)));
    }
}

/// A ring whose completions are made ready when this thread asks for them, and at no other time.
fn ring() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(COMPLETIONS)
        .build(SUBMISSIONS)
}

/// The number of slots, which the limit of open files bounds, too (`RLIMIT_NOFILE`).
fn slots() -> u32 {
    getrlimit(Resource::Nofile).current.map_or(CONNECTIONS, |limit| limit.min(CONNECTIONS)) as u32
}

/// Passes the entries on, in their order, and calls the kernel when the queue is full.
fn submit(
    entries: &mut Vec<Entry>,
    submitter: &Submitter<'_>,
    queue: &mut SubmissionQueue<'_>,
) -> io::Result<()> {
    for entry in entries.drain(..) {
        // SAFETY: an entry points to nothing, or into the responses, which are leaked.
        while unsafe { queue.push(&entry) }.is_err() {
            queue.sync();
            finish(submitter.submit())?;
            queue.sync();
        }
    }
    queue.sync();
    Ok(())
}

/// A signal ends a call early, and so does a full queue of completions, which is emptied next.
fn finish(result: io::Result<usize>) -> io::Result<()> {
    match result.map_err(|error| (error.raw_os_error(), error)) {
        Ok(_) | Err((Some(libc::EINTR | libc::EBUSY), _)) => Ok(()),
        Err((_, error)) => Err(error),
    }
}

/// The entries of a ring of buffers: at the beginning of a page.
#[repr(C, align(4096))]
struct Entries([BufRingEntry; BUFFERS as usize]);

/// The buffers for received bytes, and the ring through which the kernel gets those that are free.
struct Buffers {
    entries: &'static mut Entries,
    memory: &'static mut [u8],
    /// The number of buffers that the kernel was ever given; it wraps.
    given: u16,
}

impl Buffers {
    fn new() -> Self {
        // SAFETY: an entry is three numbers, which may be zero.
        let entries = unsafe { Box::<Entries>::new_zeroed().assume_init() };
        let memory = vec![0; usize::from(BUFFERS) * BUFFER as usize].leak();
        let mut buffers = Self { entries: Box::leak(entries), memory, given: 0 };
        (0..BUFFERS).for_each(|buffer| buffers.give(buffer));
        buffers
    }

    fn register(&self, ring: &IoUring) -> io::Result<()> {
        let entries = (&raw const self.entries.0).addr() as u64;
        // SAFETY: the entries begin at a page, and their number is a power of two; they and the buffers are leaked.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries, BUFFERS, GROUP, 0) }
    }

    /// The first bytes of a buffer that the kernel has filled.
    fn bytes(&self, buffer: u16, count: usize) -> &[u8] {
        &self.memory[usize::from(buffer) * BUFFER as usize..][..count]
    }

    /// Gives a buffer back; the kernel sees it after [`Buffers::publish`].
    fn give(&mut self, buffer: u16) {
        let place = self.memory[usize::from(buffer) * BUFFER as usize..].as_mut_ptr();
        let entry = &mut self.entries.0[usize::from(self.given % BUFFERS)];
        entry.set_addr(place as u64);
        entry.set_len(BUFFER);
        entry.set_bid(buffer);
        self.given = self.given.wrapping_add(1);
    }

    fn publish(&mut self) {
        // SAFETY: the first entry holds the tail of the ring (in a field that `give` does not write), aligned for a u16; only
        // this thread writes it, and the kernel reads it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.0.as_mut_ptr()).cast_mut()) };
        tail.store(self.given, Ordering::Release);
    }
}
