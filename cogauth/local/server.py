"""The process of the embedded local AWS. ``child.py`` starts it and says in what environment."""

import sys
from pathlib import Path

from cogauth.aws.environment import Keys
from cogauth.errors import CogauthError
from cogauth.local import cognito, gateway, hooks
from cogauth.local.gate import Gate
from cogauth.local.gate.keys import install as install_keys
from cogauth.local.process import LocalAws


def main() -> None:
    """Serve until a SIGTERM, from within the folder ``tmp`` of the local AWS's own."""
    try:
        serve(LocalAws(Path.cwd().parent).keys())
    except (hooks.HookError, CogauthError) as error:
        sys.exit(str(error))


def serve(keys: Keys) -> None:
    """Serve with these keys of the account's root until a SIGTERM. Raises HookError."""
    install_keys(keys)
    gateway.install()
    cognito.install()
    run = hooks.function("app.main", "")
    # It reads the application's name when it runs.
    hooks.put("app.app", Gate(hooks.function("app.app", "scope receive send")))
    run()


if __name__ == "__main__":
    main()
