//! Which view of a directory a request asks for: the order of its entries, and the format.

use std::fmt;

use super::encoding::thousandths;
use crate::http1::{list, trim_ows};

/// The column that decides the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SortKey {
    #[default]
    Name,
    Size,
    Date,
}

impl SortKey {
    pub(super) const ALL: [Self; 3] = [Self::Name, Self::Size, Self::Date];

    /// Its word in the query.
    const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Date => "date",
        }
    }
}

/// The order of the entries, folders first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SortOrder {
    pub(super) key: SortKey,
    pub(super) is_descending: bool,
}

/// As the query of a relative link; empty for the order that a listing has without a query.
impl fmt::Display for SortOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return Ok(());
        }
        let order = if self.is_descending { "desc" } else { "asc" };
        write!(f, "?sort={}&order={order}", self.key.word())
    }
}

/// The format of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ListingFormat {
    #[default]
    Html,
    Json,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) order: SortOrder,
    pub(super) format: ListingFormat,
    /// Whether `Accept` decided the format.
    pub(super) varies: bool,
}

impl View {
    /// The view that `sort`, `order` and `format` in the query ask for, else the `Accept` field. Of a parameter that is
    /// there twice the first counts; unknown values and other parameters are ignored, because a link from elsewhere may
    /// have them.
    pub(super) fn of<'a>(query: Option<&[u8]>, accept: impl Iterator<Item = &'a [u8]>) -> Self {
        let query = query.unwrap_or_default();
        let key =
            SortKey::ALL.into_iter().find(|key| parameter(query, b"sort") == Some(key.word().as_bytes()));
        let is_descending = parameter(query, b"order") == Some(b"desc");
        let order = SortOrder { key: key.unwrap_or_default(), is_descending };
        match parameter(query, b"format") {
            Some(b"html") => Self { order, format: ListingFormat::Html, varies: false },
            Some(b"json") => Self { order, format: ListingFormat::Json, varies: false },
            _ => Self { order, format: accepted(accept), varies: true },
        }
    }

    /// Whether sizes and times are needed before the first row.
    pub(super) fn needs_facts(&self) -> bool {
        self.order.key != SortKey::Name || self.format == ListingFormat::Json
    }
}

/// The value of the first parameter with this name.
fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut parameters = query.split(|byte| *byte == b'&');
    parameters.find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix(b"="))
}

/// The format that `Accept` prefers (RFC 9110 §12.5.1): JSON if its weight is greater than that of HTML, or if the weights
/// are the same and the field names JSON more exactly (`application/json, */*`).
fn accepted<'a>(lines: impl Iterator<Item = &'a [u8]>) -> ListingFormat {
    let (mut html, mut json) = (Preference::default(), Preference::default());
    for element in lines.flat_map(list) {
        html.update(element, [b"text/*", b"text/html"]);
        json.update(element, [b"application/*", b"application/json"]);
    }
    if json.weight > 0 && (json.weight, json.precision) > (html.weight, html.precision) {
        ListingFormat::Json
    } else {
        ListingFormat::Html
    }
}

/// The weight of a media type, in thousandths, and how exactly the range names it that the weight is from: 0 for none, 1
/// for `*/*`, 3 for the type itself.
#[derive(Clone, Copy, Debug, Default)]
struct Preference {
    precision: u8,
    weight: u16,
}

impl Preference {
    /// Takes the weight of `element`, if it names this type more exactly than any before.
    fn update(&mut self, element: &[u8], [wide, exact]: [&[u8]; 2]) {
        let mut parts = element.split(|byte| *byte == b';').map(trim_ows);
        let range = parts.next().unwrap_or_default();
        let precision = match range {
            _ if range.eq_ignore_ascii_case(exact) => 3,
            _ if range.eq_ignore_ascii_case(wide) => 2,
            b"*/*" => 1,
            _ => return,
        };
        let qvalue = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
        // A malformed weight is none.
        if let Some(weight) = qvalue.map_or(Some(1000), thousandths)
            && precision > self.precision
        {
            *self = Self { precision, weight };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let order = |key, is_descending| SortOrder { key, is_descending };
        for (query, want, link) in [
            ("", SortOrder::default(), ""),
            ("sort=name", SortOrder::default(), ""),
            ("sort=name&order=desc", order(SortKey::Name, true), "?sort=name&order=desc"),
            ("sort=size", order(SortKey::Size, false), "?sort=size&order=asc"),
            ("x&order=desc&sort=date&sort=size", order(SortKey::Date, true), "?sort=date&order=desc"),
            ("sort=SIZE&order=down", SortOrder::default(), ""),
            ("sort=<b>&order=", SortOrder::default(), ""),
            ("resort=size&sort", SortOrder::default(), ""),
        ] {
            let view = View::of(Some(query.as_bytes()), std::iter::empty());
            assert_eq!((view.order, view.varies), (want, true), "{query}");
            assert_eq!(view.order.to_string(), link);
        }
        let format = |query: &[u8]| {
            let view = View::of(Some(query), std::iter::empty());
            (view.format, view.varies)
        };
        assert_eq!(format(b"format=json"), (ListingFormat::Json, false));
        assert_eq!(format(b"sort=size&format=html"), (ListingFormat::Html, false));
        assert_eq!(format(b"format=xml"), (ListingFormat::Html, true));
    }

    #[test]
    fn formats() {
        for (accept, want) in [
            ("", ListingFormat::Html),
            ("*/*", ListingFormat::Html),
            ("application/json", ListingFormat::Json),
            ("Application/JSON;q=0.5", ListingFormat::Json),
            ("application/json, text/plain, */*", ListingFormat::Json),
            ("application/json, */*;q=0.1", ListingFormat::Json),
            ("application/*", ListingFormat::Json),
            ("text/html, application/json", ListingFormat::Html),
            ("text/html;q=0.8, application/json", ListingFormat::Json),
            ("text/html, application/json;q=0.9", ListingFormat::Html),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", ListingFormat::Html),
            ("application/json;q=0", ListingFormat::Html),
            ("application/json;q=nan", ListingFormat::Html),
            ("*/*, application/json;q=0.1", ListingFormat::Html),
        ] {
            assert_eq!(accepted([accept.as_bytes()].into_iter()), want, "{accept}");
        }
    }
}
