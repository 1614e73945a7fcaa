//! axum with the file service of tower-http: what is usually written.
//!
//! Try it: `axum-servedir --port 9004 -r examples/site`

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use axum::Router;
use stheno_lanes::{end_of_tokio, exit_code, listen_on_tokio, on_tokio};
use tower_http::services::ServeDir;

/// Files, served by axum and tower-http.
#[derive(FromArgs)]
struct Args {
    /// port to listen on (default 9004)
    #[argh(option, default = "9004")]
    port: u16,

    /// folder of the files (default .)
    #[argh(option, short = 'r', default = "PathBuf::from(\".\")")]
    root: PathBuf,

    /// threads of the runtime (default 1, a runtime on one thread)
    #[argh(option, short = 'w', default = "1")]
    workers: usize,
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    let served = on_tokio(args.workers, async {
        let app = Router::new().fallback_service(ServeDir::new(args.root));
        let serve = axum::serve(listen_on_tokio(args.port)?, app);
        // Where signals cannot be handled, they end the process by themselves.
        serve.with_graceful_shutdown(async { drop(end_of_tokio().await) }).await
    });
    exit_code(env!("CARGO_BIN_NAME"), served)
}
