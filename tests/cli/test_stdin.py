"""Text on stdin is read the same whatever wrote it; an editor's byte order mark is dropped."""

from __future__ import annotations

import base64
import codecs
import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.cli import stdin
from support.commands import in_process

WRITTEN = {
    "utf-8": lambda text: text.encode(),
    "utf-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16, little end first": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "utf-16, big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
}
# Any text without line ends; a mark at the beginning could only be a byte order mark.
lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")).filter(
    lambda text: not text.startswith("\ufeff")
)


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
@given(line=lines, end=st.sampled_from(["", "\n", "\r\n", "\nanother line\n"]))
def test_the_first_line_is_the_text(written: object, line: str, end: str) -> None:
    assert callable(written)
    data = written(line + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        assert stdin.first_line() == line
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        assert stdin.everything() == line + end


def test_the_first_line_is_in_the_terminals_encoding() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="latin-1"))
        assert stdin.first_line() == "café"


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_a_token_is_read_with_and_without_a_mark(written: object, tmp_path: object) -> None:
    assert callable(written)
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, {"sub": "ann"})]
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    words = ("decode", "--json", "--state", f"{tmp_path}/none.json")
    done = in_process(*words, typed=written(f"{token}.c2lnbmVk\n")).must()
    assert done.document["claims"] == {"sub": "ann"}
