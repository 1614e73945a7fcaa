//! The cost of a runtime that serves no files: hyper on one thread of Tokio, which always sends the same
//! response.
//!
//! `scripts/bench` measures the server beside it. It does less than a file server has to — no path, no file, no
//! validators, no limits of ours — so a file server that costs as little is an achievement.
//!
//! Try it: `cargo run --release --example hyper_hello -- --port 9002 --size 1024`

use std::convert::Infallible;
use std::net::SocketAddr;

use argh::FromArgs;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A server on hyper that always sends the same response.
#[derive(FromArgs)]
struct Args {
    /// port to listen on (default 9002)
    #[argh(option, default = "9002")]
    port: u16,

    /// bytes of the body (default 1024)
    #[argh(option, default = "1024")]
    size: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let args: Args = argh::from_env();
    let body = Bytes::from(vec![b'x'; args.size]);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], args.port))).await?;
    println!("http://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        tokio::task::spawn(async move {
            let hello = service_fn(move |_: Request<hyper::body::Incoming>| {
                let response = Response::new(Full::new(body.clone()));
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that closes early is routine.
            let served =
                http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), hello);
            drop(served.await);
        });
    }
}
