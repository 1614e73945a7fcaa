//! Scripts: written by `oracle.py`, and run on our side.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU64;
use std::rc::Rc;

use serde_json::{Value, json};
use stheno::chat::{Chat, Chunk, Handler, Producer, SimpleProducer, Terminator};

/// From this length on, bytes are shown as length and checksum; `MANY` in `oracle.py`.
const MANY: usize = 32;

/// Calls and bytes, as in the scripts.
pub(crate) type Events = Rc<RefCell<Vec<Value>>>;

/// One conversation, with asynchat's events.
#[derive(Clone, Debug)]
pub(crate) struct Script(Value);

impl Script {
    /// Reads the scripts of a file, one per line.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        text.lines().map(|line| Self(serde_json::from_str(line).expect("JSON"))).collect()
    }

    pub(crate) fn number(&self) -> u64 {
        self.0["script"].as_u64().expect("a number")
    }

    /// The events of each step, and of the end of file after them; the last list ends with a close.
    pub(crate) fn events(&self) -> Vec<&[Value]> {
        list(&self.0["events"]).iter().map(list).collect()
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        list(&self.0["steps"])
            .iter()
            .map(|step| match text(&step[0]) {
                "in" => Step::In(bytes(&step[1])),
                "do" => Step::Do(list(&step[1]).to_vec()),
                other => panic!("not a step: {other}"),
            })
            .collect()
    }

    /// Our side of the conversation before its first step.
    pub(crate) fn begin(&self, events: &Events) -> (Chat, Player) {
        let lists = |name: &str| list(&self.0[name]).iter().map(|actions| list(actions).to_vec()).collect();
        let player = Player {
            frames: lists("frames"),
            parts: lists("parts"),
            frame: Vec::new(),
            closing: false,
            lost: false,
            events: Rc::clone(events),
        };
        (Chat::new(terminator(&self.0["terminator"])), player)
    }
}

/// An event from outside.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The peer sends this in one piece.
    In(Vec<u8>),
    /// These actions happen between two reads.
    Do(Vec<Value>),
}

/// A handler that acts by the script, and records its calls.
#[derive(Debug)]
pub(crate) struct Player {
    frames: VecDeque<Vec<Value>>,
    parts: VecDeque<Vec<Value>>,
    frame: Vec<u8>,
    closing: bool,
    lost: bool,
    events: Events,
}

impl Handler for Player {
    fn collect_incoming_data(&mut self, chat: &mut Chat, data: &[u8]) {
        self.events.borrow_mut().push(json!(["data", shown(data)]));
        self.frame.extend_from_slice(data);
        let actions = self.parts.pop_front().unwrap_or_default();
        self.act(chat, &actions);
    }

    fn found_terminator(&mut self, chat: &mut Chat) {
        self.events.borrow_mut().push(json!(["found"]));
        let actions = self.frames.pop_front().unwrap_or_default();
        self.act(chat, &actions);
        self.frame.clear();
    }
}

impl Player {
    pub(crate) fn act(&mut self, chat: &mut Chat, actions: &[Value]) {
        for action in actions {
            match text(&action[0]) {
                "terminator" => chat.set_terminator(terminator(&action[1])),
                "close" => {
                    self.closing = true;
                    chat.close_when_done();
                }
                // For the reason see `act` in `oracle.py`.
                "discard" if self.lost => {}
                "discard" => {
                    self.closing = false;
                    chat.discard_buffers();
                }
                kind => {
                    self.lost |= self.closing;
                    self.output(chat, kind, action);
                }
            }
        }
    }

    fn output(&self, chat: &mut Chat, kind: &str, action: &Value) {
        let number = |value: &Value| usize::try_from(value.as_u64().expect("a number")).expect("a size");
        match kind {
            "push" => chat.push(&bytes(&action[1])),
            "echo" => chat.push(&self.frame),
            "fill" => {
                let byte = u8::try_from(number(&action[1])).expect("a byte");
                chat.push(&vec![byte; number(&action[2])]);
            }
            "producer" => {
                let producer = SimpleProducer::with_buffer_size(bytes(&action[1]), number(&action[2]));
                chat.push_with_producer(producer);
            }
            "pieces" => chat.push_with_producer(Pieces(list(&action[1]).iter().map(bytes).collect())),
            other => panic!("not an action: {other}"),
        }
    }
}

/// A producer of the given pieces.
#[derive(Debug)]
struct Pieces(VecDeque<Vec<u8>>);

impl Producer for Pieces {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        Ok(self.0.pop_front().map(Chunk::Bytes))
    }
}

/// The notation of bytes in the events.
pub(crate) fn shown(data: &[u8]) -> String {
    if data.len() > MANY {
        return format!("{}:{:08x}", data.len(), crc32(data));
    }
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// CRC-32 as in `zlib.crc32`: reflected, 0xedb88320.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

fn terminator(value: &Value) -> Terminator {
    match value {
        Value::Null => Terminator::None,
        Value::Number(number) => {
            Terminator::Length(number.as_u64().and_then(NonZeroU64::new).expect("a length"))
        }
        value => Terminator::Bytes(bytes(value).into()),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = text(value).as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex digits");
    digits.map(byte).collect()
}
