"""What the tests share, a module by purpose."""

from pathlib import Path

import pytest

# Their assertions tell what they compared, as those of the tests do.
pytest.register_assert_rewrite(
    *(f"support.{file.stem}" for file in Path(__file__).parent.glob("[a-z]*.py"))
)
