"""The state file: read as written, replaced as a whole or not at all, refused when damaged."""

import json
import os
import re
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogauth.errors import CogauthError, DamagedStateError, NewerStateError, StateError
from cogauth.record import formats
from cogauth.record import state as state_file
from cogauth.record.files import check_writable, write_private
from cogauth.record.records import CREATED, CREATING, DELETING, OUTDATED
from cogauth.record.state import State, load
from cogauth.settings import Settings
from cogauth.steps import RESOURCES
from support.faults import disk_full_at
from support.names import REGION
from support.sampling import examples
from support.servers import ACCOUNT
from support.small_state import ROLE, SINCE, complaint, inside, make, text_of

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".cogauth" / "shop.json"


# What a text chosen by AWS's users may contain.
texts = st.text(st.characters().filter(str.isprintable), min_size=1, max_size=8)


def of_form(form: str) -> st.SearchStrategy[str]:
    for name, text in (("partition", "aws-us-gov"), ("region", REGION), ("account", ACCOUNT)):
        form = form.replace(f"<{name}>", text)
    return st.from_regex(re.compile(form, re.ASCII), fullmatch=True).filter(str.isprintable)


ids = of_form(formats.ID)


@st.composite
def records(draw: st.DrawFn, facts: dict[str, str]) -> dict[str, str]:
    if draw(st.booleans()):
        return {"status": CREATING, "since": SINCE}
    record = {"id": draw(of_form(facts["id"]))}
    for name in facts.keys() - {"id"}:
        record[name] = draw(of_form(facts[name].replace("<id>", re.escape(record["id"]))))
    status = draw(st.sampled_from([CREATED, OUTDATED, DELETING]))
    return {"status": status, "since": SINCE, **record}


resources = st.fixed_dictionaries(
    {},
    optional={key: records(facts) for key, facts in formats.FACTS.items()},
)
authorizations = st.fixed_dictionaries(
    {
        "authorizationType": st.sampled_from(["NONE", "CUSTOM", "COGNITO_USER_POOLS", "A_NEW_ONE"]),
        "authorizerId": st.none() | ids,
        "authorizationScopes": st.lists(texts, max_size=2),
        "apiKeyRequired": st.booleans(),
    }
)
methods = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["attaching", "attached", "detaching", "detached"]),
        "resource_id": ids,
        "former": authorizations,
        "ours": st.lists(authorizations, min_size=1, max_size=2),
    }
)
attachments = st.fixed_dictionaries(
    {
        "name": texts,
        "stages": st.lists(ids, max_size=2),
        "outdated": st.lists(ids, max_size=2),
        "found": st.dictionaries(ids, ids, max_size=2),
        "authorizer": records({"id": formats.ID}).flatmap(
            lambda record: st.sampled_from(
                [
                    {**record, "pool": "unknown"},
                    {**record, "pool": f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/a_B"},
                ]
            )
        ),
        "methods": st.dictionaries(of_form(formats.METHOD), methods, max_size=2),
    }
)
places = st.sampled_from(
    [
        {"endpoint_url": None, "local_data": None},
        {"endpoint_url": "https://aws.example:4566/here", "local_data": None},
        {"endpoint_url": "http://127.0.0.1:20000", "local_data": "0123456789abcdef"},
    ]
)


@examples(50, parent=in_one_folder)
@given(
    attachments=st.dictionaries(ids, attachments, max_size=2),
    resources=resources,
    place=places,
    chosen=st.sampled_from(
        [Settings(), Settings(password_require=(), throttle_rate=0.5, power_user=True)]
    ),
)
def test_what_is_written_is_read(path: Path, **changes: Any) -> None:
    state = make(path, settings=changes["chosen"], **changes["place"])
    state.resources, state.attachments = changes["resources"], changes["attachments"]
    state.save()
    assert load(path) == state


def test_a_write_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is on disk before its name is, and so are the names of new folders."""
    path = tmp_path / "a" / "b" / "state.json"
    events: list[Any] = []
    sync, replace_file = os.fsync, Path.replace

    def note_sync(file: int) -> None:
        events.append(os.fstat(file).st_ino)
        sync(file)

    def note_replace(self: Path, target: Path) -> Path:
        # Both are in one folder and so on one file system: a rename across file systems fails.
        assert self.parent == target.parent
        events.append("renamed")
        return replace_file(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    make(path).save()
    inodes = [each.stat().st_ino for each in (tmp_path, path.parent.parent, path, path.parent)]
    assert events == [*inodes[:3], "renamed", inodes[3]]


def test_no_file_is_no_state(path: Path) -> None:
    assert load(path) is None


def test_each_change_of_a_record_is_on_disk_at_once(path: Path) -> None:
    state = make(path)
    state.put("resources", "role", {"status": CREATING, "since": "2026-11-23T08:00:00+00:00"})
    assert load(path) == state
    state.put("resources", "role", ROLE)
    state.put("resources", "role_policy", {"status": CREATED, "id": "p", "role": "r"})
    assert (load(path) or state).fact("role", "id") == "r"
    state.drop("resources", "role")
    assert (load(path) or state).resources == {
        "role_policy": {"status": CREATED, "id": "p", "role": "r"}
    }
    state.drop("resources", "role_policy")
    assert (load(path) or state).resources == {}
    state.drop("resources", "role_policy")
    assert load(path) == state


def test_a_fact_that_nobody_has_is_a_key_error(path: Path) -> None:
    with pytest.raises(KeyError):
        make(path).fact("role", "id")


def test_each_stack_has_an_id_of_its_own(path: Path) -> None:
    assert make(path).stack_id != make(path).stack_id


def test_file_and_folder_are_for_their_owner_alone(path: Path) -> None:
    umask = os.umask(0)
    try:
        make(path).save()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    make(path).save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_is_replaced_not_rewritten(path: Path) -> None:
    """A reader with the file open still sees the former content, complete."""
    state = make(path)
    state.save()
    with path.open() as reader:
        state.put("resources", "role", ROLE)
        assert json.load(reader)["resources"] == {}
    assert {entry.name for entry in path.parent.iterdir()} == {".gitignore", "shop.json"}


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_full_disk_leaves_the_former_file_whole(path: Path, size: int) -> None:
    state = make(path)
    state.save()
    before = path.read_bytes()
    with disk_full_at(size):
        error = None
        try:
            state.put("resources", "role", ROLE)
        except CogauthError as caught:
            error = caught
    assert error is not None
    assert str(path) in str(error)
    assert "--state" in str(error)
    assert path.read_bytes() == before
    assert {entry.name for entry in path.parent.iterdir()} == {".gitignore", "shop.json"}


@pytest.mark.parametrize("below", ["shop.json", ".cogauth/shop.json"])
def test_a_place_that_is_no_folder_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / below
    for act in (make(path).save, lambda: check_writable(path)):
        with pytest.raises(CogauthError, match=rf"^{re.escape(str(path))} can't be written: "):
            act()


def test_a_folder_where_the_file_should_be_is_no_damage(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StateError, match="can't be read"):
        load(path)
    with pytest.raises(CogauthError, match="can't be written"):
        make(path).save()
    assert [entry.name for entry in path.parent.iterdir()] == ["shop.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_leaves_the_former_file_whole(path: Path) -> None:
    make(path).save()
    before = path.read_bytes()
    path.parent.chmod(0o500)
    try:
        for act in (make(path).save, lambda: check_writable(path)):
            with pytest.raises(CogauthError, match="Permission denied"):
                act()
    finally:
        path.parent.chmod(0o700)
    assert path.read_bytes() == before


def test_checking_the_place_leaves_nothing_in_it(path: Path, tmp_path: Path) -> None:
    check_writable(path)
    assert [entry for entry in tmp_path.rglob("*") if entry.is_file()] == []
    make(path).save()


def test_removing_takes_the_tokens_along_and_may_be_done_twice(path: Path) -> None:
    state = make(path)
    state.save()
    state.tokens_path.write_text("{}")
    assert state.remove() == []
    assert state.remove() == []
    assert [entry.name for entry in path.parent.iterdir()] == [".gitignore"]


def test_removing_finds_nothing_where_there_is_no_folder_any_more(path: Path) -> None:
    state = make(path)
    assert state.remove() == []
    path.parent.write_text("")
    assert state.remove() == []


def test_removing_names_what_could_not_be_looked_at(path: Path) -> None:
    path.parent.symlink_to(path.parent)
    lines = make(path).remove()
    assert {line.rpartition(": ")[2] for line in lines} == {"Too many levels of symbolic links"}
    assert lines[-1].startswith(f"left alone: {path}: ")


def check_load(path: Path, content: bytes) -> State | None:
    """Load the content: a state or a StateError, with the file unchanged."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        state = load(path)
    except StateError as error:
        state, refused = None, str(error)
        assert str(path) in refused
    else:
        assert state is not None
        check_usable(state)
    assert path.read_bytes() == content
    return state


def check_usable(state: State) -> None:
    """Check that a loaded state can be used: it causes no Python error later."""
    for name in ("stack", "account", "region", "stack_id"):
        assert isinstance(getattr(state, name), str)
    for record in state.resources.values():
        assert record["status"] in {CREATING, CREATED, OUTDATED, DELETING}
        assert record["status"] == CREATING or record["id"]
        if record["status"] in {CREATING, DELETING} or "since" in record:
            assert datetime.fromisoformat(record["since"]).timestamp() < 1e12
    for api, attachment in state.attachments.items():
        assert state.stages_of(api) == attachment["stages"]
        assert attachment["authorizer"]["pool"]
        for method in attachment["methods"].values():
            assert method["resource_id"]
            assert isinstance(method["former"]["authorizationScopes"], list)
            assert method["ours"][-1]["authorizationType"]
    assert Settings.from_json(state.settings.to_json()) == state.settings
    state.settings.with_choices({}, exists=True)
    assert type(state.settings.power_user) is bool
    for name in ("password_min_length", "sign_in_memory", "throttle_burst"):
        assert type(getattr(state.settings, name)) is int


@in_one_folder
@given(st.binary(max_size=200))
def test_any_bytes_are_a_state_or_refused_and_left_alone(path: Path, content: bytes) -> None:
    check_load(path, content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@in_one_folder
@given(json_values)
def test_any_json_is_a_state_or_refused_and_left_alone(path: Path, value: Any) -> None:
    assert check_load(path, json.dumps(value).encode()) is None


@examples(300, parent=in_one_folder)
@given(st.data())
def test_a_file_changed_in_one_place_is_a_state_or_refused(path: Path, data: st.DataObject) -> None:
    content: Any = text_of(path)
    if data.draw(st.booleans()):
        records = content["resources"].items()
        steps = {RESOURCES[key].step.name: {} for key, _ in records}
        for key, record in records:
            steps[RESOURCES[key].step.name][key] = record
        content |= {"version": 1, "resources": steps}
    *outer, last = data.draw(st.sampled_from(inside(content)[1:]))
    target = content
    for key in outer:
        target = target[key]
    if data.draw(st.booleans()):
        del target[last]
    else:
        target[last] = data.draw(json_values)
    check_load(path, json.dumps(content).encode())


@examples(60, parent=in_one_folder)
@given(st.data())
def test_a_file_cut_short_is_refused(path: Path, data: st.DataObject) -> None:
    text_of(path)
    content = path.read_bytes().rstrip()
    cut = data.draw(st.integers(0, len(content) - 1))
    assert check_load(path, content[:cut]) is None


@pytest.mark.parametrize("version", [0, 3, 99, "1", None, True, [1]])
def test_another_version_is_refused_by_name(path: Path, version: Any) -> None:
    content = {**text_of(path), "version": version}
    path.write_text(json.dumps(content))
    with pytest.raises(StateError, match="version") as caught:
        load(path)
    assert repr(version) in str(caught.value)


def test_a_file_of_a_newer_cogauth_says_so(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"version": state_file.VERSION + 1, "what": "is not known yet"}))
    with pytest.raises(NewerStateError, match="A newer cogauth wrote it"):
        load(path)


@pytest.mark.parametrize("version", ["0", "-1", "true", "1.0", "1e999", "NaN", '"1"'])
def test_a_version_that_none_writes_is_damage(path: Path, version: str) -> None:
    text_of(path)
    path.write_text(path.read_text().replace('"version": 2', f'"version": {version}'))
    with pytest.raises(DamagedStateError, match="is damaged: version can't be"):
        load(path)


def test_a_damaged_file_says_what_to_do(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(StateError, match="damaged") as caught:
        load(path)
    assert "nothing was touched in AWS" in str(caught.value)


def test_the_file_has_the_keys_of_the_contract(path: Path) -> None:
    assert set(text_of(path)) >= {
        "version",
        "stack",
        "stack_id",
        "account",
        "region",
        "endpoint_url",
        "settings",
        "resources",
        "attachments",
    }
    assert text_of(path)["version"] == state_file.VERSION


def test_what_a_kill_left_of_a_write_goes_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sync = tmp_path / "shop.json", os.fsync
    state = make(path)
    killed: dict[str, bytes] = {}

    def note(file: int) -> None:
        """Record the files that a kill at this moment would leave behind."""
        killed.update({each.name: each.read_bytes() for each in tmp_path.iterdir()})
        sync(file)

    state.save()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", note)
        state.save()
        write_private(state.tokens_path, {})
    state.remove()
    assert killed.keys() > {"shop.json"}
    for name, content in killed.items():
        (tmp_path / name).write_bytes(content)
    # Files with other names belong to somebody else.
    others = ["shop.json.abc.tmp", ".other.json.cogauth-new-a1b2c3d4.tmp", "shop.tokens.json"]
    for name in others:
        (tmp_path / name).write_text("{}")
    state.remove()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(others)


def test_a_long_value_is_quoted_in_short(path: Path) -> None:
    content = text_of(path)
    for value, known in (("x" * 20000, "xxx…"), (["y" * 20000], "yyy…"), ("?!", "'?!'.")):
        path.write_text(json.dumps({**content, "account": value}))
        said = complaint(path)
        assert known in said
        assert len(said) < 1000
