//! - New here: the page of `web_singlethread` on `select`: waiting requests are in a queue ordered by time.
//! - Try it: `cargo run --example web_select`, then `ab -c 100 -n 1000 http://127.0.0.1:9090/`.
//! - What it costs: as `tcp_select`, and the queue; its first entry limits how long `select` waits.
//! - Break it: `scripts/loop web_select+sleeps`: the handler sleeps; the loop stands still.

#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use seed::WebArgs;
use socket2::{Domain, Socket, Type};
use stheno::recording::{Keys, Why};
use stheno::sys::select::{self, select};
use stheno::sys::signal::{Signal, Signals};

/// A client is in one of the three tables, according to what it waits for.
struct Server {
    serversocket: TcpListener,
    database: Duration,
    /// Clients that have yet to send their request.
    readers: HashMap<RawFd, TcpStream>,
    /// Clients that wait for the database; the earliest result is first.
    sleepers: VecDeque<(Instant, TcpStream)>,
    /// Clients whose socket had no room for the rest of the page.
    writers: HashMap<RawFd, (TcpStream, &'static [u8])>,
    accepting: bool,
}

fn main() -> ExitCode {
    recording::main(serve)
}

fn serve(args: WebArgs) -> io::Result<()> {
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_nonblocking(true)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(args.backlog.into())?;
    let serversocket = TcpListener::from(serversocket);

    let signals = Signals::install(&[Signal::Interrupt, Signal::Terminate])?;
    recording::start("select", Keys::Descriptor, "asked read write hook", include_str!("web_select.rs"))?;
    recording::add(serversocket.as_raw_fd(), "serversocket", serversocket.as_raw_fd(), None);
    recording::add(signals.as_fd().as_raw_fd(), "signals", signals.as_fd().as_raw_fd(), None);
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    let (readers, sleepers, writers) = (HashMap::new(), VecDeque::new(), HashMap::new());
    let database = Duration::from_millis(args.db);
    let mut server = Server { serversocket, database, readers, sleepers, writers, accepting: true };
    while !server.turn(signals.as_fd())? {}
    println!("Shutting down");
    Ok(())
}

impl Server {
    /// Returns whether Ctrl+C has come.
    fn turn(&mut self, signals: BorrowedFd<'_>) -> io::Result<bool> {
        let mut reading: Vec<_> = self.readers.values().map(AsFd::as_fd).collect();
        reading.push(signals);
        if self.accepting {
            reading.push(self.serversocket.as_fd());
        }
        let writing: Vec<_> = self.writers.values().map(|(client, _)| client.as_fd()).collect();
        let next = self.sleepers.front().map(|(until, _)| until.saturating_duration_since(Instant::now()));
        let timeout = Some(next.unwrap_or(Duration::from_secs(60)));
        recording::wait(reading.len() + writing.len(), timeout);
        let (rlist, wlist, _) = select(&reading, &writing, &[], timeout)?;
        recording::turn(rlist.len() + wlist.len());

        self.accepting = true;
        for fileno in &rlist {
            recording::event(*fileno, true, false);
            if let Some(client) = self.readers.remove(fileno) {
                self.read(client);
            } else if *fileno == self.serversocket.as_raw_fd() {
                self.accept();
            }
        }
        for fileno in wlist {
            recording::event(fileno, false, true);
            if let Some((client, rest)) = self.writers.remove(&fileno) {
                self.write(client, rest, Why::Asked);
            }
        }
        while self.sleepers.front().is_some_and(|(until, _)| *until <= Instant::now()) {
            if let Some((_, client)) = self.sleepers.pop_front() {
                self.write(client, seed::PAGE, Why::Deadline);
            }
        }
        Ok(rlist.contains(&signals.as_raw_fd()))
    }

    fn accept(&mut self) {
        let _hook = recording::hook(self.serversocket.as_raw_fd(), "accept", Why::Asked);
        match self.serversocket.accept() {
            Ok((client, address)) => {
                let allowed = select::check(client.as_fd()).and_then(|()| client.set_nonblocking(true));
                match allowed {
                    Ok(()) => {
                        recording::add(client.as_raw_fd(), "client", client.as_raw_fd(), Some(address));
                        self.readers.insert(client.as_raw_fd(), client);
                    }
                    Err(error) => eprintln!("{error}: {address} is turned away"),
                }
            }
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::ConnectionAborted].contains(&error.kind()) => {}
            // Out of descriptors: `select` would report "ready" at once again. Accepting waits for another
            // event.
            Err(_) => self.accepting = false,
        }
    }

    fn read(&mut self, mut client: TcpStream) {
        let _hook = recording::hook(client.as_raw_fd(), "read", Why::Asked);
        match recording::read(client.as_raw_fd(), seed::recv(&mut client, &mut [0; 1024])) {
            Ok(_) => self.sleepers.push_back((Instant::now() + self.database, client)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readers.insert(client.as_raw_fd(), client);
            }
            Err(_) => recording::close(client.as_raw_fd(), 0),
        }
    }

    /// Sends as much as the client's socket takes; after the last byte the client is dropped, which closes it.
    fn write(&mut self, mut client: TcpStream, page: &'static [u8], why: Why) {
        let _hook = recording::hook(client.as_raw_fd(), "write", why);
        let sent = match recording::write(client.as_raw_fd(), page.len(), client.write(page)) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return recording::close(client.as_raw_fd(), page.len()),
        };
        if sent < page.len() {
            self.writers.insert(client.as_raw_fd(), (client, &page[sent..]));
        } else {
            recording::close(client.as_raw_fd(), 0);
            self.accepting = true;
        }
    }
}
