//! asynchat without its socket: framing on the way in, a queue of producers on the way out.
//!
//! ```text
//! bytes ──► InBuffer ──(Terminator)──► frames        Producer ──► OutQueue ──► Segment ──► bytes
//! ```
//!
//! [`InBuffer`] and [`OutQueue`] are the only input buffer and the only output queue in the crate. The HTTP connection
//! is built on them, and so is [`Chat`], which is `asynchat.async_chat` with the same names and the same order of calls.
//! A driver passes received bytes in, and sends segments out over a [`Transport`].
//!
//! ```
//! use stheno::chat::{Chat, Handler, Terminator};
//!
//! /// Sends every line back.
//! #[derive(Default)]
//! struct Echo(Vec<u8>);
//!
//! impl Handler for Echo {
//!     fn collect_incoming_data(&mut self, _chat: &mut Chat, data: &[u8]) {
//!         self.0.extend_from_slice(data);
//!     }
//!     fn found_terminator(&mut self, chat: &mut Chat) {
//!         self.0.push(b'\n');
//!         chat.push(&std::mem::take(&mut self.0));
//!     }
//! }
//!
//! let (mut chat, mut echo) = (Chat::new(Terminator::bytes(b"\n")), Echo::default());
//! chat.receive(b"Message 1\nMess", &mut echo);
//! chat.receive(b"age 2\n", &mut echo);
//! assert_eq!(chat.output().to_bytes().unwrap(), b"Message 1\nMessage 2\n");
//! ```

mod async_chat;
mod file_slice;
mod input;
mod producer;
mod queue;
mod transport;

pub use async_chat::{Chat, Handler};
pub use file_slice::{FileSlice, Unchanged};
pub use input::{Frame, InBuffer, Terminate, Terminator, Window, find_prefix_at_end};
pub use producer::{Chunk, FileProducer, Producer, SimpleProducer};
pub use queue::{HIGH_WATER, LentBytes, OutQueue, Segment, Spare, Spares};
pub use transport::{Memory, Transmitted, Transport, transmit};
