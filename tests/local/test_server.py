"""The server's process ends in words if it can't serve."""

from pathlib import Path

import pytest

from cogauth.local.server import main
from support.local_process import ours


def test_a_folder_in_which_nothing_was_started_is_not_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours(folder)
    (folder / "tmp").mkdir()
    monkeypatch.chdir(folder / "tmp")
    with pytest.raises(SystemExit, match=f"No local AWS was started in {folder}"):
        main()
