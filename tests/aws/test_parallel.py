"""Calls made all at once: their results in order, and the first error."""

import pytest

from cogauth.aws import parallel


def test_each_returns_in_order_and_raises_the_first_error() -> None:
    assert parallel.each([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]

    def fail(text: str) -> None:
        raise ValueError(text)

    with pytest.raises(ValueError, match="first"):
        parallel.each([lambda: None, lambda: fail("first"), lambda: fail("second")])
