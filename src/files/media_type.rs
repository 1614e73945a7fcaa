//! The media type of a file: by its name, or by its first bytes where no type is known; and its charset by these.
//!
//! A charset in `Content-Type` overrides whatever the file declares, and without one a browser guesses. So it is sent
//! where the first bytes show it and declare nothing, and nowhere else.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use super::type_table::TypeTable;
use crate::sys::descriptor::read_at;

/// The type of a file with an unknown name that is not text.
pub(super) const UNKNOWN: &str = "application/octet-stream";

const PLAIN: &str = "text/plain";

/// Bytes at the beginning of a file that decide on its charset: a page of memory.
const WINDOW: usize = 4096;

/// Bytes in which HTML declares its charset (HTML §4.2.5.4, "specifying the document's character encoding").
const DECLARATION: usize = 1024;

/// The media type of a file.
#[derive(Debug)]
pub(super) struct MediaType {
    /// The value of `Content-Type`.
    pub(super) value: Cow<'static, str>,
    /// The coding that files of this type are in (`Content-Encoding`).
    pub(super) coding: Option<&'static str>,
    /// Whether browsers are told not to look for another type (`X-Content-Type-Options`). Text is there to be read:
    /// it is not downloaded because of an odd byte, and not run as a script.
    pub(super) is_final: bool,
}

impl MediaType {
    /// The type of a file with this name; `table` comes before the types of this module. Text, and what may be text,
    /// is read up to [`WINDOW`].
    ///
    /// # Errors
    /// As pread(2).
    pub(super) fn of(
        name: &OsStr,
        file: BorrowedFd<'_>,
        size: u64,
        table: Option<&TypeTable>,
    ) -> io::Result<Self> {
        let (known, may_be_text) = match table {
            None => essence(name),
            Some(table) => essence_in(table, name),
        };
        if !may_be_text && !is_text(&known) {
            return Ok(Self { value: known, coding: coding(name), is_final: false });
        }
        let mut window = [0; WINDOW];
        let length = read_at(file, &mut window, 0)?;
        let (bytes, is_cut) = (&window[..length], size > WINDOW as u64);
        let essence = if may_be_text && is_shown(bytes, is_cut) { Cow::Borrowed(PLAIN) } else { known };
        let is_final = essence == PLAIN;
        let value = match is_text(&essence) && is_utf8(&essence, bytes, is_cut) {
            true => format!("{essence}; charset=utf-8").into(),
            false => essence,
        };
        Ok(Self { value, coding: coding(name), is_final })
    }
}

/// The coding of a type whose files are compressed by definition. A `.gz` is a file of its own: the client asks for it
/// by that name and stores it as that.
fn coding(name: &OsStr) -> Option<&'static str> {
    let extension = Path::new(name).extension()?;
    extension.eq_ignore_ascii_case("svgz").then_some("gzip")
}

/// Whether a file that begins with `bytes` is text if its name does not tell: UTF-8 without control characters.
fn is_shown(bytes: &[u8], is_cut: bool) -> bool {
    let is_binary =
        |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x7f);
    !bytes.iter().any(is_binary) && is_utf8(PLAIN, bytes, is_cut)
}

/// The type that belongs to a name, without parameters, and whether the file is text instead if it begins as such.
fn essence(name: &OsStr) -> (Cow<'static, str>, bool) {
    match by_name(name) {
        Some(known) => (known.into(), OR_TEXT.contains(&extension(name).as_str())),
        None => (UNKNOWN.into(), true),
    }
}

/// As [`essence`], where the operator's table comes first.
fn essence_in(table: &TypeTable, name: &OsStr) -> (Cow<'static, str>, bool) {
    let owned = |found: &Arc<str>| (Cow::Owned(found.to_string()), false);
    let unknown = || table.unknown().filter(|_| by_name(name).is_none()).map(owned);
    table.get(&extension(name)).map(owned).or_else(unknown).unwrap_or_else(|| essence(name))
}

fn lower(text: &OsStr) -> String {
    text.to_ascii_lowercase().into_string().unwrap_or_default()
}

/// The extension of a name in lower case; empty without one.
fn extension(name: &OsStr) -> String {
    Path::new(name).extension().map(lower).unwrap_or_default()
}

/// The type that belongs to a name, if one does.
fn by_name(name: &OsStr) -> Option<&'static str> {
    let extension = extension(name);
    corrected(&extension)
        .or_else(|| SOURCES.contains(&extension.as_str()).then_some(PLAIN))
        // Types that are not registered: a browser downloads the file, or shows it as this.
        .or_else(|| {
            mime_guess::from_ext(&extension)
                .first_raw()
                .map(|known| if known.starts_with("text/x-") { PLAIN } else { known })
        })
        .or_else(|| is_plain_name(&lower(name)).then_some(PLAIN))
}

/// Types that `mime_guess` has not, or not as IANA's registry and the browsers have them. Where IANA has none, it is
/// that of Debian's or nginx's table.
fn corrected(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "js" | "mjs" | "cjs" => "text/javascript",
        "map" => "application/json",
        "mml" => "application/mathml+xml",
        "swf" => "application/x-shockwave-flash",
        "m4a" | "m4b" | "m4r" => "audio/mp4",
        "m4v" => "video/mp4",
        "mid" | "midi" => "audio/midi",
        "m3u8" => "application/vnd.apple.mpegurl",
        "m4s" => "video/iso.segment",
        "ts" | "m2ts" | "mts" | "m2t" => "video/mp2t",
        "otf" => "font/otf",
        "woff" => "font/woff",
        "psd" => "image/vnd.adobe.photoshop",
        "cur" => "image/x-icon",
        "obj" => "model/obj",
        "stl" => "model/stl",
        "3mf" => "model/3mf",
        "usdz" => "model/vnd.usdz+zip",
        "tgz" => "application/gzip",
        "zst" => "application/zstd",
        "rar" => "application/vnd.rar",
        "whl" => "application/zip",
        "cbz" => "application/vnd.comicbook+zip",
        "cbr" => "application/vnd.comicbook-rar",
        "rpm" => "application/x-rpm",
        "deb" | "udeb" => "application/vnd.debian.binary-package",
        "arrow" => "application/vnd.apache.arrow.file",
        "pmtiles" => "application/vnd.pmtiles",
        "ttml" => "application/ttml+xml",
        "sqlite" | "sqlite3" => "application/vnd.sqlite3",
        "azw3" => "application/vnd.amazon.mobi8-ebook",
        "vcf" => "text/vcard",
        _ => return None,
    })
}

/// Extensions that other files than text have as well: TypeScript and a video, `go.mod` and music, a public key and a
/// page of Publisher, a device tree and sound, a graph and a template of Word. The first bytes tell.
const OR_TEXT: &[&str] = &["asc", "dat", "dot", "dts", "mod", "mts", "org", "pub", "sig", "sub", "ts", "vhd"];

/// Extensions of text that a browser downloads under a type of its own, if it has one: sources, scripts,
/// configuration. As `text/plain` it is shown.
const SOURCES: &[&str] = &[
    "adoc",
    "aspx",
    "ass",
    "awk",
    "bash",
    "bat",
    "bib",
    "clj",
    "cmake",
    "coffee",
    "csh",
    "cue",
    "d",
    "dart",
    "desktop",
    "diff",
    "dockerfile",
    "edn",
    "el",
    "elm",
    "env",
    "erl",
    "ex",
    "exs",
    "fish",
    "fs",
    "go",
    "graphql",
    "gradle",
    "groovy",
    "gv",
    "hcl",
    "hs",
    "ipynb",
    "java",
    "jl",
    "jsonl",
    "ksh",
    "kt",
    "kts",
    "less",
    "lisp",
    "lock",
    "m",
    "m4",
    "md5",
    "mdx",
    "ml",
    "mli",
    "mm",
    "ndjson",
    "nim",
    "nix",
    "orig",
    "patch",
    "php",
    "pl",
    "plist",
    "pm",
    "po",
    "properties",
    "proto",
    "ps1",
    "pyi",
    "r",
    "rb",
    "rej",
    "rst",
    "sbt",
    "scala",
    "scm",
    "sed",
    "service",
    "sh",
    "sha1",
    "sha256",
    "sha512",
    "socket",
    "spec",
    "sql",
    "srt",
    "styl",
    "svelte",
    "swift",
    "tcl",
    "tex",
    "tf",
    "timer",
    "tsx",
    "v",
    "vim",
    "vue",
    "wgsl",
    "zig",
    "zsh",
];

/// Whether `name`, in lower case, is that of a text by convention: `LICENSE`, `LICENSE-MIT`, `Dockerfile.dev`.
fn is_plain_name(name: &str) -> bool {
    let stem = name.split(['.', '-', '_']).next().unwrap_or_default();
    PLAIN_NAMES.contains(&stem)
}

const PLAIN_NAMES: &[&str] = &[
    "authors",
    "changelog",
    "changes",
    "codeowners",
    "containerfile",
    "contributing",
    "contributors",
    "copying",
    "copyright",
    "credits",
    "dockerfile",
    "gemfile",
    "gnumakefile",
    "install",
    "jenkinsfile",
    "justfile",
    "kconfig",
    "licence",
    "license",
    "maintainers",
    "makefile",
    "md5sums",
    "news",
    "notice",
    "owners",
    "pipfile",
    "pkgbuild",
    "procfile",
    "rakefile",
    "readme",
    "sha1sums",
    "sha256sums",
    "sha512sums",
    "thanks",
    "todo",
    "unlicense",
    "vagrantfile",
    "version",
];

/// Whether a charset means anything for this type. XML declares its own, which the parameter would override
/// (RFC 7303 §3.2).
fn is_text(essence: &str) -> bool {
    essence.starts_with("text/") && essence != "text/xml" && !essence.ends_with("+xml")
}

/// Types for which ASCII shows no charset: a page declares its own, and its scripts and style sheets have that of the
/// page.
const WEB: [&str; 3] = ["text/html", "text/css", "text/javascript"];

/// Whether a file that begins with `bytes` is UTF-8 and does not declare a charset.
///
/// The rest of a longer file is taken to be of the same kind, and ASCII to be UTF-8 outside of [`WEB`]; `is_cut` says
/// that there is more, so that the last character may be incomplete. Control characters show other encodings: NUL is
/// a half of a UTF-16 character, ESC switches in ISO-2022-JP.
fn is_utf8(essence: &str, bytes: &[u8], is_cut: bool) -> bool {
    let is_other = bytes.iter().any(|byte| matches!(byte, 0 | 0x1b));
    if is_other || declares_charset(essence, bytes) || (WEB.contains(&essence) && bytes.is_ascii()) {
        return false;
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => is_cut && error.error_len().is_none(),
    }
}

/// Whether HTML has a `<meta` with a charset, or CSS begins with `@charset`.
fn declares_charset(essence: &str, bytes: &[u8]) -> bool {
    match essence {
        "text/css" => bytes.starts_with(b"@charset \""),
        "text/html" => {
            let beginning = bytes[..bytes.len().min(DECLARATION)].to_ascii_lowercase();
            let tags = memchr::memmem::find_iter(&beginning, b"<meta").map(|at| &beginning[at..]);
            tags.map(|tag| &tag[..memchr::memchr(b'>', tag).unwrap_or(tag.len())])
                .any(|tag| memchr::memmem::find(tag, b"charset").is_some())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_name() {
        for (want, names) in [
            ("text/html", "a.html a.htm"),
            ("text/css", "a.css"),
            ("text/javascript", "a.js a.MJS a.cjs"),
            ("image/jpeg", "a.jpg a.jpeg a.JPG"),
            ("image/png", "a.png"),
            ("image/gif", "a.gif"),
            ("image/svg+xml", "a.svg a.svgz"),
            ("application/x-shockwave-flash", "a.swf"),
            (
                PLAIN,
                "a.txt text..txt a.c a.h a.cpp a.py a.log a.conf a.ini a.toml a.yaml a.YML a.rs a.lua a.f90",
            ),
            (
                PLAIN,
                "a.go a.java a.rb a.patch a.diff a.jsonl a.sh a.sql a.srt a.plist a.kt a.pl a.scss a.nfo",
            ),
            (
                PLAIN,
                "Dockerfile Dockerfile.dev LICENSE LICENSE-MIT license README README.first Makefile COPYING SHA256SUMS",
            ),
            ("text/markdown", "README.md"),
            ("text/xml", "a.xml a.xsl"),
            ("application/xhtml+xml", "a.xhtml"),
            ("application/json", "a.json license.json a.map"),
            ("application/wasm", "a.wasm"),
            ("application/gzip", "a.gz a.html.gz a.tgz"),
            ("application/zstd", "a.zst"),
            ("application/x-rpm", "a.rpm"),
            ("application/vnd.debian.binary-package", "a.deb"),
            ("audio/mp4", "a.m4a"),
            ("audio/midi", "a.mid a.midi"),
            ("video/mp2t", "a.ts a.m2ts a.mts"),
            ("video/mp4", "a.mp4 a.m4v"),
            ("application/vnd.apple.mpegurl", "a.m3u8"),
            ("font/woff", "a.woff"),
            ("font/woff2", "a.woff2"),
            ("font/otf", "a.otf"),
            ("image/avif", "a.avif"),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "a.docx"),
            (UNKNOWN, "a.exe a.bin a.nothing-known a a. licensed .bashrc"),
        ] {
            for name in names.split(' ') {
                assert_eq!(essence(OsStr::new(name)).0, want, "{name}");
            }
        }
    }

    #[test]
    fn codings_by_name() {
        for (name, want) in
            [("a.svgz", Some("gzip")), ("a.SVGZ", Some("gzip")), ("svgz", None), ("a.svg.gz", None)]
        {
            assert_eq!(coding(OsStr::new(name)), want, "{name}");
        }
    }

    #[test]
    fn unknown_names_by_content() {
        for (bytes, want) in [
            (&b""[..], true),
            (b"key=value\n", true),
            (b"\ta\r\n\x0c", true),
            ("\u{feff}\u{e4}".as_bytes(), true),
            (b"caf\xe9", false),
            (b"\x7fELF\x02", false),
            (b"\x1b[31m", false),
            (b"\0", false),
            (b"\x08", false),
            (b"\xff\xfea\0", false),
        ] {
            assert_eq!(is_shown(bytes, false), want, "{}", bytes.escape_ascii());
        }
        assert!(is_shown(b"\xc3", true), "cut in a character");
        for (name, want) in
            [("a", true), ("go.mod", true), ("a.ts", true), ("a.bin", false), ("a.mp4", false)]
        {
            assert_eq!(essence(OsStr::new(name)).1, want, "{name}");
        }
    }

    #[test]
    fn the_table_of_the_operator_comes_first() {
        let table = TypeTable::parse("text/x-mine txt nothing-known mod\nimage/x b\n", Some("text/html"));
        let table = table.expect("a table");
        for (name, want) in [
            ("a.TXT", "text/x-mine"),
            ("a.nothing-known", "text/x-mine"),
            ("a.mod", "text/x-mine"),
            ("a.css", "text/css"),
            ("LICENSE", PLAIN),
            ("LICENSE.b", "image/x"),
            ("a.ts", "video/mp2t"),
            ("a", "text/html"),
        ] {
            let (found, may_be_text) = essence_in(&table, OsStr::new(name));
            assert_eq!((&*found, may_be_text), (want, name == "a.ts"), "{name}");
        }
    }

    #[test]
    fn charsets_by_content() {
        let umlaut = "\u{e4}".as_bytes();
        let cut = [&[b'a'; WINDOW - 1], &umlaut[..1]].concat();
        for (essence, bytes, is_cut, want) in [
            (PLAIN, &b""[..], false, true),
            (PLAIN, b"ASCII\r\n\t\x0c", false, true),
            (PLAIN, umlaut, false, true),
            (PLAIN, b"\xef\xbb\xbfBOM", false, true),
            (PLAIN, b"\xff\xfeB\0O\0M\0", false, false),
            (PLAIN, b"U\0T\0F\0", false, false),
            (PLAIN, b"\x1b$B$3", false, false),
            (PLAIN, b"\xcf\xf0\xe8\xe2\xe5\xf2", false, false),
            (PLAIN, b"caf\xe9", false, false),
            (PLAIN, &cut, true, true),
            (PLAIN, &cut, false, false),
            (PLAIN, &[&cut[..], b"x"].concat(), true, false),
            ("text/css", b"@charset \"utf-8\";", false, false),
            ("text/css", b"ASCII", false, false),
            ("text/javascript", b"ASCII", false, false),
            ("text/javascript", umlaut, false, true),
            ("text/css", "@charset \"utf-8\"; \u{e4}".as_bytes(), false, false),
            ("text/css", "/* \u{e4} */ @charset \"utf-8\";".as_bytes(), false, true),
            ("text/html", b"<meta charset=utf-8>", false, false),
            ("text/html", b"<META\nHTTP-EQUIV=x content='text/html; CharSet=koi8-r'>", false, false),
            ("text/html", b"<meta name=x><p>charset", false, false),
            ("text/html", "<meta name=x><p>charset \u{e4}".as_bytes(), false, true),
            ("text/html", "<meta charset=utf-8>\u{e4}".as_bytes(), false, false),
            ("text/html", b"\xef\xbb\xbf<p>BOM", false, true),
            ("text/html", b"<p>caf\xe9", false, false),
            ("text/html", b"<meta name=x><meta charset=x", false, false),
            ("text/html", &[&[b' '; DECLARATION][..], b"<meta charset=x>\xc3\xa4"].concat(), false, true),
            (PLAIN, b"<meta charset=x>", false, true),
        ] {
            assert_eq!(is_utf8(essence, bytes, is_cut), want, "{essence}: {}", bytes.escape_ascii());
        }
        for (essence, want) in [
            ("text/xml", false),
            ("application/xml", false),
            ("image/svg+xml", false),
            ("application/json", false),
            ("text/csv", true),
        ] {
            assert_eq!(is_text(essence), want, "{essence}");
        }
    }
}
