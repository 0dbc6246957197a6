"""Pools in which nobody can sign up.

"When true, only administrators can create new user profiles." AWS's answer to others is in
https://github.com/pmill/aws-cognito/issues/37. What it checks first, this, the name or the
password, isn't documented. Here a closed pool says nothing of its users.
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUserConfigType.html
"""

from typing import Any

from cogauth.local.cognito.ministacks import RefusalError, pool_for_client
from cogauth.local.hooks import Function


def sign_up(own: Function, data: dict[str, Any]) -> Any:
    """Refuse a sign-up in a pool that only administrators may add users to."""
    pool, _ = pool_for_client(data.get("ClientId"))
    config = (pool or {}).get("AdminCreateUserConfig") or {}
    if config.get("AllowAdminCreateUserOnly"):
        raise RefusalError("SignUp is not permitted for this user pool")
    return own(data)
