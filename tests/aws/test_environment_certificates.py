"""CA bundles and proxies apply to botocore's requests and to those that we send ourselves."""

from __future__ import annotations

import ipaddress
import json
import select
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cogauth.aws.clients import Aws
from cogauth.client.transport import http_session, request
from cogauth.errors import LoginError
from support.broken import record_whole_stack
from support.commands import KEYS, Cli, command_line
from support.names import REGION
from support.servers import CALLER, OWN_API, Answer, Fixed, Request, asks_for_the_api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A host that doesn't exist: only the proxy knows where to connect.
HOST = "aws.invalid"


class Certificate:
    """A self-signed certificate for this machine's loopback and for a host that doesn't exist."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cogauth's tests")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName(HOST)]
                ),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        folder.mkdir()
        self.path = folder / "ca.pem"
        self.path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private = folder / "key.pem"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.path, private)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, Certificate]:
    """Return the server's certificate, and another one that verifies nothing."""
    folder = tmp_path_factory.mktemp("certificates")
    return Certificate(folder / "ours"), Certificate(folder / "another")


def answer(request: Request) -> Answer:
    """Answer as STS, as an API whose method is open, and as a pool without keys."""
    if b"Action=GetCallerIdentity" in request.body:
        return Answer(200, CALLER)
    if asks_for_the_api(request):
        return OWN_API
    return Answer(200, json.dumps({"keys": []}))


@pytest.fixture
def aws(certificates: tuple[Certificate, Certificate]) -> Iterator[Fixed]:
    with Fixed(answer, certificates[0].context) as server:
        yield server


class Connect(BaseHTTPRequestHandler):
    """A proxy's side of a connection: it passes everything on to the server, whatever the host."""

    timeout = 30

    def do_CONNECT(self) -> None:
        server: Any = self.server
        server.asked.append(self.path)
        with socket.create_connection(("127.0.0.1", server.target)) as there:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: there, there: self.connection}
            while True:
                for source in select.select(list(ends), [], [], self.timeout)[0]:
                    data = source.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    ends[source].sendall(data)

    def log_message(self, *args: Any) -> None:
        del args


class Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), Connect)
        self.target = target
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


@pytest.fixture
def cli(tmp_path: Path, aws: Fixed) -> Iterator[Cli]:
    """A command line, and a state file that says that a stack exists at the server."""
    given = {**KEYS, "AWS_REGION": REGION, "COGAUTH_ENDPOINT_URL": aws.url}
    with command_line(tmp_path, **given) as made:
        record_whole_stack(made, aws.url)
        yield made


CALL = ["call", "GET", "/hello", "--no-token"]


@pytest.mark.parametrize("where", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "profile"])
def test_a_ca_bundle_holds_for_every_request(
    cli: Cli, aws: Fixed, certificates: tuple[Certificate, Certificate], where: str
) -> None:
    ours, another = certificates
    env = {where: str(ours.path)}
    if where == "profile":
        config = cli.folder / "config"
        config.write_text(f"[default]\nca_bundle = {ours.path}\n")
        env = {"AWS_CONFIG_FILE": str(config)}
    if where != "REQUESTS_CA_BUNDLE":
        # botocore looks at this variable last, and so do we.
        env["REQUESTS_CA_BUNDLE"] = str(another.path)
    cli.run(*CALL, **env).must()
    assert [request.path for request in aws.requests] == [
        "/",
        "/restapis/id-of-rest_api",
        "/restapis/id-of-rest_api/dev/_user_request_/hello",
    ]


def test_the_variable_goes_before_the_profile(
    cli: Cli, certificates: tuple[Certificate, Certificate]
) -> None:
    ours, another = certificates
    config = cli.folder / "config"
    config.write_text(f"[default]\nca_bundle = {another.path}\n")
    cli.run(*CALL, AWS_CONFIG_FILE=str(config), AWS_CA_BUNDLE=str(ours.path)).must()


def test_a_certificate_that_isnt_trusted_is_called_so(
    cli: Cli, aws: Fixed, certificates: tuple[Certificate, Certificate]
) -> None:
    another = certificates[1].path
    done = cli.run(*CALL, AWS_CA_BUNDLE=str(another)).must(1)
    assert "certificate" in done.err
    assert f"AWS_CA_BUNDLE='{another}'" in done.err
    assert aws.requests == []


@pytest.mark.parametrize("where", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "ca_bundle"])
@pytest.mark.parametrize("bundle", ["/nowhere/ca.pem", "/", __file__, " ", ""])
def test_a_ca_bundle_that_is_none_is_named(cli: Cli, aws: Fixed, where: str, bundle: str) -> None:
    env = {where: bundle}
    if where == "ca_bundle":
        config = cli.folder / "config"
        config.write_text(f"[default]\nca_bundle = {bundle}\n")
        env = {"AWS_CONFIG_FILE": str(config)}
    done = cli.run(*CALL, **env).must(2)
    shown = bundle.strip() if where == "ca_bundle" else bundle
    assert f"The CA bundle {shown!r} ({where}" in done.err
    assert aws.requests == []


@pytest.mark.long
def test_a_proxy_holds_for_every_request(
    cli: Cli, aws: Fixed, certificates: tuple[Certificate, Certificate]
) -> None:
    host = f"{HOST}:{aws.port}"
    record_whole_stack(cli, f"https://{host}")
    cli.env["COGAUTH_ENDPOINT_URL"] = f"https://{host}"
    env = {"AWS_CA_BUNDLE": str(certificates[0].path)}
    for name in ("HTTPS_PROXY", "https_proxy"):
        with Proxy(aws.port) as proxy:
            cli.run(*CALL, **env, **{name: proxy.url}).must()
            assert proxy.asked == [host, host, host]
            # Only the proxy can resolve the host.
            direct = cli.run(*CALL, **env, **{name: proxy.url}, NO_PROXY=HOST).must(1)
            assert "can't be reached" in direct.err
            assert proxy.asked == [host, host, host]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("proxy", ["http://ann:Horse-99@127.0.0.1:9", "http://[bad", "ftp://x:9"])
@pytest.mark.sample(6)
def test_a_proxy_that_is_none_is_named(cli: Cli, aws: Fixed, name: str, proxy: str) -> None:
    done = cli.run(*CALL, **{name: proxy}).must(1)
    assert f"{name}='{proxy.replace('ann:Horse-99', '(not shown)')}'" in done.err
    assert "Horse-99" not in done.err
    assert aws.requests == []


def test_curls_ca_bundle_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests knows this variable, but botocore doesn't."""
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere/ca.pem")
    url = f"https://{HOST}/"
    with http_session(url, Aws(region=REGION)) as http, pytest.raises(LoginError) as caught:
        request(http, "GET", url)
    assert "CURL_CA_BUNDLE='/nowhere/ca.pem'" in str(caught.value)
