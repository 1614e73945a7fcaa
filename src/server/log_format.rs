//! The formats of the access log beside the combined one: a list of literals and values, made once.
//!
//! The directives of a text are in `log_directive`; `json` is an object with fixed members.

use super::log_directive::{LateValue, Piece, Value, push_directive};

/// The format of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat {
    pub(super) pieces: Vec<Piece>,
    /// The most bytes of all values with text together, so that a line fits into one atomic write to a pipe.
    pub(super) room: usize,
}

/// The combined format and the duration.
const COMBINED: &str = "%h %l %u %t \"%r\" %s %B \"%{Referer}i\" \"%{User-Agent}i\" %L";

/// The longest line (`PIPE_BUF`), the least room for text, and the most bytes of a value that is no text.
const LINE: usize = 4096;
const LEAST_ROOM: usize = 2048;
const LATE: usize = 28;

/// The most bytes of a response's field, before they are escaped.
pub(super) const MAX_RESPONSE_FIELD: usize = 256;

/// The byte between a line and the same facts as JSON in [`LogFormat::with_json`]. Escaped text has no such byte.
pub(super) const SEPARATOR: char = '\u{1f}';

impl LogFormat {
    /// The combined format, for a server that knows more of a client than its peer.
    #[must_use]
    pub fn combined() -> Self {
        Self::parse(COMBINED).expect("the format is valid")
    }

    /// A JSON object (RFC 8259) a line.
    #[must_use]
    pub fn json() -> Self {
        Self::of(json_pieces()).expect("the format is short")
    }

    /// This format, a separator (U+001F), and the JSON object: for a program that wants text and facts of a response.
    ///
    /// # Errors
    /// The format leaves no room for that.
    pub fn with_json(&self) -> Result<Self, String> {
        let separator = Piece::Literal(SEPARATOR.into());
        Self::of(self.pieces.iter().cloned().chain([separator]).chain(json_pieces()).collect())
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
            rest = push_directive(&mut pieces, directive)?;
        }
        pieces.push(Piece::Literal(rest.into()));
        pieces.retain(|piece| *piece != Piece::Literal(String::new()));
        if pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))) {
            return Err("give combined, json or a text with directives such as %h and %r".into());
        }
        Self::of(pieces)
    }

    /// Whether a line has fields of the response.
    #[must_use]
    pub fn has_response_fields(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Value(Value::Late(LateValue::Field(_)))))
    }

    fn of(pieces: Vec<Piece>) -> Result<Self, String> {
        let fixed = pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::Value(Value::Late(LateValue::Field(_))) => MAX_RESPONSE_FIELD + LATE,
            // Quotes, and the mark of a text that was cut.
            Piece::Value(_) | Piece::Json(_) => LATE,
        });
        let room = LINE.saturating_sub(fixed.sum::<usize>() + 1);
        match room {
            LEAST_ROOM.. => Ok(Self { pieces, room }),
            _ => Err("make it shorter: a line has 4096 bytes, and half of them are for the request".into()),
        }
    }
}

fn json_pieces() -> Vec<Piece> {
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
        (",\"request_id\":", Value::RequestId),
        (",\"malformed\":", Value::Malformed),
    ];
    let pieces =
        members.into_iter().flat_map(|(name, value)| [Piece::Literal(name.into()), Piece::Json(value)]);
    pieces.chain([Piece::Literal("}".into())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<Piece> {
        LogFormat::parse(text).expect(text).pieces
    }

    #[test]
    fn directives_are_read_once() {
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
        assert_eq!(pieces("a%h%%\t%>s %{X-Id}i"), want);
    }

    /// A row for each atom of gunicorn's documentation, beside the directive with the same value.
    #[test]
    fn both_spellings_mean_the_same() {
        for (theirs, ours) in [
            ("%(h)s %(l)s %(u)s %(t)s", "%h %l %u %t"),
            ("\"%(r)s\" %(s)s %(b)s %(B)s", "\"%r\" %>s %b %B"),
            ("%(m)s %(U)s %(H)s", "%m %U %H"),
            ("%(f)s %(a)s", "%{Referer}i %{User-Agent}i"),
            ("%(T)s %(M)s %(D)s", "%T %M %D"),
            ("%(i)s%%", "%i%%"),
            ("%({x-forwarded-for}i)s%({content-type}o)s", "%{x-forwarded-for}i%{content-type}o"),
            ("%({HTTP_X_ID}e)s %({REMOTE_ADDR}e)s", "%{X-ID}i %{REMOTE_ADDR}e"),
            ("%({CONTENT_TYPE}e)s", "%{Content-Type}i"),
        ] {
            assert_eq!(pieces(theirs), pieces(ours), "{theirs}");
        }
        let literal = |text: &str| Piece::Literal(text.into());
        assert_eq!(pieces("%(p)s"), [literal("<"), Piece::Value(Value::Process), literal(">")]);
        assert_eq!(pieces("%(q)s"), [Piece::Value(Value::BareQuery)]);
        assert_eq!(pieces("%(L)s"), [Piece::Value(Value::Late(LateValue::ExactSeconds))]);
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
            ("%{Referer}", "a field is %{NAME}i"),
            ("%{}i", "a field is %{NAME}i"),
            ("%{a b}i", "a field is %{NAME}i"),
            ("%{Referer}é", "a field is %{NAME}i"),
            ("%{authorization}i", "secrets"),
            ("%({set-cookie}o)s", "secrets"),
            ("%({HTTP_COOKIE}e)s", "secrets"),
            ("%(h)d", "a directive in parentheses is %(h)s"),
            ("%(h", "a directive in parentheses is %(h)s"),
            ("%({Referer)s", "a directive in parentheses is %(h)s"),
            ("%({Referer}io)s", "a directive in parentheses is %(h)s"),
            ("%(x)s", "there is no %(x)s; there are %(h)s"),
            ("%(hh)s", "there is no %(hh)s"),
            (
                "%({wsgi.errors}e)s",
                "the log does not know wsgi.errors of the environ; it knows REQUEST_METHOD",
            ),
            ("%({HTTP_}e)s", "the log does not know HTTP_"),
            ("a\nb", "leave the character '\\n' out"),
            (&long, "make it shorter"),
        ] {
            let error = LogFormat::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
