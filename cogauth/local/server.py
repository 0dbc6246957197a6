"""The process of the embedded local AWS. ``child.py`` starts it and sets its environment."""

import sys
from pathlib import Path

from cogauth.aws.environment import Keys
from cogauth.errors import CogauthError
from cogauth.local import cognito, gateway, hooks, logs
from cogauth.local.gate import Gate
from cogauth.local.gate.keys import install as install_keys
from cogauth.local.process import LocalAws


def main() -> None:
    """Serve until a SIGTERM; the working directory is the local AWS's own ``tmp``."""
    try:
        serve(LocalAws(Path.cwd().parent).keys())
    except (hooks.HookError, CogauthError) as error:
        sys.exit(str(error))


def serve(keys: Keys) -> None:
    """Serve until a SIGTERM, with these keys for the account's root. Raises HookError."""
    install_keys(keys)
    gateway.install()
    cognito.install()
    logs.install()
    run = hooks.function("app.main", "")
    # It looks up the application by name when it runs.
    hooks.put("app.app", Gate(hooks.function("app.app", "scope receive send")))
    run()


if __name__ == "__main__":
    main()
