"""What a stage serves, as API Gateway exports it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cogauth.aws.answers import code_of, message_of
from cogauth.aws.errors import DENIED, EXPIRED, INVALID, THROTTLED

if TYPE_CHECKING:
    from cogauth.context import Context


def export(ctx: Context, api: str, stage: str) -> dict[str, Any] | str:
    """Return what is deployed to a stage, as OpenAPI 3.0; or why that can't be had.

    Source for the two extensions at once: https://github.com/aws/aws-cli/issues/3133
    """
    try:
        answer = ctx.aws.apigateway.get_export(
            restApiId=api,
            stageName=stage,
            exportType="oas30",
            parameters={"extensions": "integrations,authorizers"},
            accepts="application/json",
        )
        document = json.loads(answer["body"].read())
    except ClientError as error:
        if code_of(error) in DENIED | EXPIRED | INVALID | THROTTLED:
            raise
        # AWS itself can't export an API whose bodies aren't JSON; an emulator may lack it.
        return f"{code_of(error)}: {message_of(error)}"
    except ValueError as error:
        return f"its answer is no JSON ({error})"
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict) or not all(isinstance(one, dict) for one in paths.values()):
        return "its answer is no OpenAPI document"
    return document  # type: ignore[no-any-return]
