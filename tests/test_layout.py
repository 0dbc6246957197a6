"""The source's layout: what may import what, and what the list of steps guarantees."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from cogauth.engine.down_plan import deletion_needs
from cogauth.steps import STEPS
from support.account import RESOURCES, needed
from support.handlers import VARIABLES

ROOT = Path(__file__).parents[1]
# Only these talk to the user; all other code reports what it has to say.
SPEAKING = {"cli", "local"}
SILENT = sorted(
    path
    for path in (ROOT / "cogauth").rglob("*.py")
    if path.relative_to(ROOT / "cogauth").parts[0] not in {*SPEAKING, "__main__.py"}
)
HANDLERS = sorted((ROOT / "lambda_code").glob("*.py"))


def imports(path: Path) -> set[str]:
    """Return the full names of everything that a file imports, anywhere in it."""
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
    assert not [name for name in imports(path) if name.startswith("cogauth.cli.")]
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    assert not [
        name for name in calls if isinstance(name, ast.Name) and name.id in {"print", "input"}
    ]
    text = path.read_text()
    assert "sys.stdout" not in text
    assert "sys.stderr" not in text


# The wait for a lock comes before there is a waiter.
@pytest.mark.parametrize(
    "path", [path for path in SILENT if path.name != "lock.py"], ids=lambda path: path.name
)
def test_nothing_sleeps_but_the_waiter(path: Path) -> None:
    assert "sleep" not in {name.rsplit(".", 1)[-1] for name in imports(path)}
    assert "time.sleep" not in path.read_text()


@pytest.mark.parametrize("package", ["cogauth", "benchmarks"])
def test_no_import_goes_in_a_circle(package: str) -> None:
    """This holds for folders of any name, and for the files within each."""
    for folder in [ROOT / package, *filter(Path.is_dir, (ROOT / package).rglob("*"))]:
        TopologicalSorter(rooms(folder)).prepare()


def test_no_module_imports_itself_through_others() -> None:
    """Not even inside of a function; a package's ``__init__`` counts as a module."""
    files = [path for name in ("cogauth", "benchmarks") for path in (ROOT / name).rglob("*.py")]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    needs = {name: {module_of(one, modules) for one in imports(modules[name])} for name in modules}
    TopologicalSorter(needs).prepare()
    others = set().union(*(tops(path) for path in (ROOT / "cogauth").rglob("*.py")))
    assert not others & {"benchmarks", "docs", "support", "tests"}


def module_of(name: str, modules: Collection[str]) -> str:
    """Return the module that an import of this name loads: itself, or the one that has it."""
    return name if name in modules else name.rpartition(".")[0]


def test_the_tour_names_each_file_and_goes_from_the_bottom_up() -> None:
    tour = (ROOT / "ARCHITECTURE.md").read_text()
    described = tour.partition("\n## One `up`")[0]
    found = re.split(r"^### (\w+)(?:/|\.py):.*$", described, flags=re.MULTILINE)
    above = dict(zip(found[1::2], found[2::2], strict=True))
    needs = rooms(ROOT / "cogauth")
    first = set(re.findall(r"`(\w+)\.py`", found[0])) & needs.keys() - {"__main__"}
    assert not set().union(*(needs[name] for name in first)) - first
    for nth, name in enumerate(above):
        assert not needs[name] & set(list(above)[nth:]), name
    folders = {name: text for name, text in above.items() if (ROOT / "cogauth" / name).is_dir()}
    assert set(folders) == {path.parent.name for path in (ROOT / "cogauth").glob("*/*.py")}
    for folder, text in folders.items():
        here = (ROOT / "cogauth" / folder).rglob("*.py")
        files = {path.name for path in here if path.name != "__init__.py"}
        assert files == set(re.findall(r"`(\w+\.py)`", text)) - {"__init__.py"}, folder
    beside = {path.name for path in (ROOT / "cogauth").glob("*.py")} - {"__init__.py"}
    listed = {*(f"{name}.py" for name in first | (above.keys() - folders.keys())), "__main__.py"}
    assert beside == listed


def rooms(folder: Path) -> dict[str, set[str]]:
    """Return, for each file and folder in a folder, which siblings it imports from."""
    prefix = ".".join(folder.relative_to(ROOT).parts) + "."
    beside = {path.stem for path in folder.iterdir()} - {"__init__", "__pycache__"}
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        room = path.relative_to(folder).parts[0].removesuffix(".py")
        inner = [name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)]
        found.setdefault(room, set()).update({name.split(".")[0] for name in inner} & beside)
        found[room].discard(room)
    return found


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.name)
def test_handlers_import_nothing_that_lambda_doesnt_have(path: Path) -> None:
    assert tops(path) <= {*sys.stdlib_module_names, "botocore", "cognito"}


def test_the_sign_in_function_starts_without_boto3s_client() -> None:
    """The client would more than double its cold start."""
    code = "import sign_in, sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **VARIABLES, "PYTHONPATH": str(ROOT / "lambda_code")},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()
    slow = {"boto3", "botocore.client", "botocore.credentials", "botocore.loaders"}
    assert not slow & set(modules)


def test_the_trigger_imports_nothing() -> None:
    """It has five seconds, cold start included."""
    assert imports(ROOT / "lambda_code" / "auto_confirm.py") == set()


def test_only_what_runs_there_is_there_for_lambda() -> None:
    assert [path.name for path in HANDLERS] == ["auto_confirm.py", "cognito.py", "sign_in.py"]
    others = [path for path in (ROOT / "lambda_code").iterdir() if path.name != "__pycache__"]
    assert sorted(others) == HANDLERS


def test_the_steps_are_the_consoles_in_its_order() -> None:
    assert [step.name for step in STEPS] == [
        "user_pool",
        "app_client",
        "role",
        "sign_in_function",
        "auto_confirm_role",
        "auto_confirm_function",
        "trigger",
        "rest_api",
        "authorizer",
        "protected_method",
        "deployment",
    ]
    assert len({step.title for step in STEPS}) == len(STEPS)


def test_each_resource_needs_what_exists_and_nothing_that_needs_it() -> None:
    for key in RESOURCES:
        assert key not in needed(key)


def test_keys_are_unique_and_each_steps_name_is_one_of_its_own() -> None:
    keys = [resource.key for resource in RESOURCES.values()]
    assert len(set(keys)) == len(keys)
    for step in STEPS:
        assert step.name in {resource.key for resource in step.resources}


def test_what_a_resource_is_inside_of_or_outdates_exists() -> None:
    for resource in RESOURCES.values():
        if resource.parent is not None:
            # The parent is deleted by its own call.
            assert RESOURCES[resource.parent].parent is None
        for other in resource.outdates:
            # It is checked only after everything that may outdate it.
            assert resource.key in needed(other)
        for other in resource.outdates:
            assert RESOURCES[other].parent == resource.parent


def test_the_deployment_waits_for_all_that_it_publishes() -> None:
    inside = {resource.key for resource in RESOURCES.values() if resource.parent == "rest_api"}
    assert inside - needed("deployment") == {"deployment", "stage"}


def test_deletion_goes_against_the_needs() -> None:
    """It is the creation plan reversed: dependents are deleted first."""
    assert {key: set(others) for key, others in deletion_needs().items()} == {
        "rest_api": set(),
        "sign_in_function": set(),
        "auto_confirm_function": set(),
        "role": {"sign_in_function"},
        "auto_confirm_role": {"auto_confirm_function"},
        "user_pool": {"sign_in_function"},
        "sign_in_log_group": {"sign_in_function"},
        "auto_confirm_log_group": {"auto_confirm_function"},
    }


def test_a_log_group_outlives_its_function() -> None:
    """Late log lines would recreate it."""
    for function in ("sign_in", "auto_confirm"):
        assert f"{function}_function" in deletion_needs()[f"{function}_log_group"]


def test_what_aws_takes_its_time_over_goes_first() -> None:
    urgent = {resource.key for resource in RESOURCES.values() if resource.urgent}
    assert urgent == {"role", "auto_confirm_role", "rest_api"}
    assert set(list(deletion_needs())[:3]) == urgent
    assert deletion_needs()["rest_api"] == []


def test_a_reader_can_hold_each_file_and_each_function() -> None:
    folders = [ROOT / "cogauth", ROOT / "benchmarks", ROOT / "docs"]
    files = [*(path for folder in folders for path in folder.rglob("*.py")), *HANDLERS]
    lengths = {path: len(path.read_text().splitlines()) for path in files}
    assert [path for path, lines in lengths.items() if lines > 400] == []
    functions = [
        (path.name, node.name)
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert functions == []


def test_the_test_of_a_module_is_found_by_its_name() -> None:
    """It is ``tests/FOLDER/test_NAME.py``, ``test_NAME_ASPECT.py`` or, of a folder, one for all."""
    tests = {
        path.relative_to(ROOT / "tests").with_name(path.stem.removeprefix("test_"))
        for path in (ROOT / "tests").rglob("test_*.py")
        if "end_to_end" not in path.parts
    }
    named: set[Path] = set()
    for path in (*(ROOT / "cogauth").rglob("*.py"), *HANDLERS):
        module = path.relative_to(ROOT if path in HANDLERS else ROOT / "cogauth")
        if path.name in {"__init__.py", "__main__.py"}:
            continue
        own = module.with_name(path.stem.rstrip("_"))
        found = {
            test
            for test in tests
            if (test.parent == own.parent and f"{test.name}_".startswith(f"{own.name}_"))
            or test == own.parent
        }
        assert found, module
        named |= found
    assert {str(test) for test in tests - named} == {"benchmarks", "docs", "layout", "package"}
