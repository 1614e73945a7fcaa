//! axum with the file service of tower-http: what is usually written.
//!
//! Try it: `axum-servedir --port 9004 -r examples/site`

use std::process::ExitCode;

use axum::Router;
use stheno_lanes::{ServeDirArgs, end_of_tokio, exit_code, listen_on_tokio, on_tokio};
use tower_http::services::ServeDir;

fn main() -> ExitCode {
    let args: ServeDirArgs = argh::from_env();
    let served = on_tokio(args.workers, async {
        let app = Router::new().fallback_service(ServeDir::new(args.root));
        let serve = axum::serve(listen_on_tokio(args.port.unwrap_or(9004))?, app);
        // Where signals cannot be handled, they end the process by themselves.
        serve.with_graceful_shutdown(async { drop(end_of_tokio().await) }).await
    });
    exit_code(env!("CARGO_BIN_NAME"), served)
}
