"""What every step is handed: the clients, the stack's names and tags, its settings and state."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import UnknownRegionError

from cogauth.errors import UsageError
from cogauth.local import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from cogauth.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.model import OperationModel
    from types_boto3_apigateway import APIGatewayClient
    from types_boto3_cognito_idp import CognitoIdentityProviderClient
    from types_boto3_iam import IAMClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from types_boto3_sts import STSClient
    from types_boto3_sts.type_defs import GetCallerIdentityResponseTypeDef

    from cogauth.state import State

# botocore's default mode and attempts differ between its versions, so both are pinned here.
RETRIED = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=10,
    read_timeout=60,
    # As many as there may be calls to one service at once.
    max_pool_connections=20,
)
# For a create whose name is not unique: a blind retry after a lost response would leave a second
# one that nobody recorded.
ONCE = RETRIED.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))

# Of a service that acts on our resources. These are the same in every partition, unlike the
# hosts' suffix: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
SERVICE_PRINCIPALS = {
    "lambda": "lambda.amazonaws.com",
    "cognito-idp": "cognito-idp.amazonaws.com",
    "apigateway": "apigateway.amazonaws.com",
}


class Aws:
    """One AWS account and region (or an emulator of it): its clients, made when first used."""

    def __init__(
        self,
        *,
        profile: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        local: bool = False,
    ) -> None:
        """Prepare; no call is made yet.

        Args:
            profile: of the shared AWS configuration; None for AWS_PROFILE or the default.
            region: None for AWS's own variables or the profile's.
            endpoint_url: of another server than AWS's; None for AWS_ENDPOINT_URL or the profile's.
            local: the embedded local AWS, whose credentials are constants; the user's own profile
                and proxies are left out of it.

        Raises:
            ProfileNotFound: there is no such profile.
            UsageError: no region is set, or no partition of AWS has it; or the endpoint is no URL.
        """
        self._local = local
        if local:
            # Not even AWS_PROFILE is read.
            self._botocore = botocore.session.Session({"profile": (None, None, None, None)})
            self._botocore.set_credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
            region = region or "us-east-1"
        else:
            self._botocore = botocore.session.Session(profile=profile)
        self.region = self._check_region(region or self._botocore.get_config_variable("region"))
        configured = self._configured_endpoint()
        self.endpoint_url = _check_url(endpoint_url or configured)
        # Given to a client it would outrank AWS_ENDPOINT_URL_<SERVICE>; what botocore finds by
        # itself is left to it.
        self._given_endpoint = None if self.endpoint_url == configured else self.endpoint_url
        # Set by whoever wants no further call to begin.
        self.stop = Event()
        events = self._botocore.get_component("event_emitter")
        events.register("before-call", self._check_stop)
        events.register("after-call", _note_action)
        self._session = boto3.Session(botocore_session=self._botocore, region_name=self.region)

    def _check_stop(self, **_call: Any) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt

    def _check_region(self, region: str | None) -> str:
        if not region:
            raise UsageError(
                "No AWS region is set. Give --region (such as eu-central-1), set AWS_REGION, "
                "or run 'aws configure'. Without an AWS account: 'cogauth demo', or "
                "'cogauth up --local'."
            )
        try:
            self._botocore.get_partition_for_region(region)
        except UnknownRegionError as error:
            raise UsageError(
                f"The region {region!r} is none of AWS's: give one such as eu-central-1 "
                "with --region."
            ) from error
        return region

    def _configured_endpoint(self) -> str | None:
        """Return the endpoint that AWS's own variable or the profile sets for all services."""
        if self._botocore.get_config_variable("ignore_configured_endpoint_urls"):
            return None
        profile = self._botocore.get_scoped_config()
        return os.environ.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url")

    def make_clients(self, *names: str) -> None:
        """Make clients now, before threads share them: clients are safe there, sessions are not.

        Whatever else is read from the session is read now, too.

        Source: https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients

        Args:
            names: of the attributes of this class that they are.
        """
        for name in (*names, "dns_suffix"):
            getattr(self, name)

    def identify(self, *clients: str) -> None:
        """Ask who is calling, and make clients until the answer comes: each costs a moment.

        Args:
            clients: of the attributes of this class that they are.

        Raises:
            BotoCoreError, ClientError: no credentials, or none that AWS takes.
        """
        ask = self.sts.get_caller_identity
        credentials = self._botocore.get_credentials()
        if credentials is not None:
            # Some are only got when they are first used, by the session and so not in a thread.
            credentials.get_frozen_credentials()
        pool = ThreadPoolExecutor(1)
        try:
            asked = pool.submit(ask)
            for name in clients:
                getattr(self, name)
            self.identity = _identity(asked.result())
        finally:
            # A Ctrl-C doesn't wait for an answer that may take long to fail.
            pool.shutdown(wait=False)

    def _client(self, service: str, config: Config = RETRIED) -> Any:
        if self._local:
            config = config.merge(Config(proxies={}))
        make: Any = self._session.client  # its overloads ask for a literal name
        return make(service, endpoint_url=self._given_endpoint, config=config)

    @cached_property
    def sts(self) -> STSClient:
        """Security Token Service: who is calling."""
        return self._client("sts")  # type: ignore[no-any-return]

    @cached_property
    def cognito(self) -> CognitoIdentityProviderClient:
        """Cognito user pools."""
        return self._client("cognito-idp")  # type: ignore[no-any-return]

    @cached_property
    def cognito_once(self) -> CognitoIdentityProviderClient:
        """Cognito user pools, without a retry: for creates."""
        return self._client("cognito-idp", ONCE)  # type: ignore[no-any-return]

    @cached_property
    def iam(self) -> IAMClient:
        """Roles and policies."""
        return self._client("iam")  # type: ignore[no-any-return]

    @cached_property
    def lambda_(self) -> LambdaClient:
        """Functions."""
        return self._client("lambda")  # type: ignore[no-any-return]

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """CloudWatch log groups."""
        return self._client("logs")  # type: ignore[no-any-return]

    @cached_property
    def apigateway(self) -> APIGatewayClient:
        """API Gateway's REST APIs."""
        return self._client("apigateway")  # type: ignore[no-any-return]

    @cached_property
    def apigateway_once(self) -> APIGatewayClient:
        """API Gateway's REST APIs, without a retry: for creates."""
        return self._client("apigateway", ONCE)  # type: ignore[no-any-return]

    @cached_property
    def tagging(self) -> ResourceGroupsTaggingAPIClient:
        """What carries a tag."""
        return self._client("resourcegroupstaggingapi")  # type: ignore[no-any-return]

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The caller's account and partition (``aws``, ``aws-cn``, …): ``sts:GetCallerIdentity``.

        The first call of a run: it fails when there are no credentials, or expired ones.
        """
        return _identity(self.sts.get_caller_identity())

    @property
    def account(self) -> str:
        """The caller's account, 12 digits."""
        return self.identity[0]

    @property
    def partition(self) -> str:
        """The partition that the account is in."""
        return self.identity[1]

    @cached_property
    def dns_suffix(self) -> str:
        """The partition's suffix of hosts, as ``amazonaws.com``."""
        partitions = self._botocore.get_data("partitions")["partitions"]
        suffixes = {each["id"]: each["outputs"]["dnsSuffix"] for each in partitions}
        return str(suffixes[self.partition])


def _note_action(parsed: dict[str, Any], model: OperationModel, **_call: Any) -> None:
    """Keep the IAM action that a call asks for with its answer, for a denial to name.

    API Gateway's actions are named for the HTTP method: ``apigateway:POST``. The tagging API's
    have another prefix than its endpoint.
    """
    service = model.service_model.service_name
    operation = str(model.http["method"]) if service == "apigateway" else model.name
    prefix = service.replace("resourcegroupstaggingapi", "tag")
    parsed.setdefault("ResponseMetadata", {})["Action"] = f"{prefix}:{operation}"


def _identity(answer: GetCallerIdentityResponseTypeDef) -> tuple[str, str]:
    return answer["Account"], answer["Arn"].split(":")[1]


def _check_url(url: str | None) -> str | None:
    if not url:
        return None
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in {"http", "https"}
            and re.fullmatch(r"[\w.:%-]+", parts.hostname or "", re.ASCII)
            and parts.port != 0
        )
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            f"The endpoint {url!r} can't be used: give a URL such as http://127.0.0.1:4566."
        )
    return url.rstrip("/")


def refuse(what: str) -> None:
    """Refuse to make something anew without the user's word.

    Raises:
        UsageError: it says what was lost.
    """
    raise UsageError(f"{what}. Nothing was touched. To make it anew, give --yes.")


@dataclass
class Context:
    """A stack in an account: what a step needs to know, and nothing of how it is shown.

    Attributes:
        settle_s: seconds after which what an interrupted create may have made is believed absent.
        now: the time, in seconds since the epoch.
        confirm: asked before something is made anew that can't replace what was lost; raises
            CogauthError if that isn't wanted.
        made: the keys of the resources that this run recorded as standing.
    """

    aws: Aws
    state: State
    waiter: Waiter = field(default_factory=Waiter)
    settle_s: float = 15.0
    now: Callable[[], float] = time.time
    confirm: Callable[[str], None] = refuse
    made: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """End calls and waits by one event."""
        self.aws.stop = self.waiter.stop

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
        return tags.get("cogauth:stack-id") == self.state.stack_id

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

    @property
    def cognito_endpoint(self) -> str:
        """AWS's own URL of Cognito user pools in this region, wherever the stack stands."""
        return f"https://cognito-idp.{self.aws.region}.{self.aws.dns_suffix}"

    @property
    def issuer(self) -> str:
        """The URL that the pool's tokens name as their issuer.

        Source: https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
        """
        return f"{self.cognito_endpoint}/{self.fact('user_pool')}"

    @property
    def jwks_url(self) -> str:
        """The URL of the pool's public keys."""
        base = self.issuer
        if self.state.endpoint_url:
            base = f"{self.state.endpoint_url}/{self.fact('user_pool')}"
        return f"{base}/.well-known/jwks.json"
