"""``cogauth page``: what it says where it can't be served or opened."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from cogauth.cli.page import _browser
from support.commands import in_process

if TYPE_CHECKING:
    from pathlib import Path

    from support.called_api import Played


def test_without_its_extra_the_way_to_install_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "cogauth.page.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = in_process("page", "--state", str(tmp_path / "none.json")).must(2)
    assert "The page needs uvicorn, which isn't installed. Install it" in done.err
    assert "pip install '.[page]'" in done.err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a browser to open")
def test_without_a_browser_the_url_is_written_nowhere(
    played: Played, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    with _browser(played.state, "http://127.0.0.1:1/?key=k"):
        assert not played.state.page_path.exists()
    assert capsys.readouterr().err == "There is no browser to open: open the URL in one.\n"
