//! What an unknown option may have been meant for.

use super::{OptionGroup, OptionSpec, all};

/// Names that other servers have for an option of these: python's `http.server`, miniserve, serve, dufs,
/// static-web-server, caddy; gunicorn. A name is found with one dash or two.
const ELSEWHERE: &[(&str, &str)] = &[
    ("access-logfile", "access-log"),
    ("access-logformat", "access-log-format"),
    ("addr", "host"),
    ("address", "host"),
    ("auth-file", "auth"),
    ("b", "host"),
    ("bind", "host"),
    ("browse", "listing"),
    ("c", "config"),
    ("cert", "tls-cert"),
    ("certfile", "tls-cert"),
    ("check-config", "check"),
    ("compression-static", "precompressed"),
    ("default-page", "index"),
    ("directory-listing", "listing"),
    ("error-logfile", "logfile"),
    ("g", "group"),
    ("graceful-timeout", "grace"),
    ("hidden", "dotfiles"),
    ("i", "host"),
    ("interfaces", "host"),
    ("keep-alive", "keepalive-timeout"),
    ("key", "tls-key"),
    ("keyfile", "tls-key"),
    ("limit-request-field_size", "max-field-bytes"),
    ("limit-request-fields", "max-fields"),
    ("limit-request-line", "max-target-bytes"),
    ("log-file", "logfile"),
    ("log-level", "log"),
    ("max-requests-jitter", "max-requests"),
    ("no-dirlist", "no-listing"),
    ("no-request-logging", "access-log"),
    ("password", "auth"),
    ("pid", "pidfile"),
    ("pythonpath", "chdir"),
    ("qrcode", "qr"),
    ("render-spa", "spa"),
    ("single", "spa"),
    ("ssl", "tls-self-signed"),
    ("ssl-cert", "tls-cert"),
    ("ssl-key", "tls-key"),
    ("t", "timeout"),
    ("threads", "workers"),
    ("tls", "tls-self-signed"),
    ("u", "user"),
    ("umask", "unix-mode"),
    ("verbose", "log"),
    ("worker-connections", "max-connections"),
];

/// Names that other file servers have for the folder.
const FOLDERS: [&str; 6] = ["d", "dir", "directory", "document-root", "folder", "path"];

/// `; did you mean --port?`, if there is a name that an unknown word is near to.
pub(super) fn of(word: &str, groups: &[OptionGroup]) -> String {
    let name = bare(word);
    let known = |wanted: &str| all(groups).find(|option| option.is_named(wanted)).map(|option| option.name);
    if FOLDERS.contains(&name) && known("root").is_some() {
        return "; give the folder as a word of its own: stheno FOLDER".into();
    }
    let elsewhere = || ELSEWHERE.iter().find(|(there, _)| *there == name).map(|(_, here)| *here);
    let near = || nearest(name, all(groups)).filter(|_| name.len() > 1);
    let meant = elsewhere().and_then(known).or_else(near);
    meant.map(|name| format!("; did you mean --{name}?")).unwrap_or_default()
}

/// Whether a word with one dash is a long name: `-port` is not `-p ort`.
pub(super) fn is_long(word: &str, groups: &[OptionGroup]) -> bool {
    let name = bare(word);
    !word.starts_with("--") && name.len() > 1 && all(groups).any(|option| option.is_named(name))
}

/// The name in a word, without dashes and value.
fn bare(word: &str) -> &str {
    word.split('=').next().unwrap_or_default().trim_start_matches('-')
}

/// The name among `options` that differs from `word` in the fewest letters, if it may be what was meant: at most three
/// letters, and at most half of the name, differ.
pub(crate) fn nearest(word: &str, options: impl Iterator<Item = OptionSpec>) -> Option<&'static str> {
    let names = options.flat_map(|option| [option.alias, option.name]).filter(|name| !name.is_empty());
    let (distance, name) = names.map(|name| (distance(word, name), name)).min()?;
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
