//! B1 to B4, B9 to B11, B18, B19: the paths that a target may name, and those it must not reach.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::Asker;
use crate::support::rules::{hold, holds};
use crate::support::{Folder, with_both_backends};

/// Spellings of "one level up" that some server has accepted.
const UPS: [&str; 24] = [
    "../",
    "..//",
    "./../",
    "%2e%2e/",
    "%2E%2E/",
    ".%2e/",
    "%2e./",
    "%%32%65%%32%65/",
    "%252e%252e/",
    "%25252e%25252e/",
    "..%2f",
    "%2e%2e%2f",
    "..%252f",
    "..%5c",
    "..\\",
    "%c0%ae%c0%ae/",
    "%e0%80%ae%e0%80%ae/",
    "%uff0e%uff0e/",
    "..;/",
    ".../",
    "....//",
    "..%00/",
    "..%0d/",
    "sub/../../",
];

#[test]
fn b1_no_way_up_leads_out() {
    with_both_backends(|start| {
        let folder = Folder::new();
        let server = start(&folder.root(), &[]);
        let mut asker = Asker::new(&server);
        for up in UPS {
            for levels in 1..=12 {
                for (before, target) in [("/", "secret"), ("/", "etc/passwd"), ("/sub/", "secret")] {
                    let path = format!("{before}{}{target}", up.repeat(levels));
                    let status = asker.get(&path).status;
                    assert!([400, 403, 404].contains(&status), "{path}: {status}");
                }
            }
        }
    });
    let strings = UPS.len() * 12 * 3;
    holds(
        "B1",
        format_args!("{strings} strings × both backends: 0 canary bytes, 0 5xx"),
        "200+ strings × 1–12 levels: 0 canary bytes, 0 5xx",
    );
}

#[test]
fn b2_names_are_decoded_once() {
    with_both_backends(|start| {
        let folder = Folder::new();
        folder.write("%2e%2e", "percents");
        folder.write("%6fk", "more percents");
        let server = start(&folder.root(), &[]);
        let mut asker = Asker::new(&server);
        assert_eq!(asker.get("/%252e%252e").text(), "percents");
        assert_eq!(asker.get("/%252E%252e").status, 404, "another name");
        assert_eq!(asker.get("/%256fk").text(), "more percents");
        assert_eq!(asker.get("/%6fk").text(), "hello\n", "decoded once");
    });
    holds("B2", "4 names with percents in them: each served as itself", "served as itself");
}

#[test]
fn b3_nul_is_in_no_name() {
    let mut targets = Vec::new();
    for (before, after) in [("/ok", ""), ("/ok", ".png"), ("/", "ok"), ("/sub/", "/ok"), ("/../ok", "")] {
        targets.push((format!("{before}%00{after}"), 400));
    }
    // Other control bytes may be in a name, of which none here has any.
    for byte in (1..0x20u8).chain([0x7f]) {
        for (before, after) in [("/ok", ""), ("/ok", ".png"), ("/", "ok"), ("/sub/", "/ok")] {
            targets.push((format!("{before}%{byte:02x}{after}"), 404));
        }
    }
    with_both_backends(|start| {
        let folder = Folder::new();
        let server = start(&folder.root(), &[]);
        let mut asker = Asker::new(&server);
        for (target, want) in &targets {
            assert_eq!(asker.get(target).status, *want, "{target}");
        }
    });
    holds(
        "B3",
        format_args!("{} targets with a control byte × both backends: 400 with NUL, else 404", targets.len()),
        "400, never truncated",
    );
}

#[test]
fn b24_an_encoded_slash_separates_names() {
    let targets = [
        ("/npm/@s%2fp", 200),
        ("/npm/@s%2Fp", 200),
        ("/npm%2f@s%2fp", 200),
        ("/npm/@s%2f%2fp", 200),
        ("/npm/x%2f..%2f@s/p", 200),
        ("/npm/@s%2fp%2f", 404),
        ("/npm/@s%252fp", 404),
        ("/npm%2f.env", 404),
        ("/npm/%2eenv", 404),
        ("/.%2f.env", 404),
        ("/..%2fsecret", 400),
        ("/%2f..%2fsecret", 400),
        ("/npm%2f..%2f..%2fsecret", 400),
        ("/npm/..%2f..%2f..%2fetc%2fpasswd", 400),
        ("/%2fetc%2fpasswd", 404),
        ("/npm%2f%00", 400),
    ];
    // The location, and the directory that it leads to.
    let redirects = [
        ("/npm%2f@s", "./npm%2f@s/"),
        ("/%2f%2fnpm", "./%2f%2fnpm/"),
        ("/npm/..%2fnpm", "./..%2fnpm/"),
        ("/x%2f..%2fnpm", "./x%2f..%2fnpm/"),
        ("/npm/x%2F..%2f@s?a/b", "./x%2F..%2f@s/?a/b"),
    ];
    with_both_backends(|start| {
        let folder = Folder::new();
        fs::create_dir_all(folder.root().join("npm/@s")).expect("folders");
        folder.write("npm/.env", "hidden");
        folder.write("npm/@s/p", "a package");
        folder.write("npm/index.html", "npm");
        folder.write("npm/@s/index.html", "@s");
        let server = start(&folder.root(), &[]);
        let mut asker = Asker::new(&server);
        for (target, want) in targets {
            let response = asker.get(target);
            assert_eq!(response.status, want, "{target}");
            assert_eq!(want == 200, response.text() == "a package", "{target}");
        }
        for (target, location) in redirects {
            let moved = asker.get(target);
            assert_eq!((moved.status, moved.field("Location")), (301, Some(location)), "{target}");
            let index = asker.get(&resolve(target, location));
            let want = if target.contains("@s") { "@s" } else { "npm" };
            assert_eq!((index.status, index.text()), (200, want), "{target}");
        }
    });
    holds(
        "B24",
        format_args!(
            "{} targets × both backends: decoded once, then split, then normalised",
            targets.len() + redirects.len()
        ),
        "as a slash; no way out of the root",
    );
}

/// Links inside the root, and their targets.
const LINKS: [(&str, &str); 18] = [
    ("in", "ok"),
    ("sub/up", "../ok"),
    ("chain", "in"),
    ("dir", "sub"),
    ("there_and_back", "sub/../ok"),
    ("out", "../secret"),
    ("abs", "/etc/hostname"),
    ("passwd", "/etc/passwd"),
    ("proc", "/proc/self/root"),
    ("cwd", "/proc/self/cwd"),
    ("fd", "/dev/fd/0"),
    ("loop", "loop"),
    ("ping", "pong"),
    ("pong", "ping"),
    ("outdir", ".."),
    ("out_by_chain", "out"),
    ("sub/deep_out", "../../secret"),
    ("out_and_back", "../root/ok"),
];

fn folder_with_links() -> Folder {
    let folder = Folder::new();
    for (link, target) in LINKS {
        symlink(target, folder.root().join(link)).expect("a symlink");
    }
    folder
}

#[test]
fn b4_symlinks_stay_inside() {
    with_both_backends(|start| {
        let folder = folder_with_links();
        let server = start(&folder.root(), &[]);
        let mut asker = Asker::new(&server);
        for (target, want) in [
            ("/in", 200),
            ("/sub/up", 200),
            ("/chain", 200),
            ("/dir/", 200),
            ("/dir", 301),
            ("/dir/up", 200),
            ("/there_and_back", 200),
            ("/out", 404),
            ("/abs", 404),
            ("/passwd", 404),
            ("/proc/etc/hostname", 404),
            ("/proc/", 404),
            ("/cwd/secret", 404),
            ("/fd", 404),
            ("/loop", 404),
            ("/ping", 404),
            ("/outdir", 404),
            ("/outdir/secret", 404),
            ("/outdir/root/ok", 404),
            ("/out_by_chain", 404),
            ("/sub/deep_out", 404),
            ("/dir/deep_out", 404),
            ("/out_and_back", 404),
        ] {
            assert_eq!(asker.get(target).status, want, "{target}");
        }
        // With the flag every link is refused.
        let server = start(&folder.root(), &["--no-symlinks"]);
        let mut asker = Asker::new(&server);
        for (link, _) in LINKS {
            assert_eq!(asker.get(&format!("/{link}")).status, 404, "{link}");
            assert_eq!(asker.get(&format!("/{link}/")).status, 404, "{link}");
        }
        assert_eq!(asker.get("/dir/index.html").status, 404);
        assert_eq!(asker.get("/ok").status, 200);
        assert_eq!(asker.get("/sub/").status, 200);
    });
    holds(
        "B4",
        format_args!("{} links, followed and refused × both backends: 0 leaks", LINKS.len()),
        "403/404; 0 leaks",
    );
}

#[test]
fn b9_dotfiles_do_not_exist() {
    let hidden = [
        "/.git/config",
        "/.git/",
        "/.git",
        "/.env",
        "/.htpasswd",
        "/.htaccess",
        "/.ssh/id_rsa",
        "/%2eenv",
        "/%2Egit/config",
        "/sub/.env",
        "/sub/.well-known/config",
        "/.well-known/.env",
        "/.well-known/../.env",
        "/.well-knownx",
        "/x/../.env",
        "/.%2fenv",
        "/sub%2f.env",
        "/.git%2fconfig",
        "/..env",
    ];
    with_both_backends(|start| {
        let folder = Folder::new();
        for name in [".git", ".ssh", ".well-known", "sub/.well-known"] {
            fs::create_dir(folder.root().join(name)).expect("a folder");
        }
        for name in [
            ".git/config",
            ".env",
            ".htpasswd",
            ".htaccess",
            ".ssh/id_rsa",
            "sub/.env",
            "sub/.well-known/config",
            ".well-known/.env",
            ".well-known/security.txt",
            ".well-knownx",
            "..env",
        ] {
            folder.write(name, "hidden");
        }
        let server = start(&folder.root(), &[]);
        let mut asker = Asker::new(&server);
        for target in hidden {
            assert_eq!(asker.get(target).status, 404, "{target}");
        }
        assert_eq!(asker.get("/.well-known/security.txt").status, 200);
    });
    holds("B9", format_args!("{} dotfiles × both backends: 0 served", hidden.len()), "0 served");
}

/// The target that a client requests next, after it has asked for `base` (RFC 3986 §5.2). Like a browser, it takes a
/// backslash for a slash, and `%2e` for a dot.
fn resolve(base: &str, location: &str) -> String {
    let (path, query) =
        location.split_once('?').map_or((location, None), |(path, query)| (path, Some(query)));
    assert!(
        !path.starts_with('/') && !path.split('/').next().unwrap_or_default().contains(':'),
        "{location}"
    );
    let base = base.split('?').next().unwrap_or_default().replace('\\', "/");
    let merged = format!("{}{}", &base[..=base.rfind('/').expect("a path")], path.replace('\\', "/"));
    let mut segments: Vec<&str> = Vec::new();
    for segment in merged[1..].split('/') {
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}{query}", segments.join("/"))
}

/// Targets of directories without their slash, the location, and the directory. Bytes above 7E are as in UTF-8.
const REDIRECTS: [(&str, &str, &str); 23] = [
    ("/sub", "./sub/", "sub"),
    ("/sub?", "./sub/?", "sub"),
    ("/sub?a=b&c", "./sub/?a=b&c", "sub"),
    ("/sub?next=//evil.com/%0d%0a", "./sub/?next=//evil.com/%0d%0a", "sub"),
    ("//sub", "./sub/", "sub"),
    ("///sub?x", "./sub/?x", "sub"),
    ("//evil.com/sub", "./sub/", "evil.com/sub"),
    ("http://elsewhere/sub", "./sub/", "sub"),
    ("http://elsewhere//sub?y", "./sub/?y", "sub"),
    ("https://elsewhere/sub/deep", "./deep/", "sub/deep"),
    ("/./sub", "./sub/", "sub"),
    ("/sub/../sub", "./sub/", "sub"),
    ("/sub/./deep", "./deep/", "sub/deep"),
    ("//evil.com/../sub", "./sub/", "sub"),
    ("/%73ub/d%65ep", "./d%65ep/", "sub/deep"),
    ("/evil%20%22%20%D0%BC", "./evil%20%22%20%D0%BC/", "evil \" \u{43c}"),
    ("/\\evil.com", "./%5Cevil.com/", "\\evil.com"),
    ("/%5cevil.com", "./%5cevil.com/", "\\evil.com"),
    ("/sub:8080", "./sub:8080/", "sub:8080"),
    ("/javascript:alert(1)", "./javascript:alert(1)/", "javascript:alert(1)"),
    ("/sub?\"<>\\^`{|}[]", "./sub/?%22%3C%3E%5C%5E%60%7B%7C%7D[]", "sub"),
    ("/%25", "./%25/", "%"),
    ("/@?@", "./@/?@", "@"),
];

#[test]
fn b10_b11_redirects_stay_here() {
    with_both_backends(|start| {
        let folder = Folder::new();
        for (_, _, name) in REDIRECTS {
            fs::create_dir_all(folder.root().join(name)).expect("a folder");
            folder.write(format!("{name}/index.html"), name);
        }
        let server = start(&folder.root(), &[]);
        let mut client = server.connect();
        for (target, location, name) in REDIRECTS {
            let request = format!("GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
            let response = client.ask(&request);
            assert_eq!((response.status, response.field("Location")), (301, Some(location)), "{target}");
            let bytes = format!("{response:?}");
            assert!(!bytes.contains("evil.example"), "{target} echoes the host: {bytes}");
            // As the client sees it, and as it sees it through a proxy that removes a prefix.
            let path = target.split_once("://elsewhere").map_or(target, |(_, path)| path);
            for prefix in ["", "/app", "/a/b"] {
                let next = resolve(&format!("{prefix}{path}"), location);
                let next = next.strip_prefix(prefix).unwrap_or_else(|| panic!("{target} leads to {next}"));
                let index = client.get(next, "");
                assert_eq!((index.status, index.text()), (200, name), "{target}, then {next}");
            }
        }
        let mut asker = Asker::new(&server);
        for target in ["/ok/", "/ok//", "/ok/.", "/ok/x", "/none/"] {
            assert_eq!(asker.get(target).status, 404, "{target}");
        }
        for target in ["/%0d%0aSet-Cookie:x", "/sub%0d%0aX:y", "//evil.com/%2e%2e", "/\\evil", "//evil.com/"]
        {
            let response = asker.get(target);
            assert!(
                response.field("Location").is_none() && response.field("Set-Cookie").is_none(),
                "{target}"
            );
        }
    });
    hold(
        "B10 B11",
        format_args!(
            "{} redirects × both backends × 3 prefixes: each leads to its directory",
            REDIRECTS.len()
        ),
        "relative, one segment, query kept, no Host echoed",
    );
}

#[test]
fn b18_names_are_bytes() {
    let names: [&[u8]; 6] = [
        b"\xff<script>.txt",
        b"\xc3\x28.txt",
        "\u{43c}\u{435}\u{434}\u{443}\u{437}\u{430}.html".as_bytes(),
        b"a & b \"c\" 'd'.txt",
        b"100%25.txt",
        b"javascript:alert(1)",
    ];
    with_both_backends(|start| {
        let folder = Folder::new();
        fs::create_dir(folder.root().join("odd")).expect("a folder");
        for (at, name) in names.iter().enumerate() {
            fs::write(folder.root().join("odd").join(OsStr::from_bytes(name)), at.to_string())
                .expect("a file");
        }
        let server = start(&folder.root(), &["--listing"]);
        let mut asker = Asker::new(&server);
        assert_eq!(asker.get("/odd/%ff%3Cscript%3E.txt").text(), "0");
        // `busybox wget` and others send a name as it is.
        let mut client = server.connect();
        let raw = |name: &[u8]| [b"GET /odd/", name, b"?\xd0\xbc=\xff HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        client.send(raw(names[2]));
        assert_eq!(client.read("GET").text(), "2");
        client.send(raw(b"\xff<script>.txt"));
        assert_eq!(client.read("GET").text(), "0");
        client.send(b"GET /odd/\xff?\xd0\xbc=\xff HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.read("GET").status, 404);
        fs::create_dir(folder.root().join("odd/\u{43c}")).expect("a folder");
        client.send(b"GET /odd/\xd0\xbc?\xd0\xbc=\xff%zz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.read("GET").field("Location"), Some("./%D0%BC/?%D0%BC=%FF%zz"));
        fs::remove_dir(folder.root().join("odd/\u{43c}")).expect("no folder");
        let page = asker.get("/odd/");
        let page = page.text();
        assert!(!page.contains("<script"), "{page}");
        // Every link leads to its file, whatever its name.
        let mut found = Vec::new();
        for part in page.split("<tr><td><a href=\"").skip(2) {
            let href = part.split('"').next().expect("an end");
            found.push(asker.get(&format!("/odd/{href}")).text().parse::<usize>().expect("a number"));
        }
        found.sort_unstable();
        assert_eq!(found, (0..names.len()).collect::<Vec<_>>());
    });
    holds(
        "B18",
        format_args!("{} odd names: each served by its link; 0 raw `<`", names.len()),
        "served; 0 raw `<`",
    );
}

#[test]
fn b19_names_are_exact() {
    let targets = [
        "/OK",
        "/Ok",
        "/ok.",
        "/ok..",
        "/ok%20",
        "/ok%20%20",
        "/%20ok",
        "/ok::$DATA",
        "/ok%E3%80%80",
        "/ok~1",
    ];
    with_both_backends(|start| {
        let folder = Folder::new();
        let server = start(&folder.root(), &[]);
        let mut asker = Asker::new(&server);
        for target in targets {
            assert_eq!(asker.get(target).status, 404, "{target}");
        }
    });
    holds(
        "B19",
        format_args!("{} names that are nearly right × both backends: all 404", targets.len()),
        "404",
    );
}
