//! The server at a shell: a folder as a word, listings for this machine, the lines of the start and the end, `--qr` and
//! `--open`.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::Signal;
use stheno::sys::interfaces;

use crate::support::process::is_installed;
use crate::support::rules::not_run;
use crate::support::server::{command, eventually, run, send};
use crate::support::{Client, Folder, Front, Server};

/// A folder with `/empty/`, which has no index.
fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.root().join("empty")).expect("a folder");
    folder
}

fn started(arguments: &[&str]) -> Server {
    let mut command = command();
    command.args(["-p", "0", "--access-log", "off"]).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    Server::run(command)
}

/// The status of the folder without an index.
fn empty(server: &Server) -> u16 {
    server.connect().get("/empty/", "").status
}

#[test]
fn a_word_alone_is_the_folder() {
    let folder = folder();
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    for arguments in [&[root][..], &["-w", "2", "--", root], &[root, "--log", "debug"]] {
        assert_eq!(started(arguments).connect().get("/ok", "").status, 200, "{arguments:?}");
    }
    let (file, port) = (format!("{root}/ok"), "59999");
    for (arguments, code, says) in [
        (&[root, "-r", root][..], 2, "both name the folder"),
        (&[root, root], 2, "one folder is served"),
        (&["no-such-folder"], 1, "as in stheno FOLDER"),
        (&[&file], 1, "it is not a directory"),
        (&[port], 1, "a port is given with -p 59999"),
        (&["-port", "80"], 2, "did you mean --port?"),
        (&["--directory", root], 2, "stheno FOLDER"),
        (&["--bind", "::"], 2, "did you mean --host?"),
    ] {
        let (got, _, error) = run(arguments);
        assert_eq!((got, error.matches('\n').count()), (code, 1), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

/// Who can connect decides whether folders are listed, unless an option does.
#[test]
fn folders_are_listed_for_this_machine_only() {
    let folder = folder();
    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    let socket = format!("unix:{}", folder.beside("socket").display());
    for (arguments, status) in [
        (&[root][..], 200),
        (&[root, "--host", "localhost"], 200),
        (&[root, "--no-listing"], 404),
        (&[root, "--host", "0.0.0.0"], 404),
        (&[root, "--host", "0.0.0.0", "--listing"], 200),
        (&[root, "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0"], 404),
        (&[root, "--listen", &socket], 404),
    ] {
        assert_eq!(empty(&started(arguments)), status, "{arguments:?}");
    }
    let (code, _, error) = run(&[root, "--listing", "--no-listing"]);
    assert_eq!((code, error.matches('\n').count()), (2, 1), "{error}");
    assert!(error.contains("--no-listing: leave it or --listing out"), "{error}");
}

/// The log names the option, once.
#[test]
fn the_log_says_why_a_folder_is_not_listed() {
    let folder = folder();
    let server = Server::start(&folder.root(), &["--no-listing"]);
    for _ in 0..3 {
        assert_eq!(server.connect().get("/none/", "").status, 404);
        assert_eq!(empty(&server), 404);
    }
    let line = server.wait_for("without --listing");
    assert!(line.ends_with("/empty has no index.html, and is 404 without --listing"), "{line}");
    server.connect().get("/ok", "");
    let most = if Front::of_this_crate() == Front::Threads { 2 } else { 1 };
    assert!(server.count_said("without --listing") <= most, "{:?}", server.said());
}

/// The file decides as the command line does, also when it changes; the command line wins.
#[test]
fn a_reload_changes_what_is_listed() {
    let folder = folder();
    let path = folder.beside("stheno.toml");
    let write = |more: &str| {
        let text = format!("root = \"root\"\nport = 0\naccess-log = \"off\"\n{more}");
        fs::write(&path, text).expect("a file");
    };
    write("");
    let name = path.to_str().expect("UTF-8");
    let server = Server::start_from_file(name, &[]);
    assert_eq!(empty(&server), 200);
    for (more, status) in [
        ("listing = false\n", 404),
        ("no-listing = false\n", 200),
        ("no-listing = true\n", 404),
        ("listing = true\n", 200),
        ("listen = \"unix:socket\"\n", 404),
    ] {
        write(more);
        server.signal(Signal::HUP);
        // A worker of the last configuration accepts until it drains. Each line changes the status.
        eventually(more, || empty(&server) == status);
    }
    write("listing = false\n");
    assert_eq!(empty(&Server::start_from_file(name, &["--listing"])), 200);
    write("listing = true\n");
    assert_eq!(empty(&Server::start_from_file(name, &["--no-listing"])), 404);
    write("listing = true\nno-listing = true\n");
    let (code, _, error) = run(&["--config", name]);
    assert!(code == 2 && error.contains(":5: no-listing: leave it or --listing out"), "{error}");
}

/// The places are a service manager's: what it has opened is not in the configuration.
#[test]
fn sockets_of_a_service_manager_are_not_for_this_machine_only() {
    let folder = folder();
    for (options, status) in [(&[][..], 404), (&["--listing"], 200)] {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\""]);
        shell.arg(command().get_program()).args(command().get_args());
        shell.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket))).env_remove("RUST_LOG");
        let server = Server::start_command(shell, &folder.root(), options, |_| {});
        assert_eq!(empty(&server), status, "{options:?}");
        server.signal(Signal::HUP);
        server.wait_for("has been read again");
        assert_eq!(empty(&server), status, "{options:?} after a reload");
    }
}

/// Each URL works, and those that other machines can use are marked.
#[test]
fn every_url_is_shown_and_works() {
    let folder = folder();
    let here = interfaces::addresses().expect("addresses");
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    for host in ["0.0.0.0", "::"] {
        if host == "::" && !has_ipv6 {
            continue;
        }
        let server = Server::start(&folder.root(), &["--host", host]);
        assert_eq!(server.address().ip(), IpAddr::from([127, 0, 0, 1]), "{:?}", server.addresses);
        for address in &server.addresses {
            assert!(here.iter().any(|one| one.address == address.ip()), "{address} is not in {here:?}");
            assert_eq!(Client::connect(*address).get("/ok", "").status, 200, "{address}");
        }
        let said = server.said();
        for line in said.iter().filter(|line| line.starts_with("  url ")) {
            let is_local = line.contains("http://127.0.0.1:") || line.contains("http://[::1]:");
            assert_eq!(line.contains("(from other machines, through "), !is_local, "{line}");
            assert!(!line.contains("http://169.254.") && !line.contains("[fe80"), "{line}");
        }
        // What the kernel would send from is in the first line after this machine's own.
        if let Some(address) = interfaces::of_default_route(false).filter(|ip| !ip.is_loopback()) {
            let others: Vec<&SocketAddr> =
                server.addresses.iter().filter(|one| !one.ip().is_loopback()).collect();
            assert_eq!(others.first().map(|one| one.ip()), Some(address), "{said:?}");
        }
    }
}

#[test]
fn a_taken_port_has_a_next_one() {
    let folder = folder();
    let root = folder.root();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let (code, _, error) = run(&[root.to_str().expect("UTF-8"), "-p", &port.to_string()]);
    assert!(code == 1 && error.contains(&format!("port {port} is taken; ")), "{error}");
    // Other tests take ports, too: all twenty may be taken.
    if let Some(free) = error.split(" is free: give -p ").nth(1) {
        let free: u16 = free.split(',').next().expect("a number").parse().expect("a number");
        assert!(free > port && free <= port.saturating_add(20), "{error}");
    } else {
        assert!(error.contains("choose another with -p"), "{error}");
    }
}

/// A server on a terminal of script(1), whose keyboard is a pipe.
struct AtTerminal {
    script: Child,
    screen: Receiver<String>,
    shown: String,
}

impl AtTerminal {
    /// Starts it; `None` without script(1).
    fn start(folder: &Folder, options: &str) -> Option<Self> {
        if !is_installed("script") {
            not_run("shell", "without script(1) there is no terminal");
            return None;
        }
        let server = command();
        let words = [server.get_program()].into_iter().chain(server.get_args());
        let words: Vec<&str> = words.map(|word| word.to_str().expect("UTF-8")).collect();
        let root = folder.root();
        let line = format!("exec {} {} -p 0 {options}", words.join(" "), root.display());
        let mut script = Command::new("script");
        script.args(["-qfec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = script.env("TERM", "xterm").env_remove("RUST_LOG").spawn().expect("a terminal");
        let mut stdout = script.stdout.take().expect("the screen");
        let (tell, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            let mut bytes = Vec::new();
            while let Ok(read @ 1..) = stdout.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..read]);
                // The end may be the first part of a letter.
                let whole = bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
                let rest = bytes.split_off(whole);
                let text = String::from_utf8(std::mem::replace(&mut bytes, rest)).expect("text");
                if tell.send(text).is_err() {
                    break;
                }
            }
        });
        let mut it = Self { script, screen, shown: String::new() };
        it.wait_for("to finish responses first");
        Some(it)
    }

    fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |shown| shown.contains(text));
    }

    fn wait_until(&mut self, what: &str, is_there: impl Fn(&str) -> bool) {
        while !is_there(&self.shown) {
            let more = self.screen.recv_timeout(Duration::from_secs(20));
            self.shown += &more.unwrap_or_else(|_| panic!("never {what:?}: {}", self.shown));
        }
    }

    fn address(&self) -> SocketAddr {
        let (_, url) = self.shown.split_once("http://").expect("a URL");
        url.split('/').next().expect("an address").parse().expect("an address")
    }

    /// The process ids of the line of the workers.
    fn workers(&self) -> Vec<i32> {
        let (_, pids) = self.shown.split_once("(pid ").expect("pids");
        let pids = pids.split(')').next().expect("pids").split(", ");
        pids.map(|pid| pid.parse().expect("a pid")).collect()
    }

    /// Types Ctrl+C, and returns all that was shown.
    fn interrupt(mut self) -> String {
        let keyboard = self.script.stdin.as_mut().expect("a keyboard");
        keyboard.write_all(b"\x03").expect("a key");
        while let Ok(more) = self.screen.recv_timeout(Duration::from_secs(20)) {
            self.shown += &more;
        }
        let mut status = None;
        eventually("it ends", || {
            status = self.script.try_wait().expect("wait");
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", self.shown);
        std::mem::take(&mut self.shown)
    }
}

impl Drop for AtTerminal {
    /// The server ends with its terminal.
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// The counters are those of all workers, also of one that was killed.
#[test]
fn ctrl_c_prints_what_was_served() {
    if Front::lacks("ctrl_c_prints_what_was_served") {
        return;
    }
    let folder = folder();
    for options in ["-w 2 --access-log off", "-w 2", "-w 2 --status 127.0.0.1:0"] {
        let Some(mut terminal) = AtTerminal::start(&folder, options) else {
            return;
        };
        let address = terminal.address();
        for _ in 0..5 {
            assert_eq!(Client::connect(address).get("/ok", "").status, 200);
        }
        assert_eq!(Client::connect(address).get("/none", "").status, 404);
        // A worker counts a response after it has left, and before it waits again.
        let victim = terminal.workers()[0];
        let stat = || fs::read_to_string(format!("/proc/{victim}/stat")).expect("a process");
        eventually("it waits", || stat().contains(") S "));
        send(victim, Signal::KILL);
        terminal.wait_for("has died");
        let mut client = Client::connect(address);
        for _ in 0..4 {
            assert_eq!(client.get("/big", "").body.len(), 100_000);
        }
        let shown = terminal.interrupt();
        let line =
            shown.lines().find(|line| line.starts_with("  served ")).unwrap_or_else(|| panic!("{shown}"));
        assert!(line.starts_with("  served   10 requests and 391 KiB in "), "{line}");
        assert!(line.trim_end().ends_with(" s: 1 client error (4xx)"), "{line}");
    }
    // A service manager has no use for it.
    let mut server = Server::start(&folder.root(), &[]);
    server.connect().get("/ok", "");
    server.stop();
    assert_eq!(server.count_said("served  "), 0, "{:?}", server.said());
}

/// The colours of a code: black on white.
const PAPER: &str = "\x1b[38;5;16;48;5;231m";

/// The modules of the code that is shown, two rows in each line.
fn modules(shown: &str) -> Vec<Vec<bool>> {
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains(PAPER)).collect();
    let row = |line: &str, dark: [char; 2]| {
        let letters = line.split(['m', '\x1b']).max_by_key(|part| part.chars().count()).expect("letters");
        letters.chars().map(|letter| dark.contains(&letter)).collect::<Vec<bool>>()
    };
    lines.iter().flat_map(|line| [row(line, ['▀', '█']), row(line, ['▄', '█'])]).collect()
}

#[test]
fn a_qr_code_on_a_terminal() {
    let folder = folder();
    for host in ["127.0.0.1", "0.0.0.0"] {
        let Some(mut terminal) = AtTerminal::start(&folder, &format!("--qr --host {host}")) else {
            return;
        };
        // A terminal throws away at Ctrl+C what it has not shown yet.
        terminal.wait_until("a whole code", |shown| {
            let lines: Vec<&str> = shown.lines().filter(|line| line.contains(PAPER)).collect();
            let is_blank = |line: &&str| !line.contains(['▀', '▄', '█']);
            lines.len() > 4 && lines.iter().rev().take(2).all(is_blank) && shown.ends_with('\n')
        });
        let shown = terminal.interrupt();
        let (_, url) = shown.split_once("  qr       ").expect("its line");
        let url = url.split_whitespace().next().expect("a URL");
        let is_alone = url.starts_with("http://127.0.0.1:");
        assert_eq!(shown.contains("(this machine alone"), is_alone, "{shown}");
        assert!(host == "0.0.0.0" || is_alone, "{shown}");
        let wanted = qrcodegen::QrCode::encode_text(url, qrcodegen::QrCodeEcc::Low).expect("a code");
        let rows = modules(&shown);
        let side = usize::try_from(wanted.size()).expect("a size") + 8;
        assert!(rows.len() == side + 1 && rows.iter().all(|row| row.len() == side), "{shown}");
        for (y, row) in (-4..).zip(&rows) {
            assert!((-4..).zip(row).all(|(x, dark)| *dark == wanted.get_module(x, y)), "{y}: {shown}");
        }
    }
    // In a log it would be noise.
    let server = Server::start(&folder.root(), &["--qr"]);
    server.wait_for("  qr       no code: standard error is not a terminal");
}

#[test]
fn open_runs_a_browser() {
    let folder = folder();
    let (script, opened) = (folder.beside("browser"), folder.beside("opened"));
    let text = format!("echo \"$@\" > {0}.new && mv {0}.new {0}\nexit $CODE\n", opened.display());
    fs::write(&script, text).expect("a script");
    let with = |browser: &str, code: &str| {
        Server::start_with(&folder.root(), &["--open", "-w", "2"], |command| {
            command.env("BROWSER", browser).env("CODE", code);
        })
    };
    let browser = format!("/no/such/browser:sh {} --new %s", script.display());
    let server = with(&browser, "0");
    eventually("a browser", || opened.exists());
    let arguments = fs::read_to_string(&opened).expect("what was opened");
    assert_eq!(arguments, format!("--new http://{}/\n", server.address()));
    eventually("no zombie", || server.children() == server.workers);
    assert!(!server.said().iter().any(|line| line.contains("--open") || line.contains("no worker")));
    drop(server);
    let server = with(&browser, "3");
    server.wait_for("--open: sh has opened nothing (exit code 3)");
    let server = with("/no/such/browser", "0");
    server.wait_for("--open: cannot run /no/such/browser: ");
    assert_eq!(server.connect().get("/ok", "").status, 200, "the server does not need it");
    assert_eq!(server.children(), server.workers);
}
