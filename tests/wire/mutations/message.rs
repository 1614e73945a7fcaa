//! A request that was parsed, and can be written again.

/// A request, independent of its representation.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: String,
    /// The fields, without those of the framing.
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Option<Body>,
}

#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) content: Vec<u8>,
    pub(super) chunked: bool,
}

/// A part of a message on the wire.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Line { text: Vec<u8>, end: &'static str },
    Data(Vec<u8>),
}

impl Message {
    /// Takes one request off the front of `bytes`, with a simple parser.
    pub(super) fn take(bytes: &mut &[u8]) -> Option<Self> {
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

    pub(super) fn expects(&self) -> bool {
        self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("expect"))
    }

    /// The usual representation.
    pub(super) fn plain(&self) -> Vec<Piece> {
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

    pub(super) fn pieces(
        &self,
        target: &str,
        version: &str,
        fields: Vec<Vec<u8>>,
        body: Vec<Piece>,
    ) -> Vec<Piece> {
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

pub(super) fn line(text: impl Into<Vec<u8>>) -> Piece {
    Piece::Line { text: text.into(), end: "\r\n" }
}

pub(super) fn bytes_of(pieces: &[Piece]) -> Vec<u8> {
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
