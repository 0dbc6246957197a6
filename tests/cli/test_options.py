"""The options that all commands share, and what becomes of an error."""

from __future__ import annotations

import io
import sys
import time
from typing import TYPE_CHECKING

from cogauth.cli.options import Target
from cogauth.cli.output import confirm

if TYPE_CHECKING:
    import pytest


def test_a_commands_time_is_without_the_users_thinking(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Thinker(io.StringIO):
        def readline(self, *_: object) -> str:  # type: ignore[override]
            now[0] += 500
            return "y\n"

    monkeypatch.setattr(sys, "stdin", Thinker())
    target = Target("shop", None, None, None, None, as_json=False, debug=False, begun=now[0])
    now[0] += 2
    assert confirm("Delete the stack?")
    now[0] += 1
    assert target.elapsed == 3
