"""The picture of a stack as SVG: what it consists of, who calls whom, and how each step is.

``picture.svg`` is the template, with every place set by hand, and ``picture.css`` its style. Each
step is a ``<g>`` with the id ``step-NAME`` and the classes ``step`` and its status. A browser that
prefers a dark page gets dark colours, also in an ``<img>``.
"""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from cogauth.printable import column_width, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.engine.status import AttachedStatus, StackStatus, StepStatus
    from cogauth.record.state import State

TEMPLATE, STYLE = (Path(__file__).with_name(f"picture.{kind}") for kind in ("svg", "css"))
# How each picture begins.
START = b'<svg xmlns="http://www.w3.org/2000/svg" class="cogauth-picture"'
# A status and a condition, each with a symbol in front, so that colour alone says nothing.
SHOWN = {
    "exists": "✓ exists",
    "missing": "✗ missing",
    "changed": "~ changed",
    "unfinished": "… unfinished",
    "stale": "↻ stale",
    "complete": "✓ complete",
    "incomplete": "… incomplete",
    "drifted": "~ drifted",
}
# The status whose colour a condition has.
COLOURS = {"complete": "exists", "incomplete": "unfinished", "drifted": "changed"}
# How many columns an id may have in the template's boxes.
NARROW, WIDE = 22, 26
ROOM = dict.fromkeys(
    ("role", "auto_confirm_role", "sign_in_function", "auto_confirm_function"), WIDE
)
CALLS = (
    "A client sends a password to the sign-in method, which calls the sign-in function. The "
    "function signs in at the user pool's app client, and the client receives tokens. A new user's "
    "sign-up makes the pre-sign-up trigger call the auto-confirm function. The protected method is "
    "guarded by the authorizer, which lets through only tokens of this user pool. Each function "
    "runs as an IAM role of its own."
)


def draw(status: StackStatus, state: State, place: str, *, styled: bool = True) -> str:
    """Return the picture of a stack; ``place`` says in words where the stack is.

    Without ``styled`` its style is left out, for a page that has it.
    """
    settings, counted = state.settings, status.users
    texts = {
        "heading": f"Stack {status.stack}",
        "condition": SHOWN[status.condition],
        "condition_class": COLOURS[status.condition],
        "place": fitted(place, 85),
        "deployed": f"deployed {status.deployed:%Y-%m-%d}" if status.deployed else "not deployed",
        "users": "" if counted is None else f"{counted} user{'' if counted == 1 else 's'}",
        "sign_in_method": fitted(f"POST {settings.path}", NARROW),
        "attached": fitted(_attached(status.attached), 105),
        "description": " ".join([CALLS, *map(_hint, status.steps)]),
    }
    for step in status.steps:
        texts |= {
            f"{step.step}_class": step.status,
            f"{step.step}_status": SHOWN[step.status],
            f"{step.step}_id": fitted(step.id or "-", ROOM.get(step.step, NARROW)),
            f"{step.step}_hint": _hint(step),
        }
    texts["deployment_id"] = fitted(f"{texts['deployment_id']}, stage {settings.stage}", NARROW)
    escaped = {name: html.escape(one_line(text)) for name, text in texts.items()}
    style = html.escape(STYLE.read_text(encoding="utf-8"), quote=False)
    escaped["style"] = f"<style>\n{style}</style>\n" if styled else ""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(escaped)


def _hint(step: StepStatus) -> str:
    paths = ", ".join(change.path for change in step.changes)
    parts = filter(None, (f"{step.title}: {step.status}", step.id, paths))
    return f"{', '.join(parts)}."


def _attached(attached: tuple[AttachedStatus, ...]) -> str:
    def words() -> Iterator[str]:
        for api in attached:
            guarded = sum(method.guarded is True for method in api.methods)
            yield f"{api.name} ({guarded} of {len(api.methods)} guarded)"

    if not attached:
        return "No other API is attached to the user pool."
    return f"Methods of attached APIs: {', '.join(words())}"


def fitted(text: str, width: int) -> str:
    """Return a text that fits into so many columns: its beginning and its end."""
    text = one_line(text)
    if column_width(text) <= width:
        return text
    # The end tells names of one stack apart; ids may be told apart by either.
    half = (width - 1) // 2
    first, last = text[: width - 1 - half], text[-half:]
    while column_width(f"{first}…{last}") > width:
        first, last = (first[:-1], last) if len(first) > len(last) else (first, last[1:])
    return f"{first}…{last}"
