//! What must hold for every input: the oracles that libFuzzer, proptest and the replayed findings share.
//!
//! Each function takes any bytes and panics when something that must hold does not. This module is no part of the
//! library: it is compiled for the unit tests, and for `scripts/fuzz` (`--cfg fuzzing`), and nowhere else.
//!
//! | function | what the bytes are | what must hold |
//! |---|---|---|
//! | [`head`] | the beginning of a stream | any cut: one verdict; what is accepted means the same to httparse |
//! | [`chunked`] | a chunked body, and what follows | any cut: one verdict; nothing behind the end is touched |
//! | [`range`] | a file's size, and a `Range` | what is served lies in the file, and is no more than the file |
//! | [`path`] | the path of a target | what comes out goes down only, and comes out again when it is sent back |
//! | [`host`] | a `Host`, and a target | nothing in an accepted one can be read as another host |
//! | [`connection`] | a script of a peer's doings, and what it sends | valid answers in order, bounded memory |
//!
//! The oracles of private things stand beside them, in `http1::fuzzing` and `files::fuzzing`.

mod answers;
mod connection;
mod driver;
mod reference;

pub use connection::connection;

pub use crate::files::fuzzing::{path, range};
pub use crate::http1::fuzzing::{chunked, head, host};

#[cfg(test)]
mod tests;
