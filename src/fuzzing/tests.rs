//! The oracles in `cargo test`.

#[test]
fn placeholder() {
    super::head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    super::chunked(b"3\r\nabc\r\n0\r\n\r\nX");
    super::range(b"\x64\0\0\0\0\0\0\0bytes=0-9,-10");
    super::path(b"/a/../b%20c/");
    super::host(b"a:80");
    super::connection(b"\0\x02\x02\xff\x06\x00GET /abc HTTP/1.1\r\nHost: a\r\n\r\nGET /f HTTP/1.1\r\nHost: a\r\n\r\nPOST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET");
}
