"""Find guards that were lost, by comparing the attachment record with AWS.

Methods are matched by path and HTTP method, because a recreated path has another id.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cogauth.attach.model import Finding, our_name, read, same
from cogauth.aws.policies import ATTACHED_API
from cogauth.gateway import deployed, rest_apis
from cogauth.gateway.rest_apis import COGNITO, Guard, verb_and_path
from cogauth.gateway.routing import VERBS, route
from cogauth.record.records import ATTACHED, ATTACHING, DETACHED, DETACHING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cogauth.attach.model import Api
    from cogauth.context import Context
    from cogauth.record.records import Attachment


@dataclass(frozen=True)
class Comparison:
    """What a comparison of the record with AWS found.

    Attributes:
        lost: attached methods that were deleted or aren't guarded as recorded.
        interrupted: unguarded methods that an interrupted run was changing.
        undeployed: methods that are guarded in the API, but not yet on a stage.
        held: the names of the guarded methods.
        unknown: what couldn't be read.
    """

    lost: tuple[Finding, ...] = ()
    interrupted: tuple[Finding, ...] = ()
    undeployed: tuple[Finding, ...] = ()
    held: frozenset[str] = frozenset()
    unknown: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All differences from the record."""
        return self.lost + self.interrupted + self.undeployed


# What ``look`` needs.
PERMISSIONS = (
    rest_apis.reading(ATTACHED_API, "resources", "authorizers", "stages"),
    deployed.exporting(ATTACHED_API),
)


def look(ctx: Context, api: str, *, everywhere: bool = False) -> Comparison | None:
    """Read an attached API and compare it with its record; None if the API was deleted.

    ``everywhere`` is as for ``compare``. If no method is attached, it reads nothing. Raises
    botocore's error if the API can't be read.
    """
    record = ctx.state.attachments[api]
    if all(method["status"] == DETACHED for method in record["methods"].values()):
        return Comparison()
    found = read(ctx, api, record["name"], deployments=False)
    return None if found is None else compare(ctx, found, everywhere=everywhere)


def compare(
    ctx: Context, api: Api, stage: str | None = None, *, everywhere: bool = False
) -> Comparison:
    """Compare the record of an API with the API itself, and with what its stages serve.

    ``stage`` limits it to one stage; None means all attached stages, or with ``everywhere`` all of
    the API's. Stages of other emulators are not compared: they serve the API's current state, and
    their exports show few guards. Raises botocore's error if a stage can't be read.
    """
    record = ctx.state.attachments.get(api.id)
    if record is None or not record["methods"]:
        return Comparison()
    recorded = Recorded(ctx, api)
    wanted = [stage] if stage else recorded.stages if everywhere else record["stages"]
    served, unknown = _served(ctx, api.id, [one for one in recorded.stages if one in wanted])
    lost: list[Finding] = []
    interrupted: list[Finding] = []
    undeployed: list[Finding] = []
    held: set[str] = set()
    for name, method in record["methods"].items():
        found = recorded.lost(name)
        if not found and name in recorded.live:
            held.add(name)
        if method["status"] == ATTACHED:
            lost += found or recorded.gone(name)
        elif method["status"] != DETACHED:
            interrupted += recorded.interrupted(name)
        if name in held and method["status"] in {ATTACHED, ATTACHING}:
            lost_there, undeployed_there = recorded.on_stages(name, served)
            held -= {one.name for one in lost_there}
            lost += lost_there
            undeployed += undeployed_there
    return Comparison(tuple(lost), tuple(interrupted), tuple(undeployed), frozenset(held), unknown)


def _served(
    ctx: Context, api: str, stages: Sequence[str]
) -> tuple[dict[str, dict[str, Guard]], str]:
    """Return each stage's deployed guards, and which stages couldn't be read, with the reason."""
    if ctx.state.emulated:
        return {}, ""
    served, unseen = {}, []
    for stage in stages:
        document = deployed.export(ctx, api, stage)
        if isinstance(document, str):
            unseen.append(f"what the stage {stage} serves ({document})")
        else:
            served[stage] = deployed.served_guards(document)
    return served, "; ".join(unseen)


class Recorded:
    """The record of a REST API beside its current state."""

    def __init__(self, ctx: Context, api: Api) -> None:
        self.ctx = ctx
        self.api = api.id
        self.record = ctx.state.attachments[api.id]
        self.stages = [str(one["stageName"]) for one in api.stages]
        self.methods = {each.name: each for each in api.methods}
        self.routes = rest_apis.routes_of(api.methods, api.authorizers)
        self.live = {
            each.name: each.guard for there in self.routes.values() for each in there.values()
        }

    def lost(self, name: str) -> list[Finding]:
        """Return what a method has instead of its guard; nothing if it has its guard.

        For a deleted method, return the methods that answer in its place without a guard.
        """
        if name in self.live:
            fault = self._fault(name, self.live[name])
            return [self._lost(name, fault, self._attach(name))] if fault else []
        found = []
        for answer in self._answering(name):
            like = answer if answer in self.record["methods"] else name
            if fault := self._fault(like, self.live[answer]):
                now, mend = f"answered by {answer} ({fault})", self._attach(answer, like)
                said = f"{name} was attached, and is now {now}: '{mend}' guards that."
                found.append(Finding(name, now, mend, said))
        return found

    def gone(self, name: str) -> list[Finding]:
        """Return that a method was deleted; nothing if it exists."""
        if name in self.live:
            return []
        mend = self._detach(name)
        said = (
            f"{name} was attached, and doesn't exist any more: run '{mend}' to drop it from the "
            "record."
        )
        return [Finding(name, "gone", mend, said)]

    def interrupted(self, name: str) -> list[Finding]:
        """Return what a method has instead of its guard, if an interrupted run was changing it."""
        method = self.record["methods"][name]
        doing, found = "attach", self.lost(name) or self.gone(name)
        if method["status"] == DETACHING:
            doing, now = "detach", self.methods.get(name)
            # The run was restoring the former authorization.
            restored = now is None or same(now.authorization, method["former"])
            found = [] if restored else [replace(one, mend=self._detach(name)) for one in found]
        return [
            replace(
                one,
                found=f"interrupted; now {one.found}",
                sentence=(
                    f"A run to {doing} {name} was interrupted; it is now {one.found}: run "
                    f"'{one.mend}'."
                ),
            )
            for one in found
        ]

    def on_stages(
        self, name: str, served: Mapping[str, Mapping[str, Guard]]
    ) -> tuple[list[Finding], list[Finding]]:
        """Return the stages that lost a method's guard, and those that don't have it yet."""
        lost, undeployed = [], []
        for stage, guards in served.items():
            guard = guards.get(name)
            fault = self._fault(name, guard) if guard else "not deployed"
            if not fault:
                continue
            mend = self._attach(name, stage=stage)
            if stage in self.record["stages"] and stage not in self.record["outdated"]:
                lost.append(self._lost(name, f"{fault} on the stage {stage}", mend))
                continue
            said = f"{name} is attached, but not yet deployed to the stage {stage}: run '{mend}'."
            if guard == Guard():
                said = (
                    f"{name} is attached, but the stage {stage} isn't guarded: anyone can call it "
                    f"there. Run '{mend}' to guard it there too."
                )
            undeployed.append(Finding(name, f"not deployed yet to {stage}", mend, said, stage))
        return lost, undeployed

    def _fault(self, name: str, guard: Guard) -> str:
        """Return what differs from the attached guard; empty if nothing does.

        Any authorizer will do that asks the stack's pool, current or former; ours may ask no other.
        """
        words = f"{guard.type} {guard.authorizer or ''}".strip()
        present = self.ctx.state.record("user_pool") or {}
        pools = {self.record["authorizer"]["pool"], present.get("arn")}
        if guard.type != COGNITO or pools.isdisjoint(guard.pools):
            return words
        given = [sorted(one["authorizationScopes"]) for one in self.record["methods"][name]["ours"]]
        if sorted(guard.scopes) not in given:
            scopes = " ".join(guard.scopes)
            return f"{words} with the scopes {scopes}" if scopes else f"{words} without scopes"
        others = [pool for pool in guard.pools if pool not in pools]
        if others and guard.authorizer == our_name(self.ctx):
            return f"{words}, which also accepts tokens of {', '.join(others)}"
        return ""

    def _lost(self, name: str, found: str, mend: str) -> Finding:
        said = f"{name} was attached, but lost its guard ({found}): '{mend}' guards it again."
        return Finding(name, found, mend, said)

    def _answering(self, name: str) -> list[str]:
        """Return the methods that answer the requests to a deleted one."""
        verb, path = verb_and_path(name)
        # A preflight carries no token, so a method that answers OPTIONS has to be open.
        verbs = [one for one in VERBS if one != "OPTIONS"] if verb == "ANY" else [verb]
        answers = [route(self.routes, one, path)[1] for one in verbs]
        return sorted({answer.name for answer in answers if answer})

    def _attach(self, name: str, like: str | None = None, stage: str | None = None) -> str:
        words = options_of(self.record, self.stages, name, like, stage)
        return self.ctx.state.command(f"attach --api {self.api} {words}")

    def _detach(self, name: str) -> str:
        return self.ctx.state.command(f"detach --api {self.api} {_options_for(name)}")


def command_to_finish(ctx: Context, api: str, name: str) -> str:
    """Return the command that finishes what an interrupted run began with a method."""
    record = ctx.state.attachments[api]
    if record["methods"][name]["status"] == DETACHING:
        return ctx.state.command(f"detach --api {api} {_options_for(name)}")
    return ctx.state.command(f"attach --api {api} {options_of(record, record['stages'], name)}")


def options_of(
    record: Attachment,
    stages: Collection[str],
    name: str,
    like: str | None = None,
    stage: str | None = None,
) -> str:
    """Return the options of ``attach`` that attach a method as before, or as ``like`` was.

    The default ``stage`` is the first attached one that is among the API's ``stages``.
    """
    words = _options_for(name)
    for scope in record["methods"][like or name]["ours"][-1]["authorizationScopes"]:
        words += f" --scope {shlex.quote(scope)}"
    known = [one for one in record["stages"] if one in stages]
    # 'attach' finds a single one by itself. If none exists any more, it asks for --stage.
    if stage is None and known[1:]:
        stage = known[0]
    return words + (f" --stage {shlex.quote(stage)}" if stage else "")


def _options_for(name: str) -> str:
    verb, path = verb_and_path(name)
    return f"--path {shlex.quote(path)} --method {verb}"
