//! The formats of the access log: `--access-log-format`.

use std::fs;

use serde_json::Value;

use crate::support::server::run;
use crate::support::{Folder, Server};

/// The lines that these requests leave; the last one is malformed.
fn lines(format: &str, requests: &[&[u8]]) -> Vec<String> {
    let folder = Folder::new();
    let path = folder.beside("access.log");
    let options = ["--access-log", path.to_str().expect("UTF-8"), "--access-log-format", format];
    let mut server = Server::start(&folder.root(), &options);
    for request in requests {
        let mut client = server.connect();
        client.send(request);
        client.finish();
        client.read_raw_to_end();
    }
    assert!(server.stop().success());
    let text = fs::read_to_string(&path).expect("a log");
    assert!(text.ends_with('\n'));
    text.lines().map(String::from).collect()
}

#[test]
fn directives() {
    let format = "%h|%l|%u|%r|%m|%U|%q|%H|%s|%>s|%B|%b|%{X-Id}i|%{None}i|%%|\t";
    let requests: [&[u8]; 5] = [
        b"GET /ok?a=%20b HTTP/1.1\r\nHost: a\r\nX-Id: \"7\x09\xff\\\r\n\r\n",
        b"HEAD /ok HTTP/1.0\r\n\r\n",
        b"GET http://h/missing? HTTP/1.1\r\nHost: h\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ];
    let want = [
        "127.0.0.1|-|-|GET /ok?a=%20b HTTP/1.1|GET|/ok|?a=%20b|HTTP/1.1|200|200|6|6|\\\"7\\x09\\xff\\\\|-|%|\t",
        "127.0.0.1|-|-|HEAD /ok HTTP/1.0|HEAD|/ok||HTTP/1.0|200|200|0|-|-|-|%|\t",
        "127.0.0.1|-|-|GET http://h/missing? HTTP/1.1|GET|/missing|?|HTTP/1.1|404|404|LENGTH|LENGTH|-|-|%|\t",
        "127.0.0.1|-|-|OPTIONS * HTTP/1.1|OPTIONS|-||HTTP/1.1|204|204|0|-|-|-|%|\t",
        "127.0.0.1|-|-|NONSENSE|-|-||-|400|400|LENGTH|LENGTH|-|-|%|\t",
    ];
    let got = lines(format, &requests);
    assert_eq!(got.len(), want.len(), "{got:?}");
    for (got, want) in got.iter().zip(want) {
        // The length of an error's text is none of this test's business.
        let mut got: Vec<&str> = got.split('|').collect();
        for at in [10, 11] {
            if want.contains("LENGTH") {
                assert!(got[at].parse::<u64>().is_ok_and(|length| length > 0));
                got[at] = "LENGTH";
            }
        }
        assert_eq!(got.join("|"), want);
    }
}

/// gunicorn's spelling, with everything that a line can have.
#[test]
fn directives_as_gunicorn_has_them() {
    let format = "%(h)s|%(l)s|%(u)s|%(r)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%(b)s|%(f)s|%(a)s|%({x-id}i)s|\
                  %({content-type}o)s|%({none}o)s|%({HTTP_X_ID}e)s|%({QUERY_STRING}e)s|%({RAW_URI}e)s|%(i)s|%%";
    let requests: [&[u8]; 3] = [
        b"GET /ok?a=1 HTTP/1.1\r\nHost: a\r\nX-Id: 7\r\nReferer: \"r\r\nUser-Agent: me\r\nX-Request-ID: one\r\n\r\n",
        b"HEAD http://h/ok HTTP/1.1\r\nHost: h\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ];
    let want = [
        "127.0.0.1|-|-|GET /ok?a=1 HTTP/1.1|GET|/ok|a=1|HTTP/1.1|200|6|6|\\\"r|me|7|TYPE|-|7|a=1|/ok?a=1|one|%",
        "127.0.0.1|-|-|HEAD http://h/ok HTTP/1.1|HEAD|/ok||HTTP/1.1|200|0|-|-|-|-|TYPE|-|-||http://h/ok|\
         4bf92f3577b34da6a3ce929d0e0e4736|%",
    ];
    let got = lines(format, &requests);
    assert_eq!(got.len(), 3);
    for (got, want) in got.iter().zip(want) {
        assert_eq!(got.replace("text/plain; charset=utf-8", "TYPE"), want);
    }
    let malformed: Vec<&str> = got[2].split('|').collect();
    assert_eq!((malformed[3], malformed[4], malformed[8], malformed[14]), ("NONSENSE", "-", "400", "-"));
    assert_eq!(malformed[19], "-");
}

/// Each request without an id of its own has one that no other has.
#[test]
fn ids_are_made() {
    let request = b"GET /ok HTTP/1.1\r\nHost: a\r\nX-Request-ID: not an id\r\n\r\n".as_slice();
    let lines = lines("%i %P %(p)s", &[request; 3]);
    let ids: std::collections::BTreeSet<&str> =
        lines.iter().map(|line| line.split(' ').next().expect("an id")).collect();
    assert_eq!(ids.len(), 3, "{lines:?}");
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        let (worker, number) = words[0].split_once('-').expect("two parts");
        assert!(
            worker.len() == 12 && u64::from_str_radix(worker, 16).is_ok() && !number.is_empty(),
            "{line}"
        );
        assert!(words[1].parse::<u32>().is_ok() && words[2] == format!("<{}>", words[1]), "{line}");
    }
}

#[test]
fn times() {
    let line = lines("%t %D %T %L %M %(L)s", &[b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"]).concat();
    let (stamp, rest) = line.split_once("] ").expect("a time");
    assert!(stamp.starts_with('[') && stamp.ends_with(" +0000") && stamp.len() == 27, "{line}");
    let numbers: Vec<&str> = rest.split(' ').collect();
    let micros: u64 = numbers[0].parse().expect("microseconds");
    let whole: u64 = numbers[1].parse().expect("seconds");
    let seconds: f64 = numbers[2].parse().expect("seconds");
    assert_eq!(micros / 1_000_000, whole, "{line}");
    assert_eq!(
        (numbers[3].parse(), numbers[4]),
        (Ok(micros / 1000), &*format!("{whole}.{:06}", micros % 1_000_000))
    );
    assert!(
        (seconds - micros as f64 / 1e6).abs() < 0.001
            && numbers[2].split_once('.').expect("a point").1.len() == 3
    );
}

/// Every line is an object with the same names, whatever bytes the client sends.
#[test]
fn json() {
    let long =
        [b"GET /", "é\"\u{1}".repeat(900).replace('\u{1}', "x").as_bytes(), b" HTTP/1.1\r\nHost: a\r\n\r\n"]
            .concat();
    let requests: [&[u8]; 5] = [
        b"GET /ok?q=1 HTTP/1.1\r\nHost: example:80\r\nReferer: \"\\\xff\x09x\r\nUser-Agent: caf\xc3\xa9 \xe2\x80\xa8\r\n\r\n",
        b"HEAD /ok HTTP/1.0\r\n\r\n",
        &long,
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x01\"NONSENSE\\\r\n\r\n",
    ];
    let names = [
        "time",
        "client",
        "user",
        "method",
        "target",
        "version",
        "host",
        "status",
        "bytes",
        "seconds",
        "referer",
        "user_agent",
        "request_id",
        "malformed",
    ];
    let lines = lines("json", &requests);
    let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(objects.len(), requests.len());
    for (object, line) in objects.iter().zip(&lines) {
        let places: Vec<usize> =
            names.iter().map(|name| line.find(&format!("\"{name}\":")).expect(name)).collect();
        assert!(places.is_sorted() && object.as_object().expect("an object").len() == names.len(), "{line}");
        assert!(line.len() < 4096 && line.chars().all(|letter| !letter.is_control()), "{line}");
        let time = object["time"].as_str().expect("a time");
        assert!(
            time.len() == 20 && time.starts_with("20") && time.ends_with('Z') && &time[10..11] == "T",
            "{time}"
        );
        assert!(object["seconds"].is_f64() && object["bytes"].is_u64());
    }
    let first = &objects[0];
    assert_eq!(first["client"], "127.0.0.1");
    assert_eq!(
        (&first["user"], &first["method"], &first["target"]),
        (&Value::Null, &"GET".into(), &"/ok?q=1".into())
    );
    assert_eq!(
        (&first["version"], &first["host"], &first["status"]),
        (&"HTTP/1.1".into(), &"example:80".into(), &200.into())
    );
    assert_eq!((&first["bytes"], &first["referer"]), (&6.into(), &"\"\\\\xff\tx".into()));
    assert_eq!(first["user_agent"], "café \u{2028}");
    assert_eq!(
        (&objects[1]["host"], &objects[1]["referer"], &objects[1]["bytes"]),
        (&Value::Null, &Value::Null, &0.into())
    );
    assert_eq!((&objects[3]["target"], &objects[3]["method"]), (&Value::Null, &"OPTIONS".into()));
    assert!(
        objects[..4].iter().all(|object| object["request_id"].is_string() && object["malformed"].is_null())
    );
    let last = &objects[4];
    assert_eq!(
        (&last["request_id"], &last["malformed"]),
        (&Value::Null, &"\\x01\"NONSENSE\\".replace("\\x01", "\u{1}").into())
    );
    assert_eq!(
        (&last["method"], &last["target"], &last["version"], &last["status"]),
        (&Value::Null, &Value::Null, &Value::Null, &400.into())
    );
}

/// The text of a request is cut so that the line fits into one write, whatever the format asks for.
#[test]
fn long_values_are_cut() {
    let format = "%r %r %{A}i %{B}i %{A}i end %s";
    let request = format!(
        "GET /{} HTTP/1.1\r\nHost: a\r\nA: {}\r\nB: {}\r\n\r\n",
        "x".repeat(4000),
        "\"".repeat(3000),
        "z".repeat(3000)
    );
    let line = lines(format, &[request.as_bytes()]).concat();
    assert!(line.len() < 4096 && line.ends_with(" end 404"), "{} {line}", line.len());
}

#[test]
fn mistakes() {
    for (format, says) in [
        ("%h %x", "there is no %x"),
        ("%{Authorization}i", "secrets"),
        ("%(x)s", "there is no %(x)s; there are %(h)s"),
        ("%({wsgi.input}e)s", "the log does not know wsgi.input of the environ"),
        ("%", "as %%"),
        ("", "give combined, json"),
    ] {
        let (code, _, error) = run(&["--access-log-format", format, "--check"]);
        assert!(code == 2 && error.contains(says), "{error}");
    }
}
