//! The configuration file, and `--check`.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::rules::holds;
use crate::support::server::{command, run};
use crate::support::{Folder, Front, Server};

/// Writes a file beside the root.
fn file(folder: &Folder, text: impl AsRef<[u8]>) -> String {
    let path = folder.beside("stheno.toml");
    fs::write(&path, text).expect("a file");
    path.to_str().expect("UTF-8").into()
}

/// Serves with this file and these options only.
fn start(folder: &Folder, text: &str, options: &[&str]) -> Server {
    let config = file(folder, text);
    // The root is that of the file; `Server::start_with` would pass another one.
    Server::start_from_file(&config, options)
}

#[test]
fn a_file_says_what_flags_say() {
    let folder = Folder::new();
    folder.write("sub/x", "");
    fs::remove_file(folder.root().join("sub/index.html")).expect("no index");
    let text = "root = \"root\" # relative to the file\nport = 0\nworkers = 2\nlisting = true\n\
                max-age = 60\naccess-log = \"access.log\"\nlogfile = \"server.log\"\nlog = \"info\"\n\
                keepalive-timeout = 0.5\nmax-body-bytes = 1_000\nhost = '127.0.0.1'\n";
    let mut server = start(&folder, text, &[]);
    assert_eq!(server.workers.len(), Front::of_this_crate().processes(2));
    let mut client = server.connect();
    let page = client.get("/sub/", "");
    assert!(page.status == 200 && page.text().contains("../"), "a listing: {}", page.text());
    assert_eq!(client.get("/ok", "").field("Cache-Control"), Some("max-age=60"));
    let sent = Instant::now();
    assert!(client.read_raw_to_end().is_empty(), "half a second of nothing");
    assert!(sent.elapsed() < Duration::from_secs(5));
    let large = "GET /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n";
    assert_eq!(server.connect().ask(large).status, 413);
    server.stop();
    let lines = fs::read_to_string(folder.beside("access.log")).expect("the access log");
    assert_eq!(lines.lines().count(), 3, "{lines}");
    let said = fs::read_to_string(folder.beside("server.log")).expect("the log");
    assert!(said.contains("Shutting down"), "{said}");
}

#[test]
fn the_command_line_wins() {
    let folder = Folder::new();
    let text = "root = \"/no/such/folder\"\nport = 1\nworkers = 3\naccept = \"shared\"\nmax-age = 1\n\
                listing = false\n";
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    let server = start(&folder, text, &["-r", root, "--port=0", "-w2", "--max-age", "2"]);
    assert_eq!(server.workers.len(), Front::of_this_crate().processes(2));
    assert_eq!(server.connect().get("/ok", "").field("Cache-Control"), Some("max-age=2"));
    assert!(server.said()[4].ends_with("accept shared"), "and the file where it says nothing");
}

/// A mistake gets one line with the file, the line and the key, with and without `--check`.
#[test]
fn mistakes_are_one_line_with_their_place() {
    let folder = Folder::new();
    let cases: &[(&[u8], usize, &str)] = &[
        (b"port = 0\nprot = 1\n", 2, "unknown key \"prot\"; did you mean \"port\"?"),
        (b"max_connections = 1", 1, "unknown key \"max_connections\"; did you mean \"max-connections\"?"),
        (b"xyzzy = 1", 1, "unknown key \"xyzzy\"; --help lists all of them"),
        (b"\n\n[server]\nport = 1", 3, "[server]: there are no sections here"),
        (b"check = true", 1, "only the command line has it"),
        (b"config = \"x\"", 1, "only the command line has it"),
        (b"port = \"8080\"", 1, "port: expected a whole number, found a string"),
        (b"port = 80.5", 1, "port: expected a whole number, found a number with decimals"),
        (b"host = 1", 1, "host: expected a string, found a whole number"),
        (b"listing = \"yes\"", 1, "listing: expected true or false, found a string"),
        (b"workers = [1]", 1, "workers: expected a whole number, found a list"),
        (b"body-timeout = 2026-01-01", 1, "body-timeout: expected a number of seconds, found a date"),
        (b"port = 70000", 1, "port \"70000\": give a number from 0 to 65535"),
        (b"port = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", 1, "this number is too large"),
        (b"root = \"root\"\nlisten = \"unix:@x\"", 2, "listen \"unix:@x\": give HOST:PORT"),
        (b"# a\nlog = \"loud\"", 2, "log \"loud\": give one of debug"),
        (b"body-timeout = inf", 1, "body-timeout \"inf\": give seconds"),
        (b"port = 1\nport = 2", 2, "not valid TOML: duplicate key"),
        (b"port = 0\nhost = \"open", 2, "not valid TOML"),
        (b"port 0", 1, "not valid TOML"),
        (b"port = 0\n# \xff\n", 2, "not valid UTF-8"),
        (b"port = 0\nroot = \"gone\"", 2, "root: cannot serve"),
        (b"root = \"root\"\nlogfile = \"gone/log\"", 2, "logfile: cannot write the log file"),
        (b"root = \"root\"\naccess-log = \"gone/log\"", 2, "access-log: cannot write the access log"),
        (b"root = \"root\"\nhost = \"no such host\"\n", 2, "host: cannot find the host"),
        (b"root = \"root\"\nmax-connections = 1000000000", 2, "max-connections: --max-connections"),
    ];
    let name = Front::of_this_crate().name();
    for (text, line, says) in cases {
        let path = file(&folder, text);
        let says_text = String::from_utf8_lossy(text).into_owned();
        for words in [&["--config", &path][..], &["--check", "--config", &path]] {
            let started = Instant::now();
            let (code, out, error) = run(words);
            assert!(code != 0 && out.is_empty(), "{says_text}: {error}");
            assert_eq!(error.matches('\n').count(), 1, "{says_text}: {error}");
            assert!(error.starts_with(&format!("{name}: {path}:{line}: ")), "{says_text}: {error}");
            assert!(error.contains(says), "{says_text}: {error}");
            assert!(started.elapsed() < Duration::from_secs(1), "{says_text}");
        }
    }
    holds(
        "D5",
        format_args!("{} mistakes in a file: each one line with its place, at once", cases.len()),
        "exit ≠ 0 in ≤ 1 s",
    );
}

/// A mistake that only the start finds gets its place in the file, too.
#[test]
fn a_port_that_is_taken_has_its_line() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let name = Front::of_this_crate().name();
    for (text, says) in [
        (format!("root = \"root\"\nhost = \"127.0.0.1\"\nport = {port}\n"), ":3: port: cannot listen on"),
        (format!("root = \"root\"\nlisten = [\n  \"127.0.0.1:{port}\"\n]\n"), ":2: listen: cannot listen on"),
        ("root = \"root\"\nport = 0\nhost = \"192.0.2.1\"\n".into(), ":3: host: cannot listen on"),
    ] {
        let path = file(&folder, &text);
        let (code, out, error) = run(&["--config", &path]);
        assert!(code == 1 && out.is_empty() && error.matches('\n').count() == 1, "{error}");
        assert!(error.starts_with(&format!("{name}: {path}{says}")), "{error}");
    }
}

#[test]
fn config_paths_that_are_no_files() {
    let folder = Folder::new();
    let fifo = folder.beside("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).expect("a FIFO");
    let huge = folder.beside("huge");
    fs::File::create(&huge).expect("a file").set_len(1 << 30).expect("a size");
    for (path, says) in [
        (fifo, "not a regular file"),
        (huge, "larger than 1 MiB"),
        (folder.root(), "not a regular file"),
        (PathBuf::from("/no/such/file"), "No such file"),
        (PathBuf::from("/dev/zero"), "not a regular file"),
    ] {
        let path = path.to_str().expect("UTF-8");
        let (code, _, error) = run(&["--config", path]);
        assert!(code == 1 && error.contains(says) && error.contains(path), "{error}");
        assert!(error.contains("--config") && error.matches('\n').count() == 1, "{error}");
    }
}

/// It reports that the file is fine and changes nothing, also beside a server that runs with the same file.
#[test]
fn a_check_changes_nothing() {
    let folder = Folder::new();
    let text = "root = \"root\"\nport = 0\nlogfile = \"new.log\"\n";
    let path = file(&folder, text);
    let (code, out, error) = run(&["--check", "--config", &path]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, "configuration is fine\n", ""));
    assert!(!folder.beside("new.log").exists(), "no log has been made");
    let server = Server::start_from_file(&path, &[]);
    let port = server.address().port().to_string();
    let (code, out, error) = run(&["--check", "--config", &path, "--port", &port]);
    assert_eq!((code, out.as_str()), (0, "configuration is fine\n"), "{error}");
    assert_eq!(server.connect().get("/ok", "").status, 200);
    // Also without a file.
    let output = command().arg("--check").current_dir(folder.root()).output().expect("the command");
    assert!(output.status.success());
}
