//! `docs/DICTIONARY.md` has a row for every public name of asyncore and asynchat, and the sources declare each name
//! that a row gives.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of the first two tables.
#[derive(Debug)]
struct Row {
    names: Vec<String>,
    fate: String,
    here: Vec<String>,
    note: String,
    tests: Vec<String>,
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The texts between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

fn rows() -> Vec<Row> {
    let text = read("docs/DICTIONARY.md");
    let mut rows = Vec::new();
    for module in ["asyncore", "asynchat"] {
        let table = text.split(&format!("## {module}\n")).nth(1).expect("a table for each module");
        let lines = table.lines().skip_while(|line| !line.starts_with('|')).skip(2);
        for line in lines.take_while(|line| line.starts_with('|')) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [names, fate, here, note, tests] = cells[..] else { panic!("five cells: {line}") };
            rows.push(Row {
                names: quoted(names).iter().map(|name| format!("{module}.{name}")).collect(),
                fate: fate.to_string(),
                here: quoted(here),
                note: note.to_string(),
                tests: quoted(tests),
            });
        }
    }
    rows
}

/// All Rust sources beneath the folders.
fn sources(folders: &[&str]) -> String {
    let mut folders: Vec<PathBuf> =
        folders.iter().map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).collect();
    let mut all = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all += &fs::read_to_string(path).expect("a source");
            }
        }
    }
    all
}

/// Whether `source` declares `name`, as a function, a type, a constant or a variant.
fn declares(source: &str, name: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    let declares = |before: &str| source.split(&format!("{before}{name}")).skip(1).any(is_end);
    ["fn ", "struct ", "enum ", "trait ", "const "].into_iter().any(declares)
        || source.lines().any(|line| line.trim().strip_suffix(',') == Some(name))
}

/// Whether `source` has a test of this name: one that is run, not just a function.
fn has_test(source: &str, name: &str) -> bool {
    source.match_indices(&format!("fn {name}() {{")).any(|(at, _)| {
        let attributes = source[..at].trim_end().lines().rev().take_while(|line| !line.trim().is_empty());
        attributes.map(str::trim).any(|line| line == "#[test]")
    })
}

#[test]
fn every_public_name_has_a_row() {
    let names = read("tests/oracle/names.txt");
    let names: BTreeSet<&str> = names.lines().collect();
    assert!(names.len() > 90, "{} names: the file is broken", names.len());
    let rows = rows();
    let mut seen = BTreeSet::new();
    for name in rows.iter().flat_map(|row| &row.names) {
        assert!(names.contains(name.as_str()), "CPython 3.11 has no {name}");
        assert!(seen.insert(name.as_str()), "{name} has two rows");
    }
    let missing: Vec<_> = names.difference(&seen).collect();
    assert!(missing.is_empty(), "docs/DICTIONARY.md has no row for {missing:?}");
}

#[test]
fn every_row_says_what_has_become_of_it() {
    let (source, tests) = (sources(&["src"]), sources(&["src", "tests"]));
    for row in rows() {
        let name = &row.names;
        match row.fate.as_str() {
            "mirrored" => assert!(!row.here.is_empty(), "{name:?}: where is it?"),
            "adapted" => {
                assert!(!row.here.is_empty() && !row.note.is_empty(), "{name:?}: where is it, and why?");
                assert!(!row.tests.is_empty(), "{name:?}: which test shows the difference?");
            }
            "dropped" => assert!(row.here.is_empty() && !row.note.is_empty(), "{name:?}: why?"),
            other => panic!("{name:?} is {other:?}: mirrored, adapted or dropped?"),
        }
        for path in &row.here {
            let last = path.rsplit("::").next().unwrap_or_default();
            assert!(declares(&source, last), "{name:?}: nothing in src is called {path}");
        }
        for test in &row.tests {
            assert!(has_test(&tests, test), "{name:?}: there is no test {test}");
        }
    }
}
