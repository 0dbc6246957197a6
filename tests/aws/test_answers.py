"""How AWS's answers are compared with what the stack wants."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.aws.answers import Field, differing, fields


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (8, 12, "a.b: 8 → 12"),
        (None, True, "a.b: none → true"),
        ("NONE", "AWS_IAM", "a.b: NONE → AWS_IAM"),
        (["x"], None, 'a.b: ["x"] → none'),
        ("s" * 100, None, "a.b: " + "s" * 59 + "… → none"),
        ("s" * 90 + "1", "s" * 90 + "2", "a.b: …" + "s" * 15 + "1 → …" + "s" * 15 + "2"),
    ],
)
def test_a_field_names_both_values_in_short(old: Any, new: Any, text: str) -> None:
    assert str(Field("a.b", old, new)) == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from("abc"), VALUES), st.dictionaries(st.sampled_from("abc"), VALUES)
)
def test_the_fields_that_differ_are_those_of_the_wanted_values(
    live: dict[str, Any], wanted: dict[str, Any]
) -> None:
    found = list(fields(live, wanted))
    assert bool(found) == bool(differing(live, wanted))
    for each in found:
        now, then = live, wanted
        for name in each.path.split("."):
            now, then = (now or {}).get(name), then[name]
        assert (now, then) == (each.old, each.new)
        assert now != then
