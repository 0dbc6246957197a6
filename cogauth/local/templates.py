"""Render mapping templates as API Gateway does, with airspeed-ext.

airspeed-ext implements API Gateway's dialect of Velocity: its authors recorded AWS's result for
each of its tests. This module adds AWS's own ``$input``, ``$util`` and overrides.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote_plus, unquote_plus

_STATUSES = range(100, 600)
_STEP = re.compile(r"""\.([\w-]+)|\[(-?\d+)\]|\['([^']*)'\]|\["([^"]*)"\]|(\.\*|\[\*\])""")


class TemplateError(Exception):
    """A template can't be rendered. The message contains no data."""


class Refused(Exception):  # noqa: N818 it is an answer
    """The gateway itself answers, with a gateway response of this kind and this message."""

    def __init__(self, kind: str, message: str = "Internal server error") -> None:
        super().__init__(message)
        self.kind = kind


class BodyError(Refused):
    """The body isn't JSON. The message doesn't quote it."""

    def __init__(self, message: str) -> None:
        super().__init__("BAD_REQUEST_BODY", message)


@dataclass(frozen=True)
class Rendered:
    """A rendered template: the text, and its overrides of the response."""

    text: str
    status: int | None
    headers: dict[str, str]


def render(
    template: str,
    body: str,
    *,
    params: Mapping[str, Mapping[str, str]] | None = None,
    context: Mapping[str, Any] | None = None,
    stage_variables: Mapping[str, str] | None = None,
) -> Rendered:
    """Render a template of an integration's request or response for a body.

    ``params`` is the result of ``$input.params()``: the request's ``path``, ``querystring`` and
    ``header``; ``context`` and ``stage_variables`` are ``$context`` and ``$stageVariables``. Raises
    BodyError if the template needs JSON and the body isn't, TemplateError for other failures.
    """
    airspeed = _airspeed()
    override = _Once(header=_Once())
    names = {
        "input": _Input(body, {kind: (params or {}).get(kind, {}) for kind in _KINDS}),
        "util": _Util(),
        "context": {
            **_of_java(dict(context or {})),
            "responseOverride": override,
            "requestOverride": {kind: {} for kind in _KINDS},
        },
        "stageVariables": _of_java(dict(stage_variables or {})),
    }
    try:
        text = _parsed(template).merge(names)
    except (airspeed.TemplateError, RecursionError) as error:
        if isinstance(error.__cause__, BodyError | TemplateError):
            raise error.__cause__ from None
        # A syntax error quotes the template; other errors may quote the data.
        syntax = isinstance(error, airspeed.TemplateSyntaxError)
        why = str(error) if syntax else type(error.__cause__ or error).__name__
        raise TemplateError(f"The mapping template can't be rendered: {why}") from None
    status = override.get("status")
    headers = {name: text_of(value) for name, value in override["header"].items()}
    # API Gateway ignores an invalid status.
    return Rendered(text, status if type(status) is int and status in _STATUSES else None, headers)


@cache
def _airspeed() -> Any:
    """Import the library, which only templates need."""
    import airspeed  # type: ignore[import-untyped]  # noqa: PLC0415

    # Give our classes Velocity's methods, such as size() and keySet().
    methods = airspeed.operators.__additional_methods__
    for kind in (_Object, CaseInsensitive, _Once, _List):
        methods[kind] = methods[list if kind is _List else dict]
    return airspeed


@lru_cache(maxsize=128)
def _parsed(template: str) -> Any:
    """Parse a template, and cache it, because parsing takes longer than all the rest."""
    return _airspeed().Template(template)


def parse_json(text: str) -> Any:
    """Parse a JSON text more strictly than Python does. Raises BodyError."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        # A JSONDecodeError only says what it expected, and where.
        why = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
        raise BodyError(f"Could not parse request body into json{why}") from None


def find(value: Any, path: str) -> Any:
    """Return what a JSONPath finds; None if nothing.

    It supports names, indices and wildcards. Raises TemplateError for others, such as ``..``.
    """
    found, position, many = [value], 1, False
    while position < len(path):
        step = _STEP.match(path, position) if path[0] == "$" else None
        if step is None:
            raise TemplateError(f"The local AWS doesn't support the JSONPath {path}")
        position = step.end()
        if step[5]:
            many = True
            found = [each for one in found for each in _all_in(one)]
        else:
            key = int(step[2]) if step[2] else step[1] or step[3] or step[4] or ""
            found = [one[key] for one in found if _has(one, key)]
    return found if many else next(iter(found), None)


def text_of(value: Any) -> str:
    """Return a value as text for a header or a template: strings unchanged, others as JSON."""
    return value if isinstance(value, str) else _json(value)


class CaseInsensitive(dict[str, str]):
    """Headers by name, in any case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value."""
        return super().get(name.lower(), default)


_KINDS = ("path", "querystring", "header")


class _Input:
    """``$input``."""

    def __init__(self, body: str, params: dict[str, Mapping[str, str]]) -> None:
        self.body = body or "{}"
        self._params = params

    def path(self, path: str) -> Any:
        return _of_java(self._find(path))

    def json(self, path: str) -> str:
        found = self._find(path)
        return _json("" if found is None and path != "$" else found)

    def params(self, name: str | None = None) -> Any:
        if name is None:
            return _Object(self._params)
        found = (values.get(name) for values in self._params.values())
        return next((value for value in found if value is not None), "")

    def _find(self, path: str) -> Any:
        try:
            value = parse_json(self.body)
        except BodyError:
            # Treat other bodies, such as forms, as strings, unless they begin like JSON.
            if self.body.lstrip()[:1] in {"{", "[", '"'}:
                raise
            value = self.body
        return find(value, path)


class _Util:
    """``$util``."""

    def escapeJavaScript(self, value: Any) -> str:  # noqa: N802 the name is AWS's
        escaped = json.dumps(text_of(value))[1:-1]
        return escaped.replace("'", r"\'").replace("/", r"\/")

    def parseJson(self, text: str) -> Any:  # noqa: N802
        return _of_java(parse_json(text))

    def urlEncode(self, text: str) -> str:  # noqa: N802
        return quote_plus(text, safe="*").replace("~", "%7E")

    def urlDecode(self, text: str) -> str:  # noqa: N802
        return unquote_plus(text)

    def base64Encode(self, text: str) -> str:  # noqa: N802
        return base64.b64encode(text.encode()).decode()

    def base64Decode(self, text: str) -> str:  # noqa: N802
        return base64.b64decode(text).decode(errors="replace")


class _Object(dict[str, Any]):
    """An object, which Java prints as ``{a=1, b=[2]}``."""

    def __str__(self) -> str:
        return "{" + ", ".join(f"{key}={_printed(value)}" for key, value in self.items()) + "}"


class _List(list[Any]):
    """An array, which API Gateway prints as JSON."""

    def __str__(self) -> str:
        return _json(self)


class _Once(dict[str, Any]):
    """Overrides. AWS answers 5xx if a template sets one twice.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-override-request-response-parameters.html
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self:
            raise TemplateError(f"{key} is overridden twice")
        super().__setitem__(key, value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _of_java(value: Any) -> Any:
    if isinstance(value, dict):
        return _Object({key: _of_java(each) for key, each in value.items()})
    return _List(map(_of_java, value)) if isinstance(value, list) else value


def _printed(value: Any) -> str:
    return str(value) if isinstance(value, str | dict | list) else json.dumps(value)


def _all_in(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _has(value: Any, key: str | int) -> bool:
    if isinstance(key, str):
        return isinstance(value, dict) and key in value
    return isinstance(value, list) and -len(value) <= key < len(value)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
