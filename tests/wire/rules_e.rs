//! RULES E: epoll and TCP. Figures that depend on the machine are printed, and asserted with a wide margin.

mod accepting;
mod closing;
mod partial_writes;
mod sending;
mod sharing;

use std::time::Duration;

use crate::support::rules::not_run;
use crate::support::{Folder, Server};

const GET: &str = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";

const SECOND: Duration = Duration::from_secs(1);

fn serve(options: &[&str]) -> (Folder, Server) {
    let folder = Folder::new();
    // Without cache, the descriptors are those of connections and of files that are being sent.
    let server = Server::start(&folder.root(), &[&["--file-cache", "0"], options].concat());
    assert_eq!(server.connect().get("/ok", "").status, 200);
    (folder, server)
}

#[test]
fn e20_kqueue_is_not_run() {
    not_run("E20", "no system with kqueue here; the poller is mio's, and our code does not depend on it");
}
