//! The command line, and the plan that it describes.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use crate::seed;

/// Sends requests to a web server, from many users or at a fixed rate, and reports the response times.
#[derive(FromArgs)]
pub(crate) struct Args {
    /// what to request (default http://127.0.0.1:9090/)
    #[argh(option, default = "\"http://127.0.0.1:9090/\".into()")]
    url: String,

    /// closed: users (default 100)
    #[argh(option, arg_name = "n")]
    users: Option<usize>,

    /// closed: seconds of think time between two requests (default 5-15)
    #[argh(option, arg_name = "a-b")]
    wait: Option<String>,

    /// closed: users that start in a second (default: all in one mean think time)
    #[argh(option, arg_name = "n")]
    spawn_rate: Option<f64>,

    /// open: requests a second, in place of users
    #[argh(option, arg_name = "n")]
    rate: Option<f64>,

    /// open: requests that may be under way at the same time (default 100)
    #[argh(option, arg_name = "n")]
    connections: Option<usize>,

    /// seconds that the run takes (default 60)
    #[argh(option, default = "60.0", arg_name = "seconds")]
    time: f64,

    /// seconds at the start that do not count (default 0)
    #[argh(option, default = "0.0", arg_name = "seconds")]
    warm_up: f64,

    /// seconds until a request fails (default 120)
    #[argh(option, default = "120.0", arg_name = "seconds")]
    timeout: f64,

    /// threads that send requests (default 1)
    #[argh(option, default = "1", arg_name = "n")]
    threads: usize,

    /// seed of the think times (default 1)
    #[argh(option, default = "1", arg_name = "n")]
    seed: u64,

    /// file for a line per request: time of its end, milliseconds, failure, milliseconds sent late
    #[argh(option, arg_name = "file")]
    requests: Option<PathBuf>,

    /// file for the whole distribution, counted both ways
    #[argh(option, arg_name = "file")]
    percentiles: Option<PathBuf>,

    /// closed: requests that the server serves at the same time, for the prediction
    #[argh(option, arg_name = "n")]
    servers: Option<f64>,

    /// closed: milliseconds that each of them takes, for the prediction
    #[argh(option, arg_name = "ms")]
    db: Option<f64>,
}

/// The checked command line.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    pub(crate) model: Model,
    pub(crate) time: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) patience: Duration,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    pub(crate) requests: Option<PathBuf>,
    pub(crate) percentiles: Option<PathBuf>,
    /// The number of servers, and the seconds that each needs for a request.
    pub(crate) served_by: Option<(f64, f64)>,
}

/// What decides when a request is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Model {
    Closed { users: usize, least: Duration, most: Duration, spawn_rate: f64 },
    Open { rate: f64, connections: usize },
}

impl Plan {
    pub(crate) fn of(args: &Args) -> io::Result<Self> {
        let rest = args.url.strip_prefix("http://").ok_or_else(|| wrong("--url begins with http://"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().map_err(|_| wrong("the port of --url is a number"))?),
            None => (host, 80),
        };
        let address = seed::resolve(name.trim_matches(['[', ']']), port)?;
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: stheno-load\r\n\r\n");
        let time = seconds("--time", args.time)?;
        let warm_up = seconds("--warm-up", args.warm_up)?;
        if warm_up >= time {
            return Err(wrong("--warm-up is less than --time"));
        }
        if args.threads == 0 {
            return Err(wrong("--threads is 1 or more"));
        }
        let served_by = match (args.servers, args.db) {
            (Some(servers), Some(db)) if servers > 0.0 && db > 0.0 => Some((servers, db / 1000.0)),
            (None, None) => None,
            _ => return Err(wrong("--servers and --db go together, and are more than 0")),
        };
        Ok(Self {
            url: args.url.clone(),
            address,
            request: request.into_bytes(),
            model: Model::of(args)?,
            time,
            warm_up,
            patience: seconds("--timeout", args.timeout)?,
            threads: args.threads,
            seed: args.seed,
            requests: args.requests.clone(),
            percentiles: args.percentiles.clone(),
            served_by,
        })
    }
}

impl Model {
    fn of(args: &Args) -> io::Result<Self> {
        if let Some(rate) = args.rate {
            let is_closed = args.users.is_some() || args.wait.is_some() || args.spawn_rate.is_some();
            if is_closed || args.servers.is_some() {
                return Err(wrong(
                    "--rate is the open model; it excludes --users, --wait, --spawn-rate and --servers",
                ));
            }
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(wrong("--rate is more than 0"));
            }
            let connections = args.connections.unwrap_or(100);
            return if connections > 0 {
                Ok(Self::Open { rate, connections })
            } else {
                Err(wrong("--connections is 1 or more"))
            };
        }
        if args.connections.is_some() {
            return Err(wrong("--connections goes with --rate; users have one connection each"));
        }
        let wait = args.wait.as_deref().unwrap_or("5-15");
        let (least, most) = wait.split_once('-').unwrap_or((wait, wait));
        let number = |text: &str| text.parse().map_err(|_| wrong("--wait is seconds, as in 5-15"));
        let (least, most) = (seconds("--wait", number(least)?)?, seconds("--wait", number(most)?)?);
        if least > most {
            return Err(wrong("the smaller one comes first in --wait"));
        }
        let users = args.users.unwrap_or(100);
        let think = ((least + most) / 2).as_secs_f64();
        let spawn_rate =
            args.spawn_rate.unwrap_or(if think > 0.0 { users as f64 / think } else { f64::INFINITY });
        if users == 0 || spawn_rate.is_nan() || spawn_rate <= 0.0 {
            return Err(wrong("--users and --spawn-rate are more than 0"));
        }
        Ok(Self::Closed { users, least, most, spawn_rate })
    }
}

fn seconds(option: &str, value: f64) -> io::Result<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| wrong(&format!("{option}: seconds are 0 or more")))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} (see stheno_load --help)"))
}
