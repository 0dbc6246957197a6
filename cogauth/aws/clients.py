"""One AWS account and region: its clients, their retries, and which data may go where."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError, UnknownRegionError

from cogauth.aws.answers import check_answer, note_action
from cogauth.aws.credentials import ask_mfa_code, understand_refresh
from cogauth.aws.environment import (
    CREDENTIALS,
    SENDABLE,
    as_endpoint,
    ca_bundle,
    check_clear,
    is_loopback,
)
from cogauth.aws.errors import AWS_ERRORS, NOT_AWS, endpoint_advice, unexpected
from cogauth.aws.waiting import Stop, Waiter
from cogauth.errors import CogauthError, NoRegionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
    from botocore.credentials import Credentials
    from botocore.model import OperationModel
    from types_boto3_apigateway import APIGatewayClient
    from types_boto3_cognito_idp import CognitoIdentityProviderClient
    from types_boto3_iam import IAMClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from types_boto3_sts import STSClient

    from cogauth.aws.environment import Keys

# botocore's default mode and attempts differ between its versions, so both are pinned here.
RETRIED = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=10,
    read_timeout=60,
    # The most calls that one service may get at once.
    max_pool_connections=20,
)
# For creates whose name is not unique: a blind retry after a lost response would leave a second
# resource that nobody recorded.
ONCE = RETRIED.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
# The profile's keys that say where its credentials come from, if it doesn't contain them.
SOURCES = (
    *("role_arn", "credential_process", "sso_session", "sso_start_url", "login_session"),
    "web_identity_token_file",
)


# In a request's context: the error of its last attempt.
FAILURE = "cogauth_failure"
# The beginning of an ARN.
PARTITIONED = re.compile(r"arn:aws(-[a-z]+)*:")


def _made(service: str, config: Config = RETRIED) -> Any:
    """Return an attribute of Aws: a client, created on first use."""
    return cached_property(lambda aws: aws._client(service, config))  # noqa: SLF001 Aws's own


class Aws:
    """One AWS account and region (or an emulator of it): its clients, created on first use.

    Attributes:
        allow_http: whether calls, passwords and tokens may go to another machine by plain HTTP.
        local_keys: the embedded local AWS's keys; None if the credentials are the user's.
        ca_bundle: the file with the certificates that every request trusts; None means certifi's.
        stop: once set, no further call begins, and no wait of ``waiter()``.
    """

    def __init__(
        self,
        *,
        profile: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        local: Keys | None = None,
        allow_http: bool = False,
    ) -> None:
        """Prepare, without making a call.

        Args:
            profile: in the shared AWS configuration; None for AWS_PROFILE or the default.
            region: None for AWS's own variables or the profile's.
            endpoint_url: used instead of AWS's; None for AWS_ENDPOINT_URL or the profile's.
            local: the embedded local AWS's keys, to use that; the user's AWS configuration and
                proxies are then ignored.
            allow_http: see the class.

        Raises:
            ProfileNotFound, CogauthError: the configuration or an argument can't be used.
        """
        self.local_keys = local
        self.allow_http = allow_http
        if local:
            region = region or "us-east-1"
        self._botocore = (
            _unconfigured(local) if local else botocore.session.Session(profile=profile)
        )
        with self._understood():
            self.region = self._check_region(region or self._botocore.get_config_variable("region"))
            configured = None if local else self._configured_endpoint()
            self.endpoint_url = _check_url(endpoint_url or configured)
            # Passed to a client, an endpoint outranks AWS_ENDPOINT_URL_<SERVICE>; so botocore is
            # left to find the configured one itself.
            self._given_endpoint = None if self.endpoint_url == configured else self.endpoint_url
            self.ca_bundle: str | None = None
            # Plain HTTP means an emulator.
            if not (self.endpoint_url or "").startswith("http:"):
                profile_config = self._botocore.get_scoped_config()
                self.ca_bundle = ca_bundle(profile_config.get("ca_bundle"))
        self.stop = Stop()
        events = self._botocore.get_component("event_emitter")
        events.register("before-call", self._check_stop)
        # For every client, including those that botocore itself creates to get credentials.
        events.register("before-send", self._check_clear)
        events.register("before-parse", check_answer)
        events.register("needs-retry", self._note_failure)
        events.register("request-created", self._retry_no_more)
        events.register("after-call", note_action)
        self._session = boto3.Session(botocore_session=self._botocore, region_name=self.region)
        if not local:
            with self._understood():
                providers = self._botocore.get_component("credential_provider")
                # botocore has no public way to replace its prompt, which without a terminal reads
                # stdin, where a password may be.
                providers.get_provider("assume-role")._prompter = ask_mfa_code  # noqa: SLF001

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn whatever botocore raises over the user's AWS configuration into a readable error.

        botocore lets ValueError, KeyError and OSError through, for example for an invalid number.
        """
        try:
            yield
        except (CogauthError, *AWS_ERRORS):
            raise
        except Exception as error:
            words, quoted = unexpected(error)
            said = [f"The AWS configuration can't be used ({words}).", quoted]
            raise CogauthError(" ".join(filter(None, said)), hint=self._sources()) from error

    def _sources(self) -> str:
        found = [key for key in SOURCES if key in self._botocore.get_scoped_config()]
        look = f"{', '.join(found)} of the {self._profile}" if found else f"the {self._profile}"
        return f"Look at {look}, and at the variables whose names begin with AWS_."

    @property
    def _profile(self) -> str:
        return f"profile {self._botocore.profile or 'default'}"

    def _check_stop(self, **_call: Any) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt

    def _note_failure(
        self,
        *,
        response: tuple[AWSResponse, dict[str, Any]] | None,
        operation: OperationModel,
        attempts: int,
        request_dict: dict[str, Any],
        caught_exception: Exception | None,
        **_call: Any,
    ) -> None:
        """Note what an attempt came to; raise it if no call may begin any more.

        botocore would make its remaining attempts, each after a pause.
        """
        error = caught_exception
        if response is not None and response[0].status_code >= HTTPStatus.MULTIPLE_CHOICES:
            answer = response[1]
            note_action(answer, operation, request_dict["context"])
            # As botocore itself counts: an earlier attempt may have had an effect.
            answer["ResponseMetadata"]["RetryAttempts"] = attempts - 1
            error = ClientError(answer, operation.name)  # type: ignore[arg-type]
        if error is not None and self.stop.is_set():
            raise error
        request_dict["context"][FAILURE] = error

    def _retry_no_more(self, request: AWSRequest, **_call: Any) -> None:
        """End a call with what its last attempt came to, if it was stopped in the pause."""
        error: Exception | None = request.context.get(FAILURE)
        if error is not None and self.stop.is_set():
            raise error

    def _check_clear(self, request: AWSPreparedRequest, **_call: Any) -> None:
        check_clear(request.url, "A call signed with your credentials", allowed=self.allow_http)

    def _check_region(self, region: str | None) -> str:
        if not region:
            raise NoRegionError(
                "No AWS region is set.",
                hint=(
                    "Give --region (such as eu-central-1), set AWS_REGION, or run 'aws configure'. "
                    "Without an AWS account: 'cogauth demo', or 'cogauth up' with --local."
                ),
            )
        try:
            # Its pattern accepts a line end.
            self._botocore.get_partition_for_region(region if region == region.strip() else "")
        except UnknownRegionError as error:
            raise UsageError(
                f"Unknown AWS region {region!r}",
                hint="Give one such as eu-central-1 with --region.",
            ) from error
        return region

    def _configured_endpoint(self) -> str | None:
        if self._botocore.get_config_variable("ignore_configured_endpoint_urls"):
            return None
        profile = self._botocore.get_scoped_config()
        return os.environ.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url")

    def waiter(self) -> Waiter:
        """Return a waiter whose waits end when no further call may begin."""
        return Waiter(stop=self.stop)

    def make_clients(self, *names: str) -> None:
        """Create clients, by their attributes' names, before threads share them.

        Clients are thread-safe, sessions are not, so the session is read only now:
        https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
        """
        for name in (*names, "dns_suffix"):
            getattr(self, name)

    def identify(self, *clients: str) -> None:
        """Ask AWS who is calling; create clients until it answers, because each takes a moment.

        Raises:
            BotoCoreError, ClientError: there are no credentials, or AWS refuses them.
            CogauthError: the credentials can't be got or sent, or AWS isn't what answers.
        """
        _ = self.sts  # Created before threads share the session.
        credentials = self._botocore.get_credentials()
        if credentials is not None:
            # Some are fetched only on first use. That needs the session, so no thread may do it;
            # and it may ask on the terminal, so it comes before any other output or question.
            self._check_credentials(credentials)
        pool = ThreadPoolExecutor(1)
        try:
            asked = pool.submit(lambda: self.identity)
            for name in clients:
                getattr(self, name)
            asked.result()
        finally:
            # Ctrl-C doesn't wait for an answer that may take long to fail.
            pool.shutdown(wait=False)

    def _check_credentials(self, credentials: Credentials) -> None:
        """Check that the credentials can be sent: a sender's error would quote them."""
        with self._understood():
            frozen = credentials.get_frozen_credentials()
        understand_refresh(credentials)
        for part, variables in CREDENTIALS.items():
            value = getattr(frozen, part)
            is_sendable = isinstance(value, str) and SENDABLE.fullmatch(value)
            if is_sendable or (value is None and part == "token"):
                continue
            where = f"The {part.replace('_', ' ')} of the {self._profile} ({credentials.method})"
            if credentials.method == "env":
                where = next(name for name in variables if os.environ.get(name))
            raise UsageError(
                f"{where} is empty, or contains a character that no credential contains, such as a "
                "line end or a blank (it isn't shown here).",
                hint="Set it again.",
            )

    def _client(self, service: str, config: Config) -> Any:
        make: Any = self._session.client  # its overloads ask for a literal name
        make = partial(make, service, endpoint_url=self._given_endpoint)
        # A proxy can't reach this machine, and must not get signed requests in clear text.
        direct = config.merge(Config(proxies={}))
        with self._understood():
            if self.local_keys or _is_near(self.endpoint_url):
                return make(config=direct)
            client = make(config=config)
            # A service may have an endpoint of its own.
            return make(config=direct) if _is_near(client.meta.endpoint_url) else client

    # The clients without retries are for creates.
    sts: cached_property[STSClient] = _made("sts")
    cognito: cached_property[CognitoIdentityProviderClient] = _made("cognito-idp")
    cognito_once: cached_property[CognitoIdentityProviderClient] = _made("cognito-idp", ONCE)
    iam: cached_property[IAMClient] = _made("iam")
    lambda_: cached_property[LambdaClient] = _made("lambda")
    logs: cached_property[CloudWatchLogsClient] = _made("logs")
    apigateway: cached_property[APIGatewayClient] = _made("apigateway")
    apigateway_once: cached_property[APIGatewayClient] = _made("apigateway", ONCE)
    tagging: cached_property[ResourceGroupsTaggingAPIClient] = _made("resourcegroupstaggingapi")

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The caller's account and partition (``aws``, ``aws-cn``, …): ``sts:GetCallerIdentity``.

        This is the first call of a run: it fails if there are no credentials or they have expired.
        """
        answer = self.sts.get_caller_identity()
        account, arn = str(answer.get("Account")), str(answer.get("Arn"))
        # Both become a part of ARNs, in policies too.
        if not re.fullmatch(r"\d{12}", account, re.ASCII) or not PARTITIONED.match(arn):
            raise CogauthError(f"The answer isn't from AWS STS. {NOT_AWS}", hint=endpoint_advice())
        return account, arn.split(":")[1]

    @property
    def account(self) -> str:
        """The caller's account, 12 digits."""
        return self.identity[0]

    @property
    def partition(self) -> str:
        """The partition that the account is in."""
        return self.identity[1]

    @property
    def regions_partition(self) -> str:
        """The partition that the region is in, by botocore's data: AWS isn't asked."""
        return str(self._botocore.get_partition_for_region(self.region))

    @cached_property
    def dns_suffix(self) -> str:
        """The partition's host name suffix, such as ``amazonaws.com``."""
        partitions = self._botocore.get_data("partitions")["partitions"]
        suffixes = {each["id"]: each["outputs"]["dnsSuffix"] for each in partitions}
        if self.partition not in suffixes:
            raise CogauthError(
                f"The account is in the partition {self.partition!r}, which botocore doesn't know. "
                f"{NOT_AWS}",
                hint=endpoint_advice(),
            )
        return str(suffixes[self.partition])


def _unconfigured(keys: Keys) -> botocore.session.Session:
    known = botocore.session.Session.SESSION_VARIABLES
    variables = {name: (None, None, *rest) for name, (_key, _variable, *rest) in known.items()}
    nowhere = (None, None, os.devnull, None)
    files = {"config_file": nowhere, "credentials_file": nowhere}
    session = botocore.session.Session(variables | files)
    session.set_credentials(*keys)
    return session


def _check_url(url: str | None) -> str | None:
    if not url:
        return None
    if (found := as_endpoint(url)) is None:
        shown = "" if "@" in url else f" {url!r}"
        raise UsageError(
            f"The endpoint{shown} can't be used",
            hint="Give a URL such as http://127.0.0.1:4566, without a user's name or password.",
        )
    return found


def _is_near(url: str | None) -> bool:
    return urlsplit(url or "").scheme == "http" and is_loopback(url or "")
