"""A document that cogauth doesn't write is refused, and the field that is wrong is named."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from cogauth.errors import DamagedStateError, StateError
from cogauth.record.records import CREATED, CREATING, DELETING
from cogauth.record.state import load
from support.documents import OTHERS_ARN, attached, replaced
from support.servers import STACK_ID
from support.small_state import POOL_ARN, ROLE, SINCE, complaint, inside, make, text_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.json"


BAD = [
    ("version", True),
    ("stack", "../cogauth"),
    ("stack_id", STACK_ID.upper()),
    ("stack_id", "1"),
    ("stack_id", None),
    ("account", "12345678901"),
    ("region", "eu-central-1.evil"),
    ("endpoint_url", "https://aws@evil.example"),
    ("endpoint_url", "https://evil.example/x?"),
    ("endpoint_url", "file:///etc/passwd"),
    ("local_data", "../../data"),
    ("local_data", "0123456789abcdef"),  # without its endpoint
    ("settings.unknown", 1),
    ("settings.path", "/.."),
    ("settings.path", "/."),
    ("settings.throttle_rate", 1e400),
    ("resources.unknown", {}),
    ("resources.user_pool.unknown", {"status": "created", "id": "x"}),
    ("resources.user_pool.unknown", "x"),
    ("resources.user_pool.arn", OTHERS_ARN),
    ("resources.user_pool.id", "eu-central-1_Another"),
    ("resources.user_pool.since", "yesterday"),
    ("resources.user_pool.since", "2026-11-23T08:00:00"),
    ("resources.role.arn", "arn:aws:iam::999999999999:role/cogauth-LambdaAuthRole"),
    ("resources.role.id", "another"),
    ("resources.role.status", ["created"]),
    ("resources.sign_in_function.id", "arn:aws:lambda:a:1:function:x"),
    ("resources.sign_in_log_group.id", "/aws/lambda/*"),
    (
        "resources.auto_confirm_function",
        {"status": "creating", "since": "2026-11-23T08:00:00+00:00", "former": "a b"},
    ),
    ("resources.rest_api.root", "a/b"),
    ("resources.sign_in_method.id", "POST signin"),
    ("resources.default_4xx_response.id", "DEFAULT_5XX"),
    ("attachments.a/b", {}),
    ("attachments.api1.unknown", 1),
    ("attachments.api1.stages", ["a/b"]),
    ("attachments.api1.outdated", "prod"),
    ("attachments.api1.found", {"prod": "../d"}),
    ("attachments.api1.authorizer.id", "a/b"),
    ("attachments.api1.authorizer.pool", "a b"),
    ("attachments.api1.methods", {"FETCH /a": {}}),
    ("attachments.api1.methods.GET /a.resource_id", "../r"),
    ("attachments.api1.methods.GET /a.status", {}),
    ("attachments.api1.methods.GET /a.ours", []),
    ("attachments.api1.methods.GET /a.former.authorizationType", "none\u0000"),
    ("attachments.api1.methods.GET /a.former.authorizerId", "a/b"),
    ("attachments.api1.methods.GET /a.former.apiKeyRequired", 1),
    ("throwaway_users", {"ann": "2026-11-23T08:00:00+00:00"}),
    ("throwaway_users", {f"cogauth-verify-{'0' * 32}": 7}),
]


@pytest.mark.parametrize(("place", "value"), BAD, ids=lambda part: str(part)[-40:])
def test_what_cogauth_never_writes_is_refused_by_its_name(
    place: str, value: Any, tmp_path: Path
) -> None:
    path = tmp_path / "cogauth.json"
    document = attached(path)
    load(path)
    path.write_text(json.dumps(replaced(document, place, value)))
    with pytest.raises(StateError) as caught:
        load(path)
    named = place.rpartition(".")[2] if "GET /a" not in place else place
    # Any id may be right, so the message names the ARN that contains a different one.
    named = "resources.role.arn" if place == "resources.role.id" else named
    assert named.replace("throttle_rate", "--throttle-rate") in str(caught.value)


def test_a_file_of_version_1_is_read_and_rewritten(path: Path) -> None:
    """In version 1 a step grouped its resources' records, and throwaway users could be missing."""
    state = make(path)
    state.put("resources", "role", ROLE)
    state.put("resources", "role_policy", {"status": CREATED, "id": "p", "role": "r"})
    document = json.loads(path.read_text())
    former = {**document, "version": 1, "resources": {"role": document["resources"]}}
    del former["throwaway_users"]
    path.write_text(json.dumps(former))
    read = load(path)
    assert read == state
    assert json.loads(path.read_text()) == former
    read.save()
    assert json.loads(path.read_text()) == document


@pytest.mark.parametrize(
    "resources",
    [
        [],
        {"role": ["role"]},
        {"role": {"role": ROLE}, "trigger": {"role": ROLE}},
        {"a": {"b": {}}},
        {"\x1b[2K": 0},
    ],
)
def test_a_damaged_file_of_version_1_is_refused(path: Path, resources: Any) -> None:
    make(path).save()
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "version": 1, "resources": resources}))
    with pytest.raises(DamagedStateError, match=r"is damaged: (a name in )?resources") as caught:
        load(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("damage", [0.5, None, "\x1b[2K", "\u00b2", {"": 0.5}], ids=ascii)
def test_what_is_damaged_is_called_by_its_place(path: Path, damage: Any) -> None:
    sound, refused = text_of(path), 0
    for place in inside(sound)[1:]:
        content = copy.deepcopy(sound)
        target: Any = content
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = damage
        path.write_text(json.dumps(content))
        said = complaint(path)
        known = "settings" if place[0] == "settings" else re.escape(".".join(place))
        if said and place != ("version",):
            assert re.search(f"is damaged: (a name in )?{known}", said), place
        if said and damage in (0.5, "\x1b[2K") and place[0] != "settings":
            assert repr(damage) in said, place
        refused += bool(said)
    assert refused > len(inside(sound)) / 2


def test_a_field_too_few_or_too_many_is_named(path: Path) -> None:
    sound = text_of(path)
    for name in sound.keys() - {"version"}:
        path.write_text(json.dumps({key: value for key, value in sound.items() if key != name}))
        assert f" is damaged: {name} is missing. " in complaint(path)
    for content, named in (
        ({**sound, "more": 1}, "more"),
        ({**sound, "settings": {"more": 1}}, "settings.more"),
    ):
        path.write_text(json.dumps(content))
        assert f" is damaged: {named} is not known to this cogauth. " in complaint(path)
    del sound["version"]
    path.write_text(json.dumps(sound))
    assert " is damaged: 'version' is missing. " in complaint(path)


INCOMPLETE = [
    ("resources.role.since", {"role": {"status": CREATING}}),
    ("resources.role.since", {"role": {**ROLE, "status": DELETING}}),
    ("resources.role.arn", {"role": {"status": CREATED, "id": "r"}}),
    ("attachments.api.authorizer.since", {"status": CREATING, "pool": POOL_ARN}),
    ("attachments.api.authorizer.pool", {"status": CREATING, "since": SINCE}),
]


@pytest.mark.parametrize(("place", "record"), INCOMPLETE)
def test_a_record_has_all_that_its_status_needs(
    path: Path, place: str, record: dict[str, Any]
) -> None:
    content = text_of(path)
    if place.startswith("resources"):
        content["resources"] |= record
    else:
        content["attachments"]["api"]["authorizer"] = record
    path.write_text(json.dumps(content))
    assert f" is damaged: {place} " in complaint(path)
