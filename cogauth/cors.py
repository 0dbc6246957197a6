"""CORS: the headers by which an answer tells a browser whose pages may read it.

With one origin, or any, the header is the same in every answer. With several, it names the origin
that asks. API Gateway's header mappings can't choose, so a mapping template does.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cogauth.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY = "*"
ALLOW_ORIGIN, VARY = "Access-Control-Allow-Origin", "Vary"
# A template has to hold them all.
MOST_ORIGINS = 50
# As browsers send it: in lower case, and without the port that the scheme has anyway. So nothing
# of it means anything to a mapping template.
_HOST = r"(?:[a-z0-9_]|[a-z0-9_][a-z0-9._-]{0,251}[a-z0-9]|\[[0-9a-f:.]{2,45}\])"
ORIGIN = re.compile(rf"(?!http:.*:80$|https:.*:443$)https?://{_HOST}(?::([1-9][0-9]{{0,4}}))?")
_IN_TEMPLATE = re.compile(r"\$lower == '([^']+)'")
# What API Gateway's method and integration responses put before a header's name.
PARAMETER = "method.response.header."


def check_origins(origins: tuple[str, ...]) -> None:
    """See that these are origins as browsers send them, or ``*`` alone; else raise UsageError."""
    for origin in origins:
        if origin == "null":
            why = ": any page can have itself sandboxed to send it."
            hint = "Give the origin that your page is served from, such as http://localhost:3000."
        elif origin == ANY and len(origins) > 1:
            why = ": it allows all the others too"
            hint = "Give it alone, or the others without it."
        elif origin == ANY or _is_origin(origin):
            continue
        else:
            why = ""
            hint = (
                "Give a scheme, a host and, unless it is the scheme's own, a port, all in lower "
                "case and nothing behind them, such as https://app.example or "
                "http://localhost:3000; or '*' alone for any origin; or none alone."
            )
        raise UsageError(f"--cors-origin {origin!r} can't be used{why}", hint=hint)
    if len(origins) > MOST_ORIGINS:
        raise UsageError(
            f"--cors-origin was given {len(origins)} times: {MOST_ORIGINS} origins at the most."
        )


def _is_origin(origin: Any) -> bool:
    match = ORIGIN.fullmatch(origin) if isinstance(origin, str) else None
    return match is not None and int(match[1] or 1) <= 65535  # noqa: PLR2004 the ports that exist


def fixed_origin(origins: tuple[str, ...]) -> str | None:
    """Return what every answer's Access-Control-Allow-Origin may be; None if it depends."""
    return origins[0] if len(origins) == 1 else None


def with_origin(response: dict[str, Any], origins: tuple[str, ...], kind: str) -> dict[str, Any]:
    """Return an integration response, with a template of that kind, that names who may read it."""
    if not origins:
        return response
    fixed = fixed_origin(origins)
    # A cache must not give one origin's answer to another.
    headers = {ALLOW_ORIGIN: fixed} if fixed else {VARY: "Origin"}
    set_by = {f"{PARAMETER}{name}": f"'{value}'" for name, value in headers.items()}
    changed = {**response, "responseParameters": response.get("responseParameters", {}) | set_by}
    if fixed is None:
        templates = response.get("responseTemplates", {})
        changed["responseTemplates"] = {
            **templates,
            kind: "\n".join([origin_template(origins), templates.get(kind, "")]),
        }
    return changed


def origin_template(origins: tuple[str, ...]) -> str:
    """Return a mapping template's beginning that names the origin which asks, if it may.

    An override may make a header that nothing else sets, and may be applied once only. What is
    written into it is ours, never the request's. HTTP/2 sends header names in lower case, and
    ``$input.params()`` is said to tell the two apart.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-override-request-response-parameters.html
    """
    lines = [
        "#set($cased = $input.params().header.get('Origin'))",
        "#set($lower = $input.params().header.get('origin'))",
    ]
    branch = "#if"
    for origin in origins:
        lines += [
            f"{branch}($cased == '{origin}' || $lower == '{origin}')",
            f"#set($context.responseOverride.header.{ALLOW_ORIGIN} = '{origin}')",
        ]
        branch = "#elseif"
    return "\n".join([*lines, "#end"])


def origins_of(response: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the origins that an integration response names, as ``with_origin`` made it."""
    fixed = sent(response).get(ALLOW_ORIGIN, "").strip("'")
    templates = (response.get("responseTemplates") or {}).values()
    found = [fixed] if fixed else [one for text in templates for one in _IN_TEMPLATE.findall(text)]
    try:
        check_origins(tuple(found))
    except UsageError:
        # Somebody else's.
        return ()
    return tuple(found)


def sent(response: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of CORS that an integration response sets, by name."""
    return {
        name: value
        for key, value in (response.get("responseParameters") or {}).items()
        if (name := key.removeprefix(PARAMETER)) == VARY or name.startswith("Access-Control-")
    }
