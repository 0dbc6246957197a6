"""The AWS CLI for scripts; its commands are forks of one process that has already imported it.

Importing it and reading the services' models take most of a command's time.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.commands import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = """
import functools, gc, json, os, socket, sys
from awscli import clidriver
from awscli.botocore.loaders import JSONFileLoader
load = JSONFileLoader.load_file
loaded = functools.cache(lambda path: load(JSONFileLoader(), path))
JSONFileLoader.load_file = lambda self, path: loaded(path)
os.environ.update(AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull)
session = clidriver.create_clidriver().session
session.set_credentials("none", "none")
for name in ("cognito-idp", "iam", "lambda", "apigateway", "logs", "sts"):
    session.create_client(name, region_name="us-east-1")
# It is set when awscli is imported.
data = {"AWS_DATA_PATH": os.environ["AWS_DATA_PATH"]}
gc.freeze()
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
while True:
    caller, _ = listener.accept()
    text, fds, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    command = os.fork()
    if command:
        for fd in fds:
            os.close(fd)
        code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        caller.send(b"%d" % code)
        caller.close()
        continue
    for number in range(3):
        os.dup2(fds[number], number)
    job = json.loads(text)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["env"] | data)
    sys.argv = ["aws", *job["words"]]
    try:
        code = clidriver.main()
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
"""
CLIENT = """#!{python} -SE
import json, os, socket, sys
caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
caller.connect({address!r})
job = {{"words": sys.argv[1:], "env": dict(os.environ), "folder": os.getcwd()}}
socket.send_fds(caller, [json.dumps(job).encode()], [0, 1, 2])
sys.exit(int(caller.recv(16)))
"""


@contextmanager
def aws_cli(folder: Path) -> Iterator[Path]:
    """Yield the folder that contains the command ``aws``, to be added to PATH."""
    folder.mkdir()
    # A socket's path is limited to about a hundred characters.
    address = folder / "s"
    command = folder / "aws"
    command.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    command.chmod(0o700)
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(address)], stdin=subprocess.DEVNULL
    ) as server:
        try:
            assert until(lambda: address.exists() or server.poll() is not None)
            assert server.poll() is None
            yield folder
        finally:
            server.kill()
