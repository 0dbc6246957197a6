"""The steps in the console's order. The engine follows the resources' dependencies instead."""

from cogauth.steps.base import Step
from cogauth.steps.cognito import PreSignUpTrigger, UserPool, UserPoolClient
from cogauth.steps.cors import GATEWAY_RESPONSES, HELLO_PREFLIGHT, SIGN_IN_PREFLIGHT
from cogauth.steps.deployment import Deployment, Stage
from cogauth.steps.iam import PowerUserAttachment, Role, RolePolicy
from cogauth.steps.lambda_ import AUTO_CONFIRM, SIGN_IN, Caller, Function, Permission
from cogauth.steps.log_groups import LogGroup
from cogauth.steps.methods import (
    ProtectedIntegration,
    ProtectedMethod,
    SignInIntegration,
    SignInMethod,
)
from cogauth.steps.rest_api import ApiResource, Authorizer, RestApi, sign_in_source_arn

COGNITO = Caller(
    "cognito-idp", "user_pool", lambda ctx: ctx.fact("user_pool", "arn"), same_account=True
)
# It depends on the path: a statement that names another path shows who owns that one.
API_GATEWAY = Caller("apigateway", "sign_in_resource", sign_in_source_arn)

STEPS = (
    Step("user_pool", "User pool", (UserPool(),)),
    Step("app_client", "App client", (UserPoolClient(),)),
    Step("role", "Role", (Role(SIGN_IN), RolePolicy(SIGN_IN), PowerUserAttachment())),
    Step("sign_in_function", "Sign-in function", (LogGroup(SIGN_IN), Function(SIGN_IN))),
    Step("auto_confirm_role", "Auto-confirm role", (Role(AUTO_CONFIRM), RolePolicy(AUTO_CONFIRM))),
    Step(
        "auto_confirm_function",
        "Auto-confirm function",
        (LogGroup(AUTO_CONFIRM), Function(AUTO_CONFIRM)),
    ),
    Step(
        "trigger",
        "Pre-sign-up trigger",
        (Permission("trigger_permission", AUTO_CONFIRM, COGNITO), PreSignUpTrigger()),
    ),
    Step(
        "rest_api",
        "REST API",
        (
            RestApi(),
            ApiResource("sign_in_resource"),
            SignInMethod(),
            SignInIntegration(),
            Permission("sign_in_permission", SIGN_IN, API_GATEWAY),
            SIGN_IN_PREFLIGHT,
            *GATEWAY_RESPONSES,
        ),
    ),
    Step("authorizer", "Authorizer", (Authorizer(),)),
    Step(
        "protected_method",
        "Protected method",
        (ApiResource("hello_resource"), ProtectedMethod(), ProtectedIntegration(), HELLO_PREFLIGHT),
    ),
    Step("deployment", "Deployment", (Deployment(), Stage())),
)
RESOURCES = {resource.key: resource for step in STEPS for resource in step.resources}
# Resources that are deleted by a call of their own; all others are deleted with one of them.
ROOTS = [resource for resource in RESOURCES.values() if resource.parent is None]
