//! Answers that are not there when the head of a request is: an application makes them, when it has seen the body,
//! piece by piece, and perhaps on another thread.
//!
//! ```text
//! head ──► Service::begin ──► Later ──body()*──► begin() ──► poll()* ──► Progress::End
//!                               └── dropped at any moment: the client is gone
//! ```

use std::fmt;
use std::net::SocketAddr;

use super::response::Response;
use super::status::Status;
use crate::chat::OutQueue;

/// What becomes of a request whose head is whole.
#[derive(Debug)]
pub enum Reply {
    /// This is the answer.
    Now(Response),
    /// He makes it.
    Later(Box<dyn Later>),
}

/// Makes the answer to one request. It is dropped when the answer is complete, or when nobody waits for it any
/// more. A driver may move connections between threads.
pub trait Later: fmt::Debug + Send {
    /// Takes the next bytes of the request's body, without its framing.
    ///
    /// # Errors
    /// The status to refuse the request with, when there is no place for them.
    fn body(&mut self, bytes: &[u8]) -> Result<(), Status>;

    /// The body is over.
    fn begin(&mut self);

    /// Puts what there is of the answer, head and framing included, behind what waits to be sent. Asked when the
    /// driver was woken, and whenever everything has left.
    fn poll(&mut self, out: &mut OutQueue) -> Progress;

    /// The status of the answer and the bytes of its head, once that is put out: for the log.
    fn answered(&self) -> Option<(Status, u64)>;
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is no more now; the driver is woken when there is.
    Pending,
    /// There may be more at once, when this has left.
    More,
    /// There will be more, or the end of the connection, most likely at once: the kernel may wait for it to fill a
    /// segment, for 200 ms at the most, while it is made.
    Soon,
    /// That was all of it.
    End(Ending),
}

/// What comes behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The next request: the head has promised it.
    KeepAlive,
    /// The end of the connection: the head has announced it, or the end is what frames the answer.
    Close,
    /// The answer is not whole and cannot become so: the connection ends, so that the client can tell.
    Cut {
        /// Where only a reset can tell, because a close is what ends the answer.
        reset: bool,
    },
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// His address, if he has one.
    pub address: Option<SocketAddr>,
    /// The number of the listening socket he came through.
    pub entrance: u16,
    /// What the driver knows his connection by.
    pub connection: u64,
    /// What the system knows it by: a descriptor, for who cannot wait for the driver.
    pub file: i32,
}

/// How the body of an answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many bytes.
    Length(u64),
    /// It has no body, or the fields say already how long it is.
    AsSaid,
    /// Chunks.
    Chunked,
    /// Until the connection closes.
    UntilClose,
}

/// The head of an answer whose fields an application has made.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    /// Code and reason phrase.
    pub status: &'a [u8],
    /// Field lines, each ended by CR LF.
    pub fields: &'a [u8],
    /// The value of `Server`, unless the application has set one.
    pub server: Option<&'a str>,
    /// The value of `Date`, unless the application has set one.
    pub date: Option<&'a str>,
    /// Whether the connection lives on.
    pub keep_alive: bool,
    /// How the body is framed.
    pub extent: Extent,
}

/// The end of a body in chunks.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl AnswerHead<'_> {
    /// Writes it to the end of `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(160 + self.status.len() + self.fields.len());
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status);
        for (name, value) in [("\r\nServer: ", self.server), ("\r\nDate: ", self.date)] {
            if let Some(value) = value {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(value.as_bytes());
            }
        }
        let connection: &[u8] = match self.keep_alive {
            true => b"\r\nConnection: keep-alive\r\n",
            false => b"\r\nConnection: close\r\n",
        };
        out.extend_from_slice(connection);
        out.extend_from_slice(self.fields);
        match self.extent {
            Extent::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                super::response::push_decimal(length, out);
                out.extend_from_slice(b"\r\n\r\n");
            }
            Extent::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            Extent::AsSaid | Extent::UntilClose => out.extend_from_slice(b"\r\n"),
        }
    }
}

/// Writes the line that stands before a chunk of `length` bytes, which must not be 0. Behind it stands CR LF.
pub fn push_chunk_size(length: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (u64::BITS - length.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        out.push(DIGITS[usize::try_from(length >> (4 * place) & 15).unwrap_or_default()]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Segment;
    use crate::clock::{DateCache, Now};
    use crate::http1::{Connection, Request, Service, Settings, Turn};
    use std::sync::{Arc, Mutex};

    /// What the answers of a test have seen, and what they are still to say.
    #[derive(Clone, Debug, Default)]
    struct Stage {
        body: Vec<u8>,
        begun: u32,
        dropped: u32,
        script: Vec<(&'static str, Progress)>,
    }

    #[derive(Debug, Default)]
    struct Theatre(Arc<Mutex<Stage>>);

    #[derive(Debug)]
    struct Play(Arc<Mutex<Stage>>);

    impl Service for Theatre {
        fn handle(&self, _: &Request<'_>, _: Now) -> Response {
            Response::error(Status::NOT_FOUND)
        }

        fn begin(&self, request: &Request<'_>, now: Now) -> Reply {
            match request.path() {
                Some(b"/later") => Reply::Later(Box::new(Play(Arc::clone(&self.0)))),
                _ => Reply::Now(self.handle(request, now)),
            }
        }
    }

    impl Later for Play {
        fn body(&mut self, bytes: &[u8]) -> Result<(), Status> {
            if bytes.starts_with(b"!") {
                return Err(Status::SERVICE_UNAVAILABLE);
            }
            self.0.lock().expect("a stage").body.extend_from_slice(bytes);
            Ok(())
        }

        fn begin(&mut self) {
            self.0.lock().expect("a stage").begun += 1;
        }

        fn poll(&mut self, out: &mut OutQueue) -> Progress {
            let Some((text, progress)) = self.0.lock().expect("a stage").script.pop() else {
                return Progress::Pending;
            };
            out.push_from(&mut text.as_bytes().to_vec());
            progress
        }

        fn answered(&self) -> Option<(Status, u64)> {
            None
        }
    }

    impl Drop for Play {
        fn drop(&mut self) {
            self.0.lock().expect("a stage").dropped += 1;
        }
    }

    struct Bench {
        connection: Connection,
        service: Theatre,
        settings: Settings,
        dates: DateCache,
        now: Now,
    }

    impl Bench {
        /// The script begins with its first line.
        fn new(script: &[(&'static str, Progress)]) -> Self {
            let now = Now::ask();
            let service = Theatre::default();
            service.0.lock().expect("a stage").script = script.iter().rev().copied().collect();
            let settings = Settings { record: true, ..Settings::default() };
            Self { connection: Connection::new(now), service, settings, dates: DateCache::new(), now }
        }

        fn receive(&mut self, bytes: &[u8]) {
            let (now, settings, service) = (self.now, &self.settings, &self.service);
            let mut turn = Turn { now, settings, service, dates: &mut self.dates, requests: 16 };
            self.connection.receive(bytes, &mut turn);
        }

        /// What is there to be sent now, and nothing that comes after.
        fn sent(&mut self) -> String {
            let bytes = self.connection.output_mut().to_bytes().expect("bytes");
            self.connection.flushed(self.now);
            String::from_utf8(bytes).expect("text")
        }

        fn stage(&self) -> Stage {
            self.service.0.lock().expect("a stage").clone()
        }
    }

    const KEEP: Progress = Progress::End(Ending::KeepAlive);

    /// At every split the body is seen whole, the answer is made once, and the next request waits for it.
    #[test]
    fn a_body_is_seen_and_its_answer_comes_in_pieces() {
        let input = b"POST /later HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
            2\r\nab\r\n1\r\nc\r\n0\r\n\r\nGET /now HTTP/1.1\r\nHost: h\r\n\r\n";
        for step in [1, 2, 3, 7, input.len()] {
            let mut bench = Bench::new(&[("", Progress::Pending)]);
            input.chunks(step).for_each(|piece| bench.receive(piece));
            assert_eq!(bench.connection.state(), "Waiting", "in steps of {step}");
            assert_eq!((bench.stage().body.as_slice(), bench.stage().begun), (&b"abc"[..], 1));
            assert!(bench.connection.output().is_empty() && bench.connection.wants_read());
            let script = vec![("tail", KEEP), ("head ", Progress::More)];
            bench.service.0.lock().expect("a stage").script = script;
            bench.receive(b"");
            assert_eq!(bench.sent(), "head ");
            assert_eq!(bench.stage().dropped, 0);
            bench.receive(b"");
            assert_eq!(bench.stage().dropped, 1);
            assert!(bench.sent().starts_with("tailHTTP/1.1 404 "), "the next request's answer is behind it");
            assert_eq!(bench.connection.state(), "Reading");
        }
    }

    #[test]
    fn who_asks_whether_to_send_the_body_is_told_so() {
        let head = b"POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
        let mut bench = Bench::new(&[("answer", KEEP)]);
        bench.receive(head);
        assert_eq!(bench.sent(), "HTTP/1.1 100 Continue\r\n\r\n");
        bench.receive(b"x");
        assert_eq!(bench.sent(), "answer");
        let mut bench = Bench::new(&[("answer", KEEP)]);
        bench.receive(&[&head[..], b"x"].concat());
        assert_eq!(bench.sent(), "answer", "who does not wait for the word needs none");
    }

    #[test]
    fn bodies_that_are_not_taken_are_refused_and_their_answer_never_begins() {
        let head = |length: &str| format!("POST /later HTTP/1.1\r\nHost: h\r\n{length}\r\n\r\n");
        for (input, status) in [
            (head("Content-Length: 11"), "413"),
            (head("Transfer-Encoding: chunked") + "b\r\n", "413"),
            (head("Content-Length: 2") + "!x", "503"),
            (head("Transfer-Encoding: chunked") + "x\r\n", "400"),
        ] {
            let mut bench = Bench::new(&[]);
            bench.settings.limits.body = 10;
            bench.receive(input.as_bytes());
            let sent = bench.sent();
            assert!(sent.starts_with(&format!("HTTP/1.1 {status} ")), "{sent}");
            assert_eq!((bench.stage().begun, bench.stage().dropped), (0, 1), "{status}");
        }
    }

    #[test]
    fn each_ending_closes_as_it_says() {
        let get = b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n";
        for (ending, state, reset) in [
            (Ending::KeepAlive, "Reading", false),
            (Ending::Close, "Lingering", false),
            (Ending::Cut { reset: false }, "Closed", false),
            (Ending::Cut { reset: true }, "Closed", true),
        ] {
            let mut bench = Bench::new(&[("x", Progress::End(ending))]);
            bench.receive(get);
            assert_eq!(bench.sent(), "x");
            assert_eq!(
                (bench.connection.state(), bench.connection.wants_reset()),
                (state, reset),
                "{ending:?}"
            );
        }
    }

    /// A client that goes before its answer is there leaves a line in the log, and nobody who makes it.
    #[test]
    fn who_leaves_is_noted() {
        let mut bench = Bench::new(&[]);
        bench.receive(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
        let exchange = bench.connection.take_finished(bench.now, true).expect("a line");
        assert_eq!((exchange.status.code(), exchange.sent), (499, 0));
        bench.connection.close();
        assert_eq!(bench.stage().dropped, 1);
    }

    /// What is to come at once is worth waiting for; what comes last is not held back.
    #[test]
    fn pieces_that_come_soon_fill_a_segment() {
        let script = [("a", Progress::More), ("b", Progress::Soon), ("c", Progress::Soon), ("d", KEEP)];
        let mut bench = Bench::new(&script);
        bench.receive(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
        for (text, held) in [("a", false), ("b", true), ("c", true), ("d", false)] {
            match bench.connection.output_mut().front().expect("front").expect("a segment") {
                Segment::Bytes { bytes, more } => assert_eq!((bytes, more), (text.as_bytes(), held)),
                segment @ Segment::File { .. } => panic!("not {segment:?}"),
            }
            assert_eq!(bench.sent(), text);
            bench.receive(b"");
        }
        assert_eq!(bench.connection.state(), "Reading");
    }

    /// An application that makes nothing does not hold the loop up for ever.
    #[test]
    fn pieces_of_a_turn_are_counted() {
        let mut bench = Bench::new(&[("", Progress::More); 40]);
        bench.receive(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(bench.connection.wants_write(), "there is more for another turn");
        assert_eq!(bench.stage().script.len(), 40 - 15);
    }

    #[test]
    fn sizes_of_chunks() {
        for length in [1, 9, 10, 15, 16, 255, 4096, 0xdead_beef, u64::MAX] {
            let mut out = Vec::new();
            push_chunk_size(length, &mut out);
            assert_eq!(out, format!("{length:x}\r\n").as_bytes());
        }
    }

    #[test]
    fn heads() {
        let head = AnswerHead {
            status: b"200 OK",
            fields: b"A: b\r\n",
            server: Some("s"),
            date: None,
            keep_alive: true,
            extent: Extent::Chunked,
        };
        let mut out = Vec::new();
        head.write_to(&mut out);
        let text = "HTTP/1.1 200 OK\r\nServer: s\r\nConnection: keep-alive\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(String::from_utf8(out).expect("text"), text);
    }
}
