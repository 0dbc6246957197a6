"""The parts of ministack that the local AWS's user pools rely on; cognito/ has what they answer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cogauth.local import cognito

WITHOUT_ONE = """
import sys
from cogauth.local import cognito, hooks
for name in sys.argv[1:]:
    place, _, attribute = name.rpartition(".")
    module = hooks.module(place)
    theirs = getattr(module, attribute)
    for other in (None, lambda of_something_else: None):
        setattr(module, attribute, other)
        try:
            cognito.install()
        except hooks.HookError as error:
            print(name in str(error) and "install cogauth with that extra again" in str(error))
        setattr(module, attribute, theirs)
cognito.install()
"""


@pytest.mark.local
def test_a_ministack_without_a_name_that_is_replaced_or_used_is_noticed(tmp_path: Path) -> None:
    source = "".join(path.read_text() for path in Path(cognito.__file__).parent.glob("*.py"))
    own = re.findall(r'(?:of_cognito|store)\(\s*"(\w+)"', source)
    named = re.findall(r'"((?:services|core)\.[\w.]+)"', source)
    replaced = [name for name, _, _ in cognito._REPLACED]  # noqa: SLF001 the table is what is tested
    names = {*named, *(f"services.cognito.{name}" for name in (*own, *replaced))}
    # "services.cognito" itself isn't such a name.
    used = sorted(name for name in names if name.count(".") > 1)
    assert len(used) > 30
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ONE, *used],
        env={"STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == ["True"] * (2 * len(used))
