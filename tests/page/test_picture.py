"""The picture of a stack: valid XML for any names, readable on light and dark pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogauth.engine.status import AttachedStatus
from cogauth.page.picture import COLOURS, SHOWN, START, STYLE, draw, fitted
from cogauth.printable import column_width, one_line
from cogauth.settings import Settings
from cogauth.steps import STEPS
from support.commands import environment
from support.forker import PATIENCE
from support.status import MIXED, ORDERS, stack_in, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogauth.context import Context

SVG = "{http://www.w3.org/2000/svg}"
PLACE = "account 123456789012, region eu-central-1"
ANY_TEXT = st.text(st.characters() | st.sampled_from("<>&\"'\x00\ud800\ufffe]山${}"), max_size=200)
# The width of an 11 px character in the widest common monospaced font.
MONO = 6.63
CHROMIUM = shutil.which("chromium")
# Whether each text of a step ends inside its box.
MEASURE = """<script>
const outside = [];
for (const step of document.querySelectorAll("g.step, #sign_in_method")) {
  const box = step.querySelector("rect").getBBox();
  for (const text of step.querySelectorAll("text")) {
    const place = text.getBBox(), end = place.x + place.width;
    if (place.x < box.x || end > box.x + box.width) outside.push(text.textContent);
  }
}
document.title = JSON.stringify({outside, texts: document.querySelectorAll("g.step text").length});
</script>"""


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return stack_in("aws", tmp_path)


def parsed(svg: str) -> ET.Element:
    assert svg.encode().startswith(START)
    return ET.fromstring(svg)


def texts(root: ET.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def by_id(root: ET.Element) -> dict[str, ET.Element]:
    found = [each for each in root.iter() if "id" in each.attrib]
    assert len({each.attrib["id"] for each in found}) == len(found)
    return {each.attrib["id"]: each for each in found}


# What the picture shows


@pytest.mark.parametrize("how", [{}, MIXED])
def test_each_step_is_a_box_with_its_status_in_class_and_words(
    how: dict[str, str], ctx: Context
) -> None:
    found = status_of(ctx, how, ORDERS)  # type: ignore[arg-type]
    root = parsed(draw(found, ctx.state, PLACE))
    steps = {
        name.removeprefix("step-"): group
        for name, group in by_id(root).items()
        if name.startswith("step-")
    }
    assert steps.keys() == {step.name for step in STEPS}
    for step in found.steps:
        group = steps[step.step]
        assert group.attrib["class"].split() == ["step", step.status]
        words = [each.text or "" for each in group.findall(f"{SVG}text")]
        assert SHOWN[step.status] in words
        assert [text for text in words if text.startswith(step.id or "-")]
        hint = group.findtext(f"{SVG}title")
        assert hint
        assert hint.startswith(f"{step.title}: {step.status}, {step.id}")


def test_it_says_the_same_to_a_screen_reader(ctx: Context) -> None:
    root = parsed(draw(status_of(ctx, MIXED), ctx.state, PLACE))
    ids = by_id(root)
    assert root.attrib["role"] == "img"
    title, desc = (ids[name].text or "" for name in root.attrib["aria-labelledby"].split())
    assert title == "Stack cogauth: ~ drifted"
    for step in STEPS:
        assert f"{step.title}: {MIXED.get(step.name, 'exists')}, " in desc


def test_what_is_around_the_boxes(ctx: Context) -> None:
    ctx.state.settings = Settings(path="/login", stage="prod")
    shown = texts(parsed(draw(status_of(ctx, {}, ORDERS), ctx.state, PLACE)))
    expected = ("Stack cogauth", "✓ complete", PLACE, "3 users", "POST /login")
    assert set(expected) <= set(shown)
    assert "deployed 2026-11-27" in shown
    assert "deployment, stage prod" in shown
    assert "Methods of attached APIs: orders (1 of 2 guarded)" in shown
    found = replace(status_of(ctx, {}, users=1), deployed=None)
    shown = texts(parsed(draw(found, ctx.state, PLACE)))
    assert {"1 user", "not deployed", "No other API is attached to the user pool."} <= set(shown)


def test_each_condition_has_the_colour_of_a_status() -> None:
    assert COLOURS.keys() | {*COLOURS.values()} <= SHOWN.keys()
    assert set(SHOWN) - set(COLOURS) == {"exists", "missing", "changed", "unfinished", "stale"}


# Any names


def test_it_is_xml_whatever_others_named(ctx: Context) -> None:
    @settings(max_examples=60)
    @given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
    def check(name: str, identifier: str, place: str) -> None:
        found = status_of(ctx, MIXED, AttachedStatus("a", name, (), ()))
        steps = tuple(replace(step, id=identifier, title=name) for step in found.steps)
        root = parsed(draw(replace(found, stack=name, steps=steps), ctx.state, place))
        assert by_id(root)["cogauth-title"].text == f"{one_line(f'Stack {name}')}: ~ drifted"
        assert fitted(place, 85) in texts(root)
        # No part of a name becomes an element.
        assert len(list(root.iter())) == len(list(plain.iter()))

    plain = parsed(draw(status_of(ctx, MIXED), ctx.state, PLACE))
    check()


@given(ANY_TEXT, st.integers(8, 40))
def test_what_is_too_long_is_shortened_in_the_middle(text: str, width: int) -> None:
    short, line = fitted(text, width), one_line(text)
    if column_width(line) <= width:
        assert short == line
        return
    first, last = short.rsplit("…", 1) if short.count("…") == 1 else (short[:2], short[-2:])
    assert column_width(short) <= width
    assert line.startswith(first)
    assert line.endswith(last)
    assert first or last


def longest(ctx: Context) -> str:
    """Draw a stack whose names have their maximum length."""
    sizes = {"user_pool": 55, "trigger": 55, "app_client": 128, "protected_method": 40}
    found = status_of(ctx, dict.fromkeys((step.name for step in STEPS), "unfinished"), users=99999)
    steps = tuple(replace(step, id="W" * sizes.get(step.step, 64)) for step in found.steps)
    ctx.state.settings = Settings(path=f"/{'w' * 100}", stage="W" * 128)
    found = replace(found, stack="W" * 40, steps=steps, attached=(ORDERS,) * 40)
    return draw(found, ctx.state, "w" * 200)


def test_ids_fit_into_their_boxes(ctx: Context) -> None:
    for group in parsed(longest(ctx)).iter(f"{SVG}g"):
        if "step" not in group.attrib.get("class", "").split():
            continue
        box = group.find(f"{SVG}rect")
        assert box is not None
        end = float(box.attrib["x"]) + float(box.attrib["width"])
        (text,) = (each for each in group.findall(f"{SVG}text") if each.attrib["class"] == "id")
        assert text.text
        assert float(text.attrib["x"]) + MONO * len(text.text) <= end


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")
def test_in_a_browser_each_text_is_inside_its_box(ctx: Context) -> None:
    # A test folder's path is too long for a socket.
    with TemporaryDirectory(prefix="web-") as name:
        page = Path(name, "page.html")
        page.write_text(f"<!doctype html><meta charset=utf-8>{longest(ctx)}{MEASURE}")
        flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
        done = subprocess.run(
            [str(CHROMIUM), *flags, f"--user-data-dir={name}/p", "--dump-dom", page.as_uri()],
            env=environment(Path(name)),
            capture_output=True,
            check=True,
            timeout=PATIENCE,
            text=True,
        )
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert title, done.stdout
    assert json.loads(title[1]) == {"outside": [], "texts": 3 * len(STEPS) + 1}


# Where it is shown


def test_it_loads_nothing_and_runs_nothing(ctx: Context) -> None:
    svg = draw(status_of(ctx, MIXED, ORDERS), ctx.state, PLACE)
    assert set(re.findall(r"\w+://[^\"'\s<)]+", svg)) == {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"url\((.*?)\)", svg)) == {"#cogauth-head"}
    names = {each.tag.removeprefix(SVG) for each in parsed(svg).iter()}
    assert not names & {"script", "image", "foreignObject", "use", "a"}
    assert not re.search(r"@import|@font-face|\son\w+=|href", svg)


def test_its_rules_are_about_nothing_else_on_a_page() -> None:
    """The picture may be embedded in a page, as one of its elements."""
    rules = re.findall(r"^([^@{}]+)\{", STYLE.read_text(), re.MULTILINE)
    assert len(rules) > 30
    for rule in rules:
        for selector in rule.split(","):
            assert selector.strip().startswith(".cogauth-picture ")


def colours() -> dict[str, dict[str, dict[str, str]]]:
    """Return the colours that the template sets, by theme and selector."""
    light, _, dark = STYLE.read_text().partition("@media (prefers-color-scheme: dark) {")
    themes: dict[str, dict[str, dict[str, str]]] = {"light": {}, "dark": {}}
    for theme, text in (("light", light), ("dark", dark)):
        for rule, body in re.findall(r"([^{}]+)\{([^{}]*)\}", text):
            found = dict(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", body))
            for selector in rule.split(","):
                name = selector.strip().removeprefix(".cogauth-picture ")
                themes[theme].setdefault(name, {}).update(found)
    return themes


def luminance(colour: str) -> float:
    """Source: https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def of_both(what: str) -> Iterator[tuple[str, str, str]]:
    for theme, found in colours().items():
        grounds = {name: found[name]["fill"] for name in (".page", ".box", ".group")}
        for selector, values in found.items():
            for name, ground in grounds.items():
                if what in values and selector not in grounds:
                    yield f"{theme} {selector} on {name}", values[what], ground


def test_texts_and_lines_can_be_told_from_what_is_behind_them() -> None:
    """Source: https://www.w3.org/TR/WCAG21/#contrast-minimum and #non-text-contrast."""
    text = {name: contrast(*pair) for name, *pair in of_both("fill")}
    lines = {name: contrast(*pair) for name, *pair in of_both("stroke")}
    assert len(text) == 2 * 3 * 9
    assert len(lines) == 2 * 3 * 6
    assert {name: value for name, value in text.items() if value < 4.5} == {}
    assert {name: value for name, value in lines.items() if value < 3} == {}
    light, dark = (
        {name: set(rule) for name, rule in each.items() if rule} for each in colours().values()
    )
    assert light == dark, "a colour of one theme would be shown in the other"


def test_statuses_differ_in_more_than_colour() -> None:
    symbols = [SHOWN[status].split()[0] for status in SHOWN if status not in COLOURS]
    assert len(symbols) == len(set(symbols))
    assert [pair for pair in pairwise(sorted(SHOWN.values())) if pair[0] == pair[1]] == []
