//! Who may read: `--auth`, `--allow`, `--forwarded-from`.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;

use crate::support::server::{eventually, run};
use crate::support::{Client, Folder, Server};

/// Users in the formats of htpasswd(1) and openssl-passwd(1).
const ANN: &str = "ann:$2y$06$8Z8o0PMoAqWO52qHIew1xe.MQrM7URVSHmVoECzL/cPI44009XfqC";
const BOB: &str = "bob smith:$6$abcdefgh$4UPJf3qf71iDb8DDBG5r.Jxy3OKpyf7on.yGTrfW2z7BZBicRPXkes.VuTPq3aS6gF63ohT6G9SJv9LejkZLu/";
const EVE: &str = "žofie:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

/// A user whose password takes long to verify, as it should.
const SLOW: &str = "slow:$2y$12$.TmCi6AZo.gssz1x0dnYCubjHl39lqb3HwkM.kFJf4FejjSCJXITW";

/// Their passwords.
const ANNS: &str = "päss:wörd 1";
const OTHERS: &str = "Hello world!";

fn users_of(folder: &Folder, lines: &[&str]) -> PathBuf {
    let path = folder.beside("users");
    fs::write(&path, lines.join("\n")).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("chmod");
    path
}

fn server(folder: &Folder, lines: &[&str], options: &[&str]) -> Server {
    let path = users_of(folder, lines);
    Server::start(&folder.root(), &[&["--auth", path.to_str().expect("UTF-8")], options].concat())
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn users_and_passwords() {
    let folder = Folder::new();
    let server = server(&folder, &[ANN, BOB, EVE], &["-w", "2"]);
    let mut client = server.connect();
    // One connection for all of it: a refusal does not end it.
    for (user, password, want) in [
        ("ann", ANNS, 200),
        ("ann", "päss:wörd 2", 401),
        ("ann", "", 401),
        ("ann", ANNS, 200),
        ("ann", "päss:wörd 2", 401),
        ("bob smith", OTHERS, 200),
        ("žofie", OTHERS, 200),
        ("žofie", "hello world!", 401),
        ("nobody", OTHERS, 401),
        ("Ann", ANNS, 401),
        ("", "", 401),
    ] {
        let response = client.get("/ok", &basic(user, password));
        assert_eq!(response.status, want, "{user} {password}");
        let challenge = (want == 401).then_some("Basic realm=\"restricted\", charset=\"UTF-8\"");
        assert_eq!(response.field("WWW-Authenticate"), challenge);
    }
    for field in [
        "",
        "Authorization: Basic\r\n",
        "Authorization: Basic ====\r\n",
        "Authorization: Basic YW5u\r\n",
        "Authorization: Bearer YW5u\r\n",
        "Authorization: Basic YTpi YTpi\r\n",
        // A control character in the name.
        "Authorization: Basic YQE6Yg==\r\n",
        &basic(&"a".repeat(256), "b"),
        &basic("ann", &"b".repeat(5000)),
        &basic("ann", ANNS).repeat(2),
    ] {
        assert_eq!(client.get("/ok", field).status, 401, "{field}");
    }
    let scheme = basic("ann", ANNS).replace("Basic", "bAsIc");
    assert_eq!(client.get("/ok", &scheme).status, 200, "the scheme is in any case of letters");
}

/// Everything is behind the password: errors, redirects and methods as well.
#[test]
fn nothing_is_told_without_a_password() {
    let folder = Folder::new();
    let server = server(&folder, &[ANN], &["--status-path", "/-/status"]);
    let mut client = server.connect();
    let right = basic("ann", ANNS);
    for (target, want) in [("/missing", 404), ("/sub", 301), ("/%00", 400), ("/-/status/healthz", 200)] {
        assert_eq!(client.get(target, "").status, 401, "{target}");
        assert_eq!(client.get(target, &right).status, want, "{target}");
    }
    let ask = |method: &str, fields: &str| format!("{method} /ok HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(client.ask(&ask("HEAD", "")).status, 401);
    assert_eq!(client.ask(&ask("DELETE", "")).status, 401);
    assert_eq!(client.ask(&ask("OPTIONS", "")).status, 401);
    assert_eq!(client.ask(&ask("HEAD", &right)).field("Content-Length"), Some("6"));
    let part = client.get("/big", &format!("{right}Range: bytes=10-19\r\n"));
    assert_eq!((part.status, part.body.len()), (206, 10));
    // A browser sends no credentials with the question of another origin.
    let preflight = "Origin: http://b\r\nAccess-Control-Request-Method: GET\r\n";
    assert_eq!(client.ask(&ask("OPTIONS", preflight)).status, 204);
    assert_eq!(client.ask(&ask("GET", preflight)).status, 401);
}

/// A request with a body waits for its password as a whole, and so do the requests after it.
#[test]
fn requests_that_wait_stay_in_order() {
    let folder = Folder::new();
    let server = server(&folder, &[ANN, BOB], &[]);
    let mut client = server.connect();
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let post =
        format!("POST /ok HTTP/1.1\r\nHost: a\r\n{}Content-Length: 3\r\n\r\nabc", basic("bob smith", OTHERS));
    client.send(
        [get("/ok", &basic("ann", ANNS)), post, get("/sub/", ""), get("/missing", &basic("ann", ANNS))]
            .concat(),
    );
    let statuses: Vec<u16> = (0..4).map(|_| client.read("GET").status).collect();
    assert_eq!(statuses, [200, 405, 401, 404]);
    // The client closes its half before the password is verified.
    let mut client = server.connect();
    client.send(get("/ok", &basic("bob smith", "another")));
    client.finish();
    assert_eq!(client.read("GET").status, 401);
}

#[test]
fn a_file_of_users_must_be_private() {
    let folder = Folder::new();
    let path = users_of(&folder, &[ANN]);
    let root = folder.root();
    let start = |file: &str, options: &[&str]| {
        let words = ["-r", root.to_str().expect("UTF-8"), "--auth", file, "--port", "0", "--check"];
        run(&[&words, options].concat())
    };
    let file = path.to_str().expect("UTF-8");
    assert_eq!(start(file, &[]).0, 0);
    assert_eq!(start(file, &["--host", "0.0.0.0", "--auth-without-tls"]).0, 0);
    let (code, _, error) = start(file, &["--host", "0.0.0.0"]);
    assert!(code == 1 && error.contains("clear text") && error.contains("--auth-without-tls"), "{error}");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
    let (code, _, error) = start(file, &[]);
    assert!(code == 1 && error.contains(&format!("chmod 640 {file}")), "{error}");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("chmod");
    fs::write(&path, "ann:$apr1$x$y").expect("a file");
    let (code, _, error) = start(file, &[]);
    assert!(code == 1 && error.contains(":1:") && error.contains("htpasswd -B"), "{error}");
    fs::rename(&path, root.join("users")).expect("rename");
    let (code, _, error) = start(root.join("users").to_str().expect("UTF-8"), &[]);
    assert!(code == 1 && error.contains("move it out of there"), "{error}");
    let (code, _, error) = start("/nonexistent", &[]);
    assert!(code == 1 && error.contains("cannot read /nonexistent"), "{error}");
    let (code, _, error) = run(&["--auth-without-tls", "--check"]);
    assert!(code == 2 && error.contains("--auth"), "{error}");
}

/// A real start refuses as `--check` does, by the addresses that it has bound.
#[test]
fn no_password_leaves_this_machine_in_clear_text() {
    let folder = Folder::new();
    let path = users_of(&folder, &[ANN]);
    let root = folder.root();
    let words =
        ["-r", root.to_str().expect("UTF-8"), "--auth", path.to_str().expect("UTF-8"), "--listen", ":0"];
    let (code, _, error) = run(&words);
    assert!(code == 1 && error.contains("clear text"), "{error}");
    let socket = format!("unix:{}", folder.beside("socket").display());
    let server = server(&folder, &[ANN], &["--listen", &socket, "--host", "127.0.0.1"]);
    assert_eq!(server.connect_unix().get("/ok", &basic("ann", ANNS)).status, 200);
}

#[test]
fn a_reload_reads_the_users_again() {
    let folder = Folder::new();
    let server = server(&folder, &[ANN], &[]);
    assert_eq!(server.connect().get("/ok", &basic("ann", ANNS)).status, 200);
    users_of(&folder, &["ann:secret"]);
    server.signal(Signal::HUP);
    let line = server.wait_for("htpasswd -B");
    assert!(line.contains("users:1") && !line.contains("secret"), "{line}");
    assert_eq!(server.connect().get("/ok", &basic("ann", ANNS)).status, 200, "the old ones are in force");
    users_of(&folder, &[BOB]);
    server.signal(Signal::HUP);
    eventually("the new users are in force", || {
        server.connect().get("/ok", &basic("bob smith", OTHERS)).status == 200
    });
    assert_eq!(server.connect().get("/ok", &basic("ann", ANNS)).status, 401, "and no others");
}

/// Whether a response has begun to arrive.
fn has_response(client: &Client) -> bool {
    client.stream.set_nonblocking(true).expect("nonblocking");
    let peeked = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false).expect("blocking");
    match peeked {
        Ok(count) => count > 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

/// While wrong passwords are verified, other requests are served: those of users that are known, and those without a
/// password. A client with many passwords is told to wait.
#[test]
fn a_flood_of_wrong_passwords() {
    let folder = Folder::new();
    let server = server(&folder, &[SLOW], &[]);
    let right = basic("slow", "slow");
    let mut known = server.connect();
    assert_eq!(known.get("/ok", &right).status, 200);
    let mut flood: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for (number, client) in flood.iter_mut().enumerate() {
        client.send(format!(
            "GET /ok HTTP/1.1\r\nHost: a\r\n{}\r\n",
            basic("slow", &format!("wrong {number}"))
        ));
    }
    // All of them have been looked at when the last one is refused.
    let last = flood.pop().expect("a client").read("GET");
    assert_eq!((last.status, last.field("Retry-After")), (429, Some("1")));
    for _ in 0..20 {
        assert_eq!(known.get("/ok", &right).status, 200);
        assert_eq!(known.get("/ok", "").status, 401);
    }
    let waiting = flood.iter().filter(|client| !has_response(client)).count();
    assert!(waiting > 0, "forty requests were served while fewer than four passwords were verified");
    let statuses: Vec<u16> = flood.iter_mut().map(|client| client.read("GET").status).collect();
    let count = |status| statuses.iter().filter(|this| **this == status).count();
    assert!(count(401) >= 4 && count(401) + count(429) == 19, "{statuses:?}");
}

/// Connections with the same password wait for one verification, and one that has gone is forgotten.
#[test]
fn the_same_password_is_verified_once() {
    let folder = Folder::new();
    let server = server(&folder, &[SLOW], &[]);
    let request = format!("GET /ok HTTP/1.1\r\nHost: a\r\n{}\r\n", basic("slow", "slow"));
    let mut clients: Vec<Client> = (0..12).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&request));
    drop(clients.remove(0));
    assert!(
        clients.iter_mut().all(|client| client.read("GET").status == 200),
        "more than may wait of one client"
    );
}

/// Browsers need the fields of `--header` and `--cors` in a 401 as well.
#[test]
fn a_denial_has_the_fields_of_every_response() {
    let folder = Folder::new();
    let server = server(&folder, &[SLOW], &["--header", "X-A: b", "--cors", "https://a.example"]);
    let denied = server.connect().get("/ok", "Origin: https://a.example\r\n");
    assert_eq!((denied.status, denied.field("X-A")), (401, Some("b")));
    assert_eq!(denied.field("Access-Control-Allow-Origin"), Some("https://a.example"));
}

#[test]
fn only_these_networks() {
    let folder = Folder::new();
    let start = |allow: &[&str]| {
        let words: Vec<&str> = allow.iter().flat_map(|networks| ["--allow", networks]).collect();
        let unix = format!("unix:{}", folder.beside("socket").display());
        let places = ["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", &unix];
        let root = folder.root();
        let mut command = crate::support::server::command();
        command.arg("-r").arg(root).args(places).args(words).args(["--access-log", "off"]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        Server::run(command)
    };
    for (allow, want) in [
        (&["127.0.0.0/8"][..], [200, 403, 403]),
        (&["::1"], [403, 200, 403]),
        (&["10.0.0.0/8,::1", "127.0.0.1"], [200, 200, 403]),
        (&["::ffff:127.0.0.1"], [200, 403, 403]),
        (&["private"], [200, 200, 403]),
        (&["unix"], [403, 403, 200]),
        (&["192.0.2.0/24"], [403, 403, 403]),
    ] {
        let server = start(allow);
        let mut clients: Vec<Client> =
            server.addresses.iter().map(|address| Client::connect(*address)).collect();
        clients.push(server.connect_unix());
        let statuses: Vec<u16> = clients.iter_mut().map(|client| client.get("/ok", "").status).collect();
        assert_eq!(statuses, want, "{allow:?}");
    }
    let server = Server::start(&folder.root(), &["--allow", "192.0.2.0/24"]);
    server.wait_for("--allow leaves out this machine");
    for networks in ["10.0.0.1/8", "localhost", "", "10.0.0.0/33"] {
        let (code, _, error) = run(&["--allow", networks, "--check"]);
        assert!(code == 2 && error.contains("give"), "{error}");
    }
}

/// The addresses in an access log of four lines.
#[test]
fn a_proxy_names_its_clients() {
    let folder = Folder::new();
    let log = folder.beside("access.log");
    let path = log.to_str().expect("UTF-8").to_string();
    let lines = |count: usize| {
        let read = || fs::read_to_string(&log).unwrap_or_default();
        eventually("the lines are written", || read().lines().count() >= count);
        read()
    };
    let options = ["--access-log", &path, "--allow", "203.0.113.0/24,127.0.0.1"];
    let server = Server::start(&folder.root(), &[&["--forwarded-from", "127.0.0.1"][..], &options].concat());
    let mut client = server.connect();
    for (fields, want) in [
        ("", 200),
        ("X-Forwarded-For: 203.0.113.9\r\n", 200),
        ("X-Forwarded-For: 203.0.113.9, 198.51.100.1\r\n", 403),
        ("X-Forwarded-For: 127.0.0.1, 198.51.100.1, 127.0.0.1\r\n", 403),
        ("X-Forwarded-For: 2001:db8::7\r\n", 403),
        // The proxy itself is allowed, and a client that nobody knows is not the proxy.
        ("X-Forwarded-For: unknown\r\n", 403),
        ("Forwarded: for=198.51.100.1\r\n", 200),
    ] {
        assert_eq!(client.get("/ok", fields).status, want, "{fields}");
    }
    drop(server);
    let text = lines(7);
    let clients: Vec<&str> = text.lines().map(|line| line.split(' ').next().expect("a word")).collect();
    let want =
        ["127.0.0.1", "203.0.113.9", "198.51.100.1", "198.51.100.1", "2001:db8::7", "127.0.0.1", "127.0.0.1"];
    assert_eq!(clients, want);
    // The peer is no proxy: what it says counts for nothing.
    let server = Server::start(&folder.root(), &[&["--forwarded-from", "192.0.2.1"][..], &options].concat());
    let response = server.connect().get("/ok", "X-Forwarded-For: 198.51.100.1\r\n");
    assert_eq!(response.status, 200);
    drop(server);
    assert!(lines(8).lines().last().expect("a line").starts_with("127.0.0.1 - - ["));
    let standard = ["--forwarded-from", "127.0.0.1", "--forwarded-field", "Forwarded"];
    let server = Server::start(&folder.root(), &[&standard[..], &options].concat());
    let fields = "X-Forwarded-For: 198.51.100.1\r\nForwarded: for=\"[2001:db8::7]:80\", for=203.0.113.9\r\n";
    assert_eq!(server.connect().get("/ok", fields).status, 200);
    drop(server);
    assert!(lines(9).lines().last().expect("a line").starts_with("203.0.113.9 - - ["));
}

#[test]
fn the_log_has_the_user() {
    let folder = Folder::new();
    let log = folder.beside("access.log");
    let server = server(&folder, &[ANN, BOB], &["--access-log", log.to_str().expect("UTF-8")]);
    let mut client = server.connect();
    client.get("/ok", &format!("{}Referer: r\r\nUser-Agent: me\r\n", basic("bob smith", OTHERS)));
    client.get("/ok", &basic("ann", "wrong"));
    client.send("BAD \"\r\n\r\n");
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).expect("the end");
    drop(server);
    let text = fs::read_to_string(&log).expect("a log");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("127.0.0.1 - bob\\x20smith ["), "{text}");
    assert!(lines[0].contains("] \"GET /ok HTTP/1.1\" 200 6 \"r\" \"me\" 0."), "{text}");
    // A name that is not proven is a name that anybody can write, or a password in the wrong field.
    assert!(lines[1].starts_with("127.0.0.1 - - [") && lines[1].contains(" 401 "), "{text}");
    assert!(lines[2].starts_with("127.0.0.1 - - [") && lines[2].contains("] \"BAD \\\"\" 400 "), "{text}");
}
