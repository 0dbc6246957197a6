"""What any Lambda function needs: its code, packed, and a role that Lambda may assume."""

import io
import zipfile

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def zipped(code: str, name: str = "index.py") -> bytes:
    """Return a zip file with one file of code."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, code)
    return made.getvalue()
