//! The PROXY protocol: `--proxy-protocol`.

use std::fs;
use std::io::{Read, Write};

use crate::support::server::eventually;
use crate::support::{Client, Folder, Server};

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xcb\0\x71\x09\xc6\x33\x64\x01\x12\x67\0\x50tlv";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const V6: &[u8] = b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n";
const GET: &[u8] = b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";

fn server(folder: &Folder, options: &[&str]) -> Server {
    let log = folder.beside("access.log");
    let words = ["--proxy-protocol", "127.0.0.1", "--access-log", log.to_str().expect("UTF-8")];
    Server::start(&folder.root(), &[&words, options].concat())
}

/// The addresses in the access log, once it has `count` lines.
fn clients(folder: &Folder, count: usize) -> Vec<String> {
    let read = || fs::read_to_string(folder.beside("access.log")).unwrap_or_default();
    eventually("the lines are written", || read().lines().count() >= count);
    read().lines().map(|line| line.split(' ').next().expect("a word").to_string()).collect()
}

#[test]
fn the_proxy_names_the_client() {
    let folder = Folder::new();
    let server = server(&folder, &["--allow", "203.0.113.0/24,127.0.0.1"]);
    for (header, want) in [(V1, 200), (V2, 200), (LOCAL, 200), (b"PROXY UNKNOWN\r\n", 200), (V6, 403)] {
        let mut client = server.connect();
        client.send([header, GET, GET].concat());
        assert_eq!((client.read("GET").status, client.read("GET").status), (want, want));
        client.send(GET);
        assert_eq!(client.read("GET").status, want, "later requests have no header");
    }
    let want = ["203.0.113.9", "203.0.113.9", "127.0.0.1", "127.0.0.1", "2001:db8::7"];
    let want: Vec<&str> = want.iter().flat_map(|client| [*client; 3]).collect();
    assert_eq!(clients(&folder, 15), want);
}

/// Every cut of header and request, each piece in a segment of its own.
#[test]
fn every_cut() {
    let folder = Folder::new();
    let server = server(&folder, &["-w", "2"]);
    let mut count = 0;
    for header in [V1, V2, V6, LOCAL] {
        let input = [header, GET].concat();
        for cut in 1..input.len() {
            let mut client = server.connect();
            client.send(&input[..cut]);
            client.send(&input[cut..]);
            assert_eq!(client.read("GET").text(), "hello\n", "cut at {cut}");
            count += 1;
        }
        // Byte by byte.
        let mut client = server.connect();
        input.iter().for_each(|byte| client.send([*byte]));
        assert_eq!(client.read("GET").text(), "hello\n");
        count += 1;
    }
    assert!(!clients(&folder, count).contains(&"unix:".to_string()));
}

/// A connection of a proxy without a valid header is closed without a response.
#[test]
fn no_header() {
    let folder = Folder::new();
    let mut server = server(&folder, &["--header-timeout", "0.3"]);
    for input in [
        GET,
        b"PROXY TCP4 203.0.113.9 198.51.100.1 4711\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x01a",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.try_send(input);
        assert_eq!(client.read_each_to_the_close(&["GET"]), []);
    }
    assert!(server.wait_for("has no valid PROXY header").contains("127.0.0.1:"));
    // Parts of a header: the time of a head ends them, and so does the end of the input.
    for input in [&b""[..], &V1[..20], &V2[..14], &V2[..V2.len() - 1]] {
        let mut client = server.connect();
        client.send(input);
        assert_eq!(client.read_raw_to_end(), b"");
        let mut client = server.connect();
        client.send(input);
        client.finish();
        assert_eq!(client.read_raw_to_end(), b"");
    }
    assert!(server.stop().success());
    assert_eq!(clients(&folder, 0), [""; 0], "nothing was a request");
}

/// The peer is no proxy: its connection is plain, and a header is a malformed request.
#[test]
fn others_are_plain() {
    let folder = Folder::new();
    let server = server(&folder, &["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    let address = *server.addresses.iter().find(|address| address.is_ipv6()).expect("an IPv6 address");
    let mut client = Client::connect(address);
    client.send(GET);
    assert_eq!(client.read("GET").status, 200);
    let mut client = Client::connect(address);
    client.send([V1, GET].concat());
    assert_eq!(client.read_each_to_the_close(&["GET"])[0].status, 400);
    assert_eq!(clients(&folder, 2), ["::1", "::1"]);
}

/// Connections are counted by the address of the client, and a proxy may have any number.
#[test]
fn the_limit_counts_clients() {
    let folder = Folder::new();
    let server = server(&folder, &["--max-connections-per-ip", "2"]);
    let header = |last: u8| format!("PROXY TCP4 203.0.113.{last} 198.51.100.1 1 80\r\n").into_bytes();
    let mut open = Vec::new();
    for last in [1, 1, 2, 2, 3] {
        let mut client = server.connect();
        client.send([&header(last), GET].concat());
        assert_eq!(client.read("GET").status, 200, "{last}");
        open.push(client);
    }
    let mut third = server.connect();
    third.try_send(&[&header(1), GET].concat());
    assert_eq!(third.read_each_to_the_close(&["GET"]), []);
    drop(open.remove(0));
    eventually("there is room again", || {
        let mut client = server.connect();
        client.stream.write_all(&[&header(1), GET].concat()).expect("send");
        let mut first = [0; 12];
        client.stream.read_exact(&mut first).is_ok_and(|()| &first == b"HTTP/1.1 200")
    });
}
