#!/usr/bin/env python3
"""The events of the real asynchat: the oracle that `tests/oracle` compares `stheno::chat` with.

    oracle.py names              every public name of asyncore and asynchat, one per line
    oracle.py scripts N [SEED]   N scripts with asynchat's events, one JSON object per line
    oracle.py check FILE         runs the scripts of FILE again; fails if asynchat's events differ

It needs Python 3.11 or older, or the packages pyasyncore and pyasynchat.

A script is a conversation. `terminator` is set at the start (hex digits, a length, or null); the `steps` are either
["in", hex], which the peer sends in one piece, or ["do", actions], which happens between two reads. `frames` are the
actions at the 1st, 2nd, … `found_terminator`, `parts` those at the 1st, 2nd, … `collect_incoming_data`. With `full` the
socket has no room during a step, so that output waits until its end.

`events` has a list for each step: ["data", bytes] and ["found"], in the order of the calls; then ["wire", bytes], all that
the peer got in this step; then ["close"], which ends the script. After the last step the peer closes its half, which gets
one more list. Bytes are hex digits, or LENGTH:CRC32 from MANY bytes on.
"""
import ast
import json
import socket
import sys
import warnings
import zlib

warnings.simplefilter("ignore", DeprecationWarning)
try:
    import asynchat
    import asyncore
except ImportError:
    sys.exit("oracle.py: no asynchat here; take Python 3.11 or older, or install pyasyncore and pyasynchat")

MANY = 32
TERMINATORS = [b"\r\n", b"\n", b"\r\n.\r\n", b"\r\n\r\n", b"ab", b"aab", b"aa", b"abab", b"--x--"]


class Dice:
    """splitmix64, as in tests/support/dice.rs: every version of Python makes the same scripts."""

    def __init__(self, seed):
        self.word = seed

    def below(self, end):
        mask = (1 << 64) - 1
        self.word = (self.word + 0x9E3779B97F4A7C15) & mask
        word = self.word
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        return ((word ^ (word >> 31)) >> 33) % end

    def once_in(self, times):
        return self.below(times) == 0

    def pick(self, of):
        return of[self.below(len(of))]


# --- scripts ---------------------------------------------------------------------------------------------------------


def some_bytes(dice, most):
    return bytes(dice.pick(b"ab\r\n.-x\xe9") for _ in range(dice.below(most + 1)))


def some_terminator(dice, words):
    kind = dice.below(60)
    if kind < 2:
        return [None, ""][kind]
    return 1 + dice.below(dice.pick([3, 10, 40])) if kind < 15 else dice.pick(words).hex()


def some_actions(dice, words, may_turn=True):
    """The actions of one hook; with `may_turn`, it may also change the terminator, usually to one of `words`."""
    actions = []
    while dice.below(5) < 2:
        kind = dice.below(40)
        if kind < 12:
            actions.append(["push", some_bytes(dice, 20).hex()])
        elif kind < 20 and may_turn:
            actions.append(["terminator", some_terminator(dice, words)])
        elif kind < 26:
            actions.append(["producer", some_bytes(dice, 30).hex(), 1 + dice.below(9)])
        elif kind < 30:
            pieces = [b"p" + some_bytes(dice, 8) for _ in range(dice.below(4))]
            actions.append(["pieces", [piece.hex() for piece in pieces]])
        elif kind < 36:
            actions.append(["echo"])
        elif kind == 36:
            actions.append(["fill", dice.below(256), dice.pick([600, 5000, 65536, 65537, 200000])])
        elif kind == 37:
            actions.append(["discard"])
        elif kind == 38:
            actions.append(["close"])
    return actions


def some_stream(dice, words):
    """Data that contains terminators and beginnings of terminators."""
    stream = b""
    for _ in range(dice.below(14)):
        stream += some_bytes(dice, dice.pick([1, 4, 12]))
        terminator = dice.pick(words)
        stream += terminator[: dice.below(len(terminator) + 1)] if dice.once_in(3) else terminator
    return stream


def some_script(number, dice):
    # Discarding gives equal results only if nothing has been sent, so the socket is full meanwhile.
    full = dice.once_in(2)
    words = [dice.pick(TERMINATORS) for _ in range(1 + dice.below(3))]
    steps, stream, most = [], some_stream(dice, words), dice.pick([1, 3, 8, 20, 100, 1000])
    if dice.once_in(4):
        steps.append(["do", some_actions(dice, words)])
    while stream:
        length = 1 + dice.below(most)
        steps.append(["in", stream[:length].hex()])
        stream = stream[length:]
        if dice.once_in(12):
            steps.append(["do", some_actions(dice, words)])
    script = {"script": number, "full": full, "terminator": some_terminator(dice, words)}
    script["frames"] = [some_actions(dice, words) for _ in range(dice.below(12))]
    script["parts"] = [some_actions(dice, words, False) for _ in range(dice.below(12))] if dice.once_in(3) else []
    if not full:
        for actions in script["frames"] + script["parts"] + [body for kind, body in steps if kind == "do"]:
            actions[:] = [action for action in actions if action != ["discard"]]
    script["steps"] = steps
    return script


# --- the oracle ------------------------------------------------------------------------------------------------------


def shown(data):
    return data.hex() if len(data) <= MANY else "%d:%08x" % (len(data), zlib.crc32(data))


def terminator_of(value):
    return bytes.fromhex(value) if isinstance(value, str) else value


class Pieces:
    def __init__(self, pieces):
        self.pieces = list(pieces)

    def more(self):
        return self.pieces.pop(0) if self.pieces else b""


class Recorder(asynchat.async_chat):
    """asynchat itself, with code that records its calls, or reports a full socket."""

    def __init__(self, sock, script):
        asynchat.async_chat.__init__(self, sock, {})
        self.full, self.calls, self.frame, self.is_over = False, [], b"", False
        self.closing = self.lost = False
        self.at_frame, self.at_part = iter(script["frames"]), iter(script["parts"])
        self.set_terminator(terminator_of(script["terminator"]))

    def send(self, data):
        return 0 if self.full else asynchat.async_chat.send(self, data)

    def handle_close(self):
        self.is_over = True
        self.close()

    def handle_error(self):
        raise

    def collect_incoming_data(self, data):
        self.calls.append(["data", shown(data)])
        self.frame += data
        self.act(next(self.at_part, []))

    def found_terminator(self):
        self.calls.append(["found"])
        self.act(next(self.at_frame, []))
        self.frame = b""

    def act(self, actions):
        for kind, *arguments in actions:
            if kind == "terminator":
                self.set_terminator(terminator_of(arguments[0]))
            elif kind == "close":
                self.closing = True
                self.close_when_done()
            elif kind == "discard":
                # After close_when_done, a push into an empty queue makes asynchat close at once; here the driver
                # closes, at the end of the step. So nothing is discarded from then on.
                if not self.lost:
                    self.closing = False
                    self.discard_buffers()
            else:
                self.lost |= self.closing
                self.output(kind, arguments)

    def output(self, kind, arguments):
        if kind == "push":
            self.push(bytes.fromhex(arguments[0]))
        elif kind == "echo":
            self.push(self.frame)
        elif kind == "fill":
            self.push(bytes([arguments[0]]) * arguments[1])
        elif kind == "producer":
            self.push_with_producer(asynchat.simple_producer(bytes.fromhex(arguments[0]), arguments[1]))
        elif kind == "pieces":
            self.push_with_producer(Pieces(bytes.fromhex(piece) for piece in arguments[0]))
        else:
            raise ValueError(kind)


def received(peer):
    try:
        return peer.recv(1 << 20)
    except BlockingIOError:
        return b""


def flush(chat, peer):
    """Sends all queued output, and returns what the peer got."""
    wire = b""
    while True:
        piece = received(peer)
        wire += piece
        if not chat.is_over and chat.writable():
            chat.handle_write()
        elif not piece:
            return wire


def events_of(script):
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    chat, events = Recorder(ours, script), []
    try:
        for kind, body in script["steps"] + [["eof", None]]:
            chat.calls, chat.full = [], script["full"]
            if kind == "do":
                chat.act(body)
            elif kind == "in":
                peer.sendall(bytes.fromhex(body))
                chat.handle_read()
            else:
                peer.shutdown(socket.SHUT_WR)
                chat.handle_read()
            chat.full = False
            wire = flush(chat, peer)
            events.append(chat.calls + [["wire", shown(wire)]] * bool(wire) + [["close"]] * chat.is_over)
            if chat.is_over:
                return events
    finally:
        chat.close()
        peer.close()
    raise AssertionError("the end of file closes every conversation")


# --- names -----------------------------------------------------------------------------------------------------------


def names_of(module):
    """Reads the source: names that are defined, assigned, or set on `self`, without a leading underscore."""
    with open(module.__file__, encoding="utf-8") as source:
        tree = ast.parse(source.read())
    found = set()

    def visit(body, prefix):
        for node in body:
            if isinstance(node, (ast.Try, ast.If)):
                visit(node.body, prefix)
                for handler in getattr(node, "handlers", []):
                    visit(handler.body, prefix)
            elif isinstance(node, ast.Assign):
                targets = [target for target in node.targets if isinstance(target, ast.Name)]
                found.update(prefix + target.id for target in targets if not target.id.startswith("_"))
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                visit(node.body, prefix + node.name + ".")
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                        if isinstance(inner.value, ast.Name) and inner.value.id == "self":
                            if not inner.attr.startswith("_"):
                                found.add(prefix + node.name + "." + inner.attr)

    visit(tree.body, module.__name__ + ".")
    return sorted(found)


def main(command="", *arguments):
    if command == "names" and not arguments:
        print("\n".join(names_of(asyncore) + names_of(asynchat)))
    elif command == "scripts" and 1 <= len(arguments) <= 2 and all(word.isdigit() for word in arguments):
        count, seed = int(arguments[0]), int((arguments + ("1996",))[1])
        for number in range(count):
            script = some_script(number, Dice(seed * 1_000_003 + number))
            script["events"] = events_of(script)
            print(json.dumps(script, separators=(",", ":")))
    elif command == "check" and len(arguments) == 1:
        with open(arguments[0], encoding="ascii") as lines:
            scripts = [json.loads(line) for line in lines]
        if not scripts:
            sys.exit("%s: there is no script in it" % arguments[0])
        for script in scripts:
            if events_of(script) != script["events"]:
                sys.exit("%s: asynchat makes something else of script %d" % (arguments[0], script["script"]))
        print("%d scripts, and asynchat makes of each what is written there" % len(scripts))
    else:
        sys.exit("usage: oracle.py names | scripts COUNT [SEED] | check FILE")


if __name__ == "__main__":
    main(*sys.argv[1:])
