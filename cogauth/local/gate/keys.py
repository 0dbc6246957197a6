"""The keys that ministack accepts: the account's root's, and those of its functions' roles."""

from typing import Any

from cogauth.aws.environment import Keys
from cogauth.local import hooks
from cogauth.local.hooks import AnyFunction

ACCOUNT = "000000000000"

_register = hooks.called("services.sts.register_session", "access_key session")


def install(keys: Keys) -> None:
    """Make ministack accept these keys, and no others, for the account's root."""

    def make_known() -> None:
        # Register the keys as an endless session, because ministack checks its signatures.
        session = {
            "Arn": f"arn:aws:iam::{ACCOUNT}:root",
            "UserId": ACCOUNT,
            "PrincipalType": "Root",
            "SecretAccessKey": keys.secret_access_key,
        }
        _register(keys.access_key_id, session)

    def reset(own: AnyFunction) -> None:
        own()
        make_known()

    def execution_credentials(own: AnyFunction, config: dict[str, Any]) -> Any:
        # Ministack derives a function's credentials from the ARNs of the function and its role,
        # which anyone can guess. The changed ARN still starts with account and region.
        arn = f"{config.get('FunctionArn', '')}:{keys.secret_access_key}"
        return own({**config, "FunctionArn": arn})

    hooks.check()
    make_known()
    for name, parameters, around in (
        ("core.iam_evaluator.is_root_access_key", "access_key_id", _is_empty),
        ("services.sts.is_root_access_key", "access_key_id", _is_empty),
        ("services.sts.reset", "", reset),
        ("app._request_account_scope", "access_key_id", _account_of),
        ("core.lambda_runtime.execution_credentials", "config", execution_credentials),
        ("services.lambda_svc.execution_credentials", "config", execution_credentials),
    ):
        hooks.wrap(name, parameters, around)


def _is_empty(_own: AnyFunction, access_key_id: str) -> bool:
    """Only count a missing key as root's: ministack doesn't check the signatures of root's keys."""
    return not access_key_id


def _account_of(own: AnyFunction, access_key_id: str) -> Any:
    """Return a key's account; ministack alone would read a number as an account's id."""
    return "" if access_key_id.isdecimal() else own(access_key_id)
