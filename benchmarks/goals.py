"""The goals for the measurements, and whether they are met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.login import ARTICLES, NEW, OURS, REFUSED, RETURNING
from benchmarks.startup import CLICK, HELP
from benchmarks.up_down import ARTICLE_WAY, COGAUTH_WAY

if TYPE_CHECKING:
    from collections.abc import Mapping

# The goal in words, what was measured, and whether it is met.
Goal = tuple[str, str, str]

# Two thirds of the 31 calls of an unchanged `up` before plans read each thing once.
FEW = 20
# The operations that list all resources of a kind in an account, page by page.
LISTS = {
    "apigateway:GetRestApis",
    "cognito-idp:ListUserPools",
    "lambda:ListFunctions",
    "logs:DescribeLogGroups",
    "tagging:GetResources",
}


def goals(results: Mapping[str, Any]) -> list[Goal]:
    """Return the goals of all parts that were measured."""
    return [row for part, of in PARTS.items() if part in results for row in of(results[part])]


def _at_most(words: str, measured: float, limit: float, unit: str = "") -> Goal:
    met = measured <= limit
    # More digits where two would contradict the verdict.
    digits = next(n for n in range(2, 18) if (round(measured, n) <= limit) == met)
    return (words, f"{measured:.{digits}f}{unit}", _yes(met))


def _up_down(found: Mapping[str, Any]) -> list[Goal]:
    up, down = found["up"][COGAUTH_WAY], found["down"][COGAUTH_WAY]
    article = found["up"][ARTICLE_WAY]
    return [
        *(
            _at_most(
                f"`{command}`, from its first call to its last answer, within {limit:.2f} of "
                "its critical path",
                to_path(one),
                limit,
            )
            for command, one, limit in (("up", up, 1.05), ("down", down, 1.04))
        ),
        _at_most(
            "`up` at most 0.50 of the article's way, as whole processes",
            up["process_s"] / article["process_s"],
            0.5,
        ),
    ]


def _startup(found: Mapping[str, Any]) -> list[Goal]:
    words = f"`{HELP}` takes at most 1.5 times as long as `import click`"
    return [_at_most(words, found["seconds"][HELP] / found["seconds"][CLICK], 1.5)]


def _login(found: Mapping[str, Any]) -> list[Goal]:
    ours, article = found["seconds"][OURS], found["seconds"][ARTICLES]
    cold = ours["import and first request"] / article["import and first request"]
    own = max(ours[f"warm, {outcome}: own code"] for outcome in (RETURNING, NEW, REFUSED))
    return [
        _at_most("our handler's cold start at most half of the article's", cold, 0.5),
        _at_most("our own code in a warm request below 1 ms", 1000 * own, 1, " ms"),
    ]


def _crowd(found: Mapping[str, Any]) -> list[Goal]:
    more = {name for command in found.values() for name in growing(command)}
    words = "in a full account, only calls that list grow in number"
    return [(words, ", ".join(sorted(more)) or "none grew", _yes(more <= LISTS))]


def _attach(found: Mapping[str, Any]) -> list[Goal]:
    ratios = [one["calls_s"] / one["bound_s"] for way in found.values() for one in way.values()]
    words = "`attach` on 10, 100 and 300 methods within 1.2 of what API Gateway's rates allow"
    return [_at_most(words, max(ratios), 1.2)]


def _unchanged(found: Mapping[str, Any]) -> list[Goal]:
    again = max(one["again"] for one in found["commands"].values())
    calls = sum(found["commands"]["up"]["calls"]["read"].values())
    return [
        *(
            _at_most(
                f"`{command}` no longer than an `up` that changes nothing",
                ratios["process_s"]["median"],
                1,
            )
            for command, ratios in found["ratios"].items()
        ),
        (
            f"an `up` that changes nothing makes at most {FEW} calls",
            str(calls),
            _yes(calls <= FEW),
        ),
        (
            "`plan`, `status` and an `up` that changes nothing repeat no read",
            str(again),
            _yes(not again),
        ),
    ]


# What gives the goals of each part of the measurements, in the order of the page.
PARTS = {
    "up_down": _up_down,
    "startup": _startup,
    "login": _login,
    "crowd": _crowd,
    "attach": _attach,
    "unchanged": _unchanged,
}


def _yes(met: bool) -> str:  # noqa: FBT001 it is what is said
    return "yes" if met else "no"


def to_path(measured: Mapping[str, Any]) -> float:
    """Return the ratio of what the calls took to their critical path."""
    return float(measured["calls_s"] / measured["critical_s"])


def growing(sizes: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the operations whose call count differs between sizes, with the counts."""
    flat = [
        {name: number for counts in each.values() for name, number in counts.items()}
        for each in sizes.values()
    ]
    names = sorted({name for each in flat for name in each})
    numbers = {name: [each.get(name, 0) for each in flat] for name in names}
    return {name: each for name, each in numbers.items() if len(set(each)) > 1}
