//! The command: start-up lines, mistakes, the log.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::rules::holds;
use crate::support::server::{listening, run};
use crate::support::{Client, Folder, Front, Server};

#[test]
fn the_start_up_lines_say_everything() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["-w", "2"]);
    let said = server.said();
    assert_eq!(said[0], format!("stheno {}", env!("CARGO_PKG_VERSION")));
    let root = folder.root().canonicalize().expect("a root");
    assert_eq!(said[1], format!("  root     {}", root.display()));
    assert_eq!(said[2], format!("  url      http://{}/", server.address()));
    let front = Front::of_this_crate();
    let pids: Vec<String> = server.workers.iter().map(ToString::to_string).collect();
    assert_eq!(said[3], format!("  workers  {} (pid {})", front.processes(2), pids.join(", ")));
    assert!(said[4].starts_with("  poller   ") && said[4].ends_with(front.accept("exclusive")));
    assert!(said[5].contains("Ctrl+C") && said[5].contains(&server.master().to_string()));
    assert!(!said.concat().contains('\x1b'), "plain when not a terminal");
    assert_eq!(server.workers, server.children());
}

/// A mistake on the command line: one line, exit 2. A failing start: one line with advice, exit 1.
#[test]
fn mistakes_are_one_line() {
    let folder = Folder::new();
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let name = format!("{}: ", Front::of_this_crate().name());
    let mistakes = [
        (&["--prot", "1"][..], 2, "--prot"),
        (&["--port", "65536"], 2, "--port"),
        (&["--port=x"], 2, "--port"),
        (&["-w", "-2"], 2, "-w"),
        (&["--log", "loud"], 2, "--log"),
        (&["--accept", "all"], 2, "--accept"),
        (&["stray"], 1, "stray"),
        (&["-r", root, "--listen", "unix:@name"], 2, "unix:./@NAME"),
        (&["-r", root, "--port", &port], 1, "--port 0"),
        (&["-r", root, "--port", &port], 1, "is taken; "),
        (&["-r", root, "--port", &port, "--accept", "reuseport", "-w", "2"], 1, "--port 0"),
        (&["-r", "/no/such/folder"], 1, "-r"),
        (&["-r", "/etc/hostname"], 1, "not a directory"),
        (&["-r", root, "--port", "0", "--logfile", "/no/such/folder/log"], 1, "--logfile"),
        (&["-r", root, "--port", "0", "--access-log", "/no/such/folder/log"], 1, "--access-log"),
        (&["-r", root, "--port", "0", "--host", "192.0.2.1"], 1, "--host"),
        (&["-r", root, "--port", "0", "--host", "no such host"], 1, "no such host"),
        (&["-r", root, "--port", "0", "--grace", "never"], 2, "--grace"),
        (&["-r", root, "--port", "0", "--worker-timeout", "-1"], 2, "--worker-timeout"),
        (&["-r", root, "--port", "0", "--pidfile", "/no/such/folder/pid"], 1, "pid file"),
    ];
    let mut slowest = Duration::ZERO;
    for (arguments, code, says) in mistakes {
        let started = Instant::now();
        let (got, out, error) = run(arguments);
        assert_eq!(got, code, "{arguments:?}: {error}");
        assert!(out.is_empty() && error.starts_with(&name), "{arguments:?}: {error}");
        assert_eq!(error.matches('\n').count(), 1, "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
        slowest = slowest.max(started.elapsed());
        assert!(slowest < Duration::from_secs(1), "{arguments:?}");
    }
    holds("D5", format!("{} mistakes: one line each, after {slowest:.1?} at most", mistakes.len()), "≤ 1 s");
}

#[test]
fn help_and_version() {
    let (code, out, error) = run(&["--help"]);
    assert!(code == 0 && error.is_empty());
    let options =
        ["--host", "--port", "--log", "--logfile", "-w", "-r", "--access-log", "--accept", "--version"];
    assert!(options.iter().all(|option| out.contains(option)), "{out}");
    let (code, out, _) = run(&["--version"]);
    assert_eq!((code, out), (0, format!("stheno {}\n", env!("CARGO_PKG_VERSION"))));
}

/// `--log` takes the same words in the server and its twin; `tests/wsgi/test_cli.py` has them for `stheno-wsgi`.
#[test]
fn the_words_of_the_log_level() {
    let python = include_str!("../wsgi/test_cli.py");
    let list = python.split("LEVELS = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a list");
    let words: Vec<&str> = list.split(' ').collect();
    assert!(words.len() > 9 && words.contains(&"off") && words.contains(&"notset"), "{words:?}");
    for word in &words {
        let (code, out, error) = run(&["--check", "--log", word, "-r", "."]);
        assert_eq!((code, out.as_str(), error.as_str()), (0, "configuration is fine\n", ""), "{word}");
    }
    let (code, _, error) = run(&["--check", "--log", "loud"]);
    assert!(code == 2 && words.iter().all(|word| error.contains(&word.to_lowercase())), "{error}");
}

/// The seed's format: `name: pid message`, and its line for a new connection.
#[test]
fn the_log_in_the_seeds_format() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["--log", "DEBUG"]);
    let client = server.connect();
    let port = client.stream.local_addr().expect("an address").port();
    let line = server.wait_for("Incoming connection");
    assert_eq!(line, format!("stheno: {} Incoming connection from ('127.0.0.1', {port})", server.workers[0]));
}

#[test]
fn the_log_goes_to_a_file_and_only_what_is_wanted() {
    let folder = Folder::new();
    let path = folder.beside("server.log");
    fs::write(&path, "what was there before\n").expect("a file");
    let name = path.to_str().expect("UTF-8");
    let mut server = Server::start(&folder.root(), &["--log", "Info", "--logfile", name]);
    server.connect().get("/ok", "");
    server.stop();
    let text = fs::read_to_string(&path).expect("the log");
    assert!(text.starts_with("what was there before\n"), "appended: {text}");
    let line = format!("stheno: {} Shutting down", server.master());
    assert!(
        text.lines().last().is_some_and(|last| last.starts_with(&line)) && !text.contains("Incoming"),
        "{text}"
    );
    assert!(!server.said().iter().any(|line| line.contains("Shutting")), "not on standard error");
}

#[test]
fn ipv6_and_names() {
    let folder = Folder::new();
    if TcpListener::bind("[::1]:0").is_err() {
        println!("this machine has no IPv6: only names are tested");
    } else {
        let server = Server::start(&folder.root(), &["--host", "::1"]);
        assert!(server.address().is_ipv6());
        assert_eq!(server.connect().get("/ok", "").status, 200);
        let all = Server::start(&folder.root(), &["--host", "::"]);
        let mut over_ipv4 = Client::connect(([127, 0, 0, 1], all.address().port()).into());
        assert_eq!(over_ipv4.get("/ok", "").status, 200, ":: serves IPv4 as well");
    }
    let server = Server::start(&folder.root(), &["--host", "localhost"]);
    assert!(!server.addresses.is_empty());
    for address in &server.addresses {
        assert_eq!(Client::connect(*address).get("/ok", "").status, 200);
    }
    let all = Server::start(&folder.root(), &["--host", "0.0.0.0"]);
    assert_eq!(all.connect().get("/ok", "").status, 200);
}

#[test]
fn values_may_be_joined_by_an_equals_sign() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["-w=2", "--host=127.0.0.1", "--accept=shared"]);
    assert_eq!(server.workers.len(), Front::of_this_crate().processes(2));
}

/// `-w 1` runs a master and a worker, too.
#[test]
fn one_worker_is_a_process_of_its_own() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &[]);
    assert_eq!(server.workers.len(), 1);
    assert_ne!(server.workers[0], server.master());
}

/// The server runs without standard output and standard error.
#[test]
fn a_server_without_standard_streams_serves() {
    let folder = Folder::new();
    let mut child = std::process::Command::new("sh")
        .arg("-c")
        .arg("exec \"$0\" -r \"$1\" --port 0 >&- 2>&- <&-")
        .arg(crate::support::server::stheno())
        .arg(folder.root())
        .spawn()
        .expect("a shell");
    let address = listening(child.id());
    assert_eq!(Client::connect(address).get("/ok", "").status, 200);
    crate::support::server::send(i32::try_from(child.id()).expect("a pid"), rustix::process::Signal::INT);
    assert!(child.wait().expect("wait").success());
}

/// When standard error is not read, lines are lost; responses are not, and the server can be stopped.
#[test]
fn a_blocked_standard_error_stops_nothing() {
    let folder = Folder::new();
    let (read, write) = std::io::pipe().expect("a pipe");
    let mut child = crate::support::server::command()
        .args(["--log", "debug", "--access-log", "off", "--port", "0", "-r"])
        .arg(folder.root())
        .stdout(std::process::Stdio::null())
        .stderr(write)
        .spawn()
        .expect("the server");
    let address = listening(child.id());
    for _ in 0..1500 {
        assert_eq!(Client::connect(address).get("/ok", "Connection: close\r\n").status, 200);
    }
    crate::support::server::send(i32::try_from(child.id()).expect("a pid"), rustix::process::Signal::INT);
    assert!(child.wait().expect("wait").success());
    drop(read);
}

/// Start-up lines and log lines are appended to the same file.
#[test]
fn standard_error_may_be_a_file() {
    let folder = Folder::new();
    let path = folder.beside("said");
    let mut child = crate::support::server::command()
        .args(["--log", "debug", "--access-log", "off", "--port", "0", "-r"])
        .arg(folder.root())
        .stdout(std::process::Stdio::null())
        .stderr(fs::File::create(&path).expect("a file"))
        .spawn()
        .expect("the server");
    let address = listening(child.id());
    assert_eq!(Client::connect(address).get("/ok", "").status, 200);
    crate::support::server::send(i32::try_from(child.id()).expect("a pid"), rustix::process::Signal::INT);
    assert!(child.wait().expect("wait").success());
    let said = fs::read_to_string(&path).expect("what was said");
    assert!(said.contains("stheno 0.") && said.contains("  stop ") && said.contains("Incoming"), "{said}");
    assert!(said.contains("Shutting down") && !said.contains('\0'), "{said}");
}

#[test]
fn a_fifo_without_reader_is_refused_as_log() {
    let folder = Folder::new();
    let fifo = folder.beside("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).expect("a FIFO");
    let (root, fifo) = (folder.root(), fifo.to_str().expect("UTF-8").to_string());
    for option in ["--logfile", "--access-log"] {
        let (code, _, error) = run(&["-r", root.to_str().expect("UTF-8"), "--port", "0", option, &fifo]);
        assert!(code == 1 && error.matches('\n').count() == 1 && error.contains(option), "{error}");
    }
}

#[test]
fn addresses_as_they_are_written_elsewhere() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["--host", "::ffff:127.0.0.1", "-w2"]);
    assert!(server.address().is_ipv4() && server.workers.len() == Front::of_this_crate().processes(2));
    if TcpListener::bind("[::1]:0").is_ok() {
        assert!(Server::start(&folder.root(), &["--host", "[::1]"]).address().is_ipv6());
    }
}
