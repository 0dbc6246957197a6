"""``cogauth explain``: whose token is taken, and how a diagnosis is laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogauth.checks.explain import Diagnosis
from cogauth.checks.explain.causes import Cause
from cogauth.checks.explain.evidence import Answer
from cogauth.cli.explain import _show
from cogauth.client import token_store

if TYPE_CHECKING:
    import pytest

    from support.called_api import Played


def test_without_a_token_nothing_is_called(played: Played) -> None:
    played.refuse("explain", "/hello", "-u", "eve", says="No token of 'eve' is stored; there are")
    token_store.forget(played.state, "ann")
    played.refuse("explain", "/hello", says="No token is stored. Run 'cogauth test-login NAME")


def test_a_diagnosis_has_only_what_there_is_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    bare = Diagnosis(Cause("not_sent", "Nothing is wrong.", ""), None, {"api": "a"}, now=0)
    _show("https://x/a", "POST", bare)
    assert capsys.readouterr().out.splitlines() == [
        *("POST https://x/a", "  not called", ""),
        *("Cause (not_sent):", "  Nothing is wrong.", ""),
        *("Facts:", "  api  a"),
    ]
    full = Diagnosis(
        Cause("expired", "It is old.", "Renew it."), Answer(401, "No", ""), {}, 0, ("b",)
    )
    _show("https://x/a", "GET", full)
    assert capsys.readouterr().out.splitlines() == [
        *("GET https://x/a", "  ✗ 401 No", ""),
        *("Cause (expired):", "  It is old.", "Fix:", "  Renew it.", "Also:", "  - b", ""),
        "Facts:",
    ]
