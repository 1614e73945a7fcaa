//! Framed bytes of a response on their way to the output queue, with the large pieces of the application among them.

use crate::chat::{LentBytes, OutQueue};

/// Framed bytes, in order: memory of the server, and pieces that are sent from the objects of the application.
#[derive(Debug, Default)]
pub(super) struct FramedBytes {
    /// What is not lent.
    pub(super) bytes: Vec<u8>,
    /// Lent pieces, each with its place in `bytes`.
    lent: Vec<(usize, Box<dyn LentBytes>)>,
    lent_length: u64,
}

impl From<Vec<u8>> for FramedBytes {
    /// `memory` is empty.
    fn from(memory: Vec<u8>) -> Self {
        Self { bytes: memory, ..Self::default() }
    }
}

impl FramedBytes {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.lent.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64 + self.lent_length
    }

    /// Appends bytes that stay where they are.
    pub(super) fn lend(&mut self, piece: Box<dyn LentBytes>) {
        self.lent_length += (*piece).as_ref().len() as u64;
        self.lent.push((self.bytes.len(), piece));
    }

    /// Drops everything except the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.lent.clear();
        self.lent_length = 0;
    }

    /// Moves everything out of `other`, which receives empty memory for it.
    pub(super) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        let place = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.lent.extend(other.lent.drain(..).map(|(at, piece)| (place + at, piece)));
        self.lent_length += std::mem::take(&mut other.lent_length);
    }

    /// Moves everything to `out`, which gives empty memory for it.
    pub(super) fn move_to(&mut self, out: &mut OutQueue) {
        if self.lent.is_empty() {
            return out.push_from(&mut self.bytes);
        }
        let mut from = 0;
        for (at, piece) in self.lent.drain(..) {
            out.push(&self.bytes[from..at]);
            out.push_lent(piece);
            from = at;
        }
        out.push(&self.bytes[from..]);
        self.clear();
    }
}

/// Empty memory of responses, for the next ones. The number of them is the holder's.
#[derive(Debug, Default)]
pub(super) struct SpareWires(Vec<Vec<u8>>);

impl SpareWires {
    /// The largest memory that is kept.
    const LARGEST: usize = 128 * 1024;

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps `memory`, unless there are `most` already.
    pub(super) fn keep(&mut self, memory: Vec<u8>, most: usize) {
        if self.0.len() < most && memory.capacity() > 0 && Self::is_worth_keeping(&memory) {
            self.0.push(memory);
        }
    }

    /// Whether memory is not too large to be kept.
    pub(super) fn is_worth_keeping(memory: &Vec<u8>) -> bool {
        memory.capacity() <= Self::LARGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(parts: &[(&str, &str)]) -> FramedBytes {
        let mut wire = FramedBytes::default();
        for (own, lent) in parts {
            wire.bytes.extend_from_slice(own.as_bytes());
            if !lent.is_empty() {
                wire.lend(Box::new(lent.as_bytes().to_vec()));
            }
        }
        wire
    }

    #[test]
    fn the_order_is_kept() {
        let both = [
            (wire(&[("a", "B"), ("", "C"), ("d", "")]), "aBCd"),
            (wire(&[("e", ""), ("f", "G")]), "efG"),
            (wire(&[("", "H")]), "H"),
            (wire(&[("i", "")]), "i"),
            (FramedBytes::default(), ""),
        ];
        let (mut all, mut want) = (FramedBytes::default(), String::new());
        for (mut other, text) in both {
            all.append(&mut other);
            assert!(other.is_empty() && other.len() == 0);
            want += text;
            assert_eq!(all.len(), want.len() as u64);
        }
        let mut queue = OutQueue::new();
        all.move_to(&mut queue);
        assert!(all.is_empty() && all.len() == 0);
        assert_eq!(queue.to_bytes().expect("bytes"), want.as_bytes());
    }
}
