//! Facts about a process, and about the sockets of a port, from the system.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::server::{Server, eventually};

/// Ticks per second in proc(5): `USER_HZ`, which is 100 on every Linux.
const TICKS: u64 = 100;

/// The number of open descriptors.
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").count()
}

/// How often the first thread of a process has gone to sleep.
pub fn sleeps(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line =
        status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).expect("a count");
    line.trim().parse().expect("a number")
}

/// The CPU time used so far.
pub fn cpu_time(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// The memory of the process in KiB; shared pages count in part (PSS).
pub fn memory(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a sum");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// One of the sizes in proc(5) status, in KiB: `VmRSS` is the resident memory, `VmHWM` its peak.
pub fn size(pid: i32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Limits the process to `most` descriptors; returns the limit before.
pub fn limit_descriptors(pid: i32, most: u64) -> u64 {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let limit = Rlimit { current: Some(most), maximum: numbers.get(1).copied() };
    prlimit(Pid::from_raw(pid), Resource::Nofile, limit).expect("prlimit");
    numbers[0]
}

/// Bytes of kernel memory for sending, of the sockets with this local port: their buffers as ss(8) reports
/// them; without ss, the unsent bytes.
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

/// One connection of a port, from the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The number of its TCP state: 1 is ESTABLISHED, 8 is CLOSE_WAIT.
    pub state: u8,
    /// Bytes that the peer has yet to acknowledge.
    pub unsent: u64,
    /// Bytes that the process has yet to read.
    pub unread: u64,
}

impl Connection {
    /// Whether it is open, and all input has been read.
    pub fn is_read_up(&self) -> bool {
        self.state == 1 && self.unread == 0
    }
}

/// The connections with this local port, without listeners.
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

/// The number of descriptors that a server's worker has without connections. Waits for the end of earlier
/// connections by the worker's own descriptors, because the system's table may skip a row while others come and
/// go.
pub fn descriptors_at_rest(server: &Server) -> usize {
    let worker = server.workers[0];
    eventually("the clients before are gone", || {
        // The server may have inherited the sockets of this test process.
        let inherited = sockets("self");
        let its = sockets(&worker.to_string()).into_iter().filter(|socket| !inherited.contains(socket));
        // The last one is the line to the master.
        its.count() == server.addresses.len() + 1
    });
    descriptors(worker)
}

/// The remote ports of the connections that this process holds, which identify its clients.
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
