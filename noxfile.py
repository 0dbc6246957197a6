"""What is checked of a change: ``nox`` does all of it, ``nox -s lint`` one part.

Each session gets a virtual environment of its own. In one that has everything already, as
``pip install -e '.[dev]'`` makes it: ``nox --no-venv --no-install``.
"""

import nox

nox.options.sessions = ["lint", "types", "docs", "tests"]
CODE = ("cogauth", "lambda_code", "benchmarks", "tests", "docs", "noxfile.py")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after ``--`` go to pytest."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("ruff")
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """See that README and docs/ show the help pages, policies, outputs and figures as they are."""
    session.install("-e", ".[dev]")
    files = ["tests/test_docs.py", "tests/steps/test_iam_permissions.py"]
    session.run("pytest", "-n", "0", "--all-faults", *files)
