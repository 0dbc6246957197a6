"""Guards that the stack attached and that are gone: its record, and what AWS says now.

An API's owner may replace a method by a tool of their own, and deploy; then the method is open.
So the two are compared by path and HTTP method: a path that was made anew has another id.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cogauth import deployed, rest_apis
from cogauth.rest_apis import COGNITO, Guard, guard_of
from cogauth.state import ATTACHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cogauth.context import Context
    from cogauth.rest_apis import LiveMethod
    from cogauth.state import Attachment
    from cogauth.steps.base import Live


@dataclass(frozen=True)
class Seen:
    """A REST API as it stands.

    Attributes:
        methods, authorizers, stages: all of them.
    """

    methods: Sequence[LiveMethod]
    authorizers: Sequence[Live]
    stages: Sequence[Live]


@dataclass(frozen=True)
class Lost:
    """A method that was attached, and that the stack's pool doesn't guard any more.

    Attributes:
        name: as ``GET /orders``.
        now: what guards it by now, in API Gateway's words; None if it isn't there.
        stage: the one whose deployment lacks the guard, while the API itself has it; or None.
        mend: the command that mends it, without ``cogauth`` and the stack's options.
    """

    name: str
    now: str | None
    stage: str | None
    mend: str

    @property
    def gone(self) -> bool:
        """Whether the API has no such method any more."""
        return self.now is None and self.stage is None

    @property
    def found(self) -> str:
        """What is there in the guard's place, in a few words."""
        where = f" on the stage {self.stage}" if self.stage else ""
        return f"{self.now or ('not deployed' if self.stage else 'gone')}{where}"

    def sentence(self, command: str) -> str:
        """Say what is lost, and which command mends it."""
        if self.gone:
            return f"{self.name} was attached, and isn't there any more: '{command}' forgets it."
        return (
            f"{self.name} was attached, and has lost its guard ({self.found}): '{command}' guards "
            "it again."
        )


@dataclass(frozen=True)
class Comparison:
    """What a comparison of the record with AWS found.

    Attributes:
        lost: the methods whose guard is gone.
        held: the names of those that are guarded.
        unknown: what of it could not be seen; empty if all was.
    """

    lost: tuple[Lost, ...] = ()
    held: frozenset[str] = frozenset()
    unknown: str = ""


def look(ctx: Context, api: str) -> Comparison | None:
    """Read an API that is attached, by three calls and one for each stage, and compare it.

    One in which nothing is recorded as attached is not read.

    Returns:
        None if the API doesn't exist any more.

    Raises:
        ClientError, BotoCoreError: it can't be read.
    """
    recorded = ctx.state.attachments[api]["methods"].values()
    if not any(method["status"] == ATTACHED for method in recorded):
        return Comparison()
    methods = rest_apis.methods(ctx, api)
    if methods is None:
        return None
    seen = Seen(methods, rest_apis.authorizers(ctx, api), rest_apis.stages(ctx, api))
    return compare(ctx, api, seen)


def compare(ctx: Context, api: str, seen: Seen, stage: str | None = None) -> Comparison:
    """Compare what was attached in an API with how it stands, and with what its stages serve.

    An emulator serves the API as it stands, and its export shows few authorizations: there the
    stages are not looked at.

    Args:
        ctx: the stack.
        api: the REST API's id.
        seen: the API as it stands.
        stage: the one that is looked at; None for all that were attached to.

    Raises:
        ClientError, BotoCoreError: a stage can't be exported, for want of a permission.
    """
    record = ctx.state.attachments.get(api)
    if record is None or not record["methods"]:
        return Comparison()
    by_id = {one["id"]: one for one in seen.authorizers}
    live = {each.name: guard_of(each, by_id) for each in seen.methods}
    wanted = record["stages"] if stage is None else [stage]
    standing = [str(one["stageName"]) for one in seen.stages if one["stageName"] in wanted]
    served, unknown = _served(ctx, api, standing)
    lost: list[Lost] = []
    for name, method in record["methods"].items():
        # What an interrupted run left open is no loss: it said so.
        if method["status"] != ATTACHED:
            continue
        if name not in live:
            path, verb = name.partition(" ")[2], name.partition(" ")[0]
            mend = f"detach --api {api} --path {shlex.quote(path)} --method {verb}"
            lost.append(Lost(name, None, None, mend))
        elif not is_ours(ctx, record, live[name]):
            again = f"attach --api {api} {options_of(record, name)}"
            lost.append(Lost(name, _words(live[name]), None, again))
        else:
            lost += _lost_on(ctx, api, record, name, served)
    gone = {one.name for one in lost}
    held = [
        name
        for name in record["methods"].keys() & live.keys()
        if name not in gone and is_ours(ctx, record, live[name])
    ]
    return Comparison(tuple(lost), frozenset(held), unknown)


def _served(
    ctx: Context, api: str, stages: Sequence[str]
) -> tuple[dict[str, dict[str, Guard]], str]:
    """Return who may call what by each stage's deployment, and what of it can't be seen."""
    if ctx.state.endpoint_url is not None:
        return {}, ""
    documents = {stage: rest_apis.export(ctx, api, stage) for stage in stages}
    unseen = [
        f"what the stage {stage} serves ({why})"
        for stage, why in documents.items()
        if isinstance(why, str)
    ]
    served = {
        stage: deployed.guards(document)
        for stage, document in documents.items()
        if not isinstance(document, str)
    }
    return served, "; ".join(unseen)


def _lost_on(
    ctx: Context,
    api: str,
    record: Attachment,
    name: str,
    served: Mapping[str, Mapping[str, Guard]],
) -> Iterable[Lost]:
    for stage, guards in served.items():
        guard = guards.get(name)
        if guard is None or not is_ours(ctx, record, guard):
            again = f"attach --api {api} {options_of(record, name, stage)}"
            yield Lost(name, _words(guard) if guard else None, stage, again)


def is_ours(ctx: Context, record: Attachment, guard: Guard) -> bool:
    """Say whether the stack's user pool guards a method, by whichever authorizer.

    That of a pool that was lost counts as well: ``up`` names those APIs by themselves.
    """
    present = ctx.state.record("user_pool", "user_pool") or {}
    pools = {record["authorizer"]["pool"], present.get("arn")}
    return guard.type == COGNITO and not pools.isdisjoint(guard.pools)


def _words(guard: Guard) -> str:
    return f"{guard.type} {guard.authorizer or ''}".strip()


def options_of(record: Attachment, name: str, stage: str | None = None) -> str:
    """Return the options of ``attach`` that mean an attached method, as it was attached.

    Args:
        record: of its API.
        name: as ``GET /orders``.
        stage: the one that is meant; None for the one that was attached to first.
    """
    verb, _, path = name.partition(" ")
    words = f"--path {shlex.quote(path)} --method {verb}"
    for scope in record["methods"][name]["ours"][-1]["authorizationScopes"]:
        words += f" --scope {shlex.quote(scope)}"
    stages = record["stages"]
    if stage is None and stages[1:]:
        stage = stages[0]
    return words + (f" --stage {shlex.quote(stage)}" if stage else "")
