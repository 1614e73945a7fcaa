//! The access log.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::server::eventually;
use crate::support::{Folder, Server};

/// The lines of the file, once there are at least `count`.
fn lines(folder: &Folder, count: usize) -> Vec<String> {
    let path = folder.beside("access.log");
    let read = || -> Vec<String> {
        fs::read_to_string(&path).unwrap_or_default().lines().map(String::from).collect()
    };
    eventually("the lines are written", || read().len() >= count);
    read()
}

fn server(folder: &Folder, options: &[&str]) -> Server {
    let path = folder.beside("access.log");
    let path = path.to_str().expect("UTF-8");
    Server::start(&folder.root(), &[&["--access-log", path], options].concat())
}

/// Splits a line of the combined format and the time after it.
fn parse(line: &str) -> (String, String, u16, u64, String, String, f64) {
    let (before, rest) = line.split_once(" - - [").expect("an address");
    let (stamp, rest) = rest.split_once("] \"").expect("a stamp");
    let quoted: Vec<&str> = rest.split('"').collect();
    let numbers: Vec<&str> = quoted[1].split_whitespace().collect();
    let time = quoted[5].trim();
    assert_eq!(time.split_once('.').expect("a fraction").1.len(), 3, "{line}");
    assert!(stamp.ends_with(" +0000") && stamp.len() == 26, "{line}");
    (
        before.into(),
        quoted[0].into(),
        numbers[0].parse().expect("a status"),
        numbers[1].parse().expect("bytes"),
        quoted[2].into(),
        quoted[4].into(),
        time.parse().expect("seconds"),
    )
}

#[test]
fn one_line_for_every_answer() {
    let folder = Folder::new();
    let server = server(&folder, &[]);
    let mut client = server.connect();
    client.get("/ok", "Referer: http://r/\r\nUser-Agent: me\r\n");
    client.get("/sub", "");
    client.ask("HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n");
    client.get("/big", "Range: bytes=0-9,20-29\r\n");
    client.send("BAD\x1b \"line\r\n\r\n");
    assert_eq!(client.read("GET").status, 400);
    let lines: Vec<_> = lines(&folder, 5).iter().map(|line| parse(&line.replace("\\\"", "'"))).collect();
    let got: Vec<(&str, u16)> = lines.iter().map(|line| (line.1.as_str(), line.2)).collect();
    let want = [
        ("GET /ok HTTP/1.1", 200),
        ("GET /sub HTTP/1.1", 301),
        ("HEAD /big HTTP/1.1", 200),
        ("GET /big HTTP/1.1", 206),
        ("BAD\\x1b 'line", 400),
    ];
    assert_eq!(got, want);
    assert_eq!((lines[0].3, lines[0].4.as_str(), lines[0].5.as_str()), (6, "http://r/", "me"));
    assert_eq!((lines[2].3, lines[2].4.as_str()), (0, "-"));
    assert!(lines.iter().all(|line| line.0 == "127.0.0.1" && line.6 < 5.0));
}

/// A line has the bytes that were sent, not those that were announced.
#[test]
fn a_cut_download_is_logged_with_its_bytes() {
    let folder = Folder::new();
    folder.write("large", vec![b'x'; 50_000_000]);
    let server = server(&folder, &[]);
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut piece = [0; 1000];
    std::io::Read::read_exact(&mut client.stream, &mut piece).expect("the beginning");
    drop(client);
    let line = parse(&lines(&folder, 1)[0]);
    assert_eq!(line.2, 200);
    assert!(line.3 >= 500 && line.3 < 50_000_000, "{} bytes", line.3);
}

/// Workers that share a file do not mix their lines.
#[test]
fn lines_of_four_workers_stay_whole() {
    let folder = Folder::new();
    let server = server(&folder, &["-w", "4"]);
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let mut client = server.connect();
            std::thread::spawn(move || {
                for _ in 0..10 {
                    client.send(format!("GET /ok?{number} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(20));
                    (0..20).for_each(|_| assert_eq!(client.read("GET").status, 200));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("a client"));
    let lines = lines(&folder, 1600);
    assert_eq!(lines.len(), 1600);
    assert!(lines.iter().all(|line| parse(line).2 == 200));
}

/// RULES C16: standard output is not read.
#[test]
fn a_blocked_pipe_does_not_stop_the_server() {
    let folder = Folder::new();
    let (read, write) = std::io::pipe().expect("a pipe");
    let server = Server::start_with(&folder.root(), &["--access-log", "-"], |command| {
        command.stdout(Stdio::from(write));
    });
    let mut client = server.connect();
    for _ in 0..30 {
        client
            .send("GET /ok HTTP/1.1\r\nHost: a\r\nUser-Agent: a client with a long name\r\n\r\n".repeat(50));
        (0..50).for_each(|_| assert_eq!(client.read("GET").status, 200));
    }
    server.wait_for("lines lost so far");
    drop(server);
    let lines: Vec<String> = BufReader::new(read).lines().map_while(Result::ok).collect();
    assert!(lines.len() > 100 && lines.iter().all(|line| parse(line).2 == 200));
}
