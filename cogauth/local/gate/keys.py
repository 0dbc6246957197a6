"""The keys that ministack knows: the account's own, and those of its roles' functions."""

from collections.abc import Callable
from typing import Any

from cogauth.aws.environment import Keys
from cogauth.local import hooks

ACCOUNT = "000000000000"


def install(keys: Keys) -> None:
    """Let ministack know the account's own keys, and take no others for them. Raises HookError.

    Args:
        keys: of the account's root.
    """
    for place in ("core.iam_evaluator", "services.sts"):
        # Of these ministack checks no signature. Without a key is what AWS serves unsigned.
        hooks.replace(f"{place}.is_root_access_key", "access_key_id", lambda _: _is_empty)
    register = hooks.function("services.sts.register_session", "access_key session")

    def make_known() -> None:
        # A session that never ends is one more key whose signatures are checked everywhere.
        session = {
            "Arn": f"arn:aws:iam::{ACCOUNT}:root",
            "UserId": ACCOUNT,
            "PrincipalType": "Root",
            "SecretAccessKey": keys.secret_access_key,
        }
        register(keys.access_key_id, session)

    def keeping(own: Callable[[], None]) -> Callable[[], None]:
        def reset() -> None:
            own()
            make_known()

        return reset

    make_known()
    hooks.replace("services.sts.reset", "", keeping)
    hooks.replace("app._request_account_scope", "access_key_id", _without_numbers)
    for place in ("core.lambda_runtime", "services.lambda_svc"):
        hooks.replace(
            f"{place}.execution_credentials", "config", lambda own: _with_secret(own, keys)
        )


def _is_empty(access_key_id: str) -> bool:
    return not access_key_id


def _without_numbers(own: Callable[[str], str]) -> Callable[[str], str]:
    """Return which account a key acts in; ministack takes a number for the account itself."""

    def account_of(access_key_id: str) -> str:
        return "" if access_key_id.isdecimal() else own(access_key_id)

    return account_of


def _with_secret(
    own: Callable[[dict[str, Any]], dict[str, str]], keys: Keys
) -> Callable[[dict[str, Any]], dict[str, str]]:
    """Return a function that gives a Lambda function the credentials of its role.

    Ministack makes them of the function's and the role's ARN, which anyone can guess. The account
    and the region are still read from the ARN's beginning.
    """

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        arn = f"{config.get('FunctionArn', '')}:{keys.secret_access_key}"
        return own({**config, "FunctionArn": arn})

    return execution_credentials
