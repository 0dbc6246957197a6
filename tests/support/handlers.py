"""The sign-in function, loaded as a new Lambda process loads it."""

import importlib
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "lambda_code"


def load_sign_in() -> Any:
    """Load sign_in.py, with a cognito.py of its own as ``.cognito``, in this environment."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module("sign_in")
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("sign_in", "cognito"):
            sys.modules.pop(name, None)
