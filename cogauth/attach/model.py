"""A REST API's current state, and what ``attach`` or ``detach`` would do to its methods."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from cogauth.aws import parallel
from cogauth.aws.answers import or_none
from cogauth.errors import UsageError
from cogauth.gateway import pending, rest_apis
from cogauth.gateway.deployed import AUTHORIZATION, export, exporting
from cogauth.gateway.rest_apis import (
    COGNITO,
    WITHOUT_AUTHORIZER,
    LiveMethod,
    verb_and_path,
)
from cogauth.printable import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cogauth.aws.answers import Live
    from cogauth.aws.policies import Allow
    from cogauth.context import Context
    from cogauth.gateway.pending import Pending
    from cogauth.record.records import Attachment, Authorization, Record

ATTACH, RESTORE, UNCHANGED = "attach", "restore", "unchanged"
LEFT_OUT, LEFT_ALONE, DELETED = "left out", "left alone", "gone"


def our_name(ctx: Context) -> str:
    """Return the name of our authorizer in an API, and our deployments' description.

    API Gateway can't tag either. In the stack's own API, ``up`` uses another name.
    """
    return f"{ctx.name_with_id}-attached"


def new_record(name: str, authorizer: Record, found: dict[str, str]) -> Attachment:
    """Return the record of an API, with the deployment that each stage has before any change."""
    return {
        "name": name,
        "stages": [],
        "outdated": [],
        "found": found,
        "authorizer": authorizer,
        "methods": {},
    }


def same(one: Authorization, other: Authorization) -> bool:
    """Return whether two authorizations are equal, whatever the order of their scopes."""
    scopes = sorted(one["authorizationScopes"]) == sorted(other["authorizationScopes"])
    return scopes and one == {**other, "authorizationScopes": one["authorizationScopes"]}


@dataclass(frozen=True)
class Finding:
    """A method that isn't guarded as recorded, what it has instead, and a command to fix that.

    ``stage`` is set if only that stage lacks the guard.
    """

    name: str
    found: str
    mend: str
    sentence: str
    stage: str = ""


@dataclass(frozen=True)
class MethodChange:
    """A method that ``attach`` or ``detach`` is asked to change.

    Attributes:
        kind: ``attach`` or ``restore``.
        after: the authorization to set; its authorizer is None until ours is created.
        former: the authorization that ``detach`` restores.
    """

    kind: str
    method: LiveMethod
    after: Authorization
    former: Authorization

    why = ""

    @property
    def name(self) -> str:
        """Verb and path, such as ``GET /orders``."""
        return self.method.name

    @property
    def before(self) -> Authorization:
        """The current authorization."""
        return self.method.authorization

    @property
    def action(self) -> str:
        """``attach`` or ``restore``; ``unchanged`` if there is nothing to do."""
        return UNCHANGED if same(self.before, self.after) else self.kind


@dataclass(frozen=True)
class Skip:
    """A method that was asked for but won't be changed.

    Attributes:
        action: ``unchanged``, ``left out``, ``left alone`` or ``gone``.
        before, after: the authorization now, and the wanted one, if known.
        needs_ours: whether it uses our authorizer, which must then be kept.
        lost: what it has instead of its guard, if it was attached and lost that.
        foreign: whether it has the recorded authorization, but by an authorizer that isn't ours.
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
    """A REST API's current state; ``deployments`` are the ids of ours."""

    id: str
    name: str
    methods: Sequence[LiveMethod] = ()
    authorizers: Sequence[Live] = ()
    stages: Sequence[Live] = ()
    deployments: Sequence[str] = ()
    live: Live = field(default_factory=dict)

    def ours(self, ctx: Context) -> list[Live]:
        """Return our authorizers, the recorded one first; a lost answer can lead to a second."""
        recorded = ctx.state.attachments.get(self.id)
        known = recorded["authorizer"].get("id") if recorded else None
        name = our_name(ctx)
        return sorted(
            (one for one in self.authorizers if one["name"] == name),
            key=lambda one: one["id"] != known,
        )

    def superseded(self, moved: Sequence[str]) -> list[str]:
        """Return our deployments that no stage or canary will use once some stages have moved."""
        used = {
            holder.get("deploymentId")
            for stage in self.stages
            for holder in (stage, stage.get("canarySettings") or {})
            if holder is not stage or stage["stageName"] not in moved
        }
        return [one for one in self.deployments if one not in used]

    def words(self, ctx: Context, authorization: Authorization) -> str:
        """Describe an authorization, with its authorizer's name; one not created yet is ours."""
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
class ApiPlan:
    """The planned changes to one REST API.

    Attributes:
        stages: the stages to deploy to; empty if no deployment is due.
        pending: what else the deployment publishes; None if unknown.
        unknown: why that is unknown, or which part wasn't compared.
        make_authorizer, point_authorizer: whether to create ours, or to switch it to another pool.
    """

    api: Api
    rows: list[MethodChange | Skip]
    stages: list[str]
    pending: list[Pending] | None = field(default_factory=list)
    unknown: str = ""
    warnings: list[str] = field(default_factory=list)
    make_authorizer: bool = False
    point_authorizer: bool = False
    gone: bool = False

    @property
    def changes(self) -> list[MethodChange]:
        """The methods to change."""
        return [
            row for row in self.rows if isinstance(row, MethodChange) and row.action != UNCHANGED
        ]

    @property
    def skips(self) -> list[Skip]:
        """The methods left unchanged, each with its reason."""
        return [row for row in self.rows if isinstance(row, Skip)]

    @property
    def shown(self) -> tuple[Any, ...]:
        """What the user sees of the plan before confirming it."""
        rows = [(row.name, row.action, row.before, row.after) for row in self.rows]
        authorizer = self.make_authorizer, self.point_authorizer
        return rows, self.stages, self.pending, self.unknown, self.warnings, authorizer


def permissions(api: str) -> tuple[Allow, ...]:
    """Return what reading an API and its stages needs; ``api`` is a pattern of ARNs."""
    parts = ("resources", "authorizers", "stages", "deployments")
    return rest_apis.reading(api, *parts), exporting(api)


def read_api(ctx: Context, wanted: str) -> Api:
    """Find a REST API by its id or name, and read it.

    Raises:
        UsageError: no API or several APIs match.
    """
    found = rest_apis.find_api(ctx, wanted)
    api = read(ctx, found["id"], found["name"])
    if api is None:
        raise UsageError(f"--api {wanted!r}: the API was deleted just now.")
    return replace(api, live=found)


def read(ctx: Context, api: str, name: str, *, deployments: bool = True) -> Api | None:
    """Read a REST API, with our deployments or without; None if it doesn't exist."""
    reads = [rest_apis.methods, rest_apis.authorizers, rest_apis.stages]
    reads += [_our_deployments] if deployments else []
    found = or_none(lambda: parallel.each(partial(call, ctx, api) for call in reads))
    return None if found is None else Api(api, name, *found)


def _our_deployments(ctx: Context, api: str) -> list[str]:
    found = rest_apis.deployments(ctx, api)
    return [one["id"] for one in found if one.get("description") == our_name(ctx)]


def choose(names: Iterable[str], path: str | None, method: str | None) -> list[str]:
    """Return the names (such as ``GET /orders``) that the globs match, or raise UsageError."""
    names = list(names)
    chosen = []
    for name in names:
        verb, there = verb_and_path(name)
        if fnmatchcase(there, path or "*") and fnmatchcase(verb, (method or "*").upper()):
            chosen.append(name)
    if not chosen:
        given = [] if path is None else [f"--path {path!r}"]
        given += [] if method is None else [f"--method {method!r}"]
        known = f"The methods are: {shortened(names)}." if names else "There are none."
        raise UsageError(f"{' '.join(given) or 'The API'} matches no method. {known}")
    return chosen


def check_deployable(api: Api) -> None:
    """Raise UsageError if a method lacks an integration: AWS then refuses to deploy the API."""
    if bare := [each.name for each in api.methods if not each.live.get("methodIntegration")]:
        raise UsageError(
            f"The API {api.name} can't be deployed, because {shortened(bare)} has no integration.",
            hint="Give it one, or delete it, and run this again.",
        )


def not_yet_deployed(
    ctx: Context, api: Api, stages: Iterable[str]
) -> tuple[list[Pending] | None, str]:
    """Return the changes not yet deployed (None if unknown), and what couldn't be compared."""
    # The exports of emulators lack most authorizations.
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
    return list(found.values()), "" if authorization else "authorizations were not compared"


def of_others(
    ctx: Context, found: Sequence[Pending] | None, rows: Iterable[MethodChange | Skip]
) -> list[Pending] | None:
    """Return the pending changes, without those of the rows and of our authorizer."""
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
