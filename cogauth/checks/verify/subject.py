"""Which API, stage and methods to verify."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from cogauth.attach import guards
from cogauth.attach.model import Api
from cogauth.aws.policies import OTHER_API, REST_API
from cogauth.errors import UsageError
from cogauth.gateway import rest_apis, routing
from cogauth.gateway.deployed import exporting
from cogauth.gateway.rest_apis import COGNITO, Guard, Route, Routes, verb_and_path
from cogauth.gateway.routing import nearest, route
from cogauth.record.records import ATTACHED
from cogauth.settings import PROTECTED_PATH

if TYPE_CHECKING:
    from cogauth.attach.guards import Comparison
    from cogauth.context import Context

CALLED = ("GET", "HEAD")
HTTP_STATUS = re.compile(r"[1-5]\d\d", re.ASCII)
# A path with one of these is a glob.
GLOB = re.compile(r"[*?\[]")
# An origin that can't exist: its top-level domain is reserved.
FOREIGN = "https://cogauth.invalid"


@dataclass(frozen=True)
class Row:
    """One check.

    Attributes:
        sent: for example ``GET /hello, no token``.
        expected, got: empty if the check was not made.
        ok: None if the check was not made, or an emulator may differ from AWS in it.
    """

    check: str
    sent: str
    expected: str
    got: str
    ok: bool | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the row as ``verify --json`` prints it, with HTTP statuses as numbers."""
        numbers = {
            name: int(text)
            for name, text in (("expected", self.expected), ("got", self.got))
            if HTTP_STATUS.fullmatch(text)
        }
        return {**asdict(self), **numbers}


def not_made(check: str, sent: str, why: str) -> Row:
    """Return a check that was not made."""
    return Row(check, sent, "", "", None, why)


@dataclass(frozen=True)
class GuardedMethod:
    """A guarded method to call.

    Attributes:
        preflight: whether its path has an OPTIONS method.
        own: whether it is the stack's own guarded method, whose answer is known.
    """

    url: str
    path: str
    verb: str
    guard: Guard
    preflight: bool
    own: bool

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


@dataclass(frozen=True)
class Subject:
    """The API, stage and methods to check.

    Attributes:
        deployed_at: when the stage last changed, in seconds since the epoch.
        called, not_called: the guarded methods to call, and those not to call.
        lost: attached methods that aren't guarded as recorded.
    """

    api: str
    stage: str
    url: str
    deployed_at: float
    called: tuple[GuardedMethod, ...]
    not_called: tuple[Row, ...] = ()
    lost: tuple[Row, ...] = ()


# What ``find_subject`` needs.
PERMISSIONS = (
    *(rest_apis.CHECK_OWN, rest_apis.FIND_API, rest_apis.EXISTING),
    *(
        rest_apis.reading(api, "stages", "authorizers", "resources")
        for api in (REST_API, OTHER_API)
    ),
    exporting(OTHER_API),
)


def find_subject(
    ctx: Context, api: str | None = None, path: str | None = None, stage: str | None = None
) -> Subject:
    """Find the methods that the stack's user pool guards, without calling them.

    Args:
        ctx: a complete stack.
        api: a REST API's id or name; None means the stack's own.
        path: a glob such as ``/orders*``, or a real path such as ``/orders/7``; None means all
            methods (in the stack's own API: the guarded method).
        stage: its name; None means the stack's own, the attached one, or the only one.

    Raises:
        UsageError: no API, stage or guarded method matches, or several stages do; or no method can
            be called and none has lost its guard.
    """
    # The new user signs in at the stack's own API, whichever API is checked.
    rest_apis.check_own(ctx)
    own = ctx.fact("rest_api")
    live = {"id": own} if api is None else rest_apis.find_api(ctx, api)
    found, asked = str(live["id"]), path
    if found == own:
        path, stage = path or PROTECTED_PATH, stage or ctx.state.settings.stage
    with rest_apis.existing(ctx, found):
        stages = rest_apis.stages(ctx, found)
        chosen_stage = rest_apis.choose_stage(live, stages, stage, ctx.state.stages_of(found))
        name = str(chosen_stage["stageName"])
        authorizers, methods = rest_apis.authorizers(ctx, found), rest_apis.methods(ctx, found)
        compared = guards.compare(ctx, Api(found, found, methods, authorizers, stages), name)
    routes = rest_apis.routes_of(methods, authorizers)
    lost = _lost_rows(compared, asked)
    is_lost = any(row.ok is False for row in lost)
    try:
        wanted = _guarded(ctx, found, routes, path)
    except UsageError:
        if not is_lost:
            raise
        wanted = []
    called, not_called = [], []
    for method in sorted(wanted, key=lambda each: (each.path, each.http_method)):
        verb = _verb(routes, method)
        real = _real_path(method, verb, path)
        if isinstance(real, Row):
            not_called.append(real)
            continue
        url = ctx.url(real, api=found, stage=name)
        preflight = "OPTIONS" in routes[method.path] or method.http_method == "ANY"
        is_own = found == own and method.path == PROTECTED_PATH
        called.append(GuardedMethod(url, real, verb, method.guard, preflight, is_own))
    if compared.unknown:
        not_called.append(not_made("guard as deployed", name, compared.unknown))
    if not called and not is_lost:
        # The other checks say nothing about the guard.
        listed = "; ".join(f"{row.sent}: {row.note}" for row in (*lost, *not_called))
        raise UsageError(f"No guarded method can be called. {listed}.")
    url, at = ctx.url("", api=found, stage=name), chosen_stage.get("lastUpdatedDate")
    deployed_at = at.timestamp() if at else 0.0
    return Subject(found, name, url, deployed_at, tuple(called), tuple(not_called), lost)


def _lost_rows(compared: Comparison, path: str | None) -> tuple[Row, ...]:
    """Return a row for each method that matches the path and isn't guarded as recorded."""
    return tuple(
        Row(
            "guard",
            each.name,
            "the stack's user pool",
            each.found,
            # A guard that was never deployed to the stage can't be lost there.
            ok=None if each in compared.undeployed else False,
            note=each.sentence,
        )
        for each in compared.findings
        if path is None or _fits(verb_and_path(each.name)[1], path)
    )


def _fits(template: str, path: str) -> bool:
    """Return whether a glob or a real path matches a resource's path."""
    return fnmatchcase(template, path) if GLOB.search(path) else routing.matches(template, path)


def _guarded(ctx: Context, api: str, routes: Routes, path: str | None) -> list[Route]:
    """Return the methods that the stack's pool guards, or should guard."""
    pool = ctx.fact("user_pool", "arn")
    # Attached methods, even if they have lost their guard.
    recorded = ctx.state.attachments.get(api, {"methods": {}})["methods"]
    ours = {name for name, method in recorded.items() if method["status"] == ATTACHED}
    if api == ctx.fact("rest_api"):
        ours.add(f"GET {PROTECTED_PATH}")
    guarded = [
        method
        for methods in routes.values()
        for method in methods.values()
        if method.name in ours or (method.guard.type == COGNITO and pool in method.guard.pools)
    ]
    if not guarded:
        raise UsageError(
            f"The stack's user pool guards no method of the API {api}.",
            hint=f"Run 'cogauth attach{ctx.state.options} --api {api}' to guard some.",
        )
    wanted = [method for method in guarded if path is None or _is_meant(routes, method, path)]
    if not wanted:
        paths = {method.path: {method.http_method: method} for method in guarded}
        raise UsageError(
            f"--path {path!r} matches no method of the API {api} that the stack's user pool guards",
            hint=f"Give one such as {', '.join(nearest(paths, path or ''))}.",
        )
    return wanted


def _is_meant(routes: Routes, method: Route, path: str) -> bool:
    """Return whether a glob matches a method's path, or a call of a real path gets to it."""
    if GLOB.search(path):
        return fnmatchcase(method.path, path)
    return route(routes, _verb(routes, method), path)[1] == method


def _verb(routes: Routes, method: Route) -> str:
    """Return the verb to call a method with; for ``ANY``, one without its own method there."""
    if method.http_method != "ANY":
        return method.http_method
    return next((verb for verb in CALLED if verb not in routes[method.path]), "ANY")


def _real_path(method: Route, verb: str, path: str | None) -> str | Row:
    """Return the path to call a method at, or a row that says why it isn't called."""
    real = method.path if path is None or GLOB.search(path) else path
    if verb not in CALLED:
        why = "it could change something if the guard let it pass"
    elif "{" in real:
        example = re.sub(r"\{[^}]*\}", "1", real)
        why = f"its path has a parameter: give a real path, such as --path {example}"
    else:
        return real
    return not_made("not called", method.name, why)
