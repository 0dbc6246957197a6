"""The changes that a deployment would publish: how an API differs from what its stage serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cogauth.gateway.deployed import (
    AUTHORIZATION,
    AUTHORIZERS_SETTINGS,
    PASS_THROUGH,
    SETTINGS,
    exported_guard,
    exported_header,
    operations_of,
    schemes,
)
from cogauth.gateway.rest_apis import guard_of, header_of, issuers_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cogauth.aws.answers import Live
    from cogauth.gateway.rest_apis import LiveMethod


@dataclass(frozen=True)
class Pending:
    """A difference between a stage's deployment and the API's present state.

    Attributes:
        what: a method, such as ``GET /orders``, or an authorizer, such as ``authorizer jwt``.
        change: ``new``, ``deleted`` or ``changed``.
        fields: the changed fields.
    """

    what: str
    change: str
    fields: tuple[str, ...] = ()


def pending(
    document: Mapping[str, Any],
    methods: Iterable[LiveMethod],
    present: Iterable[Live],
    *,
    authorization: bool,
) -> list[Pending]:
    """Compare a stage's export with the API's live methods and the authorizers that they use.

    Gateway responses, the resource policy, models, request validators and documentation are not
    compared. Guards are compared only with ``authorization``: most emulators' exports lack them.
    """
    deployed = {f"{verb} {path}": shown for verb, path, shown in operations_of(document)}
    by_id = {one["id"]: one for one in present}
    found = []
    for live in methods:
        operation = deployed.pop(live.name, None)
        if operation is None:
            found.append(Pending(live.name, "new"))
            continue
        fields = []
        guard = exported_guard(operation, document)
        if authorization and guard.of_the_method != guard_of(live, by_id).of_the_method:
            fields.append(AUTHORIZATION)
        shown = operation.get("x-amazon-apigateway-integration") or {}
        integration = live.live.get("methodIntegration") or {}
        before, after = _integration(shown), _live_integration(integration)
        changed = [key for key in after if before[key] != after[key]]
        changed += _differing(SETTINGS, shown, integration)
        fields += [f"integration's {key}" for key in changed]
        if fields:
            found.append(Pending(live.name, "changed", tuple(fields)))
    found += [Pending(name, "deleted") for name in deployed]
    if authorization:
        found += _pending_authorizers(schemes(document), by_id.values())
    return found


def _differing(
    names: Mapping[str, str], shown: Mapping[str, Any], live: Mapping[str, Any]
) -> list[str]:
    """Return the exported settings that differ; an export writes enum values in lower case."""
    return [
        word
        for name, word in names.items()
        if name in shown and str(shown[name] or "").lower() != str(live.get(name) or "").lower()
    ]


def _integration(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {
        # An export writes enum values in lower case.
        "type": str(shown.get("type") or "").lower(),
        "URI": shown.get("uri") or None,
        "HTTP method": shown.get("httpMethod") or None,
        "credentials": shown.get("credentials") or None,
        "request parameters": shown.get("requestParameters") or {},
        "request templates": _templates(shown.get("requestTemplates")),
        "answers": {
            pattern: _answer(answer) for pattern, answer in (shown.get("responses") or {}).items()
        },
    }


def _live_integration(live: Mapping[str, Any]) -> dict[str, Any]:
    # An export keys a response by its selection pattern, the live API by its status.
    responses = {
        answer.get("selectionPattern") or "default": answer
        for answer in (live.get("integrationResponses") or {}).values()
    }
    return _integration({**live, "responses": responses})


def _answer(answer: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        str(answer.get("statusCode")),
        answer.get("responseParameters") or {},
        _templates(answer.get("responseTemplates")),
    )


def _templates(given: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return templates without those that pass a body through, which have several spellings."""
    return {
        kind: text for kind, text in (given or {}).items() if text not in {None, "", PASS_THROUGH}
    }


def _pending_authorizers(schemes: Mapping[str, Any], present: Iterable[Live]) -> list[Pending]:
    """Compare the authorizers of deployed methods; an export shows no others."""
    by_name = {one["name"]: one for one in present}
    found = []
    for name, scheme in schemes.items():
        shown = scheme.get("x-amazon-apigateway-authorizer")
        if not shown or name not in by_name:
            # It isn't an authorizer; or it is gone, which the methods show.
            continue
        live = by_name[name]
        fields = []
        if sorted(shown.get("providerARNs") or []) != sorted(live.get("providerARNs") or []):
            fields.append("user pools")
        if (shown.get("authorizerUri") or None) != (live.get("authorizerUri") or None):
            fields.append("function")
        header = exported_header(scheme)
        if shown.get("type") != "request" and header and header != header_of(live):
            fields.append("header")
        issuers = issuers_of(live)
        if issuers is not None and issuers_of(shown) not in {None, issuers}:
            fields.append("issuers")
        fields += _differing(AUTHORIZERS_SETTINGS, shown, live)
        if fields:
            found.append(Pending(f"authorizer {name}", "changed", tuple(fields)))
    return found
