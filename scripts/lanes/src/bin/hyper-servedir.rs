//! hyper with the file service of tower-http, without a framework.
//!
//! Try it: `hyper-servedir --port 9003 -r examples/site`

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use stheno_lanes::{ServeDirArgs, end_of_tokio, exit_code, listen_on_tokio, on_tokio};
use tower_http::services::ServeDir;

fn main() -> ExitCode {
    let args: ServeDirArgs = argh::from_env();
    let served = on_tokio(args.workers, async {
        tokio::select! {
            result = serve(args.port.unwrap_or(9003), args.root) => result.map(|never| match never {}),
            result = end_of_tokio() => result,
        }
    });
    exit_code(env!("CARGO_BIN_NAME"), served)
}

async fn serve(port: u16, root: PathBuf) -> io::Result<Infallible> {
    let listener = listen_on_tokio(port)?;
    let files = TowerToHyperService::new(ServeDir::new(root));
    loop {
        let (stream, _) = listener.accept().await?;
        let files = files.clone();
        tokio::spawn(async move {
            // A client that closes early is routine.
            let served =
                http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), files);
            drop(served.await);
        });
    }
}
