"""AWS's errors explained to a user: what happened, why, and what to do about it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as botocore_errors
from botocore.exceptions import ClientError, ProfileNotFound
from botocore.parsers import ResponseParserError

from cogauth.aws.clients import Aws
from cogauth.aws.environment import Keys
from cogauth.aws.errors import AWS_ERRORS, EXPIRED, INVALID, failure, is_definite, translate
from cogauth.aws.waiting import TimedOutError
from cogauth.errors import CogauthError, UsageError
from support.account import Account
from support.calls import Call, refusal

SECRET = "wJalrXUtnFEMIxK7MDENGxbPxRfiCYEXAMPLEKEY"
EXPIRED_CODES = ["ExpiredToken", "ExpiredTokenException", "RequestExpired"]
INVALID_CODES = [
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
]


def explained(error: Exception) -> str:
    return str(translate(error))


def answered(
    code: str,
    message: str = "",
    operation: str = "CreateRole",
    status: int = 400,
    **metadata: Any,
) -> Any:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, **metadata},
    }
    return ClientError(response, operation)


def write_config(patch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    path = folder / "config"
    path.write_text(text)
    patch.setenv("AWS_CONFIG_FILE", str(path))


def raised(aws: Aws) -> Exception:
    with pytest.raises(AWS_ERRORS) as caught:
        _ = aws.account
    return caught.value


# ---- credentials and configuration, as botocore finds them


def test_no_credentials(no_credentials: pytest.MonkeyPatch) -> None:
    del no_credentials
    text = explained(raised(Aws(region="eu-central-1")))
    for remedy in ("aws configure", "aws sso login", "--profile", "cogauth demo"):
        assert remedy in text


def test_half_of_the_credentials(no_credentials: pytest.MonkeyPatch) -> None:
    no_credentials.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    text = explained(raised(Aws(region="eu-central-1")))
    assert "incomplete" in text
    assert "AWS_SECRET_ACCESS_KEY" in text


def test_an_unknown_profile(no_credentials: pytest.MonkeyPatch) -> None:
    del no_credentials
    with pytest.raises(AWS_ERRORS) as caught:
        Aws(profile="nobody", region="eu-central-1")
    text = explained(caught.value)
    assert "nobody" in text
    assert "aws configure list-profiles" in text


def test_an_sso_session_that_never_began(
    no_credentials: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_credentials.setenv("HOME", str(tmp_path))
    config = """
[profile work]
region = eu-central-1
sso_session = corp
sso_account_id = 123456789012
sso_role_name = admin
[sso-session corp]
sso_start_url = https://corp.example/start
sso_region = eu-central-1
"""
    write_config(no_credentials, tmp_path, config)
    assert "aws sso login" in explained(raised(Aws(profile="work")))


def test_a_configuration_that_is_none(no_credentials: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_config(no_credentials, tmp_path, "[unfinished\nregion")
    with pytest.raises(AWS_ERRORS) as caught:
        Aws()
    assert "configuration can't be read" in explained(caught.value)


def test_no_region(no_credentials: pytest.MonkeyPatch) -> None:
    del no_credentials
    with pytest.raises(UsageError, match="--region"):
        Aws()


@pytest.mark.parametrize("region", ["atlantis", "eu_central_1", "eu-central-1 ", "https://x"])
def test_a_region_that_is_none(no_credentials: pytest.MonkeyPatch, region: str) -> None:
    del no_credentials
    with pytest.raises(UsageError, match="--region"):
        Aws(region=region)


@pytest.mark.parametrize(
    "url", ["localhost:4566", "ftp://x", "http://", "http://x:0", "http://x:y"]
)
def test_an_endpoint_that_is_none(no_credentials: pytest.MonkeyPatch, url: str) -> None:
    del no_credentials
    with pytest.raises(UsageError, match="endpoint"):
        Aws(region="eu-central-1", endpoint_url=url)


def test_no_network(no_credentials: pytest.MonkeyPatch) -> None:
    no_credentials.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    no_credentials.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    aws = Aws(region="eu-central-1", endpoint_url="http://127.0.0.1:9")
    unreachable = botocore_errors.EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    def cut(**_: Any) -> None:
        raise unreachable

    aws.sts.meta.events.register("before-call", cut)
    text = explained(raised(aws))
    assert "can't be reached" in text
    assert "127.0.0.1:9" in text
    assert "--endpoint-url" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "error",
    [
        botocore_errors.ConnectTimeoutError(endpoint_url="https://x", error="slow"),
        botocore_errors.ReadTimeoutError(endpoint_url="https://x", error="slow"),
        botocore_errors.ConnectionClosedError(endpoint_url="https://x"),
        botocore_errors.ProxyConnectionError(proxy_url="http://proxy", error="no"),
        botocore_errors.SSLError(endpoint_url="https://x", error="certificate"),
        botocore_errors.HTTPClientError(error="broken"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_network_that_fails_in_another_way(error: Exception) -> None:
    text = explained(error)
    assert "can't be reached" in text
    assert "network" in text


# ---- what AWS answers


@pytest.mark.parametrize("code", EXPIRED_CODES)
def test_expired_credentials(code: str) -> None:
    text = explained(answered(code, f"The security token {SECRET} is expired"))
    assert code in text
    assert "expired" in text
    assert "aws sso login" in text
    assert "continues where it stopped" in text
    assert SECRET not in text


@pytest.mark.parametrize("code", INVALID_CODES)
def test_credentials_that_aws_doesnt_take(code: str) -> None:
    text = explained(answered(code, f"The key {SECRET} is not known.", Region="eu-central-1"))
    assert code in text
    assert "AWS_PROFILE" in text
    assert "AWS says: The key (not shown) is not known." in text
    assert "enabled" not in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "code", ["InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "OptInRequired"]
)
@pytest.mark.parametrize("region", ["ap-east-1", "eu-south-2", "me-central-1", "il-central-1"])
def test_a_region_that_may_not_be_enabled(code: str, region: str) -> None:
    words = "The security token included in the request is invalid."
    text = explained(answered(code, words, "GetCallerIdentity", 403, Region=region))
    # The region comes first: most users who get this error have valid credentials.
    assert text.startswith(f"The region {region} may not be enabled for the account")
    assert words in text
    assert ("AWS doesn't accept these credentials" in text) is (code != "OptInRequired")


def test_proxies_are_no_cause_of_what_aws_itself_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    text = explained(answered("InvalidClientTokenId", "No."))
    assert "AWS_ENDPOINT_URL_STS" in text
    assert "PROXY" not in text


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "us-isob-east-1"])
def test_a_region_whose_accounts_are_its_own(region: str) -> None:
    text = explained(
        answered("InvalidClientTokenId", "no", "GetCallerIdentity", 403, Region=region)
    )
    assert f"The region {region} needs an account of its own partition" in text
    assert "enabled" not in text


def test_the_region_is_that_of_the_call() -> None:
    aws = Aws(region="ap-east-1", local=Keys.new())
    aws.sts.meta.events.register("before-call", lambda **_: refusal(403, "InvalidClientTokenId"))
    assert "The region ap-east-1 may not be enabled" in explained(raised(aws))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and ours is too large."),
        ("RequestInTheFuture", "The date stamp is in the future."),
        ("RequestExpired", "Request has expired."),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261126T100000Z is now earlier than 20261126T111500Z",
        ),
        (
            "InvalidSignatureException",
            "Signature not yet current: 20261126T130000Z is still later than 20261126T120500Z",
        ),
    ],
)
def test_a_clock_that_is_wrong(code: str, message: str) -> None:
    date = "Thu, 26 Nov 2026 11:00:00 GMT"
    text = explained(answered(code, message, status=403, HTTPHeaders={"date": date}))
    assert "this machine's clock differs" in text
    assert f"(AWS: {date}; here: " in text
    assert message.removesuffix(".") in text
    assert "doesn't accept these credentials" not in text
    assert "clock" in explained(answered(code, message))


def test_a_signature_that_doesnt_match_is_shown_without_what_was_signed() -> None:
    message = (
        "The request signature we calculated does not match.\n\nThe Canonical String for this "
        f"request should have been\n'POST\n/\nx-amz-security-token:{SECRET[:20]}\nhost'"
    )
    text = explained(answered("SignatureDoesNotMatch", message, status=403))
    assert "does not match" in text
    assert SECRET[:20] not in text


def test_a_session_with_mfa_that_ends_on_the_way() -> None:
    text = explained(botocore_errors.RefreshWithMFAUnsupportedError())
    assert "continues where it stopped" in text
    assert "duration_seconds" in text


def test_an_mfa_code_that_aws_doesnt_take() -> None:
    message = "MultiFactorAuthentication failed with invalid MFA one time pass code."
    text = explained(answered("AccessDenied", message, "AssumeRole", 403))
    assert "rejects the MFA code" in text
    assert message in text
    assert "permission" not in text


@pytest.mark.parametrize(
    ("operation", "message", "named"),
    [
        ("CreateFunction", "arm64 is not supported in this region.", True),
        ("UpdateFunctionCode", "Unsupported Architectures: [arm64]", True),
        ("CreateFunction", "The role defined for the function cannot be assumed.", False),
        ("CreateRole", "arm64", False),
    ],
)
def test_an_architecture_that_isnt_in_the_region(
    operation: str, message: str, *, named: bool
) -> None:
    text = explained(answered("InvalidParameterValueException", message, operation))
    assert ("--architecture x86_64" in text) is named
    assert message.removesuffix(".") in text


@pytest.mark.parametrize("code", ["", "404", "502"])
def test_an_answer_that_isnt_awss(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    text = explained(answered(code, "<html>Not Found</html>", "GetCallerIdentity", 404))
    assert "AWS_ENDPOINT_URL='http://127.0.0.1:4566'" in text
    assert "<html>Not Found</html>" in text
    assert "endpoint_url in the profile" in text


@pytest.mark.parametrize(
    "variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "HTTPS_PROXY", "http_proxy"]
)
def test_what_leads_elsewhere_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9"
    monkeypatch.setenv(variable, url)
    dead = botocore_errors.EndpointConnectionError(endpoint_url=url)
    assert f"{variable}='{url}'" in explained(dead)
    assert f"{variable}='{url}'" in explained(ResponseParserError("<html>"))


def test_an_endpoint_that_the_profile_names() -> None:
    there = botocore_errors.EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    assert "endpoint_url in the profile" in explained(there)
    for host in ("sts.eu-central-1.amazonaws.com", "sts.cn-north-1.amazonaws.com.cn"):
        aws = botocore_errors.EndpointConnectionError(endpoint_url=f"https://{host}/")
        assert "endpoint_url" not in explained(aws)


def test_the_variable_whose_value_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
    text = explained(ValueError("invalid literal for int() with base 10: 'many'"))
    assert "AWS_MAX_ATTEMPTS='many'" in text


@pytest.mark.parametrize("value", ["1", "true", "line"])
def test_a_variable_that_is_not_quoted_is_not_named(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SDK_LOAD_CONFIG", value)
    text = explained(ValueError("Expecting value: true: line 1 column 1 (char 0)"))
    assert "AWS_SDK_LOAD_CONFIG" not in text


@pytest.mark.parametrize("variable", [True, False], ids=["variable", "option"])
def test_a_profile_without_a_name(
    no_credentials: pytest.MonkeyPatch,
    *,
    variable: bool,
) -> None:
    if variable:
        no_credentials.setenv("AWS_PROFILE", "")
    with pytest.raises(ProfileNotFound) as caught:
        Aws(region="eu-central-1", profile=None if variable else "")
    assert "unset AWS_PROFILE, or give a name with --profile" in explained(caught.value)


def test_each_code_has_one_meaning() -> None:
    assert set(EXPIRED_CODES) <= EXPIRED
    assert set(INVALID_CODES) <= INVALID
    assert not EXPIRED & INVALID


@pytest.mark.parametrize(
    ("client", "call", "given", "action"),
    [
        ("iam", "create_role", ("RoleName", "AssumeRolePolicyDocument"), "iam:CreateRole"),
        ("cognito", "create_user_pool", ("PoolName",), "cognito-idp:CreateUserPool"),
        ("logs", "create_log_group", ("logGroupName",), "logs:CreateLogGroup"),
        # IAM also has an operation with this name.
        ("lambda_", "get_policy", ("FunctionName",), "lambda:GetPolicy"),
        # API Gateway's actions are named by HTTP method.
        ("apigateway", "create_rest_api", ("name",), "apigateway:POST"),
        ("apigateway", "delete_rest_api", ("restApiId",), "apigateway:DELETE"),
        ("apigateway", "get_resources", ("restApiId",), "apigateway:GET"),
        # API Gateway also has an operation with this name.
        ("tagging", "get_resources", (), "tag:GetResources"),
    ],
)
def test_a_denial_names_the_action(
    client: str, call: str, given: tuple[str, ...], action: str
) -> None:
    aws = Aws(region="eu-central-1", local=Keys.new())
    asked = getattr(aws, client)
    asked.meta.events.register("before-call", lambda **_: refusal(403, "AccessDenied"))
    with pytest.raises(ClientError) as caught:
        getattr(asked, call)(**dict.fromkeys(given, "x1"))
    assert f"AccessDenied ({action})" in explained(caught.value)


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedException"])
@pytest.mark.parametrize(
    ("message", "action"),
    [
        (
            (
                "User: arn:aws:iam::1:user/ann is not authorized to perform: iam:PassRole on "
                "resource: arn:aws:iam::123456789012:role/r"
            ),
            "iam:PassRole",
        ),
        (
            (
                "User: arn:aws:iam::1:user/ann is not authorized to perform: apigateway:POST on "
                "resource: arn:aws:apigateway:eu-central-1::/restapis"
            ),
            "apigateway:POST",
        ),
    ],
)
def test_the_action_is_the_one_that_aws_names(code: str, message: str, action: str) -> None:
    text = explained(answered(code, message, "CreateFunction", 403))
    assert f"{code} ({action})" in text
    assert "'cogauth policy --for COMMAND' prints all that a command needs." in text


def test_a_denial_is_named_without_the_account_too() -> None:
    assert "CreateRole" in explained(answered("AccessDenied", "No.", "CreateRole", 403))


def test_a_boundary_that_may_be_lacking_is_asked_for_of_the_same_command() -> None:
    """The same command already has the stack's options, whatever they are."""
    no = "User: arn:aws:iam::1:user/a is not authorized to perform: iam:CreateRole on resource: x"
    said = explained(answered("AccessDenied", no, "CreateRole", 403))
    assert "run the same command with --permissions-boundary ARN" in said
    assert "cogauth up" not in said


@pytest.mark.parametrize("code", ["LimitExceeded", "LimitExceededException"])
def test_a_quota(code: str) -> None:
    text = explained(answered(code, "Cannot exceed quota for RolesPerAccount: 1000"))
    assert "quota" in text
    assert "RolesPerAccount: 1000" in text
    assert "Service Quotas" in text


@pytest.mark.parametrize("code", ["TooManyRequestsException", "Throttling", "ThrottlingException"])
def test_called_too_often(code: str) -> None:
    text = explained(answered(code, status=429))
    assert code in text
    assert "again" in text


def test_any_other_answer_is_given_as_it_is() -> None:
    text = explained(answered("InternalFailure", "We are sorry", status=500))
    assert "InternalFailure" in text
    assert "We are sorry" in text


def test_a_time_that_ran_out() -> None:
    assert "the role: not within 120 s" in explained(TimedOutError("the role: not within 120 s"))


def test_a_failure_says_what_why_and_how_to_go_on() -> None:
    error = failure("Deleting it", answered("Throttling"), after="It stays.", hint="Go on.")
    assert isinstance(error, CogauthError)
    assert str(error).startswith("Deleting it failed: ")
    assert str(error).endswith(" It stays. Wait a minute and try again. Go on.")


def every_botocore_error() -> Iterator[type[Exception]]:
    for value in vars(botocore_errors).values():
        if isinstance(value, type) and issubclass(value, botocore_errors.BotoCoreError):
            yield value


def test_no_error_of_botocores_has_words_that_fail_or_show_a_traceback() -> None:
    found = 0
    for kind in every_botocore_error():
        try:
            error = kind(**dict.fromkeys(_fields(kind), "{x}"))
        except (KeyError, TypeError, IndexError):
            continue
        found += 1
        text = explained(error)
        assert text
        assert "Traceback" not in text
    assert found > 60


def _fields(kind: type[Exception]) -> list[str]:
    from string import Formatter  # noqa: PLC0415

    fields = Formatter().parse(getattr(kind, "fmt", ""))
    return [name for _text, name, _spec, _conversion in fields if name]


# ---- whether it took effect


@pytest.mark.parametrize(
    ("error", "definite"),
    [
        (answered("AccessDenied", status=403), True),
        (ResponseParserError("<html>"), False),
        (answered("InvalidParameterException", status=400), True),
        (answered("TooManyRequestsException", status=429), True),
        (answered("InternalFailure", status=500), False),
        (answered("ServiceUnavailable", status=503), False),
        (ClientError({}, "CreateRole"), False),
        (botocore_errors.ReadTimeoutError(endpoint_url="https://x"), False),
        (botocore_errors.ConnectionClosedError(endpoint_url="https://x"), False),
        (TimedOutError("x"), False),
    ],
)
def test_only_a_refusal_certainly_took_no_effect(error: Exception, *, definite: bool) -> None:
    assert is_definite(error) is definite


# ---- through the engine


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "ExpiredTokenException", "expired"),
        (403, "AccessDeniedException", "logs:CreateLogGroup"),
        (400, "LimitExceededException", "quota"),
        (500, "InternalFailure", "InternalFailure"),
    ],
)
def test_an_error_in_a_step_reads_well(
    account: Account, status: int, code: str, words: str
) -> None:
    def refuse(call: Call) -> Any:
        sign_in = call.operation == "CreateLogGroup" and "signIn" in str(call.sent["body"])
        return refusal(status, code) if sign_in else None

    with account.calls.watched(refuse), pytest.raises(CogauthError) as caught:
        account.up()
    text = str(caught.value)
    assert text.startswith("The step 'Sign-in function' failed: ")
    assert words in text
    assert str(account.path()) in text
    assert "Traceback" not in text
    # With --debug the cause is shown as well.
    assert isinstance(caught.value.__cause__, ClientError)
