//! The HTTP server on the reactor: what one worker process runs.
//!
//! | file | contents |
//! |---|---|
//! | `acceptor` | the listener: makes a channel of every connection |
//! | `channel` | one connection on the loop |
//! | `driver` | one connection on any transport: the protocol, the service, the log |
//! | `access_log` | a line for every answer |
//! | `confinement` | what a worker gives up before it serves |
//! | `inherit` | sockets that are there already |
//! | `listen` | the sockets, made before the fork |
//! | `log_target` | files for log lines, never waited for |
//! | `place` | where to listen, as it is asked for |
//! | `population` | how many connections there may be, and who has to go |
//! | `log_record` | what the access log says of one request |
//! | `memory` | a connection without a socket |
//! | `service` | what a worker asks of its service |
//! | `unix` | the files of Unix sockets |
//! | `worker` | the loop, and how it ends |

mod acceptor;
mod access_log;
mod channel;
mod confinement;
mod connection_table;
mod driver;
mod inherit;
mod listen_spec;
mod listeners;
mod log_record;
mod log_target;
mod memory;
mod service;
mod unix;
mod worker;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::clock::DateCache;
use crate::http1::Settings;
use crate::reactor::Waker;

pub use acceptor::Acceptor;
pub use access_log::AccessLog;
pub use channel::HttpChannel;
pub use confinement::{Confinement, Jail};
pub use connection_table::Capacity;
use connection_table::ConnectionTable;
pub use driver::{Driver, DriverContext, Spares};
pub use inherit::Inherited;
pub use listen_spec::{Address, BindError, Endpoint, ListenSpec};
pub use listeners::{Listeners, bind};
pub use log_record::{LogRecord, LogSink};
pub use log_target::LogTarget;
pub use memory::MemoryConnection;
pub use service::{PeerInfo, WorkerService};
pub use worker::{Running, Worker};

/// What all channels of a worker have in common.
#[derive(Debug)]
pub struct Shared<S> {
    /// The limits and names of every connection.
    pub settings: Settings,
    /// Makes the responses.
    pub service: S,
    /// Whether the worker is shutting down: no connection gets more than one more response.
    pub draining: Cell<bool>,
    resources: RefCell<Resources>,
    connections: Rc<ConnectionTable>,
}

/// What the one channel whose hook runs has for itself.
#[derive(Debug)]
struct Resources {
    /// The strings of this second.
    dates: DateCache,
    spares: Spares,
    /// Where a line for every response goes, if anywhere.
    log: Option<AccessLog>,
}

impl<S> Shared<S> {
    /// What a worker's channels share; `waker` is that of the reactor which they run on.
    #[must_use]
    pub fn new(
        settings: Settings,
        service: S,
        log: Option<AccessLog>,
        capacity: Capacity,
        waker: Waker,
    ) -> Self {
        Self {
            settings,
            service,
            draining: Cell::new(false),
            resources: RefCell::new(Resources { dates: DateCache::new(), spares: Spares::default(), log }),
            connections: Rc::new(ConnectionTable::new(capacity, waker)),
        }
    }

    /// Gives memory back that was needed for more connections than there are now.
    fn shrink(&self) {
        self.connections.shrink();
        self.resources.borrow_mut().spares = Spares::default();
    }

    /// Does something with the access log, if there is one.
    fn with_log<R>(&self, call: impl FnOnce(&mut AccessLog) -> R) -> Option<R> {
        self.resources.borrow_mut().log.as_mut().map(call)
    }
}
