"""Guards that the stack attached and that are gone: its record, and what AWS says now.

They are compared by path and HTTP method: a path that its owner recreates has another id.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cogauth.attach.model import Finding, our_name, read, same
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
        lost: the methods that were attached, and that aren't guarded as they were, or are gone.
        interrupted: those that an interrupted run was changing, and that aren't guarded.
        undeployed: those that are guarded in the API itself, but not yet on a stage.
        held: the names of those that are guarded.
        unknown: what of it could not be seen.
    """

    lost: tuple[Finding, ...] = ()
    interrupted: tuple[Finding, ...] = ()
    undeployed: tuple[Finding, ...] = ()
    held: frozenset[str] = frozenset()
    unknown: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that isn't as the record has it."""
        return self.lost + self.interrupted + self.undeployed


def look(ctx: Context, api: str) -> Comparison | None:
    """Read an API that is attached, and compare it; None if it doesn't exist any more.

    One in which nothing is attached isn't read. Raises what botocore does if one can't be read.
    """
    record = ctx.state.attachments[api]
    if all(method["status"] == DETACHED for method in record["methods"].values()):
        return Comparison()
    found = read(ctx, api, record["name"], deployments=False)
    return None if found is None else compare(ctx, found)


def compare(ctx: Context, api: Api, stage: str | None = None) -> Comparison:
    """Compare what was attached in an API with how it stands, and with what its stages serve.

    Other emulators serve the API as it stands, and their exports show few guards: there the stages
    are not looked at. Else ``stage`` is, or without it all that were attached to. Raises what
    botocore does if one can't be read.
    """
    record = ctx.state.attachments.get(api.id)
    if record is None or not record["methods"]:
        return Comparison()
    recorded = Recorded(ctx, api)
    wanted = record["stages"] if stage is None else [stage]
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
    """Return who may call what by each stage's deployment, and what of it can't be seen."""
    if ctx.state.emulated:
        return {}, ""
    served, unseen = {}, []
    for stage in stages:
        document = deployed.export(ctx, api, stage)
        if isinstance(document, str):
            unseen.append(f"what the stage {stage} serves ({document})")
        else:
            served[stage] = deployed.guards(document)
    return served, "; ".join(unseen)


class Recorded:
    """What was attached in a REST API, beside the API as it stands."""

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
        """Return what there is in the place of a method's guard; nothing if it is there.

        Of a method that is gone it is what answers in its stead without that guard, or its own.
        """
        if name in self.live:
            fault = self._fault(name, self.live[name])
            return [self._lost(name, fault, self._attach(name))] if fault else []
        found = []
        for answer in self._answering(name):
            like = answer if answer in self.record["methods"] else name
            if fault := self._fault(like, self.live[answer]):
                now, mend = f"answered by {answer} ({fault})", self._attach(answer, like)
                said = f"{name} was attached, and is {now}: '{mend}' guards that."
                found.append(Finding(name, now, mend, said))
        return found

    def gone(self, name: str) -> list[Finding]:
        """Say that a method is gone; nothing if it isn't."""
        if name in self.live:
            return []
        mend = self._detach(name)
        said = (
            f"{name} was attached, and isn't there any more: run '{mend}' to drop it from the "
            "record."
        )
        return [Finding(name, "gone", mend, said)]

    def interrupted(self, name: str) -> list[Finding]:
        """Return what there is in the place of the guard of a method that a run was changing."""
        method = self.record["methods"][name]
        doing, found = "attach", self.lost(name) or self.gone(name)
        if method["status"] == DETACHING:
            doing, now = "detach", self.methods.get(name)
            # The former is what it was to be given back.
            restored = now is None or same(now.authorization, method["former"])
            found = [] if restored else [replace(one, mend=self._detach(name)) for one in found]
        return [
            replace(
                one,
                found=f"interrupted; now {one.found}",
                sentence=(
                    f"The run that was to {doing} {name} was interrupted, and it is now "
                    f"{one.found}: run '{one.mend}'."
                ),
            )
            for one in found
        ]

    def on_stages(
        self, name: str, served: Mapping[str, Mapping[str, Guard]]
    ) -> tuple[list[Finding], list[Finding]]:
        """Return the stages that lack a method's guard: that lost it, and that haven't it yet."""
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
            said = (
                f"{name} is attached, but isn't deployed yet to the stage {stage}: '{mend}' does."
            )
            undeployed.append(Finding(name, f"not deployed yet to {stage}", mend, said))
        return lost, undeployed

    def _fault(self, name: str, guard: Guard) -> str:
        """Say what a guard is if it isn't as it was attached; empty if it is.

        Any authorizer may ask the stack's pool, or the one that was lost; ours asks no other.
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
            return f"{words}, which takes tokens of {', '.join(others)} too"
        return ""

    def _lost(self, name: str, found: str, mend: str) -> Finding:
        said = f"{name} was attached, and has lost its guard ({found}): '{mend}' guards it again."
        return Finding(name, found, mend, said)

    def _answering(self, name: str) -> list[str]:
        """Return the methods that answer the requests to one that is gone."""
        verb, path = verb_and_path(name)
        # A preflight carries no token: what answers OPTIONS is open.
        verbs = [one for one in VERBS if one != "OPTIONS"] if verb == "ANY" else [verb]
        answers = [route(self.routes, one, path)[1] for one in verbs]
        return sorted({answer.name for answer in answers if answer})

    def _attach(self, name: str, like: str | None = None, stage: str | None = None) -> str:
        words = options_of(self.record, self.stages, name, like, stage)
        return self.ctx.state.command(f"attach --api {self.api} {words}")

    def _detach(self, name: str) -> str:
        verb, path = verb_and_path(name)
        return self.ctx.state.command(
            f"detach --api {self.api} --path {shlex.quote(path)} --method {verb}"
        )


def options_of(
    record: Attachment,
    stages: Collection[str],
    name: str,
    like: str | None = None,
    stage: str | None = None,
) -> str:
    """Return the options of ``attach`` that attach a method as it was, or as ``like`` was.

    Without ``stage`` it is the first that was attached to and is among the API's ``stages``.
    """
    verb, path = verb_and_path(name)
    words = f"--path {shlex.quote(path)} --method {verb}"
    for scope in record["methods"][like or name]["ours"][-1]["authorizationScopes"]:
        words += f" --scope {shlex.quote(scope)}"
    known = [one for one in record["stages"] if one in stages]
    # Of one alone 'attach' knows by itself; if none stands any more, it asks which one is meant.
    if stage is None and known[1:]:
        stage = known[0]
    return words + (f" --stage {shlex.quote(stage)}" if stage else "")
