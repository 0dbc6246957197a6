"""What the page does when asked: each function takes the request's JSON and returns JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from cogauth.checks import explain as explaining
from cogauth.client import calls, passwords, sessions, tokens, users
from cogauth.client.signin import refusal
from cogauth.client.transport import strict_json
from cogauth.errors import LoginError, UsageError
from cogauth.gateway.routing import VERBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cogauth.client.calls import Call, Destination, Response
    from cogauth.context import Context
    from cogauth.page.stack import Stack

# The choices of the token.
KINDS = ("id", "access", "none", "tampered")
# The largest bodies that are indented, and shown whole, in characters.
INDENTED, SHOWN = 50_000, 200_000
# Changes the end of the token's signature. Any token has at least so many characters there.
TAMPER = r"sed 's/.\{8\}$/tampered/'"


def text(data: Mapping[str, Any], name: str) -> str:
    """Return a field of a request, which must be text; raise UsageError otherwise."""
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"The request lacks the text {name!r}.")
    return value


def sign_in_or_up(of: Stack, data: Mapping[str, Any]) -> dict[str, Any]:
    """Sign a user in at the deployed URL, and store the tokens beside the state file."""
    username, password = text(data, "username"), text(data, "password")
    new_password = text(data, "new_password") if data.get("new_password") else None
    ctx = of.context()
    status, answer = sessions.attempt(ctx, username, password, new_password)
    success = answer["status"] == "success"
    problem = None if success else of.runnable(str(refusal(ctx, answer)))
    new = answer.get("is_new")
    return {
        "http_status": status,
        "is_new": None if new is None else new == "true",
        "problem": problem,
        **{name: answer.get(name) for name in ("status", "msg", "code", "user_id")},
    }


def renew(of: Stack, data: Mapping[str, Any]) -> dict[str, Any]:
    """Get new tokens for a user with the stored refresh token."""
    found = sessions.renew(of.context(), text(data, "username"))
    if found is None:
        raise LoginError("No tokens of this user are stored.", hint="Sign in again.")
    return {"renewed": True}


class ComposedRequest(NamedTuple):
    """A request that the user put together, checked."""

    ctx: Context
    place: Destination
    call: Call
    # The choice of the token, and whose; the token itself.
    kind: str
    username: str
    token: str | None

    @property
    def url(self) -> str:
        """The URL that is called."""
        return calls.url_of(self.ctx, self.place, self.call.path)


def call(of: Stack, data: Mapping[str, Any]) -> dict[str, Any]:
    """Send a request to a method of the stack's own or an attached API."""
    made = _request(of, data)
    answer = calls.send(made.ctx, made.place, made.call, made.token)
    body, is_json = _shown(answer, made.token)
    return {
        "url": made.url,
        "status": answer.status,
        "reason": answer.reason,
        "elapsed_ms": answer.elapsed_ms,
        "headers": {name: _redacted(value, made.token) for name, value in answer.headers.items()},
        "body": body,
        "is_json": is_json,
        "refused": answer.is_refused,
    }


def _redacted(shown: str, token: str | None) -> str:
    """Return a text without the token, which an API may repeat."""
    return shown.replace(token, "(the token)") if token else shown


def _shown(answer: Response, token: str | None) -> tuple[str, bool]:
    """Return the body as text without the token, JSON with indents, and whether it is JSON."""
    body = _redacted(answer.body.decode(errors="replace"), token)
    if len(body) > INDENTED:
        cut = f"\n… and {len(body) - SHOWN} more characters" if len(body) > SHOWN else ""
        return body[:SHOWN] + cut, False
    try:
        return json.dumps(strict_json(body), indent=2, ensure_ascii=False), True
    except ValueError:
        return body, False


def curl(of: Stack, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the curl command of a request, without a token in it."""
    return {"command": _curl(of, _request(of, data, with_token=False))}


def explain(of: Stack, data: Mapping[str, Any]) -> dict[str, Any]:
    """Find out why a request is refused."""
    made = _request(of, data)
    found = explaining.explain(made.ctx, made.url, made.call.method, made.token).to_json()
    for name in ("message", "fix"):
        found[name] = of.runnable(found[name])
    return {**found, "notes": [of.runnable(note) for note in found["notes"]]}


def _request(of: Stack, data: Mapping[str, Any], *, with_token: bool = True) -> ComposedRequest:
    """Return the request, after checking all of it; raise UsageError if it can't be sent."""
    ctx = of.context()
    api, kind = text(data, "api"), data.get("token")
    own = api == ctx.fact("rest_api")
    if not own and api not in ctx.state.attachments:
        raise UsageError(
            f"The API {api} is neither the stack's own nor attached.",
            hint=f"Run '{ctx.state.command('attach --api NAME')}' to see another API's methods.",
        )
    if kind not in KINDS:
        raise UsageError(f"The token {kind!r} is unknown.", hint=f"Give one of {', '.join(KINDS)}.")
    wanted = _call(data)
    place = calls.find_destination(ctx, None if own else api, text(data, "stage"))
    # An id that doesn't exist any more may be another API's name.
    if not own and (place.api != api or place.stage not in ctx.state.stages_of(api)):
        raise UsageError(
            f"The stage {place.stage} of the API {api} isn't attached.",
            hint=f"Run '{ctx.state.command(f'attach --api {api}')}' to see what is.",
        )
    username = "" if kind == "none" else text(data, "username")
    token = _token(ctx, username, kind) if username and with_token else None
    return ComposedRequest(ctx, place, wanted, kind, username, token)


def _call(data: Mapping[str, Any]) -> Call:
    path, parameters = text(data, "path"), data.get("parameters") or {}
    if not (isinstance(parameters, dict) and all(isinstance(v, str) for v in parameters.values())):
        raise UsageError("The request's 'parameters' are not texts by name.")
    for name, value in parameters.items():
        # A greedy parameter, such as {proxy+}, stands for several segments.
        filled = quote(value, safe="/" if name.endswith("+") else "", errors="replace")
        if not filled:
            raise UsageError(f"The path's parameter {name} is empty.", hint="Give a value.")
        path = path.replace(f"{{{name}}}", filled)
    if "{" in path:
        raise UsageError(f"The path {path} lacks a parameter.", hint="Give a value.")
    if data.get("query"):
        path += f"?{text(data, 'query').removeprefix('?')}"
    headers = calls.parse_headers(tuple(_lines(data.get("headers") or [])))
    body = None
    if data.get("body"):
        given = text(data, "body").encode(errors="replace")
        headers, body = calls.with_json(headers, given, "The body")
    if (method := text(data, "method")) not in VERBS:
        raise UsageError(
            f"The method {method!r} is unknown.", hint=f"Give one of {', '.join(VERBS)}."
        )
    return calls.Call(method, path, headers, body)


def _lines(headers: object) -> Iterator[str]:
    """Yield headers as lines; raise UsageError unless they are pairs of texts."""
    for pair in headers if isinstance(headers, list) else [headers]:
        if not (isinstance(pair, list) and [type(each) for each in pair] == [str, str]):
            raise UsageError("The request's 'headers' are not pairs of a name and a value.")
        if pair[0].strip().lower() == "authorization":
            raise UsageError(
                "The header Authorization carries the token.",
                hint="Leave it out: the choice of the token sets it.",
            )
        yield ": ".join(pair)


def _token(ctx: Context, username: str, kind: str) -> str:
    """Return a user's valid token, or one that was valid before it was changed."""
    found = sessions.kept(ctx.state, username) or sessions.renew(ctx, username)
    if found is None:
        raise LoginError(f"{username} isn't signed in here.", hint="Sign in.")
    if kind == "tampered":
        return tokens.tampered(found["id_token"])
    return found[f"{kind}_token"]


def _curl(of: Stack, made: ComposedRequest) -> str:
    token = None
    if made.username:
        use = "access" if made.kind == "access" else "id"
        token = of.runnable(sessions.header_command(made.ctx.state, made.username, use))
        if made.kind == "tampered":
            token += f" | {TAMPER}"
    body = None if made.call.body is None else made.call.body.decode()
    return calls.curl(made.ctx, made.place, made.call, body, token)


def create_user(of: Stack, data: Mapping[str, Any]) -> dict[str, Any]:
    """Create a user with a temporary password, which is shown once."""
    username = text(data, "username")
    passwords.check_name(username)
    ctx = of.context()
    policy = users.password_policy(ctx)
    users.check_vacant(ctx, username)
    password = passwords.new_password(policy.least)
    users.create(ctx, username, password, policy, permanent=False)
    return {"created": username, "temporary_password": password, "days": policy.days}


def change_user(
    change: Callable[[Context, str], None], done: str
) -> Callable[[Stack, Mapping[str, Any]], dict[str, Any]]:
    """Return the function that makes a change of one user."""

    def run(of: Stack, data: Mapping[str, Any]) -> dict[str, Any]:
        username = text(data, "username")
        passwords.check_name(username)
        ctx = of.context()
        # As the pool spells the name.
        username = users.existing(ctx, username).username
        change(ctx, username)
        return {done: username}

    return run


sign_out = change_user(users.sign_out, "signed_out")
disable_user = change_user(users.disable, "disabled")
enable_user = change_user(users.enable, "enabled")
delete_user = change_user(users.delete, "deleted")
