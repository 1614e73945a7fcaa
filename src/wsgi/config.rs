//! The options of the WSGI server, checked.

use std::path::PathBuf;

use super::shared::Trusted;
use crate::config::{self, BaseConfig, ConfigError, MAX_WORKERS, Values};
use crate::files::Symlinks;
use crate::http1::Limits;
use crate::sys::account::Identity;

/// What an application needs beyond the sockets, processes, logs and limits that every server has.
#[derive(Debug)]
pub(super) struct WsgiOptions {
    /// `MODULE:CALLABLE`; empty for an application that a program gives.
    pub(super) app: String,
    /// Whether the callable returns the application.
    pub(super) factory: bool,
    pub(super) reload: bool,
    pub(super) preload: bool,
    /// The configuration of Python's `logging`.
    pub(super) log_config: Option<PathBuf>,
    /// Threads of each worker that call the application; 0 for the loop itself.
    pub(super) threads: usize,
    /// Threads beyond `threads`, which run in the place of those that wait for slow clients.
    pub(super) spare_threads: usize,
    /// Requests after which a worker is replaced; 0 for no limit.
    pub(super) max_requests: u64,
    pub(super) run_abandoned: bool,
    /// The path of the application, without a slash at its end.
    pub(super) url_prefix: String,
    /// Folders that are served without Python, by the prefix of their paths, which has no slash at its end either.
    pub(super) mounts: Vec<(String, PathBuf)>,
    /// How the links in these folders are followed.
    pub(super) symlinks: Symlinks,
    /// The user and group that workers become, if they change.
    pub(super) identity: Option<Identity>,
    pub(super) trusted: Trusted,
}

/// Checks all values.
///
/// # Errors
/// The first one that is not valid.
pub(super) fn check(values: &Values) -> Result<(BaseConfig, WsgiOptions), ConfigError> {
    let (reload, preload) = (values.has("reload"), values.has("preload"));
    if reload && preload {
        return Err(
            values.usage("reload", "it loads the application again, and --preload keeps it: leave one out")
        );
    }
    let options = WsgiOptions {
        app: values.text("app").into(),
        factory: values.has("factory"),
        reload,
        preload,
        log_config: values.path("log-config"),
        threads: values.number("threads", 0..=MAX_WORKERS)?,
        spare_threads: values.number("spare-threads", 0..=MAX_WORKERS)?,
        max_requests: values.number("max-requests", 0..=u64::MAX)?,
        run_abandoned: values.has("run-abandoned"),
        url_prefix: url_prefix(values)?,
        mounts: values.all("static").map(|text| mount(values, text)).collect::<Result<_, _>>()?,
        symlinks: if values.has("follow-symlinks") { Symlinks::Anywhere } else { Symlinks::Inside },
        identity: config::identity(values)?,
        trusted: trusted(values)?,
    };
    Ok((base(values)?, options))
}

fn base(values: &Values) -> Result<BaseConfig, ConfigError> {
    let mut base = config::base(values)?;
    let limits = &mut base.settings.limits;
    if limits.body == 0 {
        *limits = Limits { body: u64::MAX, drained_body: Limits::default().drained_body, ..*limits };
    }
    Ok(base)
}

fn url_prefix(values: &Values) -> Result<String, ConfigError> {
    let prefix = values.text("url-prefix").trim_end_matches('/');
    match prefix {
        "" => Ok(String::new()),
        prefix if prefix.starts_with('/') => Ok(prefix.into()),
        _ => Err(values.usage("url-prefix", "begin it with a slash")),
    }
}

fn mount(values: &Values, text: &str) -> Result<(String, PathBuf), ConfigError> {
    let (prefix, folder) = text.split_once('=').unwrap_or_default();
    let prefix = prefix.trim_end_matches('/');
    if !prefix.starts_with('/') || folder.is_empty() {
        let wanted = "give /PREFIX=FOLDER, with a prefix that is more than a slash";
        return Err(values.invalid("static", text, wanted));
    }
    Ok((prefix.into(), folder.into()))
}

fn trusted(values: &Values) -> Result<Trusted, ConfigError> {
    let text = values.all("forwarded-allow-ips").collect::<Vec<_>>().join(",");
    Trusted::parse(&text).map_err(|word| {
        values.invalid("forwarded-allow-ips", &word, "give addresses, networks or *, separated by commas")
    })
}
