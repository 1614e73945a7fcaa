"""What is believed about a request, and of whom: proxies, TLS, clients and users that are served."""

import base64
import re
import socket
import ssl
import subprocess

from client import Connection, eventually, request
from harness import Skip, expect, row
from test_cli import command

PLACE = ("REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme", "SERVER_PORT", "HTTPS")


def seen_by(case, server, fields, keys=PLACE, host="a"):
    seen = case.environ(server=server, headers=fields, app="dump")
    return tuple(seen.get(key, "") for key in keys)


def from_unix(case, path, fields):
    with Connection(str(path)) as connection:
        return {key: value for key, (_, value) in connection.ask(app="dump", headers=fields).json.items()}


# Hops
@row("C", "the client is the last address that is no proxy's: networks, ports, brackets", ours=True)
def hops(case):
    server = case.serve(args=["--forwarded-allow-ips", "127.0.0.0/8,10.0.0.0/8, 2001:db8::/32"])
    own = case.environ(server=server)["REMOTE_ADDR"]
    for chain, address, port in [
        ("203.0.113.9", "203.0.113.9", ""), ("203.0.113.9:4711", "203.0.113.9", "4711"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.3, 10.0.0.2", "203.0.113.9", ""), ("127.0.0.1,203.0.113.9:80,10.1.2.3:5", "203.0.113.9", "80"),
        ("2001:db8:1::7", "2001:db8:1::7", ""), ("[2001:db9::7]:443", "2001:db9::7", "443"), ("[2001:db9::7]", "2001:db9::7", ""),
        ("::ffff:203.0.113.9", "203.0.113.9", ""), ("10.0.0.3, 10.0.0.2", "10.0.0.3", ""),
        ("rubbish, 203.0.113.9", "203.0.113.9", "")]:
        expect(seen_by(case, server, [("X-Forwarded-For", chain)], PLACE[:2]), (address, port), chain)
    for chain in ("", "unknown", "203.0.113.9, rubbish", "203.0.113.9, 300.1.1.1, 10.0.0.2", "\xff", "203.0.113.9,"):
        expect(seen_by(case, server, [("X-Forwarded-For", chain)], PLACE[:1]), (own,), f"{chain}: the client is unknown")
    fields = [("X-Forwarded-For", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9, 10.0.0.2")]
    expect(seen_by(case, server, fields, PLACE[:1]), ("203.0.113.9",))


# Scheme and port
@row("C", "behind a trusted proxy scheme, SERVER_PORT and HTTPS agree", ours=True)
def scheme(case):
    server = case.serve(args=["--forwarded-allow-ips", "127.0.0.1,10.0.0.0/8"])
    port = str(server.port)
    keys = PLACE[2:]
    for fields, wanted in [
        ([("X-Forwarded-Proto", "https")], ("https", "443", "on")), ([("X-Forwarded-Proto", "HTTPS")], ("https", "443", "on")),
        ([("X-Forwarded-Proto", "http")], ("http", "80", "")), ([("X-Forwarded-Proto", "ftp")], ("http", port, "")), ([], ("http", port, "")),
        # The client has written the first; the proxy has added the second, as it has added an address.
        ([("X-Forwarded-Proto", "https, http"), ("X-Forwarded-For", "1.1.1.1, 203.0.113.9")], ("http", "80", "")),
        # Two proxies: the outer one speaks of the client.
        ([("X-Forwarded-Proto", "https, http"), ("X-Forwarded-For", "203.0.113.9, 10.0.0.2")], ("https", "443", "on")),
        ([("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "203.0.113.9, 10.0.0.2")], ("https", "443", "on")),
        # Not every proxy writes these, so that a client could.
        ([("X-Forwarded-Port", "8443"), ("X-Forwarded-Host", "evil.example")], ("http", port, "")),
        ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "8443")], ("https", "443", "on")),
        ([("Forwarded", "for=1.1.1.1;proto=https")], ("http", port, ""))]:
        expect(seen_by(case, server, fields, keys), wanted, fields)
    with Connection(server.address) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: shop.example:8443\r\nX-App: dump\r\nX-Forwarded-Proto: https\r\n\r\n")
        seen = connection.answer().json
    expect((seen["SERVER_PORT"][1], seen["HTTP_HOST"][1]), ("8443", "shop.example:8443"))


# --forwarded-host
@row("C", "--forwarded-host: X-Forwarded-Host and -Port are believed", ours=True)
def host(case):
    server = case.serve(args=["--forwarded-allow-ips", "127.0.0.1", "--forwarded-host"])
    keys = ("HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme")
    own = seen_by(case, server, [], keys)
    for fields, wanted in [
        ([("X-Forwarded-Host", "shop.example"), ("X-Forwarded-Proto", "https")], ("shop.example", "shop.example", "443", "https")),
        ([("X-Forwarded-Host", "shop.example:81"), ("X-Forwarded-Proto", "http")], ("shop.example:81", "shop.example", "81", "http")),
        ([("X-Forwarded-Host", "[2001:db8::1]:81")], ("[2001:db8::1]:81", "[2001:db8::1]", "81", "http")),
        ([("X-Forwarded-Host", "evil.example, shop.example"), ("X-Forwarded-Port", "444"), ("X-Forwarded-Proto", "https")],
         ("shop.example", "shop.example", "444", "https")),
        ([("X-Forwarded-Host", "a b/?"), ("X-Forwarded-Port", "x")], own), ([("X-Forwarded-Host", "")], own)]:
        expect(seen_by(case, server, fields, keys), wanted, fields)
    code, said = command(case, "apps:application", "--port", "0", "--forwarded-host")
    expect(code, 2, said)


# --forwarded-field
@row("C", "--forwarded-field Forwarded: client, scheme and host by RFC 7239, and no other field", ours=True)
def standard(case):
    server = case.serve(args=["--forwarded-allow-ips", "127.0.0.1", "--forwarded-allow-ips", "10.0.0.0/8", "--forwarded-field",
                              "Forwarded"])
    keys = ("REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT")
    address, port, _, own_host, own_name, own_port = seen_by(case, server, [], keys)
    own = (own_host, own_name, own_port)
    for text, wanted in [
        ("for=203.0.113.9;proto=https;host=shop.example", ("203.0.113.9", "", "https", "shop.example", "shop.example", "443")),
        ('for="[2001:db8::7]:4711";host="shop.example:81"', ("2001:db8::7", "4711", "http", "shop.example:81", "shop.example", "81")),
        ("for=1.1.1.1;proto=https, for=203.0.113.9;proto=http, for=10.0.0.2;proto=https",
         ("203.0.113.9", "", "http", own_host, own_name, "80")),
        ("for=203.0.113.9", ("203.0.113.9", "", "http", *own))]:
        expect(seen_by(case, server, [("Forwarded", text)], keys), wanted, text)
    # An obfuscated client is unknown; what its proxy says of the request counts all the same.
    seen = seen_by(case, server, [("Forwarded", "for=_hidden;proto=https")], keys)
    expect((seen[0], seen[2]), (address, "https"))
    for fields in ([("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Proto", "https")],
                   [("Forwarded", 'for="'), ("X-Forwarded-Proto", "https")], [("Forwarded", "for=1.1.1.1;for=2.2.2.2")]):
        seen = seen_by(case, server, fields, keys)
        expect((seen[0], seen[2]), (address, "http"), fields)


# Untrusted peers
@row("C", "a peer that is no proxy names nobody, neither to the server nor to the application", ours=True)
def untrusted(case):
    fields = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"),
              ("X-Real-IP", "203.0.113.7"), ("Forwarded", "for=203.0.113.7;proto=https"), ("CF-Connecting-IP", "203.0.113.7")]
    server = case.serve(args=["--forwarded-allow-ips", "10.0.0.1", "--forwarded-field", "CF-Connecting-IP"])
    seen = case.environ(server=server, headers=fields)
    expect((seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], seen["SERVER_PORT"]), ("127.0.0.1", "http", str(server.port)))
    left = [key for key in seen if "FORWARDED" in key or key in ("HTTP_X_REAL_IP", "HTTP_CF_CONNECTING_IP")]
    expect(left, [])
    # Without the option nothing is known of proxies, and the application may know more.
    seen = case.environ(headers=fields)
    expect((seen["REMOTE_ADDR"], seen["HTTP_X_FORWARDED_FOR"], seen["wsgi.url_scheme"]), ("127.0.0.1", "203.0.113.7", "http"))


# unix, *
@row("C", "--forwarded-allow-ips: unix, * and $FORWARDED_ALLOW_IPS; a wrong list is refused", ours=True)
def lists(case):
    path = case.folder / "socket"
    fields = [("X-Forwarded-For", "203.0.113.7, 10.0.0.1:81"), ("X-Forwarded-Proto", "https")]
    for words, wanted in [("unix", "10.0.0.1"), ("unix,10.0.0.0/8", "203.0.113.7"), ("*", "203.0.113.7"), ("127.0.0.1", "")]:
        server = case.serve(unix=path, args=["--forwarded-allow-ips", words])
        seen = from_unix(case, path, fields)
        expect((seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]), (wanted, "https" if wanted else "http"), words)
        server.stop()
    server = case.serve(env={"FORWARDED_ALLOW_IPS": "*"})
    expect(seen_by(case, server, fields, PLACE[:1]), ("203.0.113.7",))
    for wrong in ("localhost", "10.0.0.0/33", "10.0.0.1/8", "1.2.3"):
        code, said = command(case, "apps:application", "--port", "0", "--forwarded-allow-ips", wrong)
        assert code == 2 and "--forwarded-allow-ips" in said and "Traceback" not in said, said


# The access log
@row("C", "the access log has the client behind the proxies", ours=True)
def logged(case):
    path = case.folder / "access"
    (case.folder / "files").mkdir()
    (case.folder / "files" / "a.txt").write_text("a file")
    server = case.serve(args=["--access-log", str(path), "--forwarded-allow-ips", "127.0.0.1", "--static",
                              f"/static={case.folder / 'files'}"])
    for target in ("/seen", "/static/a.txt"):
        case.ask(target, "one", headers=[("X-Forwarded-For", "1.1.1.1, 203.0.113.7")], server=server)
        eventually(lambda t=target: re.search(rf'^203\.0\.113\.7 .*"GET {t} ', path.read_text(), re.M), f"{target} in the log")
    case.ask("/plain", "one", server=server)
    eventually(lambda: re.search(r'^127\.0\.0\.1 .*"GET /plain ', path.read_text(), re.M), "the peer in the log")


# --proxy-protocol
@row("C", "--proxy-protocol: the address in the header, versions 1 and 2", ours=True)
def proxy_protocol(case):
    for threads in (4, 0):
        server = case.serve(threads=threads, args=["--proxy-protocol", "127.0.0.1"])
        address = socket.inet_aton("203.0.113.7") + socket.inet_aton("127.0.0.1") + (4711).to_bytes(2) + (80).to_bytes(2)
        for header in (b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n",
                       b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(address).to_bytes(2) + address):
            with Connection(server.address) as connection:
                connection.send(header + request("/", "dump"))
                seen = connection.answer().json
                expect((seen["REMOTE_ADDR"][1], seen["REMOTE_PORT"][1]), ("203.0.113.7", "4711"))
                expect(connection.ask(app="writes").body, b"first second third fourth")
        with Connection(server.address) as connection:
            connection.send(request("/", "dump"))
            assert connection.is_closed(), "a proxy without a header is served"
        server.stop()


class Encrypted(Connection):
    def __init__(self, address):
        super().__init__(address)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)


def serve_tls(case, args=(), **options):
    server = case.kind(args=["--tls-self-signed", *args], **options)
    case.stack.callback(server.stop)
    server.found_port = lambda: (found := re.search(r"https://127\.0\.0\.1:(\d+)/", server.log())) and int(found[1])
    server.start()
    return server


# TLS
@row("C", "TLS: scheme https, HTTPS, the port; bodies, files, write() and pipelines as without it", ours=True)
def tls(case):
    for threads in (4, 0):
        server = serve_tls(case, threads=threads)
        with Encrypted(server.address) as connection:
            seen = {key: value for key, (_, value) in connection.ask(app="dump").json.items()}
            expect((seen["wsgi.url_scheme"], seen["HTTPS"], seen["SERVER_PORT"]), ("https", "on", str(server.port)))
            expect(connection.ask(app="writes").body, b"first second third fourth")
            expect(len(connection.ask(app="writes_much").body), 4 * 1024 * 1024)
            body = bytes(range(256)) * 8000
            expect(connection.ask(app="echo", method="POST", body=body).body, body)
            expect(connection.ask(app="one").body, b"Hello World")
            connection.send(request("/a", "one") + request("/b", "one"))
            expect([connection.answer().body for _ in range(2)], [b"Hello World"] * 2)
        # Clear text is refused, and does no harm.
        with Connection(server.address) as connection:
            connection.send(request())
            connection.rest()
        with Encrypted(server.address) as connection:
            expect(connection.ask(app="one").body, b"Hello World")
        server.stop()


# TLS: files, redirect
@row("C", "--tls-cert, --tls-key, --redirect-http; a key below --static is refused", ours=True)
def certificates(case):
    run = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
                          "-days", "30", "-subj", "/CN=a"], cwd=case.folder, capture_output=True, check=False)
    if run.returncode:
        raise Skip("openssl is missing")
    (case.folder / "key.pem").chmod(0o600)
    files = ["--tls-cert", str(case.folder / "cert.pem"), "--tls-key", str(case.folder / "key.pem")]
    server = case.kind(args=[*files, "--redirect-http", "127.0.0.1:0"])
    case.stack.callback(server.stop)
    server.found_port = lambda: (found := re.search(r"https://127\.0\.0\.1:(\d+)/", server.log())) and int(found[1])
    server.start()
    with Encrypted(server.address) as connection:
        expect(connection.ask(app="one").body, b"Hello World")
    port = int(eventually(lambda: re.search(r"redirect http://127\.0\.0\.1:(\d+)/", server.log()), "its place")[1])
    with Connection(("127.0.0.1", port)) as connection:
        answer = connection.ask("/x?y")
        expect(answer.status, 308)
        assert answer.get("Location").startswith("https://") and answer.get("Location").endswith("/x?y"), answer
    code, said = command(case, "apps:application", "--port", "0", *files, "--static", f"/s={case.folder}")
    assert code == 1 and "key" in said and "Traceback" not in said, f"{code} {said}"
    code, said = command(case, "apps:application", "--port", "0", *files[:2])
    expect(code, 2, said)


# --allow
@row("C", "--allow: other clients get 403, and the application is not called", ours=True)
def allow(case):
    server = case.serve(args=["--allow", "10.0.0.0/8", "--forwarded-allow-ips", "127.0.0.1"])
    expect(case.ask(app="one", server=server).status, 403)
    expect(case.ask(app="one", headers=[("X-Forwarded-For", "192.0.2.1")], server=server).status, 403)
    seen = case.environ(headers=[("X-Forwarded-For", "10.1.2.3")], server=server)
    expect(seen["REMOTE_ADDR"], "10.1.2.3")


# --auth
@row("C", "--auth: REMOTE_USER is the user whose password was right", ours=True)
def auth(case):
    run = subprocess.run(["openssl", "passwd", "-6", "secret"], capture_output=True, text=True, check=False)
    if run.returncode:
        raise Skip("openssl is missing")
    users, log = case.folder / "users", case.folder / "access"
    users.write_text(f"ann:{run.stdout}")
    users.chmod(0o600)
    for threads in (4, 0):
        server = case.serve(threads=threads, args=["--auth", str(users), "--access-log", str(log)])
        given = "Basic " + base64.b64encode(b"ann:secret").decode()
        for _ in range(2):
            expect(case.ask(app="one", server=server).status, 401)
            seen = case.environ(headers=[("Authorization", given)], server=server)
            expect((seen["REMOTE_USER"], seen["AUTH_TYPE"]), ("ann", "Basic"))
        wrong = "Basic " + base64.b64encode(b"ann:wrong").decode()
        expect(case.ask(app="one", headers=[("Authorization", wrong)], server=server).status, 401)
        eventually(lambda: re.search(r"^127\.0\.0\.1 - ann ", log.read_text(), re.M), "the user in the log")
        server.stop()
    seen = case.environ(headers=[("Authorization", given), ("Remote-User", "root")])
    assert "REMOTE_USER" not in seen and "AUTH_TYPE" not in seen, seen
