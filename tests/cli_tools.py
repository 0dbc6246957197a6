"""Runs the command line as its users do: as a process, on a pipe or on a terminal.

Beside it: a local AWS that somebody else started, a server that gives fixed answers, and what
stands in an emulator. A test module gets the fixtures by ``pytest_plugins = ("cli_tools",)``,
after it imported the rest; PYTEST_DONT_REWRITE, for pytest could not do that any more then.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
import click
import pytest
from click.testing import CliRunner

from cogauth.aws.environment import Keys
from cogauth.cli import cli as program
from cogauth.local.folder import MARKED, MARKER
from cogauth.local.process import FOLDER, LocalAws
from cogauth.record.forms import FACTS
from cogauth.record.records import CREATED, Record

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

# Of the environment that the command line runs in. The local AWS pins its own botocore; who uses
# it needn't share that.
PYTHON = os.environ.get("CLI_PYTHON", sys.executable)
COGAUTH = [PYTHON, "-m", "cogauth"]
# Of the root of the local AWS that the tests share.
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA" + 4 * "TEST", "AWS_SECRET_ACCESS_KEY": 10 * "test"}
# What other emulators take for those of the root, as ministack does without cogauth's gate.
EMULATORS_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# An integration that answers 200 by itself.
MOCK: Any = {"type": "MOCK", "requestTemplates": {"application/json": '{"statusCode": 200}'}}
# By the URL of an emulator, the keys that it was given.
GIVEN_KEYS: dict[str, tuple[str, ...]] = {}
# In which there may be a local AWS that a command started.
FOLDERS: set[Path] = set()
LANG = "C.UTF-8"
REGION = "eu-central-1"
PATIENCE = 60.0
ESCAPE = "\x1b"
# Run in front of the CLI, it makes its stdin the terminal that Ctrl-C and /dev/tty are of.
CONTROL = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


# Imports what the commands take, once, and forks for each of them: most of a command's time is
# imports. What is forked is supervised by a fork of its own, so that several may run at once.
FORKER = """
import json, os, socket, sys
import cogauth.checks.explain, cogauth.checks.verify
import cogauth.client.calls, cogauth.client.users, cogauth.engine
from cogauth.cli import main
jobs = socket.socket(fileno=int(sys.argv[1]))
how = {"encoding": sys.stdout.encoding, "errors": sys.stdout.errors}
while True:
    text, fds, _, _ = socket.recv_fds(jobs, 1 << 20, 4)
    if not text:
        break
    if os.fork():
        for fd in fds:
            os.close(fd)
        os.wait()
        continue
    # Its parent doesn't wait for it, but for the fork that it came of.
    if os.fork():
        os._exit(0)
    command = os.fork()
    if command:
        os.write(fds[3], b"%d\\n" % command)
        os.write(fds[3], b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]))
        os._exit(0)
    job = json.loads(text)
    os.setsid()
    jobs.close()
    for number in range(3):
        os.dup2(fds[number], number)
    for fd in fds:
        os.close(fd)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["env"])
    sys.stdin, sys.stdout = open(0, **how), open(1, "w", **how)
    sys.stderr = open(2, "w", encoding=how["encoding"], errors="backslashreplace", buffering=1)
    sys.argv = ["cogauth", *job["words"]]
    main()
    break
"""
# What Python looks at when it starts. botocore's ~/.aws/models is such a thing, too.
AT_START = re.compile(r"LANG|TZ|LC_\w+|PYTHON\w+|LD_\w+|BOTO_\w+")


class Forker:
    """Runs commands, each in a fork of one process that has imported them."""

    def __init__(self) -> None:
        self._jobs, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [PYTHON, "-c", FORKER, str(theirs.fileno())],
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": LANG},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()

    def run(
        self, folder: Path, env: dict[str, str], words: tuple[str, ...], typed: bytes
    ) -> Result:
        """Run a command to its end."""
        job = json.dumps({"folder": str(folder), "env": env, "words": words}).encode()
        source, sink = os.pipe()
        with ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            status = stack.enter_context(os.fdopen(source))
            files[0].write(typed)
            files[0].seek(0)
            socket.send_fds(self._jobs, [job], [*(file.fileno() for file in files), sink])
            os.close(sink)
            pid = int(status.readline())
            if not select.select([source], [], [], PATIENCE)[0]:
                os.killpg(pid, signal.SIGKILL)
                raise TimeoutError(f"{words} took longer than {PATIENCE} s")
            code = int(status.readline())
            for file in files[1:]:
                file.seek(0)
            out, err = (file.read().decode() for file in files[1:])
        return Result(code, out, err)

    def end(self) -> None:
        self._jobs.close()
        self._process.wait(PATIENCE)


@functools.cache
def forker() -> Forker:
    """Return the one of this process."""
    made = Forker()
    atexit.register(made.end)
    return made


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Whether the condition came about in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def environment(folder: Path, **more: str) -> dict[str, str]:
    """All that a process of the tests gets: nothing of the user's own."""
    (folder / "tmp").mkdir(exist_ok=True)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": LANG,
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        # Beside the folder, for tests say what is in there.
        "XDG_STATE_HOME": f"{folder}.state-home",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }


def processes_of(folder: Path) -> list[int]:
    """Those whose environment names the folder: all that was started in it, and their children."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("only Linux shows the processes' environment")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(f"={folder}") in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def interruptible() -> Iterator[None]:
    """Start children that SIGINT ends, even if the tests run in a shell's background."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What ``--json`` printed: one document, and nothing else."""
        return json.loads(self.out)

    def must(self, code: int = 0) -> Self:
        assert self.code == code, f"exit code {self.code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.out + self.err
        assert ESCAPE not in self.out + self.err
        return self

    def must_fail(self, code: int = 1) -> Self:
        """As `must`, for a run with --debug, which shows a traceback."""
        assert self.code == code, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self


def in_process(*words: str, typed: str | bytes = "") -> Result:
    """Run a command as `main` does, but for a process of its own, whose start takes longest."""
    done = CliRunner().invoke(program, words, input=typed, standalone_mode=False)
    if isinstance(done.exception, click.ClickException):
        return Result(done.exception.exit_code, done.stdout, f"Error: {done.exception}")
    if done.exception is not None:
        raise done.exception
    return Result(done.return_value or 0, done.stdout, done.stderr)


class Running:
    """A command on a pipe, whose stdout and stderr are read as one while it runs."""

    def __init__(self, process: subprocess.Popen[bytes], source: int) -> None:
        self.process = process
        self.text = ""
        self._source = source

    @property
    def plain(self) -> str:
        """What was printed, without the terminal's escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)

    def see(self, wanted: str, seconds: float = PATIENCE) -> str:
        """Read until the pattern has been printed; return all that was, without colours."""
        end = time.monotonic() + seconds
        while not re.search(wanted, self.plain):
            assert self._read(end), f"{wanted!r} was never printed:\n{self.text}"
        return self.plain

    def ended(self, seconds: float = PATIENCE) -> int:
        """Read to the end; return the exit code."""
        end = time.monotonic() + seconds
        while self._read(end):
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select([self._source], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"nothing was printed for long:\n{self.text}"
        try:
            got = os.read(self._source, 65536)
        except OSError:  # a terminal whose last user has gone
            got = b""
        self.text += got.decode(errors="replace").replace("\r\n", "\n")
        return bool(got)

    def glance(self) -> str:
        """Read what there is by now; return all that was printed."""
        if select.select([self._source], [], [], 0.005)[0]:
            self._read(time.monotonic() + 1)
        return self.text

    def type(self, text: str) -> None:
        os.write(self._source, text.encode())

    def press_ctrl_c(self) -> None:
        """Press it until it is heard: more than the terminal's echo of it is printed.

        Python's input() misses a signal that comes in the instant before it waits.
        """
        begun = len(self.text)

        def heard() -> bool:
            return bool(self.glance()[begun:].replace("^C", "").strip())

        self.type("\x03")
        while not until(heard, 1):
            self.type("\x03")


@dataclass
class Cli:
    """The command line in a folder and an environment of its own."""

    folder: Path
    env: dict[str, str]
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _files: list[int] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / ".cogauth" / "cogauth.json"

    @property
    def local(self) -> Path:
        return self.folder / ".cogauth" / FOLDER

    def run(self, *words: str, typed: str | bytes = "", **env: str) -> Result:
        """Run it to its end."""
        all_env = {**self.env, **env}
        given = typed.encode() if isinstance(typed, str) else typed
        odd = {name for name in all_env if AT_START.fullmatch(name)} - {"LANG"}
        if not odd and all_env.get("LANG") == LANG and not (self.folder / ".aws").exists():
            return forker().run(self.folder, all_env, words, given)
        done = subprocess.run(
            [*COGAUTH, *words],
            cwd=self.folder,
            env=all_env,
            input=given,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            # Without the terminal that the tests may be run on.
            start_new_session=True,
        )
        encoding = env.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
        return Result(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))

    def login(self, name: str, password: str, *words: str, **env: str) -> Result:
        words = ("test-login", "--username", name, *words)
        return self.run(*words, COGAUTH_PASSWORD=password, **env)

    def spawn(self, *words: str, **env: str) -> Running:
        """Start it with its output on a pipe."""
        source, sink = os.pipe()
        return self._spawn([*COGAUTH, *words], source, sink, subprocess.DEVNULL, env)

    def on_terminal(self, *words: str, **env: str) -> Running:
        """Start it on a terminal of its own."""
        source, sink = os.openpty()
        termios.tcsetwinsize(sink, (24, 80))
        command = [PYTHON, "-c", CONTROL, *COGAUTH[1:], *words]
        return self._spawn(command, source, sink, sink, {"TERM": "xterm-256color", **env})

    def shell_on_terminal(self, line: str, **env: str) -> Running:
        """Start a line of shell on a terminal of its own; in it, COGAUTH is the command."""
        source, sink = os.openpty()
        shell = "import os, sys; os.execv('/bin/sh', ['sh', '-c', sys.argv[1]])"
        command = [sys.executable, "-c", CONTROL, "-c", shell, line]
        return self._spawn(command, source, sink, sink, {"COGAUTH": shlex.join(COGAUTH), **env})

    def _spawn(
        self, command: list[str], source: int, sink: int, stdin: int, env: dict[str, str]
    ) -> Running:
        self._files.append(source)
        try:
            with interruptible():
                process = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env={**self.env, **env},
                    stdin=stdin,
                    stdout=sink,
                    stderr=sink,
                    start_new_session=True,
                )
        finally:
            os.close(sink)
        self._children.append(process)
        return Running(process, source)

    def close(self) -> None:
        """End all that was started, whatever the test came to."""
        for child in self._children:
            child.kill()
            child.wait()
        for source in self._files:
            os.close(source)
        for alive in list(self.folder.rglob(f"{FOLDER}/alive")):
            LocalAws(alive.parent, patience=10).remove()


@contextmanager
def command_line(folder: Path, **env: str) -> Iterator[Cli]:
    cli = Cli(folder, environment(folder, **env))
    FOLDERS.add(folder)
    try:
        yield cli
    finally:
        cli.close()
        FOLDERS.remove(folder)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The command line in an empty folder, with credentials that an emulator takes."""
    with command_line(tmp_path, **KEYS, AWS_REGION=REGION) as made:
        yield made


@contextmanager
def emulator(folder: Path, *words: str, **more: str) -> Iterator[str]:
    """Ministack that cogauth knows by its URL alone; it keeps nothing when it ends."""
    folder.mkdir(exist_ok=True)
    port = int(more.setdefault("GATEWAY_PORT", str(free_port())))
    settings = {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "AUTH": "true",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "0",
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        "LOG_LEVEL": "WARNING",
        **more,
    }
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", *(words or ["ministack"])],
            cwd=folder,
            env=environment(folder, **settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as server,
    ):
        try:
            until(lambda: server.poll() is not None or is_listening(port), 30)
            assert server.poll() is None, (folder / "log").read_text()
            url = f"http://127.0.0.1:{port}"
            if "AWS_ACCESS_KEY_ID" in more:
                GIVEN_KEYS[url] = tuple(more[name] for name in KEYS)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


@contextmanager
def someones_local_aws(folder: Path) -> Iterator[str]:
    """Run the local AWS with KEYS, where no command looks for it: it is known by its URL alone."""
    record = {"port": 20000, "data_id": 16 * "0", "run": 32 * "0"}
    record |= Keys(*KEYS.values())._asdict()
    (folder / "tmp").mkdir(parents=True)
    (folder / MARKER).write_bytes(MARKED)
    (folder / "local.json").write_text(json.dumps(record))
    with emulator(folder / "tmp", "cogauth.local.server") as url:
        yield url


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A local AWS that the tests share: each with a stack of another name."""
    with someones_local_aws(tmp_path_factory.mktemp("aws") / "local") as url:
        yield url


@contextmanager
def own_local_aws(folder: Path) -> Iterator[LocalAws]:
    """Give a local AWS of a test's own in a folder, whose keys ``client`` knows; then remove it."""
    local = LocalAws(folder / FOLDER)
    FOLDERS.add(folder)
    try:
        yield local
    finally:
        local.remove()
        FOLDERS.remove(folder)


def keys_at(url: str) -> tuple[str, ...]:
    """Return the root's keys of a local AWS: of one that a command here started, or KEYS."""
    for alive in (file for folder in FOLDERS for file in folder.rglob(f"{FOLDER}/alive")):
        local = LocalAws(alive.parent)
        if local.endpoint_url == url:
            return local.keys()
    return GIVEN_KEYS.get(url, tuple(KEYS.values()))


def client(service: str, url: str, **more: Any) -> Any:
    """Return a boto3 client of a local AWS, for the root of its account."""
    return _client(service, url, keys_at(url), tuple(more.items()))


@functools.cache
def _client(
    service: str, url: str, keys: tuple[str, ...], more: tuple[tuple[str, Any], ...]
) -> Any:
    make: Any = boto3.Session(*keys, region_name=REGION).client
    return make(service, endpoint_url=url, **dict(more))


def all_that_stands(url: str) -> dict[str, Any]:
    """Describe all in an emulator of the kinds that cogauth makes."""
    cognito, iam, functions, logs, api = (
        client(name, url) for name in ("cognito-idp", "iam", "lambda", "logs", "apigateway")
    )
    world: dict[str, Any] = {}
    for pool in cognito.list_user_pools(MaxResults=60)["UserPools"]:
        name = {"UserPoolId": pool["Id"]}
        world[f"pool {pool['Name']}"] = cognito.describe_user_pool(**name)["UserPool"]
        for one in cognito.list_user_pool_clients(**name, MaxResults=60)["UserPoolClients"]:
            world[f"client {one['ClientName']}"] = cognito.describe_user_pool_client(
                **name, ClientId=one["ClientId"]
            )["UserPoolClient"]
    for role in iam.list_roles()["Roles"]:
        name = {"RoleName": role["RoleName"]}
        world[f"role {role['RoleName']}"] = {
            **iam.get_role(**name)["Role"],
            "policies": [
                iam.get_role_policy(**name, PolicyName=policy)["PolicyDocument"]
                for policy in iam.list_role_policies(**name)["PolicyNames"]
            ],
            "attached": iam.list_attached_role_policies(**name)["AttachedPolicies"],
        }
    for function in functions.list_functions()["Functions"]:
        name = {"FunctionName": function["FunctionName"]}
        described = functions.get_function(**name)
        world[f"function {function['FunctionName']}"] = {
            "configuration": described["Configuration"],
            "tags": described.get("Tags"),
            "policy": functions.get_policy(**name)["Policy"],
        }
    for found in api.get_rest_apis(limit=500)["items"]:
        name = {"restApiId": found["id"]}
        world[f"api {found['name']}"] = {
            "api": found,
            "resources": api.get_resources(**name, embed=["methods"])["items"],
            "authorizers": api.get_authorizers(**name)["items"],
            "deployments": api.get_deployments(**name)["items"],
            "stages": api.get_stages(**name)["item"],
        }
    for group in logs.describe_log_groups()["logGroups"]:
        # How much has been logged is no part of what was made.
        world[f"log group {group['logGroupName']}"] = {
            **{key: value for key, value in group.items() if key != "storedBytes"},
            "tags": logs.list_tags_log_group(logGroupName=group["logGroupName"])["tags"],
        }
    return world


@dataclass
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What it gets."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Fixed:
    """An HTTP server on this machine's loopback that keeps what it is sent."""

    def __init__(
        self, answer: Callable[[Request], Answer], tls: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[Request] = []
        fixed = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = Request(
                    self.command, self.path, dict(self.headers), self.rfile.read(length)
                )
                fixed.requests.append(request)
                given = answer(request)
                body = given.body.encode()
                self.send_response(given.status)
                for name, value in given.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815 as it asks

            def log_message(self, *args: Any) -> None:
                del args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        if tls:
            # The handshake is each connection's own matter, in its thread.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


ACCOUNT = "123456789012"
CALLER = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    f"<GetCallerIdentityResult><Account>{ACCOUNT}</Account><UserId>AIDA</UserId>"
    f"<Arn>arn:aws:iam::{ACCOUNT}:user/ann</Arn></GetCallerIdentityResult>"
    "</GetCallerIdentityResponse>"
)


# What a stack's records may say; the rest is called like what it is of.
POOL_ID = f"{REGION}_Aa1Bb2Cc3"
RECORDED = {
    "user_pool": POOL_ID,
    "trigger": POOL_ID,
    "role": "cogauth-LambdaAuthRole",
    **dict.fromkeys(("sign_in_method", "sign_in_integration"), "POST /signin"),
    **dict.fromkeys(("protected_method", "protected_integration"), "GET /hello"),
    "sign_in_preflight": "OPTIONS /signin",
    "hello_preflight": "OPTIONS /hello",
}


def whole_stack(**ids: str) -> dict[str, dict[str, Record]]:
    """Return the records of a stack of which all stands, in the account and region of the tests.

    Args:
        ids: of resources, by their keys, where another is wanted.
    """
    own = {"partition": "aws", "region": REGION, "account": ACCOUNT}
    known = {"role": RECORDED["role"], "root": "root", "name": "cogauth-its-id"}
    resources: dict[str, dict[str, Record]] = {}
    for step, keys in FACTS.items():
        for key, facts in keys.items():
            if key == "power_user_attachment":
                continue  # only with --power-user
            by_name = key.removesuffix("_response").upper() if key.endswith("_response") else key
            record = {"status": CREATED, "id": ids.get(key, RECORDED.get(key, by_name))}
            for name in facts.keys() - record.keys():
                text = facts[name]
                for part, value in {**own, "id": record["id"]}.items():
                    text = text.replace(f"<{part}>", value)
                record[name] = known.get(name, text)
            if "path" in facts:
                record["path"] = "/hello" if key == "hello_resource" else "/signin"
            resources.setdefault(step, {})[key] = record
    resources["trigger"]["trigger"]["arn"] = resources["auto_confirm_function"][
        "auto_confirm_function"
    ]["arn"]
    resources["deployment"]["stage"]["arn"] = (
        resources["rest_api"]["rest_api"]["arn"] + "/stages/stage"
    )
    return resources


# What AWS says when it is asked whose the API of such a stack is.
STACK_ID = "8f1d2c9a-6d54-4c1e-9b57-0d0a5c1f3e21"
OWN_API = Answer(
    200,
    json.dumps(
        {
            "id": "api1",
            "name": "cogauth",
            "rootResourceId": "root",
            "tags": {"cogauth:stack": "cogauth", "cogauth:stack-id": STACK_ID},
        }
    ),
)


def asks_for_the_api(request: Request) -> bool:
    return request.method == "GET" and re.fullmatch("/restapis/[^/]+", request.path) is not None


def is_identity_call(request: Request) -> bool:
    return request.path == "/" and b"Action=GetCallerIdentity" in request.body
