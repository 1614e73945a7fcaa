//! `stheno` with a page that computes: `BURN=5 burning --port 9003 -r FOLDER` needs 5 ms of CPU for each `/burn`.
//!
//! `scripts/bench` measures it beside `tokio_httpd`, which has the same service: the requests that wait behind one that
//! computes are the price of a worker that is one thread.

#[path = "shared/burning.rs"]
mod burning;

use std::io;
use std::process::ExitCode;

use burning::Burning;
use stheno::access::Access;
use stheno::app::{self, Front};
use stheno::cli::ServerWords;
use stheno::files::FileService;
use stheno::server::Worker;
use stheno::status::Station;

struct OnReactor;

impl Front for OnReactor {
    const NAME: &'static str = "burning";
    type Words = ServerWords;

    fn serve(
        &self,
        worker: Worker<FileService>,
        status: Option<Station>,
        access: Access,
        _threads: usize,
    ) -> Result<(), (i32, io::Error)> {
        let worker = worker.map_service(Burning::new);
        app::serve(worker, status, access)
    }
}

fn main() -> ExitCode {
    app::run(OnReactor)
}
