"""The codes that a pool sends: random, and few.

The codes that a pool sends are nobody else's to know. Ministack's are always the same ones, by
which whoever knows an app client's id could take over any user of the pool. Here each is random,
stands in the mail that ministack keeps, and is void after some wrong guesses. AWS limits those
too, by TooManyFailedAttemptsException, but doesn't say to how many.
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ConfirmForgotPassword.html
"""

import functools
import json
import secrets
import threading
import time
from http import HTTPStatus
from typing import Any

from cogauth.local import hooks
from cogauth.local.cognito.ministacks import Answer, Function, Pool, of_cognito, refusal

_CODE_OF = {"ConfirmForgotPassword": "_reset_code", "ConfirmSignUp": "_confirmation_code"}
_GUESSES = 5
_CODES, _CODES_WITHIN_S = 5, 3600
# When codes were asked for, by app client and name; and of how many names that is kept.
_asked_at: dict[tuple[Any, str], list[float]] = {}
_ASKED = 10_000
# What ministack notes as a user's code, whether it is sent or not.
_NEVER_SENT = {"123456", "654321"}
_mailing = threading.Lock()


def _new_code() -> str:
    code = f"{secrets.randbelow(10**6):06}"
    return _new_code() if code in _NEVER_SENT else code


def of_random_codes(own: Function) -> Function:
    """Send a random code in the place of ministack's own."""
    resolve_user = of_cognito("_resolve_user", "pool username")

    @functools.wraps(own)
    def send(
        pool: Pool,
        username: str,
        attr_dict: dict[str, str],
        code: str,
        attribute_name: str = "email",
    ) -> Any:
        user, _ = resolve_user(pool, username)
        if user is not None:
            code = _new_code()
            name = "_reset_code" if attribute_name == "password" else "_confirmation_code"
            user[name] = code
            user[f"{name}_guesses"] = 0
        return own(pool, username, attr_dict, code, attribute_name)

    return send


def unless_never_sent(own: Function) -> Function:
    """Take no code that was never sent."""

    @functools.wraps(own)
    def code_error(issued: str | None, code: Any) -> Answer | None:
        error: Answer | None = own(None if issued in _NEVER_SENT else issued, code)
        return error

    return code_error


def of_few_guesses(own: Function) -> Function:
    """Make a code void after some wrong guesses."""
    pool_for_client = of_cognito("_pool_for_client", "cid")
    resolve_user = of_cognito("_resolve_user", "pool username")

    @functools.wraps(own)
    def confirmation_code_error(action: str, data: dict[str, Any]) -> Answer | None:
        error: Answer | None = own(action, data)
        if error is not None and json.loads(error[2])["__type"] == "CodeMismatchException":
            user, _ = resolve_user(pool_for_client(data["ClientId"])[0], data["Username"])
            name = _CODE_OF[action]
            user[f"{name}_guesses"] = user.get(f"{name}_guesses", 0) + 1
            if user[f"{name}_guesses"] >= _GUESSES:
                user.pop(name, None)
        return error

    return confirmation_code_error


def of_few_codes(own: Function) -> Function:
    """Let a user be sent few codes: each gives as many guesses again.

    AWS: between 5 and 20 an hour, "Attempt limit exceeded, please try after some time."
    https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html
    """

    @functools.wraps(own)
    def send(data: dict[str, Any]) -> Answer:
        # Counted by the name that is given, whether or not there is such a user: it tells nothing.
        now, asked = time.time(), (data.get("ClientId"), str(data.get("Username")).lower())
        for one, times in list(_asked_at.items()):
            _asked_at[one] = [at for at in times if now - at < _CODES_WITHIN_S]
            if not _asked_at[one] or len(_asked_at) > _ASKED:
                del _asked_at[one]
        if len(_asked_at.get(asked, [])) >= _CODES:
            message = "Attempt limit exceeded, please try after some time."
            return refusal("LimitExceededException", message)
        answer: Answer = own(data)
        if answer[0] == HTTPStatus.OK:
            _asked_at.setdefault(asked, []).append(now)
        return answer

    return send


def of_random_sign_in_codes(own: Function) -> Function:
    """Have the managed login's page send a random code; it is a constant of the module's."""
    hooks.value("services.cognito._EMAIL_OTP_CODE", str)
    module: Any = hooks.module("services.cognito")

    @functools.wraps(own)
    def begin(pool: Pool, ua_token: str, session: dict[str, Any], challenge: str) -> Any:
        with _mailing:
            module._EMAIL_OTP_CODE = _new_code()  # noqa: SLF001 ministack's, and checked above
            return own(pool, ua_token, session, challenge)

    return begin
