"""The answers of reading calls, remembered for as long as nothing is written."""

from __future__ import annotations

import json
from copy import copy
from functools import partial
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.client import BaseClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.aws.clients import Aws

READS = ("get_", "list_", "describe_")


class Memo:
    """Makes no reading call twice: the same call with the same parameters gets the same answer.

    It is for a run that writes nothing. Its threads share it: if two ask the same at once, only one
    call is made. A refusal isn't remembered.
    """

    def __init__(self) -> None:
        """Begin without any answer."""
        self._answers: dict[str, Any] = {}
        self._turns: dict[str, Lock] = {}

    def of(self, aws: Aws) -> Aws:
        """Return the same account with clients that remember.

        Only clients that exist already do. Answers are shared, so nobody may change one.
        """
        same = copy(aws)
        for name, client in vars(aws).items():
            if isinstance(client, BaseClient):
                vars(same)[name] = _Client(client, partial(self._answer, name))
        return same

    def remembering(self, client: str) -> Callable[[str, dict[str, Any], Any], None]:
        """Return what remembers answers that the answer to another call contains.

        Get it before that call: if all is forgotten meanwhile, the answers are too old.

        Args:
            client: the name of the client's attribute in Aws.

        Returns:
            A function of the name of the client's method, the parameters, and the answer.
        """
        answers = self._answers

        def remember(operation: str, sent: dict[str, Any], answer: Any) -> None:
            answers[_key(client, operation, sent)] = answer

        return remember

    def forget(self) -> None:
        """Forget all answers, for example because something is expected to change."""
        # A call in flight keeps its answer to the dictionary that it began with.
        self._answers = {}

    def _answer(self, client: str, operation: str, call: Callable[..., Any], /, **sent: Any) -> Any:
        key = _key(client, operation, sent)
        with self._turns.setdefault(key, Lock()):
            answers = self._answers
            if key not in answers:
                answers[key] = call(**sent)
            return answers[key]


def _key(client: str, operation: str, sent: dict[str, Any]) -> str:
    return json.dumps([client, operation, sent], sort_keys=True)


class _Client:
    """A client whose reading calls are remembered."""

    def __init__(self, client: BaseClient, answer: Callable[..., Any]) -> None:
        self._client = client
        self._remembered = answer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not name.startswith(READS) or self._is_stream(name):
            return found
        return partial(self._remembered, name, found)

    def _is_stream(self, name: str) -> bool:
        """Return whether an answer has a stream, which can be read only once."""
        meta = self._client.meta
        operation = meta.method_to_api_mapping[name]
        return bool(meta.service_model.operation_model(operation).has_streaming_output)

    def get_paginator(self, name: str) -> Any:
        """Return a paginator whose pages are remembered together."""
        found = self._client.get_paginator(name)

        def pages(**sent: Any) -> list[Any]:
            return list(found.paginate(**sent))

        return SimpleNamespace(paginate=partial(self._remembered, f"pages of {name}", pages))
