"""The process of the embedded local AWS. ``process.py`` starts it and says in what environment."""

import sys

from cogauth.local import cognito, gateway, hooks


def main() -> None:
    """Serve until a SIGTERM."""
    try:
        gateway.install()
        cognito.install()
        app = hooks.module("app")
    except hooks.HookError as error:
        sys.exit(str(error))
    app.main()


if __name__ == "__main__":
    main()
