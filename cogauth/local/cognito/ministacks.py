"""Access to ministack's user pools."""

from collections.abc import Callable
from typing import Any

from cogauth.local import hooks
from cogauth.local.hooks import AnyFunction

# A user pool, or one of its users, as ministack stores it.
PoolDict = dict[str, Any]
UserDict = dict[str, Any]


class RefusalError(Exception):
    """Raised inside ministack's handler of a call, to answer the call with AWS's error."""

    def __init__(self, message: str, code: str = "NotAuthorizedException") -> None:
        super().__init__(message)
        self.code = code


def of_cognito(name: str, parameters: str) -> AnyFunction:
    """Return a function that calls one of ministack's Cognito functions, by its name."""
    return hooks.called(f"services.cognito.{name}", parameters)


def store(name: str, kind: str) -> Callable[[], Any]:
    """Return a function that gets one of ministack's stores, by its name and its class's name."""
    return hooks.kept(f"services.cognito.{name}", f"core.responses.{kind}")


# All user pools by id.
all_pools = store("_user_pools", "AccountRegionScopedDict")
pool_for_client = of_cognito("_pool_for_client", "cid")
resolve_user = of_cognito("_resolve_user", "pool username")
