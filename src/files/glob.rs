//! Patterns of paths: `*.html`, `/assets/**`, `/data/*.{json,csv}`.
//!
//! A pattern without a slash is that of a name, in any folder; one with a slash is that of a whole path from the
//! root. `*` is any text within a name, `?` one character, `**` any number of names, `{a,b}` one of several texts.
//! Everything else stands for itself, in the same case of letters.

/// A pattern has at most this many alternatives, all braces multiplied.
const MAX_ALTERNATIVES: usize = 64;

/// A pattern of paths beneath the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<Pattern>);

/// A pattern without braces: that of the last name, or one of each name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    names: Vec<Vec<char>>,
    is_of_name: bool,
}

/// The names of a path, for comparisons with several patterns. The last one is empty for a folder.
#[derive(Debug)]
pub(super) struct PathNames(Vec<Vec<char>>);

impl PathNames {
    /// The names of a path from the root, without its first slash. Bytes that are not UTF-8 are one character each.
    pub(super) fn of(path: &[u8]) -> Self {
        Self(names(&String::from_utf8_lossy(path)))
    }
}

fn names(path: &str) -> Vec<Vec<char>> {
    path.split('/').map(|name| name.chars().collect()).collect()
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("a pattern cannot be empty: give * for every name");
        }
        let mut alternatives = vec![String::new()];
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, after) =
                after.split_once('}').ok_or("a { has no }: give ? for a brace in a name")?;
            let choices: Vec<&str> = inside.split(',').collect();
            if alternatives.len() * choices.len() > MAX_ALTERNATIVES {
                return Err("the braces mean more than 64 patterns");
            }
            let of_one =
                |begin: &String| choices.iter().map(|choice| format!("{begin}{before}{choice}")).collect();
            alternatives = alternatives.iter().flat_map(|begin| -> Vec<String> { of_one(begin) }).collect();
            rest = after;
        }
        Ok(Self(alternatives.iter().map(|begin| Pattern::of(&format!("{begin}{rest}"))).collect()))
    }

    /// Whether this is the pattern of a path. The time is at most the product of the lengths of both.
    pub(super) fn matches(&self, path: &PathNames) -> bool {
        self.0.iter().any(|pattern| pattern.matches(&path.0))
    }
}

impl Pattern {
    fn of(text: &str) -> Self {
        let names = names(text.strip_prefix('/').unwrap_or(text));
        Self { names, is_of_name: !text.contains('/') }
    }

    fn matches(&self, path: &[Vec<char>]) -> bool {
        let path = if self.is_of_name { &path[path.len().saturating_sub(1)..] } else { path };
        let is_name = |pattern: &Vec<char>, name: &Vec<char>| {
            matches(pattern, name, |part| *part == '*', |part, one| *part == '?' || part == one)
        };
        matches(&self.names, path, |part| part[..] == ['*', '*'], is_name)
    }
}

/// Whether `text` consists of one element for each part of `pattern`, and of any number for each star. Only the last
/// star is tried again: what the stars before it took was the first that fits, and no later one leaves more to the
/// rest.
fn matches<P, T>(
    pattern: &[P],
    text: &[T],
    is_star: impl Fn(&P) -> bool,
    is_one: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut part, mut at, mut again) = (0, 0, None);
    while let Some(one) = text.get(at) {
        match pattern.get(part) {
            Some(star) if is_star(star) => {
                part += 1;
                again = Some((part, at));
            }
            Some(other) if is_one(other, one) => (part, at) = (part + 1, at + 1),
            _ => match again {
                Some((after_star, from)) => {
                    (part, at) = (after_star, from + 1);
                    again = Some((part, at));
                }
                None => return false,
            },
        }
    }
    pattern[part..].iter().all(is_star)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_their_paths() {
        for (pattern, yes, no) in [
            ("*.html", "index.html a/b/c.html .html", "a.htm a.html/b html a.html/"),
            ("*", "a a/b/c a/", ""),
            ("**", "a a/b", ""),
            ("**.js", "a.js a/b.js", "a.jsx"),
            ("/assets/**", "assets/a assets/a/b assets/ assets", "a/assets/b assetsx/a index.html"),
            ("assets/**", "assets/a assets/a/b", "a/assets/b"),
            ("assets/*", "assets/a assets/.a", "assets/a/b a/assets/b"),
            ("/*", "a", "a/b"),
            ("/*.js", "a.js", "a/b.js"),
            ("**/img/*.png", "img/a.png a/b/img/c.png", "img/a/b.png a.png ximg/a.png"),
            ("a/**/z", "a/z a/b/z a/b/c/z a/z/z", "a/z/b z"),
            ("/**/a/**/b", "a/b x/a/y/b a/a/b/b", "b/a a"),
            ("*.{js,css,}", "a.js b/a.css a.", "a.ts a.jsx"),
            ("/{a,b}/{c,d}", "a/c a/d b/c b/d", "a c a/b e/c"),
            ("?.txt", "a.txt \u{e4}.txt", "ab.txt .txt"),
            ("[id].js", "[id].js", "i.js"),
            ("a*b*c", "abc aXbYc abcbc", "abcd acb"),
            ("A.txt", "A.txt", "a.txt"),
        ] {
            let glob = Glob::parse(pattern).expect("a pattern");
            for (paths, want) in [(yes, true), (no, false)] {
                for path in paths.split(' ').filter(|path| !path.is_empty()) {
                    assert_eq!(glob.matches(&PathNames::of(path.as_bytes())), want, "{pattern} of {path}");
                }
            }
        }
        assert!(Glob::parse("?").expect("a pattern").matches(&PathNames::of(b"\xff")));
        for wrong in ["", "{", "a{b", "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"] {
            assert!(Glob::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// With backtracking to every star, this would not end.
    #[test]
    fn the_time_is_bounded() {
        let names = Glob::parse(&format!("{}b", "a*".repeat(200))).expect("a pattern");
        assert!(!names.matches(&PathNames::of("a".repeat(4000).as_bytes())));
        let folders = Glob::parse(&format!("{}b", "**/a/".repeat(100))).expect("a pattern");
        assert!(!folders.matches(&PathNames::of("a/".repeat(1000).as_bytes())));
    }
}
