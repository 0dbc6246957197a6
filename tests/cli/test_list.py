"""``cogauth list``: the stacks with state files in a folder, whatever else is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cogauth.record.files import beside, keep
from cogauth.record.formats import FACTS
from cogauth.record.records import CREATED, CREATING, DELETING, OUTDATED
from cogauth.record.state import VERSION, State
from cogauth.settings import Settings
from support.commands import Cli, in_process
from support.names import REGION
from support.planted import ROWS, a_folder, a_link, a_pipe, is_root, portrait
from support.servers import ACCOUNT
from support.state_files import whole_stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = "a\x1b]0;title\x07\u202eb\nFORGED.json"
MODULES = """
import sys
from contextlib import suppress
sys.argv = ["cogauth", "list", "--state", sys.argv[1]]
from cogauth.cli import main
with suppress(SystemExit):
    main()
print(*sys.modules)
"""


def record(path: Path, **more: Any) -> State:
    """Write the state file of a whole stack, on AWS unless specified otherwise."""
    resources = whole_stack()
    for key in Settings().unneeded & resources.keys():
        del resources[key]
    known: dict[str, Any] = {
        "stack": path.stem,
        "account": ACCOUNT,
        "region": REGION,
        "endpoint_url": None,
        "settings": Settings(),
        "resources": resources,
    }
    state = State(path=path, **{**known, **more})
    state.save()
    return state


def listed(state: Path) -> list[dict[str, Any]]:
    """Return the objects of --json in file name order, after comparing them with the table."""
    done = in_process("list", "--state", str(state), "--json").must()
    assert done.err == ""
    rows: list[dict[str, Any]] = json.loads(done.out)
    table = in_process("list", "--state", str(state)).must()
    lines = table.out.splitlines()[1:]
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        assert row["condition"] in line.split()
        assert (row["stack"] or "-") == line.split()[0]
        if row["error"]:
            assert row["error"]["message"].partition(": ")[0] in table.err
    return rows


def test_the_stacks_here_with_account_region_and_condition(tmp_path: Path) -> None:
    shop = record(tmp_path / "shop.json")
    local = {"endpoint_url": "http://127.0.0.1:4566", "local_data": "0123456789abcdef"}
    record(tmp_path / "local.json", **local)
    record(tmp_path / "begun.json", endpoint_url="https://aws.example", resources={})
    rows = {row["stack"]: row for row in listed(tmp_path / "none.json")}
    assert rows["shop"] == {
        "stack": "shop",
        "stack_id": shop.stack_id,
        "account": ACCOUNT,
        "region": REGION,
        "endpoint_url": None,
        "local": False,
        "condition": "complete",
        "state_file": str(tmp_path / "shop.json"),
        "error": None,
    }
    assert {name: row["condition"] for name, row in rows.items()} == {
        "begun": "incomplete",
        "local": "complete",
        "shop": "complete",
    }
    assert [row["stack"] for row in rows.values() if row["local"]] == ["local"]
    out = in_process("list", "--state", str(tmp_path / "none.json")).must().out
    assert "local AWS" in out
    assert "https://aws.example" in out


@pytest.mark.parametrize("key", sorted(FACTS.keys() - Settings().unneeded))
def test_a_stack_that_lacks_something_is_incomplete(key: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    state = record(path)
    kept = state.resources.pop(key)
    begun = {"status": CREATING, "since": "2026-11-27T12:00:00+00:00"}
    others = [{**kept, "status": OUTDATED}, {**kept, "status": DELETING, "since": begun["since"]}]
    for present in (None, begun, *others):
        if present:
            state.resources[key] = present
        state.save()
        assert [row["condition"] for row in listed(path)] == ["incomplete"]
    state.put("resources", key, {**kept, "status": CREATED})
    assert [row["condition"] for row in listed(path)] == ["complete"]


def test_a_stack_that_has_what_it_no_longer_wants_is_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    state = record(path, resources=whole_stack())
    assert [row["condition"] for row in listed(path)] == ["incomplete"]
    state.settings = Settings(cors_origins=("https://a.example",))
    state.save()
    assert [row["condition"] for row in listed(path)] == ["complete"]


def test_it_reads_files_only(cli: Cli) -> None:
    record(cli.state)
    before = portrait(cli.folder)
    dead = {"HTTPS_PROXY": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "", "AWS_REGION": ""}
    done = cli.run("list", **dead).must()
    assert "cogauth" in done.out
    assert done.err == ""
    assert portrait(cli.folder) == before
    said = subprocess.run(
        [sys.executable, "-c", MODULES, str(cli.state)], check=True, capture_output=True, text=True
    )
    assert f"complete   {cli.state}" in said.stdout
    assert not {"boto3", "botocore", "requests"} & set(said.stdout.split())


def test_without_a_stack_it_says_what_to_do(cli: Cli) -> None:
    done = cli.run("list").must()
    assert done.out == ""
    assert "There are no stacks here: the folder .cogauth has no state file" in done.err
    assert "'cogauth up'" in done.err
    done = cli.run("list", "--json").must()
    assert (json.loads(done.out), done.err) == ([], "")
    assert not cli.state.parent.exists()


def damaged(path: Path) -> None:
    path.write_text("{}")


def half(path: Path) -> None:
    record(path)
    path.write_text(path.read_text()[:300])


def newer(path: Path) -> None:
    record(path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "version": VERSION + 1}))


def others_may_write(path: Path) -> None:
    record(path)
    path.chmod(0o666)


def a_link_to_the_other(path: Path) -> None:
    a_link(path, path.parent / "shop.json")


# How each is made, its condition, its error's code, and the error's text.
UNUSABLE: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "damaged": (damaged, "damaged", "state_damaged", "'version' is missing"),
    "half": (half, "damaged", "state_damaged", "is damaged"),
    "newer": (newer, "newer", "state_newer", "A newer cogauth wrote it"),
    "shared": (others_may_write, "unreadable", "failed", "others may write to it"),
    "a link": (a_link_to_the_other, "unreadable", "state", "is a link. It was not followed"),
    "a pipe": (lambda path: a_pipe(path, path), "unreadable", "state", "not a regular file"),
    "a folder": (lambda path: a_folder(path, path), "unreadable", "state", "not a regular file"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_that_cannot_be_used_is_named_and_hides_no_other(kind: str, tmp_path: Path) -> None:
    make, condition, code, why = UNUSABLE[kind]
    folder = tmp_path / ".cogauth"
    record(folder / "shop.json")
    make(folder / "other.json")
    before = portrait(tmp_path)
    other, shop = listed(folder / "shop.json")
    assert (shop["stack"], shop["condition"]) == ("shop", "complete")
    assert (other["stack"], other["region"], other["local"]) == (None, None, None)
    assert other["state_file"] == str(folder / "other.json")
    assert (other["condition"], other["error"]["code"]) == (condition, code)
    assert why in other["error"]["message"]
    remedy = other["error"]["hint"] or other["error"]["message"]
    assert re.search("--state|Upgrade|chmod", remedy)
    assert portrait(tmp_path) == before


def test_what_is_beside_a_state_file_is_no_stack(tmp_path: Path) -> None:
    path = tmp_path / ".cogauth" / "shop.json"
    record(path)
    keep(path)
    for what in ("lock", "tokens"):
        beside(path, what).write_text("{}")
    assert [row["stack"] for row in listed(path)] == ["shop"]


def test_in_a_folder_of_others_only_what_is_cogauths_is_listed(tmp_path: Path) -> None:
    for name in ("package.json", "tsconfig.json", "rows.csv"):
        (tmp_path / name).write_text(ROWS)
    (tmp_path / "linked.json").symlink_to(tmp_path / "package.json")
    (tmp_path / "folder.json").mkdir()
    record(tmp_path / "shop.json")
    newer(tmp_path / "newer.json")
    assert [row["condition"] for row in listed(tmp_path / "none.json")] == ["newer", "complete"]


def test_the_file_that_is_given_is_listed_whatever_its_name(tmp_path: Path) -> None:
    record(tmp_path / "shop")
    record(tmp_path / "other")
    assert [row["stack"] for row in listed(tmp_path / "shop")] == ["shop"]


def test_nothing_in_a_files_name_acts(tmp_path: Path) -> None:
    record(tmp_path / ".cogauth" / "shop.json").path.rename(tmp_path / ".cogauth" / HOSTILE)
    (tmp_path / ".cogauth" / f"x{HOSTILE}").write_text("{}")
    (tmp_path / ".cogauth" / "\udcff.json").write_text("{}")
    for words in ((), ("--json",)):
        done = in_process("list", "--state", str(tmp_path / ".cogauth" / "shop.json"), *words)
        text = done.out + done.err
        assert not [c for c in text if c != "\n" and not c.isprintable()]
        assert not [line for line in text.splitlines() if line.startswith("FORGED")]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(ROWS)
    done = in_process("list", "--state", str(tmp_path / "file" / "shop.json")).must(1)
    assert f"The folder {tmp_path / 'file'} can't be read: Not a directory" in done.err
    if is_root:
        return
    (tmp_path / "closed").mkdir(mode=0)
    done = in_process("list", "--state", str(tmp_path / "closed" / "shop.json"), "--json").must(1)
    assert done.document["error"]["code"] == "state"
    assert "Permission denied" in done.err
    (tmp_path / "closed").chmod(0o700)
