"""Probes: TLS."""

import contextlib
import signal
import ssl

from lib import Trouble, until

from . import folder, wire
from .verdict import check, feature, no, partly, shares, yes

GROUP = "TLS"


def talk(running, path="/sub/hello.txt", context=None, session=None):
    """A response over TLS and the socket's facts: protocol, ALPN, session, whether it was resumed, certificate."""
    context = context or wire.trusting("http/1.1")
    try:
        with wire.connect(running.port, tls=context, session=session) as client:
            client.sendall(wire.head(path, ["Connection: close"]))
            found = wire.Reader(client).response()
            return found, (client.version(), client.selected_alpn_protocol(), client.session, client.session_reused,
                           client.getpeercert(True))
    except (OSError, ValueError):
        # ssl raises ValueError for a connection that was reset before its handshake.
        return wire.Response(), (None,) * 5


@feature(GROUP, "certificate and key as PEM", "tls", needs=True)
def pem(stage):
    """A file comes over TLS 1.3, and over TLS 1.2, with the certificate of the file."""
    running = stage.running("tls")
    found, (version, *_, certificate) = talk(running)
    older, (old_version, *_) = talk(running, context=wire.trusting(latest=ssl.TLSVersion.TLSv1_2))
    wanted = ssl.PEM_cert_to_DER_cert((stage.place / "cert.pem").read_text())
    return shares((found.body == b"hello\n" and version == "TLSv1.3" and certificate == wanted, "no TLS 1.3"),
                  (older.body == b"hello\n" and old_version == "TLSv1.2", "no TLS 1.2"))


@feature(GROUP, "a self-signed certificate of its own", "self_signed", needs=True)
def self_signed(stage):
    """A file comes over TLS without a certificate file."""
    running = stage.running("self_signed")
    with contextlib.suppress(Trouble):
        until(lambda: talk(running)[0].body == b"hello\n", "its certificate is made", 8, 0.2)
    return check(talk(running)[0].body == b"hello\n")


@feature(GROUP, "HTTP on the TLS port: says so", "tls", needs=True)
def plain_on_tls(stage):
    """A request without TLS is answered with a page that names HTTPS or TLS, or with a redirect to `https:`."""
    found = stage.running("tls").ask("/sub/hello.txt")
    return check(found.status and (names_tls(found.text) or found.get("location").startswith("https:")))


@feature(GROUP, "another port redirects to HTTPS", "redirect_http", needs=True)
def redirect_http(stage):
    """`/about.html?x=1` on a second port, without TLS, leads to `https:` with the same path and query."""
    running = stage.running("redirect_http")
    with contextlib.suppress(Trouble):
        until(lambda: wire.ask(running.second, "/").status, "the other port answers", 5, 0.05)
    found = wire.ask(running.second, "/about.html?x=1")
    where = found.get("location")
    return check(found.status in (301, 302, 307, 308) and where.startswith("https:") and where.endswith("/about.html?x=1"))


def names_tls(text):
    return "https" in text.lower() or "tls" in text.lower()


@feature(GROUP, "resumes sessions", "tls", needs=True)
def resumption(stage):
    """A second connection with the session of the first is resumed, in TLS 1.3 and in TLS 1.2."""
    running, pairs = stage.running("tls"), []
    for name, latest in (("not in TLS 1.3", None), ("not in TLS 1.2", ssl.TLSVersion.TLSv1_2)):
        context = wire.trusting("http/1.1", latest=latest)
        _, (_, _, session, _, _) = talk(running, context=context)
        pairs.append((session and talk(running, context=context, session=session)[1][3], name))
    return shares(*pairs)


@feature(GROUP, "a new certificate without a restart", "tls", needs=True)
def reload(stage):
    """The files are replaced while a download over TLS goes on, and HUP (caddy: USR1) is sent: new connections have the new
    certificate within five seconds, and the download is whole."""
    with stage.fresh("tls") as running:
        return replaced(stage, running)


def replaced(stage, running):
    with wire.connect(running.port, tls=wire.trusting("http/1.1")) as client:
        client.sendall(wire.head("/big.bin", ["Connection: close", f"Range: bytes=0-{folder.LARGE - 1}"]))
        reader = wire.Reader(client)
        found = reader.head()
        folder.make_certificate(stage.place, "second")
        wanted = ssl.PEM_cert_to_DER_cert((stage.place / "cert.pem").read_text())
        running.process.send_signal(stage.server.signals.get("reload", signal.SIGHUP))
        with contextlib.suppress(Trouble):
            until(lambda: talk(running)[1][4] == wanted, "the new certificate is sent", 5, 0.2)
        if talk(running)[1][4] != wanted:
            return no("ended by HUP" if running.is_over() else "")
        body = reader.exactly(folder.LARGE)
    return yes() if found.status == 206 and len(body) == folder.LARGE else partly("cuts the connections")


@feature(GROUP, "HTTP/2", "tls", needs=True)
def http2(stage):
    """It chooses `h2` when a client offers it by ALPN."""
    return check(talk(stage.running("tls"), context=wire.trusting("h2", "http/1.1"))[1][1] == "h2")
