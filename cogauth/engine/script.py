"""A first ``up`` as a bash script of AWS CLI commands."""

from __future__ import annotations

import base64
import json
import re
import shlex
import textwrap
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from botocore import xform_name

from cogauth import __version__
from cogauth.aws.answers import NOT_FOUND
from cogauth.aws.clients import ONCE, RETRIED
from cogauth.aws.transient import (
    KNOWN_WITHIN_S,
    NO_SUCH_POLICY,
    PASSES_WITHIN_S,
    REFERS_TO_NOTHING,
    TRANSIENT,
)
from cogauth.engine.rehearsal import ACCOUNT, rehearse, variable
from cogauth.printable import one_line
from cogauth.steps import RESOURCES, STEPS
from cogauth.steps.ownership import words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cogauth.context import Context
    from cogauth.engine.rehearsal import RehearsedCall

# Where the console does each step, and what it does there.
CONSOLE = {
    "user_pool": "Cognito, User pools, Create user pool. Names ignore case, which can only be "
    "chosen now. Self-registration is on, unless --sign-up is closed.",
    "app_client": "Cognito, the pool, App clients, Create app client. Its secret keeps others from "
    "using the client's id.",
    "role": "IAM, Roles, Create role, for Lambda; then Create inline policy, for this pool and "
    "this log group only.",
    "sign_in_function": "Lambda, Create function, then Upload from .zip file. The log group comes "
    "first: Lambda would create one that keeps logs for ever.",
    "auto_confirm_role": "IAM, Roles, Create role, for Lambda; then Create inline policy, which "
    "lets the function write its log and nothing else.",
    "auto_confirm_function": "Lambda, Create function, then Upload from .zip file.",
    "trigger": "Cognito, the pool, Extensions, Add Lambda trigger. The console adds the function's "
    "permission silently. The update resets what it isn't given, so it gets the whole pool.",
    "rest_api": "API Gateway, Create REST API, Create resource, Create method. The console adds "
    "the function's permission silently. The response template sets the HTTP status. For "
    "--cors-origin, Enable CORS adds the preflights and headers.",
    "authorizer": "API Gateway, the API, Authorizers, Create authorizer, of the type Cognito.",
    "protected_method": "API Gateway, Create resource, Create method, then Edit method request, "
    "where the authorizer is chosen. The method answers by itself, without a function.",
    "deployment": "API Gateway, Deploy API, to a new stage; then Edit the stage's throttling of "
    "the sign-in method.",
}
# The script's longest line that can be wrapped.
WIDTH = 100
# By reading call that is repeated: the AWS CLI's command that waits in its place.
WAITS = {"GetFunctionConfiguration": "lambda wait function-active-v2"}
HEAD = r"""#!/usr/bin/env bash
# The stack @STACK@ as AWS CLI commands: what 'cogauth up' creates, in the order of AWS's console.
#
# cogauth @VERSION@ wrote it with 'cogauth plan --script'. It needs bash, the AWS CLI and coreutils,
# uses the credentials that the AWS CLI finds, and contains no secret. Run it only once, because it
# contains the id of one stack. This takes up what it created, the whole stack or a part of it:
#   @RECOVER@
set -euo pipefail

export AWS_REGION=@REGION@ AWS_DEFAULT_REGION=@REGION@ AWS_PAGER=''
# How often the AWS CLI tries a call. AWS_MAX_ATTEMPTS=1 is for what has no unique name: a call that
# is repeated after a lost answer would create a second one.
export AWS_RETRY_MODE=@MODE@ AWS_MAX_ATTEMPTS=@ATTEMPTS@
@ENDPOINT@
work=$(mktemp -d)
# The parameters of the next call.
request=$work/request.json
begun=
finish() {
  local status=$?
  rm -rf "$work"
  if [[ $status -ne 0 && -n $begun ]]; then
    cat >&2 <<'END'
Not everything was created. This takes up what exists:
  @RECOVER@
After it '@UP@' finishes the stack, and '@DOWN@' deletes it.
END
  fi
}
trap finish EXIT

# Run a command of the AWS CLI; run it again while AWS refuses it only for now.
patiently() {
  local began=$SECONDS
  until "$@" 2>"$work/refusal"; do
    if ((SECONDS - began >= $(patience))); then
      cat "$work/refusal" >&2
      return 1
    fi
    sleep 2
  done
}

# Print how many seconds after the first try the last refusal is worth another one.
patience() {
  case $(tr '[:upper:]' '[:lower:]' <"$work/refusal") in
@PATIENCE@
    (*) echo 0 ;;
  esac
}

@ACCOUNT@=$(patiently aws sts get-caller-identity --query Account --output text)
# User pools and REST APIs needn't have unique names, but this role does.
if aws iam get-role --role-name @ROLE@ >/dev/null 2>"$work/refusal"; then
  echo 'The role @ROLE@ exists, so the stack may exist, too. Nothing was created.' >&2
  exit 1
elif [[ $(<"$work/refusal") != *'(NoSuchEntity)'* ]]; then
  cat "$work/refusal" >&2
  exit 1
fi
begun=yes
"""
TAIL = r"""
cat <<END
Sign-in URL: @URL@
END
cat <<'END'
Before cogauth's other commands, run this: @RECOVER@
END
"""


def script(ctx: Context) -> str:
    """Return a bash script that creates the stack as a first ``up`` with its settings does.

    The calls are those of the resources themselves; see ``rehearsal``. The script has a stack id of
    its own, waits as ``up`` does, contains no secret, and leaves a stack that ``recover`` takes up.
    Nothing is sent to AWS or written to disk for it. It is for the AWS CLI of version 1 or 2.
    Source: https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-skeleton.html
    """
    there, calls = rehearse(ctx)
    url = there.url(ctx.state.settings.path)
    calls = _without_unused(calls, url)
    known = [ACCOUNT, *(name for call in calls for name in call.told)]
    region, endpoint = ctx.aws.region, ctx.state.endpoint_url
    recover = one_line(f"{ctx.state.command('recover')} --region {region}")
    retries = _retries(RETRIED)
    values = {
        "STACK": ctx.stack,
        "VERSION": __version__,
        "RECOVER": recover,
        "UP": one_line(ctx.state.command("up")),
        "DOWN": one_line(ctx.state.command("down")),
        "REGION": region,
        "MODE": retries["mode"],
        "ATTEMPTS": str(retries["total_max_attempts"]),
        "ENDPOINT": f"export AWS_ENDPOINT_URL={shlex.quote(endpoint)}\n" if endpoint else "",
        "PATIENCE": _patience(),
        "ACCOUNT": ACCOUNT,
        "ROLE": RESOURCES["role"].name(there) or "",
        "URL": escaped(url, known),
    }
    parts = [_filled(HEAD, values)]
    for number, (step, of_step) in enumerate(groupby(calls, lambda call: call.resource.step), 1):
        count = f"{number}/{len(STEPS)}"
        parts.append(f"\n# ---- {count} {step.title}\n{_comment(CONSOLE[step.name])}\n")
        parts.append(f"echo {shlex.quote(f'{count} {step.title}')} >&2\n")
        parts += [f"\n{line}\n" for call in of_step for line in _commands(call, known)]
    return "".join([*parts, _filled(TAIL, values)])


def _without_unused(calls: list[RehearsedCall], url: str) -> list[RehearsedCall]:
    """Leave out the variables that neither a call nor the sign-in URL contains."""
    contained = json.dumps([call.sent for call in calls], default=str) + url
    return [
        replace(call, told={n: at for n, at in call.told.items() if variable(n) in contained})
        for call in calls
    ]


def _filled(template: str, values: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], template)


def _comment(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _commands(call: RehearsedCall, known: Collection[str]) -> Iterator[str]:
    """Yield the commands of a call, each with a comment."""
    name = words(call.resource)
    if call.operation in WAITS:
        function = shlex.quote(call.sent["FunctionName"])
        yield (
            f"# Wait until the {name} can be used.\n"
            f"patiently aws {WAITS[call.operation]} --function-name {function}"
        )
        return
    sent, options = dict(call.sent), ['--cli-input-json "file://$request"']
    if "Code" in sent:
        packed = base64.encodebytes(sent.pop("Code")["ZipFile"]).decode()
        options.append(f'--zip-file "fileb://$work/{call.resource.key}.zip"')
        yield (
            f"# The code of the {name}: a zip of one Python file.\n"
            f"base64 --decode >\"$work/{call.resource.key}.zip\" <<'ZIP'\n{packed}ZIP"
        )
    title = f"The {name}: {call.what}." if call.what else f"Create the {name}."
    document = escaped(json.dumps(sent, indent=2), known)
    command = f"patiently aws {call.service} {xform_name(call.operation, '-')}"
    if call.once:
        command = f"AWS_MAX_ATTEMPTS={_retries(ONCE)['total_max_attempts']} {command}"
    yield "\n".join(
        [
            _comment(title),
            f'cat >"$request" <<JSON\n{document}\nJSON',
            _told([command, *options], call.told),
        ]
    )


def _told(command: list[str], told: dict[str, str]) -> str:
    """Return a command that sets variables to what its answer tells."""
    if not told:
        return _wrapped([*command, ">/dev/null"])
    names, query = " ".join(told), ", ".join(told.values())
    if len(told) == 1:
        return _wrapped(
            [f"{names}=$({command[0]}", *command[1:], f"--query {query} --output text)"]
        )
    whole = [f"answer=$({command[0]}", *command[1:], f"--query '[{query}]' --output text)"]
    return f'{_wrapped(whole)}\nread -r {names} <<<"$answer"'


def _wrapped(parts: list[str]) -> str:
    line = " ".join(parts)
    return line if len(line) <= WIDTH else " \\\n  ".join(parts)


def escaped(text: str, known: Collection[str]) -> str:
    """Return a text for a here-document in which bash expands only the known variables.

    There a backslash is special only before ``$``, a backquote, a backslash and a line end.
    Source: https://www.gnu.org/software/bash/manual/bash.html#Here-Documents
    """
    variables = "|".join(map(re.escape, known))
    special = rf"\\(?=[$`\\\n]|\Z)|`|\$(?!\{{(?:{variables})\}})"
    return re.sub(special, lambda match: f"\\{match[0]}", text)


def _patience() -> str:
    """Return the branches of bash's ``case`` that tell which refusals pass, and within how long."""
    passing = [(one.code, word) for one in TRANSIENT for word in one.words]
    unknown = [(code, "") for code in NOT_FOUND]
    unknown += [("BadRequestException", word) for word in REFERS_TO_NOTHING]
    branches = [
        ([("", NO_SUCH_POLICY)], 0),
        (passing, PASSES_WITHIN_S),
        # As long as a new resource may not be known everywhere.
        (unknown, KNOWN_WITHIN_S),
    ]
    alternatives = " | \\\n      "
    return "\n".join(
        f"    ({alternatives.join(_pattern(*one) for one in refusals)})\n      echo {seconds} ;;"
        for refusals, seconds in branches
    )


def _pattern(code: str, word: str) -> str:
    """Return a pattern for the AWS CLI's message, in lower case, about an error of AWS."""
    parts = [f"({code.lower()})" if code else "", word]
    return "".join(f"*{shlex.quote(part)}" for part in parts if part) + "*"


def _retries(config: Any) -> dict[str, Any]:
    # botocore makes the attribute from the option of that name, so it has no type.
    retries: dict[str, Any] = config.retries
    return retries
