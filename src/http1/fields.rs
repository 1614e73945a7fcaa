//! The header fields of a request, and what those of them say that decide how the connection goes on.

use std::num::NonZeroU64;

use super::body::Framing;
use super::error::Error;
use super::grammar::{is_host_and_port, is_token, list, parse_decimal, trim_ows};
use super::head::Version;

/// The header fields, in the order in which they came.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub(super) &'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// Name and value of each; values without white space around them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.0.iter().map(|field| (field.name, field.value))
    }

    /// The values of all fields with this name, in any case.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter().filter(move |(this, _)| this.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the first field with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The value of the only field with this name: `None` also when there are several.
    #[must_use]
    pub fn single(&self, name: &str) -> Option<&'a [u8]> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }
}

/// The fields that decide how the connection goes on, found in one pass.
#[derive(Debug, Default)]
pub(super) struct CheckedFields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
    expect_other: bool,
}

impl<'a> CheckedFields<'a> {
    pub(super) fn of(fields: Fields<'a>) -> Result<Self, Error> {
        let mut this = Self::default();
        for (name, value) in fields.iter() {
            this.look_at(name, value)?;
        }
        Ok(this)
    }

    fn look_at(&mut self, name: &str, value: &'a [u8]) -> Result<(), Error> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // By length first: most fields are none of these.
        match name.len() {
            4 if is("host") => once(&mut self.host, value, Error::Host),
            6 if is("expect") => {
                self.note_expectation(value);
                Ok(())
            }
            10 if is("connection") => {
                self.note_connection(value);
                Ok(())
            }
            12 if is("content-type") => once(&mut self.content_type, value, Error::Repeated),
            14 if is("content-length") => once(&mut self.content_length, value, Error::ContentLength),
            17 if is("transfer-encoding") => {
                once(&mut self.transfer_encoding, value, Error::TransferEncoding)
            }
            _ => Ok(()),
        }
    }

    /// RFC 9112 §3.2: one `Host`, always in HTTP/1.1, also beside an absolute target; it may be empty. A port
    /// without a host is no authority that a target could have (RFC 9110 §4.2.1).
    pub(super) fn check_host(&self, version: Version) -> Result<(), Error> {
        match self.host {
            None if version >= Version::Http11 => Err(Error::Host),
            Some([b':', ..]) => Err(Error::Host),
            Some(host) if !is_host_and_port(host) => Err(Error::Host),
            _ => Ok(()),
        }
    }

    /// A list in any case, over any number of lines (RULES A38).
    fn note_connection(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn note_expectation(&mut self, value: &[u8]) {
        if trim_ows(value).eq_ignore_ascii_case(b"100-continue") {
            self.expect_continue = true;
        } else {
            self.expect_other = true;
        }
    }

    pub(super) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version >= Version::Http11 || self.keep_alive)
    }

    /// Expectations of HTTP/1.0 are ignored (RFC 9110 §10.1.1).
    pub(super) fn expects_continue(&self, version: Version) -> Result<bool, Error> {
        match version {
            Version::Http10 => Ok(false),
            Version::Http11 if self.expect_other => Err(Error::Expectation),
            Version::Http11 => Ok(self.expect_continue),
        }
    }

    /// RFC 9112 §6.3, with every "may repair" taken as "refuse".
    pub(super) fn framing(&self, version: Version) -> Result<Framing, Error> {
        match (self.transfer_encoding, self.content_length) {
            (Some(_), Some(_)) => Err(Error::TransferEncoding),
            (Some(_), None) if version < Version::Http11 => Err(Error::TransferEncoding),
            (Some(codings), None) => transfer_coding(codings),
            (None, Some(length)) => {
                let length = parse_decimal(length).ok_or(Error::ContentLength)?;
                Ok(NonZeroU64::new(length).map_or(Framing::None, Framing::Length))
            }
            (None, None) => Ok(Framing::None),
        }
    }
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8], error: Error) -> Result<(), Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(error),
    }
}

/// Exactly `chunked` is served; other codings that are well-formed are not known here (501); the rest is
/// malformed (RULES A52 to A54).
fn transfer_coding(value: &[u8]) -> Result<Framing, Error> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let codings: Vec<&[u8]> = value.split(|byte| *byte == b',').map(trim_ows).collect();
    let well_formed = codings.iter().all(|coding| is_token(coding));
    let before_last = &codings[..codings.len() - 1];
    if well_formed && !before_last.iter().any(is_chunked) {
        Err(Error::Coding)
    } else {
        Err(Error::TransferEncoding)
    }
}
