//! The environ of a request: a copy of a template that holds everything which is the same for all, and what the
//! request says.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use foldhash::fast::RandomState;
use percent_encoding::percent_decode;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::file_wrapper::FileWrapper;
use super::names::{Name, Names, Rule};
use super::request::Request;
use super::shared::{Common, client_behind};
use super::spool::Body;
use crate::http1::decimal;
use crate::reactor::Peer;
use crate::sys::python::latin1;

/// So many addresses are kept as strings.
const ADDRESSES: usize = 1024;

/// The application of a worker, and what its environs are made of.
#[derive(Debug)]
pub(super) struct Application {
    pub(super) callable: Py<PyAny>,
    /// One for each listening socket.
    templates: Vec<Py<PyDict>>,
    bytes_io: Py<PyAny>,
    open: Py<PyAny>,
    pub(super) common: Arc<Common>,
}

/// How the application is run, as far as it may know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) multithread: bool,
    pub(super) multiprocess: bool,
}

impl Application {
    /// An application that is served under `prefix`, through listeners with these names and ports.
    ///
    /// # Errors
    /// When the interpreter has no memory, or no `io`.
    pub(super) fn new(
        callable: Bound<'_, PyAny>,
        listeners: &[(String, String)],
        prefix: &str,
        manner: Manner,
        common: Arc<Common>,
    ) -> PyResult<Self> {
        let py = callable.py();
        let templates: PyResult<_> =
            listeners.iter().map(|place| template(py, place, prefix, manner, &common.server)).collect();
        let io = py.import("io")?;
        Ok(Self {
            templates: templates?,
            bytes_io: io.getattr("BytesIO")?.unbind(),
            open: io.getattr("open")?.unbind(),
            callable: callable.unbind(),
            common,
        })
    }
}

fn template(
    py: Python<'_>,
    (name, port): &(String, String),
    prefix: &str,
    manner: Manner,
    software: &str,
) -> PyResult<Py<PyDict>> {
    let dict = PyDict::new(py);
    // What most requests have; and places for what each has of its own, so that the copies need not grow for it.
    for (key, value) in [
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", prefix),
        ("PATH_INFO", ""),
        ("QUERY_STRING", ""),
        ("REQUEST_URI", ""),
        ("SERVER_NAME", name),
        ("SERVER_PORT", port),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", software),
        ("REMOTE_ADDR", ""),
        ("REMOTE_HOST", ""),
        ("REMOTE_PORT", ""),
        ("wsgi.url_scheme", "http"),
    ] {
        dict.set_item(PyString::intern(py, key), PyString::intern(py, value))?;
    }
    let key = |key| PyString::intern(py, key);
    dict.set_item(key("wsgi.version"), (1, 0))?;
    dict.set_item(key("wsgi.input"), py.None())?;
    dict.set_item(key("wsgi.errors"), py.import("sys")?.getattr("stderr")?)?;
    dict.set_item(key("wsgi.multithread"), manner.multithread)?;
    dict.set_item(key("wsgi.multiprocess"), manner.multiprocess)?;
    dict.set_item(key("wsgi.run_once"), false)?;
    dict.set_item(key("wsgi.input_terminated"), true)?;
    dict.set_item(key("wsgi.file_wrapper"), py.get_type::<FileWrapper>())?;
    // The table of a dict is copied with its empty places: this one more makes it grow, now.
    let spare: Vec<String> = (0..2).map(|number| format!("spare {number}")).collect();
    spare.iter().try_for_each(|key| dict.set_item(key, py.None()))?;
    spare.iter().try_for_each(|key| dict.del_item(key))?;
    Ok(dict.unbind())
}

/// Makes environs, for one thread.
#[derive(Debug)]
pub(super) struct Environs {
    names: Names,
    addresses: HashMap<IpAddr, Py<PyString>, RandomState>,
}

/// What the fields of a request say beside what stands in the environ.
#[derive(Default)]
struct Seen {
    /// The numbers of the names that have come.
    names: u128,
    forwarded_for: Vec<u8>,
    forwarded_proto: Vec<u8>,
}

impl Environs {
    pub(super) fn new(py: Python<'_>) -> Self {
        Self { names: Names::new(py), addresses: HashMap::default() }
    }

    /// The environ of a request.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn make<'py>(
        &mut self,
        py: Python<'py>,
        application: &Application,
        request: &mut Request,
    ) -> PyResult<Bound<'py, PyDict>> {
        let listener = request.peer.map_or(0, |info| info.listener);
        let address = match request.peer.map(|info| info.peer) {
            Some(Peer::Internet(address)) => Some(address),
            Some(Peer::Unix) | None => None,
        };
        let template = application.templates.get(usize::from(listener)).or(application.templates.first());
        let environ = match template {
            Some(template) => template.bind(py).copy()?,
            None => PyDict::new(py),
        };
        if request.method() != b"GET" {
            environ.set_item(intern!(py, "REQUEST_METHOD"), latin1(py, request.method())?)?;
        }
        set_target(py, &environ, request)?;
        if request.protocol() != b"HTTP/1.1" {
            environ.set_item(intern!(py, "SERVER_PROTOCOL"), latin1(py, request.protocol())?)?;
        }
        if let Some(address) = address {
            self.set_remote(py, &environ, address.ip().to_canonical())?;
            let mut digits = [0; 20];
            let port = latin1(py, decimal(address.port().into(), &mut digits))?;
            environ.set_item(intern!(py, "REMOTE_PORT"), port)?;
        }
        let trusted = &application.common.trusted;
        let is_trusted = !trusted.is_nobody() && trusted.has(address.map(|address| address.ip()));
        self.set_fields(py, &environ, request, is_trusted, application)?;
        set_input(py, &environ, application, request)?;
        Ok(environ)
    }

    fn set_fields(
        &mut self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        request: &Request,
        is_trusted: bool,
        application: &Application,
    ) -> PyResult<()> {
        let mut seen = Seen::default();
        for (name, value) in request.fields() {
            let name = self.names.get(py, name);
            let separator = match name.rule {
                Rule::Drop => continue,
                Rule::Cookie => "; ",
                Rule::Field => ", ",
                Rule::ForwardedFor | Rule::ForwardedProto => {
                    if is_trusted {
                        let list = match name.rule {
                            Rule::ForwardedFor => &mut seen.forwarded_for,
                            _ => &mut seen.forwarded_proto,
                        };
                        if !list.is_empty() {
                            list.push(b',');
                        }
                        list.extend_from_slice(value);
                    }
                    ", "
                }
            };
            set_field(py, environ, name, value, separator, &mut seen.names)?;
        }
        if is_trusted {
            if let Some(client) = client_behind(&application.common.trusted, &seen.forwarded_for) {
                self.set_remote(py, environ, client)?;
                // His port is not known.
                environ.del_item(intern!(py, "REMOTE_PORT"))?;
            }
            let scheme = seen.forwarded_proto.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            if scheme.trim_ascii().eq_ignore_ascii_case(b"https") {
                environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
            }
        }
        Ok(())
    }

    fn set_remote(&mut self, py: Python<'_>, environ: &Bound<'_, PyDict>, address: IpAddr) -> PyResult<()> {
        if self.addresses.len() >= ADDRESSES {
            self.addresses.clear();
        }
        let known = self.addresses.entry(address);
        let text = known.or_insert_with(|| PyString::new(py, &address.to_string()).unbind());
        environ.set_item(intern!(py, "REMOTE_ADDR"), &*text)?;
        environ.set_item(intern!(py, "REMOTE_HOST"), &*text)
    }
}

fn set_field(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    name: &Name,
    value: &[u8],
    separator: &str,
    seen: &mut u128,
) -> PyResult<()> {
    let value = latin1(py, value)?;
    let is_new = match name.number {
        Some(number) => {
            let bit = 1 << number;
            let is_new = *seen & bit == 0;
            *seen |= bit;
            is_new
        }
        None => !environ.contains(&name.key)?,
    };
    if is_new {
        return environ.set_item(&name.key, value);
    }
    match environ.get_item(&name.key)? {
        Some(before) => environ.set_item(&name.key, before.add(separator)?.add(value)?),
        None => environ.set_item(&name.key, value),
    }
}

/// Path, query, and the target as it was sent.
fn set_target(py: Python<'_>, environ: &Bound<'_, PyDict>, request: &Request) -> PyResult<()> {
    let path: Cow<'_, [u8]> = percent_decode(request.path()).into();
    let path_string = latin1(py, &path)?;
    if *path == *request.target() {
        environ.set_item(intern!(py, "REQUEST_URI"), &path_string)?;
    } else {
        environ.set_item(intern!(py, "REQUEST_URI"), latin1(py, request.target())?)?;
    }
    environ.set_item(intern!(py, "PATH_INFO"), path_string)?;
    if !request.query().is_empty() {
        environ.set_item(intern!(py, "QUERY_STRING"), latin1(py, request.query())?)?;
    }
    Ok(())
}

/// The body: all of it is here (WSGI I1 to I7).
fn set_input(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    application: &Application,
    request: &mut Request,
) -> PyResult<()> {
    if request.has_length {
        let length = request.body.len().to_string();
        environ.set_item(intern!(py, "CONTENT_LENGTH"), length)?;
    }
    let input = match request.body.take()? {
        Body::Bytes([]) => application.bytes_io.bind(py).call0()?,
        Body::Bytes(bytes) => application.bytes_io.bind(py).call1((PyBytes::new(py, bytes),))?,
        Body::File(file) => application.open.bind(py).call1((file.into_raw_fd(), intern!(py, "rb")))?,
    };
    environ.set_item(intern!(py, "wsgi.input"), input)
}
