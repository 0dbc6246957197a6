"""How the sign-in function reaches Cognito, and what it makes of an error or of no answer."""

import contextlib
import functools
import io
import ipaddress
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import exceptions
from botocore.awsrequest import AWSResponse
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import JSONParser
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError, SSLError

from support.played_cognito import (
    ARN,
    AWS,
    CHANGE,
    DESCRIBE,
    LOGIN,
    LOOK,
    NEW_PASSWORD,
    OPERATIONS,
    PASSWORD,
    REPLACING,
    RESPOND,
    SERVICE,
    SIGN_IN,
    SIGN_UP,
    WRONG_LOGIN,
    Break,
    Cognito,
    Connection,
    Context,
    Pool,
    Process,
    fresh,
    loaded,
    lose,
    serving,
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_error_that_aws_describes_has_a_line_of_the_table(module: Any, operation: str) -> None:
    """With the newest botocore this fails when AWS adds an error that the table doesn't cover."""
    loader = Loader()
    description = loader.load_service_model("cognito-idp", "service-2")
    model = ServiceModel(description, "cognito-idp").operation_model(operation)
    described = {shape.error_code for shape in model.error_shapes}
    assert described
    assert described <= {name for name, pattern, _ in module.cognito.REFUSALS if not pattern}


# On the wire: the forms of an error

DISABLED = "User is disabled."
INTERNAL = "http://internal.amazon.com/coral/com.amazon.coral.service/"


@pytest.mark.parametrize(
    ("status", "body", "code", "cause"),
    [
        (
            400,
            {"__type": "com.amazonaws.cognito#NotAuthorizedException", "Message": DISABLED},
            "user_disabled",
            "NotAuthorizedException",
        ),
        (
            400,
            {"__type": f"NotAuthorizedException:{INTERNAL}", "message": DISABLED},
            "user_disabled",
            "NotAuthorizedException",
        ),
        (400, {"__type": "NotAuthorizedException"}, "not_authorized", "NotAuthorizedException"),
        (400, {}, "internal_error", "400"),
        (400, {"message": DISABLED}, "internal_error", "400"),
        (400, b"", "internal_error", "400"),
        (400, b"\xff", "internal_error", "400"),
        (400, [DISABLED], "internal_error", "400"),
        (400, {"__type": None, "message": None}, "internal_error", "400"),
        (302, b"", "internal_error", "302"),
        (403, b"<html>Forbidden", "internal_error", "403"),
        (404, b"null", "internal_error", "404"),
        (500, b"", "unavailable", "500"),
        (503, {"message": "Service Unavailable"}, "unavailable", "503"),
        (503, {"__type": "ThrottlingException"}, "throttled", "ThrottlingException"),
    ],
)
def test_an_error_is_read_in_each_of_its_forms(
    process: Process, status: int, body: Any, code: str, cause: str
) -> None:
    process.pool.faults[SIGN_IN] = [(status, body)]
    assert process.code(LOGIN) == code
    assert process.log["cause"] == cause
    assert process.pool.calls == [DESCRIBE, SIGN_IN]


names_of_errors = st.sampled_from(["AnError", "aws#AnError", "AnError:http://a#b", "aws#AnError:x"])


@settings(derandomize=True, deadline=None)
@given(
    name=st.none() | names_of_errors,
    message=st.dictionaries(st.sampled_from(["message", "Message"]), st.text(min_size=1)),
    status=st.integers(400, 599),
)
def test_an_error_is_read_as_boto3_reads_it(
    module: Any, name: str | None, message: dict[str, str], status: int
) -> None:
    body = json.dumps(({} if name is None else {"__type": name}) | message).encode()
    answer = {"status_code": status, "headers": {}, "body": body}
    boto3s = JSONParser().parse(answer, None)["Error"]
    response = AWSResponse(AWS, status, {}, io.BytesIO())
    response._content = body  # noqa: SLF001 - where it would keep what it has read
    assert module.cognito.error_in(response) == (boto3s["Code"], boto3s["Message"])


# On the wire: no answer


def halve(connection: Connection, answer: bytes) -> None:
    connection.wfile.write(answer[:-10])


def babble(connection: Connection, _answer: bytes) -> None:
    connection.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")


@pytest.mark.parametrize("broken", [babble, halve])
@pytest.mark.parametrize("operation", [DESCRIBE, SIGN_IN, SIGN_UP])
def test_a_broken_answer_is_not_asked_for_again(
    process: Process, broken: Break, operation: str
) -> None:
    if operation == SIGN_IN:
        # Half a refusal could be anyone's answer, but half a success is recognized.
        process.pool.add("ada", PASSWORD)
    process.pool.breaks[operation] = broken
    assert process.code(LOGIN) == "unavailable"
    assert process.pool.calls.count(operation) == 1


def test_a_connection_that_was_closed_since_is_replaced(process: Process) -> None:
    closed = threading.Event()

    def close(connection: Connection, answer: bytes) -> None:
        connection.wfile.write(answer)
        connection.wfile.flush()
        connection.connection.shutdown(socket.SHUT_WR)
        closed.set()

    process.pool.add("ada", PASSWORD)
    process.pool.breaks[SIGN_IN] = close
    for _ in range(3):
        closed.clear()
        assert process(LOGIN)["status"] == "success"
        assert closed.wait(10)


# On the wire: a kept connection that has ended


def reset(connection: Connection, _answer: bytes) -> None:
    """Reset the connection as a dead server does, or a middlebox that has forgotten it."""
    linger = struct.pack("ii", 1, 0)
    connection.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    # Both objects that have the connection open are closed, so that the reset is sent now.
    connection.rfile.close()
    connection.connection.close()


def once(operation: str, broken: Break) -> Break:
    def break_it(connection: Connection, answer: bytes) -> None:
        del connection.server.pool.breaks[operation]
        broken(connection, answer)

    return break_it


def warmed_up(process: Process) -> Pool:
    """Make the process keep a connection but no secret; return its pool."""
    assert process({"username": "grace", "password": PASSWORD})["status"] == "success"
    process.module.kept_secret.clear()
    process.pool.calls.clear()
    assert process.pool.connections == 1
    return process.pool


@pytest.mark.parametrize(("seconds", "connections"), [(19, 1), (21, 2), (6 * 3600, 2), (-60, 2)])
def test_a_connection_is_kept_for_twenty_idle_seconds_of_the_wall_clock(
    process: Process, monkeypatch: pytest.MonkeyPatch, seconds: float, connections: int
) -> None:
    pool = warmed_up(process)
    frozen = SimpleNamespace(time=lambda: time.time() + seconds, monotonic=time.monotonic)
    monkeypatch.setattr(process.module.cognito, "time", frozen)
    assert process(LOGIN)["status"] == "success"
    assert pool.connections == connections
    assert process.calls_for(LOGIN) == [SIGN_IN]
    assert pool.connections == connections


@pytest.mark.parametrize("broken", [lose, reset])
@pytest.mark.parametrize("operation", [DESCRIBE, SIGN_IN, LOOK])
def test_what_a_kept_connection_took_along_is_asked_once_more(
    process: Process, broken: Break, operation: str
) -> None:
    pool = warmed_up(process)
    pool.add("ada", PASSWORD)
    pool.breaks[operation] = once(operation, broken)
    event, code = (WRONG_LOGIN, "wrong_credentials") if operation == LOOK else (LOGIN, "None")
    assert process.code(event) == code
    assert pool.calls.count(operation) == 2
    assert pool.connections == 2


@pytest.mark.parametrize("broken", [lose, reset])
@pytest.mark.parametrize("operation", [RESPOND, CHANGE])
def test_a_new_password_whose_answer_a_kept_connection_took_along_is_set(
    process: Process, broken: Break, operation: str
) -> None:
    """The repeated call finds that the password was already replaced."""
    pool = warmed_up(process)
    pool.add("ada", PASSWORD, temporary=operation == RESPOND)
    pool.breaks[operation] = once(operation, broken)
    answer = process(REPLACING)
    assert (answer["status"], answer["is_new"]) == ("success", "false")
    assert pool.calls == [DESCRIBE, SIGN_IN, operation, operation, SIGN_IN]
    assert pool.users["ada"].password == NEW_PASSWORD


@pytest.mark.parametrize("broken", [lose, reset])
def test_a_sign_up_that_a_kept_connection_took_along_is_not(
    process: Process, broken: Break
) -> None:
    pool = warmed_up(process)
    pool.breaks[SIGN_UP] = once(SIGN_UP, broken)
    assert process(LOGIN)["is_new"] == "true"
    assert pool.calls == [DESCRIBE, SIGN_IN, SIGN_UP, SIGN_IN]


def test_a_wrong_password_may_count_twice(process: Process) -> None:
    pool = warmed_up(process)
    pool.add("ada", PASSWORD)
    pool.breaks[SIGN_IN] = once(SIGN_IN, lose)
    assert process.code(WRONG_LOGIN) == "wrong_credentials"
    assert pool.wrong_passwords == 2


@pytest.mark.parametrize("broken", [lose, reset])
@pytest.mark.parametrize("operation", [DESCRIBE, SIGN_IN, LOOK])
def test_what_ends_on_a_fresh_connection_too_is_given_up(
    process: Process, broken: Break, operation: str
) -> None:
    pool = warmed_up(process)
    pool.add("ada", PASSWORD)
    pool.breaks[operation] = broken
    assert process.code(WRONG_LOGIN) == "unavailable"
    assert process.log["cause"] == "ConnectionClosedError"
    assert pool.calls.count(operation) == 2


@pytest.mark.parametrize("broken", [lose, reset])
def test_a_fresh_connection_gets_one_attempt(process: Process, broken: Break) -> None:
    process.pool.breaks[DESCRIBE] = broken
    for _ in range(2):  # The failed connection doesn't count as kept.
        process.pool.calls.clear()
        assert process.code(LOGIN) == "unavailable"
        assert process.pool.calls == [DESCRIBE]


def test_nothing_is_asked_once_more_that_could_outlive_the_request(process: Process) -> None:
    def lose_late(_connection: Connection, _answer: bytes) -> None:
        time.sleep(0.6)

    pool = warmed_up(process)
    pool.breaks[DESCRIBE] = lose_late
    assert process.code(LOGIN, Context(process.module.cognito.CALL_SECONDS + 0.5)) == "timeout"
    assert pool.calls == [DESCRIBE]


@pytest.mark.parametrize("broken", [lose, reset])
def test_so_it_is_over_tls(tmp_path: Path, broken: Break) -> None:
    trusted = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    with over_tls(tmp_path, trusted) as (server, bundle):
        variables = {"AWS_ENDPOINT_URL": server.url, "AWS_CA_BUNDLE": str(bundle)}
        with loaded(**variables) as module, fresh(module, server) as process:
            pool = warmed_up(process)
            pool.breaks[SIGN_IN] = once(SIGN_IN, broken)
            assert process(LOGIN)["is_new"] == "true"
            assert pool.calls == [DESCRIBE, SIGN_IN, SIGN_IN, SIGN_UP, SIGN_IN]


@pytest.mark.parametrize(
    ("raised", "ended"),
    [
        (exceptions.SSLError(endpoint_url=AWS, error=SSLError(ssl.SSLEOFError(8, "EOF"))), True),
        (exceptions.SSLError(endpoint_url=AWS, error=SSLError(ssl.SSLZeroReturnError())), True),
        (
            exceptions.SSLError(endpoint_url=AWS, error=SSLError(ssl.SSLCertVerificationError())),
            False,
        ),
        (exceptions.ReadTimeoutError(endpoint_url=AWS), False),
        (
            exceptions.ConnectionClosedError(
                endpoint_url=AWS,
                error=ProtocolError("Connection broken: …", ConnectionResetError()),
            ),
            False,
        ),
    ],
)
def test_an_end_is_told_from_other_failures(
    module: Any, raised: exceptions.BotoCoreError, *, ended: bool
) -> None:
    """Failures that no server here can cause at a given moment."""
    assert module.cognito.has_ended(raised) == ended


def test_a_requests_body_does_not_wait_for_its_heads_acknowledgement(process: Process) -> None:
    def duration() -> int:
        process(LOGIN)
        return int(process.log["duration_ms"])

    # Waiting for it would take 40 ms each time.
    assert min(duration() for _ in range(10)) < 20


def test_an_answer_is_waited_for_three_seconds(process: Process) -> None:
    given_up = threading.Event()
    process.pool.breaks[SIGN_IN] = lambda *_: given_up.wait(10)
    started = time.monotonic()
    assert process.code(LOGIN) == "timeout"
    assert 3 <= time.monotonic() - started < process.module.cognito.CALL_SECONDS
    assert process.log["cause"] == "ReadTimeoutError"
    assert 3_000 <= process.log["duration_ms"] < 10_000
    assert process.pool.calls == [DESCRIBE, SIGN_IN]
    given_up.set()


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port that takes no more connections: connections that nobody accepts fill its queue."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        for _ in range(200):
            client = stack.enter_context(socket.socket())
            client.settimeout(0.1)
            try:
                client.connect(server.getsockname())
            except TimeoutError:
                break
        yield server.getsockname()[1]


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    with socket.socket() as never_listens:
        never_listens.bind(("127.0.0.1", 0))
        yield never_listens.getsockname()[1]


def test_a_connection_is_waited_for_one_second() -> None:
    with deaf_port() as port, loaded(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}") as module:
        process = Process(module, Pool())
        started = time.monotonic()
        assert process.code(LOGIN) == "timeout"
        assert 1 <= time.monotonic() - started < module.cognito.CALL_SECONDS
        assert process.log["cause"] == "ConnectTimeoutError"


def test_nobody_there() -> None:
    with closed_port() as port, loaded(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}") as module:
        process = Process(module, Pool())
        assert process.code(LOGIN) == "unavailable"
        assert process.log["cause"] == "EndpointConnectionError"


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("unavailable", exceptions.HTTPClientError(error=OSError(ARN))),
        ("internal_error", RuntimeError(f"{ARN} {PASSWORD}")),
    ],
)
def test_whatever_else_goes_wrong_is_logged_by_its_type(
    process: Process, monkeypatch: pytest.MonkeyPatch, code: str, raised: Exception
) -> None:
    def send(_request: Any) -> None:
        raise raised

    monkeypatch.setattr(process.module.cognito.http, "send", send)
    assert process.code(LOGIN) == code
    assert process.log["cause"] == type(raised).__name__


# On the wire: where to


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, AWS),
        ({"AWS_ENDPOINT_URL": ""}, AWS),
        ({"COGNITO_ENDPOINT": "https://c.example"}, "https://c.example"),
        ({"AWS_ENDPOINT_URL": "http://a.example"}, "http://a.example"),
        (
            {"AWS_ENDPOINT_URL": "http://a.example", f"AWS_ENDPOINT_URL_{SERVICE}": "http://b.it"},
            "http://b.it",
        ),
    ],
)
def test_an_emulators_own_endpoint_comes_first(variables: dict[str, str], endpoint: str) -> None:
    with loaded(**variables) as module:
        assert module.cognito.request_for(SIGN_IN, {}).url == f"{endpoint}/"


def test_an_endpoint_may_end_with_a_slash(cognito: Cognito) -> None:
    with loaded(AWS_ENDPOINT_URL=f"{cognito.url}/") as module, fresh(module, cognito) as process:
        assert process(LOGIN)["is_new"] == "true"
        assert process.pool.paths == {"/"}


def test_keys_without_a_session_token_are_good_too() -> None:
    with loaded(AWS_SESSION_TOKEN="") as module:
        assert "X-Amz-Security-Token" not in module.cognito.request_for(SIGN_IN, {}).headers


def test_a_proxy_is_used_as_aws_tools_do(cognito: Cognito) -> None:
    with (
        loaded(COGNITO_ENDPOINT="http://cognito.example", http_proxy=cognito.url) as module,
        fresh(module, cognito) as process,
    ):
        assert process(LOGIN)["is_new"] == "true"
        assert process.pool.paths == {"http://cognito.example/"}


def test_a_proxy_is_left_out_where_it_shall_be(cognito: Cognito) -> None:
    with closed_port() as port:
        variables = {"AWS_ENDPOINT_URL": cognito.url, "http_proxy": f"http://127.0.0.1:{port}"}
        with loaded(**variables) as module, fresh(module, cognito) as process:
            assert process.code(LOGIN) == "unavailable"
            assert process.log["cause"] == "ProxyConnectionError"
        with loaded(no_proxy="127.0.0.1", **variables) as module, fresh(module, cognito) as process:
            assert process(LOGIN)["is_new"] == "true"


# On the wire: TLS


@functools.cache
def certificate(name: x509.GeneralName) -> tuple[bytes, bytes]:
    """Return a self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cognito")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem), key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@contextlib.contextmanager
def over_tls(folder: Path, name: x509.GeneralName) -> Iterator[tuple[Cognito, Path]]:
    """Serve under a certificate for that name; yield the server and the bundle to trust."""
    bundle, key = folder / "bundle.pem", folder / "key.pem"
    for path, content in zip((bundle, key), certificate(name), strict=True):
        path.write_bytes(content)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(bundle, key)
    with serving(tls) as server:
        yield server, bundle


@pytest.mark.parametrize(
    ("name", "trusted", "code"),
    [
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), True, "None"),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), False, "unavailable"),
        (x509.DNSName("cognito.example"), True, "unavailable"),
    ],
)
def test_cognito_must_show_its_certificate(
    tmp_path: Path, name: x509.GeneralName, code: str, *, trusted: bool
) -> None:
    with over_tls(tmp_path, name) as (server, bundle):
        trust = {"AWS_CA_BUNDLE": str(bundle)} if trusted else {}
        variables = {"AWS_ENDPOINT_URL": server.url, **trust}
        with loaded(**variables) as module, fresh(module, server) as process:
            assert process.code(LOGIN) == code
            assert process.log.get("cause") == ("SSLError" if code == "unavailable" else None)
            assert bool(process.pool.calls) == (code == "None")
