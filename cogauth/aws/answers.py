"""AWS's answers: resources as it describes them, error codes, and whether AWS answered at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from botocore.model import OperationModel

READS = ("Get", "List", "Describe", "Filter")
# The first HTTP status that isn't a success; how many bytes of an invalid answer an error shows.
ERROR, SHOWN = 300, 100
# The longest value that a sentence quotes, in characters.
QUOTED = 60


def code_of(error: ClientError) -> str:
    """Return AWS's error code, such as ``AccessDeniedException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """Return AWS's error message."""
    return str(error.response.get("Error", {}).get("Message", ""))


# The error codes of API Gateway, Cognito, Lambda, CloudWatch Logs and IAM for a missing resource.
NOT_FOUND = ("NotFoundException", "ResourceNotFoundException", "NoSuchEntity")

# A resource as AWS describes it in the answer to a Describe, Get or Create call.
Live = Mapping[str, Any]


def or_none(call: Callable[[], Any], absent: Collection[str] = NOT_FOUND) -> Any:
    """Return a call's answer, or None if its error code says that the resource doesn't exist."""
    try:
        return call()
    except ClientError as error:
        if code_of(error) not in absent:
            raise
        return None


def deleted(call: Callable[[], object], absent: Collection[str] = NOT_FOUND) -> bool:
    """Make a deleting call; return whether the resource existed."""
    return or_none(lambda: call() or True, absent) is not None


def differing(live: Live, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wanted values that differ from the live ones.

    In a nested mapping only the wanted keys are compared: AWS adds more of its own.
    """
    return {key: value for key, value in wanted.items() if not _holds(live.get(key), value)}


@dataclass(frozen=True)
class Field:
    """A field of a resource that differs: its path in AWS's own names, and both values.

    None stands for a field that is missing.
    """

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        old, new = _text(self.old), _text(self.new)
        if max(len(old), len(new)) > QUOTED:
            # A beginning that both share says nothing.
            same = takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))
            shared = len(list(same)) - QUOTED // 4
            if shared > 0:
                old, new = f"…{old[shared:]}", f"…{new[shared:]}"
        path = self.path
        if len(path) > QUOTED:
            parts = path.split(".")
            path = f"{'.'.join(parts[:2])}…{parts[-1]}" if len(parts) > 2 else path  # noqa: PLR2004
        return f"{path}: {_cut(old)} → {_cut(new)}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    is_plain = isinstance(value, str) and value.strip()
    return value if is_plain else json.dumps(value, default=str, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 1]}…"


def fields(live: Live, wanted: Mapping[str, Any], within: str = "") -> Iterator[Field]:
    """Yield the fields of ``wanted`` that differ; ``within`` is the path of both, with a dot."""
    for key, value in differing(live, wanted).items():
        now = live.get(key)
        if isinstance(value, Mapping) and isinstance(now, Mapping):
            yield from fields(now, value, f"{within}{key}.")
        else:
            yield Field(within + key, now, value)


def _holds(live: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and not differing(live, wanted)
    if isinstance(wanted, list) and isinstance(live, list):
        return sorted(live) == sorted(wanted)
    return bool(live == wanted)


def check_answer(
    operation_model: OperationModel, response_dict: dict[str, Any], **_answer: Any
) -> None:
    """Check that AWS answered a read: botocore takes a web page for an empty answer.

    Raises ResponseParserError if it didn't.
    """
    service, output = operation_model.service_model, operation_model.output_shape
    reads = operation_model.name.startswith(READS) and response_dict["status_code"] < ERROR
    if not reads or output is None or "payload" in output.serialization:
        return
    body: bytes = response_dict["body"]
    try:
        good = (
            f"<{operation_model.name}Response".encode() in body
            if service.resolved_protocol == "query"
            else not service.resolved_protocol.endswith("json")
            or isinstance(json.loads(body), dict)
        )
    except ValueError:
        good = False
    if not good:
        raise ResponseParserError(f"{operation_model.name}: {body[:SHOWN]!r}")


def note_action(
    parsed: dict[str, Any], model: OperationModel, context: dict[str, Any], **_call: Any
) -> None:
    """Note the IAM action that a call needs, and its region, so that an error can name them.

    API Gateway names its actions after the HTTP method: ``apigateway:POST``. The tagging API's
    action prefix differs from its endpoint's.
    """
    service = model.service_model.service_name
    operation = str(model.http["method"]) if service == "apigateway" else model.name
    prefix = service.replace("resourcegroupstaggingapi", "tag")
    metadata = parsed.setdefault("ResponseMetadata", {})
    metadata |= {"Action": f"{prefix}:{operation}", "Region": context.get("client_region")}
