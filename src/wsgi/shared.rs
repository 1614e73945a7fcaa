//! What the loop of a worker shares with the threads that call the application.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sent_pieces::SentPieces;

/// Locks a mutex. A panic of another thread leaves nothing half done under the locks of this part.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every response of a worker depends on.
#[derive(Debug, Default)]
pub(super) struct WorkerContext {
    /// The value of the `Server` field.
    pub(super) server: String,
    /// Whether the worker is draining: each response is the last of its connection.
    pub(super) draining: AtomicBool,
    /// The field in which proxies name the client, if there are any: `X-Forwarded-For`, for example.
    pub(super) forwarded_field: Option<String>,
    /// Whether requests are run whose clients are gone.
    pub(super) run_abandoned: bool,
    /// Whether the access log has fields of responses.
    pub(super) logs_fields: bool,
    /// How long the loop may wait in `write` for a client.
    pub(super) patience: Duration,
    /// Large pieces whose last byte has left.
    pub(super) sent: SentPieces,
}
