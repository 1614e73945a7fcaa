//! Listeners: several at once, and Unix sockets.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::support::rules::{holds, not_run};
use crate::support::server::{command, eventually, run, send};
use crate::support::{Client, Folder, Server};

/// The value of `--listen` for a file beside the root.
fn unix(folder: &Folder, name: &str) -> String {
    format!("unix:{}", folder.beside(name).display())
}

fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

/// Starts with these options only, without a port.
fn start(folder: &Folder, options: &[&str]) -> Server {
    let config = folder.beside("stheno.toml");
    fs::write(&config, "root = \"root\"\naccess-log = \"off\"\n").expect("a file");
    Server::start_from_file(config.to_str().expect("UTF-8"), options)
}

#[test]
fn several_listeners() {
    let folder = Folder::new();
    let socket = unix(&folder, "s.sock");
    for accept in ["exclusive", "shared", "reuseport"] {
        let mut server = start(
            &folder,
            &[
                "--listen",
                "127.0.0.1:0",
                "--listen",
                &socket,
                "--listen=localhost:0",
                "-w",
                "2",
                "--accept",
                accept,
            ],
        );
        assert!(server.addresses.len() >= 2 && server.files == [folder.beside("s.sock")]);
        assert!(server.said().contains(&format!("  url      {socket}")), "{:?}", server.said());
        for address in server.addresses.clone() {
            assert_eq!(Client::connect(address).get("/ok", "").text(), "hello\n", "{accept} {address}");
        }
        for _ in 0..20 {
            let mut client = server.connect_unix();
            assert_eq!(client.get("/ok", "").text(), "hello\n", "{accept}");
            assert_eq!(client.get("/big", "").body.len(), 100_000, "{accept}");
        }
        server.stop();
        assert!(!folder.beside("s.sock").exists(), "its file goes with it");
    }
}

#[test]
fn host_and_port_add_to_listen_only_if_given() {
    let folder = Folder::new();
    let socket = unix(&folder, "s.sock");
    let server = start(&folder, &["--listen", &socket]);
    assert!(server.addresses.is_empty(), "no port at all: {:?}", server.said());
    assert_eq!(server.connect_unix().get("/ok", "").status, 200);
    drop(server);
    let server = start(&folder, &["--listen", &socket, "--port", "0"]);
    assert_eq!((server.addresses.len(), server.files.len()), (1, 1));
    assert_eq!(server.connect().get("/ok", "").status, 200);
}

#[test]
fn every_address_of_the_machine() {
    let folder = Folder::new();
    let places: &[&str] = if has_ipv6() { &[":0", "[::]:0"] } else { &[":0"] };
    for place in places {
        let server = start(&folder, &["--listen", place]);
        let port = server.address().port();
        assert_eq!(Client::connect(([127, 0, 0, 1], port).into()).get("/ok", "").status, 200, "{place}");
        if has_ipv6() {
            let v6 = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
            assert_eq!(Client::connect(v6).get("/ok", "").status, 200, "{place}");
        }
    }
    if has_ipv6() {
        let server = start(&folder, &["--listen", "[::1]:0"]);
        assert!(server.address().ip().is_loopback() && server.address().is_ipv6());
        assert_eq!(server.connect().get("/ok", "").status, 200);
    }
}

/// RULES C9: an IPv4 client has one address, and one count, through an IPv6 socket as well.
#[test]
fn a_client_has_one_address_through_both_families() {
    if !has_ipv6() {
        return not_run("C9", "there is no IPv6 here");
    }
    let folder = Folder::new();
    let log = folder.beside("access.log");
    let log_option = ["--access-log", log.to_str().expect("UTF-8"), "--log", "debug"];
    let places = ["--listen", "[::]:0", "--listen", "127.0.0.1:0", "--max-connections-per-ip", "2"];
    let server = start(&folder, &[&places[..], &log_option].concat());
    let mut v4: Vec<std::net::SocketAddr> =
        server.addresses.iter().map(|address| ([127, 0, 0, 1], address.port()).into()).collect();
    // Those of the first place have its port.
    v4.dedup();
    let mut clients: Vec<Client> = v4.iter().map(|address| Client::connect(*address)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/ok", "").status, 200);
    }
    assert!(Client::connect(v4[0]).read_raw_to_end().is_empty(), "the third one of this address");
    let v6 = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v4[0].port()));
    assert_eq!(Client::connect(v6).get("/ok", "").status, 200, "another address");
    let lines = || fs::read_to_string(&log).unwrap_or_default();
    eventually("the lines are written", || lines().lines().count() == 3);
    assert_eq!(lines().lines().filter(|line| line.starts_with("127.0.0.1 - ")).count(), 2, "{}", lines());
    assert_eq!(server.count_said("::ffff:"), 0, "{:?}", server.said());
    holds("C9", "through [::] and 127.0.0.1: one address in both logs, and one count", "one address");
}

#[test]
fn listeners_in_a_file() {
    let folder = Folder::new();
    let config = folder.beside("stheno.toml");
    let text = "root = \"root\"\naccess-log = \"off\"\nlisten = [\"127.0.0.1:0\", \"unix:s.sock\"]\nunix-mode = 0o600\n";
    fs::write(&config, text).expect("a file");
    let config = config.to_str().expect("UTF-8");
    let server = Server::start_from_file(config, &[]);
    assert_eq!(server.files, [folder.beside("s.sock")], "beneath the folder of the file");
    assert_eq!(mode(&server.files[0]), 0o600);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    assert_eq!(server.connect_unix().get("/ok", "").status, 200);
    drop(server);
    // `--port` on the command line replaces the listeners of the file.
    let server = Server::start_from_file(config, &["--port", "0"]);
    assert_eq!((server.addresses.len(), server.files.len()), (1, 0));
    drop(server);
    fs::write(folder.beside("stheno.toml"), "root = \"root\"\n\nlisten = [\":0\", \"unix:\"]\n")
        .expect("a file");
    let (code, _, error) = run(&["--config", config]);
    assert!(code == 2 && error.contains(":3: listen \"unix:\": give HOST:PORT"), "{error}");
    fs::write(folder.beside("stheno.toml"), "root = \"root\"\nunix-mode = 660\n").expect("a file");
    let (code, _, error) = run(&["--config", config]);
    assert!(code == 2 && error.contains(":2: unix-mode: expected a string of octal digits"), "{error}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}

#[test]
fn rights_of_the_file() {
    let folder = Folder::new();
    let socket = unix(&folder, "s.sock");
    for (options, want) in
        [(&[][..], 0o666), (&["--unix-mode", "0660"][..], 0o660), (&["--unix-mode=600"], 0o600)]
    {
        let options = [&["--listen", &socket][..], options].concat();
        let server = start(&folder, &options);
        assert_eq!(mode(&server.files[0]), want);
    }
}

/// A killed server leaves its socket file, which the next one replaces; other files are not touched.
#[test]
fn stale_sockets_are_replaced_and_nothing_else_is() {
    let folder = Folder::new();
    let path = folder.beside("s.sock");
    let socket = unix(&folder, "s.sock");
    drop(UnixListener::bind(&path).expect("a socket"));
    let mut server = start(&folder, &["--listen", &socket]);
    assert_eq!(server.connect_unix().get("/ok", "").status, 200);

    let root = folder.root();
    let root = root.to_str().expect("UTF-8");
    let (code, _, error) = run(&["-r", root, "--listen", &socket]);
    assert!(code == 1 && error.contains("already in use") && error.matches('\n').count() == 1, "{error}");
    assert_eq!(server.connect_unix().get("/ok", "").status, 200, "the first server goes on");
    let (code, out, error) = run(&["-r", root, "--check", "--listen", &socket]);
    assert_eq!((code, out.as_str()), (0, "configuration is fine\n"), "a check does not connect: {error}");

    // Another program has taken over the name.
    fs::rename(&path, folder.beside("old")).expect("rename");
    let other = UnixListener::bind(&path).expect("a socket");
    server.stop();
    assert!(fs::metadata(&path).expect("a file").file_type().is_socket(), "another program's file stays");
    drop(other);

    for (name, says) in
        [("root/ok", "not a socket"), ("root", "not a socket"), ("gone/s.sock", "No such file")]
    {
        for words in [&["-r", root][..], &["-r", root, "--check"]] {
            let (code, _, error) = run(&[words, &["--listen", &unix(&folder, name)]].concat());
            assert!(code == 1 && error.contains(says) && error.matches('\n').count() == 1, "{error}");
        }
    }
    assert_eq!(fs::read_to_string(folder.root().join("ok")).expect("a file"), "hello\n");
    let long = "x".repeat(200);
    let (code, _, error) = run(&["-r", root, "--listen", &unix(&folder, &long)]);
    assert!(code == 1 && error.matches('\n').count() == 1, "{error}");
}

/// A server that ends with its test, also when the test fails.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            send(i32::try_from(self.0.id()).expect("a pid"), Signal::INT);
        }
        let _ = self.0.wait();
    }
}

/// Several servers find the same stale file; none of them removes the socket that another has just made.
#[test]
fn of_several_starts_one_gets_the_socket() {
    let folder = Folder::new();
    let path = folder.beside("s.sock");
    let socket = unix(&folder, "s.sock");
    for _ in 0..5 {
        // Dropping the listener leaves a stale file.
        drop(UnixListener::bind(&path).expect("a socket"));
        let mut servers: Vec<Started> = (0..4)
            .map(|_| {
                let mut command = command();
                command.args(["--listen", &socket, "--access-log", "off", "-r"]).arg(folder.root());
                Started(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a server"))
            })
            .collect();
        eventually("three have given up", || {
            servers.retain_mut(|server| match server.0.try_wait().expect("wait") {
                Some(status) => {
                    assert_eq!(status.code(), Some(1));
                    false
                }
                None => true,
            });
            servers.len() == 1
        });
        assert_eq!(Client::connect_unix(&path).get("/ok", "").status, 200);
        drop(servers);
        assert!(!path.exists());
    }
}

/// The socket file belongs to the master, so it survives the end of workers.
#[test]
fn the_file_outlives_workers() {
    let folder = Folder::new();
    let server = start(&folder, &["--listen", &unix(&folder, "s.sock")]);
    for signal in [Signal::KILL, Signal::TERM] {
        let before = server.children();
        send(before[0], signal);
        eventually("the worker is replaced", || {
            let now = server.children();
            now.len() == 1 && now != before
        });
        assert_eq!(server.connect_unix().get("/ok", "").status, 200, "after {signal:?}");
    }
}

/// Connections through a Unix socket have no address: the log shows none, and no limit per address applies.
#[test]
fn peers_without_an_address() {
    let folder = Folder::new();
    let log = folder.beside("access.log");
    let socket = unix(&folder, "s.sock");
    let mut server = Server::start(
        &folder.root(),
        &[
            "--listen",
            &socket,
            "--access-log",
            log.to_str().expect("UTF-8"),
            "--max-connections-per-ip",
            "2",
            "--log",
            "debug",
        ],
    );
    let mut crowd: Vec<Client> = (0..10).map(|_| server.connect_unix()).collect();
    for client in &mut crowd {
        assert_eq!(client.get("/ok", "").status, 200, "no limit per address");
    }
    assert_eq!(server.connect().get("/ok", "").status, 200);
    server.wait_for("Incoming connection from unix:");
    drop(crowd);
    server.stop();
    let lines = fs::read_to_string(log).expect("the log");
    assert_eq!(lines.lines().filter(|line| line.starts_with("unix: - - [")).count(), 10, "{lines}");
    assert_eq!(lines.lines().filter(|line| line.starts_with("127.0.0.1 - - [")).count(), 1, "{lines}");
}

/// Half-closes, refusals and aborts work as over TCP.
#[test]
fn the_life_of_a_connection_is_the_same() {
    let folder = Folder::new();
    folder.write_sparse("huge", 50 << 20);
    let server = start(&folder, &["--listen", &unix(&folder, "s.sock")]);
    let mut client = server.connect_unix();
    client.send("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish();
    assert_eq!(client.read_to_end("GET")[0].body.len(), 50 << 20, "a half-closed client reads it all");
    let mut client = server.connect_unix();
    client.send("GET / HTTP/9.9\r\n\r\n");
    assert_eq!(client.read_to_end("GET")[0].status, 505);
    let mut client = server.connect_unix();
    client.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
    assert!((0..100).all(|_| client.read("GET").text() == "hello\n"), "pipelined");
    // A client that leaves during a large response does not harm the worker.
    let mut gone = server.connect_unix();
    gone.send("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(gone.read_some(&mut [0; 1000]) > 0);
    drop(gone);
    assert_eq!(server.connect_unix().get("/ok", "").status, 200);
    assert_eq!(server.children(), server.workers);
}
