"""Reads recordings, as docs/RECORDINGS.md describes them."""

import struct
import typing

from lib import Trouble

RECORD = struct.Struct("<QQBBHIQ")
NONE = 0xFFFF_FFFF_FFFF_FFFF
KINDS = ("Wait", "Turn", "Event", "Enter", "Exit", "Read", "Write", "New", "Peer", "State", "Watch", "Shutdown", "Close",
         "Queue", "Clock", "Wake", "Response", "Mark")
# Most clients whose names are written into a recording: the last ones.
NAMED = 100
# The bit of a key that belongs to a task.
TASK = 1 << 63
# Bits of events; results of I/O; origin of a channel.
READABLE, WRITABLE, HALF_CLOSED, ERROR = 1, 2, 4, 8
BLOCKED, END, SPENT, FAILED = 1, 2, 4, 8
ACCEPTED = 1


class Record(typing.NamedTuple):
    time: int
    key: int
    kind: str
    code: int
    name: int
    a: int
    b: int


class Recording:
    """The head in fields, and the records. `size` is where the recording ends in its file."""

    def __init__(self, content, path="the recording"):
        try:
            head, _, rest = content.partition(b"\n\n")
            first, *lines = head.decode().split("\n")
            if first != "stheno recording 1":
                raise Trouble(f"{path} is no recording of version 1")
            self.words = [line.partition(" ")[::2] for line in lines]
            known = dict(self.words)
            self.program, self.loop, self.tells = known["program"], known["loop"], set(known["tells"].split())
            self.keys, self.began = known.get("keys", "slab"), float(known["began"])
            self.names = {int(number): text for number, text in (value.split(" ", 1) for value in self.all("name"))}
            self.totals = {name: int(number) for name, number in (value.split() for value in self.all("total"))}
            count, size = int(known["records"]), int(known.get("source", 0))
            raw = rest[:count * RECORD.size]
            self.records = [Record(time, key, KINDS[kind - 1] if 1 <= kind <= len(KINDS) else str(kind), *others)
                            for time, key, kind, *others in RECORD.iter_unpack(raw)]
            source = rest[len(raw):len(raw) + size]
        except (KeyError, ValueError, UnicodeDecodeError, struct.error) as error:
            raise Trouble(f"{path} is not whole: {error!r}") from error
        if len(self.records) != count or len(source) != size:
            raise Trouble(f"{path} is not whole: it has {len(self.records)} of {count} records, and {len(source)} of {size} "
                          "bytes of source")
        self.source = source.decode(errors="replace") or None

    def show(self, key):
        """A key as people read it: `channel 3.1`, `token 2`, `fd 9`, `task 5`."""
        if key & TASK:
            return f"task {key ^ TASK}"
        form = {"descriptor": "fd {0}", "token": "token {0}"}.get(self.keys, "channel {1}.{2}")
        return form.format(key, key & 0xFFFF_FFFF, key >> 32)

    def all(self, word):
        return [value for name, value in self.words if name == word]

    def of(self, kind, key=None):
        return [record for record in self.records if record.kind == kind and key in (None, record.key)]

    def turns(self):
        """The records of each turn: from the end of a wait to the beginning of the next one."""
        turns, inside = [], False
        for record in self.records:
            if record.kind == "Turn":
                turns.append([])
                inside = True
            elif record.kind == "Wait":
                inside = False
            if inside:
                turns[-1].append(record)
        return turns

    def peers(self):
        """IPv4 address and port → key of the channel."""
        found = {}
        for record in self.of("Peer"):
            if record.code == 4:
                found["{}.{}.{}.{}:{}".format(*record.a.to_bytes(4, "big"), record.name)] = record.key
        return found


def named(content, clients):
    """The recording with the names of the clients in its head, as words that a reader may ignore."""
    head, end, rest = content.partition(b"\n\n")
    words = "".join(f"\nclient {client.name} {address}" for client in clients[-NAMED:] for address in client.addresses)
    return head + words.encode() + end + rest


def read(path):
    try:
        return Recording(path.read_bytes(), path)
    except OSError as error:
        raise Trouble(f"{path} cannot be read: {error.strerror}") from error
