"""The style of all pictures.

matplotlib draws with the light colours. In the SVG each is then replaced by a CSS variable, so that the same picture is
right in a light and in a dark page; a file of its own has both sets of colours.
"""

import re

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .words import number, seconds, t

# Name → light, dark.
COLOURS = {
    "paper": ("#fdfdfb", "#151b1e"),
    "ink": ("#1c2526", "#e7ecea"),
    "muted": ("#5f6b6c", "#9aa8a8"),
    "grid": ("#e3e6e2", "#2b3539"),
    "teal": ("#0b7a75", "#4cc7be"),
    "orange": ("#c4541b", "#f2945f"),
    "blue": ("#3f5fb0", "#8da8f0"),
    "plum": ("#8a4f96", "#cf9fd9"),
    "sand": ("#b9b4a7", "#6d6a62"),
}
LIGHT = {name: pair[0] for name, pair in COLOURS.items()}
FONT = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"

plt.rcParams.update({
    "font.family": "DejaVu Sans", "font.size": 9,
    "axes.titlesize": 9.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.edgecolor": LIGHT["muted"], "axes.labelcolor": LIGHT["muted"], "axes.titlecolor": LIGHT["ink"],
    "axes.facecolor": "none", "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True,
    "axes.linewidth": 0.8, "grid.color": LIGHT["grid"], "grid.linewidth": 0.9,
    "text.color": LIGHT["ink"], "xtick.color": LIGHT["muted"], "ytick.color": LIGHT["muted"],
    "xtick.labelsize": 8, "ytick.labelsize": 8, "ytick.major.size": 0, "xtick.major.size": 3,
    "legend.frameon": False, "legend.fontsize": 8, "lines.linewidth": 1.7, "lines.solid_capstyle": "round",
    "figure.facecolor": LIGHT["paper"], "savefig.facecolor": LIGHT["paper"],
    "svg.fonttype": "none", "svg.hashsalt": "stheno",
})


def dashed(label="predicted", *values):
    """The style of the line of a prediction."""
    return {"color": LIGHT["orange"], "lw": 1.1, "ls": (0, (5, 3)), "label": t(label, *values)}


def css(scheme):
    """The variables of the light scheme (0) or the dark one (1)."""
    return "".join(f"--{name}:{pair[scheme]};" for name, pair in COLOURS.items())


def figure(columns=1, rows=1, width=4.4, height=2.1, **options):
    """A figure with its axes; inches."""
    return plt.subplots(rows, columns, figsize=(width * columns, height * rows), layout="constrained", **options)


def plain(value, _=None):
    """A number on an axis."""
    return number(value, ",.0f" if abs(value) >= 1000 else ".3g")


def tidy(axis, title, unit="", form=plain, margin=0, floor=None):
    """Title, and few, round marks, which `form` writes."""
    axis.set_title(title + (f" · {unit}" if unit else ""))
    if form:
        axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axis.yaxis.set_major_formatter(FuncFormatter(form))
    axis.margins(x=margin)
    axis.set_ylim(floor)


def bare(axis, title):
    """Bars that carry their numbers: no marks, no grid."""
    tidy(axis, title, form=None)
    axis.grid(False)
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)


def nines(axis, most):
    """An axis of shares of requests up to 1 - 1/`most`; each further nine has the same room."""
    axis.set_title(t("Response times by share"))
    axis.set_xscale("log")
    marks = [mark for mark in (1, 2, 10, 100, 1000, 10_000, 100_000) if mark <= most]
    axis.set_xticks(marks, [number(100 - 100 / mark, ".5g") + " %" for mark in marks])
    axis.minorticks_off()
    axis.margins(x=0)
    axis.yaxis.set_major_formatter(FuncFormatter(seconds))


def save(one, path, title):
    """Writes PATH.svg and PATH.png, closes the figure, and returns the SVG for a page; the title is in the page's language."""
    for axis in one.axes:
        if axis.get_legend_handles_labels()[1]:
            # Above the picture, at its right.
            axis.legend(loc="lower right", bbox_to_anchor=(1.02, 0.99), ncols=3, borderpad=0.2, columnspacing=1.1,
                        handlelength=1.3, handletextpad=0.5, borderaxespad=0.2)
    # The page decides about the size; the resolution is that of the PNG.
    one.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Title": title})
    one.savefig(path.with_suffix(".png"), dpi=160)
    plt.close(one)
    svg = colourless(path.with_suffix(".svg").read_text(encoding="utf-8"))
    style = f"<style>:root{{{css(0)}}}@media(prefers-color-scheme:dark){{:root{{{css(1)}}}}}</style>"
    head, rest = svg.split(">", 1)
    path.with_suffix(".svg").write_text(f"{head}>{style}{rest}\n", encoding="utf-8")
    # As a part of a page: with ids that no other picture has.
    prefix = re.sub(r"\W+", "-", path.parent.name + path.stem)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"|<title>.*?</title>', "", svg).replace("xlink:href", "href")
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


def colourless(svg):
    """The SVG element alone, with names for colours and shorter numbers."""
    svg = re.sub(r"\s*<metadata>.*?</metadata>|\s*<!--.*?-->", "", svg[svg.index("<svg"):], flags=re.S)
    for name, colour in LIGHT.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r"(font: [^;\"]*?)'DejaVu Sans'[^;\"]*", rf"\1{FONT}", svg)
    svg = re.sub(r"(\d+\.\d\d)\d+", r"\1", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return re.sub(r">\s+<", "><", svg)
