//! `asynchat.async_chat` without its socket.

use super::input::{Frame, InBuffer, Terminator, Window};
use super::producer::Producer;
use super::queue::OutQueue;

/// The two methods that `async_chat` leaves to a protocol.
pub trait Handler {
    /// Takes a part of the frame, of at least one byte; a frame may come in many parts.
    fn collect_incoming_data(&mut self, chat: &mut Chat, data: &[u8]);

    /// Handles the end of the frame: its terminator has come.
    fn found_terminator(&mut self, chat: &mut Chat);
}

/// Both directions of a conversation in frames.
#[derive(Debug)]
pub struct Chat {
    terminator: Terminator,
    input: InBuffer,
    output: OutQueue,
    /// Whether a hook has discarded the unread bytes during the current `receive`.
    discarded: bool,
}

impl Chat {
    /// A conversation whose frames end with `terminator`.
    #[must_use]
    pub fn new(terminator: Terminator) -> Self {
        Self { terminator, input: InBuffer::new(), output: OutQueue::new(), discarded: false }
    }

    /// Changes the terminator, from the next unread byte on; a hook may do that, too.
    pub fn set_terminator(&mut self, terminator: Terminator) {
        self.terminator = terminator;
        self.input.search_again();
    }

    /// Returns the terminator of the current frame.
    #[must_use]
    pub fn get_terminator(&self) -> &Terminator {
        &self.terminator
    }

    /// Queues bytes; after [`Chat::close_when_done`] they are discarded.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.output.is_closing() {
            self.output.push(bytes);
        }
    }

    /// Queues a producer; after [`Chat::close_when_done`] it is discarded.
    pub fn push_with_producer(&mut self, producer: impl Producer + 'static) {
        if !self.output.is_closing() {
            self.output.push_with_producer(producer);
        }
    }

    /// Ends the conversation after the queued output has left. Unread bytes still reach the handler, as in asynchat.
    pub fn close_when_done(&mut self) {
        self.output.close_when_done();
    }

    /// Discards the unread input, the queued output and a [`Chat::close_when_done`]: for emergencies only.
    pub fn discard_buffers(&mut self) {
        self.input.clear();
        self.output.discard_buffers();
        self.discarded = true;
    }

    /// Returns the queued output, for the driver.
    pub fn output(&mut self) -> &mut OutQueue {
        &mut self.output
    }

    /// Whether more input is wanted. Back-pressure: not while the output is above its high-water mark.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        !self.output.is_above_high_water()
    }

    /// Whether output is queued.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Returns the number of queued bytes, as far as the producers know.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.output.len()
    }

    /// Takes received bytes and calls the handler for them, as `async_chat.handle_read` does. Without bytes it searches
    /// the held ones again, at the end of the input.
    pub fn receive(&mut self, bytes: &[u8], handler: &mut impl Handler) {
        let mut window = self.input.open(bytes);
        self.discarded = false;
        while !window.bytes().is_empty() && self.step(&mut window, handler) && !self.discarded {}
        if !self.discarded {
            self.input.close(window);
        }
    }

    /// Passes one part of a frame to the handler; returns whether the frame is whole.
    fn step(&mut self, window: &mut Window<'_>, handler: &mut impl Handler) -> bool {
        // This counts a length down before the calls, so that the handler may set another terminator.
        let Ok(frame) = window.find(&mut self.terminator);
        match frame {
            Frame::Whole { data, terminator } => {
                self.collect(window, data, handler);
                window.consume(terminator);
                handler.found_terminator(self);
                true
            }
            Frame::Part { data } => {
                self.collect(window, data, handler);
                false
            }
        }
    }

    fn collect(&mut self, window: &mut Window<'_>, count: usize, handler: &mut impl Handler) {
        if count > 0 {
            handler.collect_incoming_data(self, &window.bytes()[..count]);
            window.consume(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    /// Collects the frames, and the bytes of the last one.
    #[derive(Default)]
    struct Collector(Vec<Vec<u8>>, Vec<u8>);

    impl Handler for Collector {
        fn collect_incoming_data(&mut self, _: &mut Chat, data: &[u8]) {
            self.1.extend_from_slice(data);
        }

        fn found_terminator(&mut self, _: &mut Chat) {
            self.0.push(std::mem::take(&mut self.1));
        }
    }

    /// A finding of the oracle: bytes that had been searched for the old terminator were not searched for the new one.
    #[test]
    fn a_terminator_set_between_two_reads() {
        let (mut chat, mut handler) = (Chat::new(Terminator::bytes(b"\r\n")), Collector::default());
        chat.receive(b"a\r", &mut handler);
        chat.receive(b"", &mut handler);
        chat.set_terminator(Terminator::bytes(b"\r"));
        chat.receive(b"b", &mut handler);
        assert_eq!((handler.0, handler.1), (vec![b"a".to_vec()], b"b".to_vec()));
    }

    /// Discards the buffers at the end of each frame.
    struct Discards(u32);

    impl Handler for Discards {
        fn collect_incoming_data(&mut self, _: &mut Chat, _: &[u8]) {}

        fn found_terminator(&mut self, chat: &mut Chat) {
            self.0 += 1;
            chat.discard_buffers();
        }
    }

    #[test]
    fn a_hook_discards_the_buffers() {
        let (mut chat, mut handler) = (Chat::new(Terminator::bytes(b"\n")), Discards(0));
        chat.push(b"unsent");
        chat.close_when_done();
        chat.receive(b"one\ntwo\nthr", &mut handler);
        assert_eq!(handler.0, 1, "the second line is gone");
        assert!(!chat.output().is_done() && !chat.wants_write(), "and so are the output and its end");
        chat.receive(b"ee\n", &mut handler);
        assert_eq!(handler.0, 2);
    }

    #[test]
    fn pushes_after_the_end_are_discarded() {
        let mut chat = Chat::new(Terminator::None);
        chat.push(b"the end");
        chat.close_when_done();
        chat.push(b", or not?");
        chat.push_with_producer(crate::chat::SimpleProducer::new(b"no".to_vec()));
        assert_eq!(chat.output().to_bytes().expect("bytes"), b"the end");
        assert!(chat.output().is_done());
    }

    /// Sets another terminator in `collect_incoming_data`.
    struct Hasty(Vec<Terminator>);

    impl Handler for Hasty {
        fn collect_incoming_data(&mut self, chat: &mut Chat, _: &[u8]) {
            self.0.push(chat.get_terminator().clone());
            chat.set_terminator(Terminator::bytes(b"!"));
        }

        fn found_terminator(&mut self, chat: &mut Chat) {
            self.0.push(chat.get_terminator().clone());
        }
    }

    /// asynchat subtracts the length after the call, from the terminator of that moment: a terminator that is set in
    /// `collect_incoming_data` is lost there, or a type error.
    #[test]
    fn a_terminator_set_while_a_length_is_collected() {
        let length = |count| Terminator::Length(NonZeroU64::new(count).expect("not 0"));
        let (mut chat, mut handler) = (Chat::new(length(4)), Hasty(Vec::new()));
        chat.receive(b"abc", &mut handler);
        assert_eq!(handler.0, [length(1)], "the length that is missing, not the one that was set");
        assert_eq!(*chat.get_terminator(), Terminator::bytes(b"!"));
        chat.receive(b"d!", &mut handler);
        assert_eq!(handler.0[1..], [Terminator::bytes(b"!"), Terminator::bytes(b"!")]);
    }

    #[test]
    fn a_full_queue_stops_reading() {
        let mut chat = Chat::new(Terminator::None);
        assert!(chat.wants_read());
        chat.push(&vec![b'x'; 64 * 1024]);
        assert!(!chat.wants_read());
        assert!(chat.wants_write());
        chat.discard_buffers();
        assert!(chat.wants_read() && !chat.wants_write());
    }
}
