//! The HTTP server on the reactor: what one worker process runs.
//!
//! | file | what stands there |
//! |---|---|
//! | `acceptor` | the listener: makes a channel of every connection |
//! | `channel` | one connection: bytes from the socket to [`crate::http1::Connection`] and back |
//! | `access_log` | a line for every answer |
//! | `confinement` | what a worker gives up before it serves |
//! | `inherit` | sockets that are there already |
//! | `listen` | the sockets, made before the fork |
//! | `log_target` | files for log lines, never waited for |
//! | `place` | where to listen, as it is asked for |
//! | `population` | how many connections there may be, and who has to go |
//! | `unix` | the files of Unix sockets |
//! | `worker` | the loop, and how it ends |

mod acceptor;
mod access_log;
mod channel;
mod confinement;
mod connection_table;
mod inherit;
mod listen_spec;
mod listeners;
mod log_target;
mod unix;
mod worker;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::chat::{OutQueue, Spare};
use crate::clock::DateCache;
use crate::http1::Settings;
use crate::reactor::Waker;

pub use acceptor::Acceptor;
pub use access_log::AccessLog;
pub use channel::HttpChannel;
pub use confinement::{Confinement, Jail};
pub use connection_table::Capacity;
use connection_table::ConnectionTable;
pub use inherit::Inherited;
pub use listen_spec::{BindError, Endpoint, ListenSpec};
pub use listeners::{Address, Listeners, bind};
pub use log_target::LogTarget;
pub use worker::{Running, Worker};

/// What all channels of a worker have in common.
#[derive(Debug)]
pub struct Shared<S> {
    /// The limits and names of every connection.
    pub settings: Settings,
    /// Who answers.
    pub service: S,
    /// The strings of this second.
    pub dates: RefCell<DateCache>,
    /// Where a line for every answer goes, if anywhere.
    pub log: Option<RefCell<AccessLog>>,
    /// Whether the worker is shutting down: no connection gets more than one more answer.
    pub draining: Cell<bool>,
    population: Rc<ConnectionTable>,
    /// Memory that connections give back when they have nothing to send.
    spares: RefCell<Vec<Spare>>,
}

/// More than these are given back to the system: in one turn of the loop hardly more connections than this
/// have something to send at the same time.
const SPARES: usize = 64;

impl<S> Shared<S> {
    /// What a worker's channels share. Exchanges are recorded if there is a log for them; `waker` is that of
    /// the reactor which they run on.
    #[must_use]
    pub fn new(
        settings: Settings,
        service: S,
        log: Option<AccessLog>,
        capacity: Capacity,
        waker: Waker,
    ) -> Self {
        Self {
            settings: Settings { record: log.is_some(), ..settings },
            service,
            dates: RefCell::new(DateCache::new()),
            log: log.map(RefCell::new),
            draining: Cell::new(false),
            population: Rc::new(ConnectionTable::new(capacity, waker)),
            spares: RefCell::default(),
        }
    }

    /// Gives memory back that was needed for more connections than there are now.
    fn shrink(&self) {
        self.population.shrink();
        *self.spares.borrow_mut() = Vec::new();
    }

    fn lend(&self, queue: &mut OutQueue) {
        if let Some(spare) = self.spares.borrow_mut().pop() {
            queue.lend(spare);
        }
    }

    fn reclaim(&self, queue: &mut OutQueue) {
        if let Some(spare) = queue.reclaim() {
            let mut spares = self.spares.borrow_mut();
            if spares.len() < SPARES {
                spares.push(spare);
            }
        }
    }
}
