//! Requests made of others: what changes nothing must change nothing, and what breaks a request must break it,
//! whatever else it is made of.
//!
//! The valid requests are the corpus's and some more. A *rewording* says the same in other bytes (case, white
//! space, order, framing, cuts) and has to come to the same answers. A *damage* breaks one rule of the grammar in
//! one of the pipelined requests: those before it are answered, it is refused, and the canary behind it is not
//! answered.

use crate::support::core::Outcome;
use crate::support::fronts::CANARY;
use crate::support::{Core, Dice, Fronts, Response, parse_each, rules};

use super::corpus;

const REWORDINGS: usize = 20_000;
const DAMAGES_OF_A_KIND: usize = 1_200;
/// One in so many goes over the wire as well: a connection costs more than a call.
const OVER_THE_WIRE: usize = 40;

/// A request, without what it may be said in.
#[derive(Clone, Debug)]
struct Message {
    method: String,
    target: String,
    version: String,
    /// Without those of the framing.
    fields: Vec<(String, Vec<u8>)>,
    body: Option<Body>,
}

#[derive(Clone, Debug)]
struct Body {
    content: Vec<u8>,
    chunked: bool,
}

/// Requests on one connection, and what they come to.
#[derive(Debug)]
struct Subject {
    id: String,
    messages: Vec<Message>,
    outcome: Vec<(u16, Vec<u8>)>,
    ended: bool,
}

/// A part of a message as it is sent.
#[derive(Clone, Debug)]
enum Piece {
    Line { text: Vec<u8>, end: &'static str },
    Data(Vec<u8>),
}

/// Valid requests beside those of the corpus.
const VALID: [&str; 27] = [
    "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a:80\r\nUser-Agent: x\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n\r\n",
    "HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /big HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\n\r\n",
    "HEAD /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "BREW /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    "get /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "GET /sub?a=b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /ok?a=%20&b=/? HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost:\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: TE,,x\r\nTE: trailers\r\n\r\n",
    "GET /ok HTTP/1.0\r\n\r\n",
    "GET /ok HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /ok HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
    "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    "GET /big HTTP/1.1\r\nHost: a\r\nRange: bytes=5-9\r\nIf-Range: \"x\"\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\n",
    "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Length: 27\r\n\r\nGET /canary HTTP/1.1\r\nHost:",
    "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\nc\r\n0\r\n\r\nPUT / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n0\r\n\r\nPUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\
     HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
    "DELETE /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /sub/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a/ok HTTP/1.1\r\nHost: b\r\n\r\nGET //sub HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// Statuses of requests that were understood to their ends.
const UNDERSTOOD: [u16; 9] = [200, 204, 206, 301, 304, 404, 405, 412, 416];

fn subjects(core: &mut Core) -> Vec<Subject> {
    let corpus = corpus::cases().iter().map(|case| (case.id.clone(), case.payload.clone()));
    let own = VALID.iter().enumerate().map(|(n, valid)| (format!("own {n}"), valid.as_bytes().to_vec()));
    let subjects: Vec<_> =
        corpus.chain(own).filter_map(|(id, payload)| Subject::new(id, &payload, core)).collect();
    let own = subjects.iter().filter(|subject| subject.id.starts_with("own ")).count();
    assert_eq!(own, VALID.len(), "all of our own are valid");
    subjects
}

impl Subject {
    /// `None` if the payload is not made of valid requests alone.
    fn new(id: String, payload: &[u8], core: &mut Core) -> Option<Self> {
        let (mut rest, mut messages) = (payload, Vec::new());
        while !rest.is_empty() {
            messages.push(Message::take(&mut rest)?);
        }
        let mut this = Self { id, messages, outcome: Vec::new(), ended: false };
        // What the server makes of it decides: a message whose framing was not understood ends in an error.
        let whole = core.run([payload, CANARY.as_bytes()]);
        let answers = this.answers(&whole.sent);
        let understood = |method: &str, status: u16| {
            UNDERSTOOD.contains(&status) || status == 501 && !["GET", "HEAD", "POST"].contains(&method)
        };
        let methods = this.methods();
        let valid = answers.iter().zip(&methods).all(|((status, _), method)| understood(method, *status));
        (this.outcome, this.ended) = (answers, whole.ended);
        // If the connection lived on, the canary was understood too.
        (valid && (this.ended || this.outcome.len() == this.messages.len() + 1)).then_some(this)
    }

    fn methods(&self) -> Vec<&str> {
        self.messages.iter().map(|message| message.method.as_str()).chain(["GET"]).collect()
    }

    fn answers(&self, sent: &[u8]) -> Vec<(u16, Vec<u8>)> {
        statuses_and_bodies(parse_each(sent, &self.methods()))
    }
}

/// The boundary of a multipart answer is another each time.
fn statuses_and_bodies(responses: Vec<Response>) -> Vec<(u16, Vec<u8>)> {
    let body = |response: Response| if response.status == 206 { Vec::new() } else { response.body };
    responses.into_iter().map(|response| (response.status, body(response))).collect()
}

impl Message {
    /// Takes one request off the front of `bytes`, if a simple reader finds one.
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let (head, mut rest) = bytes.split_at(end);
        let mut lines =
            head[..end - 4].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut words = std::str::from_utf8(lines.next()?).ok()?.split(' ').map(String::from);
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let (mut fields, mut body) = (Vec::new(), None);
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (std::str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii());
            match name.to_ascii_lowercase().as_str() {
                "content-length" => body = Some(take_length(value, &mut rest)?),
                "transfer-encoding" => body = Some(take_chunks(&mut rest)?),
                _ => fields.push((name.to_string(), value.to_vec())),
            }
        }
        *bytes = rest;
        Some(Self { method, target, version, fields, body })
    }

    fn expects(&self) -> bool {
        self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("expect"))
    }

    /// As it is usually said.
    fn plain(&self) -> Vec<Piece> {
        let mut fields: Vec<Vec<u8>> =
            self.fields.iter().map(|(name, value)| [name.as_bytes(), b": ", value].concat()).collect();
        let mut body = Vec::new();
        if let Some(Body { content, chunked }) = &self.body {
            if *chunked {
                fields.push(b"Transfer-Encoding: chunked".to_vec());
                if !content.is_empty() {
                    body.extend([
                        line(format!("{:x}", content.len())),
                        Piece::Data(content.clone()),
                        line(""),
                    ]);
                }
                body.extend([line("0"), line("")]);
            } else {
                fields.push(format!("Content-Length: {}", content.len()).into());
                body.push(Piece::Data(content.clone()));
            }
        }
        self.pieces(&self.target, &self.version, fields, body)
    }

    fn pieces(&self, target: &str, version: &str, fields: Vec<Vec<u8>>, body: Vec<Piece>) -> Vec<Piece> {
        let mut pieces = vec![line(format!("{} {target} {version}", self.method))];
        pieces.extend(fields.into_iter().map(line));
        pieces.push(line(""));
        pieces.extend(body);
        pieces
    }
}

fn take_length(value: &[u8], rest: &mut &[u8]) -> Option<Body> {
    let length: usize = std::str::from_utf8(value).ok()?.parse().ok()?;
    let (content, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(Body { content: content.to_vec(), chunked: false })
}

fn take_chunks(rest: &mut &[u8]) -> Option<Body> {
    let mut content = Vec::new();
    let take_line = |rest: &mut &[u8]| -> Option<Vec<u8>> {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = rest[..end].to_vec();
        *rest = &rest[end + 2..];
        Some(line)
    };
    loop {
        let size = take_line(rest)?;
        let digits = size.split(|byte| *byte == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        content.extend_from_slice(rest.get(..size)?);
        *rest = &rest[size..];
        take_line(rest)?;
    }
    while !take_line(rest)?.is_empty() {}
    Some(Body { content, chunked: true })
}

/// A message as it is sent.
type Pieces = Vec<Piece>;

fn line(text: impl Into<Vec<u8>>) -> Piece {
    Piece::Line { text: text.into(), end: "\r\n" }
}

fn bytes_of(pieces: &[Piece]) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Line { text, end } => {
                all.extend_from_slice(text);
                all.extend_from_slice(end.as_bytes());
            }
            Piece::Data(data) => all.extend_from_slice(data),
        }
    }
    all
}

// Rewordings.

/// The same requests in other bytes.
fn reword(subject: &Subject, dice: &mut Dice) -> Vec<u8> {
    let mut all = Vec::new();
    for message in &subject.messages {
        all.extend(b"\r\n".repeat(dice.pick(&[0, 0, 0, 1, 2, 10])));
        all.extend(bytes_of(&reworded(message, dice)));
    }
    all
}

fn reworded(message: &Message, dice: &mut Dice) -> Vec<Piece> {
    let is_1_1 = message.version != "HTTP/1.0";
    let version = if is_1_1 && dice.once_in(4) {
        format!("HTTP/1.{}", 1 + dice.below(9))
    } else {
        message.version.clone()
    };
    let mut fields: Vec<(String, Vec<u8>)> = message.fields.clone();
    let mut body = Vec::new();
    if let Some(Body { content, chunked }) = &message.body {
        // With an expectation it makes a difference whether a body is announced.
        let either = is_1_1 && !message.expects();
        if if either { dice.once_in(2) } else { *chunked } {
            fields.push(("Transfer-Encoding".into(), any_case("chunked", dice).into()));
            body = chunks(content, dice);
        } else {
            let zeros = "0".repeat(dice.below(25));
            fields.push(("Content-Length".into(), format!("{zeros}{}", content.len()).into()));
            body.push(Piece::Data(content.clone()));
        }
    }
    if fields.len() < 90 {
        fields.extend((0..dice.below(4)).map(|_| unknown_field(dice)));
    }
    dice.shuffle(&mut fields);
    let fields = fields.into_iter().map(|(name, value)| field_line(&name, &value, dice)).collect();
    message.pieces(&reworded_target(message, dice), &version, fields, body)
}

/// Absolute-form with the same host (RFC 9112 §3.2.2), now and then.
fn reworded_target(message: &Message, dice: &mut Dice) -> String {
    let target = &message.target;
    if !target.starts_with('/') || message.method == "CONNECT" || target.len() > 8_000 || !dice.once_in(3) {
        return target.clone();
    }
    let host = message.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map(|(_, value)| String::from_utf8_lossy(value)).filter(|host| !host.is_empty());
    format!("{}://{}{target}", any_case(dice.pick(&["http", "https"]), dice), host.unwrap_or("a".into()))
}

fn any_case(text: &str, dice: &mut Dice) -> String {
    text.chars()
        .map(|c| if dice.once_in(2) { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect()
}

fn field_line(name: &str, value: &[u8], dice: &mut Dice) -> Vec<u8> {
    const OWS: [&str; 8] = ["", " ", " ", "\t", "  ", "\t\t", " \t ", "\t \t   \t"];
    let (before, after) = (dice.pick(&OWS), dice.pick(&OWS));
    [any_case(name, dice).as_bytes(), b":", before.as_bytes(), value, after.as_bytes()].concat()
}

fn unknown_field(dice: &mut Dice) -> (String, Vec<u8>) {
    const NAMES: [&str; 8] = [
        "X-Noise",
        "X_Noise",
        "!#$%&'*+-.^_`|~",
        "Cookie",
        "Via",
        "Content-Length-",
        "0",
        "Transfer_Encoding",
    ];
    let visible = |dice: &mut Dice| match dice.below(100) {
        0 => b'\t',
        n if n < 20 => 0x80 | dice.roll().to_le_bytes()[0],
        _ => b' ' + u8::try_from(dice.below(95)).expect("95 of them"),
    };
    let value = (0..dice.below(30)).map(|_| visible(dice)).collect();
    (format!("{}{}", dice.pick(&NAMES), dice.below(10)), value)
}

/// `content` in chunks of any size, with extensions and trailers that mean nothing.
fn chunks(content: &[u8], dice: &mut Dice) -> Vec<Piece> {
    const EXTENSIONS: [&str; 8] =
        ["", "", "", ";a", ";a=b", ";a=\"b c;\\\"\"", ";x;y=1;z=\"\"", ";chunked=0"];
    const TRAILERS: [&str; 5] = ["X: 1", "y:", "Z:\t\u{e4} ", "Connection: close", "X-Content-Length: 3"];
    let size = |size: usize, dice: &mut Dice| {
        let digits = any_case(&format!("{size:x}"), dice);
        let zeros = "0".repeat(dice.below(17 - digits.len()));
        line(format!("{zeros}{digits}{}", dice.pick(&EXTENSIONS)))
    };
    let mut pieces = Vec::new();
    // Few enough that their extensions stay below their limit.
    let most = 1 + dice.below(40).max(content.len() / 50);
    for piece in dice.pieces(content, most) {
        pieces.extend([size(piece.len(), dice), Piece::Data(piece.to_vec()), line("")]);
    }
    pieces.push(size(0, dice));
    pieces.extend((0..dice.below(3)).map(|_| line(dice.pick(&TRAILERS))));
    pieces.push(line(""));
    pieces
}

#[test]
fn rewordings_change_nothing() {
    let fronts = Fronts::new();
    let (mut core, mut dice) = (fronts.core(), Dice::new(1));
    let subjects = subjects(&mut core);
    assert!(subjects.len() >= 60, "{} subjects", subjects.len());
    for number in 0..REWORDINGS {
        let subject = &subjects[number % subjects.len()];
        let payload = [reword(subject, &mut dice), CANARY.into()].concat();
        let pieces = if dice.once_in(4) { vec![&payload[..]] } else { dice.pieces(&payload, 64) };
        let Outcome { sent, ended } = core.run(pieces);
        let shown = || format!("{}: \"{}\"", subject.id, payload.escape_ascii());
        assert_eq!(subject.answers(&sent), subject.outcome, "{}", shown());
        assert_eq!(ended, subject.ended, "{}", shown());
        if number % OVER_THE_WIRE == 0 {
            let step = 1 + dice.below(100);
            let responses = fronts.over_the_wire(&payload, step, ended, &subject.methods());
            assert_eq!(statuses_and_bodies(responses), subject.outcome, "over the wire: {}", shown());
        }
    }
    let measured = format!(
        "{REWORDINGS} rewordings of {} valid payloads, {} of them over the wire too, 0 came to something else",
        subjects.len(),
        REWORDINGS / OVER_THE_WIRE
    );
    rules::holds("A65", measured, "identical statuses and bodies");
}

// Damages.

/// What can be broken. Each has to be refused with one of these statuses.
type Damage = (&'static str, &'static [u16], fn(&mut Pieces, &mut Dice) -> Option<()>);

const DAMAGED: [Damage; 17] = [
    ("a line end", &[400], break_line_end),
    ("white space before a colon", &[400], insert_before_colon),
    ("a folded line", &[400], fold),
    ("a control character", &[400], insert_control),
    ("a second Host", &[400], |pieces, dice| repeat(pieces, "Host", &["a", "b", ""], dice)),
    ("a second length", &[400], |pieces, dice| repeat(pieces, "Content-Length", &["0", "3", "3, 3"], dice)),
    ("a second coding", &[400], |pieces, dice| {
        repeat(pieces, "Transfer-Encoding", &["chunked", "x", ""], dice)
    }),
    ("both framings", &[400], both_framings),
    ("another version", &[400, 505], change_version),
    ("a space too many", &[400], insert_space),
    ("a byte that is in no target", &[400], insert_in_target),
    ("a byte that is in no token", &[400], insert_in_token),
    ("a line that is no field", &[400], insert_line),
    ("no Host", &[400], remove_host),
    ("a length that is no number", &[400], damage_length),
    ("a chunk size that is no number", &[400], damage_chunk_size),
    ("data longer than its chunk", &[400], lengthen_chunk),
];

/// The request line and the lines of the fields: everything before the first empty line.
fn head_length(pieces: &[Piece]) -> usize {
    let is_empty = |piece: &Piece| matches!(piece, Piece::Line { text, .. } if text.is_empty());
    pieces.iter().position(is_empty).expect("a head has an end")
}

fn text(piece: &mut Piece) -> &mut Vec<u8> {
    match piece {
        Piece::Line { text, .. } | Piece::Data(text) => text,
    }
}

/// Any line of fields; `None` if there is none.
fn any_field<'p>(pieces: &'p mut [Piece], dice: &mut Dice) -> Option<&'p mut Vec<u8>> {
    let fields = head_length(pieces) - 1;
    (fields > 0).then(|| text(&mut pieces[1 + dice.below(fields)]))
}

fn insert(text: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    text.splice(at..at, bytes.iter().copied());
}

fn insert_field(pieces: &mut Pieces, field: String, dice: &mut Dice) {
    let at = 1 + dice.below(head_length(pieces));
    pieces.insert(at, line(field));
}

fn break_line_end(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let mut ends: Vec<&mut &'static str> = Vec::new();
    for piece in pieces {
        if let Piece::Line { end, .. } = piece {
            ends.push(end);
        }
    }
    let which = dice.below(ends.len());
    *ends[which] = dice.pick(&["\n", "\r", "\n\r", "\r\r\n", "\n\r\n", " \n", "\r \n"]);
    Some(())
}

fn insert_before_colon(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let field = any_field(pieces, dice)?;
    let colon = field.iter().position(|byte| *byte == b':')?;
    insert(field, colon, dice.pick(&[&b" "[..], b"\t", b"  ", b"\x0b", b"\xa0", b"\0"]));
    Some(())
}

fn fold(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let field = any_field(pieces, dice)?;
    let colon = field.iter().position(|byte| *byte == b':')?;
    let at = colon + 1 + dice.below(field.len() - colon);
    insert(field, at, dice.pick(&[&b"\r\n "[..], b"\r\n\t", b"\r\n  ", b"\r\n \r\n "]));
    Some(())
}

fn insert_control(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let which = dice.below(head_length(pieces) + 1);
    let text = text(&mut pieces[which]);
    let control = dice.pick(b"\0\x01\x02\x07\x08\x0b\x0c\r\x0e\x1b\x1f\x7f");
    let at = dice.below(text.len() + 1);
    insert(text, at, &[control]);
    Some(())
}

/// Two of them, whether or not there was one.
fn repeat(pieces: &mut Pieces, name: &str, values: &[&str], dice: &mut Dice) -> Option<()> {
    for _ in 0..2 {
        let field = format!("{}: {}", any_case(name, dice), dice.pick(values));
        insert_field(pieces, field, dice);
    }
    Some(())
}

fn both_framings(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let length = format!("{}: {}", any_case("Content-Length", dice), dice.below(20));
    insert_field(pieces, length, dice);
    let coding =
        format!("{}: {}", any_case("Transfer-Encoding", dice), dice.pick(&["chunked", "gzip, chunked", "x"]));
    insert_field(pieces, coding, dice);
    Some(())
}

fn change_version(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    const VERSIONS: [&str; 14] = [
        "HTTP/2.0",
        "HTTP/3.1",
        "HTTP/9.9",
        "HTTP/0.9",
        "HTTP/1",
        "HTTP/1.01",
        "HTTP/11",
        "http/1.1",
        "HTTP/1.1x",
        "HTTP/x.1",
        "HTTPS/1.1",
        "",
        "HTTP/+1.1",
        "HTTP/01.1",
    ];
    let text = text(&mut pieces[0]);
    let space = text.iter().rposition(|byte| *byte == b' ')?;
    text.truncate(space + 1);
    text.extend_from_slice(dice.pick(&VERSIONS).as_bytes());
    Some(())
}

fn insert_space(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let text = text(&mut pieces[0]);
    let mut places: Vec<usize> = vec![0, text.len()];
    places.extend((0..text.len()).filter(|at| text[*at] == b' ').flat_map(|at| [at, at + 1]));
    let at = dice.pick(&places);
    insert(text, at, dice.pick(&[&b" "[..], b"\t", b"  ", b" \t", b"\x0c"]));
    Some(())
}

fn insert_in_target(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    const BAD: [&[u8]; 10] = [b"#", b"%", b"%g1", b"%4", b"\x80", b"\xff", b"\xc3\xa4", b" ", b"\t", b"\0"];
    let text = text(&mut pieces[0]);
    let first = text.iter().position(|byte| *byte == b' ')?;
    let last = text.iter().rposition(|byte| *byte == b' ')?;
    let bad = dice.pick(&BAD);
    // At the end of the target what comes behind completes no percent-encoding.
    let at = if bad.starts_with(b"%") { last } else { first + 1 + dice.below(last - first) };
    insert(text, at, bad);
    Some(())
}

fn insert_in_token(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let bad = dice.pick(b"\"(),/;<=>?@[\\]{}\x80\xff");
    let which = dice.below(head_length(pieces));
    let text = text(&mut pieces[which]);
    let end = text.iter().position(|byte| *byte == if which == 0 { b' ' } else { b':' })?;
    let at = dice.below(end + 1);
    insert(text, at, &[bad]);
    Some(())
}

fn insert_line(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    const LINES: [&str; 9] = [":", ": v", "x", "x y", " ", "\t", " X: 1", "GET /canary HTTP/1.1", "X Y: 1"];
    insert_field(pieces, dice.pick(&LINES).into(), dice);
    Some(())
}

fn remove_host(pieces: &mut Pieces, _: &mut Dice) -> Option<()> {
    if text(&mut pieces[0]).ends_with(b"HTTP/1.0") {
        return None;
    }
    let at = (1..head_length(pieces)).find(|at| {
        matches!(&pieces[*at], Piece::Line { text, .. } if text[..text.len().min(5)].eq_ignore_ascii_case(b"host:"))
    })?;
    pieces.remove(at);
    Some(())
}

/// The field with this name.
fn field_named<'p>(pieces: &'p mut [Piece], name: &str) -> Option<&'p mut Vec<u8>> {
    let end = head_length(pieces);
    pieces[1..end].iter_mut().map(text).find(|text| {
        text.get(..name.len()).is_some_and(|this| this.eq_ignore_ascii_case(name.as_bytes()))
            && text.get(name.len()) == Some(&b':')
    })
}

fn damage_length(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let field = field_named(pieces, "Content-Length")?;
    let digit = field.iter().position(u8::is_ascii_digit)?;
    insert(
        field,
        digit,
        dice.pick(&[
            &b"+"[..],
            b"-",
            b"0x",
            b"0 ",
            b"3,",
            b",",
            b"\"",
            b"1_",
            b"0.",
            b"\xb2",
            b"9223372036854775807",
        ]),
    );
    Some(())
}

/// Which pieces are size lines.
fn size_lines(pieces: &[Piece]) -> Vec<usize> {
    let (mut sizes, mut at) = (Vec::new(), head_length(pieces) + 1);
    while let Some(Piece::Line { .. }) = pieces.get(at) {
        sizes.push(at);
        match pieces.get(at + 1) {
            // The size, the data, the empty line.
            Some(Piece::Data(_)) => at += 3,
            _ => break,
        }
    }
    sizes
}

fn damage_chunk_size(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let sizes = size_lines(pieces);
    let which = *sizes.get(dice.below(sizes.len().max(1)))?;
    let text = text(&mut pieces[which]);
    let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (at, bytes): (usize, &[u8]) = dice.pick(&[
        (0, b"+"),
        (0, b"-"),
        (0, b"0x"),
        (0, b" "),
        (0, b"\t"),
        (0, b"_"),
        (0, b";"),
        (0, b"\r\n"),
        (0, b"0000000000000000"),
        (0, b"g"),
        (digits, b" "),
        (digits, b"\t"),
        (digits, b";"),
        (digits, b".0"),
        (digits, b"h"),
        (digits, b" ;a"),
        (digits, b";a=\""),
        (digits, b";a b"),
        (digits, b";\0"),
        (digits, b"\n"),
        (digits, b"\r"),
    ]);
    insert(text, at, bytes);
    Some(())
}

fn lengthen_chunk(pieces: &mut Pieces, dice: &mut Dice) -> Option<()> {
    let sizes = size_lines(pieces);
    let which = *sizes.get(dice.below(sizes.len().max(1)))?;
    let Some(Piece::Data(data)) = pieces.get_mut(which + 1) else {
        return None;
    };
    data.extend_from_slice(dice.pick(&[&b"x"[..], b"\n", b"\r", b"0\r\n", b" "]));
    Some(())
}

/// The payload with one of its messages damaged, and how many are answered before that one.
fn damage(subject: &Subject, damage: Damage, dice: &mut Dice) -> Option<(Vec<u8>, usize)> {
    // Only what the connection lives to see can be refused.
    let seen = subject.messages.len().min(subject.outcome.len());
    let which = dice.below(seen);
    let mut all = Vec::new();
    for (number, message) in subject.messages.iter().enumerate() {
        let mut pieces = if dice.once_in(2) { message.plain() } else { reworded(message, dice) };
        if number == which {
            let body_is_unread = message.expects() && message.body.is_some();
            // One field more than there may be is another refusal.
            if body_is_unread || head_length(&pieces) > 95 {
                return None;
            }
            damage.2(&mut pieces, dice)?;
            // The refusal of a HEAD that is none any more has a body, and the parser is not told.
            if message.method == "HEAD" && !text(&mut pieces[0]).starts_with(b"HEAD") {
                return None;
            }
        }
        all.extend(bytes_of(&pieces));
    }
    Some((all, which))
}

#[test]
fn damages_are_refused() {
    let fronts = Fronts::new();
    let (mut core, mut dice) = (fronts.core(), Dice::new(2));
    let subjects = subjects(&mut core);
    let mut wired = 0;
    for kind in DAMAGED {
        let mut refused = 0;
        while refused < DAMAGES_OF_A_KIND {
            let subject = &subjects[dice.below(subjects.len())];
            let Some((payload, before)) = damage(subject, kind, &mut dice) else {
                continue;
            };
            let payload = [payload, CANARY.into()].concat();
            let pieces = if dice.once_in(4) { vec![&payload[..]] } else { dice.pieces(&payload, 64) };
            let outcome = core.run(pieces);
            let shown = || format!("{} with {}: \"{}\"", subject.id, kind.0, payload.escape_ascii());
            assert_refused(subject, kind, before, &subject.answers(&outcome.sent), shown);
            assert!(outcome.ended, "{}", shown());
            refused += 1;
            if refused % OVER_THE_WIRE == 0 {
                let step = 1 + dice.below(100);
                let responses = fronts.over_the_wire(&payload, step, true, &subject.methods());
                assert_refused(subject, kind, before, &statuses_and_bodies(responses), shown);
                wired += 1;
            }
        }
    }
    let (all, kinds) = (DAMAGED.len() * DAMAGES_OF_A_KIND, DAMAGED.len());
    let measured = format!(
        "{all} damaged payloads of {kinds} kinds, {wired} of them over the wire too, all refused, 0 canaries"
    );
    rules::holds("A63", measured, "what came before answered, 400 (505), FIN, 0 canaries");
}

/// The first `before` are answered as ever, the next one is refused, and nothing behind it is answered.
fn assert_refused(
    subject: &Subject,
    kind: Damage,
    before: usize,
    answers: &[(u16, Vec<u8>)],
    shown: impl Fn() -> String,
) {
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses.len(), before + 1, "{statuses:?}; {}", shown());
    assert_eq!(answers[..before], subject.outcome[..before], "{}", shown());
    assert!(kind.1.contains(&statuses[before]), "{statuses:?}; {}", shown());
}
