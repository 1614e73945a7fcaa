//! Pipes and files on a loop.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use mio::event::Source;
use stheno::asyncore::{FileDispatcher, Poller, SimpleLoop};
use stheno::reactor::{Context, Dispatcher};

use crate::PATIENCE;

/// Reads a pipe to its end.
#[derive(Debug)]
struct Reader(FileDispatcher, Rc<RefCell<Vec<u8>>>);

impl Dispatcher for Reader {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(bytes) = cx.recv(&mut self.0)? {
            if bytes.is_empty() {
                cx.close();
                break;
            }
            self.1.borrow_mut().extend_from_slice(bytes);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Writer(FileDispatcher, Vec<u8>);

impl Dispatcher for Writer {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.0
    }

    fn fileno(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn readable(&self) -> bool {
        false
    }

    fn writable(&self) -> bool {
        true
    }

    fn handle_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(count) = cx.write(&mut self.0, &self.1)? {
            self.1.drain(..count);
            if self.1.is_empty() {
                cx.close();
                break;
            }
        }
        Ok(())
    }
}

#[test]
fn pipes_are_channels_like_any_other() {
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        // Blocking ends, as a program inherits them, and more than a pipe buffers.
        let (read, write) = io::pipe().expect("a pipe");
        let content: Vec<u8> = (0..1_000_000u32).map(|number| number.to_le_bytes()[1]).collect();
        let copied = Rc::<RefCell<Vec<u8>>>::default();
        let (read, write) = (FileDispatcher::new(read), FileDispatcher::new(write));
        looping.add(Writer(write.expect("a pipe's end"), content.clone())).expect("taken in");
        looping.add(Reader(read.expect("a pipe's end"), Rc::clone(&copied))).expect("taken in");
        looping.run(PATIENCE, None).expect("run");
        assert!(*copied.borrow() == content, "{poller}: {} bytes", copied.borrow().len());
    }
}

/// asyncore accepts a regular file, which select(2) always calls ready; epoll refuses it.
#[test]
fn a_regular_file_is_refused_by_epoll() {
    #[derive(Debug)]
    struct Idle(FileDispatcher);
    impl Dispatcher for Idle {
        fn socket(&mut self) -> &mut dyn Source {
            &mut self.0
        }
        fn fileno(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }
        fn readable(&self) -> bool {
            false
        }
    }
    for poller in Poller::ALL {
        let mut looping = SimpleLoop::new(poller).expect("a loop");
        let file = FileDispatcher::new(tempfile::tempfile().expect("a file")).expect("a file");
        looping.add(Idle(file)).expect("taken in");
        let refuses = poller == Poller::Mio && cfg!(target_os = "linux");
        assert_eq!(looping.is_empty(), refuses, "{poller}");
    }
}
