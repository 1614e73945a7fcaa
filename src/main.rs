//! The `stheno` command: the files of a directory, served by the reactor.

use std::io;
use std::process::ExitCode;

use stheno::access::Access;
use stheno::app::{self, Front};
use stheno::cli::ServerWords;
use stheno::files::FileService;
use stheno::server::Worker;
use stheno::status::Station;

struct OnReactor;

impl Front for OnReactor {
    const NAME: &'static str = "stheno";
    type Words = ServerWords;

    fn serve(
        &self,
        worker: Worker<FileService>,
        status: Option<Station>,
        access: Access,
        _threads: usize,
    ) -> Result<(), (i32, io::Error)> {
        app::serve(worker, status, access)
    }
}

fn main() -> ExitCode {
    app::run(OnReactor)
}
