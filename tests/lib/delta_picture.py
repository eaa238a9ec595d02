# SPDX-License-Identifier: Apache-2.0
"""The picture of scripts/bench.d/delta: a row a pair of releases, a mark a program, grouped by how much changed.

Readable on light and dark pages: no background of its own, and colours that follow the reader's choice."""
import math
import re
from xml.sax.saxutils import escape

LEFT, PLOT, RIGHT, STEP = 252, 512, 84, 17
LONG = 22  # a package with a longer name goes without its scope
LEAST, MOST = 4e-4, 2  # of the whole module
GROUPS = {"small": "Small changes", "medium": "Medium changes", "rebuild": "Rebuilds: another compiler, or a new major version"}
# name in the figures, class, label
MARKS = (("xdelta3", "other", "xdelta3 -9"), ("zstd", "other", "zstd -19 --patch-from"), ("bsdiff", "other", "bsdiff"),
         ("wasm-delta", "stream", "wasm-delta, zstd streams"), ("wasm-delta-16m", "model", "wasm-delta, 16 MiB model"))
STYLE = """
text { font: 11px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #3d444d }
.title { font-size: 16px; font-weight: 600; fill: #1f2328 }
.group { font-size: 12px; font-weight: 600; fill: #1f2328 }
.quiet { fill: #656d76 }
.right { text-anchor: end }
.middle { text-anchor: middle }
.grid { stroke: #8b949e; stroke-opacity: .28 }
.whole { stroke: #8b949e; stroke-dasharray: 3 3 }
.saved { stroke: #2f81f7; stroke-opacity: .22; stroke-width: 7 }
.other { fill: none; stroke: #8b949e; stroke-width: 1.4 }
.stream { fill: #58a6ff }
.model { fill: #1158c7 }
@media (prefers-color-scheme: dark) {
text { fill: #c9d1d9 }
.title, .group { fill: #f0f6fc }
.quiet { fill: #9198a1 }
.saved { stroke-opacity: .34 }
.stream { fill: #2f81f7 }
.model { fill: #a5d6ff }
}
"""


def x_of(share):
    share = min(max(share, LEAST), MOST)
    return LEFT + PLOT * math.log(share / LEAST) / math.log(MOST / LEAST)


def text(x, y, words, style=""):
    return f'<text x="{x:.1f}" y="{y:.1f}"{f" class={chr(34)}{style}{chr(34)}" if style else ""}>{escape(words)}</text>'


def mark(name, style, x, y):
    """Other programs differ in their shape, ours are filled."""
    if name == "xdelta3":
        path = f"M{x - 3.6:.1f} {y + 3:.1f}h7.2l-3.6 -6.4z"
    elif name == "zstd":
        path = f"M{x - 4:.1f} {y:.1f}l4 -4l4 4l-4 4z"
    else:
        return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{4 if style != "other" else 3.4}"/>'
    return f'<path class="{style}" d="{path}"/>'


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def share(r, name):
    return r["of"][name]["size"] / int(r["row"]["zstd19_full"])


def gain(r):
    return int(r["row"]["best3"]) / r["of"]["wasm-delta-16m"]["size"]


def times(value):
    return f"{value:.1f} ×" if value < 9.95 else f"{value:.0f} ×"


def head():
    parts = [text(12, 24, "Bytes that bring a WebAssembly module from one release to the next", "title"),
             text(12, 43, "Size of the delta as a share of the whole new module in zstd -19. Each row: two releases of a "
                  "public npm package.", "quiet"),
             text(12, 58, "At the right: how many times smaller the delta with the 16 MiB model is than the best of bsdiff, "
                  "HDiffPatch and zstd --patch-from.", "quiet")]
    x = 17
    for name, style, legend in MARKS:
        parts += [mark(name, style, x, 78), text(x + 9, 82, legend)]
        x += 28 + 6.1 * len(legend)
    return parts


def grid(top, bottom):
    parts = []
    for value, percent in ((0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1, "whole module")):
        x = x_of(value)
        parts += [f'<line class="{"whole" if value == 1 else "grid"}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>',
                  text(x, bottom + 16, percent, "middle quiet"), text(x, top - 6, percent, "middle quiet")]
    return parts


def words(row):
    return set(re.split(r"[/._-]", row["file"]))


def label(row, rows):
    """Package and releases; where a package has two modules, what its file's name has that the other's lacks."""
    key = ("package", "from", "to")
    twins = [t for t in rows if t is not row and all(t[k] == row[k] for k in key)]
    extra = sorted(words(row).difference(*map(words, twins))) if twins else []
    package = row["package"] if len(row["package"]) < LONG else row["package"].rpartition("/")[2]
    return f"{package} {row['from']} → {row['to']}" + "".join(f" ({word})" for word in extra)


def pair(r, rows, y):
    row = r["row"]
    best = int(row["best3"]) / int(row["zstd19_full"])
    parts = [text(LEFT - 12, y + 4, label(row, rows), "right"),
             f'<line class="saved" x1="{x_of(share(r, "wasm-delta-16m")):.1f}" x2="{x_of(best):.1f}" y1="{y}" y2="{y}"/>']
    parts += [mark(name, style, x_of(share(r, name)), y) for name, style, _ in MARKS]
    return [*parts, text(LEFT + PLOT + RIGHT - 16, y + 4, times(gain(r)), "right")]


def draw(results):
    """SVG of what scripts/bench.d/delta measured."""
    top, y, rows = 112, 112, []
    for change, title in GROUPS.items():
        group = sorted((r for r in results if r["row"]["change"] == change), key=gain, reverse=True)
        if not group:
            continue
        rows += [text(12, y + 17, title, "group"),
                 text(LEFT + PLOT + RIGHT - 16, y + 17, times(mean([gain(r) for r in group])), "group right")]
        y += 32
        for r in group:
            rows += pair(r, [r["row"] for r in results], y)
            y += STEP
        y += 4
    width, height = LEFT + PLOT + RIGHT, y + 26
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        "<title>Sizes of deltas between releases of WebAssembly modules</title>", f"<style>{STYLE}</style>",
        *head(), *grid(top, y), *rows, "</svg>", ""])
