"""The stack of the page's own functions, on a server that answers like API Gateway."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from cogauth.aws.clients import Aws
from cogauth.context import Context
from cogauth.page.stack import Stack
from support.names import REGION

if TYPE_CHECKING:
    from cogauth.record.state import State
    from support.called_api import Played


@pytest.fixture
def of(played: Played) -> Stack:
    """The stack as the page has it; ann's tokens are stored."""

    def connect(state: State, *_clients: str) -> Context:
        aws = Aws(region=REGION, endpoint_url=played.server.url)
        return Context(aws, state, aws.waiter())

    return Stack(
        load=lambda: played.state,
        connect=connect,
        check=lambda _ctx: None,
        locked=lambda _command: nullcontext(),
        where=lambda _ctx: "here",
        runnable=lambda text: text,
        error_json=lambda error: {"message": str(error)},
    )
