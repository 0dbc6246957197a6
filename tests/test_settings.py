"""Which settings of a stack are accepted, and which are refused by name."""

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.errors import UsageError
from cogauth.settings import CHARACTER_CLASSES, Settings, check_stack_name

BOUNDS = {
    "password_min_length": (6, 99),
    "sign_in_memory": (128, 10240),
    "sign_in_timeout": (9, 29),
    "auto_confirm_memory": (128, 10240),
    "auto_confirm_timeout": (1, 5),
    "throttle_rate": (0.1, 10000),
    "throttle_burst": (1, 5000),
}
NAME = r"[A-Za-z0-9_-]{1,40}"  # the contract's own


def option(name: str) -> str:
    return "--" + name.replace("_", "-")


@pytest.mark.parametrize(("name", "bounds"), BOUNDS.items())
def test_bounds_are_inside_and_beyond_them_is_refused(
    name: str, bounds: tuple[float, float]
) -> None:
    low, high = bounds
    for value in bounds:
        assert getattr(Settings(**{name: value}), name) == value
    step = 0.01 if isinstance(low, float) else 1
    for value in (low - step, high + 1, -1, 0, 10**400):
        with pytest.raises(UsageError) as caught:
            Settings(**{name: value})
        for part in (option(name), str(low), str(high)):
            assert part in str(caught.value)


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, False, None, "8", [8], 1j])
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=option(name)):
        Settings(**{name: value})


@pytest.mark.parametrize("name", sorted(set(BOUNDS) - {"throttle_rate"}))
def test_half_of_one_is_refused_where_only_whole_ones_are(name: str) -> None:
    low, _high = BOUNDS[name]
    with pytest.raises(UsageError, match=option(name)):
        Settings(**{name: low + 0.5})


def test_a_throttle_rate_may_be_a_fraction_or_a_whole_number() -> None:
    assert Settings(throttle_rate=0.5).throttle_rate == 0.5
    assert Settings(throttle_rate=5).throttle_rate == 5


@pytest.mark.parametrize(
    ("name", "fine", "refused"),
    [
        ("tier_given", [True, False], [None, 0, "true"]),
        ("tier", ["LITE", "ESSENTIALS", "PLUS"], ["lite", "FREE", "", "LITE\n", 1, None]),
        (
            "runtime",
            ["python3.11", "python3.14", "python3.20"],
            [
                "python3.9",
                "python3.10",
                "python2.7",
                "nodejs22.x",
                "",
                "python3.14 ",
                "python3.2\u0664",
            ],
        ),
        # State files from before this setting have None.
        ("sign_up", ["open", "closed", None], ["Open", "", "closed\n", True, 1]),
        ("architecture", ["arm64", "x86_64"], ["ARM64", "amd64", "", None]),
        (
            "stage",
            ["dev", "v1", "a-b_c", "x" * 128],
            ["", "x" * 129, "a/b", "a b", "ä", "dev\n", 1],
        ),
        (
            "path",
            ["/signin", "/v1.login", "/a-b_c"],
            ["", "/", "signin", "/a/b", "/a b", "/{p}", "/ä", "/signin\n", "/" + "x" * 101, 1],
        ),
        ("power_user", [True, False], ["yes", 1, None, "false"]),
    ],
)
def test_words_that_are_taken_and_that_are_refused(
    name: str, fine: list[Any], refused: list[Any]
) -> None:
    for value in fine:
        assert getattr(Settings(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(UsageError, match=option(name)):
            Settings(**{name: value})


def test_the_protected_path_is_taken() -> None:
    with pytest.raises(UsageError, match="--path /hello is the protected method's path"):
        Settings(path="/hello")


@pytest.mark.parametrize(
    ("require", "length", "text"),
    [
        (
            tuple(CHARACTER_CLASSES),
            8,
            (
                "at least 8 characters, with an upper-case letter, a lower-case letter, a digit "
                "and a symbol"
            ),
        ),
        (("digit", "upper"), 10, "at least 10 characters, with an upper-case letter and a digit"),
        (("symbol",), 6, "at least 6 characters, with a symbol"),
        ((), 99, "at least 99 characters"),
    ],
)
def test_the_password_policy_reads_as_a_phrase(
    require: tuple[str, ...], length: int, text: str
) -> None:
    chosen = Settings(password_require=require, password_min_length=length)
    assert chosen.password_policy_text == text


def test_an_unknown_character_class_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'capital'") as caught:
        Settings(password_require=("lower", "capital"))
    assert all(name in str(caught.value) for name in CHARACTER_CLASSES)


valid = st.builds(
    Settings,
    tier=st.sampled_from(["LITE", "ESSENTIALS", "PLUS"]),
    password_min_length=st.integers(6, 99),
    password_require=st.lists(st.sampled_from(list(CHARACTER_CLASSES)), unique=True).map(tuple),
    power_user=st.booleans(),
    sign_in_memory=st.integers(128, 10240),
    throttle_rate=st.floats(0.1, 10000),
    throttle_burst=st.integers(1, 5000),
    stage=st.from_regex(r"\A[A-Za-z0-9_-]{1,128}\Z"),
    cors_origins=st.sampled_from([(), ("*",), ("http://a:3000",), ("http://a:3000", "https://b")]),
)


@given(valid)
def test_settings_pass_through_json_unchanged(chosen: Settings) -> None:
    assert Settings.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


def test_a_setting_that_nobody_knows_is_refused() -> None:
    with pytest.raises((TypeError, KeyError, UsageError)):
        Settings.from_json({**Settings().to_json(), "colour": "blue"})


def test_choices_go_over_what_the_stack_has() -> None:
    present = Settings(tier="PLUS", throttle_rate=3.0)
    changed = present.with_choices({"throttle_burst": 9, "tier": None}, exists=True)
    assert changed == replace(present, throttle_burst=9)
    assert present.with_choices({}, exists=True) == present


@pytest.mark.parametrize(("name", "value"), [("path", "/login"), ("stage", "prod")])
def test_the_url_of_a_standing_stack_stays(name: str, value: str) -> None:
    present = Settings()
    with pytest.raises(UsageError, match=option(name)) as caught:
        present.with_choices({name: value}, exists=True)
    assert repr(getattr(present, name)) in str(caught.value)
    assert getattr(present.with_choices({name: value}, exists=False), name) == value
    same = {name: getattr(present, name)}
    assert present.with_choices(same, exists=True) == present


def test_a_choice_is_checked_like_a_setting() -> None:
    with pytest.raises(UsageError, match="--throttle-burst"):
        Settings().with_choices({"throttle_burst": 0}, exists=True)


@given(st.text(max_size=45) | st.from_regex(rf"\A{NAME}\Z") | st.from_regex(NAME))
def test_stack_names_are_those_of_the_contract(name: str) -> None:
    if re.fullmatch(NAME, name):
        assert check_stack_name(name) == name
    else:
        with pytest.raises(UsageError, match="--stack"):
            check_stack_name(name)


@given(st.from_regex(rf"\A{NAME}\Z"))
def test_names_made_of_a_stacks_name_fit_aws(name: str) -> None:
    for suffix in ("LambdaAuthRole", "signInFunction", "autoConfirmUserFunction"):
        assert re.fullmatch(r"[\w+=,.@-]{1,64}", f"{name}-{suffix}", re.ASCII)
