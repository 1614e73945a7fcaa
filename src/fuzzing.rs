//! Oracles of private items: what must hold for every input, shared by libFuzzer, proptest and the corpus.
//!
//! Each function takes any bytes and panics when something that must hold does not. This module is no part of the
//! library: it is compiled for the unit tests and for `scripts/fuzz` (`--cfg fuzzing`) only.
//!
//! | function | input | what must hold |
//! |---|---|---|
//! | [`head`] | the beginning of a stream | the same verdict at any cut; an accepted head means the same to httparse |
//! | [`chunked`] | a chunked body, and what follows | the same verdict at any cut; nothing after the end is touched |
//! | [`range`] | a file's size, and a `Range` | the parts lie in the file, and are together at most as long |
//! | [`path`] | the path of a target | the result only goes down, and is the same when it is sent back |
//! | [`host`] | a `Host`, and a target | nothing in an accepted one can be read as another host |
//!
//! The oracle of whole connections needs public items only: `tests/fuzz/oracle`.

pub use crate::files::fuzzing::{path, range};
pub use crate::http1::fuzzing::{chunked, head, host};

#[cfg(test)]
mod tests;
