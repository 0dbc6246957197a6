"""A REST API as it stands, and what ``attach`` or ``detach`` would do to its methods."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from cogauth.attach import calls
from cogauth.attach.calls import same
from cogauth.aws import parallel
from cogauth.errors import UsageError
from cogauth.gateway import export, pending, rest_apis
from cogauth.gateway.deployed import AUTHORIZATION
from cogauth.gateway.rest_apis import (
    COGNITO,
    WITHOUT_AUTHORIZER,
    LiveMethod,
    shortened,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cogauth.attach.guards import Finding
    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.gateway.pending import Pending
    from cogauth.record.records import Authorization

ATTACH, RESTORE, UNCHANGED = "attach", "restore", "unchanged"
LEFT_OUT, LEFT_ALONE, GONE = "left out", "left alone", "gone"


@dataclass(frozen=True)
class Row:
    """What becomes of a method.

    Attributes:
        name: as ``GET /orders``.
        action: ``attach``, ``restore``, ``unchanged``, ``left out``, ``left alone`` or ``gone``.
        why: the reason, if it is left out, left alone or gone.
        before: who may call it now; None if it is gone.
        after: who may call it then; its authorizer is None as long as ours isn't made.
        former: what it is given back one day.
        place: where it is; None if it is gone.
        clings: whether it is left alone and refers to our authorizer, which must stay then.
        lost: what there is in the place of its guard, if it was attached and has lost that.
        foreign: whether it is as the state file says that it was attached, but the authorizer isn't
            ours: the file is wrong.
    """

    name: str
    action: str
    why: str = ""
    before: Authorization | None = None
    after: Authorization | None = None
    former: Authorization | None = None
    place: LiveMethod | None = None
    clings: bool = False
    lost: tuple[Finding, ...] = ()
    foreign: bool = False

    @property
    def shown(self) -> tuple[Any, ...]:
        """What a user saw of it before the question."""
        return self.name, self.action, self.before, self.after


@dataclass(frozen=True)
class Api:
    """A REST API as it stands.

    Attributes:
        id, name: the API's.
        methods: all of them.
        authorizers: all of them.
        stages: all of them.
        deployments: the ids of ours.
        live: as GetRestApis describes it; empty if it wasn't looked for.
    """

    id: str
    name: str
    methods: list[LiveMethod]
    authorizers: list[Any]
    stages: list[Any]
    deployments: list[str]
    live: Live = field(default_factory=dict)

    def ours(self, ctx: Context) -> list[Any]:
        """Return our authorizers, the recorded one first; a second one was made by a lost call."""
        recorded = ctx.state.attachments.get(self.id)
        known = recorded["authorizer"].get("id") if recorded else None
        name = calls.our_name(ctx)
        return sorted(
            (one for one in self.authorizers if one["name"] == name),
            key=lambda one: one["id"] != known,
        )

    def superseded(self, moved: Sequence[str]) -> list[str]:
        """Return our deployments that no stage is on, nor a canary, once some stages have moved."""
        used = {
            holder.get("deploymentId")
            for stage in self.stages
            for holder in (stage, stage.get("canarySettings") or {})
            if holder is not stage or stage["stageName"] not in moved
        }
        return [one for one in self.deployments if one not in used]

    def words(self, ctx: Context, authorization: Authorization) -> str:
        """Say who may call a method, the authorizer by its name; one that isn't made is ours."""
        text, names = (
            authorization["authorizationType"],
            {o["id"]: o["name"] for o in self.authorizers},
        )
        if text not in WITHOUT_AUTHORIZER:
            authorizer = authorization["authorizerId"] or ""
            unmade = text == COGNITO and not authorizer
            ours = names.get(authorizer) == calls.our_name(ctx) or unmade
            named = f"of the stack {ctx.stack}" if ours else names.get(authorizer, authorizer)
            text += f" {named}".rstrip()
        if authorization["authorizationScopes"]:
            text += f", scopes {' '.join(authorization['authorizationScopes'])}"
        return text + (", API key" if authorization["apiKeyRequired"] else "")


@dataclass(frozen=True)
class Plan:
    """What is to be done in one REST API.

    Attributes:
        api: as it stands; None if it is gone.
        id, name: the API's.
        rows: what becomes of each method that was asked for.
        stages: those to deploy to; empty if no deployment is due.
        pending: what else such a deployment publishes; None if that isn't known.
        unknown: why it isn't known, or which part of it isn't compared.
        warnings: what a user should know before.
        make_authorizer, point_authorizer: whether ours is to be made, or to ask another pool.
    """

    id: str
    name: str
    api: Api | None
    rows: list[Row]
    stages: list[str]
    pending: list[Pending] | None = field(default_factory=list)
    unknown: str = ""
    warnings: list[str] = field(default_factory=list)
    make_authorizer: bool = False
    point_authorizer: bool = False

    @property
    def changes(self) -> bool:
        """Whether who may call what is changed, deployed or not."""
        return self.make_authorizer or self.point_authorizer or bool(self.of(ATTACH, RESTORE))

    @property
    def shown(self) -> tuple[Any, ...]:
        """What a user saw of it before the question."""
        rows = [row.shown for row in self.rows]
        return (
            *(rows, self.stages, self.pending, self.unknown, self.warnings),
            *(self.make_authorizer, self.point_authorizer),
        )

    def of(self, *actions: str) -> list[Row]:
        """Return the rows with one of these actions."""
        return [row for row in self.rows if row.action in actions]


def read_api(ctx: Context, wanted: str) -> Api:
    """Find a REST API by its id or name, and read it.

    Raises:
        UsageError: there is none, or several have the name.
    """
    found = rest_apis.find_api(ctx, wanted)
    api = read(ctx, found["id"], found["name"])
    if api is None:
        raise UsageError(f"--api {wanted!r}: the API was deleted just now.")
    return replace(api, live=found)


def read(ctx: Context, api: str, name: str) -> Api | None:
    """Read a REST API; None if it is gone."""
    reads: tuple[Callable[[Context, str], Any], ...] = (
        rest_apis.methods,
        rest_apis.authorizers,
        rest_apis.stages,
        calls.our_deployments,
    )
    methods, *others = parallel.each(partial(call, ctx, api) for call in reads)
    return None if methods is None else Api(api, name, methods, *others)


def choose(names: Iterable[str], path: str | None, method: str | None) -> list[str]:
    """Return the methods, as ``GET /orders``, that the globs match.

    Raises:
        UsageError: none does.
    """
    names = list(names)
    chosen = [
        name
        for name in names
        if fnmatchcase(name.partition(" ")[2], "*" if path is None else path)
        and fnmatchcase(name.partition(" ")[0], "*" if method is None else method.upper())
    ]
    if not chosen:
        given = [] if path is None else [f"--path {path!r}"]
        given += [] if method is None else [f"--method {method!r}"]
        there = f"There are: {shortened(names)}." if names else "There are none."
        raise UsageError(f"{' '.join(given) or 'The API'} matches no method. {there}")
    return chosen


def check_deployable(api: Api) -> None:
    """See that AWS would deploy an API: it asks for an integration of each method.

    Raises:
        UsageError: a method has none.
    """
    if bare := [each.name for each in api.methods if not each.live.get("methodIntegration")]:
        raise UsageError(
            f"The API {api.name} can't be deployed, for {shortened(bare)} has no integration. Give "
            "it one, or delete it, and run this again."
        )


def one_of(live: Authorization, several: Iterable[Authorization]) -> bool:
    """Return whether an authorization is like one of several."""
    return any(same(live, one) for one in several)


def not_yet_deployed(
    ctx: Context, api: Api, stages: Iterable[str]
) -> tuple[list[Pending] | None, str]:
    """Return what of the API isn't deployed, and what of that isn't known."""
    # Emulators' exports leave most authorizations out.
    authorization = not ctx.state.emulated
    found: dict[str, Pending] = {}
    for stage in stages:
        document = export.export(ctx, api.id, stage)
        if isinstance(document, str):
            return None, f"the stage {stage} can't be exported ({document})"
        differences = pending.pending(
            document, api.methods, api.authorizers, authorization=authorization
        )
        found |= {each.what: each for each in differences}
    return list(found.values()), "" if authorization else "who may call what isn't compared"


def of_others(
    ctx: Context, found: Sequence[Pending] | None, rows: Sequence[Row]
) -> list[Pending] | None:
    """Return what is pending but for what the rows and our authorizer are about."""
    if found is None:
        return None
    ours = {row.name for row in rows if row.action in {ATTACH, RESTORE, UNCHANGED}}
    others = []
    for each in found:
        if each.what in ours and each.change == "changed":
            fields = tuple(name for name in each.fields if name != AUTHORIZATION)
            each = replace(each, fields=fields)  # noqa: PLW2901 less of the same
            if not fields:
                continue
        if each.what != f"authorizer {calls.our_name(ctx)}":
            others.append(each)
    return others
