//! SEED §3: the acceptance rules of the lineage, and bugs of the seed that must not return.
//!
//! Others are rows: Date, Server and Connection in every response (A67), HTTP/1.0 (A26), Content-Length 0 (A47), the
//! way out of the root (B1), clients that leave (C20), several workers on one port (E2).

use crate::support::{Folder, Server};

fn server() -> (Folder, Server) {
    let folder = Folder::new();
    for (name, content) in [
        ("page one.html", "space"),
        ("text..txt", "dots"),
        ("style.css", "css"),
        ("a.jpg", "jpg"),
        ("b.jpeg", "jpeg"),
        ("c.JPG", "JPG"),
        ("d.png", "png"),
        ("e.gif", "gif"),
        ("f.js", "js"),
        ("g.swf", "swf"),
        ("page.html", "page"),
    ] {
        folder.write(name, content);
    }
    std::fs::create_dir(folder.root().join("empty")).expect("a folder");
    // The seed lists nothing.
    let server = Server::start(&folder.root(), &["--no-listing"]);
    (folder, server)
}

#[test]
fn content_length_and_type_on_every_200() {
    let (_folder, server) = server();
    for (target, length, content_type) in [
        ("/", "18", "text/html"),
        ("/page.html", "4", "text/html"),
        ("/style.css", "3", "text/css"),
        ("/a.jpg", "3", "image/jpeg"),
        ("/b.jpeg", "4", "image/jpeg"),
        ("/c.JPG", "3", "image/jpeg"),
        ("/d.png", "3", "image/png"),
        ("/e.gif", "3", "image/gif"),
        ("/f.js", "2", "text/javascript"),
        ("/g.swf", "3", "application/x-shockwave-flash"),
    ] {
        let response = server.connect().get(target, "");
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(response.field("Content-Length"), Some(length), "{target}");
        assert_eq!(response.field("Content-Type"), Some(content_type), "{target}");
    }
}

#[test]
fn directories_and_names() {
    let (_folder, server) = server();
    for (target, status, body) in [
        ("/", 200, Some("<html>index</html>")),
        ("/sub/", 200, Some("<html>sub</html>")),
        ("/empty/", 404, None),
        ("/page.html/", 404, None),
        ("/page.html?arg1=value&arg2=value", 200, Some("page")),
        ("/page%20one.html", 200, Some("space")),
        ("/%70%61%67%65%2e%68%74%6d%6c", 200, Some("page")),
        ("/text..txt", 200, Some("dots")),
        ("/none.html", 404, None),
    ] {
        let response = server.connect().get(target, "");
        assert_eq!(response.status, status, "{target}");
        if let Some(body) = body {
            assert_eq!(response.text(), body, "{target}");
        }
    }
}

/// The seed's error responses: plain text, with the long texts of its `responses`.
#[test]
fn errors_say_what_happened() {
    let (_folder, server) = server();
    let response = server.connect().get("/none", "");
    assert!(response.field("Content-Type").is_some_and(|value| value.starts_with("text/plain")));
    assert_eq!(response.text(), "404 Not Found\nNothing matches the given URI\n");
    let response = server.connect().ask("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(response.text().contains("Specified method is invalid for this resource."));
}

/// The seed's `url_normalize` looped for ever on these.
#[test]
fn dots_at_the_end_of_a_name_are_a_name() {
    let (folder, server) = server();
    std::fs::create_dir(folder.root().join("a..")).expect("a folder");
    folder.write("a../b", "found");
    assert_eq!(server.connect().get("/a../b", "").text(), "found");
    assert_eq!(server.connect().get("/a../", "").status, 404);
    assert_eq!(server.connect().get("/.htaccess", "").status, 404);
}
