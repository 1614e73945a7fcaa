//! Programs of `examples/`, as built by cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The path of the program: `target/debug/examples`, beside this test. `cargo test` builds it, but `cargo test
/// --test NAME` does not, so a program that is missing or outdated is built here, in the way of `cargo test`; and with
/// it, by one call of cargo, the `others` that are.
pub fn path(name: &str, others: &[&str]) -> PathBuf {
    static BUILD: Mutex<()> = Mutex::new(());
    let mut path = std::env::current_exe().expect("this test");
    path.pop();
    path.pop();
    let folder = path.join("examples");
    let path = folder.join(name);
    let _alone = BUILD.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_fresh(&path) {
        let others = others.iter().map(|other| folder.join(other));
        let old: Vec<PathBuf> = others.filter(|other| *other != path && !is_fresh(other)).collect();
        build(&path, &old);
        assert!(is_fresh(&path), "{} is missing or old: cargo build --example {name}", path.display());
    }
    path
}

/// Has cargo build the programs once. The cargo that runs this test holds no lock any more.
fn build(program: &Path, others: &[PathBuf]) {
    let profile = program.ancestors().nth(2).expect("target/debug");
    let name = match profile.file_name() {
        Some(name) if name == "debug" => "test".as_ref(),
        name => name.expect("the name of a profile"),
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--quiet", "--profile"]).arg(name);
    cargo.arg("--target-dir").arg(profile.parent().expect("target"));
    for path in [program].into_iter().chain(others.iter().map(PathBuf::as_path)) {
        cargo.arg("--example").arg(path.file_name().expect("a name"));
    }
    if !cfg!(feature = "tls") {
        cargo.arg("--no-default-features");
    }
    let ended = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo");
    assert!(ended.success(), "{cargo:?}: {ended}");
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
