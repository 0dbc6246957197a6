"""The session of a challenge.

"Your user pool native user must respond to each authentication challenge before the session
expires": AuthSessionValidity in
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPoolClient.html
A session is valid for one right answer. Others have observed that a wrong code leaves it valid;
that a weak password does too is a guess. AWS's messages are those that others have reported:
https://github.com/amazon-archives/amazon-cognito-identity-js/issues/365 (no session),
https://github.com/aws-amplify/amplify-js/issues/5834 (not valid for this challenge),
https://github.com/aws-amplify/docs/issues/8309 (already used).
"""

import json
import threading
import time
from http import HTTPStatus
from typing import Any

from cogauth.local.cognito.ministacks import (
    PoolDict,
    RefusalError,
    UserDict,
    of_cognito,
    pool_for_client,
    resolve_user,
    store,
)
from cogauth.local.hooks import AnyFunction

# Ministack handles the sessions of the other challenges itself. It never issues two of these, but
# would still give tokens for their answers.
_CHALLENGES = {"NEW_PASSWORD_REQUIRED", "SOFTWARE_TOKEN_MFA", "SMS_MFA", "MFA_SETUP"}
_INVALID = "Invalid session for the user"
# The status of a user with a temporary password.
_TEMPORARY = "FORCE_CHANGE_PASSWORD"
_answering = threading.Lock()

_sessions = store("_challenge_sessions", "AccountScopedDict")
_create = of_cognito("_create_challenge_session", "pool_id client_id username")
_hidden_user_error = of_cognito("_hidden_user_error", "pool client_id err")
_validate_password = of_cognito("_validate_password", "pool password")


def password_auth_result(
    own: AnyFunction,
    pool: PoolDict,
    pid: str,
    cid: str,
    user: UserDict,
    _username: str,
    *rest: Any,
    **more: Any,
) -> Any:
    """Record the session of each challenge that follows a right password."""
    # AWS: "Amazon Cognito returns the username attribute in USER_ID_FOR_SRP instead of any …
    # alias", and the answer must use that name:
    # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminInitiateAuth.html
    answer = own(pool, pid, cid, user, user["Username"], *rest, **more)
    challenge = json.loads(answer[2])
    if "ChallengeName" in challenge:
        token, session = _create(pid, cid, user["Username"])
        # Its lifetime is the app client's AuthSessionValidity.
        session["challenge"] = challenge["ChallengeName"]
        _sessions()[challenge["Session"]] = _sessions().pop(token)
    return answer


def respond(own: AnyFunction, data: dict[str, Any]) -> Any:
    """Accept the answer to a challenge only with the challenge's session, and only once."""
    session = _sessions().get(data.get("Session")) or {}
    if pool_for_client(data.get("ClientId"))[0] is None:
        return own(data)  # Ministack refuses it; the session stays valid.
    answer: Any = None
    with _answering:
        if refused := _check(data, session):
            return refused
        session["used"] = True
    try:
        answer = own(data)
    finally:
        session["used"] = answer is not None and answer[0] == HTTPStatus.OK
    return answer


def _check(data: dict[str, Any], session: dict[str, Any]) -> Any:
    """Raise RefusalError, or return ministack's own refusal; None if the answer is acceptable."""
    challenge, client = data.get("ChallengeName"), data.get("ClientId")
    # Don't trust the pool that the request names, which the caller can choose.
    pool, pool_id = pool_for_client(client)
    if pool is None:
        return None  # Ministack answers that there is no such app client.
    if challenge not in _CHALLENGES:
        # Ministack would mistake one of our sessions for its own.
        if "challenge" in session:
            raise RefusalError(f"{_INVALID}.")
        return None
    is_new_password = challenge == "NEW_PASSWORD_REQUIRED"
    responses = {**(data.get("ChallengeResponses") or {}), "Session": data.get("Session")}
    for name in ("Session", "USERNAME", *(["NEW_PASSWORD"] if is_new_password else [])):
        if not responses.get(name):
            message = f"Missing required parameter {name}"
            raise RefusalError(message, "InvalidParameterException")
    user, unknown = resolve_user(pool, responses["USERNAME"])
    if user is None:
        return _hidden_user_error(pool, client, unknown)
    if pool["_clients"][client].get("ClientSecret") and responses["USERNAME"] != user["Username"]:
        # Ministack has checked the hash over the given name. AWS's is over the pool's own:
        # https://github.com/aws-amplify/aws-sdk-android/pull/2265
        raise RefusalError(f"Unable to verify secret hash for client {client}")
    _check_session(session, (pool_id, client, user["Username"], challenge))
    if not is_new_password:
        return None
    # Another session or an administrator may have set a permanent password meanwhile.
    if user["UserStatus"] != _TEMPORARY:
        raise RefusalError(f"{_INVALID}.")
    return _validate_password(pool, responses["NEW_PASSWORD"])


def _check_session(session: dict[str, Any], needed: tuple[Any, ...]) -> None:
    of = tuple(session.get(key) for key in ("pool_id", "client_id", "username", "challenge"))
    if of != needed:
        raise RefusalError(f"{_INVALID}.")
    if session.get("used"):
        raise RefusalError(f"{_INVALID}, session can only be used once.")
    if time.time() > session["expires_at"]:
        raise RefusalError(f"{_INVALID}, session is expired.")
