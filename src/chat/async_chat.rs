//! `asynchat.async_chat`, without its socket.

use super::input::{Frame, InBuffer, Terminator, Window};
use super::producer::Producer;
use super::queue::OutQueue;

/// What a protocol on [`Chat`] implements: the two methods that `async_chat` leaves open.
pub trait Handler {
    /// A part of the frame has come; a frame may come in many parts.
    fn collect_incoming_data(&mut self, chat: &mut Chat, data: &[u8]);

    /// The frame is whole: its terminator has come.
    fn found_terminator(&mut self, chat: &mut Chat);
}

/// Both directions of a conversation in frames.
#[derive(Debug)]
pub struct Chat {
    terminator: Terminator,
    input: InBuffer,
    output: OutQueue,
    /// Whether a hook has thrown away what is unread, in the turn that is on.
    discarded: bool,
}

impl Chat {
    /// A conversation whose frames end as `terminator` says.
    #[must_use]
    pub fn new(terminator: Terminator) -> Self {
        Self { terminator, input: InBuffer::new(), output: OutQueue::new(), discarded: false }
    }

    /// Changes what ends a frame, from the next unread byte on; also in the middle of a turn.
    pub fn set_terminator(&mut self, terminator: Terminator) {
        self.terminator = terminator;
        self.input.search_again();
    }

    /// What ends the current frame.
    #[must_use]
    pub fn get_terminator(&self) -> &Terminator {
        &self.terminator
    }

    /// Queues bytes; behind [`Chat::close_when_done`] they are lost.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.output.is_closing() {
            self.output.push(bytes);
        }
    }

    /// Queues a producer; behind [`Chat::close_when_done`] it is lost.
    pub fn push_with_producer(&mut self, producer: impl Producer + 'static) {
        if !self.output.is_closing() {
            self.output.push_with_producer(producer);
        }
    }

    /// Ends the conversation once everything queued has left. What is unread of the bytes that have come
    /// already is still handed to the handler, as in asynchat.
    pub fn close_when_done(&mut self) {
        self.output.close_when_done();
    }

    /// Throws away what has come and what has not left, a [`Chat::close_when_done`] with it: emergencies
    /// only.
    pub fn discard_buffers(&mut self) {
        self.input.clear();
        self.output.discard_buffers();
        self.discarded = true;
    }

    /// What waits to be sent, for the driver.
    pub fn output(&mut self) -> &mut OutQueue {
        &mut self.output
    }

    /// Whether more input is wanted: not while the peer does not take what it has been given.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        !self.output.is_above_high_water()
    }

    /// Whether output waits.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// How many bytes wait to be sent, as far as the producers know.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.output.len()
    }

    /// Takes what has come and calls the handler for it, as `async_chat.handle_read` does. Without bytes it
    /// looks at those that are held back once more: for the end of file.
    pub fn receive(&mut self, bytes: &[u8], handler: &mut impl Handler) {
        let mut window = self.input.open(bytes);
        self.discarded = false;
        while !window.bytes().is_empty() && self.step(&mut window, handler) && !self.discarded {}
        if !self.discarded {
            self.input.close(window);
        }
    }

    /// Hands over one part of a frame; `false` when the rest has to wait for more input.
    fn step(&mut self, window: &mut Window<'_>, handler: &mut impl Handler) -> bool {
        // A length is counted down here, before the calls, so that the handler may set another terminator.
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

    /// Records the calls; after each frame the next terminator of the script is set.
    #[derive(Default)]
    struct Recorder {
        frames: Vec<Vec<u8>>,
        part: Vec<u8>,
        script: Vec<Terminator>,
    }

    impl Handler for Recorder {
        fn collect_incoming_data(&mut self, _: &mut Chat, data: &[u8]) {
            assert!(!data.is_empty());
            self.part.extend_from_slice(data);
        }

        fn found_terminator(&mut self, chat: &mut Chat) {
            self.frames.push(std::mem::take(&mut self.part));
            if let Some(terminator) = self.script.pop() {
                chat.set_terminator(terminator);
            }
        }
    }

    #[test]
    fn terminators_change_in_mid_stream_at_any_split() {
        let input = b"line\r\n12345END of it\r\n\r\nthe rest, whatever\r\n";
        for step in 1..=input.len() {
            let mut chat = Chat::new(Terminator::bytes(b"\r\n"));
            let mut recorder = Recorder {
                script: vec![
                    Terminator::None,
                    Terminator::bytes(b"\r\n\r\n"),
                    Terminator::Length(NonZeroU64::new(5).expect("five")),
                ],
                ..Recorder::default()
            };
            for piece in input.chunks(step) {
                chat.receive(piece, &mut recorder);
            }
            let frames: [&[u8]; 3] = [b"line", b"12345", b"END of it"];
            assert_eq!(recorder.frames, frames, "in steps of {step}");
            assert_eq!(recorder.part, b"the rest, whatever\r\n", "in steps of {step}");
        }
    }

    /// Found by the oracle: what had been searched for the old terminator was not searched for the new one.
    #[test]
    fn a_terminator_that_is_set_between_two_reads_counts_from_the_first_unread_byte() {
        let (mut chat, mut recorder) = (Chat::new(Terminator::bytes(b"\r\n")), Recorder::default());
        chat.receive(b"a\r", &mut recorder);
        chat.receive(b"", &mut recorder);
        chat.set_terminator(Terminator::bytes(b"\r"));
        chat.receive(b"b", &mut recorder);
        assert_eq!((recorder.frames, recorder.part), (vec![b"a".to_vec()], b"b".to_vec()));
    }

    /// Throws everything away at the end of the first frame.
    struct Discards(u32);

    impl Handler for Discards {
        fn collect_incoming_data(&mut self, _: &mut Chat, _: &[u8]) {}

        fn found_terminator(&mut self, chat: &mut Chat) {
            self.0 += 1;
            chat.discard_buffers();
        }
    }

    #[test]
    fn discarding_in_a_hook_forgets_the_rest_of_what_has_just_come() {
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
    fn what_is_pushed_behind_the_end_is_lost() {
        let mut chat = Chat::new(Terminator::None);
        chat.push(b"the end");
        chat.close_when_done();
        chat.push(b", or not?");
        chat.push_with_producer(crate::chat::SimpleProducer::new(b"no".to_vec()));
        assert_eq!(chat.output().to_bytes().expect("bytes"), b"the end");
        assert!(chat.output().is_done());
    }

    /// Sets another terminator as soon as the first byte of a frame is there.
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

    /// asynchat takes the length off *after* the call, from whatever is set by then: a terminator that is set
    /// in `collect_incoming_data` gets lost there, or is a type error.
    #[test]
    fn a_terminator_set_while_a_length_is_collected_stands() {
        let length = |count| Terminator::Length(NonZeroU64::new(count).expect("not 0"));
        let (mut chat, mut handler) = (Chat::new(length(4)), Hasty(Vec::new()));
        chat.receive(b"abc", &mut handler);
        assert_eq!(handler.0, [length(1)], "what is left, not what was set");
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
