//! RULES A63: a request with one broken rule is refused.

use super::message::{Piece, bytes_of, line};
use super::rewording::{any_case, reworded};
use super::{OVER_THE_WIRE, Subject, statuses_and_bodies, subjects};
use crate::support::fronts::CANARY;
use crate::support::{Dice, Fronts, rules};

const DAMAGES_OF_A_KIND: usize = 1_200;

/// A message on the wire.
type Pieces = Vec<Piece>;

/// A rule to break: its name, the statuses that may refuse it, and the function that breaks it.
type Damage = (&'static str, &'static [u16], fn(&mut Pieces, &mut Dice) -> Option<()>);

const DAMAGED: [Damage; 17] = [
    ("a line end", &[400], break_line_end),
    ("white space before a colon", &[400], insert_before_colon),
    ("a folded line", &[400], fold),
    ("a control character", &[400], insert_control),
    ("a second Host", &[400], |pieces, dice| repeat(pieces, "Host", &["a", "b", ""], dice)),
    ("a second length", &[400], |pieces, dice| repeat(pieces, "Content-Length", &["0", "3", "3, 3"], dice)),
    ("a second coding", &[400, 501], |pieces, dice| {
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

/// The number of lines before the first empty line: the request line and the field lines.
fn head_length(pieces: &[Piece]) -> usize {
    let is_empty = |piece: &Piece| matches!(piece, Piece::Line { text, .. } if text.is_empty());
    pieces.iter().position(is_empty).expect("a head has an end")
}

fn text(piece: &mut Piece) -> &mut Vec<u8> {
    match piece {
        Piece::Line { text, .. } | Piece::Data(text) => text,
    }
}

/// A random field line; `None` if there is none.
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

/// Inserts the field twice, besides one that may be there.
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
    const BAD: [&[u8]; 9] = [b"#", b"%", b"%g1", b"%4", b"\x7f", b"\x1b", b" ", b"\t", b"\0"];
    let text = text(&mut pieces[0]);
    let first = text.iter().position(|byte| *byte == b' ')?;
    let last = text.iter().rposition(|byte| *byte == b' ')?;
    let bad = dice.pick(&BAD);
    // At the end of the path no digits follow, so the percent sign stays incomplete; in a query it means nothing.
    let path_end = text[..last].iter().position(|byte| *byte == b'?').unwrap_or(last);
    let at = if bad.starts_with(b"%") { path_end } else { first + 1 + dice.below(last - first) };
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

/// The field line with this name.
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

/// The positions of the chunk size lines.
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
        (text.len(), b" "),
        (text.len(), b"\t"),
        (digits, b";"),
        (digits, b".0"),
        (digits, b"h"),
        (digits, b" ;"),
        (digits, b" a;b"),
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

/// Damages one message; returns the payload, and the number of requests that are served before it.
fn damage(subject: &Subject, damage: Damage, dice: &mut Dice) -> Option<(Vec<u8>, usize)> {
    // Only messages that the connection reaches can be refused.
    let seen = subject.messages.len().min(subject.outcome.len());
    let which = dice.below(seen);
    let mut all = Vec::new();
    for (number, message) in subject.messages.iter().enumerate() {
        let mut pieces = if dice.once_in(2) { message.plain() } else { reworded(message, dice) };
        if number == which {
            let body_is_unread = message.expects() && message.body.is_some();
            // A damage may add fields, and more than 100 would be refused with 431.
            if body_is_unread || head_length(&pieces) > 95 {
                return None;
            }
            damage.2(&mut pieces, dice)?;
            // The response to a damaged HEAD has a body, which the parser would not expect.
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
        "{all} damaged payloads of {kinds} kinds, {wired} of them also over the wire, all refused, 0 canaries"
    );
    rules::holds("A63", measured, "earlier requests served, 400 (505), FIN, 0 canaries");
}

/// Checks that the first `before` requests are served as usual, the next one is refused, and no other is
/// served.
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
