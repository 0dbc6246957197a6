"""Check whether a function's resource policy lets an AWS service invoke it.

Ministack never checks that for its own calls, but it has the policy evaluation used here.
"""

from cogauth.local import hooks

_find_function = hooks.called(
    "services.lambda_svc._get_func_record_for_ref_in_scope", "function_ref account_id region"
)
_make_context = hooks.called(
    "core.iam_evaluator.EvalContext",
    "principal_arn principal_type principal_account action resource_arn region source_ip "
    "secure_transport request_tags tag_keys service_context principal_keys",
)
_evaluate = hooks.called(
    "core.iam_evaluator.evaluate_resource_policy", "doc ctx service named_only direct_only"
)


def may_invoke(function_arn: str, principal: str, source_arn: str) -> bool:
    """Return whether a service may invoke a function for a resource; False for no such function.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/permissions-function-services.html
    ``function_arn`` includes the version or alias, if any, because each has its own policy.
    ``source_arn`` names the resource that the service acts for.
    """
    parts = function_arn.split(":")
    if len(parts) not in {7, 8}:
        return False
    # Ministack stores the policies of all versions and aliases with the function.
    unqualified = ":".join(parts[:7])
    function, _, _ = _find_function(unqualified, account_id=parts[4], region=parts[3])
    if function is None:
        return False
    context = _make_context(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action="lambda:InvokeFunction",
        # AddPermission doesn't accept $LATEST: the function's own policy applies to it.
        resource_arn=function_arn.removesuffix(":$LATEST"),
        region=parts[3],
        service_context={
            "aws:sourcearn": source_arn,
            "aws:sourceaccount": source_arn.split(":")[4],
        },
    )
    return bool(_evaluate(function["policy"], context, service=principal).decision == "Allow")
