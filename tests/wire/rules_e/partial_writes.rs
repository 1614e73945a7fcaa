//! E17: writes that the kernel takes in part, at every byte.

use stheno::clock::Now;
use stheno::files::FileService;
use stheno::http1::Settings;
use stheno::server::MemoryConnection;

use crate::support::Folder;
use crate::support::rules::holds;

/// Returns everything that a connection sends for two requests, if the first write takes `first` bytes, each
/// later one `then`, and every other one takes nothing (EAGAIN).
fn with_cuts(service: &FileService, now: Now, first: usize, then: usize) -> Vec<u8> {
    let settings = Settings::default();
    let mut client = MemoryConnection::new(service, &settings, now);
    client.memory.room = first;
    client.receive(
        b"GET /large HTTP/1.1\r\nHost: a\r\n\r\nHEAD /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    while !client.connection().is_closed() && !client.connection().is_lingering() {
        // EAGAIN: the next write gets the same segment.
        client.memory.room = 0;
        client.flush();
        client.memory.room = then;
        client.flush();
    }
    client.memory.sent
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
