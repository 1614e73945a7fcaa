//! Modules import from lower layers, never from higher ones (docs/DESIGN.md, "Layers"), and files of a module do not
//! import each other in a circle.
//!
//! The tests read the sources. What each part and each file may import is listed here, so that a new dependency is a
//! decision that someone writes down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "support/imports.rs"]
mod imports;

use imports::{Imports, circle, code, imports_inside, named, sources, types};

/// Part of the crate → the parts that it may import. Each part imports only parts that are above it in this list, so there
/// is no circle.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("slab", &[]),
    ("clock", &["sys"]),
    ("timers", &["clock", "slab"]),
    ("heartbeat", &["clock", "sys"]),
    ("chat", &[]),
    ("http1", &["chat", "clock"]),
    ("json", &[]),
    ("tls", &["chat"]),
    ("recording", &["clock", "json", "sys"]),
    ("reactor", &["chat", "clock", "recording", "slab", "sys", "timers"]),
    ("asyncore", &["chat", "reactor", "recording", "slab", "sys"]),
    ("files", &["chat", "clock", "http1", "json", "sys"]),
    (
        "server",
        &["chat", "clock", "files", "heartbeat", "http1", "reactor", "recording", "slab", "sys", "tls"],
    ),
    (
        "status",
        &["chat", "clock", "heartbeat", "http1", "json", "reactor", "recording", "server", "slab", "sys"],
    ),
    ("access", &["clock", "http1", "reactor", "server", "slab", "sys"]),
    ("master", &["heartbeat", "sys"]),
    ("cli", &[]),
    ("config", &["access", "cli", "files", "http1", "reactor", "server", "sys", "tls"]),
    (
        "app",
        &[
            "access",
            "cli",
            "clock",
            "config",
            "files",
            "http1",
            "master",
            "reactor",
            "recording",
            "server",
            "status",
            "sys",
            "tls",
        ],
    ),
    (
        "wsgi",
        &[
            "access",
            "app",
            "chat",
            "cli",
            "clock",
            "config",
            "files",
            "heartbeat",
            "http1",
            "json",
            "master",
            "reactor",
            "recording",
            "server",
            "slab",
            "sys",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
];

/// File of a part → the files of the same part that it may import. A part with one row here has a row for every file.
/// `mod` is `mod.rs`; what that re-exports counts as an import of the file that defines it.
const MAY_IMPORT_INSIDE: &[(&str, &[&str])] = &[
    ("app/browser", &[]),
    ("app/explain", &[]),
    ("app/files", &["explain", "server", "setup", "start_lines"]),
    ("app/qr", &[]),
    ("access/basic", &[]),
    ("access/crypt", &[]),
    ("access/forwarded", &[]),
    ("access/guarded", &["basic", "forwarded", "users", "verifier"]),
    ("access/known", &["users"]),
    ("access/users", &["basic", "crypt"]),
    ("access/verifier", &["basic", "known", "users"]),
    ("access/mod", &[]),
    ("app/serving", &[]),
    ("app/server", &["browser", "setup", "start_lines", "summary"]),
    ("app/setup", &[]),
    ("app/start_lines", &["qr", "setup", "urls"]),
    ("app/summary", &[]),
    ("app/urls", &[]),
    ("app/mod", &["files", "server", "setup"]),
    ("asyncore/dispatcher_with_send", &[]),
    ("asyncore/file_dispatcher", &[]),
    ("asyncore/level_loop", &["poll"]),
    ("asyncore/poll", &[]),
    ("asyncore/simple_loop", &["level_loop", "poll"]),
    ("asyncore/mod", &[]),
    ("chat/async_chat", &["input", "producer", "queue"]),
    ("chat/input", &[]),
    ("chat/file_slice", &[]),
    ("chat/producer", &["file_slice"]),
    ("chat/queue", &["file_slice", "producer"]),
    ("chat/transport", &["file_slice", "queue"]),
    ("chat/mod", &[]),
    ("config/access", &["error", "values"]),
    ("config/error", &[]),
    ("config/file", &["error"]),
    ("config/headers", &["error", "file", "values"]),
    ("config/limits", &["error", "headers", "listen", "pages", "values"]),
    ("config/listen", &["error", "values"]),
    ("config/pages", &["error", "values"]),
    ("config/rights", &["error", "values"]),
    ("config/tls", &["error", "listen", "values"]),
    ("config/values", &["error", "file"]),
    ("config/mod", &["access", "limits", "listen", "rights", "tls"]),
    ("files/accept", &["encoding"]),
    ("files/cache", &[]),
    ("files/conditional", &[]),
    ("files/content", &["conditional"]),
    ("files/content_tag", &["conditional", "content"]),
    ("files/cors", &[]),
    (
        "files/document",
        &["conditional", "content", "encoding", "glob", "media_type", "multipart", "range", "root", "rules"],
    ),
    ("files/encoding", &["observer", "root"]),
    ("files/error_page", &["accept", "listing", "media_type", "refusal"]),
    ("files/explain", &["conditional", "document", "hints", "media_type", "mod", "path", "range", "root"]),
    (
        "files/finding",
        &[
            "accept",
            "conditional",
            "content",
            "document",
            "encoding",
            "error_page",
            "explain",
            "hints",
            "media_type",
            "mod",
            "observer",
            "pages",
            "path",
            "reading",
            "redirect",
            "refusal",
            "root",
            "rows",
            "tagging",
            "view",
        ],
    ),
    ("files/glob", &[]),
    ("files/hints", &["path", "root"]),
    ("files/listing", &["natural", "view"]),
    ("files/listing_json", &["listing", "path"]),
    ("files/media_type", &["type_table"]),
    ("files/multipart", &["content", "range"]),
    ("files/natural", &[]),
    ("files/observer", &[]),
    ("files/page", &["listing", "path", "view"]),
    ("files/pages", &["error_page", "path", "root"]),
    ("files/path", &["glob"]),
    ("files/range", &["conditional"]),
    ("files/reading", &["error_page", "listing", "path", "refusal", "root", "rows", "view"]),
    ("files/redirect", &[]),
    ("files/refusal", &["listing", "path"]),
    ("files/root", &["path"]),
    ("files/rows", &["listing", "listing_json", "page", "path", "view"]),
    ("files/rules", &["cors", "glob"]),
    (
        "files/tagging",
        &[
            "content",
            "content_tag",
            "document",
            "error_page",
            "media_type",
            "path",
            "refusal",
            "rules",
            "type_table",
        ],
    ),
    ("files/type_table", &[]),
    ("files/view", &["encoding"]),
    (
        "files/mod",
        &[
            "cache",
            "content_tag",
            "document",
            "error_page",
            "explain",
            "finding",
            "hints",
            "listing",
            "refusal",
            "root",
        ],
    ),
    ("http1/body", &["error", "framing", "grammar"]),
    ("http1/connection", &["body", "connection/sight", "error", "head", "scan", "settings"]),
    (
        "http1/connection/reading",
        &["body", "connection", "error", "framing", "head", "request", "scan", "settings"],
    ),
    ("http1/connection/sight", &[]),
    ("http1/connection/times", &["connection", "connection/sight", "error", "settings"]),
    ("http1/connection/writing", &["connection", "framing", "grammar", "response", "service", "status"]),
    ("http1/error", &["status"]),
    ("http1/framing", &[]),
    ("http1/grammar", &[]),
    ("http1/head", &["error", "framing", "grammar", "request", "settings"]),
    ("http1/request", &["framing"]),
    ("http1/response", &["framing", "status"]),
    ("http1/scan", &["error", "grammar", "head", "settings"]),
    ("http1/service", &["request", "response", "status"]),
    ("http1/settings", &[]),
    ("http1/status", &[]),
    ("http1/mod", &[]),
    ("master/fork", &["mod", "stopping", "worker_slot"]),
    ("master/generation", &["worker_slot"]),
    ("master/notify", &[]),
    ("master/pidfile", &[]),
    ("master/reload", &["generation", "mod", "reporter", "stopping", "watch"]),
    ("master/reporter", &[]),
    ("master/signals", &["mod", "stopping", "worker_slot"]),
    ("master/stopping", &["generation", "mod", "worker_slot"]),
    ("master/upgrade", &["mod", "reporter", "stopping"]),
    ("master/watch", &["mod", "stopping", "worker_slot"]),
    ("master/worker_slot", &[]),
    ("master/mod", &["generation", "pidfile", "reload", "reporter", "stopping", "watch", "worker_slot"]),
    ("reactor/accept_mode", &["socket"]),
    ("reactor/accept_outcome", &[]),
    ("reactor/batch", &[]),
    ("reactor/chat_channel", &["dispatcher", "socket"]),
    ("reactor/dispatch", &["dispatcher", "loop_state", "probe"]),
    ("reactor/dispatcher", &["loop_state", "peer", "readiness"]),
    (
        "reactor/event_loop",
        &["dispatch", "dispatcher", "late", "loop_state", "probe", "readiness", "scheduled_calls", "waker"],
    ),
    ("reactor/exclusive", &[]),
    ("reactor/late", &["dispatch"]),
    ("reactor/level", &["dispatch", "dispatcher", "event_loop", "loop_state", "probe", "readiness"]),
    (
        "reactor/listener",
        &["accept_mode", "accept_outcome", "batch", "dispatcher", "exclusive", "peer", "socket"],
    ),
    ("reactor/loop_state", &["readiness"]),
    ("reactor/peer", &[]),
    ("reactor/probe", &["dispatcher", "readiness"]),
    ("reactor/readiness", &[]),
    ("reactor/recorded", &["dispatcher", "peer", "probe", "readiness"]),
    ("reactor/scheduled_calls", &["dispatcher", "loop_state", "source"]),
    ("reactor/socket", &["dispatcher", "peer"]),
    ("reactor/source", &[]),
    ("reactor/waker", &[]),
    ("reactor/mod", &[]),
    ("recording/chrome", &["lines", "reader", "record"]),
    (
        "recording/doctor",
        &[
            "doctor/edges",
            "doctor/hooks",
            "doctor/shares",
            "doctor/spin",
            "finding",
            "lines",
            "reader",
            "record",
        ],
    ),
    ("recording/doctor/edges", &["finding", "lines", "record"]),
    ("recording/doctor/hooks", &["finding", "lines", "record"]),
    ("recording/doctor/shares", &["finding", "reader", "record"]),
    ("recording/doctor/spin", &["finding", "lines", "record"]),
    ("recording/file", &["record", "ring"]),
    ("recording/finding", &["lines", "record"]),
    ("recording/lines", &["file", "lines/calls", "record", "ring"]),
    ("recording/lines/calls", &[]),
    ("recording/live_doctor", &["doctor", "finding", "lines"]),
    ("recording/names", &[]),
    ("recording/reader", &["file", "lines", "record"]),
    ("recording/record", &[]),
    ("recording/recorder", &["file", "finding", "lines", "live_doctor", "record", "ring", "step"]),
    ("recording/ring", &["names", "record"]),
    ("recording/step", &[]),
    ("recording/mod", &[]),
    ("server/acceptor", &["channel", "mod", "service", "wire"]),
    ("server/ledger", &["log_record"]),
    ("server/access_log", &["log_format", "log_record", "log_target"]),
    ("server/formatted_log", &["access_log", "log_directive", "log_format", "log_record", "request_id"]),
    ("server/capacity", &[]),
    ("server/channel", &["connection_table", "driver", "mod", "service", "wire"]),
    ("server/confinement", &[]),
    ("server/connection_table", &["capacity"]),
    ("server/driver", &["log_record", "service"]),
    ("server/driver/ending", &["driver", "service"]),
    ("server/driver/pending", &["driver"]),
    ("server/inherit", &["listen_spec", "unix"]),
    ("server/listen_spec", &["unix"]),
    ("server/listeners", &["inherit", "listen_spec", "unix"]),
    ("server/log_directive", &[]),
    ("server/log_format", &["log_directive"]),
    ("server/log_record", &[]),
    ("server/networks", &[]),
    ("server/log_target", &["printable"]),
    ("server/memory", &["driver", "log_record", "service"]),
    ("server/preface", &["proxy_header"]),
    ("server/printable", &[]),
    ("server/proxy_header", &[]),
    ("server/redirector", &["acceptor", "capacity", "log_record", "mod", "networks", "service", "wire"]),
    ("server/request_id", &[]),
    ("server/service", &["connection_table", "ledger"]),
    ("server/unix", &[]),
    ("server/wire", &["networks", "preface"]),
    (
        "server/worker",
        &[
            "acceptor",
            "access_log",
            "capacity",
            "ledger",
            "log_target",
            "mod",
            "redirector",
            "service",
            "wire",
            "worker/commands",
        ],
    ),
    ("server/worker/commands", &[]),
    ("server/mod", &["connection_table"]),
    ("status/board", &[]),
    ("status/events", &["findings", "json", "snapshot"]),
    ("status/findings", &["snapshot"]),
    ("status/json", &["findings", "snapshot"]),
    ("status/metrics", &["board", "snapshot"]),
    ("status/page", &["findings", "snapshot"]),
    ("status/service", &["board", "events", "findings", "metrics", "page", "snapshot"]),
    ("status/snapshot", &["board"]),
    ("status/station", &["board", "events", "service", "snapshot"]),
    ("status/told", &["board"]),
    ("status/mod", &[]),
    ("tls/absent", &["mod"]),
    ("tls/credentials", &["der", "mod", "own", "ticket"]),
    ("tls/der", &[]),
    ("tls/own", &["der"]),
    ("tls/session", &["mod"]),
    ("tls/ticket", &[]),
    ("tls/mod", &["absent", "credentials", "session", "ticket"]),
    ("wsgi/activity", &["outbox"]),
    ("wsgi/arguments", &["options"]),
    ("wsgi/batched_waker", &["shared"]),
    ("wsgi/command", &["options", "server"]),
    ("wsgi/config", &["proxies"]),
    ("wsgi/content", &["config", "environ", "lent_output", "service", "shared"]),
    ("wsgi/current", &["request"]),
    ("wsgi/cut_off", &["request", "shared"]),
    ("wsgi/environ", &["error_stream", "file_wrapper", "names", "proxies", "request", "shared", "spool"]),
    ("wsgi/error_log", &["current", "python_log", "shared"]),
    ("wsgi/error_stream", &["current", "error_log", "request"]),
    ("wsgi/file_wrapper", &[]),
    ("wsgi/forked", &["interpreter"]),
    ("wsgi/hang_watch", &["activity", "pool", "stacks"]),
    ("wsgi/head", &[]),
    ("wsgi/hooks", &["error_log"]),
    ("wsgi/inline", &["cut_off", "error_log", "lent_output", "request", "response", "run", "shared", "wire"]),
    ("wsgi/interpreter", &["hooks", "kept_signals", "python_log", "shared"]),
    ("wsgi/job_queue", &["batched_waker", "outbox", "request", "shared", "thread_counts"]),
    ("wsgi/kept_signals", &["error_log"]),
    ("wsgi/lent_output", &["outbox", "wire"]),
    ("wsgi/load_token", &[]),
    ("wsgi/local_server", &["arguments", "content", "environ", "error_log", "options", "server", "shared"]),
    ("wsgi/names", &[]),
    ("wsgi/options", &[]),
    ("wsgi/outbox", &["batched_waker", "shared", "wire"]),
    ("wsgi/piece", &["shared"]),
    (
        "wsgi/pool",
        &[
            "activity",
            "batched_waker",
            "current",
            "cut_off",
            "environ",
            "error_log",
            "job_queue",
            "outbox",
            "python_thread",
            "request",
            "response",
            "run",
            "shared",
            "thread_counts",
            "wire",
        ],
    ),
    ("wsgi/python_log", &["current"]),
    ("wsgi/python_thread", &[]),
    ("wsgi/proxies", &[]),
    ("wsgi/request", &["proxies", "spool"]),
    ("wsgi/response", &["head", "lent_output", "outbox", "piece", "request", "shared", "wire"]),
    (
        "wsgi/run",
        &[
            "current",
            "environ",
            "error_log",
            "error_stream",
            "file_wrapper",
            "forked",
            "piece",
            "request",
            "response",
            "start_response",
        ],
    ),
    ("wsgi/sent_pieces", &[]),
    (
        "wsgi/server",
        &[
            "config",
            "content",
            "environ",
            "error_log",
            "forked",
            "hang_watch",
            "hooks",
            "inline",
            "interpreter",
            "kept_signals",
            "load_token",
            "options",
            "pool",
            "python_log",
            "run",
            "service",
            "spool",
        ],
    ),
    (
        "wsgi/service",
        &[
            "activity",
            "hang_watch",
            "inline",
            "kept_signals",
            "pool",
            "proxies",
            "request",
            "shared",
            "stacks",
        ],
    ),
    ("wsgi/shared", &["sent_pieces"]),
    ("wsgi/spool", &[]),
    ("wsgi/stacks", &["activity"]),
    ("wsgi/start_response", &["activity", "head", "piece", "response", "shared"]),
    ("wsgi/thread_counts", &[]),
    ("wsgi/wire", &[]),
    ("wsgi/mod", &["arguments", "command", "current", "file_wrapper", "local_server", "options", "server"]),
];

/// Type names that are defined twice, and why.
const SAME_NAME: &[(&str, &str)] =
    &[("Credentials", NO_TLS), ("Kept", NO_TLS), ("Session", NO_TLS), ("Tls", NO_TLS)];

const NO_TLS: &str = "stands for the type of the same name where the feature `tls` is off";

/// Part → names of libraries that it must not contain.
const MUST_NOT_NAME: &[(&str, &[&str])] = &[
    ("chat", &["mio::", "std::net", "rustix", "Instant::now", "SystemTime::now"]),
    (
        "http1",
        &[
            "mio::",
            "std::net",
            "std::os",
            "Fd",
            "log::",
            "rustix",
            "Instant::now",
            "SystemTime::now",
            "std::fs",
        ],
    ),
    ("files", &["mio::", "std::net"]),
    ("master", &["mio::", "http"]),
    ("reactor", &["http"]),
    ("asyncore", &["http"]),
];

#[test]
fn parts_import_lower_parts_only() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut edges = 0;
    for (part, path) in sources() {
        let Some(may) = allowed.get(part.as_str()) else {
            panic!("{} is in no part that MAY_IMPORT lists", path.display());
        };
        for name in named(&code(&path), "crate::") {
            edges += 1;
            assert!(name == part || may.contains(&name.as_str()), "{} imports {name}", path.display());
        }
    }
    assert!(edges > 50, "{edges} imports were found: the reader is broken");
    for (at, (part, may)) in MAY_IMPORT.iter().enumerate() {
        let above = |name: &&str| MAY_IMPORT[..at].iter().any(|(part, _)| part == name);
        assert!(may.iter().all(above), "{part} imports a part that is below it in the list");
    }
}

#[test]
fn files_import_each_other_as_listed() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT_INSIDE.iter().copied().collect();
    let listed: BTreeSet<&str> = allowed.keys().filter_map(|row| row.split('/').next()).collect();
    let mut rows = 0;
    for (part, files) in imports_inside().iter().filter(|(part, _)| listed.contains(part.as_str())) {
        for (file, imports) in files {
            let row = format!("{part}/{file}");
            let Some(may) = allowed.get(row.as_str()) else {
                panic!("{row} has no row in MAY_IMPORT_INSIDE")
            };
            rows += 1;
            let may: BTreeSet<String> = may.iter().map(ToString::to_string).collect();
            assert_eq!(*imports, may, "{row} imports the left, and may import the right");
        }
    }
    assert_eq!(rows, MAY_IMPORT_INSIDE.len(), "a row of a file that is gone");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let edges = |edges: &[(&str, &[&str])]| -> Imports {
        edges
            .iter()
            .map(|(file, to)| (file.to_string(), to.iter().map(ToString::to_string).collect()))
            .collect()
    };
    assert_eq!(circle(&edges(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])), None);
    let found = circle(&edges(&[("a", &["b"]), ("b", &["d", "c"]), ("c", &["b"]), ("d", &[])]));
    assert_eq!(found, Some(["b", "c", "b"].map(String::from).to_vec()));
    for (part, mut files) in imports_inside() {
        // What the files of a part have in common may be defined in its `mod.rs`, which uses them.
        files.remove("mod");
        let circle = circle(&files);
        assert!(circle.is_none(), "{part}: {}", circle.unwrap_or_default().join(" imports "));
    }
}

#[test]
fn a_type_name_has_one_meaning() {
    let mut defined: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (_, path) in sources() {
        for name in types(&code(&path)) {
            defined.entry(name.into()).or_default().push(path.clone());
        }
    }
    assert!(defined.len() > 150, "{} types were found: the reader is broken", defined.len());
    let twice: BTreeSet<&str> =
        defined.iter().filter(|(_, files)| files.len() > 1).map(|(name, _)| name.as_str()).collect();
    let listed: BTreeSet<&str> = SAME_NAME.iter().map(|(name, _)| *name).collect();
    let new: Vec<_> = twice.difference(&listed).map(|name| (name, &defined[*name])).collect();
    assert!(new.is_empty(), "defined twice: {new:#?}");
    let gone: Vec<_> = listed.difference(&twice).collect();
    assert!(gone.is_empty(), "listed in SAME_NAME, and not defined twice: {gone:?}");
}

#[test]
fn the_protocol_knows_no_socket_and_no_clock() {
    for (part, path) in sources() {
        let code = code(&path);
        for (this, forbidden) in MUST_NOT_NAME {
            for name in forbidden.iter().filter(|_| *this == part) {
                assert!(!code.contains(name), "{} names {name}", path.display());
            }
        }
    }
}

#[test]
fn unsafe_stays_on_its_island() {
    let mut blocks = 0;
    for (part, path) in sources() {
        let text = fs::read_to_string(&path).expect("a source");
        if part != "sys" {
            assert!(!text.contains("unsafe {") && !text.contains("unsafe fn"), "{}", path.display());
            assert!(!text.contains("allow(unsafe_code)"), "{}", path.display());
        }
        blocks += text.matches("unsafe {").count();
        // RULES B17: a mapped file that is truncated kills the process. Mapped memory without a file is allowed, and
        // the filter of system calls names the call.
        assert!(
            !code(&path).replace("mmap_anonymous", "").replace("SYS_mmap ", "").contains("mmap"),
            "{}",
            path.display()
        );
    }
    // Landlock, seccomp, Capsicum, shared memory, the length of a listener's queue, the bytes that a peer has not acknowledged,
    // the addresses of interfaces, and sendfile and the change of the user outside Linux have no safe binding. Another block
    // is a decision that is made here.
    assert!((1..=40).contains(&blocks), "{blocks} unsafe blocks");
}

/// The examples call the system through safe functions only.
#[test]
fn the_examples_need_nothing_unsafe() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut read = 0;
    for folder in [root.clone(), root.join("shared"), root.join("tokio_httpd")] {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                read += 1;
                assert!(!code(&path).contains("unsafe"), "{}", path.display());
            }
        }
    }
    assert!(read > 25, "{read} examples were read");
}

/// What is shipped depends on no runtime and no interpreter; tests and benchmarks may.
#[test]
fn no_runtime_is_shipped() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree");
    let tree = String::from_utf8(tree.stdout).expect("UTF-8");
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"mio") && names.contains(&"stheno"), "not a tree: {tree}");
    for runtime in ["tokio", "hyper", "async-std", "smol", "futures", "futures-util", "pyo3"] {
        assert!(!names.contains(&runtime), "{runtime} is in what is shipped");
    }
}
