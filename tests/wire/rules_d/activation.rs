//! Sockets that a service manager passes to the server (sd_listen_fds(3)).

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::rules::holds;
use crate::support::server::command;
use crate::support::{Client, Folder, Server};

/// A shell that gives its standard input to the server as descriptor 3, as a service manager does. The shell
/// becomes the server, so it knows the process id.
fn handed(socket: OwnedFd, pid: &str) -> Command {
    let mut shell = Command::new("sh");
    let script =
        format!("exec 3<&0 0</dev/null; LISTEN_PID={pid} LISTEN_FDS=1 LISTEN_FDNAMES=web exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(command().get_program());
    shell.stdin(Stdio::from(socket)).env_remove("RUST_LOG").env_remove("STHENO_FORCE_FALLBACK");
    shell
}

#[test]
fn d22_sockets_of_a_service_manager() {
    let folder = Folder::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    // The socket exists before the server, and may already have clients.
    let mut early = Client::connect(address);
    early.send("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    let server = Server::start_command(handed(socket.into(), "$$"), &folder.root(), &["-w", "2"], |_| {});
    assert_eq!(server.addresses, [address], "--host and --port are ignored");
    assert_eq!(early.read("GET").status, 200);
    for _ in 0..3 {
        server.signal(Signal::HUP);
        assert_eq!(server.connect().get("/ok", "").status, 200, "a reload keeps them");
    }
    drop(server);
    holds("D22", "a socket at number 3: served, and kept over reloads", "works");
}

#[test]
fn d22_sockets_of_another_process() {
    let folder = Folder::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    let server = Server::start_command(handed(socket.into(), "1"), &folder.root(), &[], |_| {});
    assert_ne!(server.address(), address, "the sockets belong to another process");
    assert_eq!(server.connect().get("/ok", "").status, 200);
    drop(server);
    holds("D22", "the wrong LISTEN_PID: ignored", "ignored");
}

#[test]
fn d22_other_descriptors_are_refused() {
    let folder = Folder::new();
    let datagrams: OwnedFd = UdpSocket::bind("127.0.0.1:0").expect("a port").into();
    let nothing: OwnedFd = std::fs::File::open("/dev/null").expect("a file").into();
    for (socket, says) in [(datagrams, "no stream socket"), (nothing, "no socket")] {
        let output = handed(socket, "$$").arg("-r").arg(folder.root()).output().expect("the command");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains(says) && error.contains("LISTEN_FDS") && error.matches('\n').count() == 1,
            "{error}"
        );
    }
    holds("D22", "a UDP socket and a file: one line each", "type checked");
}
