//! - New here: the lab's whole `AsyncHTTPRequestHandler`, name by name: the bridge to the server itself.
//! - Try it: `cargo run --example async_server_step3 -- -r examples/site`, then <http://127.0.0.1:9000/>.
//! - What it costs: one connection per request; every file is copied through this process, 4,096 bytes at a time.
//! - Break it: `scripts/loop async_server_step3+follows_links`: a link leads out of the root.
//!
//! `http1::Connection`, `files::FileService` and `server::HttpChannel` are this program with keep-alive,
//! pipelining, ranges, validators, `sendfile`, lingering close, and a limit for everything.

#[path = "shared/acceptor.rs"]
mod acceptor;
#[path = "shared/ctrl_c.rs"]
mod ctrl_c;
#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use acceptor::Acceptor;
use ctrl_c::CtrlC;
use log::debug;
use percent_encoding::percent_decode_str;
use seed::Format;
use stheno::chat::{Chat, Chunk, Handler, Producer, Terminator};
use stheno::reactor::{ChatChannel, Reactor};
use stheno::sys::beneath::{self, Beneath, Symlinks};
use stheno::sys::descriptor::{self, FileKind};
use stheno::sys::socket;

/// The most bytes of a head, and of a body, that are stored. The lab sets no limit.
const MAX_BYTES: usize = 64 * 1024;

seed::options! {
    /// Simple asynchronous web-server.
    struct Args {
        /// address or name to listen on
        host: String = "127.0.0.1",
        /// port to listen on; 0 = any free one
        port: u16 = 9000,
        /// directory that is served
        root: PathBuf = ".",
        /// seconds for a request, and between two bytes of the response
        timeout: NonZeroU64 = 10,
    }
}

fn main() -> ExitCode {
    recording::main(serve)
}

fn serve(args: Args) -> io::Result<()> {
    seed::basic_config(&Format::Server);
    let root = beneath::open_root(&args.root);
    let root =
        root.map_err(|error| io::Error::other(format!("cannot serve {}: {error}", args.root.display())))?;
    let serversocket = socket::listen(seed::resolve(&args.host, args.port)?, 128, false)?;
    let mut reactor =
        Reactor::with_probe(recording::probe("reactor", include_str!("async_server_step3.rs"))?)?;
    reactor.add(CtrlC::new()?);
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let (root, patience) = (Rc::new(root), Duration::from_secs(args.timeout.get()));
    // The lab's AsyncHTTPServer: `async_server_step2` has it whole.
    reactor.add(Acceptor::new(serversocket, move |cx, socket, address| {
        debug!("Incoming connection from {}", address.pair());
        let handler = AsyncHTTPRequestHandler::new(Rc::clone(&root));
        let chat = Chat::new(Terminator::bytes(b"\r\n\r\n"));
        cx.adopt(ChatChannel::new(socket, chat, handler).with_patience(patience));
    }));
    reactor.run()
}

/// Handles the one request of a client.
#[derive(Debug)]
struct AsyncHTTPRequestHandler {
    root: Rc<OwnedFd>,
    incoming: Vec<u8>,
    /// `method`, `uri` and `protocol`, then the fields as they were sent; empty until they are parsed.
    headers: Vec<(String, String)>,
    is_answered: bool,
}

impl Handler for AsyncHTTPRequestHandler {
    fn collect_incoming_data(&mut self, chat: &mut Chat, data: &[u8]) {
        if !self.is_answered {
            self.incoming.extend_from_slice(data);
            if self.incoming.len() > MAX_BYTES {
                self.send_error(chat, 400);
            }
        }
    }

    fn found_terminator(&mut self, chat: &mut Chat) {
        if !self.is_answered {
            self.parse_request(chat);
        }
    }
}

impl AsyncHTTPRequestHandler {
    fn new(root: Rc<OwnedFd>) -> Self {
        Self { root, incoming: Vec::new(), headers: Vec::new(), is_answered: false }
    }

    fn parse_request(&mut self, chat: &mut Chat) {
        if !self.headers.is_empty() {
            // This was the body, which no method here uses.
            return self.handle_request(chat);
        }
        let Some(body) = self.parse_headers() else {
            return self.send_error(chat, 400);
        };
        match NonZeroU64::new(body) {
            Some(length) if self.header("method") == "POST" => {
                chat.set_terminator(Terminator::Length(length))
            }
            // In the lab a length of 0 became a terminator, too, which meant "collect everything, for ever".
            _ => self.handle_request(chat),
        }
    }

    /// Returns the length of the body, or `None` for a malformed head.
    fn parse_headers(&mut self) -> Option<u64> {
        let head = String::from_utf8(std::mem::take(&mut self.incoming)).ok()?;
        let mut lines = head.split("\r\n");
        let words: Vec<&str> = lines.next()?.split(' ').collect();
        let [method, uri, protocol @ ("HTTP/1.0" | "HTTP/1.1")] = words[..] else { return None };
        let mut headers = vec![("method", method), ("uri", uri), ("protocol", protocol)];
        for line in lines {
            let (name, value) = line.split_once(':').filter(|(name, _)| !name.contains([' ', '\t']))?;
            headers.push((name, value.trim()));
        }
        let is = |name: &str, wanted: &str| name.eq_ignore_ascii_case(wanted);
        let lengths = headers.iter().filter(|(name, _)| is(name, "content-length"));
        let lengths: Vec<&str> = lengths.map(|(_, value)| *value).collect();
        let length = match lengths[..] {
            [] => 0,
            [one] if one.bytes().all(|byte| byte.is_ascii_digit()) => one.parse().ok()?,
            _ => return None,
        };
        let is_coded = headers.iter().any(|(name, _)| is(name, "transfer-encoding"));
        if !uri.starts_with('/') || is_coded || length > MAX_BYTES as u64 {
            return None;
        }
        self.headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        debug!("{:?}", self.headers);
        Some(length)
    }

    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(this, _)| this == name);
        found.map_or("", |(_, value)| value)
    }

    fn handle_request(&mut self, chat: &mut Chat) {
        match self.header("method") {
            "GET" => self.do_get(chat),
            "HEAD" => self.do_head(chat),
            _ => self.send_error(chat, 405),
        }
    }

    fn do_get(&mut self, chat: &mut Chat) {
        if let Some((file, size)) = self.send_head(chat) {
            chat.push_with_producer(FileProducer { file: file.take(size), chunk_size: 4096 });
        }
        chat.close_when_done();
    }

    fn do_head(&mut self, chat: &mut Chat) {
        self.send_head(chat);
        chat.close_when_done();
    }

    /// Sends the head of the response; returns the file that follows it, and its size.
    fn send_head(&mut self, chat: &mut Chat) -> Option<(File, u64)> {
        let path = self.translate_path();
        let found = path.as_deref().and_then(|path| self.open(path));
        let (Some(path), Some((file, size))) = (path, found) else {
            self.send_error(chat, 404);
            return None;
        };
        self.send_response(chat, 200);
        self.send_header(chat, "Content-Type", mime_guess::from_path(path).first_or_octet_stream().as_ref());
        self.send_header(chat, "Content-Length", &size.to_string());
        self.end_headers(chat);
        Some((file, size))
    }

    /// Turns the target into a path beneath the root: cuts off the query, decodes once, and then normalises.
    fn translate_path(&self) -> Option<PathBuf> {
        let path = self.header("uri").split(['?', '#']).next()?;
        let path = percent_decode_str(path).decode_utf8().ok()?;
        let mut names = Vec::new();
        for name in path.split('/') {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()?),
                _ if name.contains('\0') => return None,
                _ => names.push(name),
            }
        }
        // A path that ends with a slash names a directory; its index is the file to send.
        if path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") {
            names.push("index.html");
        }
        Some(names.iter().collect())
    }

    /// Opens a regular file beneath the root; the kernel refuses every other path, links and races included.
    fn open(&self, path: &Path) -> Option<(File, u64)> {
        let file =
            Beneath { root: self.root.as_fd(), homes: &[], symlinks: Symlinks::Inside }.open(path).ok()?;
        let metadata = descriptor::metadata(file.as_fd()).ok()?;
        match metadata.kind {
            FileKind::Regular => Some((file.into(), metadata.size)),
            FileKind::Directory => self.open(&path.join("index.html")),
            FileKind::Other => None,
        }
    }

    fn send_error(&mut self, chat: &mut Chat, code: u16) {
        self.send_response(chat, code);
        self.send_header(chat, "Content-Type", "text/plain");
        self.end_headers(chat);
        chat.close_when_done();
    }

    fn send_response(&mut self, chat: &mut Chat, code: u16) {
        let message =
            RESPONSES.iter().find(|(this, _, _)| *this == code).map_or("???", |(_, short, _)| short);
        chat.push(format!("HTTP/1.1 {code} {message}\r\n").as_bytes());
        self.send_header(chat, "Server", "async_server_step3");
        self.send_header(chat, "Date", &self.date_time_string());
        self.send_header(chat, "Connection", "close");
        if code == 405 {
            self.send_header(chat, "Allow", "GET, HEAD");
        }
    }

    fn send_header(&self, chat: &mut Chat, keyword: &str, value: &str) {
        chat.push(format!("{keyword}: {value}\r\n").as_bytes());
    }

    /// Ends the head and ignores further input: this response is the last one. `close_when_done` closes the
    /// connection after all that was pushed has left; the lab called `handle_close` right after `push`, which
    /// cut it off.
    fn end_headers(&mut self, chat: &mut Chat) {
        chat.push(b"\r\n");
        chat.set_terminator(Terminator::None);
        self.is_answered = true;
    }

    fn date_time_string(&self) -> String {
        httpdate::fmt_http_date(SystemTime::now())
    }
}

/// Code, reason phrase, explanation.
const RESPONSES: [(u16, &str, &str); 5] = [
    (200, "OK", "Request fulfilled, document follows"),
    (400, "Bad Request", "Bad request syntax or unsupported method"),
    (403, "Forbidden", "Request forbidden -- authorization will not help"),
    (404, "Not Found", "Nothing matches the given URI"),
    (405, "Method Not Allowed", "Specified method is invalid for this resource."),
];

/// Reads a file piece by piece; each piece is read when the one before it has left.
#[derive(Debug)]
struct FileProducer {
    file: io::Take<File>,
    chunk_size: usize,
}

impl Producer for FileProducer {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        let mut data = vec![0; self.chunk_size];
        let count = self.file.read(&mut data)?;
        data.truncate(count);
        if count == 0 && self.file.limit() > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short"));
        }
        Ok((count > 0).then_some(Chunk::Bytes(data)))
    }
}
