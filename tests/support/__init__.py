"""Code that the tests share, one module per purpose."""

from pathlib import Path

import pytest

# Their assertions show what they compared, as those in the tests do.
pytest.register_assert_rewrite(
    *(f"support.{file.stem}" for file in Path(__file__).parent.glob("[a-z]*.py"))
)
