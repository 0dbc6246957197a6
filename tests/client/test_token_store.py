"""The file of tokens: what it keeps, for how long, and what if it is damaged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cogauth.client import token_store
from support.called_api import Played, session


@pytest.mark.parametrize("content", ["", "[]", "{", '{"ann": {}}', '{"ann": "x"}', "[" * 99999])
def test_a_damaged_file_of_tokens_is_as_good_as_none(played: Played, content: str) -> None:
    played.state.tokens_path.write_text(content)
    played.refuse(
        "token", "--username", "ann", says="No password was given, and stdin is not a terminal"
    )


def test_two_at_once_keep_each_others_tokens(played: Played) -> None:
    names = [f"user{n}" for n in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: token_store.store(played.state, name, session()), names))
        list(threads.map(lambda name: token_store.forget(played.state, name), names[:8]))
    assert sorted(token_store.stored(played.state)) == sorted(["ann", *names[8:]])
    assert played.state.tokens_path.stat().st_mode & 0o777 == 0o600
    # To the pool, "ANN" is the same user.
    token_store.store(played.state, "ANN", session())
    assert "ann" not in token_store.stored(played.state)
    # Nothing outlives the stack.
    played.state.remove()
    token_store.store(played.state, "late", session())
    assert not played.cli.state.parent.exists()
