//! The `stheno` command: the files of a directory, served by the reactor.

use std::io;
use std::process::ExitCode;

use stheno::app::{self, Front};
use stheno::cli::ServerWords;
use stheno::files::FileService;
use stheno::master::{BOOT_FAILURE, FAILURE};
use stheno::server::{Worker, WorkerError};

struct OnReactor;

impl Front for OnReactor {
    const NAME: &'static str = "stheno";
    type Words = ServerWords;

    fn serve(&self, worker: Worker<FileService>, _threads: usize) -> Result<(), (i32, io::Error)> {
        worker.run().map_err(|error| match error {
            WorkerError::Boot(error) => (BOOT_FAILURE, error),
            WorkerError::Serve(error) => (FAILURE, error),
        })
    }
}

fn main() -> ExitCode {
    app::run(OnReactor)
}
