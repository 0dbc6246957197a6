"""``cogauth list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cogauth.cli.failures import error_code
from cogauth.cli.help import Command
from cogauth.cli.options import Target, target_options
from cogauth.cli.output import error_json, notice, print_json, show_table
from cogauth.cli.stacks import state_files
from cogauth.errors import CogauthError

if TYPE_CHECKING:
    from pathlib import Path

    from cogauth.record.state import State

STYLES = {"complete": "green", "incomplete": "yellow"}


@click.command(
    "list",
    cls=Command,
    short_help="List the stacks whose state files are here.",
    epilog="""\b
Examples:
  cogauth list
  cogauth list --state ~/stacks/shop.json    those in ~/stacks
  cogauth list --json | jq -r '.[] | select(.condition != "complete").stack'

A stack is complete if its state file records each of its resources as created. 'cogauth status'
shows what has changed in AWS since.
""",
)
@target_options
def list_stacks(target: Target) -> None:
    """List the stacks whose state files are in .cogauth, or in the folder of --state.

    It reads only these files and doesn't call AWS. A file that can't be used is listed with the
    reason.
    """
    found = list(state_files(target))
    if target.as_json:
        print_json([_document(path, state) for path, state in found])
        return
    rows = [_row(path, state) for path, state in found]
    if rows:
        show_table(rows, ("stack", "account", "region", "on", "condition", "state file"))
    else:
        folder = target.state_path.parent
        notice(
            f"There are no stacks here: the folder {folder} has no state file. Run 'cogauth up' to "
            "create a stack, or run this command in the folder of the state files, or give one of "
            "them with --state. If a state file was lost, run 'cogauth recover'."
        )
    for _, state in found:
        if isinstance(state, CogauthError):
            first, *others = state.lines
            notice(f"Warning: {first}", *others)


def _condition(state: State | CogauthError) -> str:
    if isinstance(state, CogauthError):
        kinds = {"state_damaged": "damaged", "state_newer": "newer"}
        return kinds.get(state.code, "unreadable")
    return "complete" if state.is_finished else "incomplete"


def _row(path: Path, state: State | CogauthError) -> tuple[str | tuple[str, str], ...]:
    condition = _condition(state)
    shown = (condition, STYLES.get(condition, "red"))
    if isinstance(state, CogauthError):
        return ("-", "-", "-", "", shown, str(path))
    on = "local AWS" if state.local_data else state.endpoint_url or ""
    return (state.stack, state.account, state.region, on, shown, str(path))


def _document(path: Path, state: State | CogauthError) -> dict[str, Any]:
    names = ("stack", "stack_id", "account", "region", "endpoint_url")
    last = {"condition": _condition(state), "state_file": str(path)}
    if isinstance(state, CogauthError):
        error = error_json(error_code(state, state), state)
        return {**dict.fromkeys((*names, "local")), **last, "error": error}
    known = {name: getattr(state, name) for name in names}
    return {**known, "local": state.local_data is not None, **last, "error": None}
