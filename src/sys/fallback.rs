//! The test switch that forces the portable twin of a system call.
//!
//! `STHENO_FORCE_FALLBACK=openat2,sendfile` (or `all`) in the environment of the binary sets it before anything is
//! opened. It costs one relaxed load per call, and lets the same tests, over the wire and on Linux, test the twins for
//! systems without these calls.

use std::sync::atomic::{AtomicBool, Ordering};

static OPENAT2: AtomicBool = AtomicBool::new(false);
static SENDFILE: AtomicBool = AtomicBool::new(false);

/// The environment variable whose value the binary passes to [`force`].
pub const VARIABLE: &str = "STHENO_FORCE_FALLBACK";

/// Forces the twins in `names`, a comma-separated list of `openat2`, `sendfile`, `all`. Fails at an unknown name.
pub fn force(names: &str) -> Result<(), String> {
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "openat2" => OPENAT2.store(true, Ordering::Relaxed),
            "sendfile" => SENDFILE.store(true, Ordering::Relaxed),
            "all" => {
                OPENAT2.store(true, Ordering::Relaxed);
                SENDFILE.store(true, Ordering::Relaxed);
            }
            _ => return Err(format!("{VARIABLE}: unknown name '{name}'; use openat2, sendfile or all")),
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
pub(super) fn without_openat2() -> bool {
    OPENAT2.load(Ordering::Relaxed)
}

pub(super) fn without_sendfile() -> bool {
    SENDFILE.load(Ordering::Relaxed)
}
