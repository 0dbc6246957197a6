"""The process of the embedded local AWS. ``process.py`` starts it and says in what environment."""

import sys
from pathlib import Path

from cogauth.errors import CogauthError
from cogauth.local import cognito, gate, gateway, hooks
from cogauth.local.process import LocalAws


def main() -> None:
    """Serve until a SIGTERM, from within the folder ``tmp`` of the local AWS's own."""
    try:
        keys = LocalAws(Path.cwd().parent).keys()
        gate.install(keys)
        gateway.install()
        cognito.install()
        ministack = hooks.module("app")
        run = hooks.function("app.main", "")
        # It reads the application's name when it runs.
        ministack.app = gate.Gate(hooks.function("app.app", "scope receive send"))  # type: ignore[attr-defined]
    except (hooks.HookError, CogauthError) as error:
        sys.exit(str(error))
    run()


if __name__ == "__main__":
    main()
