//! The house has floors: a module imports from below, never from above (docs/DESIGN.md, "Layers").
//!
//! The test reads the sources. It is a list of what each part may name, so that a new edge is a decision
//! that someone writes down here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Part of the crate → what it may name with `crate::`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("slab", &[]),
    ("timers", &["clock", "slab"]),
    ("clock", &[]),
    ("heartbeat", &["sys"]),
    ("chat", &[]),
    ("http1", &["chat", "clock"]),
    ("reactor", &["chat", "clock", "slab", "sys", "timers"]),
    ("files", &["chat", "clock", "http1", "sys"]),
    ("server", &["chat", "clock", "heartbeat", "http1", "reactor", "slab", "sys"]),
    ("master", &["heartbeat", "sys"]),
    ("cli", &[]),
    ("config", &["cli", "files", "http1", "reactor", "server", "sys"]),
    ("wsgi", &["chat", "clock", "config", "files", "http1", "master", "reactor", "server", "slab", "sys"]),
    ("lib", &[]),
    ("main", &[]),
    ("fuzzing", &["chat", "clock", "files", "http1"]),
];

/// Part → names of libraries that must not stand in it.
const MUST_NOT_NAME: &[(&str, &[&str])] = &[
    ("chat", &["mio::", "std::net", "rustix", "Instant::now", "SystemTime::now"]),
    (
        "http1",
        &["mio::", "std::net::{", "std::net::Tcp", "rustix", "Instant::now", "SystemTime::now", "std::fs"],
    ),
    ("files", &["mio::", "std::net"]),
    ("master", &["mio::", "http"]),
    ("reactor", &["http"]),
];

/// Source files and the part of the crate they belong to.
fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                let relative = path.strip_prefix(&root).expect("beneath src");
                let part = relative.components().next().expect("a name").as_os_str();
                let part = Path::new(part).with_extension("").to_string_lossy().into_owned();
                files.push((part, path));
            }
        }
    }
    files
}

/// Code without comments, and without what stands behind `#[cfg(test)]` at the end of the file.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source");
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The parts that `crate::name` and `crate::{a, b}` name.
fn imports(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for after in code.split("crate::").skip(1) {
        let list = after.strip_prefix('{').map_or(after, |list| list.split('}').next().unwrap_or_default());
        let count = if after.starts_with('{') { usize::MAX } else { 1 };
        for item in list.split(',').take(count) {
            let name: String = item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            names.push(name);
        }
    }
    names
}

#[test]
fn every_arrow_points_down() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut arrows = 0;
    for (part, path) in sources() {
        let Some(may) = allowed.get(part.as_str()) else {
            panic!("{} belongs to no part: give it a floor in MAY_IMPORT", path.display());
        };
        for name in imports(&code(&path)) {
            arrows += 1;
            assert!(name == part || may.contains(&name.as_str()), "{} imports {name}", path.display());
        }
    }
    assert!(arrows > 50, "{arrows} arrows were found: the reader is broken");
}

#[test]
fn the_floors_have_no_circle() {
    // Each part may import only what stands before it in a list: then no circle can be.
    let order = [
        "sys",
        "slab",
        "clock",
        "timers",
        "heartbeat",
        "chat",
        "http1",
        "reactor",
        "files",
        "server",
        "master",
        "cli",
        "config",
        "wsgi",
        "lib",
        "main",
        "fuzzing",
    ];
    let floor = |part: &str| order.iter().position(|this| *this == part).expect("in the order");
    for (part, may) in MAY_IMPORT {
        assert!(may.iter().all(|below| floor(below) < floor(part)), "{part}");
    }
}

#[test]
fn the_protocol_knows_no_socket_and_no_clock() {
    for (part, path) in sources() {
        let code = code(&path);
        for (this, forbidden) in MUST_NOT_NAME {
            for name in forbidden.iter().filter(|_| *this == part) {
                assert!(!code.contains(name), "{} names {name}", path.display());
            }
        }
    }
}

#[test]
fn unsafe_stays_on_its_island() {
    let mut blocks = 0;
    for (part, path) in sources() {
        let text = fs::read_to_string(&path).expect("a source");
        if part != "sys" {
            assert!(!text.contains("unsafe {") && !text.contains("unsafe fn"), "{}", path.display());
            assert!(!text.contains("allow(unsafe_code)"), "{}", path.display());
        }
        blocks += text.matches("unsafe {").count();
        // RULES B17: a mapped file that is cut kills the process. Memory without a file may be.
        assert!(!code(&path).replace("mmap_anonymous", "").contains("mmap"), "{}", path.display());
    }
    // Landlock, seccomp and shared memory have no safe binding: each block more is a decision that is made here.
    assert!((1..=30).contains(&blocks), "{blocks} unsafe blocks");
}

/// Nor do the programs of the course need any: what they ask of the system is safe outside of `sys`.
#[test]
fn the_examples_need_nothing_unsafe() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut read = 0;
    for folder in [root.clone(), root.join("shared"), root.join("tokio_httpd")] {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                read += 1;
                assert!(!code(&path).contains("unsafe"), "{}", path.display());
            }
        }
    }
    assert!(read > 25, "{read} examples were read");
}

/// What is shipped stands on no runtime and on no interpreter; tests and benchmarks may.
#[test]
fn no_runtime_is_shipped() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree");
    let tree = String::from_utf8(tree.stdout).expect("UTF-8");
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"mio") && names.contains(&"stheno"), "this is no tree: {tree}");
    for runtime in ["tokio", "hyper", "async-std", "smol", "futures", "futures-util", "pyo3"] {
        assert!(!names.contains(&runtime), "{runtime} is in what is shipped");
    }
}
