"""Recordings that no program has made, for the check of the page: what they contain is known."""

import random
import struct

RECORD = struct.Struct("<QQBBHIQ")
NONE = 0xFFFF_FFFF_FFFF_FFFF
NO_DESCRIPTOR = 0xFFFF_FFFF
WAIT, TURN, EVENT, ENTER, EXIT, READ, WRITE, NEW, PEER, STATE, WATCH = range(1, 12)
CLOSE, QUEUE, CLOCK = 13, 14, 15
LISTENER = 0


class Sample:
    """A loop with a listener and some clients, turn by turn. `asks`: a loop that asks about each descriptor."""

    def __init__(self, turns, asks=False, slow=(), seed=1):
        self.asks, self.slow, self.dice = asks, slow, random.Random(seed)
        self.records, self.names, self.now = [], {}, 0
        self.generations, self.totals = {}, {"turns": 0, "read": 0, "written": 0}
        # Index → state, bytes read and bytes written of the channel; and all of these at the beginning of each turn.
        self.open, self.before = {}, {}
        self.new(LISTENER, "EchoServer", 0, NONE, 5)
        for number in range(1, turns + 1):
            self.turn(number)

    def name(self, text):
        return self.names.setdefault(text, len(self.names) + 1)

    def key(self, index):
        return index + 4 if self.asks else self.generations[index] << 32 | index

    def shown(self, index):
        """The key, as the page has it."""
        return f"fd {index + 4}" if self.asks else f"{index}.{self.generations[index]}"

    def put(self, kind, key=NONE, code=0, name=0, a=0, b=0):
        self.records.append(RECORD.pack(self.now, key, kind, code, name, a, b))

    def new(self, index, kind, origin, parent, descriptor):
        self.generations[index] = self.generations.get(index, -1) + 1
        self.open[index] = ["" if index == LISTENER else "Reading", 0, 0]
        self.put(NEW, self.key(index), origin, self.name(kind), descriptor, parent)
        if index != LISTENER:
            self.put(PEER, self.key(index), 4, 40000 + len(self.records) % 20000, 0x7F000001)
            self.put(STATE, self.key(index), 0, self.name("Reading"), 0)
        if not self.asks:
            self.put(WATCH, self.key(index), 1, 0, 1)

    def turn(self, number):
        clients = [index for index in self.open if index != LISTENER]
        busy = self.dice.sample(clients, min(len(clients), self.dice.choice((1, 1, 1, 2, 3))))
        accepts = len(clients) < 3 or (len(clients) < 12 and self.dice.random() < 0.2)
        is_slow = number in self.slow
        # After a slow hook all have something to say, and the wait returns at once.
        was_slow = number - 1 in self.slow
        if is_slow or was_slow:
            busy = clients[:8]
        self.before[number] = {self.shown(index): tuple(values) for index, values in self.open.items()}
        self.put(WAIT, a=len(self.open) if self.asks else 0, b=self.dice.choice((NONE, 30_000_000_000)))
        self.now += 900 if was_slow else int(self.dice.expovariate(1 / 600_000)) + 2_000
        ready = ([LISTENER] if accepts else []) + busy
        self.put(TURN, a=len(ready))
        self.totals["turns"] += 1
        if number % 4 == 1:
            self.put(CLOCK, self.now // 50, b=self.now // 3)
        if accepts or number % 50 == 0:
            self.put(QUEUE, self.key(LISTENER), a=self.dice.randrange(4) + (40 if was_slow else 0), b=128)
        if self.asks:
            for index in ready:
                self.put(EVENT, self.key(index), 1, 1)
        for place, index in enumerate(ready):
            if not self.asks:
                self.put(EVENT, self.key(index), 1, 3)
            self.accept() if index == LISTENER else self.serve(index, is_slow and place == len(ready) // 3)

    def hook(self, index, name, length, inside, why=0):
        self.put(ENTER, self.key(index), 7 if self.asks and not why else why, self.name(name))
        inside()
        self.now += length
        self.put(EXIT, self.key(index), 0, self.name(name))

    def accept(self):
        free = next(index for index in range(1, 100) if index not in self.open)
        self.hook(LISTENER, "handle_read", 9_000, lambda: self.new(free, "Echo", 1, self.key(LISTENER), free + 8))
        self.serve(free, False, why=1)

    def serve(self, index, is_slow, why=0):
        key, length = self.key(index), 300_000_000 if is_slow else self.dice.randrange(4_000, 40_000)
        is_over = not why and not is_slow and self.dice.random() < 0.03
        count = 0 if why or is_over else self.dice.randrange(10, 2000)

        def read():
            self.put(READ, key, 2 if is_over else 1, b=count)
            self.totals["read"] += count
            self.open[index][1] += count
            if count:
                self.put(STATE, key, 0, self.name("Asking"), self.name("Reading"))

        self.hook(index, "handle_read", length, read, why)
        if is_slow:
            self.put(CLOCK, self.now // 50, b=self.now // 3)
        if count:
            self.hook(index, "handle_write", self.dice.randrange(3_000, 20_000), lambda: self.write(index, count), why)
        if is_over:
            self.put(CLOSE, key)
            del self.open[index]

    def write(self, index, count):
        key = self.key(index)
        self.put(WRITE, key, b=count)
        self.totals["written"] += count
        self.open[index][2] += count
        self.put(STATE, key, 0, self.name("Reading"), self.name("Asking"))

    def file(self, program, source=""):
        """The bytes of the recording."""
        tells = "read write hook state asked clock" if self.asks else "read write register hook state clock"
        head = ["stheno recording 1", f"program {program}", f"loop {'select' if self.asks else 'reactor'}", f"tells {tells}",
                f"keys {'descriptor' if self.asks else 'slab'}", "pid 4711", "worker 0", "began 1764150000.123456789"]
        head += [f"total {name} {value}" for name, value in self.totals.items()]
        head += [f"name {number} {text}" for text, number in self.names.items()]
        head += [f"channel {self.key(index) & 0xFFFFFFFF}.{self.key(index) >> 32} {self.name('Echo')}" for index in self.open]
        text = source.encode()
        head += [f"records {len(self.records)}", f"source {len(text)}", "", ""]
        return "\n".join(head).encode() + b"".join(self.records) + text
