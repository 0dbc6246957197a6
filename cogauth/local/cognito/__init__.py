"""How user pools answer on the local AWS, where ministack's own answer isn't AWS's.

Each file is a behaviour of AWS's, with its source; the table says which of ministack's functions it
changes. AWS's own documentation is quoted where it is plain. What it doesn't say, and others have
seen, is said to be so.
"""

from collections.abc import Callable

from cogauth.local import hooks, permissions, validation
from cogauth.local.cognito import challenges, closed, codes, names, triggers, updates
from cogauth.local.cognito.ministacks import Function, error_response

# Ministack's functions that are wrapped, what they take, and by what. Where one is wrapped twice,
# the later one is outside. _resolve_user comes first: others here call it.
_PRE_SIGN_UP = "pool_id client_id username user_attrs trigger_source"
_CHALLENGE = "pool_id client_id username user_attrs session client_metadata"
_REPLACED: tuple[tuple[str, str, Callable[[Function], Function]], ...] = (
    ("_resolve_user", "pool username", names.alias_in_any_case),
    ("_create_user_pool", "data", names.then_keep_users),
    ("_restore_state", "data", names.then_keep_users),
    ("_sign_up", "data", closed.unless_closed),
    (
        "_password_auth_result",
        "pool pid cid user username client_metadata data",
        challenges.with_session,
    ),
    ("_respond_to_auth_challenge", "data", challenges.by_its_session),
    ("_admin_respond_to_auth_challenge", "data", challenges.by_its_session),
    ("_update_user_pool", "data", updates.resetting_pool),
    ("_update_user_pool_client", "data", updates.resetting_client),
    ("_apply_presignup_trigger", _PRE_SIGN_UP, triggers.pre_sign_up),
    ("_apply_presignup_trigger", _PRE_SIGN_UP, triggers.if_permitted("PreSignUp")),
    (
        "_apply_pretoken_trigger",
        (
            "pool_id claims token_type trigger_source client_id username user_attrs groups "
            "client_metadata scope"
        ),
        triggers.if_permitted("PreTokenGeneration"),
    ),
    (
        "_apply_custom_message_trigger",
        "pool trigger_source username user_attrs client_metadata username_parameter",
        triggers.if_permitted("CustomMessage"),
    ),
    (
        "_apply_inbound_federation_trigger",
        "pool_id client_id username provider_name provider_type attributes",
        triggers.if_permitted("InboundFederation"),
    ),
    (
        "_invoke_define_auth_challenge_trigger",
        _CHALLENGE,
        triggers.if_permitted("DefineAuthChallenge"),
    ),
    (
        "_invoke_create_auth_challenge_trigger",
        _CHALLENGE,
        triggers.if_permitted("CreateAuthChallenge"),
    ),
    (
        "_invoke_verify_auth_challenge_trigger",
        "pool_id client_id username user_attrs session challenge_answer client_metadata",
        triggers.if_permitted("VerifyAuthChallengeResponse"),
    ),
    ("_run_idp_handler", "handler action data", triggers.with_trigger_errors),
    (
        "_send_verification_email",
        "pool username attr_dict code attribute_name",
        codes.of_random_codes,
    ),
    ("_code_error", "issued code", codes.unless_never_sent),
    ("_confirmation_code_error", "action data", codes.of_few_guesses),
    (
        "_begin_user_auth_challenge",
        "pool ua_token session challenge",
        codes.of_random_sign_in_codes,
    ),
    ("_forgot_password", "data", codes.of_few_codes),
    ("_resend_confirmation_code", "data", codes.of_few_codes),
)


def install() -> None:
    """Put these answers in the place of ministack's. Raises HookError."""
    permissions.check()
    error_response()
    for name, parameters, make in _REPLACED:
        hooks.replace(f"services.cognito.{name}", parameters, make)
    validation.install()
