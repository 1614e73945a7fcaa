//! RULES A65: a request in other bytes gets the same response.

use super::message::{Body, Message, Piece, bytes_of, line};
use super::{OVER_THE_WIRE, Subject, statuses_and_bodies, subjects};
use crate::support::core::Outcome;
use crate::support::fronts::CANARY;
use crate::support::{Dice, Fronts, rules};

/// Rewordings that are tried, spread over the subjects.
const REWORDINGS: usize = 20_000;

/// Writes the same requests in other bytes.
fn reword(subject: &Subject, dice: &mut Dice) -> Vec<u8> {
    let mut all = Vec::new();
    for message in &subject.messages {
        all.extend(b"\r\n".repeat(dice.pick(&[0, 0, 0, 1, 2, 10])));
        all.extend(bytes_of(&reworded(message, dice)));
    }
    all
}

pub(super) fn reworded(message: &Message, dice: &mut Dice) -> Vec<Piece> {
    let is_1_1 = message.version != "HTTP/1.0";
    let version = if is_1_1 && dice.once_in(4) {
        format!("HTTP/1.{}", 1 + dice.below(9))
    } else {
        message.version.clone()
    };
    let mut fields: Vec<(String, Vec<u8>)> = message.fields.clone();
    let mut body = Vec::new();
    if let Some(Body { content, chunked }) = &message.body {
        // With an expectation, announcing a body makes a difference.
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

/// Sometimes changes the target into absolute-form with the same host (RFC 9112 §3.2.2).
fn reworded_target(message: &Message, dice: &mut Dice) -> String {
    let target = &message.target;
    if !target.starts_with('/') || message.method == "CONNECT" || target.len() > 8_000 || !dice.once_in(3) {
        return target.clone();
    }
    let host = message.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map(|(_, value)| String::from_utf8_lossy(value)).filter(|host| !host.is_empty());
    format!("{}://{}{target}", any_case(dice.pick(&["http", "https"]), dice), host.unwrap_or("a".into()))
}

pub(super) fn any_case(text: &str, dice: &mut Dice) -> String {
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

/// Writes `content` in chunks of random sizes, with extensions and trailers without meaning.
fn chunks(content: &[u8], dice: &mut Dice) -> Vec<Piece> {
    const EXTENSIONS: [&str; 9] =
        ["", "", "", ";a", ";a=b", ";a=\"b c;\\\"\"", ";x;y=1;z=\"\"", " ; a = b", ";chunked=0"];
    const TRAILERS: [&str; 5] = ["X: 1", "y:", "Z:\t\u{e4} ", "Connection: close", "X-Content-Length: 3"];
    let size = |size: usize, dice: &mut Dice| {
        let digits = any_case(&format!("{size:x}"), dice);
        let zeros = "0".repeat(dice.below(17 - digits.len()));
        line(format!("{zeros}{digits}{}", dice.pick(&EXTENSIONS)))
    };
    let mut pieces = Vec::new();
    // Few chunks, so that their extensions stay within the limit.
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
        "{REWORDINGS} rewordings of {} valid payloads, {} of them also over the wire, 0 differ",
        subjects.len(),
        REWORDINGS / OVER_THE_WIRE
    );
    rules::holds("A65", measured, "identical statuses and bodies");
}
