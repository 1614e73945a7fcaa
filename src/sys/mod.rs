//! System calls: the only module of the crate in which `unsafe` is allowed.
//!
//! The contract of this layer:
//!
//! * a function wraps *one* system call (or one short sequence with a name of its own, like `openat2` with its
//!   fallback) and knows nothing of the layers above;
//! * the signature is safe: borrowed descriptors in, owned descriptors and `io::Result` out;
//! * unless a function says otherwise, its errors are those of the system calls that its doc names;
//! * where a call exists on some systems only, its twins have the same signature, and the portable twin can be forced
//!   at run time ([`fallback`]), so that it is tested on a system that has the fast one;
//! * every `unsafe` block has a `SAFETY:` line.
//!
//! Most calls are made through `rustix` and `socket2`, which are safe. `unsafe` is left for `fork`, `sigaction`, the
//! signal handler's `write` and `errno`, `pthread_sigmask`, memory that processes share, descriptors and variables that
//! come with the process, a descriptor that mio shows as a number only, `TCP_DEFER_ACCEPT`, the clocks, `getifaddrs`, a call of Python's without
//! a safe name, `select`, the three calls of Landlock, the one of seccomp; and outside Linux `sendfile`, `setuid` and
//! `cap_enter`.

#![allow(unsafe_code)]

pub mod account;
pub mod bell;
pub mod beneath;
pub mod clocks;
pub mod descriptor;
pub mod directory;
pub mod fallback;
pub mod interfaces;
pub mod orders;
pub mod process;
#[cfg(feature = "wsgi")]
pub mod python;
pub mod readiness;
pub mod rights;
pub mod sandbox;
pub mod seccomp;
pub mod select;
pub mod send_queue;
pub mod sendfile;
pub mod shared;
pub mod signal;
pub mod socket;
pub mod thread_clock;
