//! The page of 71 bytes, served by every web rung.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::rung::Rung;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 71\r\n\r\n";
const BODY: &str = "<html><head><title>Success</title></head><body>Index page</body></html>";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The rungs, their options, and the number of requests that each serves at a time; the tests send at most
/// eight.
const RUNGS: &[(&str, &[&str], u32)] = &[
    ("web_singlethread", &[], 1),
    ("web_multithread", &[], 8),
    ("web_threadpool", &["--threads", "4"], 4),
    ("web_multiprocess", &["--processes", "4"], 4),
    ("web_select", &[], 8),
    ("web_reactor", &[], 8),
    ("web_tokio", &[], 8),
    ("web_waker", &[], 1),
    ("web_executor", &[], 8),
    ("web_futures", &[], 8),
];

/// Every rung that serves the page.
pub fn rungs() -> impl Iterator<Item = &'static str> {
    RUNGS.iter().map(|(name, _, _)| *name)
}

fn ask(client: &mut TcpStream) {
    client.write_all(REQUEST).expect("send");
}

fn hear_page(client: &mut TcpStream) {
    let mut page = String::new();
    client.read_to_string(&mut page).expect("the page, and the end");
    assert_eq!(page, format!("{HEAD}{BODY}"));
}

#[test]
fn the_page_has_71_bytes() {
    assert_eq!(BODY.len(), 71);
}

#[test]
fn every_rung_serves_the_page() {
    for (name, options, _) in RUNGS {
        let rung = Rung::start(name, &[*options, &["--db", "20"]].concat());
        let descriptors = rung.descriptors();
        let begun = Instant::now();
        let mut client = rung.connect();
        ask(&mut client);
        hear_page(&mut client);
        assert!(begun.elapsed() >= Duration::from_millis(20), "{name} does not ask its database");
        // A client that has closed its sending half gets the page as well.
        let mut client = rung.connect();
        ask(&mut client);
        client.shutdown(Shutdown::Write).expect("a half-close");
        hear_page(&mut client);
        // So does a client after one that reset its connection before the response.
        let mut rude = rung.connect();
        ask(&mut rude);
        socket2::SockRef::from(&rude).set_linger(Some(Duration::ZERO)).expect("linger");
        drop(rude);
        let mut client = rung.connect();
        ask(&mut client);
        hear_page(&mut client);
        rung.wait_for_descriptors(descriptors);
        let (address, transcript) = (rung.address, rung.stop());
        assert!(transcript.status.success(), "{name}: {transcript:?}");
        let first = match *name {
            "web_tokio" => format!("Serving on ('127.0.0.1', {})", address.port()),
            _ => format!("Starting Web Server at localhost:{}", address.port()),
        };
        let several = matches!(*name, "web_threadpool" | "web_multiprocess");
        let last = if several { "Shutting down..." } else { "Shutting down" };
        assert_eq!(transcript.out, [first.as_str(), last], "{name}");
        assert!(transcript.err.is_empty(), "{name}: {transcript:?}");
    }
}

/// This rung has no database; its handler computes.
#[test]
fn the_rung_that_computes_serves_the_page() {
    let rung = Rung::start("web_cpubound", &["--limit", "1000"]);
    let descriptors = rung.descriptors();
    let mut clients: Vec<TcpStream> = (0..4).map(|_| rung.connect()).collect();
    clients.iter_mut().for_each(ask);
    clients.iter_mut().for_each(hear_page);
    rung.wait_for_descriptors(descriptors);
    let transcript = rung.stop();
    assert!(transcript.status.success() && transcript.err.is_empty(), "{transcript:?}");
}

/// X = min(m/S, …): with m at a time, eight requests take 8/m times the database's time, and little more.
#[test]
fn the_wait_is_what_the_model_says() {
    const DATABASE: Duration = Duration::from_millis(200);
    for (name, options, at_once) in RUNGS {
        let rung = Rung::start(name, &[*options, &["--db", "200"]].concat());
        // A silent client blocks the first rung, and none of the others.
        let silent = (*at_once > 1).then(|| rung.connect());
        // One after the other takes eight times as long. A busy machine gets three tries.
        let mut tries = (0..3).map(|_| {
            let begun = Instant::now();
            let mut clients: Vec<TcpStream> = (0..8).map(|_| rung.connect()).collect();
            clients.iter_mut().for_each(ask);
            clients.iter_mut().for_each(hear_page);
            let took = begun.elapsed();
            assert!(took >= DATABASE * 8_u32.div_ceil(*at_once), "{name}: {took:?}");
            took
        });
        assert!(tries.any(|took| took < DATABASE * 8 || *at_once == 1), "{name}");
        drop(silent);
        assert!(rung.stop().status.success());
    }
}
