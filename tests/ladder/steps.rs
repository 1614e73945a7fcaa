//! The HTTP server of the lab, step by step.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::golden;
use crate::rung::{Rung, expect_end, read_some};

/// The request of the lab's curl.
const CURL: &[u8] =
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nUser-Agent: curl/7.49.1\r\nAccept: */*\r\n\r\n";

/// Both have the same name, and pass the same tests.
const STEP_3: [&str; 2] = ["async_server_step3", "python/async_server_step3"];

/// `curl: (52) Empty reply from server`, and the next client gets the same.
#[test]
fn step_1_closes_without_an_answer() {
    let rung = Rung::start("async_server_step1", &[]);
    let mut ports = Vec::new();
    for _ in 0..2 {
        let mut curl = rung.connect();
        ports.push(curl.local_addr().expect("an address").port());
        curl.write_all(CURL).expect("send");
        expect_end(&mut curl);
    }
    rung.wait_for("(2 so far)");
    let port = rung.address.port();
    golden::compare("async_server_step1", &rung.stop(), port, &ports);
}

/// The line is asyncore's own. It says where in its code the error is, so it is in no golden file.
#[test]
fn step_1_in_python_does_the_same() {
    let rung = Rung::start("python/async_server_step1", &[]);
    let mut from = 0;
    for _ in 0..2 {
        let mut curl = rung.connect();
        curl.write_all(CURL).expect("send");
        expect_end(&mut curl);
        rung.wait_for_next_out("error: uncaptured python exception, closing channel ", &mut from);
    }
    let transcript = rung.stop();
    assert!(transcript.status.success(), "{transcript:?}");
    assert_eq!(transcript.out.last().map(String::as_str), Some("Shutting down"));
    let incoming =
        transcript.err.iter().filter(|line| line.contains("Incoming connection from ('127.0.0.1', "));
    assert_eq!((incoming.count(), transcript.err.len()), (2, 2), "{transcript:?}");
}

/// `curl: (28) Operation timed out with 0 bytes received`.
#[test]
fn step_2_collects_and_never_answers() {
    for name in ["async_server_step2", "python/async_server_step2"] {
        collects_and_never_answers(name);
    }
}

fn collects_and_never_answers(name: &str) {
    let rung = Rung::start(name, &[]);
    let mut curl = rung.connect();
    let ports = [curl.local_addr().expect("an address").port()];
    curl.write_all(CURL).expect("send");
    rung.wait_for("Incoming data: ");
    curl.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    let error = read_some(&mut curl, &mut [0; 1]).expect_err("nothing comes");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    let port = rung.address.port();
    golden::compare(name, &rung.stop(), port, &ports);
}

/// Makes `root/` with a few files, and a secret beside it.
fn site() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    let write =
        |name: &str, content: &[u8]| std::fs::write(place.path().join(name), content).expect("a file");
    std::fs::create_dir_all(place.path().join("root/sub")).expect("folders");
    std::fs::create_dir_all(place.path().join("root/a..")).expect("folders");
    write("secret", b"the secret beside the root");
    write("root/index.html", b"<html>index</html>");
    write("root/sub/index.html", b"<html>sub</html>");
    write("root/a../b", b"b in a..");
    write("root/.htaccess", b"dotted");
    write("root/text..txt", b"two dots");
    write("root/one page.txt", b"with a space");
    write("root/big", &(0..1_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    std::os::unix::fs::symlink("../secret", place.path().join("root/link")).expect("a link");
    place
}

fn start(name: &str, place: &tempfile::TempDir, timeout: &str) -> Rung {
    let root = place.path().join("root");
    Rung::start(name, &["-r", root.to_str().expect("UTF-8"), "--timeout", timeout])
}

/// Sends `request`, closes the sending half if `half_close`, and returns status, head and body.
fn ask(rung: &Rung, request: &[u8], half_close: bool) -> (u16, String, Vec<u8>) {
    let mut client = rung.connect();
    client.write_all(request).expect("send");
    if half_close {
        client.shutdown(Shutdown::Write).expect("a half-close");
    }
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("a response, and the end");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a code");
    for field in ["\r\nServer: ", "\r\nDate: ", "\r\nConnection: close\r\n"] {
        assert!(head.contains(field), "{field:?} is not in {head}");
    }
    (status, head, answer[end..].to_vec())
}

fn get(rung: &Rung, target: &str) -> (u16, String, Vec<u8>) {
    ask(rung, format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes(), false)
}

#[test]
fn step_3_serves_files() {
    STEP_3.into_iter().for_each(serves_files);
}

fn serves_files(name: &str) {
    let place = site();
    let rung = start(name, &place, "20");
    for (target, body) in [
        ("/", &b"<html>index</html>"[..]),
        ("/index.html?a=/../b", b"<html>index</html>"),
        ("/sub", b"<html>sub</html>"),
        ("/sub/", b"<html>sub</html>"),
        ("/sub/../text..txt", b"two dots"),
        ("/one%20p%61ge.txt", b"with a space"),
        // The lab's url_normalize looped on these, or changed the path.
        ("/a../b", b"b in a.."),
        ("/.htaccess", b"dotted"),
    ] {
        let (status, head, got) = get(&rung, target);
        assert_eq!((status, got.as_slice()), (200, body), "{target}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    }
    let types = [("/", "text/html"), ("/text..txt", "text/plain"), ("/big", "application/octet-stream")];
    for (target, wanted) in types {
        let head = get(&rung, target).1;
        assert!(head.contains(&format!("\r\nContent-Type: {wanted}\r\n")), "{target}: {head}");
    }
    let (status, head, body) = ask(&rung, b"HEAD /big HTTP/1.0\r\n\r\n", false);
    assert_eq!((status, body.len()), (200, 0));
    assert!(head.contains("\r\nContent-Length: 4000000\r\n"), "{head}");
    // A client that has closed its half gets the whole file.
    let (status, _, body) = ask(&rung, b"GET /big HTTP/1.1\r\nHost: test\r\n\r\n", true);
    assert!(status == 200 && body == std::fs::read(place.path().join("root/big")).expect("the file"));
    assert!(rung.stop().status.success());
}

#[test]
fn step_3_serves_nothing_outside_its_root() {
    STEP_3.into_iter().for_each(serves_nothing_outside_its_root);
}

fn serves_nothing_outside_its_root(name: &str) {
    let place = site();
    let rung = start(name, &place, "20");
    for target in [
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/.%2E/secret",
        "/..%2fsecret",
        "/sub/..%2f..%2fsecret",
        "/%252e%252e/secret",
        "/link",
        "/link/",
        "/%00",
        "/../../../../../../etc/passwd",
        "//etc/passwd",
        "/text..txt/",
        "/missing",
        "/a../",
    ] {
        let (status, _, body) = get(&rung, target);
        assert_eq!((status, body.len()), (404, 0), "{target}");
    }
    let log = rung.stop().err.join("\n");
    assert!(!log.contains("the secret beside the root"));
}

#[test]
fn step_3_refuses_what_it_cannot_answer() {
    STEP_3.into_iter().for_each(refuses_what_it_cannot_answer);
}

fn refuses_what_it_cannot_answer(name: &str) {
    let place = site();
    let rung = start(name, &place, "20");
    for (code, request) in [
        (400, "GET /\r\n\r\n"),
        (400, "GET / HTTP/1.1 x\r\n\r\n"),
        (400, "GET / HTTP/2.0\r\n\r\n"),
        (400, "GET sub HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx"),
        (400, "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        (400, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (405, "PUT / HTTP/1.1\r\n\r\n"),
        (405, "POST / HTTP/1.1\r\nHost: test\r\n\r\n"),
        // A terminator of 0 means "collect everything" in asynchat, so that client waited for ever.
        (405, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        (405, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"),
    ] {
        let (status, head, _) = ask(&rung, request.as_bytes(), false);
        assert_eq!(status, code, "{request:?}");
        assert!(head.contains("\r\nContent-Type: text/plain\r\n"), "{head}");
    }
    // An endless head is refused.
    let mut endless = rung.connect();
    let mut sent = 0;
    while endless.write_all(&[b'x'; 1024]).is_ok() {
        sent += 1024;
        assert!(sent < 64 << 20, "the rung stores input without limit");
    }
    // The body comes in pieces, and the response after the last one.
    let mut client = rung.connect();
    for piece in ["POST / HTTP/1.1\r\nContent-Le", "ngth: 4\r\n\r", "\nbo", "dy"] {
        client.write_all(piece.as_bytes()).expect("send");
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("a response");
    assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
    assert!(rung.stop().status.success());
}

/// The lab has no time-outs. A request that trickles in has as much time as one that does not come.
#[test]
fn step_3_has_time_outs() {
    STEP_3.into_iter().for_each(has_time_outs);
}

fn has_time_outs(name: &str) {
    let place = site();
    let rung = start(name, &place, "2");
    let begun = Instant::now();
    let (mut silent, mut slow) = (rung.connect(), rung.connect());
    slow.write_all(b"GET / HTTP/1.1\r\n").expect("send");
    slow.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
    let end = loop {
        match read_some(&mut slow, &mut [0; 1]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            end => break end,
        }
        let _ = slow.write_all(b"X");
        assert!(begun.elapsed() < Duration::from_secs(25), "the rung has no time-out");
    };
    // Bytes in flight at the close turn it into a reset.
    assert!(matches!(end, Ok(0)) || end.is_err());
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    expect_end(&mut silent);
    assert!(rung.stop().status.success());
}
