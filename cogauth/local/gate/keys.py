"""The keys that ministack knows: the account's own, and those of its roles' functions."""

from typing import Any

from cogauth.aws.environment import Keys
from cogauth.local import hooks
from cogauth.local.hooks import Function

ACCOUNT = "000000000000"

_register = hooks.called("services.sts.register_session", "access_key session")


def install(keys: Keys) -> None:
    """Let ministack know the keys of the account's root, and take no others for them."""

    def make_known() -> None:
        # A session that never ends is one more key whose signatures are checked everywhere.
        session = {
            "Arn": f"arn:aws:iam::{ACCOUNT}:root",
            "UserId": ACCOUNT,
            "PrincipalType": "Root",
            "SecretAccessKey": keys.secret_access_key,
        }
        _register(keys.access_key_id, session)

    def reset(own: Function) -> None:
        own()
        make_known()

    def execution_credentials(own: Function, config: dict[str, Any]) -> Any:
        # Ministack makes the credentials of a function's role of the function's and the role's ARN,
        # which anyone can guess. It still reads account and region from the ARN's beginning.
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


def _is_empty(_own: Function, access_key_id: str) -> bool:
    """Of root's keys ministack checks no signature. Without a key is what AWS serves unsigned."""
    return not access_key_id


def _account_of(own: Function, access_key_id: str) -> Any:
    """Return which account a key acts in; ministack takes a number for the account itself."""
    return "" if access_key_id.isdecimal() else own(access_key_id)
