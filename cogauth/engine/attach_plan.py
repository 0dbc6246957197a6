"""What ``attach`` and ``detach`` would do: all is read and checked here, and nothing changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from cogauth import guards
from cogauth.engine import graph
from cogauth.engine.attach_warnings import beforehand
from cogauth.engine.journal import check_pool
from cogauth.errors import UsageError
from cogauth.gateway import deployed, rest_apis
from cogauth.gateway.deployed import AUTHORIZATION
from cogauth.gateway.rest_apis import (
    COGNITO,
    KNOWN_TYPES,
    LISTED,
    WITHOUT_AUTHORIZER,
    LiveMethod,
    shortened,
)
from cogauth.record.state import ATTACHED
from cogauth.steps import apigateway, attached
from cogauth.steps.attached import same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cogauth.context import Context
    from cogauth.gateway.deployed import Pending
    from cogauth.guards import Finding, Recorded
    from cogauth.record.state import Attachment, Authorization
    from cogauth.steps.base import Live

ATTACH, RESTORE, UNCHANGED = "attach", "restore", "unchanged"
LEFT_OUT, LEFT_ALONE, GONE = "left out", "left alone", "gone"
# The one scope that the access tokens of POST /signin carry.
# Source: https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
SIGN_IN_SCOPE = "aws.cognito.signin.user.admin"


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
        name = attached.our_name(ctx)
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
            ours = names.get(authorizer) == attached.our_name(ctx) or unmade
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
        attached.our_deployments,
    )
    methods, *others = graph.each(partial(call, ctx, api) for call in reads)
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


@dataclass(frozen=True)
class Wanted:
    """What is to be attached, as the user says it.

    Attributes:
        api: an API's id or name.
        path, method: globs; a method of None is any.
        scopes: of which an access token must have one; none: ID tokens.
        stage: to deploy to; None for the one attached to, or the API's only one.
    """

    api: str
    path: str
    method: str | None = None
    scopes: tuple[str, ...] = ()
    stage: str | None = None

    @property
    def any_too(self) -> bool:
        """Whether ANY is meant by its name, and not by a glob that happens to match it."""
        return (self.method or "").upper() == "ANY"


def plan_attach(ctx: Context, wanted: Wanted) -> Plan:
    """Say what attaching would do.

    Raises:
        UsageError: the input can't be used as given.
        CogauthError: the recorded user pool is gone, or isn't the stack's.
    """
    check_pool(ctx)
    api = read_api(ctx, wanted.api)
    found = rest_apis.choose_stage(
        {"id": api.id, "name": api.name}, api.stages, wanted.stage, ctx.state.stages_of(api.id)
    )
    stages = [str(found["stageName"])]
    by_name = {each.name: each for each in api.methods}
    chosen = choose(by_name, wanted.path, wanted.method)
    ours = api.ours(ctx)
    record = ctx.state.attachments.get(api.id)
    rows = [_attach_row(ctx, api, by_name[name], ours, wanted) for name in chosen]
    if not [row for row in rows if row.action != LEFT_OUT]:
        reasons = [f"  {row.name}: {row.why}" for row in rows[:LISTED]]
        raise UsageError("None of these methods can be attached:", *reasons)
    _check_deployable(api)
    pending, unknown = _pending(ctx, api, stages)
    point = bool(ours) and bool(apigateway.authorizer_patch(ctx, ours[0]))
    standing = {row.name for row in rows if row.action == UNCHANGED}
    undeployed = any(
        each.what in standing and (AUTHORIZATION in each.fields or each.change == "new")
        for each in pending or ()
    )
    due = (
        any(row.action == ATTACH for row in rows)
        or point
        or undeployed
        or record is None
        or stages[0] in record["outdated"]
        or stages[0] not in record["stages"]
    )
    return Plan(
        api.id,
        api.name,
        api,
        rows,
        stages if due else [],
        _others(ctx, pending, rows) if due else [],
        unknown if due else "",
        [
            *_warnings(api, stages[0], rows),
            *beforehand(ctx, api, [r.place for r in rows if r.place and r.action != LEFT_OUT]),
            *_others_stages(record, stages[0], rows),
        ],
        make_authorizer=not ours,
        point_authorizer=point,
    )


def _check_deployable(api: Api) -> None:
    if bare := [each.name for each in api.methods if not each.live.get("methodIntegration")]:
        raise UsageError(
            f"The API {api.name} can't be deployed, for {shortened(bare)} has no integration. Give "
            "it one, or delete it, and run this again."
        )


def _others_stages(record: Attachment | None, stage: str, rows: Sequence[Row]) -> list[str]:
    others = [name for name in record["stages"] if name != stage] if record else []
    if not others or not any(row.action == ATTACH for row in rows):
        return []
    return [f"Not deployed by this: {', '.join(others)}. Run it again with --stage for that."]


def _attach_row(
    ctx: Context, api: Api, place: LiveMethod, ours: Sequence[Live], wanted: Wanted
) -> Row:
    live, name = place.authorization, place.name
    known = ctx.state.attachments.get(api.id)
    recorded = known["methods"].get(name) if known else None
    if why := _left_out(ctx, api, place, any_too=wanted.any_too or recorded is not None):
        return Row(name, LEFT_OUT, why, live, place=place)
    after: Authorization = {
        "authorizationType": COGNITO,
        "authorizerId": ours[0]["id"] if ours else None,
        "authorizationScopes": sorted(set(wanted.scopes)),
        "apiKeyRequired": live["apiKeyRequired"],
    }
    ids = {one["id"] for one in ours}
    former = live
    # What the record says isn't enough: only our authorizer there shows that it was attached.
    if recorded is not None and live["authorizerId"] in ids:
        # An API key is nobody's but the API's owner's.
        former = {**recorded["former"], "apiKeyRequired": live["apiKeyRequired"]}
    elif live["authorizerId"] in ids:
        why = "it refers to our authorizer, but not by 'attach': what it had before isn't known"
        return Row(
            name, UNCHANGED if same(live, after) else LEFT_OUT, why, live, after, place=place
        )
    action = UNCHANGED if same(live, after) else ATTACH
    return Row(name, action, "", live, after, former, place)


def _one_of(live: Authorization, several: Iterable[Authorization]) -> bool:
    return any(same(live, one) for one in several)


def _left_out(ctx: Context, api: Api, place: LiveMethod, *, any_too: bool) -> str:
    """Return why a method is never attached; empty if it may be."""
    if (kind := place.authorization["authorizationType"]) not in KNOWN_TYPES:
        return (
            f"its authorization type {kind} isn't one that this cogauth knows, so it couldn't give "
            f"it back for certain. It knows {', '.join(KNOWN_TYPES)}"
        )
    if place.http_method == "OPTIONS":
        return "browsers send OPTIONS without a token before the request itself"
    if place.http_method == "ANY" and not any_too and not _has_options(api, place):
        return (
            "it answers OPTIONS too, which browsers send without a token. Give the path an OPTIONS "
            "method of its own; or, if no browser calls it, say --method ANY"
        )
    own = ctx.state.record("rest_api", "rest_api")
    if own and own.get("id") == api.id and place.name == f"POST {ctx.state.settings.path}":
        return "it is where one gets a token"
    return ""


def _has_options(api: Api, place: LiveMethod) -> bool:
    names = [each.http_method for each in api.methods if each.path == place.path]
    return "OPTIONS" in names


def _warnings(api: Api, stage: str, rows: Sequence[Row]) -> list[str]:
    found = [
        f"{row.name} answers OPTIONS too: a browser's preflights get 401 then."
        for row in rows
        if row.action in {ATTACH, UNCHANGED}
        and row.place is not None
        and row.place.http_method == "ANY"
        and not _has_options(api, row.place)
    ]
    live = next(one for one in api.stages if one["stageName"] == stage)
    canary = live.get("canarySettings") or {}
    if canary.get("deploymentId"):
        found.append(
            f"The stage {stage} has a canary: {canary.get('percentTraffic', 0):g} % of the calls "
            f"go to its deployment {canary['deploymentId']}, which stays as it is."
        )
    return found


def _pending(ctx: Context, api: Api, stages: Iterable[str]) -> tuple[list[Pending] | None, str]:
    """Return what of the API isn't deployed, and what of that isn't known."""
    # Emulators' exports leave most authorizations out.
    authorization = not ctx.state.emulated
    found: dict[str, Pending] = {}
    for stage in stages:
        document = rest_apis.export(ctx, api.id, stage)
        if isinstance(document, str):
            return None, f"the stage {stage} can't be exported ({document})"
        differences = deployed.pending(
            document, api.methods, api.authorizers, authorization=authorization
        )
        found |= {each.what: each for each in differences}
    return list(found.values()), "" if authorization else "who may call what isn't compared"


def _others(
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
        if each.what != f"authorizer {attached.our_name(ctx)}":
            others.append(each)
    return others


def attached_apis(ctx: Context, wanted: str | None) -> list[str]:
    """Return the ids of the APIs that ``detach`` is about.

    Args:
        ctx: the stack.
        wanted: an API's id or name; None for all that are attached.

    Raises:
        UsageError: there is no such API, or several have the name, or nothing is attached to it.
    """
    known = ctx.state.attachments
    if wanted is None or wanted in known:
        return list(known) if wanted is None else [wanted]
    named = [api for api, record in known.items() if record["name"] == wanted]
    if len(named) > 1:
        raise UsageError(
            f"--api {wanted!r}: several attached APIs have that name. Give the id of one: "
            f"{shortened(named)}."
        )
    there = shortened(f"{api} ({record['name']})" for api, record in known.items())
    if not named:
        raise UsageError(
            f"--api {wanted!r}: the stack {ctx.stack} isn't attached to such an API. "
            + (f"It is to: {there}." if known else "It is to none.")
        )
    return named


def plan_detach(
    ctx: Context,
    api_id: str,
    *,
    path: str | None = None,
    method: str | None = None,
    compare: bool = True,
) -> Plan:
    """Say what giving methods back would do.

    Args:
        ctx: the stack.
        api_id: of an API that is attached.
        path: a glob of what is to be given back; None is any.
        method: likewise.
        compare: whether to ask what else a deployment publishes.

    Raises:
        UsageError: the globs match nothing that is attached.
    """
    record = ctx.state.attachments[api_id]
    names = list(record["methods"])
    chosen = names if path is None and method is None else choose(names, path, method)
    api = read(ctx, api_id, record["name"])
    if api is None:
        rows = [Row(name, GONE, "the API was deleted") for name in names]
        return Plan(api_id, record["name"], None, rows, [])
    live = {each.name: each for each in api.methods}
    known = guards.Recorded.of(ctx, api_id, guards.Seen(api.methods, api.authorizers, api.stages))
    rows = [_detach_row(ctx, api, known, name, live.get(name)) for name in chosen]
    found = record["found"]
    # A stage that is still on the deployment from before never had our authorizer.
    changed = [
        stage["stageName"]
        for stage in api.stages
        if found.get(stage["stageName"]) != stage.get("deploymentId")
    ]
    restored = any(row.action == RESTORE for row in rows)

    def is_due(stage: str) -> bool:
        """Say whether a stage is to be deployed: more than the file says that it was attached."""
        if restored or stage in record["outdated"]:
            return _is_on_ours(api, stage) or _may_ask_us(ctx, api, stage)
        return bool(rows) and _may_ask_us(ctx, api, stage)

    stages = [name for name in changed if name in record["stages"] and is_due(name)]
    if stages:
        _check_deployable(api)
    raw, unknown = _pending(ctx, api, stages) if compare else ([], "")
    warnings = [
        f"The stage {name} was deployed since: it asks for the stack's tokens until it is "
        "deployed again."
        for name in changed
        if name not in record["stages"]
    ]
    pending = _others(ctx, raw, rows)
    return Plan(api_id, record["name"], api, rows, stages, pending, unknown, warnings)


def _is_on_ours(api: Api, stage: str) -> bool:
    """Say whether a stage serves a deployment of ours."""
    on = next(one for one in api.stages if one["stageName"] == stage).get("deploymentId")
    return on in api.deployments


def _may_ask_us(ctx: Context, api: Api, stage: str) -> bool:
    """Say whether what a stage serves may have our authorizer, whatever the API says by now."""
    document = rest_apis.export(ctx, api.id, stage)
    if isinstance(document, str) or ctx.state.emulated:
        return True
    return attached.our_name(ctx) in deployed.schemes(document)


def _detach_row(
    ctx: Context, api: Api, known: Recorded, name: str, place: LiveMethod | None
) -> Row:
    record = known.record["methods"][name]
    former = record["former"]
    lost = tuple(known.lost(name)) if record["status"] == ATTACHED else ()
    if place is None:
        why = "; ".join(["the method was deleted", *(f"it is {one.found}" for one in lost)])
        return Row(name, GONE, why, lost=lost)
    live = place.authorization
    if same(live, former):
        why = "its guard was lost, and it has that already" if lost else ""
        return Row(name, UNCHANGED, why, live, former, former, place, lost=lost)
    ids = {one["id"] for one in api.ours(ctx)}
    clings = live["authorizerId"] in ids
    if not _one_of(live, record["ours"]):
        why = f"it was changed since, to {api.words(ctx, live)}"
        if clings:
            why += (
                "; it still refers to our authorizer. Give it another authorization, or attach it "
                "once more, then run this again"
            )
        return Row(name, LEFT_ALONE, why, live, None, former, place, clings, lost)
    if not clings:
        # As the record says, and so says the record of anybody's method.
        why = f"it has {api.words(ctx, live)}, which isn't the stack's authorizer"
        return Row(name, LEFT_ALONE, why, live, None, former, place, foreign=True)
    authorizer = former["authorizerId"]
    if authorizer and authorizer not in {one["id"] for one in api.authorizers}:
        why = (
            f"the authorizer {authorizer}, which it had before, was deleted since. Give it another "
            "authorization, then run this again"
        )
        return Row(name, LEFT_ALONE, why, live, former, former, place, clings=True)
    return Row(name, RESTORE, "", live, former, former, place)
