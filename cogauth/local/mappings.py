"""Map requests to non-proxy integrations and back, as API Gateway does.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cogauth.local import templates
from cogauth.local.templates import (
    BodyError,
    CaseInsensitive,
    Refused,
    Rendered,
    TemplateError,
)

_JSON = "application/json"
_HEADER = "method.response.header."
_BODY = "integration.response.body"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile("[\t -~\x80-\ud7ff\ue000-\U0010ffff]*")
_log = logging.getLogger(__name__)


def misconfigured(why: str) -> Refused:
    """Log why the client gets a 500, as AWS does in an execution log."""
    _log.warning("Execution failed due to configuration error: %s", why)
    return Refused("API_CONFIGURATION_ERROR")


@dataclass(frozen=True)
class Client:
    """The parts of a client's request that mappings can use. ``context`` is ``$context``."""

    headers: CaseInsensitive
    query: Mapping[str, str]
    path: Mapping[str, str]
    body: bytes
    context: Mapping[str, Any]
    stage_variables: Mapping[str, str]

    def render(self, template: str, body: str) -> Rendered:
        """Render a template for a payload. Raises BodyError and Refused."""
        params = {"path": self.path, "querystring": self.query, "header": self.headers}
        more = {"context": self.context, "stage_variables": self.stage_variables}
        try:
            return templates.render(template, body, params=params, **more)
        except TemplateError as error:
            raise misconfigured(str(error)) from None


def integration_request(integration: Mapping[str, Any], client: Client) -> str:
    """Return the integration's request: the rendered template, or the client's body unchanged.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-passthrough-behaviors.html
    Raises Refused if the body doesn't fit the template, or has no template and needs one.
    """
    made = _by_media_type(integration["requestTemplates"])
    template = made.get(_media_type(client.headers.get("content-type", _JSON)))
    behavior = integration["passthroughBehavior"]
    if template is None and (behavior == "NEVER" or (behavior == "WHEN_NO_TEMPLATES" and made)):
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type")
    try:
        body = client.body.decode()
        return body.strip() if template is None else client.render(template, body).text
    except UnicodeDecodeError:
        raise BodyError("Could not parse request body into json") from None


def mock_status(request: str) -> str:
    """Return a MOCK integration's status, from the result of ``integration_request``.

    API Gateway doesn't require valid JSON: the Serverless Framework sends ``{statusCode:200}``, and
    a comma may follow. Raises Refused if there is no status.
    """
    try:
        asked = templates.parse_json(request)
        status = asked.get("statusCode") if isinstance(asked, dict) else None
    except BodyError:
        found = re.search(r"""statusCode["']?\s*:\s*(\d+)\b""", request)
        status = int(found[1]) if found else None
    if type(status) is not int:
        raise misconfigured("Unable to parse statusCode")
    return str(status)


def choose(integration: Mapping[str, Any], outcome: str | None) -> Mapping[str, Any]:
    """Return the integration response whose pattern matches the outcome, or the default one.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html
    ``outcome`` is a failed function's errorMessage or a status; None means success. Raises Refused.
    """
    responses: list[dict[str, Any]] = list((integration["integrationResponses"] or {}).values())
    for response in responses:
        pattern = response.get("selectionPattern")
        if pattern and outcome is not None and _matches(pattern, outcome):
            return response
    for response in responses:
        if not response.get("selectionPattern"):
            return response
    raise misconfigured("No match for output mapping and no default output mapping configured")


def respond(
    response: Mapping[str, Any], client: Client, body: str, headers: Mapping[str, str]
) -> tuple[int, dict[str, str], bytes]:
    """Return the status, headers and body that an integration response gives the client.

    ``body`` and ``headers`` are the integration's. Raises Refused if a mapping can't be applied.
    """
    kind, template = _template_for(response, client)
    sent = {"content-type": ("Content-Type", kind)}
    try:
        for parameter, source in (response.get("responseParameters") or {}).items():
            name, value = parameter.removeprefix(_HEADER), _mapped(source, client, body, headers)
            if value is not None:
                sent[name.lower()] = (name, value)
        rendered = client.render(template, body) if template else Rendered(body, None, {})
    except (BodyError, TemplateError) as error:
        raise misconfigured(str(error)) from None
    for name, value in rendered.headers.items():
        sent[name.lower()] = (name, value)
    if not all(can_be_sent(name, value) for name, value in sent.values()):
        raise misconfigured("a header's name or value can't be sent")
    status = rendered.status or int(response["statusCode"])
    return status, dict(sent.values()), rendered.text.encode(errors="replace")


def can_be_sent(name: Any, value: Any) -> bool:
    """Return whether a header is valid: https://www.rfc-editor.org/rfc/rfc9110#name-fields."""
    named = isinstance(name, str) and _NAME.fullmatch(name) is not None
    return named and _VALUE.fullmatch(str(value)) is not None


def _template_for(response: Mapping[str, Any], client: Client) -> tuple[str, str | None]:
    made = _by_media_type(response.get("responseTemplates"))
    accepted = map(_media_type, client.headers.get("accept", "").split(","))
    # A client that accepts none of them gets the first.
    kind = next((kind for kind in [*accepted, _JSON, *made] if kind in made), _JSON)
    return kind, made.get(kind)


def _mapped(source: str, client: Client, body: str, headers: Mapping[str, str]) -> str | None:
    start, _, name = source.partition(".")
    if source[:1] == source[-1:] == "'":
        return source[1:-1]
    if source.startswith("integration.response.header."):
        return headers.get(source.removeprefix("integration.response.header."))
    found: Any = None
    if start == "context":
        found = templates.find(client.context, f"$.{name}")
    elif start == "stageVariables":
        found = client.stage_variables.get(name)
    elif source == _BODY:
        found = body
    elif source.startswith(_BODY):
        path = f"${source.removeprefix(_BODY)}"
        found = templates.find(templates.parse_json(body or "{}"), path)
    return None if found is None else templates.text_of(found)


def _matches(pattern: str, outcome: str) -> bool:
    try:
        return re.fullmatch(pattern, outcome) is not None
    except re.error:
        _log.warning("The local AWS doesn't support the selection pattern %s", pattern)
        return False


def _by_media_type(made: Mapping[str, str | None] | None) -> dict[str, str | None]:
    return {_media_type(key): template for key, template in (made or {}).items()}


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()
