"""Two runs, side by side."""

import math

from . import records


def compare(first, second):
    """A table of the rungs that both have, and a word about those that one has."""
    (about_one, one), (about_two, two) = records.load_folder(first), records.load_folder(second)
    others = {rung.name: rung for rung in two}
    lines = [f"A: {about_one['command']}", f"B: {about_two['command']}", *differences(about_one, about_two), "",
             f"{'RUNG':28} {'req/s A':>9} {'B':>9} {'':>8}   {'median A':>9} {'B':>9} {'':>8}   {'queue A':>8} {'B':>8}"]
    for rung in one:
        other = others.pop(rung.name, None)
        if other is None:
            lines.append(f"{rung.name:28} only in A")
            continue
        cells = []
        for name, form in (("rate", "9.2f"), ("p50", "9.3f")):
            a, b = rung.figure(name), other.figure(name)
            cells.append(f"{a:{form}} {b:{form}} {change(a, b):>8}")
        cells.append(f"{rung.figure('queue'):8.1f} {other.figure('queue'):8.1f}")
        lines.append(f"{rung.name:28} " + "   ".join(cells))
    lines += [f"{name:28} only in B" for name in others]
    return "\n".join(lines)


def differences(one, two):
    """What was not the same about them, beside the outcome."""
    for name in ("load", "machine"):
        for key in one[name]:
            if one[name][key] != two[name].get(key):
                yield f"   {key}: {one[name][key]} in A, {two[name].get(key)} in B"
    if one["generator"] != two["generator"]:
        yield f"   asked by {one['generator']} in A, by {two['generator']} in B"


def change(a, b):
    return "-" if math.isnan(a) or math.isnan(b) or not a else f"{(b - a) / a:+.1%}"
