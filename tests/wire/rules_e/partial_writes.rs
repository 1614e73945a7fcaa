//! E17: writes that the kernel takes in part, at every byte.

use stheno::chat::Segment;
use stheno::clock::{DateCache, Now};
use stheno::files::FileService;
use stheno::http1::{Connection, Flushed, Settings, Turn};

use crate::support::Folder;
use crate::support::rules::holds;

/// Returns everything that a connection sends for two requests, if the first write takes `first` bytes, each
/// later one `then`, and every other one takes nothing (EAGAIN).
fn with_cuts(service: &FileService, now: Now, first: usize, then: usize) -> Vec<u8> {
    let (settings, mut dates) = (Settings::default(), DateCache::new());
    let mut connection = Connection::new(now);
    let mut turn = Turn { now, settings: &settings, service, dates: &mut dates, requests: 16 };
    let requests =
        "GET /large HTTP/1.1\r\nHost: a\r\n\r\nHEAD /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    connection.receive(requests.as_bytes(), &mut turn);
    let (mut all, mut take) = (Vec::new(), first);
    loop {
        match connection.output_mut().front().expect("a segment") {
            None => match connection.flushed(now) {
                Flushed::Resume => connection.resume(&mut turn),
                _ => return all,
            },
            Some(Segment::Bytes { bytes, .. }) => {
                let count = bytes.len().min(take);
                all.extend_from_slice(&bytes[..count]);
                connection.output_mut().advance(count);
            }
            Some(Segment::File { file, offset, len }) => {
                let mut piece = vec![0; take.min(usize::try_from(len).expect("a small file"))];
                let count = stheno::sys::descriptor::read_at(file, &mut piece, offset).expect("read");
                all.extend_from_slice(&piece[..count]);
                connection.output_mut().advance(count);
            }
        }
        take = then;
        // EAGAIN: the next write gets the same segment.
        let _ = connection.output_mut().front().expect("a segment");
    }
}

#[test]
fn e17_partial_writes_at_every_byte() {
    let folder = Folder::new();
    let content: Vec<u8> = (0..17_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    folder.write("large", &content);
    let service = FileService::open(&folder.root()).expect("the root");
    let now = Now::ask();
    let whole = with_cuts(&service, now, usize::MAX, usize::MAX);
    let get_len = whole.len();
    assert!(whole.windows(content.len()).any(|window| window == content), "{get_len} bytes");
    // A cut at each byte near the start and the end of a part, and at every 97th byte between.
    let cuts = (1..600).chain((600..get_len).step_by(97)).chain(get_len - 400..get_len);
    let count = cuts.clone().count();
    for first in cuts {
        assert!(with_cuts(&service, now, first, usize::MAX) == whole, "cut at {first}");
    }
    for step in [1, 2, 3, 5, 7, 100] {
        assert!(with_cuts(&service, now, step, step) == whole, "in steps of {step}");
    }
    holds(
        "E17",
        format!("{count} cuts, and steps of 1 to 100 bytes with EAGAIN between: identical"),
        "identical",
    );
}
