"""The auto-confirm function, a pre-sign-up trigger: confirms new users without a code.

Without it, new users must enter a code from an e-mail or a text message before they can sign in.
This project asks for a name and a password only, so nobody could receive one. Cognito waits five
seconds for the answer and may call up to three times for one sign-up. So the function imports
nothing, to start fast, and calling it again changes nothing.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-sign-up.html
"""


def handler(event: dict[str, object], context: object) -> dict[str, object]:  # noqa: ARG001 - Lambda passes it
    """Confirm a user who signs up, and return the event to Cognito.

    Users that an administrator creates (PreSignUp_AdminCreateUser) or that come from another
    identity provider (PreSignUp_ExternalProvider) are left unchanged.
    """
    response = event["response"]
    if event["triggerSource"] == "PreSignUp_SignUp" and isinstance(response, dict):
        response["autoConfirmUser"] = True
    return event
