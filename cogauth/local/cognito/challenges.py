"""The session of a challenge.

"Your user pool native user must respond to each authentication challenge before the session
expires": AuthSessionValidity in
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPoolClient.html
A session is good for one right answer. After a wrong code it is as it was, as others have seen;
that a weak password leaves it alone too is a guess. AWS's words are those that others have met:
https://github.com/amazon-archives/amazon-cognito-identity-js/issues/365 (there is none),
https://github.com/aws-amplify/amplify-js/issues/5834 (it isn't good for this),
https://github.com/aws-amplify/docs/issues/8309 (it was used).
"""

import json
import threading
import time
from http import HTTPStatus
from typing import Any

from cogauth.local.cognito.ministacks import (
    Answer,
    Pool,
    User,
    not_authorized,
    of_cognito,
    pool_for_client,
    refusal,
    resolve_user,
    store,
)
from cogauth.local.hooks import Function

# Ministack looks after the sessions of the other challenges itself. Two of these it never gives;
# their answers got tokens all the same.
_CHALLENGES = {"NEW_PASSWORD_REQUIRED", "SOFTWARE_TOKEN_MFA", "SMS_MFA", "MFA_SETUP"}
_INVALID = "Invalid session for the user"
# A user whose password is for one use.
_TEMPORARY = "FORCE_CHANGE_PASSWORD"
_answering = threading.Lock()


_sessions = store("_challenge_sessions", "AccountScopedDict")
_create = of_cognito("_create_challenge_session", "pool_id client_id username")
_hidden_user_error = of_cognito("_hidden_user_error", "pool client_id err")
_validate_password = of_cognito("_validate_password", "pool password")


def password_auth_result(
    own: Function,
    pool: Pool,
    pid: str,
    cid: str,
    user: User,
    _username: str,
    *rest: Any,
    **more: Any,
) -> Any:
    """Note the session of each challenge that a right password is answered with."""
    # AWS: "Amazon Cognito returns the username attribute in USER_ID_FOR_SRP instead of any …
    # alias", and the answer must name the user so:
    # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminInitiateAuth.html
    answer = own(pool, pid, cid, user, user["Username"], *rest, **more)
    challenge = json.loads(answer[2])
    if "ChallengeName" in challenge:
        token, session = _create(pid, cid, user["Username"])
        # It lasts as long as the app client's AuthSessionValidity says.
        session["challenge"] = challenge["ChallengeName"]
        _sessions()[challenge["Session"]] = _sessions().pop(token)
    return answer


def respond(own: Function, data: dict[str, Any]) -> Any:
    """Take the answer to a challenge only with the session that came with it, and once."""
    session = _sessions().get(data.get("Session")) or {}
    is_ours = "challenge" in session
    with _answering:
        refused = _refuse(data, session)
        if refused is not None:
            return refused
        if is_ours:
            session["used"] = True
    passed = False
    try:
        answer = own(data)
        passed = answer[0] == HTTPStatus.OK
    finally:
        if is_ours and not passed:
            session["used"] = False
    return answer


def _refuse(data: dict[str, Any], session: dict[str, Any]) -> Answer | None:
    challenge, client = data.get("ChallengeName"), data.get("ClientId")
    # Not the pool that the request names, if any: who sends none is free to send one.
    pool, pool_id = pool_for_client(client)
    if pool is None:
        return None  # Ministack says that there is no such app client.
    if challenge not in _CHALLENGES:
        # Ministack would take one of ours for one of its own.
        return not_authorized(f"{_INVALID}.") if "challenge" in session else None
    refused: Answer | None = _incomplete(data)
    if refused is not None:
        return refused
    responses = data["ChallengeResponses"]
    user, unknown = resolve_user(pool, responses["USERNAME"])
    if user is None:
        refused = _hidden_user_error(pool, client, unknown)
    elif why := _why_invalid(session, (pool_id, client, user["Username"], challenge)):
        refused = not_authorized(why)
    elif challenge == "NEW_PASSWORD_REQUIRED" and user["UserStatus"] != _TEMPORARY:
        # Another session, or an administrator, has set a lasting password meanwhile.
        refused = not_authorized(f"{_INVALID}.")
    elif challenge == "NEW_PASSWORD_REQUIRED":
        refused = _validate_password(pool, responses["NEW_PASSWORD"])
    return refused


def _incomplete(data: dict[str, Any]) -> Answer | None:
    given = {**(data.get("ChallengeResponses") or {}), "Session": data.get("Session")}
    needed = ["Session", "USERNAME"]
    if data["ChallengeName"] == "NEW_PASSWORD_REQUIRED":
        needed.append("NEW_PASSWORD")
    missing = next((name for name in needed if not given.get(name)), None)
    message = f"Missing required parameter {missing}"
    return refusal("InvalidParameterException", message) if missing else None


def _why_invalid(session: dict[str, Any], needed: tuple[Any, ...]) -> str | None:
    """Return AWS's words about a session that isn't good for a pool, client, user and challenge."""
    of = tuple(session.get(key) for key in ("pool_id", "client_id", "username", "challenge"))
    if of != needed:
        return f"{_INVALID}."
    if session.get("used"):
        return f"{_INVALID}, session can only be used once."
    if time.time() > session["expires_at"]:
        return f"{_INVALID}, session is expired."
    return None
