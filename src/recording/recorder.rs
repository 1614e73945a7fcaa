//! Records what a loop does: the way in for every loop, with a probe or by hand.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::file::{About, Output};
use super::finding::{Finding, TurnRecords};
use super::lines;
use super::live_doctor::LiveDoctor;
use super::record::{ENDLESS, Ending, Kind, NO_KEY, Origin, Record, Registration, Why};
use super::ring::{Known, Ring};
use super::step::Step;
use crate::clock::Instant;
use crate::sys::thread_clock::ThreadClock;

/// How often the clocks of the thread are read at the beginning of a turn: a reading is a system call.
const CLOCK_EVERY: u64 = 1_000_000;

/// A hook that takes this long is followed by a reading of the clocks of the thread.
const LONG_HOOK: u64 = 5_000_000;

/// What a recorder is for.
#[derive(Debug, Default)]
pub struct RecorderOptions {
    /// What the head of a file says of the program.
    pub about: About,
    /// The file to write.
    pub output: Option<Output>,
    /// A turn that takes longer than this is written at once, if it is the longest so far.
    pub exceeds: Option<Duration>,
    /// Whether each turn is a line on standard error.
    pub lines: bool,
    /// Whether the loop waits for a line on standard input before each turn.
    pub step: bool,
    /// Whether the doctor looks at each turn, and reports what it finds in the log.
    pub doctor: bool,
}

/// A recorder. Clones record into the same ring.
#[derive(Clone, Debug)]
pub struct Recorder(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    ring: Ring,
    about: About,
    output: Option<Output>,
    exceeds: Option<u64>,
    /// The longest turn that was written, in nanoseconds.
    longest: u64,
    lines: bool,
    step: Option<Step>,
    doctor: Option<Box<LiveDoctor>>,
    clock: ThreadClock,
    /// When the clocks of the thread were read.
    clocked: u64,
    /// The number of the first record of this turn, and when its wait was over.
    first: u64,
    turn_began: u64,
    /// The channel whose hook was called last in this turn; a new channel is handed over by it.
    caller: u64,
    /// The hook that runs, and when it was called.
    hook: u16,
    hook_began: u64,
    is_over: bool,
}

impl Recorder {
    /// Starts to record. The memory for all records is allocated here.
    #[must_use]
    pub fn new(options: RecorderOptions) -> Self {
        let RecorderOptions { about, output, exceeds, lines, step, doctor } = options;
        Self(Rc::new(RefCell::new(State {
            ring: Ring::new(),
            doctor: doctor.then(|| Box::new(LiveDoctor::new(about.kind))),
            about,
            output,
            exceeds: exceeds.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            longest: 0,
            lines,
            step: step.then(Step::default),
            clock: ThreadClock::open(),
            clocked: 0,
            first: 0,
            turn_began: 0,
            caller: NO_KEY,
            hook: 0,
            hook_began: 0,
            is_over: false,
        })))
    }

    /// The loop begins to wait. `asked`: how many descriptors it asks the kernel about, 0 if the kernel keeps the list.
    pub fn wait(&self, asked: usize, timeout: Option<Duration>) {
        let mut state = self.0.borrow_mut();
        state.ring.read_clock();
        if state.lines || state.step.is_some() || state.exceeds.is_some() {
            state.end_turn();
        }
        state.show_to_doctor();
        (state.first, state.caller) = (state.ring.pushed, NO_KEY);
        let b = timeout.map_or(ENDLESS, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(ENDLESS));
        state.ring.push(Record { a: number(asked), b, ..Record::new(Kind::Wait) });
    }

    /// The wait is over, at the time `now`, and has returned this number of events.
    pub fn turn(&self, events: usize, now: Instant) {
        let mut state = self.0.borrow_mut();
        state.ring.set_clock(now);
        state.turn_began = state.ring.now;
        state.ring.totals.turns += 1;
        state.ring.push(Record { a: number(events), ..Record::new(Kind::Turn) });
        let is_first = state.ring.totals.turns == 1;
        if is_first || state.ring.now - state.clocked >= CLOCK_EVERY {
            state.read_thread_clocks();
        }
    }

    /// The kernel has reported a channel; both are [`super::ready`] bits.
    pub fn event(&self, key: u64, reported: u8, known: u8) {
        self.push(Record { key, code: reported, name: known.into(), ..Record::new(Kind::Event) });
    }

    /// A hook is called.
    pub fn enter(&self, key: u64, hook: &'static str, why: Why) {
        let mut state = self.0.borrow_mut();
        let name = state.ring.names.number(hook);
        state.enter(key, name, why);
    }

    /// As [`Recorder::enter`], for the hook of a dispatcher with this number in [`super::HOOKS`].
    pub fn enter_hook(&self, key: u64, hook: u16, why: Why) {
        self.0.borrow_mut().enter(key, hook + 1, why);
    }

    /// As [`Recorder::exit`], for the hook of a dispatcher with this number in [`super::HOOKS`].
    pub fn exit_hook(&self, key: u64, hook: u16, ending: Ending) {
        self.0.borrow_mut().exit(key, hook + 1, ending);
    }

    /// A hook has returned.
    pub fn exit(&self, key: u64, hook: &'static str, ending: Ending) {
        let mut state = self.0.borrow_mut();
        let name = state.ring.names.number(hook);
        state.exit(key, name, ending);
    }

    /// The hook that was called last has panicked.
    pub fn panic(&self, key: u64) {
        let mut state = self.0.borrow_mut();
        let name = state.hook;
        state.exit(key, name, Ending::Panicked);
    }

    /// Bytes were read; `result` has [`super::moved`] bits.
    pub fn read(&self, key: u64, bytes: u64, result: u8) {
        let mut state = self.0.borrow_mut();
        state.ring.totals.read += bytes;
        state.ring.push(Record { key, code: result, b: bytes, ..Record::new(Kind::Read) });
    }

    /// Bytes were written; `result` has [`super::moved`] bits.
    pub fn write(&self, key: u64, bytes: u64, result: u8) {
        let mut state = self.0.borrow_mut();
        state.ring.totals.written += bytes;
        state.ring.push(Record { key, code: result, b: bytes, ..Record::new(Kind::Write) });
    }

    /// The program adds a channel itself: no hook has made it.
    pub fn outside(&self) {
        self.0.borrow_mut().caller = NO_KEY;
    }

    /// A channel is new; `name` is its type. A hook has made it, if one was called in this turn.
    pub fn add(&self, key: u64, name: &'static str, descriptor: Option<u32>, peer: Option<SocketAddr>) {
        let mut state = self.0.borrow_mut();
        let origin = match (state.caller, peer) {
            (NO_KEY, _) => Origin::Added,
            (_, Some(_)) => Origin::Accepted,
            (_, None) => Origin::Adopted,
        };
        state.add(key, name, origin, descriptor, peer);
    }

    /// The state of a channel has changed.
    pub fn state(&self, key: u64, from: &'static str, to: &'static str) {
        let mut state = self.0.borrow_mut();
        let (a, name) = (state.ring.names.number(from).into(), state.ring.names.number(to));
        if let Some(known) = state.ring.known_mut(key) {
            known.state = name;
        }
        state.ring.push(Record { key, name, a, ..Record::new(Kind::State) });
    }

    /// The kernel watches a channel for something else; `interest` has [`super::ready`] bits.
    pub fn watch(&self, key: u64, watch: Registration, interest: u8) {
        self.push(Record { key, code: watch as u8, a: interest.into(), ..Record::new(Kind::Watch) });
    }

    /// The sending half of a channel is closed, of which `unsent` bytes are left.
    pub fn shutdown(&self, key: u64, unsent: u64) {
        self.push(Record { key, b: unsent, ..Record::new(Kind::Shutdown) });
    }

    /// A channel closes, and loses `lost` bytes.
    pub fn close(&self, key: u64, lost: u64, panicked: bool) {
        let mut state = self.0.borrow_mut();
        let known = state.ring.known_mut(key).map(|known| {
            known.is_closed = true;
            known.peer
        });
        if let Some(Some(peer)) = known {
            state.push_peer(key, peer);
        }
        state.ring.push(Record { key, code: panicked.into(), b: lost, ..Record::new(Kind::Close) });
    }

    /// So many connections wait for a listener, which may have `most`.
    pub fn queue(&self, key: u64, length: usize, most: usize) {
        self.push(Record { key, a: number(length), b: most as u64, ..Record::new(Kind::Queue) });
    }

    /// A waker was called.
    pub fn wake(&self, key: u64) {
        self.push(Record { key, ..Record::new(Kind::Wake) });
    }

    /// A response is complete, with this status and `bytes` of body.
    pub fn response(&self, status: u16, bytes: u64) {
        let mut state = self.0.borrow_mut();
        state.ring.totals.responses += 1;
        let key = state.caller;
        state.ring.push(Record { key, a: status.into(), b: bytes, ..Record::new(Kind::Response) });
    }

    /// Anything else.
    pub fn mark(&self, key: u64, what: &'static str, number: u64) {
        let mut state = self.0.borrow_mut();
        let name = state.ring.names.number(what);
        state.ring.push(Record { key, name, b: number, ..Record::new(Kind::Mark) });
    }

    /// The key of the channel or task that was called last in this turn; [`NO_KEY`] before the first call.
    #[must_use]
    pub fn caller(&self) -> u64 {
        self.0.borrow().caller
    }

    /// Whether a doctor looks at each turn.
    #[must_use]
    pub fn has_doctor(&self) -> bool {
        self.0.borrow().doctor.is_some()
    }

    /// What the doctor has reported last; the oldest of 16 is the first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.0.borrow().doctor.as_ref().map_or_else(Vec::new, |doctor| doctor.reported())
    }

    /// Writes the recording now. A file that cannot be written is reported in the log.
    pub fn save(&self) {
        self.0.borrow_mut().save();
    }

    /// Ends the recording: writes it, unless a long turn is in the file. Only the first call counts.
    pub fn finish(&self) {
        let mut state = self.0.borrow_mut();
        if std::mem::replace(&mut state.is_over, true) {
            return;
        }
        state.ring.read_clock();
        state.show_to_doctor();
        if state.lines {
            state.print_turn();
        }
        if state.longest == 0 {
            state.save();
        }
    }

    fn push(&self, record: Record) {
        self.0.borrow_mut().ring.push(record);
    }
}

impl State {
    fn enter(&mut self, key: u64, name: u16, why: Why) {
        (self.caller, self.hook, self.hook_began) = (key, name, self.ring.now);
        self.ring.push(Record { key, name, code: why as u8, ..Record::new(Kind::Enter) });
    }

    fn exit(&mut self, key: u64, name: u16, ending: Ending) {
        self.ring.read_clock();
        self.ring.push(Record { key, name, code: ending as u8, ..Record::new(Kind::Exit) });
        if self.ring.now - self.hook_began >= LONG_HOOK {
            self.read_thread_clocks();
        }
    }

    fn add(
        &mut self,
        key: u64,
        name: &'static str,
        origin: Origin,
        descriptor: Option<u32>,
        peer: Option<SocketAddr>,
    ) {
        let (name, parent, descriptor) =
            (self.ring.names.number(name), self.caller, descriptor.unwrap_or(u32::MAX));
        self.ring.enter(Known { key, name, state: 0, descriptor, parent, peer, is_closed: false });
        let new =
            Record { key, name, code: origin as u8, a: descriptor, b: parent, ..Record::new(Kind::New) };
        self.ring.push(new);
        if let Some(peer) = peer {
            self.push_peer(key, peer);
        }
    }

    fn push_peer(&mut self, key: u64, peer: SocketAddr) {
        let record = Record { key, name: peer.port(), ..Record::new(Kind::Peer) };
        match peer {
            SocketAddr::V4(peer) => self.ring.push(Record { code: 4, a: peer.ip().to_bits(), ..record }),
            SocketAddr::V6(peer) => {
                let bytes = peer.ip().octets();
                for (code, half) in [(6, &bytes[..8]), (7, &bytes[8..])] {
                    let b = half.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
                    self.ring.push(Record { code, b, ..record });
                }
            }
        }
    }

    fn read_thread_clocks(&mut self) {
        self.clocked = self.ring.now;
        let key = self.clock.run_delay().unwrap_or(NO_KEY);
        self.ring.push(Record { key, b: self.clock.on_processor(), ..Record::new(Kind::Clock) });
    }

    /// Called between two turns, for what looks at each of them.
    #[cold]
    fn end_turn(&mut self) {
        let length = self.ring.now.saturating_sub(self.turn_began);
        if self.ring.totals.turns > 0 && self.exceeds.is_some_and(|most| length > most.max(self.longest)) {
            self.longest = length;
            self.save();
        }
        if self.step.is_some() {
            self.save();
        }
        if self.lines {
            self.print_turn();
        }
        if let Some(step) = &mut self.step {
            step.before_turn();
            self.ring.read_clock();
        }
    }

    fn show_to_doctor(&mut self) {
        if let Some(doctor) = &mut self.doctor {
            let (first, rest) = self.ring.slices(self.first);
            let turn = TurnRecords { number: self.ring.totals.turns, first, rest };
            doctor
                .look(turn, &lines::Live { ring: &self.ring, keys: self.about.keys, kind: self.about.kind });
        }
    }

    fn print_turn(&mut self) {
        let records: Vec<Record> = self.ring.since(self.first).copied().collect();
        let text = lines::of_turn(
            self.ring.totals.turns,
            &records,
            &lines::Live { ring: &self.ring, keys: self.about.keys, kind: self.about.kind },
        );
        if !text.is_empty() {
            lines::print(&text);
        }
    }

    fn save(&mut self) {
        let written = self.output.as_mut().map_or(Ok(()), |output| output.write(&self.about, &self.ring));
        if let Err(error) = written {
            log::error!("the recording cannot be written: {error}");
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
