"""Rows E: the environment of the app."""

import re

from client import Connection, eventually, request
from harness import Skip, expect, row


# WSGI E1
@row("E1", "environ is a plain dict, and the app's own")
def plain_dict(case):
    expect(case.environ()["type(environ)"].kind, "dict")
    connection = case.connect()
    for _ in range(8):
        if connection.ask(app="spoil") is None:
            connection = case.connect()
        seen = connection.ask(app="dump")
        if seen is None:
            connection = case.connect()
            continue
        assert "spoilt" not in seen.json, "the next request sees what the last app has put there"
        assert {"REQUEST_METHOD", "SERVER_NAME", "PATH_INFO"} <= set(seen.json), "keys that the last app removed"


# WSGI E2
@row("E2", "values of CGI keys are str, latin-1 only")
def text_only(case):
    seen = case.environ("/%C3%A9?%C3%A9", method="POST", headers=[("X-Latin", "é")], body=b"abc")
    for key, value in seen.items():
        if "." not in key and key != "type(environ)":
            expect(value.kind, "str", key)
            value.encode("latin-1")


# WSGI E3
@row("E3", "REQUEST_METHOD as it was sent")
def method(case):
    for name in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]:
        expect(case.environ(method=name, body=b"")["REQUEST_METHOD"], name)


# WSGI E3
@row("E3", "methods that HTTP does not define")
def unknown_methods(case):
    for name in ["PROPFIND", "M-SEARCH", "PURGE"]:
        expect(case.environ(method=name, body=b"")["REQUEST_METHOD"], name)


# WSGI E3
@row("E3", "methods keep their case")
def lower_case_methods(case):
    for name in ["get", "Brew"]:
        expect(case.environ(method=name, body=b"")["REQUEST_METHOD"], name)


# WSGI E4
@row("E4", "without a prefix SCRIPT_NAME is empty")
def no_prefix(case):
    seen = case.environ("/a/b")
    expect((seen.get("SCRIPT_NAME", ""), seen["PATH_INFO"]), ("", "/a/b"))


# WSGI E4
@row("E4", "a prefix moves to SCRIPT_NAME; other paths stay unchanged")
def prefix(case):
    server = case.serve(prefix="/app")
    for target, wanted in [("/app/x", ("/app", "/x")), ("/app/", ("/app", "/")), ("/app", ("/app", ""))]:
        seen = case.environ(target, server=server)
        expect((seen["SCRIPT_NAME"], seen["PATH_INFO"]), wanted, target)
    for target in ["/application", "/other", "/"]:
        answer = case.ask(target, "dump", server=server)
        if answer.status == 200:
            seen = {key: value for key, (_, value) in answer.json.items()}
            expect(seen["SCRIPT_NAME"] + seen["PATH_INFO"], target, "SCRIPT_NAME + PATH_INFO")
        else:
            assert 400 <= answer.status < 600, answer


# WSGI E5
@row("E5", "PATH_INFO is decoded once, bytes as latin-1")
def path_decoded(case):
    for target, wanted in [("/%C3%A9", "/Ã©"), ("/a%2Fb", "/a/b"), ("/%2541", "/%41"), ("/a%3Fb", "/a?b"),
                           ("/a%20b+c", "/a b+c"), ("/%FF", "/ÿ")]:
        expect(case.environ(target)["PATH_INFO"], wanted, target)


# WSGI E5
@row("E5", "PATH_INFO is not normalised: //a//b, dots, %00")
def path_kept(case):
    for target, wanted in [("//a//b", "//a//b"), ("/env/../x", "/env/../x"), ("/a/./b/", "/a/./b/"),
                           ("/a;b=c/d", "/a;b=c/d"), ("/a%00b", "/a\0b")]:
        expect(case.environ(target)["PATH_INFO"], wanted, target)


# WSGI E5
@row("E5", "an absolute target gives its path; OPTIONS * gives *")
def other_forms(case):
    seen = case.environ("http://test.example/abs?q=1", app="bare")
    expect((seen["PATH_INFO"], seen["QUERY_STRING"], seen["HTTP_HOST"]), ("/abs", "q=1", "test.example"))
    expect(case.environ("*", app="bare", method="OPTIONS")["PATH_INFO"], "*")


# WSGI E5
@row("E5", "the host of an absolute target replaces the Host field", ours=True)
def absolute_host(case):
    for target, host in [("http://other.example:81/abs?q=1", "other.example:81"), ("http://other.example", "other.example"),
                         ("http://other.example?q", "other.example"), ("HTTP://other.example/http://x/", "other.example")]:
        expect(case.environ(target, app="bare")["HTTP_HOST"], host, target)
    expect(case.environ("/http://x/", app="bare")["HTTP_HOST"], "test.example")


# WSGI E6
@row("E6", "QUERY_STRING is raw, and always present")
def query(case):
    for target, wanted in [("/", ""), ("/?", ""), ("/?a=%20b&c=%C3%A9+d?x", "a=%20b&c=%C3%A9+d?x"), ("/?a%26b", "a%26b")]:
        seen = case.environ(target)
        assert "QUERY_STRING" in seen, f"none for {target}"
        expect(seen["QUERY_STRING"], wanted, target)


# WSGI E7
@row("E7", "CONTENT_TYPE and CONTENT_LENGTH have no HTTP_ before them")
def content(case):
    seen = case.environ(method="POST", headers=[("Content-Type", "text/x; a=b")], body=b"12345")
    expect((seen["CONTENT_TYPE"], seen["CONTENT_LENGTH"]), ("text/x; a=b", "5"))
    assert "HTTP_CONTENT_TYPE" not in seen and "HTTP_CONTENT_LENGTH" not in seen
    seen = case.environ()
    expect((seen.get("CONTENT_TYPE", ""), seen.get("CONTENT_LENGTH", "")), ("", ""))
    expect(case.environ(method="POST", body=b"")["CONTENT_LENGTH"], "0")


# WSGI E8
@row("E8", "SERVER_NAME and SERVER_PORT are never empty")
def server(case):
    seen = case.environ(headers=[("X-Other", "1")])
    assert seen["SERVER_NAME"], "no SERVER_NAME"
    expect(seen["SERVER_PORT"], str(case.server.port))


# WSGI E8
@row("E8", "also on a Unix socket")
def server_unix(case):
    running = case.serve(unix=case.folder / "socket")
    seen = case.environ(server=running, app="bare")
    assert seen.get("SERVER_NAME"), "no SERVER_NAME"
    assert seen.get("SERVER_PORT", "").isdigit(), f"SERVER_PORT {seen.get('SERVER_PORT')!r}"
    assert seen["REMOTE_ADDR"].kind == "str" if "REMOTE_ADDR" in seen else True


# WSGI E9
@row("E9", "SERVER_PROTOCOL is the request's version")
def protocol(case):
    for version in ["HTTP/1.0", "HTTP/1.1"]:
        expect(case.environ(version=version)["SERVER_PROTOCOL"], version)


# WSGI E10
@row("E10", "fields of one name are joined by commas, Cookie by semicolons")
def joined(case):
    seen = case.environ(headers=[("X-Two", "1"), ("X-Two", "2"), ("Cookie", "a=1"), ("Cookie", "b=2")])
    expect(seen["HTTP_X_TWO"].replace(" ", ""), "1,2")
    expect(seen["HTTP_COOKIE"].replace(" ", ""), "a=1;b=2")


# WSGI E11
@row("E11", "a name with _ is not taken for one with -")
def underscores(case):
    seen = case.environ(headers=[("X_Under", "evil"), ("X-Real", "good"), ("X_Real", "evil"), ("Content_Length", "7"),
                                 ("Content_Type", "evil")], app="bare")
    assert "HTTP_X_UNDER" not in seen, "X_Under is there"
    expect(seen["HTTP_X_REAL"], "good")
    assert not {"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"} & set(seen), "Content_Length is there"
    expect(seen.get("CONTENT_LENGTH", ""), "")


# WSGI E12
@row("E12", "bytes above 0x7f in values are latin-1")
def latin(case):
    expect(case.environ(headers=[("X-Bin", "caf\xe9 \xff")])["HTTP_X_BIN"], "caf\xe9 \xff")


# WSGI E12; waitress 432
@row("E12", "only spaces and tabs are trimmed from values")
def stripped(case):
    expect(case.environ(headers=[("X-Edge", " \t a\xa0\x85 \t")])["HTTP_X_EDGE"], "a\xa0\x85")


# WSGI E13
@row("E13", "a chunked body has a length and no coding")
def hop_by_hop(case):
    seen = case.environ(method="POST", body=[b"hello ", b"world"])
    expect(seen.get("CONTENT_LENGTH"), "11")
    assert "HTTP_TRANSFER_ENCODING" not in seen, "HTTP_TRANSFER_ENCODING is there"


# WSGI E13
@row("E13", "trailers do not become fields")
def trailers(case):
    connection = case.connect()
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-Safe: 1\r\n\r\n"
                    b"3\r\nabc\r\n0\r\nX-Safe: 2\r\nX-Trailer: 3\r\n\r\n")
    seen = connection.answer().json
    expect(seen["HTTP_X_SAFE"][1], "1")
    assert "HTTP_X_TRAILER" not in seen, "a trailer is there"


# WSGI E14
@row("E14", "REMOTE_ADDR and REMOTE_PORT are the client's, as text")
def remote(case):
    connection = case.connect()
    seen = connection.ask(app="dump").json
    expect(seen["REMOTE_ADDR"], ["str", "127.0.0.1"])
    expect(seen.get("REMOTE_PORT"), ["str", str(connection.port)])


# WSGI E14
@row("E14", "REMOTE_HOST is REMOTE_ADDR: no name is looked up", ours=True)
def remote_host(case):
    expect(case.environ().get("REMOTE_HOST", "127.0.0.1"), "127.0.0.1")


# WSGI E15
@row("E15", "the raw target is present (REQUEST_URI or RAW_URI)")
def raw_target(case):
    seen = case.environ("/a%2Fb/../c?x=%41")
    expect(seen.get("REQUEST_URI", seen.get("RAW_URI")), "/a%2Fb/../c?x=%41")


# WSGI E15
@row("E15", "under both of its names", ours=True)
def both_raw_targets(case):
    for target in ("/a%2Fb/../c?x=%41", "/plain", "http://test.example/x?y"):
        seen = case.environ(target)
        expect((seen["REQUEST_URI"], seen["RAW_URI"]), (target, target))


# WSGI E16
@row("E16", "wsgi.version is the tuple (1, 0)")
def version(case):
    seen = case.environ()["wsgi.version"]
    expect((seen.kind, seen), ("tuple", "(1, 0)"))


# WSGI E17
@row("E17", "wsgi.url_scheme is http without a proxy")
def scheme(case):
    seen = case.environ()["wsgi.url_scheme"]
    expect((seen.kind, seen), ("str", "http"))


# WSGI E18
@row("E18", "multithread, multiprocess, run_once are true to the server")
def concurrency(case):
    for threads, workers in [(4, 1), (1, 1), (4, 2)]:
        try:
            server = case.serve(threads=threads, workers=workers)
        except Skip:
            continue
        seen = case.environ(server=server)
        many = threads > 1 and "threads" in case.kind.knows
        for key, wanted in [("multithread", many), ("multiprocess", workers > 1), ("run_once", False)]:
            expect(seen[f"wsgi.{key}"] not in ("0", "False"), wanted, f"{key}, {threads} threads, {workers} workers")


# WSGI E18
@row("E18", "with the app on the loop, too", ours=True)
def concurrency_inline(case):
    server = case.serve(threads=0)
    seen = case.environ(server=server)
    expect([seen[f"wsgi.{key}"] for key in ("multithread", "multiprocess")], ["False", "False"])


# WSGI E19
@row("E19", "wsgi.errors takes any text and logs it")
def errors(case):
    expect(case.ask(app="errors").status, 200)
    wanted = [f"write {case.mark} é ☃ 🐍", f"first {case.mark}", f"second {case.mark}"]
    eventually(lambda: all(line in case.server.log() for line in wanted), f"{wanted} in the log")


# WSGI E20
@row("E20", "wsgi.input_terminated is True")
def terminated(case):
    for body in (None, b"abc", [b"abc"]):
        seen = case.environ(method="POST" if body else "GET", body=body)
        expect(seen.get("wsgi.input_terminated"), "True")


# WSGI E21
@row("E21", "the system's environment is not copied")
def secrets(case):
    seen = case.environ()
    leaks = [key for key in seen if key in ("WSGI_SECRET", "PATH", "HOME")]
    assert not leaks, f"{', '.join(leaks)} are there"


# WSGI E22
@row("E22", "the server's own keys are lower-case, with a dot")
def own_keys(case):
    for key in case.environ():
        if key != "type(environ)" and not re.fullmatch(r"[A-Z][A-Z0-9_]*", key) and case.server.name != "granian":
            assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", key), key


# WSGI E1–E22
@row("E1", "wsgiref.validate accepts every request")
def validated(case):
    connection = case.connect()
    for method in ["GET", "POST", "HEAD"]:
        for version in ["HTTP/1.1", "HTTP/1.0"]:
            with Connection(case.server.address) as connection:
                connection.send(request("/a/b?c", "dump", method, [("Cookie", "a=b")], b"x" if method == "POST" else None,
                                        version))
                answer = connection.answer(method)
                expect(answer and answer.status, 200, f"{method} {version}")
