//! The server's protocol and files on a runtime for io_uring: the third front beside the reactor and the twin on Tokio.
//!
//! | the reactor | here |
//! |---|---|
//! | `server::Worker` | `main.rs`: a thread with a runtime of compio |
//! | `server::Acceptor`, `reactor::Listener` | `main.rs`: multishot accept, and a task for each connection |
//! | `server::HttpChannel` | `conversation.rs`: a task that reads, calls the driver, and writes |
//! | `chat::Transport` of a socket | `transport.rs`: one piece of input, and a buffer of output |
//!
//! It has no master, no access log, no cap of connections and no jail: it is here to measure. The deadlines of the protocol
//! hold.
//!
//! Try it: `uring-server --port 9006 -r examples/site`, or `--size 1024` for a response from memory

mod conversation;
mod transport;

use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use argh::FromArgs;
use compio::driver::{DriverType, ProactorBuilder};
use compio::runtime::RuntimeBuilder;
use futures_util::StreamExt;
use stheno::clock::Now;
use stheno::files::{FileService, Options};
use stheno::http1::{Body, Request, Response, Status};
use stheno::server::WorkerService;
use stheno_lanes::{because, exit_code, in_threads, listen};

use conversation::Worker;

/// Entries of the submission queue of a ring.
const SUBMISSIONS: u32 = 1024;
/// Buffers for received bytes, and the bytes of each.
const BUFFERS: NonZero<u16> = NonZero::new(1024).expect("not zero");
const BUFFER: usize = 4096;

/// Files, or a response from memory, on io_uring.
#[derive(FromArgs)]
struct Args {
    /// port to listen on (default 9006)
    #[argh(option, default = "9006")]
    port: u16,

    /// folder of the files (default .)
    #[argh(option, short = 'r', default = "PathBuf::from(\".\")")]
    root: PathBuf,

    /// no files: a body of this number of bytes
    #[argh(option)]
    size: Option<usize>,

    /// threads, each with a ring (default 1)
    #[argh(option, short = 'w', default = "1")]
    workers: usize,
}

fn main() -> ExitCode {
    let Args { port, root, size, workers } = argh::from_env();
    let name = env!("CARGO_BIN_NAME");
    let serve = move |listener| match size {
        Some(size) => run(listener, from_memory(size)),
        None => run(listener, files(&root).map_err(|error| because(&root.to_string_lossy(), &error))?),
    };
    exit_code(name, listen(port).and_then(|listener| in_threads(name, &listener, workers, serve)))
}

/// The files, with the options that the server has by default.
fn files(root: &Path) -> io::Result<FileService> {
    FileService::with_options(root, Options { file_cache: Duration::from_secs(1), ..Options::default() })
}

/// A service with one response, as `examples/hyper_hello.rs` has it.
fn from_memory(size: usize) -> impl Fn(&Request<'_>, Now) -> Response {
    let body: Arc<[u8]> = vec![b'x'; size].into();
    move |_, _| {
        let mut response = Response::new(Status::OK);
        response.body = Body::Shared(Arc::clone(&body));
        response
    }
}

/// Serves on a ring that is used by this thread alone, whose completions are made ready when the thread asks for them.
fn run<S: WorkerService + 'static>(listener: TcpListener, service: S) -> io::Result<()> {
    let mut ring = ProactorBuilder::new();
    ring.driver_type(DriverType::IoUring).capacity(SUBMISSIONS).single_issuer(true).defer_taskrun(true);
    ring.buffer_pool_size(BUFFERS).buffer_pool_buffer_len(BUFFER);
    let runtime = RuntimeBuilder::new()
        .with_proactor(ring)
        .build()
        .map_err(|error| because("io_uring cannot be used here", &error))?;
    runtime.block_on(async {
        let listener = compio::net::TcpListener::from_std(listener)?;
        let (worker, mut incoming) = (Rc::new(Worker::new(service)), listener.incoming());
        compio::runtime::spawn(Rc::clone(&worker).tend()).detach();
        while let Some(accepted) = incoming.next().await {
            match accepted {
                Ok(stream) => compio::runtime::spawn(Rc::clone(&worker).serve(stream)).detach(),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(because("accept", &error)),
            }
        }
        Ok(())
    })
}
