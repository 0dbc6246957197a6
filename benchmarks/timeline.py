"""A picture of one ``up`` as SVG: what ran when, and what it waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from benchmarks.conditions import PENDING, ROLE
from benchmarks.critical_path import AFTER, BEFORE, needs_of_up, phases
from cogauth.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.proxy import Call

COLOURS = {"read": "#5b9bd5", "write": "#2e7d32", "refused": "#d9822b"}
LEGEND = {"read": "reads", "write": "writes", "refused": "refused, tried again"}
STEP_X, ROW_X, CHART_X, CHART_WIDTH, NOTE_WIDTH = 14, 160, 325, 640, 300
WIDTH = CHART_X + CHART_WIDTH + NOTE_WIDTH
TOP, LANE, GAP = 74, 15, 3
# During a shorter wait, our own program is working.
SHORT_S = 0.1
# What a resource waits for besides its prerequisites.
TURN = "its turn"
WAITED_FOR = {ROLE: "role assumable", PENDING: "Active"}


@dataclass(frozen=True)
class Row:
    """A resource's calls.

    Attributes:
        step: the console's step.
        name: of the resource.
        calls: its own.
        waited: on what they waited, in words.
        since: when the last of what it needs stood; None if it needs nothing.
    """

    step: str
    name: str
    calls: list[Call]
    waited: str = ""
    since: float | None = None

    def lanes(self) -> list[list[Call]]:
        """Return the calls in lanes without overlaps."""
        lanes: list[list[Call]] = []
        for call in self.calls:
            free = next((lane for lane in lanes if lane[-1].end <= call.begin), None)
            if free is None:
                lanes.append([call])
            else:
                free.append(call)
        return lanes


def rows_of(calls: Sequence[Call]) -> list[Row]:
    """Return a row for each resource with calls, in the console's order."""
    needs = needs_of_up()
    found = phases(calls, needs)
    rows = [Row("Before", "who, and what stands", found[BEFORE])]
    for step in STEPS:
        for resource in step.resources:
            if resource.key not in found:
                continue
            rows.append(_row(step.title, resource.key, needs[resource.key], found))
    rows.append(Row("After", "what is left", found[AFTER]))
    return [row for row in rows if row.calls]


def _row(step: str, key: str, needs: set[str], found: dict[str, list[Call]]) -> Row:
    calls = found[key]
    # A prerequisite may exist before its last call, if that only polls whether it is Active.
    stood = {need: _stood(found[need]) for need in needs if need in found}
    last = max(sorted(stood), key=lambda need: stood[need], default=None)
    since = stood[last] if last else None
    waits = [f"after {_words(last)}"] if last else []
    if since is not None and calls[0].begin - since > SHORT_S:
        waits.append(TURN)
    waits += [
        words for awaits, words in WAITED_FOR.items() if awaits in {call.awaits for call in calls}
    ]
    return Row(step, _words(key), calls, ", ".join(waits), since)


def _stood(calls: list[Call]) -> float:
    """Return when a resource existed: after its last call that isn't a poll of its state."""
    return max(
        (call.end for call in calls if not call.operation.name.startswith("GetFunction")),
        default=0.0,
    )


def _words(key: str | None) -> str:
    return (key or "").replace("_", " ")


def timeline(calls: Sequence[Call], title: str) -> str:
    """Return the picture.

    Args:
        calls: of one ``up``.
        title: of the picture: what, where and when.
    """
    rows = rows_of(calls)
    end = max(call.end for call in calls)
    height = TOP + sum(len(row.lanes()) * LANE + GAP for row in rows) + 44
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif"',
        f'  viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        # GitHub's dark mode would show it on black without a background.
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
        _text(STEP_X, 24, title, size=14, weight="600"),
        *_legend(),
    ]
    scale = CHART_WIDTH / end
    bottom = height - 34
    for second in range(int(end) + 1):
        x = CHART_X + second * scale
        parts.append(_line(x, TOP - 6, x, bottom, "#e4e4e4"))
        parts.append(_text(x, bottom + 14, str(second), anchor="middle", fill="#555555"))
    parts.append(
        _text(
            CHART_X + CHART_WIDTH,
            bottom + 28,
            "seconds since the program was started",
            anchor="end",
            fill="#555555",
        )
    )
    y, step = float(TOP), ""
    for row in rows:
        if row.step != step:
            parts.append(_line(STEP_X, y - GAP / 2, WIDTH - STEP_X, y - GAP / 2, "#cccccc"))
            parts.append(_text(STEP_X, y + 11, row.step, weight="600"))
            step = row.step
        parts.append(_text(ROW_X, y + 11, row.name))
        if row.since is not None:
            left, right = (CHART_X + at * scale for at in (row.since, row.calls[0].begin))
            parts.append(_line(left, y + 6.5, right, y + 6.5, "#999999", row.waited))
        for lane in row.lanes():
            parts += _lane(lane, y, scale)
            y += LANE
        last = CHART_X + max(call.end for call in row.calls) * scale
        if row.waited:
            parts.append(_text(last + 6, y - 4, row.waited, fill="#777777", size=10))
        y += GAP
    return "\n".join([*parts, "</svg>", ""])


def _lane(calls: list[Call], y: float, scale: float) -> list[str]:
    parts = []
    for before, call in zip([None, *calls], calls, strict=False):
        x = CHART_X + call.begin * scale
        if before is not None and call.begin - before.end > SHORT_S:
            reason = WAITED_FOR.get(before.awaits or "", TURN)
            left = CHART_X + before.end * scale
            line = _line(left, y + 6.5, x, y + 6.5, "#999999", f"waits: {reason}")
            parts.append(line)
        what = f"{call.operation}, {call.begin:.2f} to {call.end:.2f} s, {call.status}"
        if call.error:
            what += f" {call.error}"
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{max(1.0, call.seconds * scale - 0.6):.1f}" '
            f'height="12" fill="{COLOURS[call.kind]}"><title>{escape(what)}</title></rect>'
        )
    return parts


def _legend() -> list[str]:
    parts, x = [], CHART_X
    for kind, words in LEGEND.items():
        parts.append(f'<rect x="{x}" y="40" width="12" height="12" fill="{COLOURS[kind]}"/>')
        parts.append(_text(x + 17, 50, words))
        x += 40 + 7 * len(words)
    parts.append(_line(x, 46, x + 24, 46, "#999999"))
    parts.append(_text(x + 30, 50, "waits: for its turn, or for AWS"))
    return parts


def _text(  # noqa: PLR0913 as many as SVG's element has
    x: float,
    y: float,
    words: str,
    *,
    fill: str = "#1b1b1b",
    anchor: str = "start",
    size: int = 11,
    weight: str = "400",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" text-anchor="{anchor}" '
        f"font-size={quoteattr(str(size))} font-weight={quoteattr(weight)}>{escape(words)}</text>"
    )


def _line(  # noqa: PLR0913, PLR0917 likewise
    x1: float, y1: float, x2: float, y2: float, colour: str, title: str = ""
) -> str:
    inner = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}">'
        f"{inner}</line>"
    )
