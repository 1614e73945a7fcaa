//! The HTTP server of one worker process, on the reactor.
//!
//! | file | contents |
//! |---|---|
//! | `worker` | the loop of a worker, and its end |
//! | `worker/commands` | what signals and the master ask of it |
//! | `acceptor` | accepts connections, and makes a channel of each |
//! | `channel` | one connection on the loop |
//! | `wire` | what is between the socket of a connection and its protocol |
//! | `driver` | one connection on any transport: the protocol, the service, the log |
//! | `driver/ending` | how a connection ends before its peer closes it |
//! | `memory` | one connection over memory |
//! | `preface` | the beginning of a connection from a proxy |
//! | `proxy_header` | the header of the PROXY protocol |
//! | `service` | the trait that a worker needs beside responses |
//! | `redirector` | sends requests without TLS to the same URL with it |
//! | `capacity` | the number of connections that the descriptors allow |
//! | `connection_table` | the number of connections, and the choice of one to close |
//! | `log_record` | the record of one request and its response |
//! | `access_log` | a line for each record, in the combined format |
//! | `formatted_log` | a line for each record, in another format |
//! | `log_format` | the formats |
//! | `log_directive` | the directives in a format, in two spellings |
//! | `request_id` | the id of a request in logs |
//! | `ledger` | the destination of a worker's records: the access log, and counters |
//! | `networks` | sets of addresses |
//! | `printable` | text for a log, with everything escaped that could control a terminal |
//! | `log_target` | the files for log lines, written without blocking |
//! | `listen_spec` | the addresses to listen on, parsed |
//! | `listeners` | the listening sockets, made before the fork |
//! | `inherit` | listening sockets from a service manager or an old process |
//! | `unix` | the files of Unix sockets |
//! | `confinement` | the rights that a worker gives up before it serves |

mod acceptor;
mod access_log;
mod capacity;
mod channel;
mod confinement;
mod connection_table;
mod driver;
mod formatted_log;
mod inherit;
mod ledger;
mod listen_spec;
mod listeners;
mod log_directive;
mod log_format;
mod log_record;
mod log_target;
mod memory;
mod networks;
mod preface;
mod printable;
mod proxy_header;
mod redirector;
mod request_id;
mod service;
mod unix;
mod wire;
mod worker;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::chat::Spares;
use crate::clock::DateCache;
use crate::heartbeat::Shares;
use crate::http1::Settings;
use crate::reactor::Waker;

pub use acceptor::Acceptor;
pub use access_log::AccessLog;
pub use capacity::Capacity;
pub use channel::{HttpChannel, log_failure};
pub use confinement::{Confinement, Jail};
pub use connection_table::Activities;
use connection_table::ConnectionTable;
pub use driver::{Driver, DriverContext};
pub use inherit::Inherited;
pub use ledger::{Ledger, ResponseCounter};
pub use listen_spec::{Address, BindError, Endpoint, ListenSpec, Resolved};
pub use listeners::{Listeners, SocketFiles, bind};
pub use log_format::LogFormat;
pub use log_record::{LogRecord, LogSink};
pub use log_target::{LineFormat, LogTarget};
pub use memory::MemoryConnection;
pub use networks::{NETWORKS, Networks};
pub use printable::Printable;
pub use redirector::RedirectPlace;
pub use request_id::{MAX_REQUEST_ID, given_id, push_made_id};
pub use service::{AnyService, PeerInfo, TurnFacts, Visitor, WorkerService};
pub use wire::{Greeting, Layered, Layering, Layers, Plain, Wire};
pub use worker::{Running, Worker};

/// The state that all channels of a worker share.
#[derive(Debug)]
pub struct Shared<S> {
    /// The limits and time-outs of every connection.
    pub settings: Settings,
    /// Makes the responses.
    pub service: S,
    /// Whether the worker shuts down: the next response of each connection is its last.
    pub draining: Cell<bool>,
    resources: RefCell<Resources>,
    connections: Rc<ConnectionTable>,
}

/// The resources that the channel whose hook runs has for itself.
#[derive(Debug)]
struct Resources {
    dates: DateCache,
    spares: Spares,
    /// How many connections have much room in the kernel.
    wide: u32,
    log: Option<Box<dyn LogSink>>,
}

impl<S> Shared<S> {
    /// The shared state of channels on the reactor that `waker` belongs to; `shares` tells of other workers.
    #[must_use]
    pub fn new(
        settings: Settings,
        service: S,
        log: Option<Box<dyn LogSink>>,
        capacity: Capacity,
        shares: Shares,
        waker: Waker,
    ) -> Self {
        Self {
            settings,
            service,
            draining: Cell::new(false),
            resources: RefCell::new(Resources {
                dates: DateCache::new(),
                spares: Spares::default(),
                wide: 0,
                log,
            }),
            connections: Rc::new(ConnectionTable::new(capacity, shares, waker)),
        }
    }

    /// Frees memory after a peak in the number of connections.
    fn shrink(&self) {
        self.connections.shrink();
        self.resources.borrow_mut().spares = Spares::default();
    }

    /// Calls a function with the destination of records, if there is one.
    fn with_log<R>(&self, call: impl FnOnce(&mut dyn LogSink) -> R) -> Option<R> {
        let mut resources = self.resources.borrow_mut();
        let log = resources.log.as_deref_mut()?;
        Some(call(log))
    }

    /// Returns the number of connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.count()
    }
}
