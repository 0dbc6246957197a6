"""The console's steps in its order: what ``cogauth up`` makes, and ``cogauth down`` takes away.

Each step groups the AWS resources that it makes; each resource says how it is created, found,
compared and deleted in the file of its service.
"""

from cogauth.steps.apigateway import (
    ApiResource,
    Authorizer,
    Deployment,
    ProtectedMethod,
    RestApi,
    SignInMethod,
    Stage,
    sign_in_source_arn,
)
from cogauth.steps.base import Step
from cogauth.steps.cognito import PreSignUpTrigger, UserPool, UserPoolClient
from cogauth.steps.iam import PowerUserAttachment, Role, RolePolicy
from cogauth.steps.lambda_ import AUTO_CONFIRM, SIGN_IN, Function, LogGroup, Permission

STEPS = (
    Step("user_pool", "User pool", (), (UserPool(),)),
    Step("app_client", "App client", ("user_pool",), (UserPoolClient(),)),
    Step("role", "Role", ("user_pool",), (Role(), RolePolicy(), PowerUserAttachment())),
    Step(
        "sign_in_function",
        "Sign-in function",
        ("user_pool", "app_client", "role"),
        (LogGroup(SIGN_IN), Function(SIGN_IN)),
    ),
    Step(
        "auto_confirm_function",
        "Auto-confirm function",
        ("role",),
        (LogGroup(AUTO_CONFIRM), Function(AUTO_CONFIRM)),
    ),
    Step(
        "trigger",
        "Pre-sign-up trigger",
        ("user_pool", "auto_confirm_function"),
        (
            Permission(
                "trigger_permission",
                AUTO_CONFIRM,
                "cognito-idp",
                lambda ctx: ctx.fact("user_pool", "arn"),
                same_account=True,
            ),
            PreSignUpTrigger(),
        ),
    ),
    Step(
        "rest_api",
        "REST API",
        ("sign_in_function",),
        (
            RestApi(),
            ApiResource("sign_in_resource"),
            SignInMethod(),
            Permission("sign_in_permission", SIGN_IN, "apigateway", sign_in_source_arn),
        ),
    ),
    Step("authorizer", "Authorizer", ("user_pool", "rest_api"), (Authorizer(),)),
    Step(
        "protected_method",
        "Protected method",
        ("rest_api", "authorizer"),
        (ApiResource("hello_resource"), ProtectedMethod()),
    ),
    Step(
        "deployment",
        "Deployment",
        ("rest_api", "protected_method"),
        (Deployment(), Stage()),
    ),
)
