"""A REST API as it stands, and what ``attach`` or ``detach`` would do to its methods."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from cogauth.aws import parallel
from cogauth.aws.answers import or_none
from cogauth.errors import UsageError
from cogauth.gateway import pending, rest_apis
from cogauth.gateway.deployed import AUTHORIZATION, export
from cogauth.gateway.rest_apis import (
    COGNITO,
    WITHOUT_AUTHORIZER,
    LiveMethod,
    shortened,
    verb_and_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cogauth.aws.answers import Live
    from cogauth.context import Context
    from cogauth.gateway.pending import Pending
    from cogauth.record.records import Attachment, Authorization, Record

ATTACH, RESTORE, UNCHANGED = "attach", "restore", "unchanged"
LEFT_OUT, LEFT_ALONE, DELETED = "left out", "left alone", "gone"


def our_name(ctx: Context) -> str:
    """Return the name of our authorizer in an API, and our deployments' description.

    Neither can be tagged. In the stack's own API those of ``up`` have another name.
    """
    return f"{ctx.name_with_id}-attached"


def new_record(name: str, authorizer: Record, found: dict[str, str]) -> Attachment:
    """Return the record of an API, with each stage's deployment before anything is touched."""
    return {
        "name": name,
        "stages": [],
        "outdated": [],
        "found": found,
        "authorizer": authorizer,
        "methods": {},
    }


def same(one: Authorization, other: Authorization) -> bool:
    """Return whether two authorizations are alike; the order of scopes means nothing."""
    scopes = sorted(one["authorizationScopes"]) == sorted(other["authorizationScopes"])
    return scopes and one == {**other, "authorizationScopes": one["authorizationScopes"]}


@dataclass(frozen=True)
class Finding:
    """A method that isn't guarded as recorded, what is found in its place, a command to mend it."""

    name: str
    found: str
    mend: str
    sentence: str


@dataclass(frozen=True)
class Change:
    """A method that ``attach`` or ``detach`` is asked to change.

    Attributes:
        after: who may call it then; its authorizer is None as long as ours isn't created.
        former: what ``detach`` gives it back.
    """

    verb: str
    method: LiveMethod
    after: Authorization
    former: Authorization

    why = ""

    @property
    def name(self) -> str:
        """As ``GET /orders``."""
        return self.method.name

    @property
    def before(self) -> Authorization:
        """Who may call it now."""
        return self.method.authorization

    @property
    def action(self) -> str:
        """``attach`` or ``restore``; ``unchanged`` if it is so already."""
        return UNCHANGED if same(self.before, self.after) else self.verb


@dataclass(frozen=True)
class Skip:
    """A method that is asked for and not changed.

    Attributes:
        action: ``unchanged``, ``left out``, ``left alone`` or ``gone``.
        before, after: who may call it now, and who was to, if that is known.
        needs_ours: whether it refers to our authorizer, which must stay then.
        lost: what there is in the place of its guard, if it was attached and has lost that.
        foreign: whether the state file is wrong: it is so, but by an authorizer that isn't ours.
    """

    name: str
    action: str
    why: str
    before: Authorization | None = None
    after: Authorization | None = None
    needs_ours: bool = False
    lost: tuple[Finding, ...] = ()
    foreign: bool = False


@dataclass(frozen=True)
class Api:
    """A REST API as it is now; ``deployments`` are the ids of ours."""

    id: str
    name: str
    methods: Sequence[LiveMethod] = ()
    authorizers: Sequence[Live] = ()
    stages: Sequence[Live] = ()
    deployments: Sequence[str] = ()
    live: Live = field(default_factory=dict)

    def ours(self, ctx: Context) -> list[Live]:
        """Return our authorizers, the recorded one first; a lost answer makes a second one."""
        recorded = ctx.state.attachments.get(self.id)
        known = recorded["authorizer"].get("id") if recorded else None
        name = our_name(ctx)
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
        """Say who may call a method, the authorizer by its name; one not created yet is ours."""
        text = authorization["authorizationType"]
        names = {one["id"]: one["name"] for one in self.authorizers}
        if text not in WITHOUT_AUTHORIZER:
            authorizer = authorization["authorizerId"] or ""
            not_created = text == COGNITO and not authorizer
            ours = names.get(authorizer) == our_name(ctx) or not_created
            named = f"of the stack {ctx.stack}" if ours else names.get(authorizer, authorizer)
            text += f" {named}".rstrip()
        if authorization["authorizationScopes"]:
            text += f", scopes {' '.join(authorization['authorizationScopes'])}"
        return text + (", API key" if authorization["apiKeyRequired"] else "")


@dataclass(frozen=True)
class Plan:
    """What is to be done in one REST API.

    Attributes:
        stages: those to deploy to; empty if no deployment is due.
        pending: what else such a deployment publishes; None if that isn't known.
        unknown: why it isn't known, or which part of it isn't compared.
        make_authorizer, point_authorizer: whether ours is to be created, or to ask another pool.
    """

    api: Api
    rows: list[Change | Skip]
    stages: list[str]
    pending: list[Pending] | None = field(default_factory=list)
    unknown: str = ""
    warnings: list[str] = field(default_factory=list)
    make_authorizer: bool = False
    point_authorizer: bool = False
    gone: bool = False

    @property
    def changes(self) -> list[Change]:
        """The methods that are not yet as they are to be."""
        return [row for row in self.rows if isinstance(row, Change) and row.action != UNCHANGED]

    @property
    def skips(self) -> list[Skip]:
        """The methods that no call is made for, each with its reason."""
        return [row for row in self.rows if isinstance(row, Skip)]

    @property
    def shown(self) -> tuple[Any, ...]:
        """What a user saw of it before the question."""
        rows = [(row.name, row.action, row.before, row.after) for row in self.rows]
        authorizer = self.make_authorizer, self.point_authorizer
        return rows, self.stages, self.pending, self.unknown, self.warnings, authorizer


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


def read(ctx: Context, api: str, name: str, *, deployments: bool = True) -> Api | None:
    """Read a REST API, with our deployments or without; None if it is gone."""
    reads = [rest_apis.methods, rest_apis.authorizers, rest_apis.stages]
    reads += [_our_deployments] if deployments else []
    found = or_none(lambda: parallel.each(partial(call, ctx, api) for call in reads))
    return None if found is None else Api(api, name, *found)


def _our_deployments(ctx: Context, api: str) -> list[str]:
    found = rest_apis.deployments(ctx, api)
    return [one["id"] for one in found if one.get("description") == our_name(ctx)]


def choose(names: Iterable[str], path: str | None, method: str | None) -> list[str]:
    """Return the methods, as ``GET /orders``, that the globs match, or raise UsageError."""
    names = list(names)
    chosen = []
    for name in names:
        verb, there = verb_and_path(name)
        if fnmatchcase(there, path or "*") and fnmatchcase(verb, (method or "*").upper()):
            chosen.append(name)
    if not chosen:
        given = [] if path is None else [f"--path {path!r}"]
        given += [] if method is None else [f"--method {method!r}"]
        known = f"There are: {shortened(names)}." if names else "There are none."
        raise UsageError(f"{' '.join(given) or 'The API'} matches no method. {known}")
    return chosen


def check_deployable(api: Api) -> None:
    """Raise UsageError unless each method has an integration, without which AWS won't deploy."""
    if bare := [each.name for each in api.methods if not each.live.get("methodIntegration")]:
        raise UsageError(
            f"The API {api.name} can't be deployed, for {shortened(bare)} has no integration. Give "
            "it one, or delete it, and run this again."
        )


def not_yet_deployed(
    ctx: Context, api: Api, stages: Iterable[str]
) -> tuple[list[Pending] | None, str]:
    """Return what of the API isn't deployed, and what of that isn't known."""
    # Emulators' exports leave most authorizations out.
    authorization = not ctx.state.emulated
    found: dict[str, Pending] = {}
    for stage in stages:
        document = export(ctx, api.id, stage)
        if isinstance(document, str):
            return None, f"the stage {stage} can't be exported ({document})"
        differences = pending.pending(
            document, api.methods, api.authorizers, authorization=authorization
        )
        found |= {each.what: each for each in differences}
    return list(found.values()), "" if authorization else "who may call what isn't compared"


def of_others(
    ctx: Context, found: Sequence[Pending] | None, rows: Iterable[Change | Skip]
) -> list[Pending] | None:
    """Return what is pending but for what the rows and our authorizer are about."""
    if found is None:
        return None
    ours = {row.name for row in rows if row.action in {ATTACH, RESTORE, UNCHANGED}}
    others = []
    for each in found:
        fields = each.fields
        changed = each.what in ours and each.change == "changed"
        if changed:
            fields = tuple(name for name in fields if name != AUTHORIZATION)
        if (fields or not changed) and each.what != f"authorizer {our_name(ctx)}":
            others.append(replace(each, fields=fields))
    return others
