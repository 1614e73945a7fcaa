//! The status page (`--status`): a live page about the server, metrics for Prometheus, and its health.
//!
//! ```text
//! worker: turns, accepts, responses ──stores──► Slot of the Board (shared memory)
//!                                                  │ loads
//! any worker: GET /metrics, /, /events ──► Reports::read ──► Snapshot ──► metrics, page, json
//! ```
//!
//! Every worker reports into memory that all of them share, so whichever one takes a request for a page shows all of them.
//! The pages have a listening socket of their own, which every worker accepts on, and connections of their own, which take
//! no room from clients. A worker without `--status` has none of this: its loop is compiled without the reports.
//!
//! | file | content |
//! |---|---|
//! | `board` | the counters of all workers, in shared memory |
//! | `snapshot` | all of them, read at one moment |
//! | `findings` | what the counters alone show to be wrong |
//! | `metrics` | the text for Prometheus |
//! | `json` | the data of an event of the live page |
//! | `page` | the page, its script and its style |
//! | `events` | the stream of events |
//! | `service` | the pages as a service, and the reports around the service of clients |
//! | `station` | all of it on a worker's loop |

mod board;
mod events;
mod findings;
mod json;
mod metrics;
mod page;
mod service;
mod snapshot;
mod station;
mod told;

pub use board::{Board, ServedTotals};
pub use service::Watched;
pub use station::{Station, Unrecorded};
