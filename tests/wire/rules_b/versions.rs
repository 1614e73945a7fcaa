//! B26: a response is one version of a file, and the next request after a change has the new one.
//!
//! [`Model`] changes files as programs do (in place, by rename, by links, with the folder, with the root) and requests
//! them in between, on one thread, so that the right response is known. [`b26_versions_are_not_mixed`] has writers and
//! readers at the same time, and looks for bytes of two versions in one response.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::dice::Dice;
use crate::support::rules::holds;
use crate::support::server::Stop;
use crate::support::{Client, Folder, Server};

/// Operations of the sequential test with each size of the cache; `STHENO_VERSIONS=40000` is the long form.
fn operations() -> usize {
    std::env::var("STHENO_VERSIONS").map_or(1_500, |value| value.parse().expect("a number"))
}

/// The files, by the path in the request: in the root, in a folder, through a link to a folder, through a link to a file.
const TARGETS: [&str; 5] = ["/small", "/folder/page", "/folder/large", "/link/large", "/alias"];

/// The state of the files, and the content that each tag has stood for.
struct Model {
    folder: Folder,
    dice: Dice,
    /// Counts versions: no two have the same bytes.
    version: u64,
    /// By file: the content, if the file is there.
    files: HashMap<&'static str, Option<Vec<u8>>>,
    /// By file and tag.
    tags: HashMap<(&'static str, String), Vec<u8>>,
    changes: u64,
    requests: u64,
}

/// The files of a folder `at/` that `TARGETS` lead to.
const FILES: [&str; 3] = ["small", "folder/page", "folder/large"];

fn file_of(target: &str) -> &'static str {
    match target {
        "/small" | "/alias" => "small",
        "/folder/page" => "folder/page",
        _ => "folder/large",
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let folder = Folder::new();
        let mut model = Self {
            folder,
            dice: Dice::new(seed),
            version: 0,
            files: HashMap::new(),
            tags: HashMap::new(),
            changes: 0,
            requests: 0,
        };
        model.build();
        model
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.root().join(file)
    }

    /// Makes all files in the root.
    fn build(&mut self) {
        fs::create_dir_all(self.path("folder")).expect("a folder");
        symlink("folder", self.path("link")).expect("a link");
        // Absolute, and inside the root.
        symlink(self.path("small"), self.path("alias")).expect("a link");
        for file in FILES {
            self.write(file);
        }
    }

    /// Content that no other version has, and of nearly the length that `file` usually has.
    fn content(&mut self, file: &str) -> Vec<u8> {
        self.version += 1;
        let length = if file.ends_with("large") { 40_000 } else { 1_000 } + 8 * self.dice.below(3);
        let word = self.version.to_be_bytes();
        word.iter().copied().cycle().take(length).collect()
    }

    fn write(&mut self, file: &'static str) {
        let content = self.content(file);
        fs::write(self.path(file), &content).expect("in place");
        self.files.insert(file, Some(content));
    }

    fn change(&mut self) {
        self.changes += 1;
        let file = self.dice.pick(&FILES);
        let path = self.path(file);
        match self.dice.below(11) {
            0..3 => self.write(file),
            3 => {
                let content = self.content(file);
                fs::write(self.path("new"), &content).expect("a file");
                fs::rename(self.path("new"), path).expect("a rename");
                self.files.insert(file, Some(content));
            }
            4 => {
                // As `cp -p`: in place, with the time of another file.
                let content = self.content(file);
                fs::write(&path, &content).expect("in place");
                let past = SystemTime::now() - Duration::from_secs(1_000 + self.version);
                fs::File::options().write(true).open(path).expect("it").set_modified(past).expect("a time");
                self.files.insert(file, Some(content));
            }
            5 => {
                let mut content = self.files[file].clone().unwrap_or_default();
                content.extend_from_slice(b"appended");
                let mut file_there = fs::File::options().append(true).create(true).open(path).expect("it");
                file_there.write_all(b"appended").expect("append");
                self.files.insert(file, Some(content));
            }
            6 => {
                if let Some(content) = self.files.get_mut(file).expect("listed") {
                    content.resize((content.len() / 2).max(32), 0);
                    let there = fs::File::options().write(true).open(path).expect("it");
                    there.set_len(content.len() as u64).expect("truncate");
                }
            }
            7 => {
                let _ = fs::remove_file(path);
                self.files.insert(file, None);
            }
            8 => self.swap_folder(),
            9 => {
                // As a reproducible build: a date that identifies no version.
                let content = self.content(file);
                fs::write(self.path("new"), &content).expect("a file");
                let new = fs::File::open(self.path("new")).expect("it");
                new.set_modified(UNIX_EPOCH + Duration::from_secs(1)).expect("a time");
                fs::rename(self.path("new"), path).expect("a rename");
                self.files.insert(file, Some(content));
            }
            _ => self.replace_root(),
        }
    }

    /// Puts another folder in the place of `folder`, by two renames or by a link.
    fn swap_folder(&mut self) {
        self.version += 1;
        let away = self.folder.beside(&format!("folder-{}", self.version));
        fs::rename(self.path("folder"), &away).expect("a rename");
        if self.dice.once_in(2) {
            let release = self.path(&format!("release-{}", self.version));
            fs::create_dir(&release).expect("a folder");
            symlink(release.file_name().expect("a name"), self.path("folder")).expect("a link");
        } else {
            fs::create_dir(self.path("folder")).expect("a folder");
        }
        self.write("folder/page");
        self.write("folder/large");
    }

    /// Renames the root, and makes another one, as a build does.
    fn replace_root(&mut self) {
        self.version += 1;
        fs::rename(self.folder.root(), self.folder.beside(&format!("root-{}", self.version)))
            .expect("a rename");
        fs::create_dir(self.folder.root()).expect("a root");
        self.build();
    }

    fn request(&mut self, server: &Server, client: &mut Client) {
        self.requests += 1;
        let target = self.dice.pick(&TARGETS);
        let file = file_of(target);
        let known: Vec<String> =
            self.tags.keys().filter(|(of, _)| *of == file).map(|(_, tag)| tag.clone()).collect();
        let tag =
            if known.is_empty() { "\"none\"".into() } else { known[self.dice.below(known.len())].clone() };
        let had = self.tags.get(&(file, tag.clone())).cloned();
        let current = self.files[file].clone();
        let kind = self.dice.below(5);
        let fields = match kind {
            0 => format!("If-None-Match: {tag}\r\n"),
            1 => format!("Range: bytes=5-20\r\nIf-Range: {tag}\r\n"),
            2 => "Range: bytes=5-20\r\n".into(),
            _ => String::new(),
        };
        let method = if kind == 3 { "HEAD" } else { "GET" };
        let response = client.ask(&format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        if response.closes() {
            *client = server.connect();
        }
        let Some(content) = current else {
            assert_eq!(response.status, 404, "{target} was removed");
            return;
        };
        let about = || format!("{method} {target} {fields:?} after {} changes", self.changes);
        let new_tag = response.field("ETag").expect("a tag").to_string();
        if !new_tag.starts_with("W/") {
            let meant = self.tags.entry((file, new_tag)).or_insert_with(|| content.clone());
            assert!(*meant == content, "{}: one tag, two versions", about());
        }
        match (response.status, method) {
            (200, "HEAD") => {
                let length = response.field("Content-Length").expect("a length");
                assert_eq!(length, content.len().to_string(), "{}", about());
            }
            (200, _) => assert!(response.body == content, "{}: another version", about()),
            (206, _) => {
                assert!(
                    response.body == content[5..content.len().min(21)],
                    "{}: a part of another version",
                    about()
                );
                assert!(kind != 1 || had == Some(content), "{}: parts of two versions", about());
            }
            (304, _) => assert!(had == Some(content), "{}: the client has another version", about()),
            (status, _) => panic!("{}: {status}", about()),
        }
    }
}

/// The sandbox is off, so that a worker can open a new root by itself, in time for the next request.
#[test]
fn b26_the_next_request_sees_a_change() {
    let mut counts = Vec::new();
    for (seed, seconds) in [(1, "0"), (2, "1"), (3, "60")] {
        let mut model = Model::new(seed);
        let server = Server::start(&model.folder.root(), &["--file-cache", seconds, "--sandbox", "off"]);
        let mut client = server.connect();
        for _ in 0..operations() {
            if model.dice.once_in(4) {
                model.change();
            } else {
                model.request(&server, &mut client);
            }
        }
        counts.push(format!("{} changes, {} requests", model.changes, model.requests));
    }
    holds("B26", format_args!("--file-cache 0, 1, 60: {}: 0 violations", counts.join("; ")), "0");
}

/// What a reader got: a whole response, or nothing that could be taken for one.
fn fetch(address: SocketAddr, target: &str, pause: Duration) -> Option<(u16, Option<String>, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).expect("connect");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("send");
    let mut received = Vec::new();
    let mut piece = vec![0; 200_000];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(&piece[..count]),
            Err(_) => return None,
        }
        thread::sleep(pause);
    }
    let end = memchr::memmem::find(&received, b"\r\n\r\n")? + 4;
    let head = String::from_utf8(received[..end].to_vec()).expect("a head");
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|value| value.trim_start_matches(": ").to_string())
    };
    let length: usize = field("Content-Length")?.parse().expect("a length");
    let body = received.split_off(end);
    let status = head[9..12].parse().expect("a status");
    (body.len() == length).then(|| (status, field("ETag"), body))
}

/// Version `version`: every eight bytes name it and their place.
fn stamped(version: u64, length: usize) -> Vec<u8> {
    (0..length / 8).flat_map(|at| (version << 32 | at as u64).to_be_bytes()).collect()
}

/// The version of a whole or truncated body, if it has only one.
fn version_of(body: &[u8]) -> Option<u64> {
    let words: Vec<u64> =
        body.chunks_exact(8).map(|word| u64::from_be_bytes(word.try_into().expect("8 bytes"))).collect();
    let version = words.first().map_or(0, |word| word >> 32);
    let is_one = words.iter().enumerate().all(|(at, word)| *word == version << 32 | at as u64);
    is_one.then_some(version)
}

/// Readers, of which some are slow, and a writer that truncates and writes in pieces as `cp` does, or renames.
#[test]
fn b26_versions_are_not_mixed() {
    let seconds = std::env::var("STHENO_VERSIONS").map_or(2, |_| 60);
    let folder = Folder::new();
    let server = Server::start(&folder.root(), &["-w", "2"]);
    let address = server.address();
    let files = [("/small", 8_000), ("/medium", 100_000), ("/large", 4_000_000)];
    let begun: [AtomicU64; 3] = Default::default();
    let done: [AtomicU64; 3] = Default::default();
    let (whole, cut, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let write = |which: usize, version: u64, in_place: bool| {
        let (target, length) = files[which];
        let content = stamped(version, length + 800 * usize::try_from(version % 5).expect("a digit"));
        begun[which].store(version, Ordering::SeqCst);
        let path = folder.root().join(&target[1..]);
        if in_place {
            let mut file = fs::File::create(path).expect("truncate");
            content.chunks(64 * 1024).for_each(|chunk| file.write_all(chunk).expect("write"));
        } else {
            let new = folder.beside(&format!("new-{which}"));
            fs::write(&new, &content).expect("a file");
            fs::rename(new, path).expect("a rename");
        }
        done[which].store(version, Ordering::SeqCst);
    };
    (0..files.len()).for_each(|which| write(which, 1, true));
    thread::scope(|scope| {
        for reader in 0..4_usize {
            let (begun, done, whole, cut, stop) = (&begun, &done, &whole, &cut, &stop);
            scope.spawn(move || {
                let pause = Duration::from_millis(if reader == 3 { 3 } else { 0 });
                for round in reader.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let which = round % files.len();
                    let (earliest, length) = (done[which].load(Ordering::SeqCst), files[which].1);
                    let Some((status, tag, body)) = fetch(address, files[which].0, pause) else {
                        cut.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    let latest = begun[which].load(Ordering::SeqCst);
                    if status != 200 {
                        assert_eq!(status, 503, "it changes without a pause");
                        continue;
                    }
                    let version = version_of(&body);
                    let is_mixed = || stop.store(true, Ordering::Relaxed);
                    if version.is_none() {
                        is_mixed();
                    }
                    let version =
                        version.unwrap_or_else(|| panic!("{}: a mix under {tag:?}", files[which].0));
                    // A file that is being written is empty, or the begin of a version.
                    if body.len() < length {
                        assert!(latest > earliest, "{}: cut, and nobody writes", files[which].0);
                        continue;
                    }
                    assert!((earliest..=latest).contains(&version), "{version} of {earliest} to {latest}");
                    whole.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop(&stop);
        let mut dice = Dice::new(22);
        let started = SystemTime::now();
        for version in 2.. {
            let age = started.elapsed().expect("a clock");
            if stop.load(Ordering::Relaxed) || age > Duration::from_secs(seconds) {
                break;
            }
            write(dice.below(files.len()), version, dice.once_in(2));
            thread::sleep(Duration::from_millis(dice.below(20) as u64));
        }
    });
    let (whole, cut) = (whole.into_inner(), cut.into_inner());
    assert!(whole > 50, "{whole} whole responses prove nothing");
    holds("B26", format_args!("{whole} responses beside a writer: 0 mixed; {cut} cut short"), "0 mixed");
}
