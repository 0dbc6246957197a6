"""How the source is laid out: who may import whom, and what the list of steps promises."""

import ast
import sys
from pathlib import Path

import pytest

from cogauth.steps import STEPS
from cogauth.steps.base import Resource

ROOT = Path(__file__).parents[1]
# These say nothing to a user; what they have to say they report.
SILENT = sorted(
    [
        *(ROOT / "cogauth" / "steps").glob("*.py"),
        *(ROOT / "cogauth" / "engine").glob("*.py"),
        *(
            ROOT / "cogauth" / f"{name}.py"
            for name in (
                "moods",
                "state",
                "context",
                "waiting",
                "settings",
                "aws_errors",
                "errors",
            )
        ),
    ]
)
HANDLERS = sorted((ROOT / "lambda_code").glob("*.py"))
RESOURCES = [resource for step in STEPS for resource in step.resources]


def imports(path: Path) -> set[str]:
    """Return all that a file imports, anywhere in it, with its whole name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", SILENT, ids=lambda path: path.name)
def test_engine_and_steps_are_silent(path: Path) -> None:
    assert not tops(path) & {"click", "rich", "logging"}
    assert not [name for name in imports(path) if name.startswith("cogauth.cli")]
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    assert not [
        name for name in calls if isinstance(name, ast.Name) and name.id in {"print", "input"}
    ]
    text = path.read_text()
    assert "sys.stdout" not in text
    assert "sys.stderr" not in text


@pytest.mark.parametrize("path", SILENT, ids=lambda path: path.name)
def test_nothing_sleeps_but_the_waiter(path: Path) -> None:
    assert "sleep" not in {name.rsplit(".", 1)[-1] for name in imports(path)}
    assert "time.sleep" not in path.read_text()


def test_steps_dont_know_the_engine() -> None:
    for path in (ROOT / "cogauth" / "steps").glob("*.py"):
        assert not [name for name in imports(path) if name.startswith("cogauth.engine")]


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.name)
def test_handlers_import_nothing_that_lambda_doesnt_have(path: Path) -> None:
    assert tops(path) <= {*sys.stdlib_module_names, "botocore"}


def test_the_trigger_imports_nothing() -> None:
    """It has five seconds, cold start included."""
    assert imports(ROOT / "lambda_code" / "auto_confirm.py") == set()


def test_only_the_two_handlers_are_there_for_lambda() -> None:
    assert [path.name for path in HANDLERS] == ["auto_confirm.py", "sign_in.py"]
    others = [path for path in (ROOT / "lambda_code").iterdir() if path.name != "__pycache__"]
    assert sorted(others) == HANDLERS


def test_the_steps_are_the_consoles_in_its_order() -> None:
    assert [step.name for step in STEPS] == [
        "user_pool",
        "app_client",
        "role",
        "sign_in_function",
        "auto_confirm_function",
        "trigger",
        "rest_api",
        "authorizer",
        "protected_method",
        "deployment",
    ]
    assert len({step.title for step in STEPS}) == len(STEPS)


def test_each_step_needs_only_earlier_ones() -> None:
    earlier: set[str] = set()
    for step in STEPS:
        assert set(step.needs) <= earlier, step.name
        earlier.add(step.name)


def test_keys_are_unique_and_each_steps_name_is_one_of_its_own() -> None:
    keys = [resource.key for resource in RESOURCES]
    assert len(set(keys)) == len(keys)
    for step in STEPS:
        assert step.name in {resource.key for resource in step.resources}


def test_what_a_resource_is_inside_of_or_outdates_exists() -> None:
    by_key = {resource.key: resource for resource in RESOURCES}
    order = list(by_key)
    for resource in RESOURCES:
        if resource.inside is not None:
            # The outer one is made before, and is deleted by a call of its own.
            assert order.index(resource.inside) < order.index(resource.key)
            assert by_key[resource.inside].inside is None
        for other in resource.outdates + resource.outdates_when_made:
            assert order.index(resource.key) < order.index(other)
        for other in resource.outdates:
            assert by_key[other].inside == resource.inside


def test_each_resource_that_is_inside_nothing_can_be_deleted_and_is_tagged() -> None:
    for resource in RESOURCES:
        if resource.inside is None:
            assert type(resource).delete is not Resource.delete, resource.key
            assert type(resource).tags is not Resource.tags, resource.key


def test_log_groups_alone_go_last() -> None:
    assert {resource.key for resource in RESOURCES if resource.goes_last} == {
        "sign_in_log_group",
        "auto_confirm_log_group",
    }
