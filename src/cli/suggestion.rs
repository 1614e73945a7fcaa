//! What an unknown option may have been meant for.

use super::{OptionGroup, OptionSpec, all};

/// Names that other file servers have for an option of this one: python's `http.server`, miniserve, serve, dufs,
/// static-web-server, caddy. A name is found with one dash or two.
const ELSEWHERE: &[(&str, &str)] = &[
    ("addr", "host"),
    ("address", "host"),
    ("auth-file", "auth"),
    ("b", "host"),
    ("bind", "host"),
    ("browse", "listing"),
    ("cert", "tls-cert"),
    ("compression-static", "precompressed"),
    ("default-page", "index"),
    ("directory-listing", "listing"),
    ("hidden", "dotfiles"),
    ("i", "host"),
    ("interfaces", "host"),
    ("key", "tls-key"),
    ("log-level", "log"),
    ("no-dirlist", "no-listing"),
    ("no-request-logging", "access-log"),
    ("password", "auth"),
    ("qrcode", "qr"),
    ("render-spa", "spa"),
    ("single", "spa"),
    ("threads", "workers"),
    ("ssl", "tls-self-signed"),
    ("ssl-cert", "tls-cert"),
    ("ssl-key", "tls-key"),
    ("tls", "tls-self-signed"),
    ("verbose", "log"),
];

/// Names that other file servers have for the folder.
const FOLDERS: [&str; 6] = ["d", "dir", "directory", "document-root", "folder", "path"];

/// `; did you mean --port?`, if there is a name that an unknown word is near to.
pub(super) fn of(word: &str, groups: &[OptionGroup]) -> String {
    let name = bare(word);
    if FOLDERS.contains(&name) {
        return "; give the folder as a word of its own: stheno FOLDER".into();
    }
    let elsewhere = || ELSEWHERE.iter().find(|(there, _)| *there == name).map(|(_, here)| *here);
    let known = |wanted: &str| all(groups).find(|option| option.name == wanted).map(|option| option.name);
    let near = || nearest(name, all(groups)).filter(|_| name.len() > 1);
    let meant = elsewhere().and_then(known).or_else(near);
    meant.map(|name| format!("; did you mean --{name}?")).unwrap_or_default()
}

/// Whether a word with one dash is a long name: `-port` is not `-p ort`.
pub(super) fn is_long(word: &str, groups: &[OptionGroup]) -> bool {
    let name = bare(word);
    !word.starts_with("--") && name.len() > 1 && all(groups).any(|option| option.name == name)
}

/// The name in a word, without dashes and value.
fn bare(word: &str) -> &str {
    word.split('=').next().unwrap_or_default().trim_start_matches('-')
}

/// The name among `options` that differs from `word` in the fewest letters, if it may be what was meant: at most three
/// letters, and at most half of the name, differ.
pub(crate) fn nearest(word: &str, options: impl Iterator<Item = OptionSpec>) -> Option<&'static str> {
    let (distance, name) = options.map(|option| (distance(word, option.name), option.name)).min()?;
    (distance <= 3 && 2 * distance <= name.len()).then_some(name)
}

/// The number of letters to insert, remove or replace to turn `a` into `b` (Levenshtein). A key may be as long as its
/// file, so only the first 64 letters of `a` count.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().replace('_', "-").chars().take(64).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, there) in b.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, here) in a.iter().enumerate() {
            let changed = diagonal + usize::from(*here != there);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[a.len()]
}
