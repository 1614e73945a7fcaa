//! One record of 32 bytes: what a loop did at one time. docs/RECORDINGS.md has the table of all kinds.

/// Bytes of one record in a file.
pub const RECORD_LEN: usize = 32;

/// The key of a record that belongs to no channel.
pub const NO_KEY: u64 = u64::MAX;

/// The key of a task has this bit; the number of the task is in the lower half.
pub const TASK_BIT: u64 = 1 << 63;

/// A time-out without an end, in the records of waits.
pub const ENDLESS: u64 = u64::MAX;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The loop begins to wait, which ends the turn before it. `a`: descriptors that the kernel is asked about, if the loop
    /// asks about all of them in each turn. `b`: the longest wait in nanoseconds, or [`ENDLESS`].
    Wait = 1,
    /// The wait is over, and a turn begins. `a`: the number of events.
    Turn = 2,
    /// The kernel has reported something of `key`. `code`: [`ready`] bits of this event; `name`: the bits of what is known now.
    Event = 3,
    /// A hook is called. `name`: the hook; `code`: the [`Why`].
    Enter = 4,
    /// A hook has returned. `name`: the hook; `code`: the [`Ending`].
    Exit = 5,
    /// Bytes were read. `code`: [`moved`] bits; `b`: bytes.
    Read = 6,
    /// Bytes were written. `code`: [`moved`] bits; `b`: bytes.
    Write = 7,
    /// A channel is new. `name`: its type; `code`: the [`Origin`]; `a`: its descriptor, or `u32::MAX`; `b`: the key of the
    /// channel whose hook has made it, or [`NO_KEY`].
    New = 8,
    /// The peer of a channel, after [`Kind::New`] and again before [`Kind::Close`]. `code` 4: `a` is the IPv4 address; `code`
    /// 6 and 7: `b` is the upper and the lower half of the IPv6 address. `name`: the port.
    Peer = 9,
    /// The state of a channel has changed. `a`: the name of the old state; `name`: that of the new one.
    State = 10,
    /// What the kernel watches of a channel has changed. `code`: the [`Registration`]; `a`: [`ready`] bits.
    Watch = 11,
    /// The sending half is closed. `b`: bytes that are still unsent.
    Shutdown = 12,
    /// A channel closes. `code`: 1 if a hook has panicked; `b`: bytes that are lost with it.
    Close = 13,
    /// The queue of connections that wait to be accepted. `a`: its length; `b`: the longest that it may be.
    Queue = 14,
    /// The clocks of the thread. `b`: nanoseconds on a processor so far; `key`: nanoseconds that it was ready to run and had no
    /// processor, or [`NO_KEY`] where the system does not say.
    Clock = 15,
    /// A waker was called for `key`.
    Wake = 16,
    /// A response is complete. `a`: its status; `b`: bytes of its body.
    Response = 17,
    /// Something else that the program says of itself. `name`: what; `b`: a number.
    Mark = 18,
}

impl Kind {
    const ALL: [Self; 18] = [
        Self::Wait,
        Self::Turn,
        Self::Event,
        Self::Enter,
        Self::Exit,
        Self::Read,
        Self::Write,
        Self::New,
        Self::Peer,
        Self::State,
        Self::Watch,
        Self::Shutdown,
        Self::Close,
        Self::Queue,
        Self::Clock,
        Self::Wake,
        Self::Response,
        Self::Mark,
    ];

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// Why a hook is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// The kernel has reported an event.
    #[default]
    Event = 0,
    /// The channel is new: its first calls find out what it is ready for.
    New = 1,
    /// It has more to do: it stopped in an earlier turn because its share was spent, or has asked for another call in this one.
    Again = 2,
    /// The turn before had no time for it.
    Late = 3,
    /// A waker was called.
    Wake = 4,
    /// Its deadline has passed.
    Deadline = 5,
    /// The loop shuts down.
    Shutdown = 6,
    /// The loop asked about every descriptor, and this one was ready.
    Asked = 7,
    /// It is a scheduled call, and its time has come.
    Call = 8,
    /// The program makes this system call of itself: it is recorded from outside.
    Program = 9,
}

impl Why {
    /// The words of a line for people, by the number of the cause.
    pub const WORDS: [&str; 10] =
        ["event", "new", "again", "late", "wake", "deadline", "shutdown", "ready", "call_later", "program"];
}

/// How a hook has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// It has returned.
    Returned = 0,
    /// It has returned an error.
    Failed = 1,
    /// It has panicked.
    Panicked = 2,
    /// A task is not over: it has left a waker.
    Pending = 3,
    /// A task is not over, and has left no waker: nothing will call it again.
    Forgotten = 4,
}

impl Ending {
    /// The words for people, by the number of the ending.
    pub const WORDS: [&str; 5] = ["returned", "error", "panic", "Pending", "Pending without a waker"];
}

/// Where a channel comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// The program has added it.
    Added = 0,
    /// A hook has made it of an accepted connection.
    Accepted = 1,
    /// A hook has handed it over.
    Adopted = 2,
}

/// What is done with the kernel's list of what it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Registration {
    /// A descriptor is registered.
    Register = 1,
    /// Its interest is changed.
    Reregister = 2,
    /// It is removed.
    Deregister = 3,
}

/// Bits of readiness and of interest.
pub mod ready {
    /// There is something to read.
    pub const READ: u8 = 1;
    /// There is room to write.
    pub const WRITE: u8 = 2;
    /// The peer has closed its half.
    pub const READ_CLOSED: u8 = 4;
    /// An error waits to be read.
    pub const ERROR: u8 = 8;

    /// The bits of reading and of writing.
    #[must_use]
    pub fn of(read: bool, write: bool) -> u8 {
        (if read { READ } else { 0 }) | (if write { WRITE } else { 0 })
    }
}

/// Bits of a result of reading or writing.
pub mod moved {
    /// The last call took less than was offered, or would have blocked: the kernel will report when there is more.
    pub const BLOCKED: u8 = 1;
    /// The end of input.
    pub const END: u8 = 2;
    /// The share of this turn is spent.
    pub const SPENT: u8 = 4;
    /// The call has failed.
    pub const FAILED: u8 = 8;
}

/// What a loop did at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Nanoseconds since the recording began.
    pub time: u64,
    /// The channel: generation in the upper half, index in the lower; [`NO_KEY`] for none.
    pub key: u64,
    /// What happened.
    pub kind: Kind,
    /// As [`Kind`] says.
    pub code: u8,
    /// A number in the table of names, or what [`Kind`] says.
    pub name: u16,
    /// As [`Kind`] says.
    pub a: u32,
    /// As [`Kind`] says.
    pub b: u64,
}

impl Record {
    /// A record of no channel and no values.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { time: 0, key: NO_KEY, kind, code: 0, name: 0, a: 0, b: 0 }
    }

    /// The record as a file has it; all numbers in little-endian order.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        bytes[..8].copy_from_slice(&self.time.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.key.to_le_bytes());
        bytes[16] = self.kind as u8;
        bytes[17] = self.code;
        bytes[18..20].copy_from_slice(&self.name.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.a.to_le_bytes());
        bytes[24..].copy_from_slice(&self.b.to_le_bytes());
        bytes
    }

    /// The inverse of [`Record::to_bytes`]; `None` for a kind that this version does not know.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; RECORD_LEN]) -> Option<Self> {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Some(Self {
            time: word(0),
            key: word(8),
            kind: Kind::of(bytes[16])?,
            code: bytes[17],
            name: u16::from_le_bytes([bytes[18], bytes[19]]),
            a: u32::from_le_bytes([bytes[20], bytes[21], bytes[22], bytes[23]]),
            b: word(24),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_a_file() {
        assert_eq!(size_of::<Record>(), RECORD_LEN);
        for (number, kind) in (1..).zip(Kind::ALL) {
            assert_eq!(kind as u8, number);
            let record = Record { time: 1, key: 1 << 40, kind, code: 3, name: 700, a: 1 << 20, b: u64::MAX };
            assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        }
        let mut unknown = Record::new(Kind::Mark).to_bytes();
        for kind in [0, 19, 255] {
            unknown[16] = kind;
            assert_eq!(Record::from_bytes(&unknown), None);
        }
    }
}
