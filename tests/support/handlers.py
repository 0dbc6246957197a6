"""The sign-in function, loaded as a new Lambda process loads it."""

import importlib
import sys
from pathlib import Path
from typing import Any

# A part of what Lambda and the stack give it; nothing is reached there.
VARIABLES = {
    "USER_POOL_ID": "eu-central-1_Aa",
    "CLIENT_ID": "a",
    "PASSWORD_POLICY": "at least 8 characters",
    "COGNITO_ENDPOINT": "https://cognito-idp.eu-central-1.amazonaws.com",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}
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
