//! The oracle of bodies: the same content and the same end at every cut, and the bytes after the end stay.

use stheno::chat::InBuffer;
use stheno::http1::{BodyEvent, BodyFraming, BodyReader, Error};

use super::cuts::{Noise, each_cut};

/// Framing bytes that a body may have without content.
const FREE: usize = 100_000;
/// Framing bytes after the last size line that was compared with the content: another one, and the trailer section.
const LAST: usize = 2 * 4096 + 8192 + 4;
/// The longest line of framing that waits for its end.
const LONGEST_LINE: usize = 8192 + 2;

#[derive(Debug, PartialEq, Eq)]
enum End {
    Waits,
    Refused(Error),
    /// The body is this number of bytes.
    At(usize),
}

/// Checks any bytes as a chunked body, as one of a known length, and as the content of one.
pub(crate) fn chunked(data: &[u8]) {
    check(data);
    check_length(data);
    check_round_trip(data);
    // A real connection may carry more than one input; a long body is checked now and then, because it takes time.
    if !data.is_empty() && Noise::of(data).next().is_some_and(|noise| noise % 256 == 0) {
        let many = data.repeat(300_000 / data.len() + 1);
        let (content, end) = read(BodyFraming::Chunked, &mut many.chunks(4096));
        check_overhead(&content, &end, many.len());
    }
}

fn check(data: &[u8]) {
    let (content, end) = read(BodyFraming::Chunked, &mut [data].into_iter());
    each_cut(data, |pieces| {
        let cut = read(BodyFraming::Chunked, pieces);
        assert_eq!((&cut.0, &cut.1), (&content, &end), "a cut changes the body");
    });
    check_overhead(&content, &end, data.len());
    if let End::At(length) = end {
        let only = read(BodyFraming::Chunked, &mut [&data[..length]].into_iter());
        assert_eq!((&only.0, only.1), (&content, End::At(length)), "bytes after the body matter");
        let early = read(BodyFraming::Chunked, &mut [&data[..length - 1]].into_iter());
        assert_eq!(early, (content.clone(), End::Waits), "ended before its end");
        assert_eq!(read_with_httparse(&data[..length]), content, "another reader reads another body");
    }
}

/// Reads a body as the connection does; the bytes after it must stay in the window.
fn read(framing: BodyFraming, pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<u8>, End) {
    let (mut buffer, mut reader) = (InBuffer::new(), BodyReader::new(framing));
    let (mut content, mut fed) = (Vec::new(), 0);
    for piece in pieces {
        fed += piece.len();
        let mut window = buffer.open(piece);
        loop {
            let before = window.bytes().len();
            match reader.next_event(&mut window) {
                Ok(BodyEvent::Data(count)) => {
                    assert!(count > 0 && count <= window.bytes().len(), "{count} bytes of {before}");
                    content.extend_from_slice(&window.bytes()[..count]);
                    window.consume(count);
                }
                Ok(BodyEvent::NeedData) => break,
                Ok(BodyEvent::End) => {
                    let rest = window.bytes().len();
                    assert_eq!(reader.content(), content.len() as u64);
                    assert_eq!(reader.next_event(&mut window), Ok(BodyEvent::End), "it ends once");
                    assert_eq!(window.bytes().len(), rest);
                    assert!(piece.ends_with(window.bytes()) || window.bytes().ends_with(piece));
                    return (content, End::At(fed - rest));
                }
                Err(error) => return (content, End::Refused(error)),
            }
        }
        buffer.close(window);
        assert!(buffer.len() <= LONGEST_LINE, "{} bytes are held", buffer.len());
    }
    (content, End::Waits)
}

/// Checks that a body that is mostly framing is refused (RULES A59), whether or not it ends.
fn check_overhead(content: &[u8], end: &End, fed: usize) {
    let length = match end {
        End::At(length) => *length,
        End::Waits => fed,
        End::Refused(_) => return,
    };
    let overhead = length - content.len();
    assert!(overhead <= FREE.max(16 * (content.len() + 1)) + LAST, "{overhead} bytes of framing");
}

/// Returns the content of a chunked body whose size lines httparse reads.
fn read_with_httparse(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(body) else {
            panic!("no size line: {body:?}");
        };
        if size == 0 {
            return content;
        }
        let size = usize::try_from(size).expect("it is all here");
        content.extend_from_slice(&body[line..line + size]);
        body = body[line + size..].strip_prefix(b"\r\n").expect("the end of a chunk");
    }
}

/// Checks a body of a known length.
fn check_length(data: &[u8]) {
    let length = Noise::of(data).next().unwrap_or(0) % (data.len() + 2);
    if length == 0 {
        return;
    }
    let framing = BodyFraming::Length(length as u64);
    let want = match data.get(..length) {
        Some(content) => (content.to_vec(), End::At(length)),
        None => (data.to_vec(), End::Waits),
    };
    each_cut(data, |pieces| assert_eq!(read(framing, pieces), want));
}

/// Checks that content in chunks of any size is read again.
fn check_round_trip(content: &[u8]) {
    let (mut body, mut rest, mut noise) = (Vec::new(), content, Noise::of(content));
    let mut next = |below: usize| noise.next().unwrap_or(0) % below;
    while !rest.is_empty() {
        let most = rest.len().min(if next(4) == 0 { 4096 } else { 32 });
        let (chunk, after) = rest.split_at(1 + next(most));
        // Few extensions, because many are refused (RULES A59).
        let line = match next(8) {
            0 if body.len() < 2048 => format!("{:X};n=v;q=\"\\\";\"", chunk.len()),
            2 if body.len() < 2048 => format!("{:x} ; n\t; v= \t\"x\"", chunk.len()),
            1 => format!("{:04X}", chunk.len()),
            _ => format!("{:x}", chunk.len()),
        };
        body.extend_from_slice(line.as_bytes());
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
        rest = after;
    }
    let end: &[u8] = if next(2) == 0 { b"0\r\n\r\n" } else { b"000;x\r\nX-Sum: \t1 \r\nY:\r\n\r\n" };
    body.extend_from_slice(end);
    let length = body.len();
    body.extend_from_slice(b"GET ");
    let want = (content.to_vec(), End::At(length));
    assert_eq!(read(BodyFraming::Chunked, &mut [&body[..]].into_iter()), want, "a round trip");
    each_cut(&body, |pieces| assert_eq!(read(BodyFraming::Chunked, pieces), want, "a round trip, cut"));
}
