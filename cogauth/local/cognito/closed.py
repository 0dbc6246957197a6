"""Pools in which nobody can sign up.

"When true, only administrators can create new user profiles." AWS's answer to others is in
https://github.com/pmill/aws-cognito/issues/37. What it checks first, this, the name or the
password, isn't documented. Here a closed pool says nothing of its users.
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUserConfigType.html
"""

import functools
from typing import Any

from cogauth.local.cognito.ministacks import Answer, Function, not_authorized, of_cognito


def unless_closed(own: Function) -> Function:
    """Refuse a sign-up in a pool that only administrators may add users to."""
    pool_for_client = of_cognito("_pool_for_client", "cid")

    @functools.wraps(own)
    def sign_up(data: dict[str, Any]) -> Answer:
        pool, _ = pool_for_client(data.get("ClientId"))
        config = (pool or {}).get("AdminCreateUserConfig") or {}
        if config.get("AllowAdminCreateUserOnly"):
            return not_authorized("SignUp is not permitted for this user pool")
        answer: Answer = own(data)
        return answer

    return sign_up
