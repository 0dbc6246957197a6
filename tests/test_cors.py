"""Which origins are taken, and the template that names the one that asks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth import cors
from cogauth.errors import UsageError
from cogauth.settings import Settings
from support.origins import ONE, SEVERAL
from support.templates import render

# ---- Which origins are accepted


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:5173",
        "http://[::1]:8080",
        "https://my_app.sub-domain.example:8443",
        "https://xn--bcher-kva.example",
        "https://app.example:80",
        "http://app.example:443",
        "http://app.example:65535",
        "http://a",
        "*",
    ],
)
def test_origins_as_browsers_send_them_are_taken(origin: str) -> None:
    assert Settings(cors_origins=(origin,)).cors_origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "app.example",
        "localhost:3000",
        "https://",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example?a",
        "https://app.example#a",
        "https://App.example",
        "HTTPS://app.example",
        "https://app.example:443",
        "http://app.example:80",
        "https://app.example:0",
        "https://app.example:080",
        "https://app.example:65536",
        "https://app.example:",
        "https://*.app.example",
        "https://ann@app.example",
        "https://bücher.example",
        "https://app.example ",
        "https://app.example\n",
        "https://a.example,https://b.example",
        "https://a.example https://b.example",
        "https://-a.example",
        "https://a'b.example",
        "https://$a.example",
        "ftp://app.example",
        "file://",
        "chrome-extension://abc",
        "null",
        "NULL",
        "none",
        "**",
        None,
        1,
        ["https://app.example"],
    ],
)
def test_what_no_browser_sends_is_refused_by_name(origin: Any) -> None:
    for origins in ((origin,), (*ONE, origin), (origin, *ONE)):
        with pytest.raises(UsageError, match="--cors-origin") as caught:
            Settings(cors_origins=origins)
        assert repr(origin) in str(caught.value)
        assert "give" in str(caught.value).lower()


def test_null_is_refused_with_its_reason() -> None:
    with pytest.raises(UsageError, match="sandboxed"):
        Settings(cors_origins=("null",))


@pytest.mark.parametrize("origins", [("*", *ONE), (*ONE, "*"), ("*", "*")])
def test_any_stands_alone(origins: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"'\*' can't be used: it allows all the others"):
        Settings(cors_origins=origins)


def test_there_is_a_bound_on_how_many() -> None:
    many = tuple(f"https://a{number}.example" for number in range(51))
    assert Settings(cors_origins=many[:-1]).cors_origins == many[:-1]
    with pytest.raises(UsageError, match="51 times: 50 origins at the most"):
        Settings(cors_origins=many)
    # API Gateway accepts templates of up to 300 kB.
    longest = tuple(f"https://{number:02}{'a' * 250}.example"[:261] for number in range(50))
    assert len(cors.origin_template(longest)) < 100_000


@given(st.text(max_size=40) | st.from_regex(cors.ORIGIN))
def test_an_origin_that_is_taken_means_nothing_to_a_template(origin: str) -> None:
    try:
        cors.check_origins((origin,))
    except UsageError:
        return
    assert origin == "*" or re.fullmatch(r"https?://[a-z0-9._:\[\]-]+", origin)


# ---- The templates


def told(origins: tuple[str, ...], headers: dict[str, str]) -> str | None:
    rendered = render(cors.origin_template(origins), headers=headers)
    assert rendered.status is None
    assert set(rendered.headers) <= {"Access-Control-Allow-Origin"}
    assert rendered.text.strip() == ""
    return rendered.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize("header", ["Origin", "origin"])
@pytest.mark.parametrize("origin", SEVERAL)
def test_the_origin_that_asks_is_named(origin: str, header: str) -> None:
    assert told(SEVERAL, {header: origin}) == origin


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://app.example.evil.example"},
        {"Origin": "https://app.example/"},
        {"Origin": "http://app.example"},
        {"Origin": "https://APP.example"},
        {"Origin": "https://app.example, https://evil.example"},
        {"Origin": "*"},
        {"Origin": ".*"},
        {"Referer": "https://app.example"},
    ],
)
def test_any_other_origin_is_not(headers: dict[str, str]) -> None:
    assert told(SEVERAL, headers) is None


@given(st.text() | st.sampled_from(SEVERAL), st.text() | st.sampled_from(SEVERAL))
def test_whatever_is_asked_only_a_listed_origin_is_ever_named(cased: str, lower: str) -> None:
    named = told(SEVERAL, {"Origin": cased, "origin": lower})
    assert named in {None, *({cased, lower} & set(SEVERAL))}


def test_the_template_uses_only_what_api_gateway_documents() -> None:
    template = cors.origin_template(SEVERAL)
    assert set(re.findall(r"#(\w+)", template)) == {"set", "if", "elseif", "end"}
    assert set(re.findall(r"\$[A-Za-z][\w.-]*", template)) == {
        "$cased",
        "$lower",
        "$input.params",
        "$context.responseOverride.header.Access-Control-Allow-Origin",
    }
    assert set(re.findall(r"[=!<>|&]+", template)) == {"=", "==", "||"}
    assert '"' not in template
    for line in template.splitlines():
        assert re.fullmatch(r"#(set|if|elseif)\(.*\)|#end", line)
