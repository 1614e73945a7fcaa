//! A web server around a hand-written event loop, and the library it stands on.
//!
//! Medusa begat Python's `asyncore` and `asynchat`; Python 3.12 buried them; Stheno was Medusa's immortal
//! sister. This crate is those two modules again, in Rust, without an async runtime, and an HTTP/1.1
//! server for files on top of them.
//!
//! # One byte's way
//!
//! ```text
//!            readiness                 bytes                   frames                    request
//! kernel ──► reactor::Reactor ──► server::HttpChannel ──► chat::InBuffer ──► http1::Connection ──► Service
//!            Poll + Slab + timers     recv, send, sendfile     terminator          sans-I/O             │
//! kernel ◄── send / sendfile ◄───────────────────────────── chat::OutQueue ◄── head + Producer ◄── Response
//! ```
//!
//! A byte goes right along the top row once and left along the bottom row once. Nothing calls back up.
//! To follow it, open these in this order:
//!
//! 1. [`reactor::Reactor::turn`] waits for the kernel and finds the channel that an event is for.
//! 2. [`server::HttpChannel`]'s `handle_read` receives into a buffer that all connections share,
//! 3. and hands the bytes to [`http1::Connection::receive`], which knows neither socket nor clock.
//! 4. There a [`chat::Window`] finds the end of the head; `http1::head` parses it where it lies.
//! 5. The [`http1::Service`], here [`files::FileService`], answers with a [`http1::Response`].
//! 6. The connection writes head and body into its [`chat::OutQueue`],
//! 7. and [`reactor::transmit`] sends what is in front: bytes with `send`, files with `sendfile`.
//!
//! # Layers
//!
//! | layer | modules | what it must not know |
//! |---|---|---|
//! | 4 | [`cli`], [`config`], the binary; `wsgi` (with the feature of that name) | |
//! | 3 | [`master`], [`server`] | `master` knows no HTTP and no loop |
//! | 2 | [`reactor`], [`files`] | `reactor` knows no HTTP, `files` no sockets |
//! | 1 | [`chat`], [`http1`], [`clock`], [`heartbeat`] | no sockets, no asking for the time |
//! | 0 | [`sys`], [`slab`], [`timers`] | everything above |
//!
//! A module imports from below only; a test reads the sources and fails on any other edge.
//!
//! # Using the library
//!
//! The reactor serves any protocol. A listening socket is a [`reactor::Dispatcher`] with a
//! [`reactor::Listener`]; a conversation in lines is a [`chat::Handler`] on a [`reactor::ChatChannel`]. Both
//! together are a server, with the names that asyncore and asynchat had (`docs/DICTIONARY.md` has them all):
//!
//! ```no_run
//! use std::io;
//! use std::time::Duration;
//!
//! use stheno::chat::{Chat, Handler, Terminator};
//! use stheno::reactor::{AcceptMode, CallLater, ChatChannel, Context, Dispatcher, Listener, Reactor};
//! use stheno::sys::socket;
//!
//! /// Says every line again. (asynchat.async_chat)
//! #[derive(Debug, Default)]
//! struct Echo(Vec<u8>);
//!
//! impl Handler for Echo {
//!     fn collect_incoming_data(&mut self, _: &mut Chat, data: &[u8]) {
//!         self.0.extend_from_slice(data);
//!     }
//!
//!     fn found_terminator(&mut self, chat: &mut Chat) {
//!         chat.push(&std::mem::take(&mut self.0));
//!         chat.push(b"\r\n");
//!     }
//! }
//!
//! /// Makes an `Echo` of every connection. (asyncore.dispatcher)
//! #[derive(Debug)]
//! struct EchoServer(Listener);
//!
//! impl Dispatcher for EchoServer {
//!     fn socket(&mut self) -> &mut dyn mio::event::Source {
//!         &mut self.0
//!     }
//!
//!     fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
//!         self.0.accept(cx, &(), |cx, stream, _peer| {
//!             let chat = Chat::new(Terminator::bytes(b"\r\n"));
//!             cx.adopt(ChatChannel::new(stream, chat, Echo::default()));
//!         })
//!     }
//! }
//!
//! fn main() -> io::Result<()> {
//!     let listener = socket::listen(([127, 0, 0, 1], 8007).into(), 128, false)?;
//!     let mut reactor = Reactor::new()?;
//!     reactor.add(EchoServer(Listener::new(listener, AcceptMode::Exclusive)));
//!     reactor.call_every(Duration::from_secs(60), |_| println!("still here"));
//!     reactor.run() // asyncore.loop()
//! }
//! ```
//!
//! The same dispatchers run over select(2) and poll(2) as well: [`asyncore::SimpleLoop`]. The way from a blocking
//! server to there is a ladder of small programs: `examples/README.md`.
//!
//! The HTTP core runs without the reactor:
//!
//! ```
//! use stheno::clock::{DateCache, Now};
//! use stheno::http1::{Body, Connection, Request, Response, Settings, Status, Turn};
//!
//! fn hello(_: &Request<'_>, _: Now) -> Response {
//!     let mut response = Response::new(Status::OK);
//!     response.body = Body::Bytes(b"hello\n".to_vec());
//!     response
//! }
//!
//! let (settings, now) = (Settings::default(), Now::ask());
//! let mut connection = Connection::new(now);
//! let mut turn =
//!     Turn { now, settings: &settings, service: &hello, dates: &mut DateCache::new(), requests: 16 };
//! connection.receive(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", &mut turn);
//! let answer = connection.output_mut().to_bytes().unwrap();
//! assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"\r\n\r\nhello\n"));
//! ```

#![deny(unsafe_code)]

pub mod asyncore;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod config;
pub mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod heartbeat;
pub mod http1;
pub mod master;
pub mod reactor;
pub mod server;
pub mod slab;
pub mod sys;
pub mod timers;
#[cfg(feature = "wsgi")]
pub mod wsgi;
