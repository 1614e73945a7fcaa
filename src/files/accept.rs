//! Whether a client wants a page or a text (`Accept`, RFC 9110 §12.5.1).

use super::encoding::thousandths;
use crate::http1::{Fields, list, trim_ows};

/// Whether a client prefers HTML to plain text: its `Accept` names `text/html`, and `text/plain` has no higher weight. A
/// browser names it when a person follows a link, and not for an image, a script, a style sheet or a `fetch`; curl and
/// most other programs send `*/*`.
pub(super) fn prefers_html(fields: Fields<'_>) -> bool {
    is_html_preferred(fields.all("Accept"))
}

fn is_html_preferred<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut html, mut plain) = (0, 0);
    for range in lines.flat_map(list) {
        let end = memchr::memchr(b';', range).unwrap_or(range.len());
        let (name, parameters) = range.split_at(end);
        let weight = match trim_ows(name) {
            name if name.eq_ignore_ascii_case(b"text/html") => &mut html,
            name if name.eq_ignore_ascii_case(b"text/plain") => &mut plain,
            _ => continue,
        };
        *weight = weight_in(parameters);
    }
    html > 0 && html >= plain
}

/// The weight among the parameters of a media range, in thousandths; 0 if it is malformed.
fn weight_in(parameters: &[u8]) -> u16 {
    let weight = parameters.split(|byte| *byte == b';').map(trim_ows).find_map(|parameter| match parameter {
        [b'q' | b'Q', b'=', qvalue @ ..] => Some(thousandths(qvalue).unwrap_or(0)),
        _ => None,
    });
    weight.unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_and_programs() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
                        application/signed-exchange;v=b3;q=0.7";
        for (lines, want) in [
            (&[chromium][..], true),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], true),
            (&["TEXT/HTML ; charset=utf-8 ; q=0.5"], true),
            (&["application/json", "text/html"], true),
            (&["text/plain, text/html"], true),
            (&["text/html;q=0.5, text/plain;q=0.4"], true),
            (&["text/html;q=0.5, text/plain"], false),
            (&["text/html;q=0"], false),
            (&["text/html;q=2"], false),
            (&["text/html;q="], false),
            (&["*/*"], false),
            (&["text/*"], false),
            (&["text/htmlx, xtext/html"], false),
            (&["text/css,*/*;q=0.1"], false),
            (&["image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"], false),
            (&["application/json, text/plain, */*"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(is_html_preferred(lines.iter().map(|line| line.as_bytes())), want, "{lines:?}");
        }
    }
}
