//! The body of a response with several ranges: `multipart/byteranges` (RFC 9110 §14.6), made while it is sent.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::vec;

use super::content::Content;
use super::range::ByteRange;
use crate::chat::{Chunk, Producer};
use crate::clock::Now;

/// The producer of the parts, each with its own type and range. Memory holds the head of one part at a time.
#[derive(Debug)]
pub(super) struct Multipart {
    boundary: String,
    /// The type of each part.
    content_type: String,
    whole: Content,
    ranges: vec::IntoIter<ByteRange>,
    /// The content of the part whose head was the last piece.
    content: Option<Chunk>,
    now: Now,
    /// Bytes that are left.
    remaining: u64,
}

impl Multipart {
    /// The parts of `whole`. `ranges` lie in it.
    pub(super) fn new(ranges: Vec<ByteRange>, content_type: &str, whole: Content, now: Now) -> Self {
        let mut multipart = Self {
            // Random for each response, so that no file can be made to contain it.
            boundary: format!("stheno-{:016x}", RandomState::new().hash_one(now.monotonic)),
            content_type: content_type.into(),
            whole,
            now,
            ranges: Vec::new().into_iter(),
            content: None,
            remaining: 0,
        };
        let part = |range: &ByteRange| multipart.head(*range).len() as u64 + range.len();
        multipart.remaining = ranges.iter().map(part).sum::<u64>() + multipart.end().len() as u64;
        multipart.ranges = ranges.into_iter();
        multipart
    }

    /// The value of `Content-Type` for the response.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// What is in front of a part. RFC 2046 §5.1.1 allows the first delimiter without its CR LF; zsync does not find it
    /// then, and nginx and Apache send it.
    fn head(&self, range: ByteRange) -> String {
        let Self { boundary, content_type, whole, .. } = self;
        let size = whole.len();
        format!(
            "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: bytes {range}/{size}\r\n\r\n"
        )
    }

    fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }
}

impl Producer for Multipart {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        let (chunk, len) = if let Some(content) = self.content.take() {
            let len = content.len();
            (content, len)
        } else if let Some(range) = self.ranges.next() {
            self.content = Some(self.whole.part(range.first, range.len(), self.now));
            let head = self.head(range).into_bytes();
            let len = head.len() as u64;
            (Chunk::Bytes(head), len)
        } else if self.remaining > 0 {
            (Chunk::Bytes(self.end().into_bytes()), self.remaining)
        } else {
            return Ok(None);
        };
        self.remaining -= len;
        Ok(Some(chunk))
    }

    fn remaining(&self) -> u64 {
        self.remaining
    }
}
