"""The apps of the tests. The field X-App says which one is called, X-Mark for whom it notes what has happened.

Apps are wrapped in `wsgiref.validate` unless the row is about what the validator itself hides or forbids; those are
marked `checked=False`, with the reason.
"""

import gc
import hashlib
import io
import json
import os
import sys
import threading
import time
import warnings
import weakref
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]
APPS = {}
# It only warns of methods that it does not know; they are tested.
warnings.filterwarnings("ignore", module="wsgiref")


def app(function=None, *, checked=True):
    def decorate(function):
        APPS[function.__name__] = validator(function) if checked else function
        return function
    return decorate(function) if function else decorate


def application(environ, start_response):
    return APPS[environ.get("HTTP_X_APP", "dump")](environ, start_response)


def note(environ, name, text=""):
    """Tells the test. One write to a file that is appended to: whole, from any thread or process."""
    line = f"{environ.get('HTTP_X_MARK', '-')}\t{name}\t{text}\n"
    with open(os.environ["WSGI_EVENTS"], "ab", buffering=0) as file:
        file.write(line.encode())


def wait_for(path, patience=30.0):
    """Waits for a file that the test makes; False if it does not."""
    until = time.monotonic() + patience
    while not os.path.exists(path):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


class Body:
    """An iterable that notes when it is closed."""

    def __init__(self, environ, chunks, close=None):
        self.environ, self.chunks, self.on_close = environ, iter(chunks), close

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.chunks)

    def close(self):
        note(self.environ, "closed", threading.get_ident())
        if self.on_close:
            self.on_close()


# ---- the environment -------------------------------------------------------------------------------------------

def described(environ):
    what = {str(key): [type(value).__name__, value if isinstance(value, str) else repr(value)]
            for key, value in environ.items()}
    what["type(environ)"] = [type(environ).__name__, ""]
    return json.dumps(what).encode()


@app
def dump(environ, start_response):
    data = described(environ)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


# The validator refuses "*" as a path.
@app(checked=False)
def bare(environ, start_response):
    data = described(environ)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


@app
def spoil(environ, start_response):
    """Does to its environment what an app may."""
    for key in list(environ):
        if not key.startswith(("wsgi.", "HTTP_X_")):
            del environ[key]
    environ["spoilt"] = "yes"
    start_response("200 OK", TEXT)
    return [b"spoilt"]


@app
def errors(environ, start_response):
    stream, mark = environ["wsgi.errors"], environ["HTTP_X_MARK"]
    stream.write(f"write {mark} é ☃ 🐍\n")
    stream.writelines([f"first {mark}\n", f"second {mark}\n"])
    stream.flush()
    start_response("200 OK", TEXT)
    return [b"written"]


# ---- the body of the request -----------------------------------------------------------------------------------

# The validator wants exactly one argument for read().
@app(checked=False)
def operations(environ, start_response):
    """Does to wsgi.input what X-Operations says; answers what came of each."""
    stream, results = environ["wsgi.input"], []
    for name, *arguments in json.loads(environ["HTTP_X_OPERATIONS"]):
        try:
            got = list(stream) if name == "__iter__" else getattr(stream, name)(*arguments)
        except Exception as error:  # what the server raises is what we want to know
            got = f"{type(error).__name__}: {error}"
        results.append(repr(got) if len(repr(got)) < 500 else hashlib.sha256(repr(got).encode()).hexdigest())
    data = json.dumps(results).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


@app
def echo(environ, start_response):
    """The body again, and what was said about it."""
    body = environ["wsgi.input"].read(1 << 30)
    note(environ, "called", len(body))
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(body))),
                              ("X-Length", environ.get("CONTENT_LENGTH", "none")),
                              ("X-Coding", environ.get("HTTP_TRANSFER_ENCODING", "none")),
                              ("X-Terminated", str(environ.get("wsgi.input_terminated")))])
    return [body]


@app
def digest(environ, start_response):
    """Reads the body in pieces; answers its length and its hash."""
    total, hashed = 0, hashlib.sha256()
    while piece := environ["wsgi.input"].read(65536):
        total += len(piece)
        hashed.update(piece)
    start_response("200 OK", TEXT)
    return [f"{total} {hashed.hexdigest()}".encode()]


@app
def unread(environ, start_response):
    note(environ, "called")
    start_response("200 OK", TEXT)
    return [b"not read"]


@app
def lengths(environ, start_response):
    """Reads by the length that was announced, as Django does, and without, as others do."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    start_response("200 OK", TEXT)
    return [f"{length} ".encode(), body]


# ---- start_response --------------------------------------------------------------------------------------------

def raised():
    try:
        raise RuntimeError("on purpose")
    except RuntimeError:
        return sys.exc_info()


@app
def two_arguments(environ, start_response):
    start_response("200 OK", [*TEXT, ("X-Arguments", "2")])
    return [b"ok"]


# The validator knows positional ones only.
@app(checked=False)
def three_arguments(environ, start_response):
    start_response("200 OK", [*TEXT, ("X-Arguments", "3")], None)
    return [b"ok"]


@app
def empty_then_replaced(environ, start_response):
    start_response("200 OK", [*TEXT, ("X-Old", "1")])

    def body():
        yield b""
        start_response("503 Replaced", [*TEXT, ("X-New", "1")], raised())
        yield b"replaced"
    return body()


@app
def empty_write_then_replaced(environ, start_response):
    write = start_response("200 OK", [*TEXT, ("X-Old", "1")])
    write(b"")
    start_response("503 Replaced", [*TEXT, ("X-New", "1")], raised())
    return [b"replaced"]


# The validator asks for start_response before the iteration, which is stricter than PEP 3333.
@app(checked=False)
def in_a_generator(environ, start_response):
    start_response("201 Created late", [*TEXT, ("X-Late", "1")])
    yield b"first "
    yield b"second"


class LateStart:
    def __init__(self, environ, start_response):
        self.start_response, self.chunks = start_response, iter([b"late"])

    def __iter__(self):
        return self

    def __next__(self):
        if self.start_response:
            self.start_response("202 Late", TEXT)
            self.start_response = None
        return next(self.chunks)


APPS["late_start"] = LateStart


@app
def twice(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        start_response("200 Again", TEXT)
        note(environ, "second", "accepted")
    except Exception as error:
        note(environ, "second", type(error).__name__)
    return [b"ok"]


# The validator does not let the first call through, which is to fail in the server.
@app(checked=False)
def twice_after_an_error(environ, start_response):
    try:
        start_response("200 OK", [("X-Bad", "a\r\nb: c")])
        note(environ, "first", "accepted")
    except Exception as error:
        note(environ, "first", type(error).__name__)
    try:
        start_response("200 Again", TEXT)
        note(environ, "second", "accepted")
    except Exception as error:
        note(environ, "second", type(error).__name__)
        raise
    return [b"ok"]


@app
def replaced(environ, start_response):
    start_response("200 OK", [*TEXT, ("X-Old", "1"), ("Content-Length", "1000"), ("Set-Cookie", "old=1")])
    start_response("500 Replaced", [*TEXT, ("X-New", "1")], raised())
    return [b"replaced"]


class Witness:
    """Something that a frame of a traceback holds."""


WITNESSES = {}


def fails_with_a_witness(mark):
    witness = Witness()
    WITNESSES[mark] = weakref.ref(witness)
    raise RuntimeError(f"on purpose, {mark}")


# The validator keeps exc_info in a frame of its own.
@app(checked=False)
def too_late(environ, start_response):
    """An error behind the first bytes: start_response must raise it again."""
    mark = environ["HTTP_X_MARK"]
    start_response("200 OK", TEXT)

    def body():
        yield b"sent already"
        try:
            fails_with_a_witness(mark)
        except RuntimeError:
            try:
                start_response("500 Too late", TEXT, sys.exc_info())
            except RuntimeError as again:
                names, here = [], again.__traceback__
                while here:
                    names.append(here.tb_frame.f_code.co_name)
                    here = here.tb_next
                note(environ, "again", f"{again} {'fails_with_a_witness' in names}")
                raise
            note(environ, "again", "nothing raised")
        yield b"after the error"
    return Body(environ, body())


@app(checked=False)
def error_replaced(environ, start_response):
    """An error before the first bytes, handed over with exc_info."""
    start_response("200 OK", TEXT)
    try:
        fails_with_a_witness(environ["HTTP_X_MARK"])
    except RuntimeError:
        start_response("500 Replaced", TEXT, sys.exc_info())
    return [b"replaced"]


@app
def witness(environ, start_response):
    """Whether the traceback of the other app is still held by somebody, without any help by gc."""
    start_response("200 OK", TEXT)
    return [b"held" if WITNESSES[environ["HTTP_X_MARK"]]() else b"let go"]


@app
def no_collector(environ, start_response):
    """Switches the garbage collector off or on: cycles stay."""
    (gc.disable if environ.get("QUERY_STRING", "") == "off" else gc.enable)()
    start_response("200 OK", TEXT)
    return [b"done"]


@app
def writes(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"first ")
    write(b"second ")
    return [b"third ", b"fourth"]


@app
def writes_much(environ, start_response):
    write = start_response("200 OK", [*TEXT, ("Content-Length", str(64 * 65536))])
    for number in range(64):
        write(bytes([number]) * 65536)
    return []


# The validator would find it first.
@app(checked=False)
def writes_text(environ, start_response):
    write = start_response("200 OK", TEXT)
    try:
        write("text")
        note(environ, "write", "accepted")
    except Exception as error:
        note(environ, "write", type(error).__name__)
        raise
    return []


# The validator would find it first; what the server does is the row.
@app(checked=False)
def answers(environ, start_response):
    """Calls start_response with what X-Answer says, as Python."""
    status, headers = eval(environ["HTTP_X_ANSWER"])  # only the tests ask
    try:
        start_response(status, headers)
    except Exception as error:
        note(environ, "refused", type(error).__name__)
        raise
    return [b"body"]


KEPT_HEADERS = [("Content-Type", "text/plain"), ("X-Kept", "1")]


@app
def kept_headers(environ, start_response):
    """A list of the module, which the server must not change, nor be changed by, once it has it."""
    mine = list(KEPT_HEADERS) if environ.get("QUERY_STRING", "") == "late" else KEPT_HEADERS
    start_response("200 OK", mine)
    if environ.get("QUERY_STRING", "") == "late":
        mine.append(("X-Too-Late", "1"))
    return [repr(KEPT_HEADERS).encode()]


# ---- the iterable ----------------------------------------------------------------------------------------------

# What is wrong with these the validator finds first.
@app(checked=False)
def returns_none(environ, start_response):
    start_response("200 OK", TEXT)


@app(checked=False)
def returns_text(environ, start_response):
    start_response("200 OK", TEXT)
    return ["text"]


@app(checked=False)
def returns_a_number(environ, start_response):
    start_response("200 OK", TEXT)
    return [5]


@app(checked=False)
def never_starts(environ, start_response):
    return [b"body"]


@app(checked=False)
def never_starts_and_is_empty(environ, start_response):
    return []


@app
def raises(environ, start_response):
    raise RuntimeError(f"on purpose: secret {environ['HTTP_X_MARK']}")


@app(checked=False)
def exits(environ, start_response):
    """What an app must not do to its server."""
    sys.exit(3)


@app
def raises_in_the_middle(environ, start_response):
    start_response("200 OK", TEXT)

    def body():
        yield b"first"
        raise RuntimeError("on purpose")
    return Body(environ, body())


@app
def raises_at_the_first(environ, start_response):
    start_response("200 OK", TEXT)

    def body():
        raise RuntimeError("on purpose")
        yield b""
    return Body(environ, body())


@app
def closes(environ, start_response):
    start_response("200 OK", TEXT)
    return Body(environ, [b"one", b"two"])


# Called, but start_response is not.
@app(checked=False)
def closes_unstarted(environ, start_response):
    return Body(environ, [b"one"])


def close_fails():
    raise RuntimeError("close() on purpose")


@app
def close_raises(environ, start_response):
    start_response("200 OK", [*TEXT, ("Content-Length", "3")])
    return Body(environ, [b"one"], close=close_fails)


# The validator hides that a list has a length.
@app(checked=False)
def one(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"Hello World"]


@app(checked=False)
def nothing(environ, start_response):
    start_response("200 OK", TEXT)
    return []


@app
def streams(environ, start_response):
    start_response("200 OK", TEXT)
    return iter([b"a", b"", b"bb", b"ccc"])


@app
def nothing_yielded(environ, start_response):
    start_response("200 OK", TEXT)
    return iter([])


def sized(environ, start_response, length, chunks):
    start_response("200 OK", [*TEXT, ("Content-Length", str(length))])
    return Body(environ, chunks)


@app
def short(environ, start_response):
    return sized(environ, start_response, 10, [b"12345"])


@app
def long(environ, start_response):
    return sized(environ, start_response, 5, [b"123", b"4567890", b"more", b"more"])


@app
def sized_by_write(environ, start_response):
    write = start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    write(b"12345")
    return [b"67890"]


@app
def long_by_write(environ, start_response):
    write = start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    try:
        write(b"1234567890")
    except Exception as error:  # allowed: the server may say so
        note(environ, "write", type(error).__name__)
    return []


@app
def ticks(environ, start_response):
    """Says "tick", and goes on only when the client shows that it has it."""
    start_response("200 OK", TEXT)

    def body():
        yield b"tick"
        yield b" seen" if wait_for(environ["HTTP_X_FLAG"], 10) else b" not seen"
    return body()


@app
def ticks_behind(environ, start_response):
    """Others come just before it, so that a server might expect more to come."""
    start_response("200 OK", TEXT)

    def body():
        yield from (b"one ", b"two ", b"three ", b"tick")
        yield b" seen" if wait_for(environ["HTTP_X_FLAG"], 10) else b" not seen"
    return body()


@app
def ticks_by_write(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"tick")
    write(b" seen" if wait_for(environ["HTTP_X_FLAG"], 10) else b" not seen")
    return []


# The validator refuses bodies where none belongs.
@app(checked=False)
def status(environ, start_response):
    """A body for a status that X-Status says, with a length if X-Length says one."""
    headers = list(TEXT)
    if length := environ.get("HTTP_X_LENGTH"):
        headers.append(("Content-Length", length))
    start_response(environ["HTTP_X_STATUS"], headers)
    return [b"hello"] if environ.get("QUERY_STRING", "") == "one" else Body(environ, [b"hel", b"lo"])


@app
def cookies(environ, start_response):
    start_response("200 OK", [*TEXT, ("Set-Cookie", "b=1"), ("X-Between", "1"), ("Set-Cookie", "a=2"),
                              ("set-cookie", "b=3")])
    return [b"ok"]


# ---- wsgi.file_wrapper (the validator hides the object it returns) ---------------------------------------------

class NotedFile(io.FileIO):
    def __init__(self, environ, path):
        super().__init__(path)
        self.environ = environ

    def close(self):
        if not self.closed:
            note(self.environ, "file closed")
        super().close()


@app(checked=False)
def file(environ, start_response):
    """The file X-File, from X-From, announced as X-Length, through wsgi.file_wrapper."""
    opened = NotedFile(environ, environ["HTTP_X_FILE"])
    opened.seek(int(environ.get("HTTP_X_FROM", "0")))
    headers = list(TEXT)
    if length := environ.get("HTTP_X_LENGTH"):
        headers.append(("Content-Length", length))
    start_response("200 OK", headers)
    wrapped = environ["wsgi.file_wrapper"](opened, *map(int, environ.get("QUERY_STRING", "").split()))
    return Body(environ, wrapped, close=getattr(wrapped, "close", None)) if "HTTP_X_WRAPPED" in environ else wrapped


class OnlyRead:
    """No descriptor, no length: nothing but read()."""

    def __init__(self, environ, size):
        self.environ, self.left, self.sizes = environ, size, set()

    def read(self, size=-1):
        self.sizes.add(size)
        size = self.left if size < 0 else min(size, self.left)
        self.left -= size
        return b"r" * size

    def close(self):
        note(self.environ, "file closed", sorted(self.sizes))


@app(checked=False)
def file_like(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](OnlyRead(environ, 100_000), 8192)


@app(checked=False)
def file_in_memory(environ, start_response):
    stream = io.BytesIO(b"0123456789" * 1000)
    stream.seek(5)
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](stream)


@app(checked=False)
def file_wrapper_facts(environ, start_response):
    """What the object can do without a server."""
    wrapper = environ.get("wsgi.file_wrapper")
    start_response("200 OK", TEXT)
    if wrapper is None:
        return [b"absent"]
    source = OnlyRead(environ, 20)
    wrapped = wrapper(source, 8)
    chunks = list(wrapped)
    wrapped.close()
    return [repr(([len(chunk) for chunk in chunks], callable(wrapper))).encode()]


# ---- the wire --------------------------------------------------------------------------------------------------

@app
def endless(environ, start_response):
    start_response("200 OK", TEXT)

    def body():
        note(environ, "begun")
        while True:
            yield b"x" * 16384
    return Body(environ, body())


@app
def endless_write(environ, start_response):
    write = start_response("200 OK", TEXT)
    note(environ, "begun")
    try:
        while True:
            write(b"x" * 16384)
    except BaseException as error:
        note(environ, "stopped", type(error).__name__)
        raise


@app
def waits(environ, start_response):
    """Answers when the flag is there."""
    note(environ, "begun", threading.get_ident())
    note(environ, "pid", os.getpid())
    there = wait_for(environ["HTTP_X_FLAG"])
    note(environ, "ended")
    start_response("200 OK" if there else "504 No flag", TEXT)
    return Body(environ, [b"waited"])


@app
def streams_until(environ, start_response):
    """One chunk, and the other when the flag is there."""
    start_response("200 OK", TEXT)

    def body():
        note(environ, "begun")
        yield b"begun "
        wait_for(environ["HTTP_X_FLAG"])
        yield b"ended"
    return Body(environ, body())


@app
def slow_stream(environ, start_response):
    """50 numbered chunks, so that a drain finds it in the middle."""
    start_response("200 OK", TEXT)

    def body():
        for number in range(50):
            yield b"%04d" % number + b"s" * 1020
            time.sleep(0.01)
    return Body(environ, body())


@app
def sleeps(environ, start_response):
    """The seed's database."""
    time.sleep(0.3)
    start_response("200 OK", TEXT)
    return [b"slept"]


@app
def who(environ, start_response):
    start_response("200 OK", TEXT)
    return [f"{os.getpid()} {os.getppid()}".encode()]


LOCAL = threading.local()


@app
def thread_local(environ, start_response):
    """How often this thread has been here."""
    LOCAL.count = getattr(LOCAL, "count", 0) + 1
    start_response("200 OK", TEXT)
    return [f"{threading.get_ident()} {LOCAL.count}".encode()]


HELD = []


# What the validator wraps is not what the server has made.
@app(checked=False)
def hoards(environ, start_response):
    """Keeps everything the server has made, for another thread to drop."""
    write = start_response("200 OK", TEXT)
    held = [environ, start_response, write, environ["wsgi.input"], environ["wsgi.errors"]]
    if "wsgi.file_wrapper" in environ:
        held.append(environ["wsgi.file_wrapper"](OnlyRead(environ, 10)))
    HELD.append(held)
    if len(HELD) > 20:
        dropped = [HELD.pop() for _ in range(len(HELD))]
        thread = threading.Thread(target=dropped.clear)
        thread.start()
        thread.join()
    return [b"ok"]


# Uses what it was given after its answer is over: an error in the app, never a crash.
@app(checked=False)
def outlives(environ, start_response):
    write = start_response("200 OK", TEXT)

    def later():
        for use in (lambda: write(b"later"), lambda: start_response("200 Later", TEXT),
                    lambda: environ["wsgi.input"].read()):
            try:
                use()
            except Exception as error:
                note(environ, "later", type(error).__name__)
        note(environ, "over")
    thread = threading.Thread(target=lambda: (wait_for(environ["HTTP_X_FLAG"]), later()))
    thread.start()
    return [b"ok"]


@app
def chance(environ, start_response):
    import random
    start_response("200 OK", TEXT)
    return [f"{os.getpid()} {random.random()} {FORKS}".encode()]


FORKS = []
os.register_at_fork(after_in_child=lambda: FORKS.append(1))


@app
def hangs(environ, start_response):
    """Never comes back."""
    note(environ, "hangs", os.getpid())
    the_line_where_it_hangs()
    return []


def the_line_where_it_hangs():
    while True:
        time.sleep(60)


@app
def length_10k(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"x" * 10240]


# ---- counted, by the process -----------------------------------------------------------------------------------

COUNTS = {"called": 0, "closed": 0, "twice": 0}
COUNTING = threading.Lock()


class Counted:
    def __init__(self, chunks):
        self.chunks, self.closed = iter(chunks), False
        with COUNTING:
            COUNTS["called"] += 1

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.chunks)

    def close(self):
        with COUNTING:
            COUNTS["closed"] += 1
            COUNTS["twice"] += self.closed
        self.closed = True


@app
def counted(environ, start_response):
    start_response("200 OK", TEXT)
    return Counted([b"x" * int(environ.get("QUERY_STRING") or 10)] * 4)


@app
def counts(environ, start_response):
    start_response("200 OK", TEXT)
    return [json.dumps(COUNTS).encode()]
