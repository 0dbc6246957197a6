"""The context that every step receives: clients, names, tags, settings and state of the stack."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cogauth.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogauth.aws.clients import Aws
    from cogauth.aws.waiting import Waiter
    from cogauth.record.state import State

# Principals of the services that act on the stack's resources. Unlike host names, they are the
# same in every partition: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
SERVICE_PRINCIPALS = {
    "lambda": "lambda.amazonaws.com",
    "cognito-idp": "cognito-idp.amazonaws.com",
    "apigateway": "apigateway.amazonaws.com",
}


def refuse(question: str) -> None:
    """Refuse an irreversible action that the user hasn't agreed to; quote the question."""
    raise UsageError(f"{question} Nothing was touched.", hint="To answer yes, give --yes.")


@dataclass
class Context:
    """A stack in an account: everything a step needs to know, and nothing about the output.

    Attributes:
        waiter: from ``aws.waiter()``, so that one event ends both calls and waits.
        settle_s: how long to look for a resource that an interrupted run may have created, seconds.
        now: returns the time, in seconds since the epoch.
        confirm: asks a question before an irreversible action; raises CogauthError unless the
            answer is yes.
        made: the keys of the resources that this run recorded as created.
    """

    aws: Aws
    state: State
    waiter: Waiter
    settle_s: float = 15.0
    now: Callable[[], float] = time.time
    confirm: Callable[[str], None] = refuse
    made: set[str] = field(default_factory=set)

    @property
    def stack(self) -> str:
        """The stack's name."""
        return self.state.stack

    @property
    def tags(self) -> dict[str, str]:
        """The tags that mark every taggable resource as this stack's."""
        return {"cogauth:stack": self.state.stack, "cogauth:stack-id": self.state.stack_id}

    @property
    def name_with_id(self) -> str:
        """The name of a resource that can't be tagged: it carries the stack id."""
        return f"{self.state.stack}-{self.state.stack_id}"

    def owns(self, tags: dict[str, str]) -> bool:
        """Return whether these tags are this stack's."""
        # The id alone isn't enough: a state file could pair another stack's id with its own name.
        return self.tags.items() <= tags.items()

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this account and region."""
        aws = self.aws
        return f"arn:{aws.partition}:{service}:{aws.region}:{aws.account}:{resource}"

    def fact(self, resource: str, name: str = "id") -> str:
        """Return a fact from the record of a resource that exists."""
        return self.state.fact(resource, name)

    def url(self, path: str, *, api: str | None = None, stage: str | None = None) -> str:
        """Return the URL of a path in a deployed API; the default is the stack's own API."""
        api, stage = api or self.fact("rest_api"), stage or self.state.settings.stage
        if self.state.endpoint_url:
            # Local AWS emulators share this form.
            return f"{self.state.endpoint_url}/restapis/{api}/{stage}/_user_request_{path}"
        host = f"{api}.execute-api.{self.aws.region}.{self.aws.dns_suffix}"
        return f"https://{host}/{stage}{path}"

    def timestamp(self) -> str:
        """Return the current time in the form that records use."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat()

    @property
    def cognito_endpoint(self) -> str:
        """AWS's own URL for Cognito user pools in this region, even for a stack on an emulator."""
        return f"https://cognito-idp.{self.aws.region}.{self.aws.dns_suffix}"

    @property
    def issuer(self) -> str:
        """The issuer URL in the pool's tokens (source: see ``tokens.validate``)."""
        return f"{self.cognito_endpoint}/{self.fact('user_pool')}"

    @property
    def jwks_url(self) -> str:
        """The URL of the pool's public keys."""
        base = self.issuer
        if self.state.endpoint_url:
            base = f"{self.state.endpoint_url}/{self.fact('user_pool')}"
        return f"{base}/.well-known/jwks.json"
