//! A worker in a thread of any Python process, for tests and for programs that do more than serve: no fork, no signal, no
//! master. `stheno_wsgi/local.py` has the thread.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use log::LevelFilter;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arguments::{self, exception};
use super::content::{self, WsgiContent};
use super::environ::Application;
use super::error_log;
use super::options::GivenOptions;
use super::server::{Callbacks, WsgiApp};
use super::shared::lock;
use crate::app::server::App;
use crate::app::setup::{Setup, open_log};
use crate::heartbeat::Heartbeat;
use crate::master::Assignment;
use crate::server::{Address, LogTarget};
use crate::sys::orders::{self, MasterOrder};
use crate::sys::signal::Signals;

/// How long the threads of a pool may take to end.
const THREADS_END: Duration = Duration::from_millis(300);

/// A server that listens from the beginning, and serves once.
#[pyclass(frozen, module = "stheno_wsgi._stheno")]
pub(super) struct LocalServer {
    app: WsgiApp,
    state: Mutex<LocalState>,
}

enum LocalState {
    Listening(Box<Setup>, LogTarget),
    /// It serves in some thread, and takes orders from this end of a socket.
    Serving(OwnedFd),
    Closed,
}

#[pymethods]
impl LocalServer {
    /// Listens. Raises `TypeError` for a name that is no option, `ValueError` for a value that is not valid, and `OSError`
    /// when it cannot listen. `load` returns the application.
    #[new]
    fn new(py: Python<'_>, load: Py<PyAny>, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let given = GivenOptions::from_arguments(arguments::settings(options)?);
        let callbacks = Callbacks { load, ready: py.None(), hooks: py.None(), name: None };
        let mut app = WsgiApp::new(given, callbacks);
        let (mut base, _) = app.load(false).map_err(exception)?;
        // To end a worker that hangs would be to end the process.
        (base.worker_timeout, base.workers) = (Duration::ZERO, 1);
        let log = open_log(&base).map_err(exception)?;
        // The log belongs to the process: the first server that has one decides.
        if log::max_level() == LevelFilter::Off {
            log.take_the_log(base.log, Some(error_log::format_line));
            error_log::open(log.clone());
        }
        let setup = Setup::open_alone(base).map_err(exception)?;
        Ok(Self { app, state: Mutex::new(LocalState::Listening(Box::new(setup), log)) })
    }

    /// Where it listens: `(host, port)` for each TCP socket, the path for each Unix socket.
    fn addresses(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let state = lock(&self.state);
        let LocalState::Listening(setup, _) = &*state else {
            return Ok(Vec::new());
        };
        let address = |address: &Address| match address {
            Address::Internet(address) => {
                let pair = (address.ip().to_string(), address.port());
                Ok(pair.into_pyobject(py)?.into_any().unbind())
            }
            Address::Unix(path) => Ok(path.as_os_str().into_pyobject(py)?.into_any().unbind()),
        };
        setup.listeners.addresses.iter().map(address).collect()
    }

    /// Serves until it is stopped. Raises `RuntimeError` if it serves already, or was closed.
    fn serve(&self, py: Python<'_>) -> PyResult<()> {
        let (ours, theirs) = orders::pair()?;
        let before = std::mem::replace(&mut *lock(&self.state), LocalState::Serving(ours));
        let LocalState::Listening(setup, log) = before else {
            *lock(&self.state) = before;
            return Err(closed());
        };
        let served = self.serve_with(py, *setup, log, theirs);
        *lock(&self.state) = LocalState::Closed;
        served
    }

    /// Ends it: after the responses in progress, or at once. A server that does not serve only closes its sockets.
    fn stop(&self, at_once: bool) -> PyResult<()> {
        let mut state = lock(&self.state);
        match &*state {
            LocalState::Serving(link) => {
                let order = if at_once { MasterOrder::Stop } else { MasterOrder::Drain };
                match orders::send(link.as_fd(), &order) {
                    // It has just ended.
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                    sent => Ok(sent?),
                }
            }
            LocalState::Listening(..) => {
                *state = LocalState::Closed;
                Ok(())
            }
            LocalState::Closed => Ok(()),
        }
    }
}

impl LocalServer {
    fn serve_with(&self, py: Python<'_>, setup: Setup, log: LogTarget, link: OwnedFd) -> PyResult<()> {
        let options = Arc::clone(self.app.options.as_ref().ok_or_else(closed)?);
        let callable = self.app.load_application(py, &options)?;
        let application = content::application(py, callable, &options, &setup)?;
        let assignment = Assignment {
            slot: 0,
            pending: false,
            signals: Signals::none()?,
            master_link: link,
            heartbeat: Heartbeat::unwatched()?,
        };
        let files: Vec<_> = setup.all_listeners().map(|listeners| listeners.keep_files()).collect();
        let served = py.detach(move || {
            let content = WsgiContent::open(&setup.config, options).map_err(exception)?;
            let served = self.app.serve((&application, None), (setup, content), assignment, log);
            wait_for_threads(&application);
            served.map_err(|(_, error)| error.into())
        });
        drop(files);
        served
    }
}

/// Waits until the threads of the pool have ended, each of which has a reference to the application; not for one that is
/// still in the application after [`THREADS_END`].
fn wait_for_threads(application: &Arc<Application>) {
    let start = Instant::now();
    while Arc::strong_count(application) > 1 && start.elapsed() < THREADS_END {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn closed() -> PyErr {
    PyRuntimeError::new_err("the server serves already, or is closed")
}
