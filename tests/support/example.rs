//! Programs of `examples/`, as built by cargo.

use std::path::{Path, PathBuf};

/// The path of the program: `target/debug/examples`, beside this test. `cargo test` builds it, but `cargo test
/// --test NAME` does not, so an outdated program fails here.
pub fn path(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("this test");
    path.pop();
    path.pop();
    let path = path.join("examples").join(name);
    assert!(is_fresh(&path), "{} is missing or old: cargo test --no-run", path.display());
    path
}

/// Whether the program is newer than all of its sources, which cargo lists beside it: `program: source source
/// …`.
fn is_fresh(program: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|facts| facts.modified());
    let (Ok(built), Ok(list)) = (changed(program), std::fs::read_to_string(program.with_extension("d")))
    else {
        return false;
    };
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources).replace("\\ ", "\0");
    let mut sources = sources.split_whitespace().map(|source| source.replace('\0', " "));
    sources.all(|source| changed(Path::new(&source)).is_ok_and(|changed| changed <= built))
}
