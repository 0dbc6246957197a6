"""Case-insensitive user names.

"If you do not specify a value, CaseSensitive defaults to true." In a pool where it is false, names
that differ only in case mean the same user, as do "preferred_username and email", and "Mixed-case
attribute values in case-insensitive user pools are flattened to lowercase in user pool text
output", also in "input events to Lambda triggers". Here only the user's name is converted; the
other two match in any case and are shown as given.
https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-case-sensitivity.html
"""

import copy
from typing import Any

from cogauth.local.cognito.ministacks import PoolDict, UserDict, all_pools
from cogauth.local.hooks import AnyFunction


class UsersInAnyCase(dict[str, UserDict]):
    """A pool's users by lower-case name.

    It doesn't affect secret hashes, which use the name as it was sent.
    """

    @staticmethod
    def _key(name: Any) -> Any:
        return name.lower() if isinstance(name, str) else name

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, self._key(name))

    def __getitem__(self, name: str) -> UserDict:
        return dict.__getitem__(self, self._key(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a user by name, in any case."""
        return dict.get(self, self._key(name), default)

    def __setitem__(self, name: str, user: UserDict) -> None:
        user["Username"] = self._key(name)
        dict.__setitem__(self, user["Username"], user)

    def __delitem__(self, name: str) -> None:
        dict.__delitem__(self, self._key(name))

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, UserDict]:
        """Return a plain dict, so that saved data don't need this class."""
        return copy.deepcopy(dict(self), memo)


def _takes_any_case(pool: PoolDict) -> bool:
    return (pool.get("UsernameConfiguration") or {}).get("CaseSensitive") is False


def known_name(pool: PoolDict, name: Any) -> Any:
    """Return the pool's own spelling of a name."""
    return name.lower() if _takes_any_case(pool) and isinstance(name, str) else name


def keep_users(own: AnyFunction, data: Any) -> Any:
    """Create or restore pools as ministack does, then make their users case-insensitive."""
    answer = own(data)
    for pool in all_pools().all_values():
        if _takes_any_case(pool) and not isinstance(pool.get("_users"), UsersInAnyCase):
            # Saved names are already in lower case.
            pool["_users"] = UsersInAnyCase(pool.get("_users") or {})
    return answer


def resolve_alias(own: AnyFunction, pool: PoolDict, username: Any) -> Any:
    """Find a user by an e-mail address or a preferred user name, whatever its case."""
    found = own(pool, username)
    if found[0] is not None or not _takes_any_case(pool) or not isinstance(username, str):
        return found
    aliases = {*(pool.get("UsernameAttributes") or []), *(pool.get("AliasAttributes") or [])}
    spellings = {
        attribute["Value"]
        for user in list(pool["_users"].values())
        for attribute in user.get("Attributes", [])
        if attribute["Name"] in aliases and attribute["Value"].lower() == username.lower()
    }
    # Ministack decides which of them can sign in: some only after verification.
    known = (own(pool, spelling) for spelling in sorted(spellings))
    return next((one for one in known if one[0] is not None), found)
