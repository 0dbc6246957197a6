"""The tokens that ``test-login`` got, kept beside the state file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cogauth.client.tokens import NAMES
from cogauth.record.files import read_own, write_private
from cogauth.record.lock import hold

if TYPE_CHECKING:
    from cogauth.record.state import State
# How long another command's write to the tokens' file is waited for.
LOCK_S = 10.0


def stored(state: State) -> dict[str, dict[str, str]]:
    """Return the tokens that are kept, by username and then by their names."""
    try:
        found = json.loads(read_own(state.tokens_path))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        username: kept
        for username, kept in found.items()
        if isinstance(kept, dict) and all(isinstance(kept.get(name), str) for name in NAMES)
    }


def stored_for(state: State, username: str) -> dict[str, str] | None:
    """Return the tokens that are kept of a user, whose name the pool takes in any case."""
    found = stored(state).items()
    return next((kept for name, kept in found if name.lower() == username.lower()), None)


def store(state: State, username: str, tokens: dict[str, str]) -> None:
    """Keep a user's tokens beside the state file, for later commands; mode 0600.

    The pool takes a name in any case, so "Ann" takes the place of "ann". Where the stack is gone
    by now, nothing is kept.
    """
    _change(state, username, {username: tokens})


def forget(state: State, username: str) -> None:
    """Don't keep a user's tokens any longer; raise CogauthError if the file can't be written."""
    if state.tokens_path.exists():
        _change(state, username, {})


def _change(state: State, username: str, entry: dict[str, dict[str, str]]) -> None:
    # Two commands at once would each write what the other has not seen.
    with hold(state.tokens_path, "token", LOCK_S, advice=""):
        if state.path.exists():
            found = stored(state).items()
            others = {name: kept for name, kept in found if name.lower() != username.lower()}
            write_private(state.tokens_path, others | entry)
