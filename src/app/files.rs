//! The file server as the master sees it: one directory, served by a [`Front`].

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::slice;

use log::{error, info, warn};

use super::explain::{self, Asked};
use super::server::App;
use super::setup::Setup;
use super::start_lines::StartLines;
use crate::access::{Access, Users};
use crate::cli::{OptionGroup, OptionWords};
use crate::config::{self, BaseConfig, Config, ConfigError, Values};
use crate::files::FileService;
use crate::master::{Assignment, BOOT_FAILURE};
use crate::server::{Confinement, ListenSpec, LogTarget, Worker};
use crate::status::Station;
use crate::sys::{beneath, process};

/// The part of the descriptors that the file cache may hold at most.
const CACHED_SHARE: usize = 16;

/// What serves files in a worker: the reactor in `stheno`, a Tokio runtime in `examples/tokio_httpd.rs`.
pub trait Front {
    /// The name of the program, which begins its error messages.
    const NAME: &'static str;

    /// The words of the command line.
    type Words: OptionWords;

    /// The table of the same options: those of the server, and any of the program's own.
    fn options(&self) -> Vec<OptionGroup> {
        config::options()
    }

    /// Takes its own options, and changes each configuration that is read to what it can do. Returns the number of
    /// threads in a worker.
    ///
    /// # Errors
    /// When one of its own options is not valid.
    fn adapt(&mut self, _values: &Values, _config: &mut Config) -> Result<usize, ConfigError> {
        Ok(1)
    }

    /// Serves the clients that have `access` with `threads` threads until it is told to stop, and shows the status page if
    /// there is one.
    ///
    /// # Errors
    /// Why it cannot serve, and the exit code: [`BOOT_FAILURE`] if another try would end
    /// the same way, else [`FAILURE`](crate::master::FAILURE).
    fn serve(
        &self,
        worker: Worker<FileService>,
        status: Option<Station>,
        access: Access,
        threads: usize,
    ) -> Result<(), (i32, io::Error)>;
}

/// Checks that no private key is among the files that are served, which are below `roots`.
///
/// # Errors
/// What to do with the key.
pub(crate) fn check_keys(base: &BaseConfig, roots: &[PathBuf]) -> Result<(), ConfigError> {
    let mut keys = base.tls.iter().flat_map(|files| &files.pairs).map(|(_, key)| key);
    // A key that is not there has an error of its own.
    let is_served = |key: &Path| roots.iter().any(|root| beneath::contains(root, key).unwrap_or(false));
    keys.find(|key| is_served(key)).map_or(Ok(()), |key| {
        let line = format!(
            "the key {} is inside of the directory that is served: move it out of there",
            key.display()
        );
        Err(base.sources.start_error("--tls-key", line))
    })
}

/// A file server: the words of its command line, which a reload reads again, and what serves in its workers.
pub(super) struct FileApp<F> {
    pub(super) front: F,
    pub(super) words: Vec<String>,
}

/// What the workers of one configuration serve, and the number of threads in each.
pub(super) struct FileContent {
    service: FileService,
    access: Access,
    confinement: Confinement,
    threads: usize,
    /// The line of the root in the start-up lines.
    root: String,
}

impl<F: Front> FileApp<F> {
    /// The text of `--explain`, and whether the status is below 400. From here on this process is confined as a worker is,
    /// so that what a worker may not read is refused here, too.
    pub(super) fn explain(&mut self) -> Result<(String, bool), ConfigError> {
        let values = Values::read::<F::Words>(self.front.options(), &self.words)?;
        let asked = Asked::read(values.text("explain"), values.all("explain-header"));
        let asked = asked.map_err(|(option, wanted)| values.usage(option, wanted))?;
        let (base, FileContent { service, access, confinement, .. }) = self.load(false)?;
        if confinement.is_jail() {
            service.confine();
        }
        let explained = confinement
            .enter(service.root().as_fd())
            .and_then(|()| explain::explain(&service, &base.settings, &access, &asked));
        explained.map_err(|error| ConfigError::Start(format!("cannot explain as a worker would: {error}")))
    }
}

impl<F: Front> App for FileApp<F> {
    type Content = FileContent;

    fn load(&mut self, is_activated: bool) -> Result<(BaseConfig, FileContent), ConfigError> {
        let values = Values::read::<F::Words>(self.front.options(), &self.words)?;
        let mut config = Config::from_values(&values)?;
        let threads = self.front.adapt(&values, &mut config)?;
        let Config { mut base, root, mut files, access, identity, jail } = config;
        // The places are a service manager's, and those of the configuration are not used.
        files.listing &= !is_activated || values.has("listing");
        check_keys(&base, slice::from_ref(&root))?;
        let most = process::raise_descriptor_limit() / CACHED_SHARE;
        files.cached_files = if files.file_cache.is_zero() { 0 } else { files.cached_files.min(most) };
        base.reserved = files.cached_files;
        let service = FileService::with_options(&root, files).map_err(|error| {
            base.sources.start_error("--root", format!("cannot serve {}: {error}", root.display()))
        })?;
        let users = access.auth.map(|path| Users::read(&path, slice::from_ref(&root))).transpose();
        let users = users.map_err(|line| base.sources.start_error("--auth", line))?;
        let content = FileContent {
            service,
            access: Access { allow: access.allow, users, forwarded: access.forwarded },
            confinement: Confinement::new(identity, jail),
            threads,
            root: format!("root     {}", root.display()),
        };
        Ok((base, content))
    }

    fn start_lines(&self, config: &BaseConfig, content: &FileContent) -> StartLines {
        if let Some(missing) = content.confinement.missing() {
            info!("this kernel lacks {missing}: workers are confined as far as it goes");
        }
        if content.access.refuses_this_machine() && config.listen.iter().all(ListenSpec::is_loopback) {
            warn!(
                "--allow leaves out this machine, and no other can connect: give --host 0.0.0.0, or allow 127.0.0.1"
            );
        }
        let poller = if cfg!(target_os = "linux") { "epoll" } else { "kqueue" };
        StartLines {
            program: "stheno",
            subject: content.root.clone(),
            prefix: String::new(),
            detail: format!("poller   {poller}, accept {}", config.accept),
        }
    }

    fn work(&mut self, setup: Setup, content: FileContent, assignment: Assignment, log: LogTarget) -> i32 {
        let FileContent { service, access, confinement, threads, .. } = content;
        let recorder = match setup.recorder(assignment.slot) {
            Ok(recorder) => recorder,
            Err(error) => {
                error!("a worker cannot record its loop: {error}");
                return BOOT_FAILURE;
            }
        };
        // After everything is open, and before the first connection is accepted.
        if confinement.is_jail() {
            service.confine();
        }
        let confined = confinement.enter(service.root().as_fd()).map_err(|error| (BOOT_FAILURE, error));
        let served = confined.and_then(|()| {
            let (worker, status) = setup.into_worker(assignment, log, recorder, service);
            self.front.serve(worker, status, access, threads)
        });
        served.map_or_else(
            |(code, error)| {
                error!("a worker cannot serve: {error}");
                code
            },
            |()| 0,
        )
    }
}
