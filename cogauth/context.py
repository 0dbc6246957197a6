"""What every step is handed: the clients, the stack's names and tags, its settings and state."""

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

# Of a service that acts on our resources. These are the same in every partition, unlike the
# hosts' suffix: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
SERVICE_PRINCIPALS = {
    "lambda": "lambda.amazonaws.com",
    "cognito-idp": "cognito-idp.amazonaws.com",
    "apigateway": "apigateway.amazonaws.com",
}


def refuse(question: str) -> None:
    """Refuse to do what can't be made good without the user's word, and say what it was."""
    raise UsageError(f"{question} Nothing was touched. For yes, give --yes.")


@dataclass
class Context:
    """A stack in an account: what a step needs to know, and nothing of how it is shown.

    Attributes:
        waiter: of ``aws.waiter()``, so that one event ends calls and waits.
        settle_s: seconds after which what an interrupted create may have made is believed absent.
        now: the time, in seconds since the epoch.
        confirm: asked a question before something is done that can't be made good; raises
            CogauthError if the answer isn't yes.
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
        """The tags that every taggable resource carries; they say whose it is."""
        return {"cogauth:stack": self.state.stack, "cogauth:stack-id": self.state.stack_id}

    @property
    def name_with_id(self) -> str:
        """A name for what can't be tagged: it carries the stack-id."""
        return f"{self.state.stack}-{self.state.stack_id}"

    def owns(self, tags: dict[str, str]) -> bool:
        """Say whether these tags are this very stack's."""
        # Not the id alone: a state file could give another stack's with a name of its own.
        return self.tags.items() <= tags.items()

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this account and region."""
        aws = self.aws
        return f"arn:{aws.partition}:{service}:{aws.region}:{aws.account}:{resource}"

    def fact(self, resource: str, name: str = "id") -> str:
        """Return a fact of a resource that stands: what its record says."""
        return self.state.fact(resource, name)

    def url(self, path: str, *, api: str | None = None, stage: str | None = None) -> str:
        """Return the URL of a path of a deployed API: the stack's own, unless it is given."""
        api, stage = api or self.fact("rest_api"), stage or self.state.settings.stage
        if self.state.endpoint_url:
            # The form that the local AWS emulators share.
            return f"{self.state.endpoint_url}/restapis/{api}/{stage}/_user_request_{path}"
        host = f"{api}.execute-api.{self.aws.region}.{self.aws.dns_suffix}"
        return f"https://{host}/{stage}{path}"

    def timestamp(self) -> str:
        """Return the time as records have it."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat()

    @property
    def cognito_endpoint(self) -> str:
        """AWS's own URL of Cognito user pools in this region, wherever the stack stands."""
        return f"https://cognito-idp.{self.aws.region}.{self.aws.dns_suffix}"

    @property
    def issuer(self) -> str:
        """The URL that the pool's tokens name as their issuer (source: see ``tokens.verify``)."""
        return f"{self.cognito_endpoint}/{self.fact('user_pool')}"

    @property
    def jwks_url(self) -> str:
        """The URL of the pool's public keys."""
        base = self.issuer
        if self.state.endpoint_url:
            base = f"{self.state.endpoint_url}/{self.fact('user_pool')}"
        return f"{base}/.well-known/jwks.json"
