//! A web server around a hand-written event loop, and the library it is built from.
//!
//! Medusa begat Python's `asyncore` and `asynchat`; Python 3.12 buried them; Stheno was Medusa's immortal
//! sister. This crate is those two modules again, in Rust, without an async runtime, and an HTTP/1.1
//! server for files on top of them.
//!
//! # The tour: one request from socket to socket
//!
//! ```text
//!           readiness              bytes              events                      request
//! kernel ──► reactor::Reactor ──► server::Driver ──► http1::Connection ──► server::Driver ──► Service
//!            Poll + Slab + timers    recv              terminators                                │
//! kernel ◄── send / sendfile ◄────── chat::transmit ◄── chat::OutQueue ◄──── head + body ◄──── Response
//! ```
//!
//! Only the driver calls: it asks the protocol for events, and the protocol calls nothing. To follow a request, open
//! these in this order (`tests/tour.rs` follows one, and fails when a step is not true):
//!
//! 1. [`reactor::Reactor::turn`] waits for the kernel and finds the channel that an event is for.
//! 2. [`server::HttpChannel::handle_read`](reactor::Dispatcher::handle_read) lends its socket to the driver of its
//!    connection.
//! 3. [`server::Driver::on_readable`] receives into a buffer that all connections share, and lays a [`chat::Window`]
//!    over the bytes.
//! 4. [`http1::Connection::next_event`] has a terminator find the end of the head ([`chat::Terminate::find`]), as it does
//!    for the lines and the content of a body.
//! 5. [`http1::Head::parse`] parses the head where it lies.
//! 6. [`http1::Service::handle`] makes the response; here it is that of [`files::FileService`].
//! 7. [`http1::Connection::respond`] frames the body, writes the head, and puts both into the [`chat::OutQueue`]: a
//!    small body as bytes, a large file as a slice, a listing as a producer.
//! 8. [`server::Driver::flush`] empties the queue, and does what follows a response.
//! 9. [`chat::transmit`] sends bytes with `send` and files with `sendfile`.
//!
//! # Layers
//!
//! | layer | modules | what it must not know |
//! |---|---|---|
//! | 4 | [`cli`], [`config`], [`app`], [`status`], the binary; `wsgi` (with the feature of that name) | |
//! | 3 | [`master`], [`server`] | `master` knows no HTTP and no loop |
//! | 2 | [`reactor`], [`asyncore`] (the loops of the mirror), [`files`] | `reactor` and `asyncore` know no HTTP, `files` no sockets |
//! | 1 | [`chat`], [`http1`], [`clock`], [`heartbeat`], [`recording`] | no sockets; the time is an argument, except of `recording`, which measures it |
//! | 0 | [`sys`], [`slab`], [`timers`], [`json`] | everything above |
//!
//! A module imports from below only; `tests/layers.rs` reads the sources and fails on any other edge.
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
//! /// Sends every line back. (asynchat.async_chat)
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
//! The server's driver runs without the reactor, over memory:
//!
//! ```
//! use stheno::clock::Now;
//! use stheno::http1::{Body, Request, Response, Settings, Status};
//! use stheno::server::MemoryConnection;
//!
//! fn hello(_: &Request<'_>, _: Now) -> Response {
//!     let mut response = Response::new(Status::OK);
//!     response.body = Body::Bytes(b"hello\n".to_vec());
//!     response
//! }
//!
//! let settings = Settings::default();
//! let mut client = MemoryConnection::new(&hello, &settings, Now::ask());
//! client.receive(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n");
//! let answer = client.memory.sent;
//! assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"\r\n\r\nhello\n"));
//! ```
//!
//! And the protocol runs without the driver; these are steps 3 to 9 of the tour, by hand:
//!
//! ```
//! use stheno::chat::{Memory, transmit};
//! use stheno::clock::{DateCache, Now};
//! use stheno::http1::{BodySink, Connection, Event, FEW_FIELDS, Response, Settings, Status, Turn, field_space};
//!
//! let (now, settings, mut dates) = (Now::ask(), Settings::default(), DateCache::new());
//! let mut turn = Turn { now, settings: &settings, dates: &mut dates };
//! let mut connection = Connection::new(now);
//! let mut window = connection.open(b"GET /a HTTP/1.1\r\nHost: example\r\n\r\n", now);
//!
//! let Event::Head(head) = connection.next_event(&mut window, &turn) else { panic!("not whole") };
//! let mut fields = field_space::<FEW_FIELDS>();
//! let request = head.parse(window.bytes(), &mut fields, &settings.limits)?;
//! assert_eq!(request.path(), Some(&b"/a"[..]));
//! let (response, needs) = (Response::error(Status::NOT_FOUND), request.needs());
//!
//! let sink = BodySink::Discard { is_error: true };
//! assert!(connection.accept(head, needs, sink, &mut window, &turn), "there is no body to read");
//! connection.respond(response, &mut turn);
//! assert_eq!(connection.next_event(&mut window, &turn), Event::Paused, "until the response has left");
//! connection.store(window);
//!
//! let mut socket = Memory::default();
//! transmit(&mut socket, connection.output_mut())?;
//! assert!(socket.sent.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

pub mod access;
pub mod app;
pub mod asyncore;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod config;
pub mod files;
pub mod heartbeat;
pub mod http1;
pub mod json;
pub mod master;
pub mod reactor;
pub mod recording;
pub mod server;
pub mod slab;
pub mod status;
pub mod sys;
pub mod timers;
pub mod tls;
#[cfg(feature = "wsgi")]
pub mod wsgi;
