"""The format of each id, name and ARN in a state file.

A state file may come from a clone, a shared folder or an editor, and its values end up in URLs,
ARNs and calls. This module doesn't import botocore, so that files load fast; a test compares these
formats with botocore's models.
"""

from __future__ import annotations

import re
from typing import Any

# API Gateway's model has no pattern for its ids. AWS's ids have ten characters, emulators' more.
ID = r"[A-Za-z0-9_-]{1,128}"
# From the models of cognito-idp, IAM, Lambda and CloudWatch Logs; longer where an emulator's ids
# are longer.
POOL_ID = r"[\w-]{1,53}_[0-9a-zA-Z]{1,64}"
CLIENT_ID = r"[\w+]{1,128}"
CLIENT_NAME = r"[\w\s+=,.@-]{1,128}"
ROLE_NAME = r"[\w+=,.@-]{1,64}"
POLICY_NAME = r"[\w+=,.@-]{1,128}"
FUNCTION_NAME = r"[a-zA-Z0-9-_]{1,64}"
STATEMENT_ID = r"[a-zA-Z0-9-_]{1,100}"
LOG_GROUP_NAME = r"[.\-_/#A-Za-z0-9]{1,512}"
# The ARN of any resource, whoever owns it.
ANY_ARN = (
    r"arn:[\w+=/,.@-]+:[\w+=/,.@-]+:([\w+=/,.@-]*)?:[0-9]+:[\w+=/,.@-]+"
    r"(:[\w+=/,.@-]+)?(:[\w+=/,.@-]+)?"
)
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ACCOUNT = r"\d{12}"
# Part of host names and ARNs. botocore knows whether AWS has such a region.
REGION = r"[a-z0-9]+(-[a-z0-9]+)+"
PARTITION = r"aws(-[a-z]+)*"
AUTHORIZATION_TYPE = r"[A-Z][A-Z0-9_]{0,63}"
# Such as ``GET /orders/{id}``. Emulators allow more characters in paths than API Gateway.
METHOD = r"(GET|HEAD|OPTIONS|POST|PUT|PATCH|DELETE|ANY) /[!-~]{0,2048}"
PATH = r"/[A-Za-z0-9._-]{1,100}"
# Anything that AWS accepts: it is restored as it was.
SCOPE = r".+"
NAME = r".+"
# The local AWS's data, and the URL where it serves them.
DATA_ID = r"[0-9a-f]{16}"
LOCAL_URL = r"http://127\.0\.0\.1:\d{1,5}"
# In UTC, as cogauth writes it.
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00"

# The time of a function's last change, as Lambda gives it.
VERSION = r"[\w:.+-]{1,64}"

_POOL_ARN = "arn:<partition>:cognito-idp:<region>:<account>:userpool/"
# 'recover' records what it finds, even if somebody changed the authorizer; it is only compared.
ATTACHED_POOL = rf"{_POOL_ARN}{POOL_ID}|{ANY_ARN}|{ID}"
_ROLE = {"id": ROLE_NAME, "arn": "arn:<partition>:iam::<account>:role/<id>"}
_FUNCTION = {
    "id": FUNCTION_NAME,
    "arn": "arn:<partition>:lambda:<region>:<account>:function:<id>",
}
_LOG_GROUP = {
    "id": LOG_GROUP_NAME,
    "arn": "arn:<partition>:logs:<region>:<account>:log-group:<id>",
}
_API_ARN = "arn:<partition>:apigateway:<region>::/restapis/"
_API_RESOURCE = {"id": ID, "path": PATH}

# The facts in each resource's record, with their formats. Names in angle brackets stand for the
# state file's own values, ``<id>`` for the record's.
FACTS: dict[str, dict[str, str]] = {
    "user_pool": {"id": POOL_ID, "arn": f"{_POOL_ARN}<id>"},
    "app_client": {"id": CLIENT_ID, "name": CLIENT_NAME},
    "role": _ROLE,
    "role_policy": {"id": POLICY_NAME, "role": ROLE_NAME},
    "power_user_attachment": {
        "id": "arn:<partition>:iam::aws:policy/AmazonCognitoPowerUser",
        "role": ROLE_NAME,
    },
    "auto_confirm_role": _ROLE,
    "auto_confirm_role_policy": {"id": POLICY_NAME, "role": ROLE_NAME},
    "sign_in_log_group": _LOG_GROUP,
    "sign_in_function": _FUNCTION,
    "auto_confirm_log_group": _LOG_GROUP,
    "auto_confirm_function": _FUNCTION,
    "trigger_permission": {"id": STATEMENT_ID},
    # Somebody may have pointed the trigger to another function.
    "trigger": {"id": POOL_ID, "arn": ANY_ARN},
    "rest_api": {"id": ID, "arn": f"{_API_ARN}<id>", "root": ID},
    "sign_in_resource": _API_RESOURCE,
    "sign_in_method": {"id": METHOD},
    "sign_in_integration": {"id": METHOD},
    "sign_in_permission": {"id": STATEMENT_ID},
    "sign_in_preflight": {"id": METHOD},
    "unauthorized_response": {"id": "UNAUTHORIZED"},
    "access_denied_response": {"id": "ACCESS_DENIED"},
    "default_4xx_response": {"id": "DEFAULT_4XX"},
    "default_5xx_response": {"id": "DEFAULT_5XX"},
    "authorizer": {"id": ID, "name": NAME},
    "hello_resource": _API_RESOURCE,
    "protected_method": {"id": METHOD},
    "protected_integration": {"id": METHOD},
    "hello_preflight": {"id": METHOD},
    "deployment": {"id": ID},
    # A recreated API has another id than the one in the ARN of the stage that is still recorded.
    "stage": {"id": ID, "arn": f"{_API_ARN}{ID}/stages/<id>"},
}

_SHOWN = 80


def check_showable(data: Any, where: str = "") -> None:
    """Raise ValueError if a text in a JSON document has characters that a terminal acts on."""
    if isinstance(data, dict):
        for key, value in data.items():
            check_showable(key, f"a name in {where or 'it'}")
            check_showable(value, f"{where}.{key}".removeprefix("."))
    elif isinstance(data, list):
        for value in data:
            check_showable(value, where)
    elif isinstance(data, str) and not data.isprintable():
        raise ValueError(f"{where} has characters that can't be printed: {shown(data)}")


def check_text(where: str, value: Any, format_: str, **known: str) -> str:
    """Return the text if it matches the format, a regular expression; else raise ValueError.

    ``known`` gives the values for the names in angle brackets.
    """
    for name, text in known.items():
        format_ = format_.replace(f"<{name}>", re.escape(text))
    format_ = format_.replace("<partition>", PARTITION)
    if not isinstance(value, str) or not re.fullmatch(format_, value, re.ASCII):
        raise ValueError(f"{where} can't be {shown(value)}")
    return value


def check(where: str, value: Any, format_: Any) -> None:
    """Raise ValueError if a value doesn't have the format.

    A format is a regular expression or ``bool``; a list with the items' format; an object with the
    format of every field; or a tuple of a format and None, which allows either.
    """
    if isinstance(format_, dict):
        for name in check_fields(where, value, set(format_), set()):
            check(f"{where}.{name}", value[name], format_[name])
    elif isinstance(format_, list) and isinstance(value, list):
        for one in value:
            check(where, one, format_[0])
    elif isinstance(format_, tuple):
        if value is not None:
            check(where, value, format_[0])
    elif isinstance(format_, str):
        check_text(where, value, format_)
    elif format_ is not bool or not isinstance(value, bool):
        raise ValueError(f"{where} can't be {shown(value)}")


def check_fields(where: str, data: Any, needed: set[str], optional: set[str]) -> dict[str, Any]:
    """Return an object that has all needed fields and no unknown ones; else raise ValueError."""
    if not isinstance(data, dict):
        raise ValueError(f"{where} can't be {shown(data)}")  # noqa: TRY004 all damage is one kind
    for name in sorted(needed - data.keys()):
        raise ValueError(f"{where}.{name} is missing".removeprefix("."))
    for name in sorted(data.keys() - needed - optional):
        raise ValueError(f"{where}.{name} is not known to this cogauth".removeprefix("."))
    return data


def shown(value: Any) -> str:
    """Return a value as errors quote it: short, and without characters that a terminal acts on."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
