//! What the workers of one configuration serve.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use super::config::WsgiOptions;
use super::environ::{Application, Concurrency, ServerPlace};
use super::lent_output::MAX_PATIENCE;
use super::service::Mount;
use super::shared::WorkerContext;
use crate::access::{Access, Users};
use crate::app;
use crate::app::setup::Setup;
use crate::config::{AccessConfig, BaseConfig, ConfigError};
use crate::files::{self, FileService};
use crate::server::{Address, LogFormat};

/// What the workers of one configuration serve.
pub(super) struct WsgiContent {
    pub(super) options: Arc<WsgiOptions>,
    pub(super) mounts: Vec<Mount>,
    /// The clients and users that are served; `None` for all.
    pub(super) access: Option<Access>,
}

impl WsgiContent {
    /// Opens the folders that are served beside the application, and reads the file of users.
    ///
    /// # Errors
    /// One of them cannot be read, or a secret is among the files that are served.
    pub(super) fn open(base: &BaseConfig, options: Arc<WsgiOptions>) -> Result<Self, ConfigError> {
        let mounts = options.mounts.iter().map(|(prefix, folder)| {
            let how = files::Options { symlinks: options.symlinks, ..files::Options::default() };
            let files = FileService::with_options(folder, how).map_err(|error| {
                let line = format!("--static {prefix}={}: {error}", folder.display());
                base.sources.start_error("--static", line)
            })?;
            Ok(Mount { prefix: prefix.clone(), files })
        });
        let mounts = mounts.collect::<Result<_, _>>()?;
        let access = open_access(base, &options)?;
        Ok(Self { options, mounts, access })
    }
}

/// Reads the file of users, and checks that neither it nor a key is among the files that are served.
fn open_access(base: &BaseConfig, options: &WsgiOptions) -> Result<Option<Access>, ConfigError> {
    let roots: Vec<_> = options.mounts.iter().map(|(_, folder)| folder.clone()).collect();
    app::check_keys(base, &roots)?;
    let AccessConfig { allow, auth, forwarded } = &options.access;
    let users = auth.as_ref().map(|path| Users::read(path, &roots)).transpose();
    let users = users.map_err(|line| base.sources.start_error("--auth", line))?;
    // Proxies alone refuse nobody.
    let is_restricted = allow.is_some() || users.is_some();
    Ok(is_restricted.then(|| Access { allow: allow.clone(), users, forwarded: forwarded.clone() }))
}

/// The application, for a worker that listens as `setup` says.
pub(super) fn application(
    py: Python<'_>,
    callable: Py<PyAny>,
    options: &WsgiOptions,
    setup: &Setup,
) -> PyResult<Arc<Application>> {
    let (base, addresses) = (&setup.config, &setup.listeners.addresses);
    let places: Vec<_> = addresses.iter().map(|address| place(address, setup.tls.is_some())).collect();
    let concurrency = Concurrency { multithread: options.threads > 1, multiprocess: base.workers > 1 };
    let context = WorkerContext {
        server: base.settings.server.clone(),
        forwarded_field: options.proxies.as_ref().map(|proxies| proxies.forwarded.field.clone()),
        patience: patience(base.worker_timeout),
        run_abandoned: options.run_abandoned,
        logs_fields: base.access_log_format.as_deref().is_some_and(LogFormat::has_response_fields),
        ..WorkerContext::default()
    };
    let callable = callable.into_bound(py);
    Application::new(callable, &places, &options.url_prefix, concurrency, Arc::new(context)).map(Arc::new)
}

/// How long the loop may wait for a client in `write`: a worker that is away from its loop for `timeout` is ended, with all
/// of its connections.
fn patience(timeout: Duration) -> Duration {
    if timeout.is_zero() { MAX_PATIENCE } else { MAX_PATIENCE.min(timeout / 3) }
}

/// Name and port are never empty (WSGI E8). Unix sockets have no TLS.
fn place(address: &Address, has_tls: bool) -> ServerPlace {
    match address {
        Address::Internet(address) => {
            ServerPlace { name: address.ip().to_string(), port: address.port().to_string(), is_tls: has_tls }
        }
        Address::Unix(_) => ServerPlace { name: "localhost".into(), port: "80".into(), is_tls: false },
    }
}
