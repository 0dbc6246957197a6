"""The last line of defence: nothing that is quoted to the user contains a credential."""

from __future__ import annotations

import os
import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogauth.aws.environment import SHORTEST_HIDDEN, in_force, redact
from support.broken import OWN_KEYS, SECRET_KEY, TOKEN
from support.commands import command_line
from support.names import PASSWORD, REGION

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "text",
    [
        f"Invalid header value b'AWS4-HMAC-SHA256 Credential=AKIA/x, Signature={SECRET_KEY}'",
        f"return character(s) in header value: '{TOKEN}'",
        f"x-amz-security-token:{TOKEN[:20]}\nhost:x",
        f"aws_session_token = {TOKEN[:20]}",
        f"\t[line  3]: '{TOKEN[:20]}\\n'",
        f"no section headers.\nfile: '<x>', line: 1\n'{TOKEN[:20]}\\n'",
        f"the key {SECRET_KEY} and the token {TOKEN * 4}",
        f"http://ann:{PASSWORD}@proxy.example:3128/",
        f"'http://ann:{PASSWORD}/a@b@proxy.example:3128/'",
        f"Value '{PASSWORD}' at 'tokenCode' failed to satisfy constraint",
    ],
)
def test_what_others_say_is_shown_without_credentials(text: str) -> None:
    shown = redact(text)
    for secret in (SECRET_KEY, TOKEN[:20], PASSWORD):
        assert secret not in shown


@pytest.mark.parametrize(
    "text",
    [
        "User: arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0a1b2c3d4e5f6a7b/ann",
        "/home/Ann/projects/Shop2/backend/deploy/.cogauth/cogauth.json can't be written",
        "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3d4e5/resources/Abc123/methods/GET",
        "request id 8f1d2c9a-6d54-4c1e-9b57-0d0a5c1f3e21",
        "Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or complete the profile.",
    ],
)
def test_what_is_no_credential_is_shown(text: str) -> None:
    assert redact(text) == text


@given(st.text(string.ascii_letters + string.digits + "+/=\r\n\t ", min_size=8))
def test_a_token_in_a_variable_is_never_shown(token: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SESSION_TOKEN", token)
        for quoted in (token, repr(token), repr(token.encode())):
            shown = redact(f"what comes of it: {quoted}, and so on")
            assert not any(part in shown for part in token.split() if len(part) >= 8)


# Proxies as people write them: requests and urllib3 accept most of these.
PROXIES = (
    "http://ann:{}@127.0.0.1:9",
    "http:ann:{}@127.0.0.1:9",
    "ann:{}@127.0.0.1:9",
    "socks5://ann:{}@127.0.0.1:9",
)


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "AWS_ENDPOINT_URL_S3"])
@given(password=st.text(string.printable.strip(), min_size=SHORTEST_HIDDEN))
def test_a_password_in_a_url_is_never_shown(proxy: str, variable: str, password: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, proxy.format(password))
        url = os.environ[variable]
        for text in (in_force(), redact(f"it failed: {url}"), redact(f"{url!r} is none")):
            # The password may also happen to be a part of the remaining text.
            said = f"The environment has {variable}='{proxy}'. it failed: is none (not shown)@"
            assert password not in text or password in said


@pytest.mark.parametrize("password", ["P@ss9xx", "Pa/ss9xx", "Pa'ss9xx", 'Pa"ss9xx', "Pa^s s9xx"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "AWS_ENDPOINT_URL"])
@pytest.mark.sample(6)
def test_no_command_shows_a_password_in_a_url(tmp_path: Path, password: str, variable: str) -> None:
    url = f"http://ann:{password}@127.0.0.1:9"
    env = {**OWN_KEYS, "AWS_REGION": REGION, variable: url}
    with command_line(tmp_path, **env) as cli:
        # Each command asks a dead proxy three times, and waits in between.
        proxied = [["up", "--debug", "--json"]]
        for words in proxied if "PROXY" in variable else [*proxied, ["up"], ["recover"]]:
            done = cli.run(*words)
            assert done.code in {1, 2}
            assert password not in done.out + done.err
            assert variable in done.err or "endpoint" in done.err


def test_a_short_variable_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    assert redact("run 'cogauth test-login'") == "run 'cogauth test-login'"
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{TOKEN[:10]}\n{TOKEN[10:20]}")
    assert redact(repr(os.environ["AWS_SESSION_TOKEN"])) == "'(not shown)\\n(not shown)'"
