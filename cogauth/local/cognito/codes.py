"""Make a pool's codes random and limit their number, so that nobody can guess them.

Ministack always sends the same codes, so anyone who knows an app client's id could take over any
user of the pool. Here each code is in the mail that ministack stores, and becomes invalid after
some wrong guesses. AWS too limits guesses (TooManyFailedAttemptsException), to an unknown number.
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ConfirmForgotPassword.html
"""

import json
import secrets
import threading
import time
from http import HTTPStatus
from typing import Any

from cogauth.local import hooks
from cogauth.local.cognito.ministacks import PoolDict, RefusalError, pool_for_client, resolve_user
from cogauth.local.hooks import AnyFunction

_CODE_OF = {"ConfirmForgotPassword": "_reset_code", "ConfirmSignUp": "_confirmation_code"}
_GUESSES = 5
_CODES, _CODES_WITHIN_S = 5, 3600
# The times of requests for codes, by app client and name, and the maximum number of names.
_asked_at: dict[tuple[Any, str], list[float]] = {}
_ASKED = 10_000
# The codes that ministack records for a user, sent or not.
_NEVER_SENT = {"123456", "654321"}
_mailing = threading.Lock()
_PAGES_CODE = "services.cognito._EMAIL_OTP_CODE"
hooks.kept(_PAGES_CODE, str)


def _new_code() -> str:
    code = f"{secrets.randbelow(10**6):06}"
    return _new_code() if code in _NEVER_SENT else code


def send_mail(
    own: AnyFunction, pool: PoolDict, username: str, *given: Any, attribute_name: str = "email"
) -> Any:
    """Send a random code instead of ministack's own."""
    attributes, code = given
    user, _ = resolve_user(pool, username)
    if user is not None:
        code = _new_code()
        name = "_reset_code" if attribute_name == "password" else "_confirmation_code"
        user[name] = code
        user[f"{name}_guesses"] = 0
    return own(pool, username, attributes, code, attribute_name)


def code_error(own: AnyFunction, issued: str | None, code: Any) -> Any:
    """Refuse codes that were never sent."""
    return own(None if issued in _NEVER_SENT else issued, code)


def confirmation_code_error(own: AnyFunction, action: str, data: dict[str, Any]) -> Any:
    """Invalidate a code after some wrong guesses."""
    error = own(action, data)
    if error is not None and json.loads(error[2])["__type"] == "CodeMismatchException":
        user, _ = resolve_user(pool_for_client(data["ClientId"])[0], data["Username"])
        name = _CODE_OF[action]
        user[f"{name}_guesses"] = user.get(f"{name}_guesses", 0) + 1
        if user[f"{name}_guesses"] >= _GUESSES:
            user.pop(name, None)
    return error


def ask_for_code(own: AnyFunction, data: dict[str, Any]) -> Any:
    """Limit the number of codes for a user, because each allows new guesses.

    AWS: between 5 and 20 an hour, "Attempt limit exceeded, please try after some time."
    https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html
    """
    # Count by the given name, so that the limit doesn't reveal whether the user exists.
    now, asked = time.time(), (data.get("ClientId"), str(data.get("Username")).lower())
    for one, times in list(_asked_at.items()):
        _asked_at[one] = [at for at in times if now - at < _CODES_WITHIN_S]
        if not _asked_at[one] or len(_asked_at) > _ASKED:
            del _asked_at[one]
    if len(_asked_at.get(asked, [])) >= _CODES:
        message = "Attempt limit exceeded, please try after some time."
        raise RefusalError(message, "LimitExceededException")
    answer = own(data)
    if answer[0] == HTTPStatus.OK:
        _asked_at.setdefault(asked, []).append(now)
    return answer


def begin_user_auth(own: AnyFunction, *given: Any) -> Any:
    """Make the managed login page send a random code, which is a constant in its module."""
    with _mailing:
        hooks.put(_PAGES_CODE, _new_code())
        return own(*given)
