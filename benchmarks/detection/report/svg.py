"""Two pictures as SVG: a confusion matrix and reliability diagrams. They follow the reader's light or dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.detection.evaluation.cells import Bins

_STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #333 }
.small { font-size: 10px; fill: #777 }
.title { font-weight: 600 }
.on-dark { fill: #fff }
.frame { fill: none; stroke: #999 }
.ideal { stroke: #999; stroke-dasharray: 4 3 }
.line { fill: none; stroke: #2f6fb0; stroke-width: 2 }
.dot { fill: #2f6fb0 }
.cell { fill: #2f6fb0 }
.wrong { fill: #c0504d }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .small { fill: #aaa } .frame, .ideal { stroke: #777 }
}
</style>"""


def _document(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">\n<title>{escape(title)}</title>\n{_STYLE}\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def confusion(table: Mapping[str, Mapping[str, int]], rows: Sequence[str], columns: Sequence[str]) -> str:
    """What happened, by row, and what was reported, by column: shares of the row's recordings."""
    size, left, top = 76, 190, 70
    parts = [_text(left + size * len(columns) / 2, 18, "reported", "middle", "title")]
    for number, name in enumerate(columns):
        for line, word in enumerate(name.replace("_", " ").split(" ")):
            parts.append(_text(left + size * (number + 0.5), 38 + 14 * line, word, "middle"))
    for line, name in enumerate(rows):
        row = table.get(name, {})
        total = row.get("recordings", 0)
        y = top + 44 * line
        parts.append(_text(left - 10, y + 20, name.replace("_", " "), "end"))
        parts.append(_text(left - 10, y + 34, f"{total} recordings", "end", "small"))
        for number, column in enumerate(columns):
            share = row.get(column, 0) / total if total else 0.0
            right = column == name or (name == "healthy" and column == "nothing")
            x = left + size * number
            opacity = 0.08 + 0.87 * share if share else 0.0
            kind = "cell" if right else "wrong"
            parts.append(
                f'<rect x="{x}" y="{y}" width="{size - 2}" height="42" class="{kind}" fill-opacity="{opacity:.2f}"/>'
            )
            parts.append(f'<rect x="{x}" y="{y}" width="{size - 2}" height="42" class="frame" stroke-opacity="0.3"/>')
            parts.append(
                _text(
                    x + size / 2 - 1,
                    y + 26,
                    f"{share:.0%}" if total else "",
                    "middle",
                    "on-dark" if share > 0.5 else "",
                )
            )
    height = top + 44 * len(rows) + 10
    return _document(left + size * len(columns) + 10, height, "What happened and what was reported", parts)


def reliability(bins: Mapping[str, Bins], patterns: Sequence[str]) -> str:
    """How often a pattern was there, over how sure the detector was: a probability lies on the diagonal."""
    side, gap, left, top = 170, 60, 50, 40
    parts = []
    for number, pattern in enumerate(patterns):
        x = left + (side + gap) * (number % 3)
        y = top + (side + gap + 20) * (number // 3)
        parts += _diagram(bins[pattern], pattern, x, y, side)
    rows = (len(patterns) + 2) // 3
    return _document(
        left + (side + gap) * 3, top + (side + gap + 20) * rows, "Confidence and how often it was right", parts
    )


def _diagram(bins: Bins, pattern: str, x: int, y: int, side: int) -> list[str]:
    parts = [
        _text(x, y - 10, pattern.replace("_", " "), kind="title"),
        f'<rect x="{x}" y="{y}" width="{side}" height="{side}" class="frame"/>',
        f'<line x1="{x}" y1="{y + side}" x2="{x + side}" y2="{y}" class="ideal"/>',
        _text(x + side / 2, y + side + 28, "confidence", "middle", "small"),
    ]
    for share in (0.0, 0.5, 1.0):
        parts.append(_text(x + side * share, y + side + 14, f"{share:g}", "middle", "small"))
        parts.append(_text(x - 6, y + side * (1 - share) + 4, f"{share:g}", "end", "small"))
    points = []
    for count, said, there in zip(bins.count, bins.confidence, bins.there, strict=True):
        if count:
            points.append((x + side * said / count, y + side * (1 - there / count), count))
    if points:
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _ in points)
        parts.append(f'<polyline points="{path}" class="line"/>')
    for px, py, count in points:
        radius = 2.0 + min(6.0, count**0.25 / 2)
        parts.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{radius:.1f}" class="dot"><title>{count} cells</title></circle>'
        )
    return parts
