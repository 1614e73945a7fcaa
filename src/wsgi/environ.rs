//! The environ of a request: a copy of a template with everything that all requests have in common, and what this
//! request has of its own.

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

use super::error_stream::ErrorStream;
use super::file_wrapper::WsgiFileWrapper;
use super::names::{FieldName, FieldNames, FieldRule};
use super::request::OwnedRequest;
use super::shared::{WorkerContext, client_behind};
use super::spool::SpooledBody;
use crate::http1::decimal;
use crate::reactor::Peer;
use crate::sys::python::latin1;

/// Peer addresses whose text is kept.
const MAX_ADDRESSES: usize = 1024;

/// The application of a worker, and what its environs are made from.
#[derive(Debug)]
pub(super) struct Application {
    pub(super) callable: Py<PyAny>,
    /// One environ for each listening socket.
    templates: Vec<Py<PyDict>>,
    bytes_io: Py<PyAny>,
    open: Py<PyAny>,
    pub(super) context: Arc<WorkerContext>,
}

/// The values of `wsgi.multithread` and `wsgi.multiprocess`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Concurrency {
    pub(super) multithread: bool,
    pub(super) multiprocess: bool,
}

impl Application {
    /// An application that is served under `prefix`; `listeners` are the server's names and ports.
    ///
    /// # Errors
    /// `MemoryError`, or `ImportError` for `io`.
    pub(super) fn new(
        callable: Bound<'_, PyAny>,
        listeners: &[(String, String)],
        prefix: &str,
        concurrency: Concurrency,
        context: Arc<WorkerContext>,
    ) -> PyResult<Self> {
        let py = callable.py();
        let templates =
            listeners.iter().map(|listener| template(py, listener, prefix, concurrency, &context.server));
        let io = py.import("io")?;
        Ok(Self {
            templates: templates.collect::<PyResult<_>>()?,
            bytes_io: io.getattr("BytesIO")?.unbind(),
            open: io.getattr("open")?.unbind(),
            callable: callable.unbind(),
            context,
        })
    }
}

fn template(
    py: Python<'_>,
    (name, port): &(String, String),
    prefix: &str,
    concurrency: Concurrency,
    software: &str,
) -> PyResult<Py<PyDict>> {
    let dict = PyDict::new(py);
    // The values of most requests. Values that each request replaces are here, too, so that a copy need not grow.
    for (key, value) in [
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", prefix),
        ("PATH_INFO", ""),
        ("QUERY_STRING", ""),
        ("REQUEST_URI", ""),
        ("RAW_URI", ""),
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
    dict.set_item(key("wsgi.errors"), ErrorStream.into_pyobject(py)?)?;
    dict.set_item(key("wsgi.multithread"), concurrency.multithread)?;
    dict.set_item(key("wsgi.multiprocess"), concurrency.multiprocess)?;
    dict.set_item(key("wsgi.run_once"), false)?;
    dict.set_item(key("wsgi.input_terminated"), true)?;
    dict.set_item(key("wsgi.file_wrapper"), py.get_type::<WsgiFileWrapper>())?;
    // A copy of a dict has the empty slots of the original: two more keys make the table grow now, for all copies.
    let spare: Vec<String> = (0..2).map(|number| format!("spare {number}")).collect();
    spare.iter().try_for_each(|key| dict.set_item(key, py.None()))?;
    spare.iter().try_for_each(|key| dict.del_item(key))?;
    Ok(dict.unbind())
}

/// Makes environs, on one thread.
#[derive(Debug)]
pub(super) struct EnvironBuilder {
    names: FieldNames,
    addresses: HashMap<IpAddr, Py<PyString>, RandomState>,
}

/// What has been seen of the fields of a request.
#[derive(Default)]
struct SeenFields {
    /// A bit for each [`FieldName::number`].
    numbers: u128,
    forwarded_for: Vec<u8>,
    forwarded_proto: Vec<u8>,
}

impl EnvironBuilder {
    pub(super) fn new(py: Python<'_>) -> Self {
        Self { names: FieldNames::new(py), addresses: HashMap::default() }
    }

    /// Makes the environ of a request.
    ///
    /// # Errors
    /// `MemoryError`, or `OSError` for a body in a file.
    pub(super) fn build<'py>(
        &mut self,
        py: Python<'py>,
        application: &Application,
        request: &mut OwnedRequest,
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
            self.set_remote(py, &environ, address.ip())?;
            let mut digits = [0; 20];
            let port = latin1(py, decimal(address.port().into(), &mut digits))?;
            environ.set_item(intern!(py, "REMOTE_PORT"), port)?;
        }
        let trusted = &application.context.trusted;
        let is_trusted = !trusted.is_empty() && trusted.contains(address.map(|address| address.ip()));
        self.set_fields(py, &environ, request, is_trusted, application)?;
        if let Some(authority) = request.authority() {
            environ.set_item(intern!(py, "HTTP_HOST"), latin1(py, authority)?)?;
        }
        set_input(py, &environ, application, request)?;
        Ok(environ)
    }

    fn set_fields(
        &mut self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
        request: &OwnedRequest,
        is_trusted: bool,
        application: &Application,
    ) -> PyResult<()> {
        let mut seen = SeenFields::default();
        for (name, value) in request.fields() {
            let name = self.names.get(py, name);
            let separator = match name.rule {
                FieldRule::Drop => continue,
                FieldRule::Cookie => "; ",
                FieldRule::Field => ", ",
                FieldRule::ForwardedFor | FieldRule::ForwardedProto => {
                    if is_trusted {
                        let list = match name.rule {
                            FieldRule::ForwardedFor => &mut seen.forwarded_for,
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
            set_field(py, environ, name, value, separator, &mut seen.numbers)?;
        }
        if is_trusted {
            if let Some(client) = client_behind(&application.context.trusted, &seen.forwarded_for) {
                self.set_remote(py, environ, client)?;
                // The port of that client is not known.
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
        if self.addresses.len() >= MAX_ADDRESSES {
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
    name: &FieldName,
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

/// Sets the path, the query, and the target as it was sent: `RAW_URI` is gunicorn's name for it, `REQUEST_URI` that of others.
fn set_target(py: Python<'_>, environ: &Bound<'_, PyDict>, request: &OwnedRequest) -> PyResult<()> {
    let path: Cow<'_, [u8]> = percent_decode(request.path()).into();
    let path_string = latin1(py, &path)?;
    let target = match *path == *request.target() {
        true => path_string.clone(),
        false => latin1(py, request.target())?,
    };
    environ.set_item(intern!(py, "REQUEST_URI"), &target)?;
    environ.set_item(intern!(py, "RAW_URI"), target)?;
    environ.set_item(intern!(py, "PATH_INFO"), path_string)?;
    if !request.query().is_empty() {
        environ.set_item(intern!(py, "QUERY_STRING"), latin1(py, request.query())?)?;
    }
    Ok(())
}

/// Sets the body, which is here as a whole (WSGI I1 to I7).
fn set_input(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    application: &Application,
    request: &mut OwnedRequest,
) -> PyResult<()> {
    if request.has_length {
        let length = request.body.len().to_string();
        environ.set_item(intern!(py, "CONTENT_LENGTH"), length)?;
    }
    let input = match request.body.take()? {
        SpooledBody::Bytes([]) => application.bytes_io.bind(py).call0()?,
        SpooledBody::Bytes(bytes) => application.bytes_io.bind(py).call1((PyBytes::new(py, bytes),))?,
        SpooledBody::File(file) => {
            application.open.bind(py).call1((file.into_raw_fd(), intern!(py, "rb")))?
        }
    };
    environ.set_item(intern!(py, "wsgi.input"), input)
}
