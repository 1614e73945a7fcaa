//! The status page (`--status`, `--status-path`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::metrics::Metrics;
use crate::support::server::{eventually, halt, is_alive, run, send};
use crate::support::{Client, Folder, Server};

/// Starts a server with a status page on a free port.
fn start(folder: &Folder, options: &[&str]) -> (Server, SocketAddr) {
    let server = Server::start(&folder.root(), &[&["--status", "127.0.0.1:0"], options].concat());
    let place = place(&server);
    (server, place)
}

/// The place of the status page, from the start-up lines.
fn place(server: &Server) -> SocketAddr {
    let line = server.wait_for("  status   http://");
    line.trim_end_matches('/').rsplit("//").next().expect("a URL").parse().expect("an address")
}

/// A response of the status page: status, head and body.
#[derive(Debug)]
struct Page {
    status: u16,
    head: String,
    body: String,
}

impl Page {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        Self { status, head: head.into(), body: body.into() }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn ask_over(mut stream: impl Read + Write, method: &str, path: &str) -> Page {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("send");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a response");
    Page::parse(&bytes)
}

fn ask(place: SocketAddr, method: &str, path: &str) -> Page {
    ask_over(TcpStream::connect(place).expect("connect"), method, path)
}

fn get(place: SocketAddr, path: &str) -> Page {
    ask(place, "GET", path)
}

fn metrics(place: SocketAddr) -> Metrics {
    let page = get(place, "/metrics");
    assert_eq!(
        (page.status, page.field("Content-Type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    Metrics::parse(&page.body)
}

/// A stream of events, from its head on.
struct Events {
    stream: TcpStream,
    received: String,
}

impl Events {
    fn open(place: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(place).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("send");
        let mut events = Self { stream, received: String::new() };
        let head = events.until("\r\n\r\n");
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.contains("Content-Type: text/event-stream"),
            "{head}"
        );
        assert_eq!(events.until("\n\n"), "retry: 1000");
        events
    }

    /// Reads up to this separator; empty at the end of the stream.
    fn until(&mut self, separator: &str) -> String {
        loop {
            if let Some((before, after)) = self.received.split_once(separator) {
                let (before, after) = (before.to_string(), after.to_string());
                self.received = after;
                return before;
            }
            let mut piece = [0; 64 * 1024];
            match self.stream.read(&mut piece).expect("an event") {
                0 => return String::new(),
                count => self.received += std::str::from_utf8(&piece[..count]).expect("ASCII"),
            }
        }
    }

    /// The data of the next event.
    fn next(&mut self) -> Option<serde_json::Value> {
        let event = self.until("\n\n");
        let data = event.strip_prefix("data: ")?;
        Some(serde_json::from_str(data).expect("JSON"))
    }
}

#[test]
fn every_page_has_its_type_and_its_methods() {
    let folder = Folder::new();
    let (_server, place) = start(&folder, &[]);
    for (path, content_type, text) in [
        ("/", "text/html; charset=utf-8", "<tbody id=\"workers\"><tr><td>0</td>"),
        ("/status.js", "text/javascript; charset=utf-8", "new EventSource(\"events\")"),
        ("/status.css", "text/css; charset=utf-8", "prefers-color-scheme: dark"),
        ("/healthz", "text/plain; charset=utf-8", "ok\n"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "stheno_build_info{version=\""),
    ] {
        let page = get(place, path);
        assert_eq!((page.status, page.field("Content-Type")), (200, Some(content_type)), "{path}");
        assert!(page.body.contains(text), "{path}: {}", page.body);
        assert_eq!(page.field("Cache-Control"), Some("no-store"), "{path}");
        let head = ask(place, "HEAD", path);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        let post = ask(place, "POST", path);
        assert_eq!((post.status, post.field("Allow")), (405, Some("GET, HEAD")), "{path}");
    }
    let page = get(place, "/");
    let policy = page.field("Content-Security-Policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.body.contains('%'), "a name is left: {}", page.body);
    assert_eq!((ask(place, "HEAD", "/events").status, ask(place, "POST", "/events").status), (200, 405));
    for path in ["/x", "/metrics/", "/healthz/x", "//", "/status", "/ok"] {
        assert_eq!(get(place, path).status, 404, "{path}");
    }
}

/// Requests are counted by class, as the access log has them, whichever worker has served them and whichever is asked.
#[test]
fn each_metric_moves() {
    let folder = Folder::new();
    let log = folder.beside("access.log");
    let options = ["-w", "2", "--access-log", log.to_str().expect("UTF-8")];
    let (server, place) = start(&folder, &options);
    let before = metrics(place);
    assert_eq!(before.value("stheno_requests_total{code=\"2xx\"}"), 0.0);
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.get("/ok", "");
        client.get("/sub", "");
        client.get("/nothing", "");
        client.get("/ok", "");
    }
    let lines = || fs::read_to_string(&log).unwrap_or_default();
    eventually("every line is written", || lines().lines().count() == 16);
    let (mut classes, mut bytes) = (BTreeMap::<char, f64>::new(), 0.0);
    for line in lines().lines() {
        let numbers: Vec<&str> = line.split('"').nth(2).expect("numbers").split_whitespace().collect();
        *classes.entry(numbers[0].chars().next().expect("a digit")).or_default() += 1.0;
        bytes += numbers[1].parse::<f64>().expect("bytes");
    }
    assert_eq!(classes, [('2', 8.0), ('3', 4.0), ('4', 4.0)].into());
    // Many connections: both workers have been asked.
    for _ in 0..8 {
        let now = metrics(place);
        for (class, count) in &classes {
            assert_eq!(now.value(&format!("stheno_requests_total{{code=\"{class}xx\"}}")), *count);
        }
        assert_eq!(now.value("stheno_response_bytes_total"), bytes);
        assert_eq!(now.value("stheno_workers{state=\"ready\"}"), 2.0);
        assert_eq!(now.sum("stheno_accepts_total"), 4.0);
        assert!(now.value("stheno_turn_seconds_count") > before.value("stheno_turn_seconds_count"));
        assert!(now.value("stheno_uptime_seconds") >= before.value("stheno_uptime_seconds"));
    }
    eventually("the connections are seen", || {
        let now = metrics(place);
        let by_state = now.value("stheno_connections{state=\"idle\"}");
        let by_worker: Vec<f64> = (0..2)
            .map(|worker| now.value(&format!("stheno_worker_connections{{worker=\"{worker}\"}}")))
            .collect();
        by_state == 4.0 && by_worker == [2.0, 2.0]
    });
    drop(clients);
    eventually("they are gone", || metrics(place).sum("stheno_connections") == 0.0);
}

/// Connections that wait for a worker are in the queue of their listener, and the page says when it is nearly full.
#[test]
fn the_queue_is_seen_while_a_worker_is_away() {
    let folder = Folder::new();
    let (server, place) = start(&folder, &["-w", "2", "--accept", "reuseport"]);
    let queue = |metrics: &Metrics| metrics.sum("stheno_accept_queue_length");
    assert_eq!(queue(&metrics(place)), 0.0);
    assert!(metrics(place).sum("stheno_accept_queue_limit") > 0.0);
    halt(server.workers[0]);
    let clients: Vec<TcpStream> =
        (0..16).map(|_| TcpStream::connect(server.address()).expect("connect")).collect();
    // Those of the halted worker wait in its own socket; it does not tell, and the others are accepted. The page goes on.
    eventually("the worker is seen to hang", || {
        metrics(place).value("stheno_workers{state=\"hung\"}") == 1.0
    });
    assert_eq!(get(place, "/healthz").status, 200);
    send(server.workers[0], Signal::CONT);
    eventually("all are accepted", || metrics(place).sum("stheno_worker_connections") == 16.0);
    drop(clients);
}

#[test]
fn a_killed_worker_is_counted_and_no_counter_goes_back() {
    let folder = Folder::new();
    let (server, place) = start(&folder, &["-w", "2"]);
    for _ in 0..6 {
        server.connect().get("/ok", "");
    }
    // A response is counted when it has left: its client may be faster.
    eventually("all are counted", || metrics(place).value("stheno_requests_total{code=\"2xx\"}") == 6.0);
    let before = metrics(place);
    assert_eq!(before.value("stheno_worker_restarts_total"), 0.0);
    send(server.workers[0], Signal::KILL);
    eventually("another one serves", || {
        let now = metrics(place);
        now.value("stheno_worker_restarts_total") == 1.0
            && now.value("stheno_workers{state=\"ready\"}") == 2.0
    });
    let after = metrics(place);
    assert_eq!(after.value("stheno_requests_total{code=\"2xx\"}"), 6.0);
    for (name, value) in before.counters() {
        assert!(after.value(name) >= value, "{name}: {value}, then {}", after.value(name));
    }
    assert_eq!(after.value("stheno_start_time_seconds"), before.value("stheno_start_time_seconds"));
}

/// A drain is told as long as it takes, on the page's own place.
#[test]
fn health_is_503_during_a_drain() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 30_000_000]);
    let (mut server, place) = start(&folder, &["-w", "2"]);
    assert_eq!(get(place, "/healthz").status, 200);
    let mut kept = Client::connect(place);
    kept.get("/healthz", "");
    let mut events = Events::open(place, "/events");
    let mut slow = server.connect();
    slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut piece = [0; 1000];
    slow.stream.read_exact(&mut piece).expect("the beginning");
    server.signal(Signal::TERM);
    server.wait_for("draining");
    for _ in 0..4 {
        let page = get(place, "/healthz");
        assert_eq!((page.status, page.body.as_str()), (503, "draining\n"));
    }
    assert_eq!(metrics(place).value("stheno_draining"), 1.0);
    assert!(get(place, "/").body.contains(">draining<"));
    // A stream ends with its worker, and the one that has no client ends at once: a browser connects again.
    eventually("the viewer is told", || match events.next() {
        Some(event) => event["draining"] == true,
        None => {
            events = Events::open(place, "/events");
            false
        }
    });
    assert!(TcpStream::connect(server.address()).is_err(), "the public port is closed");
    let mut rest = Vec::new();
    slow.stream.read_to_end(&mut rest).expect("all of it");
    assert!(rest.len() > 29_000_000);
    drop(slow);
    assert!(server.wait().success());
}

/// A load balancer sees the health check fail while it can still send requests; a second signal ends the delay.
#[test]
fn with_a_drain_delay_health_fails_before_the_server_stops_to_accept() {
    let folder = Folder::new();
    let (mut server, place) = start(&folder, &["-w", "2", "--drain-delay", "60"]);
    let mut kept = server.connect();
    kept.get("/ok", "");
    server.signal(Signal::TERM);
    server.wait_for("Shutting down in 60 s: health checks fail from now on");
    for _ in 0..4 {
        assert_eq!(get(place, "/healthz").status, 503);
        assert_eq!(server.connect().get("/ok", "").status, 200, "new connections are accepted");
        assert_eq!(kept.get("/ok", "").status, 200, "and old ones are served");
    }
    // A worker that dies meanwhile is replaced, and other orders wait for nobody.
    let restarts = || metrics(place).value("stheno_worker_restarts_total");
    server.signal(Signal::HUP);
    send(server.workers[0], Signal::KILL);
    eventually("another one serves", || restarts() == 1.0);
    server.signal(Signal::TERM);
    eventually("the delay is over", || server.count_said("Shutting down") == 2);
    assert!(server.wait().success());
}

#[test]
fn the_drain_delay_ends_by_itself() {
    let folder = Folder::new();
    let (mut server, place) = start(&folder, &["--drain-delay", "1"]);
    server.signal(Signal::TERM);
    server.wait_for("Shutting down in 1 s");
    assert_eq!((get(place, "/healthz").status, server.connect().get("/ok", "").status), (503, 200));
    assert!(server.wait().success());
}

/// A reload keeps the place and the counters; the old workers do not answer that the server drains.
#[test]
fn a_reload_keeps_the_place_and_the_counters() {
    let folder = Folder::new();
    let (server, place) = start(&folder, &["-w", "2"]);
    server.connect().get("/ok", "");
    // A connection that keeps an old worker in its drain, and a monitor with a connection to it.
    let mut slow = server.connect();
    slow.send("GET /ok HTTP/1.1\r\n");
    let mut kept = Client::connect(place);
    assert_eq!(kept.get("/healthz", "").text(), "ok\n");
    kept.send("GET /healthz HTTP/1.1\r\n");
    eventually("both are accepted", || metrics(place).sum("stheno_connections") == 1.0);
    server.signal(Signal::HUP);
    eventually("both workers drain", || server.count_said("draining") == 2);
    kept.send("Host: a\r\n\r\n");
    let last = kept.read("GET");
    assert_eq!((last.status, last.closes()), (200, true), "the server serves, and the old worker goes");
    for _ in 0..10 {
        assert_eq!(get(place, "/healthz").status, 200);
    }
    assert_eq!(metrics(place).value("stheno_requests_total{code=\"2xx\"}"), 1.0);
    slow.send("Host: a\r\n\r\n");
    assert_eq!(slow.read("GET").status, 200);
    eventually("both generations are counted", || {
        metrics(place).value("stheno_requests_total{code=\"2xx\"}") == 2.0
    });
    drop(slow);
    eventually("the old workers have ended", || server.children().len() == 2);
    assert_eq!(metrics(place).value("stheno_workers{state=\"ready\"}"), 2.0);
}

/// The process that a test has started by an upgrade; it ends with the test.
struct Successor(i32);

impl Drop for Successor {
    fn drop(&mut self) {
        send(self.0, Signal::INT);
        eventually("it is gone", || !is_alive(self.0));
    }
}

/// The new program gets the socket, and the old one does not answer that the server drains.
#[test]
fn an_upgrade_hands_the_place_over() {
    let folder = Folder::new();
    let pidfile = folder.beside("pid");
    let (mut server, place) = start(&folder, &["--pidfile", pidfile.to_str().expect("UTF-8")]);
    let mut events = Events::open(place, "/events");
    events.next().expect("an event");
    let mut slow = server.connect();
    slow.send("GET /ok HTTP/1.1\r\n");
    server.signal(Signal::USR2);
    server.wait_for("this one drains and exits");
    let pid = fs::read_to_string(&pidfile).expect("a pid").trim().parse().expect("a number");
    assert_ne!(pid, server.master());
    let _successor = Successor(pid);
    while events.next().is_some() {}
    for _ in 0..10 {
        assert_eq!(get(place, "/healthz").status, 200, "one of them serves");
    }
    slow.send("Host: a\r\n\r\n");
    assert_eq!(slow.read("GET").status, 200);
    drop(slow);
    assert!(server.wait().success());
    assert_eq!(metrics(place).value("stheno_requests_total{code=\"2xx\"}"), 0.0, "they begin again");
}

#[test]
fn events_come_four_times_a_second_and_show_the_turns() {
    let folder = Folder::new();
    let (server, place) = start(&folder, &["-w", "2"]);
    let mut events = Events::open(place, "/events");
    let begun = Instant::now();
    let first = events.next().expect("an event");
    assert_eq!(first["workers"].as_array().expect("workers").len(), 2);
    assert_eq!(first["findings"].as_array().expect("findings").len(), 0);
    server.connect().get("/ok", "");
    let mut seen = 0;
    while seen < 5 || events.next().expect("an event")["responses"][1] != 1 {
        seen += 1;
        let event = events.next().expect("an event");
        for turn in event["workers"][0]["ring"].as_array().expect("turns") {
            let numbers: Vec<u64> = turn
                .as_array()
                .expect("four")
                .iter()
                .map(|number| number.as_u64().expect("a number"))
                .collect();
            assert!(numbers.len() == 4 && numbers[0] <= event["uptime"].as_u64().expect("a time"), "{turn}");
        }
    }
    assert!(begun.elapsed() >= Duration::from_millis(1200), "at most four a second");
}

/// The burst goes to one worker, whose peers hang: the shares are uneven, and the page says so.
#[test]
fn uneven_shares_are_found() {
    let folder = Folder::new();
    let (server, place) = start(&folder, &["-w", "2", "--accept", "shared"]);
    halt(server.workers[0]);
    let clients: Vec<Client> = (0..12)
        .map(|_| {
            let mut client = server.connect();
            client.get("/ok", "");
            client
        })
        .collect();
    send(server.workers[0], Signal::CONT);
    let mut events = Events::open(place, "/events");
    let mut found = serde_json::Value::Null;
    eventually("it is found", || {
        found = events.next().expect("an event")["findings"][0].clone();
        found["kind"] == "uneven-shares"
    });
    assert!(found["text"].as_str().expect("a text").contains("12 connections"), "{found}");
    assert!(found["cure"].as_str().expect("a cure").contains("--accept exclusive"), "{found}");
    assert!(get(place, "/").body.contains("--accept exclusive"), "also without JavaScript");
    drop(clients);
}

/// A viewer that does not read is dropped, and the server holds little for it.
/// The doctor of a recorded loop: a directory of thousands of names is sorted in one hook.
#[test]
fn a_slow_hook_of_any_worker_is_shown() {
    let folder = Folder::new();
    let file = folder.beside("loop.rec").display().to_string();
    let options =
        ["--status", "127.0.0.1:0", "--record", &file, "-w", "2", "--file-cache", "0", "--sandbox", "off"];
    // A disk that takes its time.
    let slow = "inject=openat2:delay_exit=30000";
    let Some(server) = Server::start_traced(&folder.root(), &options, slow, &folder.beside("traces")) else {
        println!("strace may not trace here: there is no slow hook");
        return;
    };
    let place = place(&server);
    assert_eq!(server.connect().get("/ok", "").status, 200);
    server.wait_for("the loop: handle_read of HttpChannel");
    // Whichever worker serves the page, it shows the finding of the one that was slow.
    for _ in 0..8 {
        eventually("the finding is shown", || {
            let page = get(place, "/").body;
            page.contains("s ago: handle_read of HttpChannel") && page.contains(" took ")
        });
    }
}

#[test]
fn a_viewer_that_does_not_read_is_dropped() {
    let folder = Folder::new();
    let (server, place) = start(&folder, &[]);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&place.into()).expect("connect");
    let mut viewer = TcpStream::from(socket);
    viewer.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
    // Turns make the events long, until nothing more fits.
    let mut client = server.connect();
    eventually("it is dropped", || {
        (0..200).for_each(|_| assert_eq!(client.get("/ok", "").status, 200));
        // A reset shows as an error; data that waits does not.
        viewer.take_error().expect("the socket").is_some()
    });
    assert_eq!(get(place, "/healthz").status, 200);
}

#[test]
fn the_public_port_has_the_pages_only_if_it_is_asked_for() {
    let folder = Folder::new();
    let (server, place) = start(&folder, &[]);
    for path in ["/metrics", "/healthz", "/events", "/-/status/metrics"] {
        assert_eq!(server.connect().get(path, "").status, 404, "{path}");
    }
    assert_eq!(get(place, "/-/status/metrics").status, 404);
    drop(server);

    let server = Server::start(&folder.root(), &["--status-path", "/-/status"]);
    assert_eq!(server.count_said("  status   "), 0);
    let mut client = server.connect();
    assert_eq!(client.get("/metrics", "").status, 404);
    let redirect = client.get("/-/status", "");
    assert_eq!((redirect.status, redirect.field("Location")), (301, Some("./status/")));
    assert_eq!(client.get("/-/statusx", "").status, 404);
    assert_eq!(client.get("/-/status/", "").status, 200);
    assert_eq!(client.get("/-/status/healthz", "").text(), "ok\n");
    assert_eq!(client.get("/-/status/nothing", "").status, 404);
    let found = Metrics::parse(client.get("/-/status/metrics", "").text());
    // The responses before this one: requests for the pages are requests.
    assert_eq!(found.sum("stheno_requests_total"), 6.0);
    assert_eq!(client.get("/ok", "").status, 200);
    let mut events = Events::open(server.address(), "/-/status/events");
    assert_eq!(events.next().expect("an event")["responses"][1], 4);
}

#[test]
fn a_unix_socket_and_its_file() {
    let folder = Folder::new();
    let path = folder.beside("status.sock");
    let option = format!("unix:{}", path.display());
    let mut server = Server::start(&folder.root(), &["--status", &option, "-w", "2"]);
    server.wait_for(&format!("  status   {option}"));
    let ask = |path: &Path| ask_over(UnixStream::connect(path).expect("connect"), "GET", "/healthz");
    assert_eq!(ask(&path).body, "ok\n");
    server.signal(Signal::HUP);
    eventually("a reload", || server.count_said("draining") == 2);
    assert_eq!(ask(&path).body, "ok\n");
    server.stop();
    assert!(!path.exists(), "the file goes with the server");
}

#[test]
fn a_place_beyond_this_machine_is_told_and_a_wrong_one_refused() {
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["--status", "0.0.0.0:0"]);
    server.wait_for("is open to other machines");
    drop(server);
    let (local, _) = start(&folder, &[]);
    assert_eq!(local.count_said("open to other machines"), 0);
    let taken = local.address().to_string();
    for (words, code, line) in [
        (["--status", "host"], 2, "--status \"host\": give PORT"),
        (["--status", "unix:@a"], 2, "--status \"unix:@a\": give PORT"),
        (["--status-path", "status"], 2, "--status-path \"status\": give a path such as /-/status"),
        (["--status", &taken], 1, "the port is taken; choose another with --status"),
    ] {
        let (found, _, said) = run(&["--port", "0", words[0], words[1]]);
        assert_eq!((found, said.lines().count()), (code, 1), "{said}");
        assert!(said.contains(line), "{said}");
    }
}

/// The page has its own room: a server whose clients fill it is still watched.
#[test]
fn clients_leave_the_page_its_room_and_it_takes_none_of_theirs() {
    let folder = Folder::new();
    let (server, place) = start(&folder, &["--max-connections", "2"]);
    let mut clients: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET /ok HTTP/1.1\r\n");
    }
    eventually("both are accepted", || metrics(place).sum("stheno_connections") == 2.0);
    let viewers: Vec<Events> = (0..8).map(|_| Events::open(place, "/events")).collect();
    assert_eq!(get(place, "/events").status, 503, "one viewer too many");
    assert_eq!(get(place, "/healthz").status, 200);
    for client in &mut clients {
        client.send("Host: a\r\n\r\n");
        assert_eq!(client.read("GET").status, 200);
    }
    drop(viewers);
    eventually("there is room again", || {
        let mut stream = TcpStream::connect(place).expect("connect");
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("a status");
        &status == b"HTTP/1.1 200"
    });
}
