//! Reads the sources of the crate: what each file imports, and which types it defines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The source files except those of tests (`tests.rs` and what is in a folder `tests`), each with the part of the crate that it belongs to.
pub(crate) fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.with_extension("").ends_with("tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).expect("beneath src");
                let part = relative.components().next().expect("a name").as_os_str();
                let part = Path::new(part).with_extension("").to_string_lossy().into_owned();
                files.push((part, path));
            }
        }
    }
    files
}

/// The code of a file without comments, and without its test module, which ends the file.
pub(crate) fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source");
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What `prefix` names in `code`: `a` and `c` of `prefix a::B` and `prefix {a::{B, C}, c}`.
pub(crate) fn named(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c| is_name(c) || c == ':') {
            continue;
        }
        let mut rest = &code[at + prefix.len()..];
        let in_braces = rest.starts_with('{');
        rest = rest.trim_start_matches('{');
        loop {
            let item = rest.trim_start();
            let name: String = item.chars().take_while(|c| is_name(*c)).collect();
            // A macro of this crate is at its root, wherever it is defined.
            if !item[name.len()..].starts_with('!') {
                names.push(name);
            }
            // The next item: after the first comma that is not within braces.
            let mut depth = 0;
            let comma = item.find(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth < 0 || (depth == 0 && c == ',')
            });
            match comma.filter(|at| in_braces && item[*at..].starts_with(',')) {
                Some(at) => rest = &item[at + 1..],
                None => break,
            }
        }
    }
    names.retain(|name: &String| !name.is_empty());
    names
}

/// The name of a file within its part: `slot` of `src/reactor/slot.rs`, `mod` of `src/config.rs`.
fn file_name(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let path = path.strip_prefix(root).expect("beneath src").with_extension("");
    let inside: PathBuf = path.components().skip(1).collect();
    if inside.as_os_str().is_empty() { "mod".into() } else { inside.to_string_lossy().into_owned() }
}

/// The files of one part by name, with their code.
type Files = BTreeMap<String, String>;

/// The files of one part, each with the files of the same part that it imports.
pub(crate) type Imports = BTreeMap<String, BTreeSet<String>>;

/// Part → what its files import of each other.
pub(crate) fn imports_inside() -> BTreeMap<String, Imports> {
    let mut parts: BTreeMap<String, Files> = BTreeMap::new();
    for (part, path) in sources() {
        parts.entry(part).or_default().insert(file_name(&path), code(&path));
    }
    let inside = |(part, files): (String, Files)| {
        let imports_of = |name: &String| (name.clone(), imports_of(&part, name, &files));
        (part.clone(), files.keys().map(imports_of).collect())
    };
    parts.into_iter().map(inside).collect()
}

fn imports_of(part: &str, name: &str, files: &Files) -> BTreeSet<String> {
    let code = &files[name];
    let parent = name.rsplit_once('/').map_or("mod", |(parent, _)| parent);
    let mut imports: BTreeSet<String> = BTreeSet::new();
    if name != "mod" {
        imports.extend(named(code, "super::").iter().map(|item| defined_in(item, parent, files)));
    }
    imports
        .extend(named(code, &format!("crate::{part}::")).iter().map(|item| defined_in(item, "mod", files)));
    // Re-exports are no dependency: what they name is used elsewhere.
    let own: Vec<&str> = code.split(';').filter(|item| !is_reexport(item)).collect();
    let is_used = |(child, _): &(String, String)| !named(&own.join(";"), &format!("{child}::")).is_empty();
    imports.extend(children(name, files).filter(is_used).map(|(_, file)| file));
    imports.remove(name);
    imports
}

/// The files beneath a module: how it names them, and how `files` does.
fn children(module: &str, files: &Files) -> impl Iterator<Item = (String, String)> {
    let beneath = if module == "mod" { String::new() } else { format!("{module}/") };
    files.keys().filter_map(move |file| {
        let child = file.strip_prefix(&beneath).filter(|child| *child != "mod" && !child.contains('/'))?;
        Some((child.to_string(), file.clone()))
    })
}

/// The file of what `module` calls `item`: one of its files, what one of them exports through it, or its own.
fn defined_in(item: &str, module: &str, files: &Files) -> String {
    let exported = |(child, _): &(String, String)| {
        let reexports = files[module].split(';').filter(|item| is_reexport(item));
        reexports.flat_map(|reexport| named(reexport, &format!("{child}::"))).any(|name| name == item)
    };
    let child = children(module, files).find(|(child, _)| child == item);
    child.or_else(|| children(module, files).find(exported)).map_or(module.into(), |(_, file)| file)
}

fn is_reexport(item: &str) -> bool {
    let item = item.trim_start();
    item.starts_with("pub") && item.contains(" use ")
}

/// A file that can be reached from itself, and the files on the way.
pub(crate) fn circle(files: &Imports) -> Option<Vec<String>> {
    // Files that import no other are taken away, until none is left or all that are left import another.
    let mut left = files.clone();
    while let Some(leaf) =
        left.iter().find(|(_, imports)| imports.iter().all(|file| !left.contains_key(file)))
    {
        let leaf = leaf.0.clone();
        left.remove(&leaf);
    }
    let mut way = vec![left.keys().next()?.clone()];
    loop {
        let next = left[way.last()?].iter().find(|file| left.contains_key(*file))?.clone();
        if let Some(start) = way.iter().position(|file| *file == next) {
            way.push(next);
            return Some(way.split_off(start));
        }
        way.push(next);
    }
}

/// Every type that a file defines, except associated types.
pub(crate) fn types(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let item = line.trim_start();
        let is_indented = item.len() < line.len();
        let item =
            item.strip_prefix("pub").map_or(item, |rest| rest.trim_start_matches(|c| c != ' ').trim_start());
        let (kind, name) = item.split_once(' ')?;
        let defines =
            ["struct", "enum", "trait", "union"].contains(&kind) || (kind == "type" && !is_indented);
        let end = name.find(|c| !is_name(c)).unwrap_or(name.len());
        defines.then_some(&name[..end])
    })
}
