"""Make user pools of the local AWS answer like AWS where ministack doesn't.

Each file reproduces one behaviour of AWS, with its source; the table lists the functions of
ministack that it changes. Behaviour that only others have observed is marked as such.
"""

from cogauth.local import hooks
from cogauth.local.cognito import challenges, codes, names, triggers, updates, validation
from cogauth.local.hooks import AnyFunction

# The wrapped functions of ministack, their parameters, and our wrappers. If a function is wrapped
# twice, the later wrapper is the outer one.
_WITH_CLAIMS = (
    "pool_id claims token_type trigger_source client_id username user_attrs groups client_metadata "
    "scope"
)
_CHALLENGE = "pool_id client_id username user_attrs session client_metadata"
_TRIGGERS = (
    ("PreSignUp", "_apply_presignup_trigger", triggers.PRE_SIGN_UP),
    ("PreTokenGeneration", "_apply_pretoken_trigger", _WITH_CLAIMS),
    (
        "CustomMessage",
        "_apply_custom_message_trigger",
        "pool trigger_source username user_attrs client_metadata username_parameter",
    ),
    (
        "InboundFederation",
        "_apply_inbound_federation_trigger",
        "pool_id client_id username provider_name provider_type attributes",
    ),
    ("DefineAuthChallenge", "_invoke_define_auth_challenge_trigger", _CHALLENGE),
    ("CreateAuthChallenge", "_invoke_create_auth_challenge_trigger", _CHALLENGE),
    (
        "VerifyAuthChallengeResponse",
        "_invoke_verify_auth_challenge_trigger",
        "pool_id client_id username user_attrs session challenge_answer client_metadata",
    ),
)
_REPLACED: tuple[tuple[str, str, AnyFunction], ...] = (
    ("_resolve_user", "pool username", names.resolve_alias),
    ("_create_user_pool", "data", names.keep_users),
    ("_restore_state", "data", names.keep_users),
    ("_sign_up", "data", validation.sign_up),
    (
        "_password_auth_result",
        "pool pid cid user username client_metadata data",
        challenges.password_auth_result,
    ),
    ("_respond_to_auth_challenge", "data", challenges.respond),
    ("_admin_respond_to_auth_challenge", "data", challenges.respond),
    ("_update_user_pool", "data", updates.update_pool),
    ("_update_user_pool_client", "data", updates.update_client),
    ("_admin_create_user", "data", triggers.admin_create_user),
    ("_apply_presignup_trigger", triggers.PRE_SIGN_UP, triggers.pre_sign_up),
    *((name, takes, triggers.if_permitted(trigger)) for trigger, name, takes in _TRIGGERS),
    ("_send_verification_email", "pool username attr_dict code attribute_name", codes.send_mail),
    ("_code_error", "issued code", codes.code_error),
    ("_confirmation_code_error", "action data", codes.confirmation_code_error),
    ("_begin_user_auth_challenge", "pool ua_token session challenge", codes.begin_user_auth),
    ("_forgot_password", "data", codes.ask_for_code),
    ("_resend_confirmation_code", "data", codes.ask_for_code),
    ("_run_idp_handler", "handler action data", validation.run_handler),
    ("_password_policy_errors", "pool password", validation.policy_errors),
    # In AWS's model, a client secret only has letters and digits.
    ("_client_secret", "", validation.new_client_secret),
)


def install() -> None:
    """Replace ministack's answers. Raises HookError."""
    hooks.check()
    for name, parameters, around in _REPLACED:
        hooks.wrap(f"services.cognito.{name}", parameters, around)
