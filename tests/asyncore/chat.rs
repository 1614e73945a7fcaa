//! Queued output, and chats on a loop.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use stheno::chat::{Chat, Handler, Terminator};
use stheno::reactor::{ChatChannel, Context, Dispatcher, DispatcherWithSend, Poller, SimpleLoop};

use crate::{Lines, PATIENCE, lines, pair, turn_until};

/// Sends its input back, in upper case and ten times.
#[derive(Debug)]
struct Shout(DispatcherWithSend, bool);

impl Dispatcher for Shout {
    fn socket(&mut self) -> &mut dyn Source {
        self.0.socket()
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn readable(&self) -> bool {
        !self.1
    }

    fn writable(&self) -> bool {
        self.0.writable()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(bytes) = self.0.recv(cx)? {
            if bytes.is_empty() {
                self.1 = true;
                break;
            }
            // Ten times as much as the input, so that the socket gets full.
            let loud = bytes.to_ascii_uppercase().repeat(10);
            self.0.send(cx, &loud)?;
        }
        self.handle_write(cx)
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.0.initiate_send(cx)?;
        if self.1 && !self.0.writable() {
            cx.close();
        }
        Ok(())
    }
}

#[test]
fn a_dispatcher_with_send_sends_everything() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (ours, peer) = pair();
        looping.add(Shout(DispatcherWithSend::new(ours), false)).expect("taken in");
        let mut writer = peer.try_clone().expect("a clone");
        let mut reader = peer;
        let sender = std::thread::spawn(move || {
            writer.write_all(&vec![b'a'; 1 << 20]).expect("send");
            writer.shutdown(Shutdown::Write).expect("shutdown");
        });
        let receiver = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).expect("read");
            all
        });
        looping.run(PATIENCE, None).expect("run");
        sender.join().expect("the sender");
        let all = receiver.join().expect("the receiver");
        assert!(all.len() == 10 << 20 && all.iter().all(|byte| *byte == b'A'), "{poller}: {}", all.len());
    }
}

/// asynchat closes at the peer's end of file and drops queued output; here the peer gets it.
#[test]
fn a_peer_that_closed_its_half_still_gets_everything() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (ours, mut peer) = pair();
        let line = vec![b'x'; 5_000_000];
        let receiver = std::thread::spawn(move || {
            peer.write_all(&line).and_then(|()| peer.write_all(b"\n")).expect("send");
            peer.shutdown(Shutdown::Write).expect("shutdown");
            let mut all = Vec::new();
            peer.read_to_end(&mut all).expect("read");
            all.len()
        });
        looping.add(lines(ours)).expect("taken in");
        looping.run(PATIENCE, None).expect("run");
        assert_eq!(receiver.join().expect("the receiver"), 5_000_007, "{poller}");
    }
}

/// There is no `handle_connect`: a connecting socket is not writable until it is connected.
#[test]
fn a_chat_may_begin_before_it_is_connected() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let socket = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        let mut chat = Chat::new(Terminator::bytes(b"\n"));
        chat.push(b"hello\n");
        looping.add(ChatChannel::new(socket, chat, Lines::default())).expect("taken in");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
            let mut greeting = [0; 6];
            stream.read_exact(&mut greeting).expect("the greeting");
            stream.write_all(b"welcome\n").expect("send");
            let mut answer = [0; 14];
            stream.read_exact(&mut answer).expect("the response");
            [&greeting[..], &answer].concat()
        });
        looping.run(PATIENCE, None).expect("run");
        assert_eq!(server.join().expect("the server"), b"hello\necho: welcome\n", "{poller}");
    }
}

/// Records the lengths of the parts.
#[derive(Debug, Default)]
struct Parts(Rc<RefCell<Vec<usize>>>);

impl Handler for Parts {
    fn collect_incoming_data(&mut self, _: &mut Chat, data: &[u8]) {
        self.0.borrow_mut().push(data.len());
    }

    fn found_terminator(&mut self, _: &mut Chat) {}
}

/// asynchat's `ac_in_buffer_size` is 65,536 and can be changed; here it has the same value and is constant.
#[test]
fn a_read_brings_64_kib_at_most() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (ours, mut peer) = pair();
        peer.write_all(&[b'x'; 200_000]).expect("send");
        let parts = Rc::<RefCell<Vec<usize>>>::default();
        let channel = ChatChannel::new(ours, Chat::new(Terminator::None), Parts(Rc::clone(&parts)));
        looping.add(channel).expect("taken in");
        turn_until(&mut looping, || parts.borrow().iter().sum::<usize>() == 200_000);
        assert!(parts.borrow().iter().all(|part| *part <= 65_536), "{poller}: {parts:?}");
    }
}

/// Pushes, discards it, and pushes another message.
#[derive(Debug, Default)]
struct Regrets(u32);

impl Handler for Regrets {
    fn collect_incoming_data(&mut self, _: &mut Chat, _: &[u8]) {}

    fn found_terminator(&mut self, chat: &mut Chat) {
        self.0 += 1;
        match self.0 {
            1 => {
                chat.push(b"said too early");
                chat.discard_buffers();
            }
            // asynchat closes at the push if the queue is empty before the end; then nothing can be discarded.
            2 => {
                chat.close_when_done();
                chat.push(b"lost");
                chat.discard_buffers();
            }
            _ => {
                chat.push(b"good-bye");
                chat.close_when_done();
            }
        }
    }
}

/// asynchat sends at every `push`; here all output leaves after the hook, so it can be discarded until then.
#[test]
fn what_a_hook_pushes_leaves_behind_it_and_may_be_taken_back() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let (ours, mut peer) = pair();
        let chat = Chat::new(Terminator::bytes(b"\n"));
        looping.add(ChatChannel::new(ours, chat, Regrets::default())).expect("taken in");
        for _ in 0..2 {
            peer.write_all(b"\n").expect("send");
            looping.run(Duration::from_millis(10), Some(3)).expect("run");
        }
        peer.write_all(b"\n").expect("send");
        looping.run(PATIENCE, None).expect("run");
        let mut all = String::new();
        peer.read_to_string(&mut all).expect("read");
        assert_eq!(all, "good-bye", "{poller}");
    }
}
