"""What a probe finds, and the list of all probes."""

import typing

from lib import Trouble

GROUPS = ["At a shell", "Listings", "Pages", "Headers and types", "Access", "TLS", "Behind a proxy, and logs", "HTTP",
          "Weak spots", "Processes", "Not in stheno"]


class Verdict(typing.NamedTuple):
    grade: str
    note: str = ""


def yes(note=""):
    return Verdict("yes", note)


def no(note=""):
    return Verdict("no", note)


def partly(note):
    return Verdict("partly", note)


def told(note):
    """A value that is neither good nor bad."""
    return Verdict("", note)


def check(condition, note=""):
    """`yes` if `condition` holds, or `no` with the note."""
    return yes() if condition else no(note)


def shares(*pairs, word=""):
    """`yes` if all of (condition, what is missing without it) hold, `no` if none does; otherwise `partly` with what is
    missing, after `word`."""
    missing = [name for holds, name in pairs if not holds]
    if len(missing) == len(pairs):
        return no()
    return partly(word + ", ".join(missing)) if missing else yes()


class Feature(typing.NamedTuple):
    """A row. `keys` are the options that the probe turns on; the last one that the server has is shown. With `needs` a server that has no option
    for the last one is `no` without a try; `is_slow` probes run beside all others."""

    group: str
    title: str
    keys: tuple
    probe: object
    needs: bool
    is_slow: bool

    def try_on(self, stage):
        """The verdict, and the option that the server was given."""
        if self.needs and not stage.options(self.keys[-1:]):
            return no(), None
        options = stage.options(self.keys[::-1])
        try:
            found = self.probe(stage)
        except (Trouble, OSError) as trouble:
            found = no("does not start" if isinstance(trouble, Trouble) else "cuts the connection")
            print(f"{stage.server.name}: {self.title}: {trouble}", flush=True)
        option = options[0] if options else None
        if option and option.note and found.grade == "yes":
            found = partly(option.note)
        return found, option


FEATURES = []


def feature(group, title, *keys, needs=False, is_slow=False):
    """Makes a probe of a function of a `Stage`; its doc says what it checks."""
    def register(probe):
        FEATURES.append(Feature(group, title, keys, probe, needs, is_slow))
        return probe
    return register
