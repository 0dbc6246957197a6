"""How user pools answer on the local AWS, where ministack's own answer isn't AWS's.

Each part is a behaviour of AWS's, with its source; the table at the end says which of ministack's
functions it changes. AWS's own documentation is quoted where it is plain. What it doesn't say, and
others have seen, is said to be so.
"""

import copy
import functools
import inspect
import json
import secrets
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from cogauth.local import hooks, permissions, validation

Function = Callable[..., Any]
Answer = tuple[int, dict[str, str], bytes]
# A user pool, or one of its users, as ministack keeps it.
Pool = dict[str, Any]
User = dict[str, Any]


def install() -> None:
    """Put these answers in the place of ministack's. Raises HookError."""
    permissions.check()
    _error_response()
    for name, parameters, make in _REPLACED:
        hooks.replace(f"services.cognito.{name}", parameters, make)
    validation.install()


def _cognitos(name: str, parameters: str) -> Function:
    return hooks.function(f"services.cognito.{name}", parameters)


def _store(name: str, kind: str) -> Any:
    """Return one of ministack's stores, by its own name and that of its class."""
    found: type[Any] = hooks.value(f"core.responses.{kind}", type)
    return hooks.value(f"services.cognito.{name}", found)


def _pools() -> Any:
    return _store("_user_pools", "AccountRegionScopedDict")


@functools.cache
def _error_response() -> Function:
    parameters = "code message status extra message_key content_type"
    return hooks.function("core.responses.error_response_json", parameters)


def _refusal(code: str, message: str) -> Answer:
    answer: Answer = _error_response()(code, message, HTTPStatus.BAD_REQUEST)
    return answer


def _not_authorized(message: str) -> Answer:
    return _refusal("NotAuthorizedException", message)


# User names in any case
#
# "If you do not specify a value, CaseSensitive defaults to true." In a pool where it is false,
# names that differ in case are one user's, so are "preferred_username and email", and "Mixed-case
# attribute values in case-insensitive user pools are flattened to lowercase in user pool text
# output", in "input events to Lambda triggers" as well. Here that is done for the user's name; the
# other two are found in any case and shown as they were given.
# https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-case-sensitivity.html


class _UsersInAnyCase(dict[str, User]):
    """A pool's users, by their names in lower case.

    What a secret hash was made of is none of its business: it is over the name as it was sent.
    """

    @staticmethod
    def _key(name: Any) -> Any:
        return name.lower() if isinstance(name, str) else name

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, self._key(name))

    def __getitem__(self, name: str) -> User:
        return dict.__getitem__(self, self._key(name))

    def get(self, name: str, default: Any = None) -> Any:
        return dict.get(self, self._key(name), default)

    def __setitem__(self, name: str, user: User) -> None:
        user["Username"] = self._key(name)
        dict.__setitem__(self, user["Username"], user)

    def __delitem__(self, name: str) -> None:
        dict.__delitem__(self, self._key(name))

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, User]:
        """Return what is saved: no server needs this class to read it."""
        return copy.deepcopy(dict(self), memo)


def _takes_any_case(pool: Pool) -> bool:
    return (pool.get("UsernameConfiguration") or {}).get("CaseSensitive") is False


def _known_name(pool: Pool, name: Any) -> Any:
    """Return the name by which the pool knows, or will know, who gives this one."""
    return name.lower() if _takes_any_case(pool) and isinstance(name, str) else name


def _keep_users(pool: Pool) -> None:
    """Give a pool that takes names in any case its own store of users, if it has none yet."""
    if not _takes_any_case(pool) or isinstance(pool.get("_users"), _UsersInAnyCase):
        return
    # What was saved has its names in lower case already.
    pool["_users"] = _UsersInAnyCase(pool.get("_users") or {})


def _then_keep_users(own: Function) -> Function:
    """Wrap what makes or restores pools."""
    pools = _pools()

    @functools.wraps(own)
    def make(data: Any) -> Any:
        answer = own(data)
        for pool in pools.all_values():
            _keep_users(pool)
        return answer

    return make


def _alias_in_any_case(own: Function) -> Function:
    """Find a user by an e-mail address or a preferred user name, whatever its case."""

    @functools.wraps(own)
    def resolve(pool: Pool, username: Any) -> tuple[User | None, Answer | None]:
        found: tuple[User | None, Answer | None] = own(pool, username)
        if found[0] is not None or not _takes_any_case(pool) or not isinstance(username, str):
            return found
        aliases = {*(pool.get("UsernameAttributes") or []), *(pool.get("AliasAttributes") or [])}
        spellings = {
            attribute["Value"]
            for user in list(pool["_users"].values())
            for attribute in user.get("Attributes", [])
            if attribute["Name"] in aliases and attribute["Value"].lower() == username.lower()
        }
        # Ministack knows which of them may be signed in with: some only once they are verified.
        known = (own(pool, spelling) for spelling in sorted(spellings))
        return next((one for one in known if one[0] is not None), found)

    return resolve


# Closed pools
#
# "When true, only administrators can create new user profiles." AWS's answer to others is in
# https://github.com/pmill/aws-cognito/issues/37. What it checks first, this, the name or the
# password, isn't documented. Here a closed pool says nothing of its users.
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUserConfigType.html


def _unless_closed(own: Function) -> Function:
    pool_for_client = _cognitos("_pool_for_client", "cid")

    @functools.wraps(own)
    def sign_up(data: dict[str, Any]) -> Answer:
        pool, _ = pool_for_client(data.get("ClientId"))
        config = (pool or {}).get("AdminCreateUserConfig") or {}
        if config.get("AllowAdminCreateUserOnly"):
            return _not_authorized("SignUp is not permitted for this user pool")
        answer: Answer = own(data)
        return answer

    return sign_up


# The session of a challenge
#
# "Your user pool native user must respond to each authentication challenge before the session
# expires": AuthSessionValidity in
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPoolClient.html
# A session is good for one right answer. After a wrong code it is as it was, as others have seen;
# that a weak password leaves it alone too is a guess. AWS's words are those that others have met:
# https://github.com/amazon-archives/amazon-cognito-identity-js/issues/365 (there is none),
# https://github.com/aws-amplify/amplify-js/issues/5834 (it isn't good for this),
# https://github.com/aws-amplify/docs/issues/8309 (it was used).

# Ministack looks after the sessions of the other challenges itself. Two of these it never gives;
# their answers got tokens all the same.
_CHALLENGES = {"NEW_PASSWORD_REQUIRED", "SOFTWARE_TOKEN_MFA", "SMS_MFA", "MFA_SETUP"}
_INVALID = "Invalid session for the user"
# A user whose password is for one use.
_TEMPORARY = "FORCE_CHANGE_PASSWORD"
_answering = threading.Lock()


def _sessions() -> Any:
    return _store("_challenge_sessions", "AccountScopedDict")


def _with_session(own: Function) -> Function:
    """Note the session of each challenge that a right password is answered with."""
    sessions = _sessions()
    create = _cognitos("_create_challenge_session", "pool_id client_id username")

    @functools.wraps(own)
    def password_auth_result(
        pool: Pool, pid: str, cid: str, user: User, username: str, *rest: Any, **more: Any
    ) -> Answer:
        # "Amazon Cognito returns the username attribute in USER_ID_FOR_SRP instead of any …
        # alias", and the answer must name the user so:
        # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminInitiateAuth.html
        del username
        answer: Answer = own(pool, pid, cid, user, user["Username"], *rest, **more)
        challenge = json.loads(answer[2])
        if "ChallengeName" in challenge:
            token, session = create(pid, cid, user["Username"])
            # It lasts as long as the app client's AuthSessionValidity says.
            session["challenge"] = challenge["ChallengeName"]
            sessions[challenge["Session"]] = sessions.pop(token)
        return answer

    return password_auth_result


def _by_its_session(own: Function) -> Function:
    """Take the answer to a challenge only with the session that came with it, and once."""
    sessions = _sessions()
    refuse = _session_check()

    @functools.wraps(own)
    def respond(data: dict[str, Any]) -> Answer:
        session = sessions.get(data.get("Session")) or {}
        is_ours = "challenge" in session
        with _answering:
            refused = refuse(data, session)
            if refused is not None:
                return refused
            if is_ours:
                session["used"] = True
        passed = False
        try:
            answer: Answer = own(data)
            passed = answer[0] == HTTPStatus.OK
        finally:
            if is_ours and not passed:
                session["used"] = False
        return answer

    return respond


def _session_check() -> Callable[[dict[str, Any], dict[str, Any]], Answer | None]:
    """Return what refuses the answer to a challenge, by its request and session."""
    pool_for_client = _cognitos("_pool_for_client", "cid")
    resolve_user = _cognitos("_resolve_user", "pool username")
    hidden_user_error = _cognitos("_hidden_user_error", "pool client_id err")
    validate_password = _cognitos("_validate_password", "pool password")

    def refuse(data: dict[str, Any], session: dict[str, Any]) -> Answer | None:
        challenge, client = data.get("ChallengeName"), data.get("ClientId")
        # Not the pool that the request names, if any: who sends none is free to send one.
        pool, pool_id = pool_for_client(client)
        if pool is None:
            return None  # Ministack says that there is no such app client.
        if challenge not in _CHALLENGES:
            # Ministack would take one of ours for one of its own.
            return _not_authorized(f"{_INVALID}.") if "challenge" in session else None
        refused = _incomplete(data)
        if refused is not None:
            return refused
        responses = data["ChallengeResponses"]
        user, unknown = resolve_user(pool, responses["USERNAME"])
        if user is None:
            refused = hidden_user_error(pool, client, unknown)
        elif why := _why_invalid(session, (pool_id, client, user["Username"], challenge)):
            refused = _not_authorized(why)
        elif challenge == "NEW_PASSWORD_REQUIRED" and user["UserStatus"] != _TEMPORARY:
            # Another session, or an administrator, has set a lasting password meanwhile.
            refused = _not_authorized(f"{_INVALID}.")
        elif challenge == "NEW_PASSWORD_REQUIRED":
            refused = validate_password(pool, responses["NEW_PASSWORD"])
        return refused

    return refuse


def _incomplete(data: dict[str, Any]) -> Answer | None:
    given = {**(data.get("ChallengeResponses") or {}), "Session": data.get("Session")}
    needed = ["Session", "USERNAME"]
    if data["ChallengeName"] == "NEW_PASSWORD_REQUIRED":
        needed.append("NEW_PASSWORD")
    missing = next((name for name in needed if not given.get(name)), None)
    message = f"Missing required parameter {missing}"
    return _refusal("InvalidParameterException", message) if missing else None


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


# Updates
#
# "If you don't provide a value for an attribute, Amazon Cognito sets it to its default value", say
# both operations of themselves:
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPoolClient.html
# Others have measured it for a pool's AutoVerifiedAttributes and tags. They have measured that
# Policies and MfaConfiguration stay as they are, so here they do:
# https://github.com/go-to-k/cdkd/pull/1982, https://github.com/aws/aws-cli/issues/3302.
# The documentation used to except UserPoolTier, and doesn't any more: nobody has measured it, and
# ministack keeps it. A name has no default. The rest is reset by the documentation's word alone.

_POOL_DEFAULTS: dict[str, Any] = {
    "AccountRecoverySetting": {},
    "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": False, "UnusedAccountValidityDays": 7},
    "AutoVerifiedAttributes": [],
    "DeletionProtection": "INACTIVE",
    "EmailConfiguration": {},
    "EmailVerificationMessage": "",
    "EmailVerificationSubject": "",
    "LambdaConfig": {},
    "SmsAuthenticationMessage": "",
    "SmsConfiguration": {},
    "SmsVerificationMessage": "",
    "UserPoolTags": {},
}
# These a pool doesn't have at all, unless they were given.
_POOL_EXTRAS = (
    "DeviceConfiguration",
    "UserAttributeUpdateSettings",
    "UserPoolAddOns",
    "VerificationMessageTemplate",
)
_CLIENT_DEFAULTS: dict[str, Any] = {
    "AccessTokenValidity": None,
    "AllowedOAuthFlows": [],
    "AllowedOAuthFlowsUserPoolClient": False,
    "AllowedOAuthScopes": [],
    "AnalyticsConfiguration": None,
    "AuthSessionValidity": 3,
    "CallbackURLs": [],
    "DefaultRedirectURI": "",
    "EnablePropagateAdditionalUserContextData": False,
    "EnableTokenRevocation": True,
    # "If you don't specify a value for ExplicitAuthFlows, your app client supports" these.
    "ExplicitAuthFlows": [
        "ALLOW_REFRESH_TOKEN_AUTH",
        "ALLOW_USER_SRP_AUTH",
        "ALLOW_CUSTOM_AUTH",
    ],
    "IdTokenValidity": None,
    "LogoutURLs": [],
    "PreventUserExistenceErrors": "LEGACY",
    "ReadAttributes": [],
    "RefreshTokenValidity": 30,
    "SupportedIdentityProviders": [],
    "TokenValidityUnits": {},
    "WriteAttributes": [],
}


def _resetting_pool(own: Function) -> Function:
    pools = _pools()

    @functools.wraps(own)
    def update(data: dict[str, Any]) -> Answer:
        answer: Answer = own({**copy.deepcopy(_POOL_DEFAULTS), **data})
        if answer[0] == HTTPStatus.OK:
            pool = pools.get(data["UserPoolId"])
            for name in set(_POOL_EXTRAS) - data.keys():
                pool.pop(name, None)
        return answer

    return update


def _resetting_client(own: Function) -> Function:
    @functools.wraps(own)
    def update(data: dict[str, Any]) -> Answer:
        answer: Answer = own({**copy.deepcopy(_CLIENT_DEFAULTS), **data})
        return answer

    return update


# Triggers
#
# A pool may call a function only if the function's policy lets it. If not, or if there is no such
# function any more, the message is "PreSignUp invocation failed due to error
# AccessDeniedException." https://repost.aws/knowledge-center/cognito-lambda-trigger-errors
# AWS doesn't document the error's name; the logs of others show UnexpectedLambdaException, as for
# any call of Lambda that fails.
# A function that raises an error refuses: UserLambdaValidationException, "PreSignUp failed with
# error …", https://github.com/aws-amplify/amplify-cli/issues/8506. What isn't the event with a
# response in it is InvalidLambdaResponseException, "Unrecognizable lambda output",
# https://github.com/amazon-archives/amazon-cognito-identity-js/issues/633.
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_SignUp.html


class _TriggerError(Exception):
    """What a trigger makes of the call that it belongs to: ``code`` is the error's name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _not_invoked(trigger: str, error: str) -> _TriggerError:
    message = f"{trigger} invocation failed due to error {error}."
    return _TriggerError("UnexpectedLambdaException", message)


def _function_of(pool: Pool, trigger: str, source: str | None = None) -> str | None:
    """Return the ARN of the function that a pool calls, if any."""
    config = pool.get("LambdaConfig") or {}
    named = config.get(f"{trigger}Config") or config.get(trigger)
    if not isinstance(named, dict):
        named = {"LambdaArn": named}
    if source == "TokenGeneration_ClientCredentials" and named.get("LambdaVersion") != "V3_0":
        return None  # The older ones aren't called when a machine gets its token.
    return named.get("LambdaArn")


def _if_permitted(trigger: str) -> Callable[[Function], Function]:
    """Wrap what calls a pool's trigger: the function's policy must let the pool do it."""

    def make(own: Function) -> Function:
        pools = _pools()
        signature = inspect.signature(own)

        @functools.wraps(own)
        def call(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            given = bound.arguments
            pool: Pool = given["pool"] if "pool" in given else pools.get(given["pool_id"]) or {}
            function = _function_of(pool, trigger, given.get("trigger_source"))
            if function and not _is_let_in(pool, function):
                raise _not_invoked(trigger, "AccessDeniedException")
            given["username"] = _known_name(pool, given["username"])
            return own(*bound.args, **bound.kwargs)

        return call

    return make


def _is_let_in(pool: Pool, function: str) -> bool:
    account = pool["Arn"].split(":")[4]
    return permissions.may_invoke(function, "cognito-idp.amazonaws.com", pool["Arn"], account)


def _pre_sign_up(own: Function) -> Function:
    """Have the faults of the function that ``SignUp`` calls come out as on AWS."""
    build_event = _cognitos(
        "_build_presignup_event", "pool_id client_id username user_attrs trigger_source"
    )
    find = hooks.function("services.lambda_svc._get_func_record_for_ref", "function_ref")
    select = hooks.function("services.lambda_svc._execution_record_for_config", "func config")
    execute = hooks.function(
        "services.lambda_svc._execute_function_with_config_scope", "func event"
    )
    pools = _pools()

    @functools.wraps(own)
    def apply(
        pool_id: str,
        client_id: str,
        username: str,
        user_attrs: dict[str, Any],
        trigger_source: str = "PreSignUp_ExternalProvider",
    ) -> Any:
        named = _function_of(pools.get(pool_id) or {}, "PreSignUp")
        if named is None or trigger_source != "PreSignUp_SignUp":
            return own(pool_id, client_id, username, user_attrs, trigger_source)
        event = build_event(pool_id, client_id, username, user_attrs, trigger_source)
        function, config, _ = find(named)
        result = execute(select(function, config), event)
        if result.get("throttle"):
            raise _not_invoked("PreSignUp", "TooManyRequestsException")
        if result.get("error"):
            message = f"PreSignUp failed with error {result['body']['errorMessage']}."
            raise _TriggerError("UserLambdaValidationException", message)
        response = result["body"].get("response") if isinstance(result["body"], dict) else None
        if not isinstance(response, dict):
            raise _TriggerError("InvalidLambdaResponseException", "Unrecognizable lambda output")
        flags = ("autoConfirmUser", "autoVerifyEmail", "autoVerifyPhone")
        return {flag: bool(response.get(flag)) for flag in flags}

    return apply


def _with_trigger_errors(own: Function) -> Function:
    """Answer a call whose trigger failed with that trigger's error."""

    @functools.wraps(own)
    def run(handler: Function, action: str, data: dict[str, Any]) -> Any:
        try:
            return own(handler, action, data)
        except _TriggerError as error:
            return _refusal(error.code, str(error))

    return run


# Codes
#
# The codes that a pool sends are nobody else's to know. Ministack's are always the same ones, by
# which whoever knows an app client's id could take over any user of the pool. Here each is random,
# stands in the mail that ministack keeps, and is void after some wrong guesses. AWS limits those
# too, by TooManyFailedAttemptsException, but doesn't say to how many.
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ConfirmForgotPassword.html

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


def _of_random_codes(own: Function) -> Function:
    resolve_user = _cognitos("_resolve_user", "pool username")

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


def _unless_never_sent(own: Function) -> Function:
    @functools.wraps(own)
    def code_error(issued: str | None, code: Any) -> Answer | None:
        error: Answer | None = own(None if issued in _NEVER_SENT else issued, code)
        return error

    return code_error


def _of_few_guesses(own: Function) -> Function:
    pool_for_client = _cognitos("_pool_for_client", "cid")
    resolve_user = _cognitos("_resolve_user", "pool username")

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


def _of_few_codes(own: Function) -> Function:
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
            return _refusal("LimitExceededException", message)
        answer: Answer = own(data)
        if answer[0] == HTTPStatus.OK:
            _asked_at.setdefault(asked, []).append(now)
        return answer

    return send


def _of_random_sign_in_codes(own: Function) -> Function:
    """Have the managed login's page send a random code; it is a constant of the module's."""
    hooks.value("services.cognito._EMAIL_OTP_CODE", str)
    module: Any = hooks.module("services.cognito")

    @functools.wraps(own)
    def begin(pool: Pool, ua_token: str, session: dict[str, Any], challenge: str) -> Any:
        with _mailing:
            module._EMAIL_OTP_CODE = _new_code()  # noqa: SLF001 ministack's, and checked above
            return own(pool, ua_token, session, challenge)

    return begin


# Ministack's functions that are wrapped, what they take, and by what. Where one is wrapped twice,
# the later one is outside. _resolve_user comes first: others here call it.
_PRE_SIGN_UP = "pool_id client_id username user_attrs trigger_source"
_CHALLENGE = "pool_id client_id username user_attrs session client_metadata"
_REPLACED: tuple[tuple[str, str, Callable[[Function], Function]], ...] = (
    ("_resolve_user", "pool username", _alias_in_any_case),
    ("_create_user_pool", "data", _then_keep_users),
    ("_restore_state", "data", _then_keep_users),
    ("_sign_up", "data", _unless_closed),
    (
        "_password_auth_result",
        "pool pid cid user username client_metadata data",
        _with_session,
    ),
    ("_respond_to_auth_challenge", "data", _by_its_session),
    ("_admin_respond_to_auth_challenge", "data", _by_its_session),
    ("_update_user_pool", "data", _resetting_pool),
    ("_update_user_pool_client", "data", _resetting_client),
    ("_apply_presignup_trigger", _PRE_SIGN_UP, _pre_sign_up),
    ("_apply_presignup_trigger", _PRE_SIGN_UP, _if_permitted("PreSignUp")),
    (
        "_apply_pretoken_trigger",
        (
            "pool_id claims token_type trigger_source client_id username user_attrs groups "
            "client_metadata scope"
        ),
        _if_permitted("PreTokenGeneration"),
    ),
    (
        "_apply_custom_message_trigger",
        "pool trigger_source username user_attrs client_metadata username_parameter",
        _if_permitted("CustomMessage"),
    ),
    (
        "_apply_inbound_federation_trigger",
        "pool_id client_id username provider_name provider_type attributes",
        _if_permitted("InboundFederation"),
    ),
    ("_invoke_define_auth_challenge_trigger", _CHALLENGE, _if_permitted("DefineAuthChallenge")),
    ("_invoke_create_auth_challenge_trigger", _CHALLENGE, _if_permitted("CreateAuthChallenge")),
    (
        "_invoke_verify_auth_challenge_trigger",
        "pool_id client_id username user_attrs session challenge_answer client_metadata",
        _if_permitted("VerifyAuthChallengeResponse"),
    ),
    ("_run_idp_handler", "handler action data", _with_trigger_errors),
    (
        "_send_verification_email",
        "pool username attr_dict code attribute_name",
        _of_random_codes,
    ),
    ("_code_error", "issued code", _unless_never_sent),
    ("_confirmation_code_error", "action data", _of_few_guesses),
    ("_begin_user_auth_challenge", "pool ua_token session challenge", _of_random_sign_in_codes),
    ("_forgot_password", "data", _of_few_codes),
    ("_resend_confirmation_code", "data", _of_few_codes),
)
