//! Checks of every rung: its header, its command line, and its row on the map.

use std::fs;
use std::path::Path;

use crate::rung::{Rung, run};
use crate::{echo, web};

const STEPS: [&str; 3] = ["async_server_step1", "async_server_step2", "async_server_step3"];

pub fn servers() -> impl Iterator<Item = &'static str> {
    echo::RUNGS.iter().copied().chain(web::rungs()).chain(["web_cpubound"]).chain(STEPS)
}

/// The programs in Python that have the command line of their twins.
fn twins() -> impl Iterator<Item = String> {
    let steps = STEPS.into_iter().map(|name| format!("python/{name}"));
    echo::python::RUNGS.iter().map(ToString::to_string).chain(steps)
}

/// Their names as they print them.
fn printed(name: &str) -> &str {
    name.trim_start_matches("python/")
}

/// Rungs without a client script of their own here.
pub const OTHERS: [&str; 2] = ["toomanythreads", "tokio_httpd"];

fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.rs"));
    fs::read_to_string(path).expect("a rung")
}

/// The source of the folder with the rung's name, if there is one.
fn modules(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    entries.map(|path| fs::read_to_string(path).expect("a module")).collect()
}

#[test]
fn each_begins_with_four_lines() {
    for name in servers().chain(OTHERS) {
        let source = source(name);
        for (line, begin) in source.lines().zip(["New here", "Try it", "What it costs", "Break it"]) {
            assert!(line.starts_with(&format!("//! - {begin}: ")), "{name}: {line}");
        }
        assert!(source.contains(&format!("cargo run --example {name}")), "{name}");
    }
}

/// `examples/README.md` has a row for each rung, with its number of lines of code.
#[test]
fn the_map_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/README.md");
    let map = fs::read_to_string(path).expect("the map");
    for name in servers().chain(OTHERS) {
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        let source = source(name) + &modules(name);
        let lines = source.lines().filter(is_code).count();
        let row = format!("| [`{name}`]({name}.rs) | {lines} |");
        assert!(map.contains(&row), "no row begins with {row}");
    }
}

#[test]
fn a_bad_word_is_one_clear_line() {
    for name in servers().chain(OTHERS).map(String::from).chain(twins()) {
        let (code, out, err) = run(&name, &["--prot", "1"]);
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{name}: {err}");
        assert!(err.starts_with(&format!("{}: ", printed(&name))) && err.contains("--prot"), "{err}");
        let (code, out, _) = run(&name, &["--help"]);
        assert!(code == 0 && out.to_lowercase().contains("usage: "), "{name}: {out}");
    }
    for (name, option) in [
        ("tcp_singlethread", "--timeout"),
        ("tcp_threadpool", "--threads"),
        ("web_threadpool", "--threads"),
        ("tcp_multiprocess", "--processes"),
        ("web_multiprocess", "--processes"),
        ("tcp_multiprocess_threads", "--threads"),
        ("tokio_httpd", "--runtime"),
        ("python/tcp_singlethread", "--timeout"),
        ("python/tcp_threadpool", "--threads"),
    ] {
        let (code, _, err) = run(name, &[option, "0"]);
        assert_eq!((code, err.lines().count()), (2, 1), "{name}: {err}");
        assert!(err.contains(option), "{name}: {err}");
    }
}

#[test]
fn a_port_that_is_taken_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for name in servers().chain(["tokio_httpd"]).map(String::from).chain(twins()) {
        let (code, out, err) = run(&name, &["--host", "127.0.0.1", "--port", &port]);
        assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{name}: {err}");
        assert!(err.starts_with(&format!("{}: ", printed(&name))) && err.contains("--port"), "{err}");
    }
    for (name, option, value, says) in [
        ("tcp_select", "--host", "no such host.invalid", "--host"),
        ("python/tcp_select", "--host", "no such host.invalid", "--host"),
        ("async_server_step3", "-r", "/no such folder", "/no such folder"),
        ("python/async_server_step3", "-r", "/no such folder", "/no such folder"),
    ] {
        let (code, _, err) = run(name, &[option, value]);
        assert!(code == 1 && err.contains(says) && err.lines().count() == 1, "{name}: {err}");
    }
}

/// The default ports are the lab's.
#[test]
fn the_ports_are_the_labs() {
    for name in servers().map(String::from).chain(twins()) {
        let port = if STEPS.contains(&printed(&name)) { "9000" } else { "9090" };
        let help = run(&name, &["--help"]).1;
        let host = if port == "9000" { "default 127.0.0.1" } else { "default localhost" };
        let words: Vec<&str> = help.split_whitespace().collect();
        let help = words.join(" ");
        assert!(help.contains(&format!("(default {port})")) && help.contains(host), "{name}: {help}");
    }
}

/// The first line shows the host as it was given, and the real port.
#[test]
fn the_first_line_says_where() {
    let rung = Rung::start("tcp_reactor", &["--host", "127.0.0.1"]);
    let line = rung.wait_for_out("Starting");
    assert_eq!(line, format!("Starting TCP Echo Server at 127.0.0.1:{}", rung.address.port()));
    assert!(rung.stop().status.success());
}
