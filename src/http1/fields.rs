//! The header fields that decide how a connection goes on: where the body ends, and what follows the response.

use super::error::Error;
use super::framing::BodyFraming;
use super::grammar::{is_host_and_port, is_token, list, parse_decimal, trim_ows};
use super::request::{Fields, Version};

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
    pub(super) fn framing(&self, version: Version) -> Result<BodyFraming, Error> {
        match (self.transfer_encoding, self.content_length) {
            (Some(_), Some(_)) => Err(Error::TransferEncoding),
            (Some(_), None) if version < Version::Http11 => Err(Error::TransferEncoding),
            (Some(codings), None) => transfer_coding(codings),
            (None, Some(length)) => {
                let length = parse_decimal(length).ok_or(Error::ContentLength)?;
                Ok(if length == 0 { BodyFraming::None } else { BodyFraming::Length(length) })
            }
            (None, None) => Ok(BodyFraming::None),
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
fn transfer_coding(value: &[u8]) -> Result<BodyFraming, Error> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(BodyFraming::Chunked);
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
