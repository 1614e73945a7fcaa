//! The operator's own media types: a file in the format of Apache's `mime.types` or of nginx's.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::http1::is_tchar;

/// Types by extension, which come before the server's own, and the type of every unknown name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeTable {
    by_extension: BTreeMap<String, Arc<str>>,
    unknown: Option<Arc<str>>,
}

impl TypeTable {
    /// A table of nothing but the type of unknown names.
    #[must_use]
    pub fn of_unknown(media_type: &str) -> Self {
        Self { unknown: Some(media_type.into()), ..Self::default() }
    }

    /// The table of a text, with the type of names that nothing knows.
    ///
    /// A line is a type and its extensions (`text/x-diff diff patch`), or, in a block `types { … }`, as nginx has it
    /// with a semicolon at its end. `#` begins a comment. The last line about an extension counts.
    ///
    /// # Errors
    /// The number of a line, from 1, and what is wrong with it.
    pub fn parse(text: &str, unknown: Option<&str>) -> Result<Self, (usize, String)> {
        let mut by_extension = BTreeMap::new();
        let (mut is_nginx, mut entry) = (false, Vec::<String>::new());
        let mut add = |entry: &mut Vec<String>| match entry.is_empty() {
            true => Ok(()),
            false => add_entry(&mut by_extension, entry.drain(..)),
        };
        for (at, line) in text.lines().enumerate() {
            let here = |what| (at + 1, what);
            let line = line.split('#').next().unwrap_or_default();
            for word in line.replace('{', " { ").replace('}', " } ").replace(';', " ; ").split_whitespace() {
                match word {
                    "{" if !is_nginx && entry == ["types"] => (is_nginx, entry) = (true, Vec::new()),
                    "}" if is_nginx && entry.is_empty() => is_nginx = false,
                    ";" => add(&mut entry).map_err(here)?,
                    word => entry.push(word.into()),
                }
            }
            if !is_nginx {
                add(&mut entry).map_err(here)?;
            }
        }
        match entry.first() {
            Some(word) => Err((text.lines().count(), format!("the entry of {word} has no semicolon"))),
            None => Ok(Self { by_extension, unknown: unknown.map(Arc::from) }),
        }
    }

    /// The type of an extension in lower case.
    pub(super) fn get(&self, extension: &str) -> Option<&Arc<str>> {
        self.by_extension.get(extension)
    }

    /// The type of names that nothing knows.
    pub(super) fn unknown(&self) -> Option<&Arc<str>> {
        self.unknown.as_ref()
    }
}

/// Adds the words of an entry: a type and its extensions.
fn add_entry(
    by_extension: &mut BTreeMap<String, Arc<str>>,
    mut words: impl Iterator<Item = String>,
) -> Result<(), String> {
    let media_type = words.next().unwrap_or_default();
    if !is_type(&media_type) {
        return Err(format!("{media_type:?} is no type: give TYPE/SUBTYPE and extensions"));
    }
    let media_type: Arc<str> = media_type.into();
    for extension in words {
        let extension = extension.trim_start_matches('.').to_ascii_lowercase();
        if extension.is_empty() || extension.contains(['.', '/', '{', '}']) {
            return Err(format!("{extension:?} is no extension: give the text after the last dot"));
        }
        by_extension.insert(extension, Arc::clone(&media_type));
    }
    Ok(())
}

/// Whether this is a media type without parameters (RFC 9110 §8.3.1).
#[must_use]
pub fn is_type(text: &str) -> bool {
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_tchar);
    text.split_once('/').is_some_and(|(kind, of_it)| is_token(kind) && is_token(of_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats() {
        let apache = "# a comment\n\ntext/x-one\tone ONE2 # two\napplication/nothing\r\ntext/x-two .two\ntext/x-2 two\n";
        let nginx = "types {\n  text/x-one one one2;\n\n  text/x-2 # in two lines\n    two;\n}\n";
        let in_a_line = "types { text/x-one one one2; text/x-2 two;}";
        for text in [apache, nginx, in_a_line] {
            let table = TypeTable::parse(text, Some("text/html")).expect("a table");
            let found = ["one", "one2", "two", "nothing"].map(|name| table.get(name).map(AsRef::as_ref));
            assert_eq!(found, [Some("text/x-one"), Some("text/x-one"), Some("text/x-2"), None], "{text}");
            assert_eq!(table.unknown().map(AsRef::as_ref), Some("text/html"));
        }
        for (text, line, says) in [
            ("\ntext one", 2, "\"text\" is no type"),
            ("text/ one", 1, "no type"),
            ("a/b/c one", 1, "no type"),
            ("text/a; charset=x one", 1, "no type"),
            ("text/x-one tar.gz", 1, "no extension"),
            ("text/x-one one; two", 1, "\"two\" is no type"),
            ("types {\ntext/x-one one\n}", 3, "no semicolon"),
            ("types {\ntext/x-one one", 2, "no semicolon"),
        ] {
            let error = TypeTable::parse(text, None).expect_err(text);
            assert!(error.0 == line && error.1.contains(says), "{text}: {error:?}");
        }
    }
}
