//! The formats of the access log beside the combined one: a list of literals and values, made once.
//!
//! | directive | value |
//! |---|---|
//! | `%h` | address of the client |
//! | `%l` | `-` |
//! | `%u` | name of the user; `-` without one |
//! | `%t` | time of the log line, in brackets |
//! | `%r` | request line |
//! | `%m`, `%U`, `%q`, `%H` | its parts: method, path, query with its `?`, version |
//! | `%s`, `%>s` | status |
//! | `%B`, `%b` | bytes of the body that were sent; `%b` is `-` for none |
//! | `%D`, `%T`, `%L` | duration in microseconds, in whole seconds, in seconds with three decimals |
//! | `%{NAME}i` | field of the request; `-` without one |
//! | `%%` | a percent sign |
//!
//! The letters are those of Apache (`mod_log_config`) and gunicorn; `%L` is gunicorn's.

use crate::http1::is_tchar;

/// What is in the place of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Client,
    User,
    RequestLine,
    Method,
    /// The path and the query.
    Target,
    Path,
    Query,
    Version,
    Field(String),
    /// Known only when the response has left.
    Late(LateValue),
}

/// What is known when the response has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LateValue {
    Time,
    /// As RFC 3339 has it.
    IsoTime,
    Status,
    Bytes,
    BytesOrDash,
    Microseconds,
    WholeSeconds,
    Seconds,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Value(Value),
}

/// How values with text are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As in the combined format: escaped by a backslash and `\xNN`.
    Plain,
    /// As a JSON string, or `null`.
    Json,
}

/// The format of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat {
    pub(super) pieces: Vec<Piece>,
    pub(super) style: Style,
    /// The most bytes of all values with text together, so that a line fits into one atomic write to a pipe.
    pub(super) room: usize,
}

/// The combined format and the duration.
const COMBINED: &str = "%h %l %u %t \"%r\" %s %B \"%{Referer}i\" \"%{User-Agent}i\" %L";

/// The longest line (`PIPE_BUF`), the least room for text, and the most bytes of a value that is no text.
const LINE: usize = 4096;
const LEAST_ROOM: usize = 2048;
const LATE: usize = 28;

/// Fields that hold secrets.
const SECRETS: [&str; 3] = ["Authorization", "Proxy-Authorization", "Cookie"];

impl LogFormat {
    /// The combined format, for a server that knows more of a client than its peer.
    #[must_use]
    pub fn combined() -> Self {
        Self::parse(COMBINED).expect("the format is valid")
    }

    /// A JSON object (RFC 8259) a line.
    #[must_use]
    pub fn json() -> Self {
        use LateValue::{Bytes, IsoTime, Seconds, Status};
        let field = |name: &str| Value::Field(name.into());
        let members = [
            ("{\"time\":\"", Value::Late(IsoTime)),
            ("\",\"client\":", Value::Client),
            (",\"user\":", Value::User),
            (",\"method\":", Value::Method),
            (",\"target\":", Value::Target),
            (",\"version\":", Value::Version),
            (",\"host\":", field("Host")),
            (",\"status\":", Value::Late(Status)),
            (",\"bytes\":", Value::Late(Bytes)),
            (",\"seconds\":", Value::Late(Seconds)),
            (",\"referer\":", field("Referer")),
            (",\"user_agent\":", field("User-Agent")),
        ];
        let pieces =
            members.into_iter().flat_map(|(name, value)| [Piece::Literal(name.into()), Piece::Value(value)]);
        let pieces = pieces.chain([Piece::Literal("}".into())]).collect();
        Self::of(pieces, Style::Json).expect("the format is short")
    }

    /// Reads a text with directives.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(odd) = text.chars().find(|letter| letter.is_control() && *letter != '\t') {
            return Err(format!("leave the character {odd:?} out"));
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((literal, directive)) = rest.split_once('%') {
            pieces.push(Piece::Literal(literal.into()));
            let (piece, length) = directive_of(directive)?;
            pieces.push(piece);
            rest = &directive[length..];
        }
        pieces.push(Piece::Literal(rest.into()));
        pieces.retain(|piece| *piece != Piece::Literal(String::new()));
        if !pieces.iter().any(|piece| !matches!(piece, Piece::Literal(_))) {
            return Err("give combined, json or a text with directives such as %h and %r".into());
        }
        Self::of(pieces, Style::Plain)
    }

    fn of(pieces: Vec<Piece>, style: Style) -> Result<Self, String> {
        let fixed = pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => text.len(),
            // Quotes, and the mark of a text that was cut.
            Piece::Value(_) => LATE,
        });
        let room = LINE.saturating_sub(fixed.sum::<usize>() + 1);
        match room {
            LEAST_ROOM.. => Ok(Self { pieces, style, room }),
            _ => Err("make it shorter: a line has 4096 bytes, and half of them are for the request".into()),
        }
    }
}

/// The directive at the beginning of a text, without its percent sign, and its length.
fn directive_of(text: &str) -> Result<(Piece, usize), String> {
    use LateValue::{Bytes, BytesOrDash, Microseconds, Seconds, Status, Time, WholeSeconds};
    if let Some(rest) = text.strip_prefix('{') {
        let (name, _) = rest
            .split_once("}i")
            .filter(|(name, _)| !name.is_empty() && name.bytes().all(is_tchar))
            .ok_or_else(|| "a field is %{NAME}i".to_string())?;
        if SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name)) {
            return Err(format!("leave %{{{name}}}i out: the field has secrets"));
        }
        return Ok((Piece::Value(Value::Field(name.into())), name.len() + 3));
    }
    if text.starts_with(">s") {
        return Ok((Piece::Value(Value::Late(Status)), 2));
    }
    let value = match text.chars().next() {
        Some('%') => return Ok((Piece::Literal("%".into()), 1)),
        Some('l') => return Ok((Piece::Literal("-".into()), 1)),
        Some('h') => Value::Client,
        Some('u') => Value::User,
        Some('r') => Value::RequestLine,
        Some('m') => Value::Method,
        Some('U') => Value::Path,
        Some('q') => Value::Query,
        Some('H') => Value::Version,
        Some('t') => Value::Late(Time),
        Some('s') => Value::Late(Status),
        Some('B') => Value::Late(Bytes),
        Some('b') => Value::Late(BytesOrDash),
        Some('D') => Value::Late(Microseconds),
        Some('T') => Value::Late(WholeSeconds),
        Some('L') => Value::Late(Seconds),
        Some(other) => {
            let known = "%h %l %u %t %r %m %U %q %H %s %>s %B %b %D %T %L %{NAME}i %%";
            return Err(format!("there is no %{other}; there are {known}"));
        }
        None => return Err("write a percent sign as %%".into()),
    };
    Ok((Piece::Value(value), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_once() {
        let format = LogFormat::parse("a%h%%\t%>s %{X-Id}i").expect("a format");
        let literal = |text: &str| Piece::Literal(text.into());
        let want = [
            literal("a"),
            Piece::Value(Value::Client),
            literal("%"),
            literal("\t"),
            Piece::Value(Value::Late(LateValue::Status)),
            literal(" "),
            Piece::Value(Value::Field("X-Id".into())),
        ];
        assert_eq!(format.pieces, want);
    }

    #[test]
    fn mistakes_are_named() {
        let long = format!("%h{}", "x".repeat(3000));
        for (text, says) in [
            ("", "give combined, json"),
            ("common", "give combined, json"),
            ("%", "write a percent sign as %%"),
            ("%h %x", "there is no %x; there are %h"),
            ("%é", "there is no %é"),
            ("%{Referer", "a field is %{NAME}i"),
            ("%{}i", "a field is %{NAME}i"),
            ("%{a b}i", "a field is %{NAME}i"),
            ("%{Referer}o", "a field is %{NAME}i"),
            ("%{authorization}i", "secrets"),
            ("a\nb", "leave the character '\\n' out"),
            (&long, "make it shorter"),
        ] {
            let error = LogFormat::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
