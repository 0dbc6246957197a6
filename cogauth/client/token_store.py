"""The tokens of ``test-login``, stored beside the state file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cogauth.client.tokens import NAMES
from cogauth.record.files import read_own, write_private
from cogauth.record.lock import hold

if TYPE_CHECKING:
    from cogauth.record.state import State
# How long to wait for another command that writes the token file.
LOCK_S = 10.0


def stored(state: State) -> dict[str, dict[str, str]]:
    """Return the stored tokens by username, then by token name."""
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
    """Return a user's stored tokens; like the pool, ignore the case of the name."""
    found = stored(state).items()
    return next((kept for name, kept in found if name.lower() == username.lower()), None)


def store(state: State, username: str, tokens: dict[str, str]) -> None:
    """Store a user's tokens beside the state file for later commands, with mode 0600.

    The pool ignores the case of names, so "Ann" replaces "ann". If the stack has been deleted
    meanwhile, store nothing.
    """
    _change(state, username, {username: tokens})


def forget(state: State, username: str) -> None:
    """Delete a user's stored tokens; raise CogauthError if the file can't be written."""
    if state.tokens_path.exists():
        _change(state, username, {})


def _change(state: State, username: str, entry: dict[str, dict[str, str]]) -> None:
    # Without the lock, concurrent commands would overwrite each other's changes.
    with hold(state.tokens_path, "token", LOCK_S, advice=""):
        if state.path.exists():
            found = stored(state).items()
            others = {name: kept for name, kept in found if name.lower() != username.lower()}
            write_private(state.tokens_path, others | entry)
