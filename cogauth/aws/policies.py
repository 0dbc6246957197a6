"""IAM policies: which actions some calls need, and the documents that allow them."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# The largest managed policy, in characters without whitespace.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LARGEST = 6144
# In a pattern they represent the stack's values. An id that isn't known is '*'.
WORDS = (
    *("PARTITION", "REGION", "ACCOUNT", "STACK", "STAGE", "BOUNDARY"),
    *("POOL", "API", "OTHER_API", "ATTACHED_API"),
)
_WORD = re.compile(rf"\b({'|'.join(WORDS)})\b")
# For actions on a list, or on what doesn't exist yet.
ANY = "*"
USER_POOL = "arn:PARTITION:cognito-idp:REGION:ACCOUNT:userpool/POOL"
ANY_USER_POOL = "arn:PARTITION:cognito-idp:REGION:ACCOUNT:userpool/*"
FUNCTION = "arn:PARTITION:lambda:REGION:ACCOUNT:function"
REST_APIS = "arn:PARTITION:apigateway:REGION::/restapis"
REST_API = f"{REST_APIS}/API"
# An API that the user names, and one that is attached.
OTHER_API, ATTACHED_API = f"{REST_APIS}/OTHER_API", f"{REST_APIS}/ATTACHED_API"
# An action's condition: the operator, the key and the value.
PolicyCondition = tuple[str, str, str]


class Purpose(Enum):
    """What a resource's calls are for."""

    # To find it by its name or its parent, and to see whose it is.
    FIND = "find"
    # To read it by its id, and to see whether deleting it loses anything.
    READ = "read"
    # To see what has to be recreated with it.
    OUTDATE = "outdate"
    CREATE = "create"
    CHANGE = "change"
    # To see why AWS would refuse to delete it.
    OBSTACLES = "obstacles"
    DELETE = "delete"
    # To see settings that the state file had.
    RECOVER = "recover"


@dataclass(frozen=True)
class Allow:
    """Actions that some calls need, and on which resources.

    Attributes:
        resources: patterns of ARNs, with WORDS in them.
        conditions: when alone the actions are allowed: all must hold.
        source: who says that AWS asks for the actions, if that doesn't show in a call's name and no
            emulator asks for them.
    """

    resources: tuple[str, ...]
    actions: tuple[str, ...]
    conditions: tuple[PolicyCondition, ...] = ()
    source: str | None = None


Permissions = dict[Purpose, tuple[Allow, ...]]


def allow(
    resources: str | Sequence[str],
    *actions: str,
    conditions: tuple[PolicyCondition, ...] = (),
    source: str | None = None,
) -> Allow:
    """Return an Allow for one resource or several."""
    several = (resources,) if isinstance(resources, str) else tuple(resources)
    return Allow(several, actions, conditions, source)


def documents(allows: Iterable[Allow], words: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the least policy, as documents that are no larger than AWS accepts.

    The same permissions always give the same documents.

    Args:
        allows: what is needed, in any order.
        words: the values of each of WORDS; several give several resources.
    """
    found: list[list[dict[str, Any]]] = [[]]
    for statement in _statements(_actions_on(allows, words)):
        for part in _parts(statement):
            if _size([*found[-1], part]) > LARGEST:
                found.append([])
            found[-1].append(part)
    return [_document(statements) for statements in found]


def _actions_on(
    allows: Iterable[Allow], words: Mapping[str, Sequence[str]]
) -> dict[tuple[PolicyCondition, ...], dict[str, set[str]]]:
    """Return the actions by conditions and resource, each resource with its values."""
    found: dict[tuple[PolicyCondition, ...], dict[str, set[str]]] = {}
    for one in allows:
        conditions = tuple(
            (operator, key, next(_filled(value, words))) for operator, key, value in one.conditions
        )
        for pattern in one.resources:
            for resource in _filled(pattern, words):
                found.setdefault(conditions, {}).setdefault(resource, set()).update(one.actions)
    return found


def _filled(pattern: str, words: Mapping[str, Sequence[str]]) -> Iterator[str]:
    used = sorted(set(_WORD.findall(pattern)))
    for values in itertools.product(*(words[word] for word in used)):
        value = dict(zip(used, values, strict=True))
        filled = _WORD.sub(lambda match, value=value: value[match[1]], pattern)  # type: ignore[misc]
        # '**' is the same as '*', and would be taken for a wider pattern.
        yield re.sub(r"\*+", "*", filled)


def _statements(
    found: Mapping[tuple[PolicyCondition, ...], Mapping[str, set[str]]],
) -> list[dict[str, Any]]:
    """Return the statements: resources that need the same actions share one."""
    statements = []
    for conditions, by_resource in found.items():
        shared: dict[tuple[str, ...], list[str]] = {}
        patterns = {one: _regex(one) for one in by_resource if "*" in one}
        for resource, actions in by_resource.items():
            # An action that a wider pattern allows needs no narrower one.
            wider = [
                one for one in patterns if one != resource and patterns[one].fullmatch(resource)
            ]
            needed = actions.difference(*(by_resource[one] for one in wider))
            if needed:
                shared.setdefault(tuple(sorted(needed)), []).append(resource)
        for same, resources in shared.items():
            statement: dict[str, Any] = {
                "Effect": "Allow",
                "Action": list(same),
                "Resource": sorted(resources),
            }
            for operator, key, value in conditions:
                statement.setdefault("Condition", {}).setdefault(operator, {})[key] = value
            statements.append(statement)
    return sorted(statements, key=lambda one: (one["Action"], one["Resource"], str(one)))


def _regex(pattern: str) -> re.Pattern[str]:
    """Return what matches whatever a pattern does, and each pattern that matches no more."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))


def _parts(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Split a statement that is too large for a document into halves, by its resources."""
    resources = statement["Resource"]
    if _size([statement]) <= LARGEST or len(resources) == 1:
        yield statement
        return
    middle = len(resources) // 2
    for half in (resources[:middle], resources[middle:]):
        yield from _parts({**statement, "Resource": half})


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _size(statements: list[dict[str, Any]]) -> int:
    """Return a document's size as AWS counts it: in characters, without whitespace."""
    return len(re.sub(r"\s", "", json.dumps(_document(statements))))
