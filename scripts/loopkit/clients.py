"""One client of a scenario: a socket that never blocks, and a generator that goes through the client's steps.

A client reads in the background, as a user's terminal does, and keeps what it got until a step expects it. What it sends
waits in `outbox` for room in the socket. The generator yields whenever it has to wait; the player resumes it."""

import contextlib
import errno
import fcntl
import pathlib
import socket
import struct
import termios
import time

from .kinds import Wrong, exactly, lines

# No queue has changed for this time: nothing moves between the client and the rung.
STUCK = 0.2
# Time between two looks at what reports no event.
MOMENT = 0.002
# Most bytes of one read.
CHUNK = 1 << 16
# The state of a listener in /proc/net/tcp.
LISTEN = "0A"
# ip(7): a bind to an address alone leaves the port to connect(2), which has more of them.
IP_BIND_ADDRESS_NO_PORT = 24


class Wait:
    """What a client waits for: the condition `is_there`, an event of the whole play, or the time `until`, which fails the
    client unless it is all that the client waits for."""

    def __init__(self, is_there=None, event=None, until=None, what=None, is_pause=False):
        self.is_there, self.event, self.until, self.what, self.is_pause = is_there, event, until, what, is_pause


class Client:
    def __init__(self, play, name, group, source=None):
        self.play, self.name, self.group, self.source = play, name, group, source
        self.socket, self.address, self.failure, self.wait = None, None, None, None
        self.connecting, self.reading, self.closing, self.ended = False, True, False, None
        self.inbox, self.outbox, self.replies = bytearray(), bytearray(), []
        self.asked = self.met = self.sent_lines = self.expected_lines = self.moved = 0
        # Nanoseconds: when its last connection began, since 1970, and how long the slowest one took.
        self.receive_buffer, self.connected_at, self.longest_connect = None, 0, 0
        # Pairs of nanoseconds since 1970: when it asked, and when the whole answer was there.
        self.answers, self.asked_at = [], []
        # All addresses that it had; pairs of one and the time when its connection was there; and of one and each time it sent.
        self.addresses, self.connects, self.sent = [], [], []
        self.steps = self.run()

    def run(self):
        for step in self.group.steps:
            action = getattr(self, "do_" + step.verb.replace(" ", "_").replace("-", "_"))
            yield from action(step) or ()

    def wait_for(self, is_there, step, what):
        """Waits for input that makes `is_there` true, for as long as the step, or the play, allows."""
        seconds = step.within / 1000 if step.within else self.play.patience
        if not is_there():
            yield Wait(is_there, until=seconds and time.monotonic() + seconds, what=f"line {step.line}: {what}")

    # Steps.

    def do_connect(self, step):
        self.drop()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        if self.source:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            self.socket.bind((self.source, 0))
        self.ended, self.closing = None, False
        self.connected_at = time.time_ns()
        code = self.socket.connect_ex(("127.0.0.1", self.play.port))
        if code not in (0, errno.EINPROGRESS):
            raise Wrong(f"connect: {errno.errorcode.get(code, code)}")
        self.connecting = True
        self.play.watch(self)
        yield from self.wait_for(lambda: not self.connecting, step, "the connection is not there")
        self.address = "{}:{}".format(*self.socket.getsockname())
        self.addresses.append(self.address)

    def do_ask(self, step):
        if not self.socket or self.play.kind.one_request and self.asked and not self.replies:
            yield from self.do_connect(step)
        self.asked += 1
        request = self.play.kind.request(self.name, self.asked, step.number)
        self.replies.append(self.play.kind.reply(request, step.number))
        self.asked_at.append(time.time_ns())
        size = -(-len(request) // step.pieces)
        for at in range(0, len(request), size):
            if at:
                yield Wait(until=time.monotonic() + step.apart / 1000, is_pause=True)
            self.push(request[at:at + size])

    def do_answer(self, step):
        while self.replies:
            yield from self.take(self.replies[0], step, "the answer is not there")
            self.replies.pop(0)
            self.answers.append((self.asked_at.pop(0), time.time_ns()))

    def take(self, check, step, what):
        """Waits until `check` finds all of its bytes in the input, and takes them from there."""
        taken = None

        def is_there():
            nonlocal taken
            taken = check(self.inbox, self.ended)
            return taken is not None
        yield from self.wait_for(is_there, step, f"{what}, of {check.length} bytes")
        del self.inbox[:taken]

    def do_send(self, step):
        text = lines(step.number, self.sent_lines) if step.text is None else step.text
        self.sent_lines += step.number or 0
        self.push(text)

    def do_send_endless(self, step):
        self.push(b"x" * step.number)

    def do_expect(self, step):
        text = lines(step.number, self.expected_lines) if step.text is None else step.text
        self.expected_lines += step.number or 0
        yield from self.take(exactly(text), step, "these bytes are not there")

    def do_expect_end(self, step):
        yield from self.wait_for(lambda: self.ended, step, "the end is not there")
        if self.inbox:
            raise Wrong(f"{len(self.inbox)} bytes before the end that no step expects")

    def do_pause(self, step):
        yield Wait(until=time.monotonic() + step.number / 1000, is_pause=True)

    def do_wait_for_all(self, _):
        self.met += 1
        yield from self.play.arrive(self, ("all", self.met))

    def do_wait_for(self, step):
        if ("said", step.label) not in self.play.events:
            yield Wait(event=("said", step.label))

    def do_say(self, step):
        self.play.say(self, step.label)

    def do_wait_until_stuck(self, _):
        """Until no queue between the two has changed for a while: neither the client's nor the rung's."""
        before = None
        while before != (now := (self.moved, self.socket and unread(self.socket), queues(self.play.port, self.address))):
            before = now
            yield Wait(until=time.monotonic() + STUCK, is_pause=True)

    def do_wait_until_accepted(self, _):
        begun, count, since = time.monotonic(), None, 0
        while now := waiting(self.play.port):
            if now != count:
                count, since = now, time.monotonic()
            # A rung without a loop may serve one client at a time: the others wait for long, and that is all to wait for.
            if self.play.may_be_busy and time.monotonic() > since + STUCK:
                return
            if self.play.patience and time.monotonic() > begun + self.play.patience:
                raise Wrong("the rung does not accept its connections")
            yield Wait(until=time.monotonic() + MOMENT, is_pause=True)

    def do_stop_reading(self, _):
        self.reading = False
        self.play.watch(self)

    def do_read_on(self, _):
        self.reading = True
        self.play.watch(self)

    def do_receive_buffer(self, step):
        self.receive_buffer = step.number

    def do_half_close(self, step):
        self.closing = True
        self.push(b"")
        yield from self.wait_for(lambda: not self.outbox, step, "the rung does not take the rest of the input")

    def do_reset(self, _):
        if self.socket:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()

    def do_close(self, step):
        yield from self.wait_for(lambda: not self.outbox or self.ended, step, "the rung does not take the rest of the input")
        self.drop()

    def do_freeze(self, _):
        self.play.freeze()

    def do_thaw(self, _):
        self.play.thaw()

    # The socket.

    def push(self, text):
        if not self.socket:
            raise Wrong("there is no connection")
        self.outbox += text
        self.flush()

    def flush(self):
        """Sends what fits."""
        try:
            while self.outbox and not self.connecting:
                sent = self.socket.send(memoryview(self.outbox)[:CHUNK * 4])
                self.moved += sent
                self.sent.append((self.address, time.time_ns()))
                del self.outbox[:sent]
            if self.closing and not self.outbox:
                self.closing = False
                self.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            # The connection is gone. What the rung had sent before is still to be read, and its end with it.
            self.outbox.clear()
        self.play.watch(self)

    def handle_read(self):
        try:
            if data := self.socket.recv(CHUNK):
                self.inbox += data
                self.moved += len(data)
            else:
                self.ended = "the end"
        except BlockingIOError:
            pass
        except OSError as error:
            self.ended = "a reset" if error.errno == errno.ECONNRESET else str(error)
            self.outbox.clear()

    def handle_write(self):
        if self.connecting:
            if code := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise Wrong(f"connect: {errno.errorcode.get(code, code)}")
            self.connecting = False
            self.longest_connect = max(self.longest_connect, time.time_ns() - self.connected_at)
            self.connects.append(("{}:{}".format(*self.socket.getsockname()), time.time_ns()))
        self.flush()

    def drop(self):
        if self.socket:
            self.play.unwatch(self)
            self.socket.close()
            self.socket = None
        self.inbox.clear()
        self.outbox.clear()


def unread(file):
    """Bytes in a socket or a pipe that nobody has read."""
    return struct.unpack("i", fcntl.ioctl(file, termios.FIONREAD, b"\0" * 4))[0]


def queues(port, peer):
    """The bytes that wait to be sent, and to be read, in the rung's socket for this peer, as text of proc(5)."""
    for words in tcp_table():
        if number(words[1]) == port and words[3] != LISTEN and number(words[2]) == int(peer.rpartition(":")[2]):
            return words[4]
    return None


def waiting(port):
    """Connections that wait to be accepted by the listener of this port: its receive queue."""
    for words in tcp_table():
        if words[3] == LISTEN and number(words[1]) == port:
            return number(words[4])
    return 0


def is_listening(port):
    """Whether a socket accepts connections to this port, of IPv4 or of both."""
    return any(words[3] == LISTEN and number(words[1]) == port for table in ("tcp", "tcp6") for words in tcp_table(table))


def tcp_table(name="tcp"):
    """The words of each line in /proc/net/tcp: number, local address, remote address, state, queues."""
    with contextlib.suppress(FileNotFoundError):
        return [line.split() for line in pathlib.Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]]
    return []


def number(pair):
    """The second number of a pair in hexadecimal digits: a port, or a receive queue."""
    return int(pair.rpartition(":")[2], 16)
