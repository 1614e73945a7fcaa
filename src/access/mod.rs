//! Who may read: `--allow`, `--auth` and `--forwarded-from`, as a service around any service.
//!
//! ```text
//! head ──► Guarded::admit ──► client: the peer, or the address that a trusted proxy names
//!             │          ──► --allow: is the client in these networks? ──► 403
//!             │          ──► --auth: Verifier::ask ──► known ──► 401, or admitted
//!             │                        │
//!             │                        └─ unknown: the head stays in the input, the connection waits
//!             ▼                             └──► thread: Users::verify ──► wake ──► admit, again
//!        Guarded::handle ──► the service inside
//! ```
//!
//! A password is verified in a thread, because that takes tens of milliseconds by design. A server without these
//! options has none of this: its driver is compiled without the call of `admit`.
//!
//! | file | content |
//! |---|---|
//! | `basic` | the `Authorization` field: user and password |
//! | `crypt` | the hashes of passwords: bcrypt, and SHA-crypt |
//! | `forwarded` | the client that a proxy names |
//! | `guarded` | the service |
//! | `known` | the results that are remembered for a while |
//! | `users` | the file of users, read and checked |
//! | `verifier` | the thread that verifies, and its queue |

mod basic;
mod crypt;
mod forwarded;
mod guarded;
mod known;
mod users;
mod verifier;

pub use forwarded::{Forwarded, ForwardedOrigin};
pub use guarded::{Access, Guarded};
pub use users::Users;
