"""The policies allow everything that is needed and nothing else, and fit AWS's size limit."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cogauth.aws.policies import ANY, LARGEST, REST_API, WORDS, Allow, allow, documents
from support.iam import Request, allowed

VALUES = dict.fromkeys(WORDS, ("*",))
ACTIONS = ("iam:GetRole", "iam:DeleteRole", "lambda:GetFunction")
CONDITION = ("StringEquals", "iam:PermissionsBoundary", "arn:aws:iam::aws:policy/b")
CONDITIONAL = {"Condition": {CONDITION[0]: {CONDITION[1]: CONDITION[2]}}}
# Overlapping patterns, and names that they match.
patterns = st.text("ab/*", min_size=1, max_size=6)
names = st.text("ab/", min_size=1, max_size=6)
allows = st.lists(
    st.builds(
        Allow,
        st.lists(patterns, min_size=1, max_size=3).map(tuple),
        st.lists(st.sampled_from(ACTIONS), min_size=1).map(tuple),
        st.sampled_from([(), (CONDITION,)]),
    ),
    min_size=1,
    max_size=8,
)


def statements(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [statement for document in found for statement in document["Statement"]]


def plainly(allows: list[Allow]) -> list[dict[str, Any]]:
    """Return the same permissions with a statement for each."""
    return [
        {
            "Effect": "Allow",
            "Action": list(one.actions),
            "Resource": list(one.resources),
            **(CONDITIONAL if one.conditions else {}),
        }
        for one in allows
    ]


@given(allows, names, st.sampled_from(ACTIONS), st.sampled_from(["", CONDITION[2]]))
def test_joining_changes_nothing_about_what_is_allowed(
    allows: list[Allow], name: str, action: str, boundary: str
) -> None:
    request = Request(action, name, boundary=boundary)
    joined = statements(documents(allows, VALUES))
    assert allowed(joined, request) == allowed(plainly(allows), request)


@given(allows, st.randoms())
def test_the_order_of_what_is_needed_changes_nothing(allows: list[Allow], random: Any) -> None:
    shuffled = list(allows)
    random.shuffle(shuffled)
    assert documents(shuffled, VALUES) == documents(allows, VALUES)


def test_resources_with_the_same_actions_share_a_statement() -> None:
    found = documents([allow("a", "x:A", "x:B"), allow("b", "x:B"), allow("b", "x:A")], VALUES)
    assert statements(found) == [
        {"Effect": "Allow", "Action": ["x:A", "x:B"], "Resource": ["a", "b"]}
    ]


def test_what_a_wider_pattern_allows_is_not_repeated() -> None:
    needed = [allow("a/*", "x:A"), allow("a/b", "x:A", "x:B"), allow(ANY, "x:C"), allow("a", "x:C")]
    assert statements(documents(needed, VALUES)) == [
        {"Effect": "Allow", "Action": ["x:A"], "Resource": ["a/*"]},
        {"Effect": "Allow", "Action": ["x:B"], "Resource": ["a/b"]},
        {"Effect": "Allow", "Action": ["x:C"], "Resource": ["*"]},
    ]


def test_a_value_is_not_taken_for_a_word() -> None:
    values = {**VALUES, "STACK": ("REGION",), "REGION": ("r",), "API": ("a1",)}
    needed = [allow("REGION:STACK-x", "x:A"), allow(f"{REST_API}/stages", "x:B")]
    assert [one["Resource"] for one in statements(documents(needed, values))] == [
        ["r:REGION-x"],
        ["arn:*:apigateway:r::/restapis/a1/stages"],
    ]


@given(st.integers(1, 60), st.integers(1, 12))
def test_no_document_is_larger_than_aws_takes(apis: int, kinds: int) -> None:
    values = {**VALUES, "OTHER_API": tuple(f"api{number:07}" for number in range(apis))}
    needed = [
        allow(f"arn:aws:apigateway:r::/restapis/OTHER_API/{kind}", f"x:{'A' * (kind % 3 + 1)}")
        for kind in range(kinds)
    ]
    found = documents(needed, values)
    sizes = [len(re.sub(r"\s", "", json.dumps(document))) for document in found]
    assert max(sizes) <= LARGEST
    # There are no more documents than needed: no two neighbours would fit into one.
    assert all(one + other > LARGEST - 100 for one, other in pairwise(sizes))
    listed = [resource for one in statements(found) for resource in one["Resource"]]
    assert len(listed) == len(set(listed)) == apis * kinds
