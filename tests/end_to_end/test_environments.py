"""Every command in every broken environment: a readable error, no traceback, no secret."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from cogauth.cli.interrupt import INTERRUPTED
from support.broken import ACCESS_KEY, COMMANDS, OWN_KEYS, SECRET_KEY, TOKEN, record_whole_stack
from support.commands import Cli, command_line
from support.forker import Result, forker, interruptible
from support.local_aws import free_port
from support.names import PASSWORD, REGION
from support.servers import (
    ACCOUNT,
    CALLER,
    OWN_API,
    Answer,
    Fixed,
    Request,
    asks_for_the_api,
    is_identity_call,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROXY_PASSWORD = "Proxy-Horse-9"
SECRETS = (SECRET_KEY, TOKEN, TOKEN[:24], TOKEN[-24:], PASSWORD, PROXY_PASSWORD)
USER_TOKEN = ".".join(
    base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode()
    # The issuer is the pool's, so that 'decode' asks for the pool's keys.
    for part in (
        '{"alg":"RS256","kid":"k"}',
        '{"token_use":"id","sub":"s","iss":"https://cognito.invalid/id-of-user_pool"}',
        "signature",
    )
)


@dataclass
class Scene:
    """The place where a command runs: a folder, and a server in AWS's place."""

    folder: Path
    url: str
    # The variables to set; None unsets one.
    env: dict[str, str | None] = field(default_factory=dict)

    def file(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    def config(self, text: str | bytes, **more: str | None) -> None:
        """Make the profile ``work`` of a configuration file the only source of credentials."""
        self.env |= dict.fromkeys(OWN_KEYS)
        self.env |= {"AWS_CONFIG_FILE": self.file("config", text), "AWS_PROFILE": "work", **more}

    def process(self, script: str) -> None:
        """Let a program provide the credentials."""
        program = self.file("credentials.sh", f"#!/bin/sh\n{script}\n")
        self.config(f"[profile work]\ncredential_process = sh {program}\n")


BROKEN: dict[str, Callable[[Scene], None]] = {}


def broken(name: str) -> Callable[[Callable[[Scene], None]], None]:
    def note(make: Callable[[Scene], None]) -> None:
        BROKEN[name] = make

    return note


def variables(name: str, **env: str | None) -> None:
    BROKEN[name] = lambda scene: scene.env.update(env)


def profile(name: str, text: str | bytes) -> None:
    BROKEN[name] = lambda scene: scene.config(text)


def process(name: str, script: str) -> None:
    BROKEN[name] = lambda scene: scene.process(script)


# Credentials in variables
variables("no credentials", **dict.fromkeys(OWN_KEYS))
variables("no secret key", AWS_SECRET_ACCESS_KEY=None)
variables("key id ends with a line", AWS_ACCESS_KEY_ID=f"{ACCESS_KEY}\n")
variables("secret key ends with a line", AWS_SECRET_ACCESS_KEY=f"{SECRET_KEY}\n")
variables("secret key with a carriage return", AWS_SECRET_ACCESS_KEY=f"{SECRET_KEY}\r")
variables("token ends with a line", AWS_SESSION_TOKEN=f"{TOKEN}\n")
variables("token over two lines", AWS_SESSION_TOKEN=f"{TOKEN[:24]}\n{TOKEN[24:]}")
variables("token with a folded line", AWS_SESSION_TOKEN=f"{TOKEN[:24]}\n {TOKEN[24:]}")
variables("token isn't ASCII", AWS_SESSION_TOKEN=f"{TOKEN}\u20ac")
variables("key id isn't UTF-8", AWS_ACCESS_KEY_ID=f"{ACCESS_KEY}\udcff")
variables("old token with a line end", AWS_SECURITY_TOKEN=f"{TOKEN}\n")
variables(
    "expiration is no time", AWS_CREDENTIAL_EXPIRATION="tomorrow-ish", AWS_SESSION_TOKEN=TOKEN
)
variables("expiration has no zone", AWS_CREDENTIAL_EXPIRATION="2020-01-01T00:00:00")
variables("expired", AWS_CREDENTIAL_EXPIRATION="2020-01-01T00:00:00Z", AWS_SESSION_TOKEN=TOKEN)

# Configuration files
profile("configuration is none", "[unfinished\nregion")
profile("configuration isn't UTF-8", b"[profile work]\nregion = \xff\xfe\n")
profile("configuration is binary", b"\x00\x01\x02[[[")
profile("configuration with a secret outside of any section", f"aws_secret_access_key={SECRET_KEY}")
profile("configuration with a broken line", f"[profile work]\naws_secret_access_key {SECRET_KEY}\n")
profile("configuration with nested text", "[profile work]\ns3 =\n  broken\n")
profile("profile is missing", "[profile other]\nregion = eu-central-1\n")
profile("profile is empty", "[profile work]\n")
profile("profile twice", "[profile work]\nregion=a\n[profile work]\nregion=b\n")
profile(
    "profile's secret key over two lines",
    f"[profile work]\naws_access_key_id = {ACCESS_KEY}\n"
    f"aws_secret_access_key = {SECRET_KEY[:20]}\n  {SECRET_KEY[20:]}\n",
)
profile(
    "profile's token over two lines",
    f"[profile work]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    f"aws_session_token = {TOKEN[:24]}\n  {TOKEN[24:]}\n",
)
profile(
    "source profile's token over two lines",
    "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = source\n"
    f"[profile source]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    f"aws_session_token = {TOKEN[:24]}\n  {TOKEN[24:]}\n",
)
profile("profile without a secret key", f"[profile work]\naws_access_key_id = {ACCESS_KEY}\n")
profile("role without a source", "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\n")
profile(
    "role whose source is missing",
    "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = nobody\n",
)
profile(
    "roles in a circle",
    "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = b\n"
    "[profile b]\nrole_arn = arn:aws:iam::123456789012:role/s\nsource_profile = work\n",
)
profile(
    "role with an unknown source",
    "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Moon\n",
)
profile(
    "role whose source has none",
    "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\n"
    "credential_source = Environment\n",
)
profile(
    "role that asks for MFA",
    "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = source\n"
    "mfa_serial = arn:aws:iam::123456789012:mfa/ann\n"
    f"[profile source]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n",
)
profile(
    "role whose ARN is none",
    "[profile work]\nrole_arn = x\nsource_profile = source\n"
    f"[profile source]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n",
)
profile("login that never was", "[profile work]\nlogin_session = arn:aws:iam::1:user/ann\n")
profile("profile's retries are none", "[profile work]\nmax_attempts = many\n")


@broken("configuration is a folder")
def _(scene: Scene) -> None:
    scene.env |= {"AWS_CONFIG_FILE": str(scene.folder), "AWS_PROFILE": "work"}


@broken("credentials file is none")
def _(scene: Scene) -> None:
    text = f"[default\naws_secret_access_key = {SECRET_KEY}\n"
    scene.env |= dict.fromkeys(OWN_KEYS)
    scene.env["AWS_SHARED_CREDENTIALS_FILE"] = scene.file("credentials", text)


@broken("credentials file isn't UTF-8")
def _(scene: Scene) -> None:
    scene.env |= dict.fromkeys(OWN_KEYS)
    scene.env["AWS_SHARED_CREDENTIALS_FILE"] = scene.file("credentials", b"[default]\nx=\xff\n")


# Programs that give credentials
profile("process is missing", "[profile work]\ncredential_process = /nowhere/at-all --key x\n")
profile("process is a folder", "[profile work]\ncredential_process = /\n")
profile("process is empty", "[profile work]\ncredential_process =\n")
profile("process has an open quote", '[profile work]\ncredential_process = sh "-c\n')
process("process fails", f"echo {SECRET_KEY} >&2; exit 3")
process("process fails with bytes", "printf '\\377' >&2; exit 3")
process("process prints nothing", "true")
process("process prints no JSON", f"echo secret={SECRET_KEY}")
process("process prints bytes", "printf '\\377\\376'")
process("process prints a list", "echo '[]'")
process("process prints null", "echo null")
process("process prints another version", """echo '{"Version": 2}'""")
process("process lacks the keys", """echo '{"Version": 1}'""")
process("process gives numbers", """echo '{"Version":1,"AccessKeyId":1,"SecretAccessKey":2}'""")
process("process gives null", """echo '{"Version":1,"AccessKeyId":null,"SecretAccessKey":null}'""")
process(
    "process's expiration is no time",
    f"""echo '{{"Version":1,"AccessKeyId":"{ACCESS_KEY}","SecretAccessKey":"{SECRET_KEY}","""
    """"SessionToken":"t","Expiration":"soon"}'""",
)
process(
    "process gives what has expired",
    f"""echo '{{"Version":1,"AccessKeyId":"{ACCESS_KEY}","SecretAccessKey":"{SECRET_KEY}","""
    """"SessionToken":"t","Expiration":"2020-01-01T00:00:00Z"}'""",
)
process(
    "process gives a token with a line end",
    f"""echo '{{"Version":1,"AccessKeyId":"{ACCESS_KEY}","SecretAccessKey":"{SECRET_KEY}","""
    f""""SessionToken":"{TOKEN}\\n"}}'""",
)
process("process reads stdin", "cat >&2; exit 1")

# SSO, web identity, containers, instances
SSO = (
    "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = admin\n"
    "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = eu-central-1\n"
)
profile("SSO session never began", SSO)
profile("SSO session is missing", SSO.partition("[sso-session")[0])
profile("SSO without a role", SSO.replace("sso_role_name = admin\n", ""))


def sso(name: str, cached: str) -> None:
    def make(scene: Scene) -> None:
        scene.config(SSO)
        # The file's name is the SHA-1 of the session's name.
        digest = hashlib.sha1(b"corp", usedforsecurity=False).hexdigest()
        scene.file(f".aws/sso/cache/{digest}.json", cached)

    BROKEN[name] = make


sso("SSO cache is no JSON", "{broken")
sso("SSO cache is a list", "[]")
sso("SSO cache is empty", "{}")
sso("SSO session expired", json.dumps({"accessToken": TOKEN, "expiresAt": "2020-01-01T00:00:00Z"}))
sso("SSO expiry is no time", json.dumps({"accessToken": TOKEN, "expiresAt": "soon"}))


@broken("web identity's token is missing")
def _(scene: Scene) -> None:
    scene.env |= dict.fromkeys(OWN_KEYS)
    scene.env["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(scene.folder / "none")
    scene.env["AWS_ROLE_ARN"] = "arn:aws:iam::123456789012:role/r"


@broken("web identity's token is bytes")
def _(scene: Scene) -> None:
    scene.env |= dict.fromkeys(OWN_KEYS)
    scene.env["AWS_WEB_IDENTITY_TOKEN_FILE"] = scene.file("jwt", b"\xff\xfe")
    scene.env["AWS_ROLE_ARN"] = "arn:aws:iam::123456789012:role/r"


variables(
    "web identity without a role", AWS_WEB_IDENTITY_TOKEN_FILE="/none", **dict.fromkeys(OWN_KEYS)
)
CONTAINER = {**dict.fromkeys(OWN_KEYS), "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/"}
variables("container's address is none", **{**CONTAINER, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "x"})
variables(
    "container's address is elsewhere",
    **{**CONTAINER, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"},
)
variables(
    "container's token file is missing", **CONTAINER, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="/x"
)
variables("container's token", **CONTAINER, AWS_CONTAINER_AUTHORIZATION_TOKEN=f"{TOKEN}\n")


@broken("container answers no JSON")
def _(scene: Scene) -> None:
    scene.env |= {**CONTAINER, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{scene.url}/html"}


@broken("container answers an empty object")
def _(scene: Scene) -> None:
    scene.env |= {**CONTAINER, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{scene.url}/empty-object"}


variables(
    "instance metadata's address is none",
    **dict.fromkeys(OWN_KEYS),
    AWS_EC2_METADATA_DISABLED="false",
    AWS_EC2_METADATA_SERVICE_ENDPOINT="x y",
)
variables(
    "instance metadata's mode is none",
    **dict.fromkeys(OWN_KEYS),
    AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE="IPv9",
)
variables("instance metadata's patience is none", AWS_METADATA_SERVICE_TIMEOUT="long")

# Settings of botocore's own
variables("unknown profile", AWS_PROFILE="nobody", **dict.fromkeys(OWN_KEYS))
variables("profile isn't UTF-8", AWS_PROFILE="\udcff", **dict.fromkeys(OWN_KEYS))
variables("unknown region", AWS_REGION="moon-1")
variables("region ends with a line", AWS_REGION=f"{REGION}\n")
variables("no region", AWS_REGION=None)
variables("attempts are none", AWS_MAX_ATTEMPTS="many")
variables("attempts are negative", AWS_MAX_ATTEMPTS="-1")
variables("retry mode is none", AWS_RETRY_MODE="eager")
variables("STS endpoints are none", AWS_STS_REGIONAL_ENDPOINTS="moonwide")
variables("FIPS is none", AWS_USE_FIPS_ENDPOINT="perhaps")
variables("dual stack is none", AWS_USE_DUALSTACK_ENDPOINT="perhaps")
variables("defaults mode is none", AWS_DEFAULTS_MODE="odd")
variables("account id mode is none", AWS_ACCOUNT_ID_ENDPOINT_MODE="odd")
variables("checksums are none", AWS_REQUEST_CHECKSUM_CALCULATION="odd")
variables("checksum validation is none", AWS_RESPONSE_CHECKSUM_VALIDATION="odd")
variables("compression is none", AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES="small")
variables("application id is none", AWS_SDK_UA_APP_ID="a b\n")
variables("auth schemes are none", AWS_AUTH_SCHEME_PREFERENCE="odd,,")
variables("models are elsewhere", AWS_DATA_PATH="/nowhere")
variables("monitoring is none", AWS_CSM_ENABLED="true", AWS_CSM_PORT="odd")

# Endpoints
variables("endpoint is none", AWS_ENDPOINT_URL="localhost:4566")
variables("endpoint with a line end", AWS_ENDPOINT_URL="http://127.0.0.1:9\n")
variables("endpoint's host is none", AWS_ENDPOINT_URL="http://[::1")
variables("endpoint of another stack", AWS_ENDPOINT_URL="http://127.0.0.1:9")
variables("STS's endpoint is none", AWS_ENDPOINT_URL_STS="localhost:4566")
variables("STS's endpoint is dead", AWS_ENDPOINT_URL_STS="http://127.0.0.1:9")
variables("STS's endpoint has no name", AWS_ENDPOINT_URL_STS="http://nowhere.invalid")
profile("profile's endpoint is none", "[profile work]\nendpoint_url = ftp://x\n")
profile("profile's services are missing", "[profile work]\nservices = local\n")


def endpoint(name: str, path: str, service: str = "STS") -> None:
    def make(scene: Scene) -> None:
        scene.env[f"AWS_ENDPOINT_URL_{service}"] = f"{scene.url}/{path}"

    BROKEN[name] = make


endpoint("STS answers with another object", "json")
for kind in ("html", "nothing", "xml", "list", "cut", "cut-xml", "html-404", "html-502"):
    endpoint(f"STS answers {kind}", kind)
    for service in ("COGNITO_IDENTITY_PROVIDER", "API_GATEWAY"):
        endpoint(f"{service.partition('_')[0].title()} answers {kind}", kind, service)
endpoint("STS answers with another account", "other-account")
endpoint("STS answers an empty object", "empty-object")


# Certificates and proxies; nothing is reached
def secure(name: str, **env: str | None) -> None:
    def make(scene: Scene) -> None:
        scene.url = f"https://127.0.0.1:{free_port()}"
        scene.env |= env

    BROKEN[name] = make


secure("nothing is there")
secure("AWS's CA bundle is missing", AWS_CA_BUNDLE="/nowhere/ca.pem")
secure("AWS's CA bundle is a folder", AWS_CA_BUNDLE="/")
secure("AWS's CA bundle is none", AWS_CA_BUNDLE=__file__)
secure("AWS's CA bundle is blank", AWS_CA_BUNDLE=" ")
secure("requests' CA bundle is missing", REQUESTS_CA_BUNDLE="/nowhere/ca.pem")
secure("requests' CA bundle is none", REQUESTS_CA_BUNDLE=__file__)
secure("curl's CA bundle is missing", CURL_CA_BUNDLE="/nowhere/ca.pem")
PROXY = f"http://ann:{PROXY_PASSWORD}@127.0.0.1:9"
for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
    secure(f"{name} is dead", **{name: PROXY})
    secure(f"{name} is none", **{name: "http://[bad"})
    secure(f"{name} has no port", **{name: f"http://ann:{PROXY_PASSWORD}@127.0.0.1:odd"})
    secure(f"{name} has another scheme", **{name: "ftp://127.0.0.1:9"})
    secure(f"{name} is SOCKS", **{name: "socks5://127.0.0.1:9"})
    secure(f"{name} is a word", **{name: "proxy here"})
variables("HTTP_PROXY is dead", HTTP_PROXY=PROXY)
variables("HTTP_PROXY is none", HTTP_PROXY="http://[bad")
secure("NO_PROXY is odd", HTTPS_PROXY=PROXY, NO_PROXY="[::,,/99")

# The rest of a process's environment
variables("HOME is missing", HOME=None)
variables("HOME isn't there", HOME="/nowhere")
variables("locale is C", LANG="C", LC_ALL="C")
variables("locale is unknown", LANG="xx_XX.ODD", LC_ALL="xx_XX.ODD")
variables("a variable isn't UTF-8", SOMETHING="\udcff\udcfe", AWS_SOMETHING="\udcff")
variables("TMPDIR isn't there", TMPDIR="/nowhere")


@broken("netrc is broken")
def _(scene: Scene) -> None:
    scene.env["NETRC"] = scene.file(
        ".netrc", f"machine 127.0.0.1 login ann password {PASSWORD} x\n"
    )


for name, value in (
    ("STACK", "a b"),
    ("STACK", "\udcff"),
    ("STATE", "/dev/null/x"),
    ("PROFILE", "nobody"),
    ("REGION", "moon-1"),
    ("ENDPOINT_URL", "nowhere"),
    ("JSON", "perhaps"),
    ("DEBUG", "perhaps"),
    ("LOCK_TIMEOUT", "soon"),
    ("SETTLE", "-1"),
    ("TIER", "FREE"),
    ("TYPE", "odd"),
    ("USERNAME", "\udcff"),
    ("PASSWORD", "\udcff"),
):
    variables(f"COGAUTH_{name} is {value!a}", **{f"COGAUTH_{name}": value})


def answer(request: Request) -> Answer:
    """Answer as STS does and refuse everything else, unless the path says otherwise."""
    kind = request.path.split("/")[1]
    html = "<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>"
    given = {
        "html": Answer(200, html, {"Content-Type": "text/html"}),
        "nothing": Answer(200),
        "xml": Answer(200, "<a><b/></a>"),
        "json": Answer(200, '{"a": 1}'),
        "empty-object": Answer(200, "{}"),
        "list": Answer(200, "[]"),
        "cut": Answer(200, '{"UserPools": [{"Na'),
        "cut-xml": Answer(200, CALLER[:60]),
        "html-404": Answer(404, html, {"Content-Type": "text/html"}),
        "html-502": Answer(502, html, {"Content-Type": "text/html"}),
        "other-account": Answer(200, CALLER.replace(ACCOUNT, "999999999999")),
    }
    if kind in given:
        return given[kind]
    if is_identity_call(request):
        return Answer(200, CALLER)
    if asks_for_the_api(request):
        return OWN_API
    return Answer(400, json.dumps({"__type": "Unexpected", "message": "not here"}))


@pytest.fixture(scope="module")
def server() -> Iterator[Fixed]:
    with Fixed(answer) as made:
        yield made


@dataclass
class Run:
    """One command in one broken environment."""

    number: int
    command: str
    name: str

    def report(self, folder: Path, url: str) -> str:
        """Run it; return what is wrong with its result."""
        folder /= str(self.number)
        folder.mkdir()
        debug = self.number % 2 == 0
        with command_line(folder, **OWN_KEYS, AWS_REGION=REGION) as cli:
            scene = Scene(folder, url)
            BROKEN[self.name](scene)
            env = {**cli.env, "AWS_ENDPOINT_URL": scene.url, **scene.env}
            cli.env = {name: value for name, value in env.items() if value is not None}
            record_whole_stack(cli, scene.url)
            there = f"{scene.url}/restapis/id-of-rest_api/dev/_user_request_/hello"
            words = [there if word == "URL" else word for word in COMMANDS[self.command]]
            words += ["--json", *(["--debug"] if debug else [])]
            typed = f"{USER_TOKEN if self.command == 'decode' else PASSWORD}\n"
            done = opened(cli, words) if self.command == "page" else cli.run(*words, typed=typed)
        found = "; ".join(wrong(done, debug=debug))
        return f"{self.command}, {self.name}: {found}\n{done.out}\n{done.err}\n" if found else ""


def opened(cli: Cli, words: list[str]) -> Result:
    """Run ``page`` until it fails, or has printed its URL; end it then."""
    running = cli.spawn(*words)
    if running.meets('"url": '):
        running.process.send_signal(signal.SIGTERM)
    code = running.ended()
    # stderr is read with stdout here; what was printed for programs begins its line with a brace.
    document = "".join(
        re.findall(r"^\{.*?^\}$|^\{.*\}$", running.text, re.MULTILINE | re.DOTALL)[:1]
    )
    return Result(
        0 if code == INTERRUPTED and "The page has ended." in running.text else code,
        document,
        running.text,
    )


def wrong(done: Result, *, debug: bool) -> Iterator[str]:
    if done.code not in {0, 1, 2}:
        yield f"exit code {done.code}"
    if "Traceback" in done.err and not debug:
        yield "a traceback"
    if "defect" in done.err:
        yield "taken for a defect of cogauth"
    for secret in SECRETS:
        if secret in done.out + done.err:
            yield f"the secret {secret}"
    if "'perhaps' is not a valid boolean" in done.err:
        # That is COGAUTH_JSON, so it isn't known whether a document is wanted.
        return
    try:
        document = done.document
    except ValueError:
        yield "no JSON document"
        return
    if done.code and "error" in document and not re.search(r"^Error: ", done.err, re.MULTILINE):
        yield "no error on stderr"


def runs(config: pytest.Config) -> list[Run]:
    """Return which commands run in which environments: all, or some of each."""
    pairs = [(command, name) for command in COMMANDS for name in BROKEN]
    if not config.getoption("--all-faults"):
        pairs = random.Random(10).sample(pairs, 15)  # noqa: S311 no secret
    return [Run(number, *pair) for number, pair in enumerate(pairs)]


def test_no_command_breaks_in_a_broken_environment(
    tmp_path: Path, server: Fixed, request: pytest.FixtureRequest
) -> None:
    chosen = runs(request.config)
    # Only the main thread may set how a child is interrupted.
    with interruptible(), ThreadPoolExecutor(4) as threads:
        forker()
        found = list(threads.map(lambda run: run.report(tmp_path, server.url), chosen))
    bad = list(filter(None, found))
    assert not bad, "\n".join([f"{len(bad)} of {len(chosen)}", *bad])


def test_an_answer_that_aws_would_not_give_is_said_to_be_so(cli: Cli, server: Fixed) -> None:
    """It is JSON, but unlike any answer of Cognito's; it could also come from a newer AWS."""
    record_whole_stack(cli, server.url)
    env = {"AWS_ENDPOINT_URL": server.url}
    name, url = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", f"{server.url}/json"
    done = cli.run("users", "--json", **env, **{name: url}).must(1)
    assert "an answer that AWS would not give: KeyError: 'UserPool'" in done.error
    assert f"{name}={url!r}" in done.error
