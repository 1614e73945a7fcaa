//! The directives in the format of an access log, in two spellings: Apache's (`mod_log_config`) and gunicorn's.
//!
//! | directive | gunicorn's | value |
//! |---|---|---|
//! | `%h` | `%(h)s` | address of the client |
//! | `%l` | `%(l)s` | `-` |
//! | `%u` | `%(u)s` | name of the user; `-` without one |
//! | `%t` | `%(t)s` | time of the log line, in brackets |
//! | `%r` | `%(r)s` | request line |
//! | `%m`, `%U`, `%H` | `%(m)s`, `%(U)s`, `%(H)s` | its parts: method, path, version |
//! | `%q` | `%(q)s` | query; with its `?` only in the first spelling |
//! | `%s`, `%>s` | `%(s)s` | status |
//! | `%B`, `%b` | `%(B)s`, `%(b)s` | bytes of the body that were sent; `b` is `-` for none |
//! | `%D`, `%M`, `%T` | `%(D)s`, `%(M)s`, `%(T)s` | duration in microseconds, milliseconds, whole seconds |
//! | `%L` | `%(L)s` | duration in seconds with three decimals; gunicorn's has six |
//! | `%P` | `%(p)s` | process id; gunicorn's is in angle brackets |
//! | `%i` | `%(i)s` | id of the request (`request_id`) |
//! | `%{Referer}i`, `%{User-Agent}i` | `%(f)s`, `%(a)s` | these fields; `-` without one |
//! | `%{NAME}i`, `%{NAME}o` | `%({NAME}i)s`, `%({NAME}o)s` | field of the request, of the response; `-` without one |
//! | `%{NAME}e` | `%({NAME}e)s` | variable of the environ that is made of the head alone |
//! | `%%` | `%%` | a percent sign |

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
    /// The second word of the request line.
    SentTarget,
    Path,
    /// The query after its `?`, and with it.
    Query,
    BareQuery,
    Version,
    Field(String),
    RequestId,
    Process,
    /// The first line of a malformed request.
    Malformed,
    /// Known only when the response has left.
    Late(LateValue),
}

/// What is known when the response has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LateValue {
    Time,
    /// As RFC 3339 has it.
    IsoTime,
    Status,
    Bytes,
    BytesOrDash,
    Microseconds,
    Milliseconds,
    WholeSeconds,
    /// With three decimals.
    Seconds,
    /// With six decimals.
    ExactSeconds,
    /// A field of the response.
    Field(String),
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    /// Text is escaped as in the combined format, by a backslash and `\xNN`.
    Value(Value),
    /// Text is a JSON string, or `null`.
    Json(Value),
}

/// Fields that hold secrets.
const SECRETS: [&str; 4] = ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie"];

const KNOWN: &str = "%h %l %u %t %r %m %U %q %H %s %>s %B %b %D %M %T %L %P %i %{NAME}i %{NAME}o %{NAME}e %%";

const KNOWN_IN_PARENTHESES: &str = "%(h)s %(l)s %(u)s %(t)s %(r)s %(m)s %(U)s %(q)s %(H)s %(s)s %(B)s %(b)s %(f)s %(a)s %(T)s %(M)s \
                                    %(D)s %(L)s %(p)s %(i)s %({NAME}i)s %({NAME}o)s %({NAME}e)s %%";

const VARIABLES: &str = "REQUEST_METHOD, QUERY_STRING, RAW_URI, REQUEST_URI, SERVER_PROTOCOL, REMOTE_ADDR, CONTENT_TYPE, CONTENT_LENGTH and HTTP_NAME";

/// Appends the piece of the directive that `text` begins with, after its percent sign. Returns the rest.
///
/// # Errors
/// What is wrong with the directive.
pub(super) fn push_directive<'a>(pieces: &mut Vec<Piece>, text: &'a str) -> Result<&'a str, String> {
    let wrong = || "a directive in parentheses is %(h)s, %({NAME}i)s, %({NAME}o)s or %({NAME}e)s".to_string();
    if let Some(rest) = text.strip_prefix('(') {
        let (name, rest) = rest.split_once(")s").ok_or_else(wrong)?;
        if let Some(field) = name.strip_prefix('{') {
            let (field, kind) = field.rsplit_once('}').ok_or_else(wrong)?;
            pieces.push(named(field, kind.chars().next().filter(|_| kind.len() == 1).ok_or_else(wrong)?)?);
        } else {
            push_in_parentheses(pieces, name)?;
        }
        return Ok(rest);
    }
    if let Some(rest) = text.strip_prefix('{') {
        let kind = rest.split_once('}').and_then(|(name, rest)| Some((name, rest.chars().next()?, rest)));
        let (name, kind, rest) = kind.ok_or("a field is %{NAME}i")?;
        pieces.push(named(name, kind)?);
        return Ok(&rest[kind.len_utf8()..]);
    }
    if let Some(rest) = text.strip_prefix(">s") {
        pieces.push(Piece::Value(Value::Late(LateValue::Status)));
        return Ok(rest);
    }
    let letter = text.chars().next().ok_or("write a percent sign as %%")?;
    pieces.push(match letter {
        '%' => Piece::Literal("%".into()),
        'l' => Piece::Literal("-".into()),
        'q' => Piece::Value(Value::Query),
        'L' => Piece::Value(Value::Late(LateValue::Seconds)),
        'P' => Piece::Value(Value::Process),
        letter => {
            let value = common(letter).ok_or_else(|| format!("there is no %{letter}; there are {KNOWN}"))?;
            Piece::Value(value)
        }
    });
    Ok(&text[letter.len_utf8()..])
}

/// Appends the piece of `%(name)s`.
fn push_in_parentheses(pieces: &mut Vec<Piece>, name: &str) -> Result<(), String> {
    let field = |name: &str| Value::Field(name.into());
    let value = match name {
        "l" => {
            pieces.push(Piece::Literal("-".into()));
            return Ok(());
        }
        "p" => {
            let literal = |text: &str| Piece::Literal(text.into());
            pieces.extend([literal("<"), Piece::Value(Value::Process), literal(">")]);
            return Ok(());
        }
        "q" => Some(Value::BareQuery),
        "f" => Some(field("Referer")),
        "a" => Some(field("User-Agent")),
        "L" => Some(Value::Late(LateValue::ExactSeconds)),
        name if name.len() == 1 => name.chars().next().and_then(common),
        _ => None,
    };
    let value = value.ok_or_else(|| format!("there is no %({name})s; there are {KNOWN_IN_PARENTHESES}"))?;
    pieces.push(Piece::Value(value));
    Ok(())
}

/// The value of a letter, in both spellings.
fn common(letter: char) -> Option<Value> {
    Some(match letter {
        'h' => Value::Client,
        'u' => Value::User,
        'r' => Value::RequestLine,
        'm' => Value::Method,
        'U' => Value::Path,
        'H' => Value::Version,
        'i' => Value::RequestId,
        't' => Value::Late(LateValue::Time),
        's' => Value::Late(LateValue::Status),
        'B' => Value::Late(LateValue::Bytes),
        'b' => Value::Late(LateValue::BytesOrDash),
        'D' => Value::Late(LateValue::Microseconds),
        'M' => Value::Late(LateValue::Milliseconds),
        'T' => Value::Late(LateValue::WholeSeconds),
        _ => return None,
    })
}

/// A field of the request (`i`) or of the response (`o`), or a variable of the environ (`e`).
fn named(name: &str, kind: char) -> Result<Piece, String> {
    let is_field = !name.is_empty() && name.bytes().all(is_tchar);
    let value = match kind {
        'i' if is_field => Value::Field(name.into()),
        'o' if is_field => Value::Late(LateValue::Field(name.into())),
        'e' => variable(name)
            .ok_or_else(|| format!("the log does not know {name} of the environ; it knows {VARIABLES}"))?,
        _ => return Err("a field is %{NAME}i or %{NAME}o, a variable of the environ %{NAME}e".into()),
    };
    match &value {
        Value::Field(field) | Value::Late(LateValue::Field(field))
            if SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(field)) =>
        {
            Err(format!("leave %{{{name}}}{kind} out: the field has secrets"))
        }
        _ => Ok(Piece::Value(value)),
    }
}

/// A variable whose value is in the head of the request. What the application adds to its environ is its own.
fn variable(name: &str) -> Option<Value> {
    Some(match name {
        "REQUEST_METHOD" => Value::Method,
        "QUERY_STRING" => Value::BareQuery,
        "RAW_URI" | "REQUEST_URI" => Value::SentTarget,
        "SERVER_PROTOCOL" => Value::Version,
        "REMOTE_ADDR" => Value::Client,
        "CONTENT_TYPE" => Value::Field("Content-Type".into()),
        "CONTENT_LENGTH" => Value::Field("Content-Length".into()),
        _ => {
            let field = name.strip_prefix("HTTP_").filter(|field| !field.is_empty())?;
            let is_field = field.bytes().all(|byte| is_tchar(byte) && byte != b'-');
            return is_field.then(|| Value::Field(field.replace('_', "-")));
        }
    })
}
