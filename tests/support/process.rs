//! What the system says of a process, and of the sockets of a port.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::server::{Server, eventually};

/// Ticks of a second in proc(5): `USER_HZ`, which is 100 on every Linux.
const TICKS: u64 = 100;

/// How many descriptors it has open.
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").count()
}

/// The time it has had a core for.
pub fn cpu_time(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// Memory that it has for itself, in KiB: pages shared with others count in part (PSS).
pub fn memory(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a sum");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// One of the sizes in its proc(5) status, in KiB: `VmRSS` is what it has in memory, `VmHWM` the most so far.
pub fn size(pid: i32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Lets it have no more than so many descriptors from now on; answers how many it might have had.
pub fn limit_descriptors(pid: i32, most: u64) -> u64 {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let limit = Rlimit { current: Some(most), maximum: numbers.get(1).copied() };
    prlimit(Pid::from_raw(pid), Resource::Nofile, limit).expect("prlimit");
    numbers[0]
}

/// Bytes of kernel memory that the sockets with this local port have for sending: what ss(8) says of their
/// buffers; where there is no ss, the bytes that wait in them.
pub fn send_memory(port: u16) -> u64 {
    let filter = format!("sport = :{port}");
    match Command::new("ss").args(["-Htmn", "state", "all", "exclude", "listening", &filter]).output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8(output.stdout).expect("text");
            text.split("skmem:(").skip(1).map(|memory| skmem(memory, "w") + skmem(memory, "f")).sum()
        }
        _ => connections(port).iter().map(|connection| connection.unsent).sum(),
    }
}

/// One number of ss's `skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d0)`.
fn skmem(memory: &str, name: &str) -> u64 {
    let end = memory.find(')').expect("a bracket");
    let number = memory[..end].split(',').find_map(|item| item.strip_prefix(name)?.parse().ok());
    number.unwrap_or(0)
}

/// One connection of a port, as the kernel's table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The number of its TCP state: 1 is established, 8 waits for us to close.
    pub state: u8,
    /// Bytes that the peer has not acknowledged.
    pub unsent: u64,
    /// Bytes that the process has not read.
    pub unread: u64,
}

impl Connection {
    /// Whether it is open, and all that has come has been read.
    pub fn is_read_up(&self) -> bool {
        self.state == 1 && self.unread == 0
    }
}

/// The connections with this local port, listeners left out.
pub fn connections(port: u16) -> Vec<Connection> {
    let table = fs::read_to_string("/proc/net/tcp").expect("the table");
    let local = format!(":{port:04X}");
    let rows = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let state = u8::from_str_radix(columns[3], 16).ok().filter(|state| *state != 0x0A)?;
        let (unsent, unread) = columns[4].split_once(':')?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        let (unsent, unread) = (number(unsent)?, number(unread)?);
        columns[1].ends_with(&local).then_some(Connection { state, unsent, unread })
    });
    rows.collect()
}

/// How many descriptors a server's worker has while it has no connection: waits until those before are closed.
/// Its own descriptors tell; the table of the system may skip a row while others come and go.
pub fn descriptors_at_rest(server: &Server) -> usize {
    let worker = server.workers[0];
    eventually("the clients before are gone", || {
        // What this very process holds, the server may have been born with.
        let inherited = sockets("self");
        let its = sockets(&worker.to_string()).into_iter().filter(|socket| !inherited.contains(socket));
        // And the line to its master.
        its.count() == server.addresses.len() + 1
    });
    descriptors(worker)
}

/// The remote ports of the connections that this process holds: who its clients are.
pub fn clients_of(pid: i32) -> Vec<u16> {
    let held: Vec<String> = sockets(&pid.to_string())
        .iter()
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_string()))
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").expect("the table");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    rows.filter(|columns| held.iter().any(|inode| inode == columns[9]))
        .filter_map(|columns| port(columns[2]).filter(|port| *port != 0))
        .collect()
}

/// The short name that ps(1) shows.
pub fn title(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().into()
}

/// The names of the sockets that a process holds.
fn sockets(pid: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).collect()
}

/// Whether a program is installed.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
