"""The article's sign-in function: boto3, and a sign-up at every login.

It is measured for comparison with ours. The article hard-codes the ids; here they come from the
environment, which takes the same time.
"""

import base64
import hashlib
import hmac
import os
import uuid

import boto3

USER_POOL_ID = os.environ["USER_POOL_ID"]
CLIENT_ID = os.environ["CLIENT_ID"]
CLIENT_SECRET = os.environ["CLIENT_SECRET"]

client = None


def secret_hash(username):
    digest = hmac.new(CLIENT_SECRET.encode(), (username + CLIENT_ID).encode(), hashlib.sha256)
    return base64.b64encode(digest.digest()).decode()


def sign_up(username, password):
    try:
        client.sign_up(
            ClientId=CLIENT_ID,
            SecretHash=secret_hash(username),
            Username=username,
            Password=password,
        )
    except client.exceptions.UsernameExistsException:
        return False
    return True


def lambda_handler(event, context):
    global client
    if client is None:
        client = boto3.client("cognito-idp")
    username, password = event["username"], event["password"]
    try:
        is_new = sign_up(username, password)
        answer = client.admin_initiate_auth(
            UserPoolId=USER_POOL_ID,
            ClientId=CLIENT_ID,
            AuthFlow="ADMIN_NO_SRP_AUTH",
            AuthParameters={
                "USERNAME": username,
                "PASSWORD": password,
                "SECRET_HASH": secret_hash(username),
            },
        )
    except client.exceptions.NotAuthorizedException:
        return {"status": "fail", "msg": "The username or password is incorrect"}
    except Exception as error:
        return {"status": "fail", "msg": str(error)}
    return {
        "status": "success",
        "id_token": answer["AuthenticationResult"]["IdToken"],
        "user_id": str(uuid.uuid4()),
        "is_new": "true" if is_new else "false",
    }
