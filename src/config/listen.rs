//! Where to listen: `--listen`, `--host`, `--port`, `--unix-mode`.

use std::path;

use super::fault::Fault;
use crate::cli::Args;
use crate::server::{Endpoint, ListenSpec};

/// Where the seed listens.
const HOST: &str = "127.0.0.1";
const PORT: u16 = 9000;

/// Who may connect to a Unix socket: everyone on this machine, as to a port of it. nginx has the same.
const UNIX_MODE: u32 = 0o666;

/// Every place of the list, behind the one that host and port make, if these are asked for or there is no list.
pub(super) fn places(args: &Args) -> Result<Vec<ListenSpec>, Fault> {
    let mut places = Vec::new();
    if args.listen.is_empty() || args.host.is_some() || args.port.is_some() {
        let host = host(args.host.as_deref().unwrap_or(HOST));
        places.push(ListenSpec::HostAndPort(host, port(args.port.as_deref())?));
    }
    for text in &args.listen {
        let target = match Endpoint::parse(text) {
            Some(Endpoint::Unix(path)) => path::absolute(path).ok().map(Endpoint::Unix),
            target => target,
        };
        places.push(ListenSpec::Listed(target.ok_or_else(|| {
            Fault::usage("--listen", text, "give HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH")
        })?));
    }
    Ok(places)
}

pub(super) fn unix_mode(value: Option<&str>) -> Result<u32, Fault> {
    let Some(value) = value else {
        return Ok(UNIX_MODE);
    };
    let mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o777 && !value.starts_with('+'));
    mode.ok_or_else(|| Fault::usage("--unix-mode", value, "give octal digits, 0 to 0777"))
}

/// An IPv6 address may stand in brackets, as in a URL.
fn host(value: &str) -> String {
    value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value).into()
}

fn port(value: Option<&str>) -> Result<u16, Fault> {
    let Some(value) = value else {
        return Ok(PORT);
    };
    value.parse().map_err(|_| Fault::usage("--port", value, "give a number from 0 to 65535"))
}
