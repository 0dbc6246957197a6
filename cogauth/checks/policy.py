"""The minimal IAM policy for commands, from the permissions that each module declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cogauth.attach import attach, detach, guards
from cogauth.aws.policies import REST_API, USER_POOL, Purpose, allow, documents
from cogauth.checks.explain.gather import PERMISSIONS as EXPLAIN
from cogauth.checks.verify import run, subject
from cogauth.client import calls, logs, users
from cogauth.engine import down_plan
from cogauth.engine.recover import PERMISSIONS as RECOVER
from cogauth.errors import UsageError
from cogauth.gateway.deployed import exporting
from cogauth.gateway.rest_apis import CHECK_OWN
from cogauth.settings import Settings
from cogauth.steps import RESOURCES, ROOTS, missing
from cogauth.steps.base import Recreate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from cogauth.aws.policies import Allow
    from cogauth.steps.base import Resource


@dataclass(frozen=True)
class StackNames:
    """What a policy's resources are named after.

    Attributes:
        pool, api: the ids of its user pool and its REST API; None while they don't exist.
        attached: the ids of the attached REST APIs.
        others: the ids of those that commands may name; empty means any.
    """

    partition: str
    region: str
    account: str
    name: str
    settings: Settings
    pool: str | None = None
    api: str | None = None
    attached: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def policy(stack: StackNames, commands: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the least policy for commands, as one document or, by AWS's size limit, several.

    Args:
        stack: for which stack.
        commands: the names of commands; none means all.

    Raises:
        UsageError: a command is unknown, or none of them needs a permission.
    """
    if unknown := sorted(set(commands) - COMMANDS.keys()):
        raise UsageError(
            f"--for {unknown[0]!r}: there is no such command.",
            hint=f"Give one of {', '.join(sorted(COMMANDS))}.",
        )
    wanted = list(commands or COMMANDS)
    allows = [one for name in wanted for one in COMMANDS[name](stack.settings)]
    if not allows:
        raise UsageError(
            f"{', '.join(wanted)}: no call to AWS is made that needs a permission, so there is no "
            "policy.",
            hint="Leave out --for, or name another command.",
        )
    return documents(allows, words_of(stack, wanted))


def words_of(stack: StackNames, commands: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Return the values of ``policies.WORDS`` in a stack's policy for commands."""
    others = stack.others or ("*",)
    # Without a record it isn't known which to detach.
    named = "detach" in commands or (stack.others and "down" in commands)
    attached = stack.attached or (others if named else ())
    return {
        "PARTITION": (stack.partition,),
        "REGION": (stack.region,),
        "ACCOUNT": (stack.account,),
        "STACK": (stack.name,),
        "STAGE": (stack.settings.stage,),
        "BOUNDARY": (stack.settings.permissions_boundary or "",),
        "POOL": (stack.pool or "*",),
        "API": (stack.api or "*",),
        "OTHER_API": others,
        "ATTACHED_API": attached,
    }


def _of(resources: Iterable[Resource], settings: Settings, *purposes: Purpose) -> Iterator[Allow]:
    for resource in resources:
        permissions = resource.permissions(settings)
        for purpose in purposes:
            yield from permissions.get(purpose, ())


def _plan(settings: Settings) -> Iterator[Allow]:
    yield from _of(RESOURCES.values(), settings, Purpose.FIND, Purpose.READ, Purpose.OUTDATE)


def _status(settings: Settings) -> Iterator[Allow]:
    yield from _plan(settings)
    # The plan reads the rest: the pool, the stage, its deployment, the methods, the authorizers.
    yield exporting(REST_API)
    yield from guards.PERMISSIONS


def _up(settings: Settings) -> Iterator[Allow]:
    everything = RESOURCES.values()
    yield from _plan(settings)
    yield from _of(everything, settings, Purpose.CREATE, Purpose.CHANGE)
    yield from _of(filter(_is_deleted_by_up, everything), settings, Purpose.DELETE)
    yield from guards.PERMISSIONS


def _is_deleted_by_up(resource: Resource) -> bool:
    """Return whether ``up`` may delete a second one, one to recreate, or one not wanted now."""
    # By default a stack has none of the resources that a setting may add.
    optional = resource.key in Settings().unneeded
    return resource.repeatable or resource.recreate is not Recreate.NEVER or optional


def _down(settings: Settings) -> Iterator[Allow]:
    looks = (Purpose.FIND, Purpose.READ, Purpose.OBSTACLES)
    yield from _of(ROOTS, settings, *looks, Purpose.DELETE)
    yield from (*down_plan.PERMISSIONS, *detach.PERMISSIONS)


def _recover(settings: Settings) -> Iterator[Allow]:
    yield from _of(RESOURCES.values(), settings, Purpose.FIND, Purpose.RECOVER)
    yield from RECOVER


def _page(settings: Settings) -> Iterator[Allow]:
    yield from _status(settings)
    yield from (*subject.PERMISSIONS, *run.PERMISSIONS, *EXPLAIN, *calls.FIND)
    yield logs.PERMISSIONS["sign-in"]
    yield from (users.LIST, users.CREATE_TEMPORARY, users.DISABLE, users.ENABLE)
    yield from (users.SIGN_OUT, users.DELETE)


def _always(*permissions: Allow) -> Callable[[Settings], Iterable[Allow]]:
    return lambda _settings: permissions


def _or_missing(*permissions: Allow) -> Callable[[Settings], Iterable[Allow]]:
    """Return the permissions of a command that looks, once it failed, for what is gone."""
    return lambda settings: (*permissions, *missing.permissions(settings))


# What each command of ``users`` needs.
USERS = {
    "list": users.LIST,
    "create": users.CREATE,
    "set-password": users.SET_PASSWORD,
    "disable": users.DISABLE,
    "enable": users.ENABLE,
    "sign-out": users.SIGN_OUT,
    "delete": users.DELETE,
}
# What each command needs. Cognito's SignUp and GetUser, and STS's GetCallerIdentity, need nothing:
# https://docs.aws.amazon.com/cognito/latest/developerguide/authentication-flows-public-server-side.html
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
COMMANDS: dict[str, Callable[[Settings], Iterable[Allow]]] = {
    "up": _up,
    "plan": _plan,
    "status": _status,
    "down": _down,
    "recover": _recover,
    "attach": _always(*attach.PERMISSIONS),
    "detach": _always(*detach.PERMISSIONS),
    "verify": _or_missing(*subject.PERMISSIONS, *run.PERMISSIONS),
    "explain": _or_missing(*EXPLAIN),
    # On a terminal they look the name up before they ask for the password. Given a new password,
    # test-login only takes a user who is there.
    "test-login": _or_missing(CHECK_OWN, users.LIST, users.FIND),
    "token": _or_missing(CHECK_OWN, users.LIST),
    "call": _or_missing(*calls.FIND, *calls.TEST, users.LIST),
    "curl": _always(*calls.FIND),
    "users": _always(*USERS.values()),
    **{f"users {name}": _always(permission) for name, permission in USERS.items()},
    "logs": _always(*logs.PERMISSIONS.values()),
    "page": _page,
    # If the pool's keys can't be read, it looks whether the pool exists.
    "decode": _always(allow(USER_POOL, "cognito-idp:DescribeUserPool")),
    # They make no call to AWS, or one to a local AWS.
    **dict.fromkeys(("list", "outputs", "policy", "demo"), _always()),
}
