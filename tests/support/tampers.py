"""What someone may do to a stack by hand, behind `up`'s back."""

import json

from support.account import Account
from support.stacks import (
    AUTO_CONFIRM,
    AUTO_CONFIRM_LOGS,
    OTHER_TRUST,
    ROLE,
    SIGN_IN,
    SIGN_IN_LOGS,
    fact,
    function,
    pool,
    update_pool,
)

# ---- changes


def put_back_retention(account: Account) -> None:
    account.client("logs").put_retention_policy(logGroupName=SIGN_IN_LOGS, retentionInDays=1)


def change_code(account: Account) -> None:
    import io  # noqa: PLC0415
    import zipfile  # noqa: PLC0415

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("sign_in.py", "def handler(*_): return 'pwned'")
    account.client("lambda").update_function_code(FunctionName=SIGN_IN, ZipFile=buffer.getvalue())


def add_a_variable(account: Account) -> None:
    configuration = function(account, SIGN_IN)["Environment"]["Variables"]
    account.client("lambda").update_function_configuration(
        FunctionName=SIGN_IN, Environment={"Variables": {**configuration, "DEBUG": "1"}}
    )


def remove_trigger(account: Account) -> None:
    update_pool(account, LambdaConfig={})


def point_trigger_elsewhere(account: Account) -> None:
    update_pool(account, LambdaConfig={"PreSignUp": fact(account, "sign_in_function", "arn")})


def weaken_passwords(account: Account) -> None:
    update_pool(
        account,
        Policies={
            "PasswordPolicy": {**pool(account)["Policies"]["PasswordPolicy"], "MinimumLength": 6}
        },
    )


def close_sign_up(account: Account) -> None:
    config = {**pool(account)["AdminCreateUserConfig"], "AllowAdminCreateUserOnly": True}
    update_pool(account, AdminCreateUserConfig=config)


def change_flows(account: Account) -> None:
    account.client("cognito-idp").update_user_pool_client(
        UserPoolId=fact(account, "user_pool"),
        ClientId=fact(account, "app_client"),
        ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        PreventUserExistenceErrors="LEGACY",
    )


def widen_role(account: Account) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    account.client("iam").put_role_policy(
        RoleName=ROLE,
        PolicyName="cogauth",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )


def change_trust(account: Account) -> None:
    account.client("iam").update_assume_role_policy(RoleName=ROLE, PolicyDocument=OTHER_TRUST)


def widen_permission(account: Account) -> None:
    lambda_ = account.client("lambda")
    place = {"FunctionName": SIGN_IN, "StatementId": "cogauth-apigateway"}
    lambda_.remove_permission(**place)
    lambda_.add_permission(
        **place, Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )


def remove_permission(account: Account) -> None:
    account.client("lambda").remove_permission(
        FunctionName=AUTO_CONFIRM, StatementId="cogauth-cognito-idp"
    )


def update_method(account: Account, resource: str, http_method: str, value: str) -> None:
    account.client("apigateway").update_method(
        restApiId=fact(account, "rest_api"),
        resourceId=fact(account, resource),
        httpMethod=http_method,
        patchOperations=[{"op": "replace", "path": "/authorizationType", "value": value}],
    )


def open_protected_method(account: Account) -> None:
    update_method(account, "hello_resource", "GET", "NONE")


def close_sign_in_method(account: Account) -> None:
    update_method(account, "sign_in_resource", "POST", "AWS_IAM")


def change_identity_source(account: Account) -> None:
    patch = {"op": "replace", "path": "/identitySource", "value": "method.request.header.X"}
    account.client("apigateway").update_authorizer(
        restApiId=fact(account, "rest_api"),
        authorizerId=fact(account, "authorizer"),
        patchOperations=[patch],
    )


def change_template(account: Account) -> None:
    account.client("apigateway").put_integration_response(
        restApiId=fact(account, "rest_api"),
        resourceId=fact(account, "sign_in_resource"),
        httpMethod="POST",
        statusCode="500",
        selectionPattern="never",
        responseTemplates={"application/json": "$input.body"},
    )


def change_integration(account: Account) -> None:
    account.client("apigateway").put_integration(
        restApiId=fact(account, "rest_api"),
        resourceId=fact(account, "sign_in_resource"),
        httpMethod="POST",
        type="MOCK",
    )


def lift_throttle(account: Account) -> None:
    account.client("apigateway").update_stage(
        restApiId=fact(account, "rest_api"),
        stageName="dev",
        patchOperations=[
            {
                "op": "replace",
                "path": "/~1signin/POST/throttling/rateLimit",
                "value": "9999",
            }
        ],
    )


# ---- deletions


def delete_client(account: Account) -> None:
    account.client("cognito-idp").delete_user_pool_client(
        UserPoolId=fact(account, "user_pool"), ClientId=fact(account, "app_client")
    )


def delete_role(account: Account) -> None:
    account.client("iam").delete_role_policy(RoleName=ROLE, PolicyName="cogauth")
    account.client("iam").delete_role(RoleName=ROLE)


def delete_role_policy(account: Account) -> None:
    account.client("iam").delete_role_policy(RoleName=ROLE, PolicyName="cogauth")


def delete_sign_in_function(account: Account) -> None:
    account.client("lambda").delete_function(FunctionName=SIGN_IN)


def delete_auto_confirm_function(account: Account) -> None:
    account.client("lambda").delete_function(FunctionName=AUTO_CONFIRM)


def delete_log_group(account: Account) -> None:
    account.client("logs").delete_log_group(logGroupName=AUTO_CONFIRM_LOGS)


def delete_resource(account: Account) -> None:
    account.client("apigateway").delete_resource(
        restApiId=fact(account, "rest_api"), resourceId=fact(account, "hello_resource")
    )


def delete_method(account: Account) -> None:
    account.client("apigateway").delete_method(
        restApiId=fact(account, "rest_api"),
        resourceId=fact(account, "sign_in_resource"),
        httpMethod="POST",
    )


def delete_authorizer(account: Account) -> None:
    # AWS refuses it while a method refers to it.
    open_protected_method(account)
    account.client("apigateway").delete_authorizer(
        restApiId=fact(account, "rest_api"), authorizerId=fact(account, "authorizer")
    )


def delete_stage(account: Account) -> None:
    account.client("apigateway").delete_stage(restApiId=fact(account, "rest_api"), stageName="dev")


# What someone may have done on purpose: `up` asks before it overwrites these changes.
OVERWRITTEN = {
    change_code,
    add_a_variable,
    weaken_passwords,
    close_sign_up,
    change_flows,
    change_trust,
    close_sign_in_method,
    lift_throttle,
    remove_trigger,
    point_trigger_elsewhere,
    change_identity_source,
}
