"""The sign-in function, with a Cognito that is played."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.played_cognito import Cognito, Process, fresh, loaded, serving


@pytest.fixture(scope="module")
def cognito() -> Iterator[Cognito]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def module(cognito: Cognito) -> Iterator[Any]:
    with loaded(AWS_ENDPOINT_URL=cognito.url) as module:
        yield module


@pytest.fixture
def process(module: Any, cognito: Cognito) -> Iterator[Process]:
    with fresh(module, cognito) as process:
        yield process
