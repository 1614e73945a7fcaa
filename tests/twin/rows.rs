//! The tests that the twin does not run: those with a row in `support::lacks`, and no others.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::Front;
use crate::support::lacks::{FILES, Lack, TESTS};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The modules that a file has: `mod this;`.
fn modules(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a test");
    let lines =
        text.lines().filter_map(|line| line.trim().trim_start_matches("pub(crate) ").strip_prefix("mod "));
    lines.filter_map(|rest| rest.strip_suffix(';')).map(String::from).collect()
}

#[test]
fn every_file_is_here_or_has_its_row() {
    let lane = tests().join(concat!(env!("CARGO_CRATE_NAME"), ".rs"));
    let (all, here) = (modules(&tests().join("wire/main.rs")), modules(&lane));
    let lacking: Vec<&str> = Lack::of(FILES, Front::of_this_crate()).map(|row| row.what).collect();
    for file in all.iter().filter(|file| *file != "support") {
        assert!(
            here.contains(file) != lacking.contains(&file.as_str()),
            "{file}: here, or in FILES of lacks.rs"
        );
    }
    assert!(here.len() > lacking.len() && lacking.iter().all(|file| all.iter().any(|known| known == file)));
}

/// The list is shown wherever the tests run.
#[test]
fn every_row_is_of_a_test_that_asks() {
    let sources = sources(&tests().join("wire"));
    for row in TESTS {
        let (test, asks) = (format!("fn {}()", row.what), format!("lacks(\"{}\")", row.what));
        let found = sources.iter().any(|text| text.contains(&test) && text.contains(&asks));
        assert!(found, "{} is no test, or does not ask", row.what);
    }
    let front = Front::of_this_crate();
    let rows = Lack::of(FILES, front).chain(Lack::of(TESTS, front));
    let rows: String = rows.map(|row| format!("TWIN | {front:?} | {} | {}\n", row.what, row.why)).collect();
    // `println!` is captured when a test passes.
    let _ = std::io::stderr().write_all(format!("\n{rows}").as_bytes());
}

fn sources(folder: &Path) -> Vec<String> {
    let paths = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![fs::read_to_string(&path).expect("a test")],
        })
        .collect()
}
