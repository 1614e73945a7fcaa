//! The `stheno` command: the files of a directory, served by the reactor.

use std::io;
use std::process::ExitCode;

use stheno::app::{self, Front};
use stheno::cli::ServerWords;
use stheno::files::FileService;
use stheno::master::{BOOT_FAILURE, FAILURE};
use stheno::server::Worker;

struct OnReactor;

impl Front for OnReactor {
    const NAME: &'static str = "stheno";
    type Words = ServerWords;

    fn serve(&self, worker: Worker<FileService>, _threads: usize) -> Result<(), (i32, io::Error)> {
        let running = worker.boot().map_err(|error| (BOOT_FAILURE, error))?;
        running.serve().map_err(|error| (FAILURE, error))
    }
}

fn main() -> ExitCode {
    app::run(OnReactor)
}
