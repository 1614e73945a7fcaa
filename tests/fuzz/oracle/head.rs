//! The oracle of heads: the same verdict at every cut, and the same meaning for every reader.

use stheno::clock::{DateCache, Now};
use stheno::http1::{
    BodyFraming, Connection, Error, Event, Head, Limits, MAX_FIELDS, Request, Settings, Target, Turn,
    Version, field_space, is_host_and_port, is_tchar,
};

use super::cuts::each_cut;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Waits,
    Refused(Error),
    Accepted(Box<HeadFacts>),
}

/// A parsed head, without borrows.
#[derive(Debug, PartialEq, Eq)]
struct HeadFacts {
    /// All bytes of the head, without empty lines before it.
    bytes: Vec<u8>,
    line: Vec<u8>,
    method: String,
    target: (Vec<u8>, Option<Vec<u8>>),
    version: Version,
    fields: Vec<(String, Vec<u8>)>,
    framing: BodyFraming,
    keep_alive: bool,
    expects_continue: bool,
}

impl HeadFacts {
    fn of(request: &Request<'_>, bytes: &[u8]) -> Self {
        let target = match request.target {
            Target::Path { path, query } => (path.to_vec(), query.map(<[u8]>::to_vec)),
            Target::Authority => (b"authority".to_vec(), None),
            Target::Asterisk => (b"*".to_vec(), None),
        };
        Self {
            bytes: bytes.to_vec(),
            line: request.line.to_vec(),
            method: format!("{:?}", request.method),
            target,
            version: request.version,
            fields: request.fields.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            framing: request.framing,
            keep_alive: request.keep_alive,
            expects_continue: request.expects_continue,
        }
    }
}

/// Checks the head at the beginning of any stream.
pub(crate) fn head(data: &[u8]) {
    let small = Limits { target: 24, field_line: 40, head: 160, ..Limits::default() };
    for limits in [Limits::default(), small] {
        check(data, &Settings { limits, ..Settings::default() });
    }
}

fn check(data: &[u8], settings: &Settings) {
    let limits = &settings.limits;
    let whole = feed(&mut [data].into_iter(), settings);
    each_cut(data, |pieces| assert_eq!(feed(pieces, settings), whole, "a cut changes the verdict"));
    if let Outcome::Accepted(head) = &whole {
        let bytes = &head.bytes[..];
        assert_eq!(feed(&mut [bytes].into_iter(), settings), whole, "bytes around the head matter");
        let cut = &bytes[..bytes.len() - 1];
        assert_eq!(feed(&mut [cut].into_iter(), settings), Outcome::Waits, "accepted before its end");
        assert!(bytes.len() <= limits.head + 2, "{} bytes are over the limit", bytes.len());
        check_lines(head, limits);
        check_httparse(head);
        check_framing(head);
    }
}

/// Reads a head as the driver does: asks the connection for it, and parses it.
fn feed(pieces: &mut dyn Iterator<Item = &[u8]>, settings: &Settings) -> Outcome {
    let (now, mut dates) = (Now::ask(), DateCache::new());
    let turn = Turn { now, settings, dates: &mut dates };
    let mut connection = Connection::new(now);
    for piece in pieces {
        let mut window = connection.open(piece, now);
        match connection.next_event(&mut window, &turn) {
            Event::Head(head) => return parse(head, window.bytes(), &settings.limits),
            Event::Refuse(error) => return Outcome::Refused(error),
            Event::NeedData => connection.store(window),
            event => panic!("{event:?} before a head"),
        }
        assert!(connection.held() <= settings.limits.head, "{} bytes are held", connection.held());
    }
    Outcome::Waits
}

fn parse(head: Head, bytes: &[u8], limits: &Limits) -> Outcome {
    match head.parse(bytes, &mut field_space::<MAX_FIELDS>(), limits) {
        Ok(request) => {
            assert_eq!(request.fields.iter().count(), head.fields);
            Outcome::Accepted(Box::new(HeadFacts::of(&request, &bytes[..head.length])))
        }
        Err(error) => Outcome::Refused(error),
    }
}

/// Compares the head with that of the simplest reader: lines, words, colons.
fn check_lines(head: &HeadFacts, limits: &Limits) {
    let text = head.bytes.strip_suffix(b"\r\n\r\n").expect("ends in an empty line");
    assert!(text.windows(4).all(|four| four != b"\r\n\r\n"), "an empty line within the head");
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = lines.next().expect("a request line");
    assert_eq!(line, head.line);
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else { panic!("{} words", words.len()) };
    assert!(!method.is_empty() && method.iter().copied().all(is_tchar));
    assert!(!target.is_empty() && target.len() <= limits.target);
    assert!(target.iter().all(|byte| byte.is_ascii_graphic() || !byte.is_ascii()) && !target.contains(&b'#'));
    assert!(version.starts_with(b"HTTP/1.") && version.len() == 8);
    assert_eq!(head.version == Version::Http10, version == b"HTTP/1.0");
    let fields: Vec<(String, Vec<u8>)> = lines.map(|line| field(line, limits)).collect();
    assert_eq!(fields, head.fields);
    assert!(fields.len() <= MAX_FIELDS);
}

fn field(line: &[u8], limits: &Limits) -> (String, Vec<u8>) {
    assert!(line.len() <= limits.field_line);
    assert!(!line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'), "a control byte");
    let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    assert!(!name.is_empty() && name.iter().copied().all(is_tchar), "not a name");
    (String::from_utf8_lossy(name).into(), value.to_vec())
}

/// Compares the head with that of httparse's own reader.
fn check_httparse(head: &HeadFacts) {
    // httparse accepts 1.0 and 1.1 only.
    let mut known = head.bytes.clone();
    if head.version == Version::Http11 {
        known[head.line.len() - 1] = b'1';
    }
    // It accepts UTF-8 in a target, and no other bytes above 7F.
    known[..head.line.len()].iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'x');
    let mut space = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut theirs = httparse::Request::new(&mut space);
    assert_eq!(theirs.parse(&known), Ok(httparse::Status::Complete(known.len())));
    let (method, path) = (theirs.method.expect("a method"), theirs.path.expect("a path"));
    assert!(known.starts_with(format!("{method} {path} HTTP/1.").as_bytes()));
    assert_eq!(theirs.version, Some(u8::from(head.version == Version::Http11)));
    let fields = theirs.headers.iter().map(|field| (field.name.into(), field.value.into()));
    assert_eq!(fields.collect::<Vec<(String, Vec<u8>)>>(), head.fields);
}

/// Reads the framing and the end of the connection from the fields again, and compares.
fn check_framing(head: &HeadFacts) {
    let all = |name: &str| -> Vec<&[u8]> {
        let named = head.fields.iter().filter(|(this, _)| this.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice()).collect()
    };
    let framing = match (&all("transfer-encoding")[..], &all("content-length")[..]) {
        ([], []) => BodyFraming::None,
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => BodyFraming::Chunked,
        ([], [length]) => {
            let length = std::str::from_utf8(length).ok().filter(|text| !text.starts_with('+'));
            let length: u64 = length.and_then(|text| text.parse().ok()).expect("a number");
            if length == 0 { BodyFraming::None } else { BodyFraming::Length(length) }
        }
        other => panic!("accepted: {other:?}"),
    };
    assert_eq!(framing, head.framing);
    assert!(head.version == Version::Http11 || framing != BodyFraming::Chunked);
    match all("host")[..] {
        [] => assert_eq!(head.version, Version::Http10),
        [host] => assert!(is_host_and_port(host)),
        _ => panic!("several hosts"),
    }
    let option = |name: &str| {
        let options = all("connection").into_iter().flat_map(|value| value.split(|byte| *byte == b','));
        options.map(trim).any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    };
    let by_default = head.version == Version::Http11 || option("keep-alive");
    assert_eq!(head.keep_alive, by_default && !option("close"));
    let expects = head.version == Version::Http11 && !all("expect").is_empty();
    assert_eq!(head.expects_continue, expects);
}

/// Removes SP and HTAB from both ends, independently of [`stheno::http1::trim_ows`].
fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}
