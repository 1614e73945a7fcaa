//! `--redirect-http`: a service that sends every request to the same URL with `https`.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::{Acceptor, Capacity, Layering, LogSink, Networks, Shared, WorkerService};
use crate::clock::Now;
use crate::files::escape_uri;
use crate::heartbeat::Heartbeat;
use crate::http1::{Reply, Request, Response, Service, Settings, Status, Target};
use crate::reactor::{AcceptMode, Listener, Probe, Reactor, SharedListener};

/// A place that redirects to TLS, in a worker.
#[derive(Debug)]
pub struct RedirectPlace {
    /// The listening sockets.
    pub listeners: Vec<SharedListener>,
    /// The port that requests are sent to.
    pub port: u16,
}

impl RedirectPlace {
    /// Connections of a worker, beside those of clients: each has one response.
    pub const CONNECTIONS: usize = 64;

    /// Adds its listeners to a loop; `log` has a line for each redirect. The connections are no part of the shares between workers.
    pub(super) fn listen<P: Probe>(
        self,
        settings: Settings,
        proxies: Option<Arc<Networks>>,
        log: Option<Box<dyn LogSink>>,
        reactor: &mut Reactor<P>,
    ) -> io::Result<Rc<Shared<Redirector>>> {
        let capacity = Capacity { connections: Self::CONNECTIONS, per_address: None };
        let (service, shares) = (Redirector { port: self.port }, Heartbeat::unwatched()?.shares());
        let shared = Shared::new(settings, service, log, capacity, shares, reactor.waker());
        let shared = Rc::new(shared);
        for socket in self.listeners {
            let listener = Listener::new(socket, AcceptMode::Shared);
            let layering = Layering { proxies: proxies.clone(), tls: None };
            reactor.add(Acceptor::new(listener, Rc::clone(&shared), Rc::new(())).with_layering(layering));
        }
        Ok(shared)
    }
}

/// Redirects to the port of TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Redirector {
    pub(super) port: u16,
}

impl Service for Redirector {
    fn handle(&self, request: &Request<'_>, _: Now) -> Reply {
        let host = request.fields.single("Host").and_then(name_of);
        let (Some(host), Target::Path { path, query }) = (host, request.target) else {
            return Reply::Ready(Response::error(Status::BAD_REQUEST));
        };
        // 443 is the port of `https` (RFC 9110 §4.2.2).
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        let mut location = format!("https://{host}{port}{}", escape_uri(path));
        if let Some(query) = query {
            location.push('?');
            location += &escape_uri(query);
        }
        let mut response = Response::error(Status::PERMANENT_REDIRECT);
        response.field("Location", location);
        // The client goes to another port.
        response.close = true;
        Reply::Ready(response)
    }
}

impl WorkerService for Redirector {}

/// The name or address in a `Host` field, without its port; `None` if it has a byte that no name has.
fn name_of(host: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_address = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
    let is_port = |rest: &str| {
        rest.is_empty()
            || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        let is_whole = !address.is_empty() && address.bytes().all(is_address) && is_port(rest);
        return is_whole.then(|| &host[..address.len() + 2]);
    }
    let name = host.split(':').next()?;
    (!name.is_empty() && name.bytes().all(is_name) && is_port(&host[name.len()..])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts() {
        for (host, want) in [
            ("example.org", Some("example.org")),
            ("example.org:8080", Some("example.org")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("192.0.2.1:", Some("192.0.2.1")),
            ("", None),
            (":80", None),
            ("a@b", None),
            ("a/b", None),
            ("a\\b", None),
            ("a:80:90", None),
            ("a:b", None),
            ("[]", None),
            ("[::1]x", None),
            ("[::1", None),
            ("a b", None),
        ] {
            assert_eq!(name_of(host.as_bytes()), want, "{host}");
        }
    }
}
