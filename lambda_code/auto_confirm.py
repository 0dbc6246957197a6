"""The pre-sign-up trigger: lets a user in at once, without a confirmation code.

Otherwise who signs up can't sign in until a code from an e-mail or a text message was typed in.
This project asks for a name and a password only, so nobody could receive one. Cognito waits five
seconds for the answer and may call up to three times for one sign-up. So the function imports
nothing, to start fast, and calling it again changes nothing.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-sign-up.html
"""


def handler(event: dict[str, object], context: object) -> dict[str, object]:  # noqa: ARG001 - Lambda passes it
    """Confirm whoever signs up, and give Cognito its event back.

    Users whom an administrator creates (PreSignUp_AdminCreateUser) or who come from another
    identity provider (PreSignUp_ExternalProvider) pass as they are.
    """
    response = event["response"]
    if event["triggerSource"] == "PreSignUp_SignUp" and isinstance(response, dict):
        response["autoConfirmUser"] = True
    return event
