//! Oracles: what must hold for every input, shared by libFuzzer, proptest and the corpus.
//!
//! Each function takes any bytes and panics when something that must hold does not. It uses public items only. A target
//! of libFuzzer includes its own file of this folder, and `cuts`.
//!
//! | function | input | what must hold |
//! |---|---|---|
//! | [`head`] | the beginning of a stream | the same verdict at any cut; an accepted head means the same to httparse |
//! | [`chunked`] | a chunked body, and what follows | the same verdict at any cut; nothing after the end is touched |
//! | [`range`] | a file's size, and a `Range` | the parts lie in the file, and are together at most as long |
//! | [`path`] | the path of a target | the result only goes down, and is the same when it is sent back |
//! | [`host`] | a `Host`, and a target | nothing in an accepted one can be read as another host |
//! | [`connection`] | the script of a peer | valid responses in order, bounded memory, no state without a deadline |

mod chunked;
mod connection;
mod cuts;
mod head;
mod host;
mod path;
mod range;

pub(crate) use chunked::chunked;
pub(crate) use connection::connection;
pub(crate) use head::head;
pub(crate) use host::host;
pub(crate) use path::path;
pub(crate) use range::range;
