"""A still picture of a recording, as SVG inside of the page: a row for each channel, with its hooks in true lengths.

It stands where the player is not open: a reader sees at once how long things took, and what waited for what."""

import html
import math
import re

from loopkit import reading

WIDTH, LABELS, ROW, GAP, LEAST = 760, 170, 24, 6, 2.5
# The kind of a hook by words of its name, as in src/recording/player/colours.js: the style sheet has the player's colours.
KINDS = {"accept": r"accept|connection", "write": r"write|send", "read": r"read|recv|push", "timer": r"time|call|sleep",
         "wake": r"wake|poll|task"}
WORDS = {
    "en": {"wait": "the loop waits", "queue": "in the accept queue", "unit": "ms", "point": "."},
    "ru": {"wait": "цикл ждёт", "queue": "в очереди accept", "unit": "мс", "point": ","},
}


class Lane:
    """The row of one channel: its label, and its bars (from, to, what)."""

    def __init__(self, label):
        self.label, self.bars = label, []


def spans(recording):
    """The hooks: (key, from, to, name). One that did not end lasts until the last record. A sleep belongs to no channel: it
    stands in the row of the one before it."""
    open_hooks, found, before = [], [], reading.NONE
    for record in recording.records:
        if record.kind == "Enter":
            before = record.key if record.key != reading.NONE else before
            open_hooks.append((before, record.time, record.name))
        elif record.kind == "Exit" and open_hooks:
            key, begun, name = open_hooks.pop()
            found.append((key, begun, record.time, recording.names.get(name, "")))
    last = recording.records[-1].time
    return found + [(key, begun, last, recording.names.get(name, "")) for key, begun, name in open_hooks]


def lives(recording):
    """Client name or type → the keys that it had, in order of time: (label, key, from, to)."""
    found, named = [], names_of(recording)
    for record in recording.of("New"):
        kind = recording.names.get(record.name, "")
        until = next((one.time for one in recording.of("Close", record.key) if one.time >= record.time), math.inf)
        # A key is used again after its end.
        peers = (one for one in recording.of("Peer", record.key) if record.time <= one.time <= until and one.code == 4)
        name = next((named.get(address(one)) for one in peers), None)
        found.append((f"{kind} ({name})" if name else kind, record.key, record.time, until, bool(name)))
    return found


def names_of(recording):
    """Address → the name of the client."""
    return dict(reversed(value.split(" ", 1)) for value in recording.all("client"))


def address(peer):
    return "{}.{}.{}.{}:{}".format(*peer.a.to_bytes(4, "big"), peer.name)


def lanes_of(recording, elsewhere=()):
    """The rows with at least one hook, clients first, and those that only wait to be accepted; but no clients that have a row
    `elsewhere`, in the recording of another thread."""
    lanes, taken = [], spans(recording)
    for label, key, since, until, is_client in sorted(lives(recording), key=lambda life: not life[4]):
        lane = Lane(label)
        lane.bars = [(begun, ended, name) for one, begun, ended, name in taken if one == key and since <= begun <= until]
        if lane.bars:
            lanes.append(lane)
    for value in recording.all("queued"):
        peer, since, *until = value.split()
        name = names_of(recording).get(peer, peer)
        lane = next((one for one in lanes if one.label.endswith(f"({name})")), None)
        if not lane and name in elsewhere:
            continue
        if not lane:
            lanes.append(lane := Lane(name))
        lane.bars.insert(0, (int(since), int(until[0]) if until else recording.records[-1].time, None))
    return lanes


def waits(recording):
    """The times in which the loop waits."""
    begun = None
    for record in recording.records:
        if record.kind == "Wait":
            begun = record.time
        elif record.kind == "Turn" and begun is not None:
            yield begun, record.time
            begun = None


def window(recordings):
    """From what the first client asks to the last hook. What takes longer than a third of that is shown from its beginning."""
    bars = [bar for recording in recordings for lane in lanes_of(recording) for bar in lane.bars]
    reads = [one.time for recording in recordings for one in recording.of("Read") if one.b]
    begin, end = min(reads or [0]), max((bar[1] for bar in bars if not reads or bar[0] <= max(reads) + 2e9), default=1)
    begin = min([begin, *(bar[0] for bar in bars if bar[1] - bar[0] > (end - begin) / 3)])
    return begin - (end - begin) * 0.02, end + (end - begin) * 0.02


def draw(contents, language, title):
    """The picture of one or several recordings (threads of one run), as lines of SVG without an empty one."""
    recordings = [reading.Recording(content) for content in contents]
    words, (begin, end) = WORDS[language], window(recordings)
    hooks, body, y, shown = {}, [], 34, set()
    served = {name for recording in recordings for name in names_of(recording).values()
              if any(label.endswith(f"({name})") for label, *_ in lives(recording))}

    def x(time):
        return LABELS + (WIDTH - LABELS - 8) * min(1, max(0, (time - begin) / (end - begin)))
    for recording in recordings:
        # Rows whose hooks are all outside of the window say nothing.
        rows = [lane for lane in lanes_of(recording, served | shown) if any(begin <= until and since <= end for since, until, _ in lane.bars)]
        if not rows:
            continue
        shown |= {lane.label for lane in rows}
        if recording.loop != "blocking":
            height = len(rows) * ROW
            body += [bar(x(since), x(until), y - 2, height, "wait") for since, until in waits(recording) if until > begin]
        if len(recordings) > 1:
            body.append(text(0, y + 12, recording.all("thread")[0] if recording.all("thread") else recording.program, "thread"))
            y += 18
        for lane in rows:
            body.append(text(0, y + 13, lane.label))
            for since, until, name in lane.bars:
                if until < begin or since > end:
                    continue
                kind = hooks.setdefault(name, kind_of(name)) if name else "queue"
                body.append(bar(x(since), x(until), y, ROW - GAP, kind, name or words["queue"]))
            y += ROW
        y += 8
    return frame(body + axis(begin, end, y, x, words) + legend(hooks, recordings, words), y + 26, title)


def kind_of(hook):
    return next((kind for kind, words in KINDS.items() if re.search(words, hook, re.I)), "other")


def axis(begin, end, y, x, words):
    """Five marks or so, in milliseconds from the first client on."""
    step = 10 ** math.floor(math.log10((end - begin) / 1e6 / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (end - begin) / 1e6 / (step * factor) <= 6)
    marks, at = [], 0
    while begin + at * 1e6 <= end:
        place = x(begin + at * 1e6)
        marks += [f'<path d="M{place:.1f} {y} v5" class="axis"/>',
                  text(place, y + 18, f"{at:g}".replace(".", words["point"]) + (f" {words['unit']}" if not at else ""), "mark")]
        at += step
    return [f'<path d="M{LABELS} {y} H{WIDTH - 8}" class="axis"/>', *marks]


def legend(hooks, recordings, words):
    """The colours of the hooks, above the picture: one for each kind."""
    entries = [(kind, ", ".join(name for name, its in hooks.items() if its == kind)) for kind in dict.fromkeys(hooks.values())]
    if any(recording.loop != "blocking" for recording in recordings):
        entries.append(("wait", words["wait"]))
    if any(recording.all("queued") for recording in recordings):
        entries.append(("queue", words["queue"]))
    found, at = [], 0
    for kind, name in entries:
        found += [bar(at, at + 12, 4, 10, kind), text(at + 17, 13, name)]
        at += 17 + 7.2 * len(name) + 14
    return found


def bar(since, until, y, height, kind, title=None):
    body = f"<title>{html.escape(title)}</title>" if title else ""
    return f'<rect x="{since:.1f}" y="{y}" width="{max(LEAST, until - since):.1f}" height="{height}" class="{kind}">{body}</rect>'


def text(x, y, words, kind="label"):
    return f'<text x="{x:.1f}" y="{y}" class="{kind}">{html.escape(words)}</text>'


def frame(body, height, title):
    return "\n".join([f'<svg class="still" viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">',
                      f"<title>{html.escape(title)}</title>", *body, "</svg>"])
