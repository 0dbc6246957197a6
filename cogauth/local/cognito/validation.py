"""Validate the input of Cognito operations that need no signature, because anyone may send it.

Also of those that set a password: otherwise a user could have one that no other operation accepts.
AWS first checks every parameter against its API's model, and attributes against the pool's schema.
Ministack stores any input: an attribute named ``cognito:groups`` became a claim, and a value that
wasn't text broke the saved data.
"""

import hmac
import re
import secrets
import unicodedata
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from cogauth.local import hooks
from cogauth.local.cognito.ministacks import RefusalError, of_cognito, pool_for_client
from cogauth.local.hooks import AnyFunction

_INVALID = "InvalidParameterException"
# AWS's messages for input that doesn't match the model:
# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/CommonErrors.html
_TYPES: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "structure": dict,
    "map": dict,
    "list": list,
}
# Patterns that Python can't parse: letters, marks, symbols, numbers, punctuation, and more.
_LETTERS = r"\p{L}\p{M}\p{S}\p{N}\p{P}"
_BY_CATEGORY = {f"[{_LETTERS}]+": "", rf"[{_LETTERS}\t\n\r ]+": "\t\n\r "}
# A space may be inside a password, not at an end. AWS's messages have this pattern; its model has
# an older one, without any space.
# https://docs.aws.amazon.com/cognito/latest/developerguide/managing-users-passwords.html
_OF_PASSWORD = r"^[\S]+.*[\S]+$"  # noqa: S105 a pattern
# The operations that set a password and need a signature.
_SET_PASSWORD = {"AdminCreateUser", "AdminSetUserPassword"}
_NOT_THEIRS = {"sub", "email_verified", "phone_number_verified"}
_OF_TOKENS = {"GetTokensFromRefreshToken": "RefreshToken", "RevokeToken": "Token"}

_error = hooks.called(
    "core.responses.error_response_json", "code message status extra message_key content_type"
)
_model = hooks.called("core.iam_actions._load_botocore_model", "botocore_service")
_unsigned = hooks.called("core.iam_actions.unsigned_operations", "service")
_pin = of_cognito("_pin_unsigned_idp_scope", "data")
_pool_of_token = of_cognito("_pool_id_from_token", "token")
_get_pool = of_cognito("_get_pool_unscoped", "pool_id")
_claims = of_cognito("_token_claims", "token")
_is_signed = of_cognito("_signature_valid", "token")


def run_handler(own: AnyFunction, handler: AnyFunction, action: str, data: Any) -> Any:
    """Validate the input, and let ministack handle it."""
    try:
        _check(action, data)
        return own(handler, action, data)
    except RefusalError as error:
        refused = error
    except RecursionError:
        # A token's JSON may be nested too deeply for Python.
        refused = RefusalError("1 validation error detected: it is nested too deeply", _INVALID)
    return _error(refused.code, str(refused), HTTPStatus.BAD_REQUEST)


def sign_up(own: AnyFunction, data: dict[str, Any]) -> Any:
    """Refuse a sign-up in a pool where only administrators may create users."""
    # AWS doesn't document what it checks first. Here such a pool reveals nothing about its users.
    # AWS's message: https://github.com/pmill/aws-cognito/issues/37, and the setting:
    # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUserConfigType.html
    pool, _ = pool_for_client(data.get("ClientId"))
    if ((pool or {}).get("AdminCreateUserConfig") or {}).get("AllowAdminCreateUserOnly"):
        raise RefusalError("SignUp is not permitted for this user pool")
    return own(data)


def policy_errors(own: AnyFunction, pool: dict[str, Any], password: str) -> list[str]:
    """Count a space inside a password as a symbol, and refuse one at an end.

    An answer to a challenge is refused only here; its error for such a space is a guess.
    """
    errors: list[str] = own(pool, password.replace(" ", "_"))
    if password != password.strip(" "):
        errors.append("Password must not begin or end with a space")
    return errors


def new_client_secret(_own: AnyFunction) -> str:
    """Return a secret of letters and digits only."""
    return secrets.token_hex(26)


def _check(action: str, data: Any) -> None:
    is_unsigned = action in _unsigned("cognito-idp")
    if is_unsigned or action in _SET_PASSWORD:
        model = _model("cognito-idp")
        shape = model["operations"][action]["input"]["shape"]
        for flaw in _flaws(model["shapes"], shape, data, ""):
            raise RefusalError(f"1 validation error detected: {flaw}", _INVALID)
    if is_unsigned:
        # Without a signature, the input determines the region.
        _pin(data)
        if action in _OF_TOKENS:
            _check_token(data[_OF_TOKENS[action]], data)
    if action == "SignUp" and data.get("Password") is None:
        # It is optional in the model, but ministack doesn't support sign-ups without it.
        raise RefusalError("Missing required parameter Password", _INVALID)
    if action in {"SignUp", "UpdateUserAttributes"}:
        _check_attributes(action, data)


def _check_attributes(action: str, data: dict[str, Any]) -> None:
    """Refuse attributes that aren't in the pool's schema or that the user may not write.

    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html
    """
    client_id = data.get("ClientId")
    pool, _ = pool_for_client(client_id)
    if action == "UpdateUserAttributes":
        pool = _get_pool(_pool_of_token(data["AccessToken"]))
        client_id = _claims(data["AccessToken"]).get("client_id")
    if pool is None:
        return  # Ministack itself reports that.
    schema = {one["Name"]: one for one in pool["SchemaAttributes"]}
    writable = (pool["_clients"].get(client_id) or {}).get("WriteAttributes") or list(schema)
    for given in data.get("UserAttributes") or []:
        name = given["Name"]
        given.setdefault("Value", "")
        if name not in schema:
            message = f"{name}: Attribute does not exist in the schema.\n"
            raise RefusalError(f"Attributes did not conform to the schema: {message}", _INVALID)
        # Only a code can verify a user's address.
        fixed = action == "UpdateUserAttributes" and not schema[name].get("Mutable", True)
        if fixed or name in _NOT_THEIRS or name not in writable or name.startswith("dev:"):
            raise RefusalError("A client attempted to write unauthorized attribute")


def _check_token(token: str, data: dict[str, Any]) -> None:
    # Only a refresh token's own app client may use it, with its secret.
    # https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RevokeToken.html
    try:
        is_ours = _is_signed(token)
    except (RecursionError, ValueError):
        is_ours = False
    if not is_ours:
        raise RefusalError("Invalid Refresh Token")
    claims = _claims(token)
    if claims.get("token_use") != "refresh":
        message = "Only a refresh token can be taken here."
        raise RefusalError(message, "UnsupportedTokenTypeException")
    if claims.get("client_id") != data["ClientId"]:
        raise RefusalError("Refresh Token has different Client")
    pool, _ = pool_for_client(data["ClientId"])
    client = (pool or {}).get("_clients", {}).get(data["ClientId"]) or {}
    secret, given = client.get("ClientSecret") or "", data.get("ClientSecret") or ""
    if not hmac.compare_digest(secret.encode(), given.encode()):
        raise RefusalError("Client secret does not match.")


def _flaws(shapes: dict[str, Any], name: str, value: Any, place: str) -> Iterator[str]:
    """Yield how a value violates the model, in AWS's words, without the value."""
    shape = shapes[name]
    if name == "PasswordType":
        shape = {**shape, "pattern": _OF_PASSWORD}
    if type(value) is not _TYPES[shape["type"]]:
        yield f"Value at '{place}' failed to satisfy constraint: Member must be {shape['type']}"
        return
    if shape["type"] == "string":
        yield from _of_text(shape, value, place)
    for member in shape.get("required", []):
        if value.get(member) is None:
            null = f"Value null at '{_inside(place, member)}' failed to satisfy constraint"
            yield f"{null}: Member must not be null"
    for inner, one, where in _members(shape, value, place):
        yield from _flaws(shapes, inner["shape"], one, where)


def _members(
    shape: dict[str, Any], value: Any, place: str
) -> Iterator[tuple[dict[str, Any], Any, str]]:
    """Yield the parts of a value: shape, value and place."""
    if shape["type"] == "structure":
        for member, inner in shape["members"].items():
            if value.get(member) is not None:
                yield inner, value[member], _inside(place, member)
    elif shape["type"] == "map":
        for key, one in value.items():
            yield shape["key"], key, f"{place}.key"
            yield shape["value"], one, f"{place}.value"
    elif shape["type"] == "list":
        for number, one in enumerate(value, 1):
            yield shape["member"], one, f"{place}.{number}.member"


def _inside(place: str, member: str) -> str:
    # AWS uses lower camel case for members.
    name = member[:1].lower() + member[1:]
    return f"{place}.{name}" if place else name


def _of_text(shape: dict[str, Any], value: str, place: str) -> Iterator[str]:
    broken = f"Value at '{place}' failed to satisfy constraint: Member must"
    if len(value) < shape.get("min", 0):
        yield f"{broken} have length greater than or equal to {shape['min']}"
    if len(value) > shape.get("max", len(value)):
        yield f"{broken} have length less than or equal to {shape['max']}"
    if any("\ud800" <= character <= "\udfff" for character in value):
        yield f"{broken} be text"
    if "enum" in shape and value not in shape["enum"]:
        yield f"{broken} satisfy enum value set: [{', '.join(shape['enum'])}]"
    if "pattern" in shape and not _fits(shape["pattern"], value):
        yield f"{broken} satisfy regular expression pattern: {shape['pattern']}"


def _fits(pattern: str, value: str) -> bool:
    if pattern in _BY_CATEGORY:
        extra = _BY_CATEGORY[pattern]
        return all(one in extra or unicodedata.category(one)[0] in "LMSNP" for one in value)
    return re.fullmatch(pattern, value, re.ASCII) is not None
