"""Write what README.md and docs/ show of the program, from the program.

    python docs/make.py            all of it; needs the local AWS: pip install '.[local]'
    python docs/make.py --quick    without what needs a run on the local AWS

Generated are ``commands.md``, the policies except ``boundary.json``, the tables after
``<!-- benchmarks -->`` and the like, the blocks after ``<!-- shown: NAME -->``, and
``terminal.svg``. An output that differs from what is shown only in ids, times and the order of its
lines stays as it is, so that a second run changes nothing.
"""

from __future__ import annotations

import html
import io
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import termios
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
from click.testing import CliRunner
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))  # for benchmarks/, which is never installed

from benchmarks import report  # noqa: E402
from cogauth import errors  # noqa: E402
from cogauth.checks import policy  # noqa: E402
from cogauth.cli import cli  # noqa: E402
from cogauth.settings import Settings  # noqa: E402

COMMANDS = DOCS / "commands.md"
PICTURE = DOCS / "terminal.svg"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
UP = "cogauth up --local"
# A terminal's width for what is shown, and for help pages.
WIDTH, HELP_WIDTH = 100, 80
PASSWORD = "Correct-Horse-1"  # noqa: S105 of a user who is deleted a moment later
SHOWN = re.compile(r"(<!-- shown: ([a-z-]+) -->\n```\n)(.*?)(```\n)", re.DOTALL)
INTRODUCTION = """\
# Commands

`python docs/make.py` wrote this page from the program's own help.

Options come after the command's name. Options that you would repeat in every run can be set as
environment variables too: `--stack` is `COGAUTH_STACK`.

Exit codes: 0 fine; 1 failed, or something isn't as it should be; 2 wrong usage, or no such stack
here; 3 something would change (only `plan --exit-code`); 130 interrupted.

"""


# Without a run


def help_page(*words: str) -> str:
    """Return what ``cogauth WORDS --help`` prints."""
    # click leaves two columns free on a terminal, but none in its runner.
    named = {"prog_name": "cogauth", "terminal_width": HELP_WIDTH - 2}
    page = CliRunner().invoke(cli, [*words, "--help"], **named).stdout
    return re.sub(r"[ \t]+$", "", page, flags=re.MULTILINE).rstrip() + "\n"


def groups() -> dict[str, list[str]]:
    """Return the commands as the program's help groups them, by the group's title."""
    sections = re.findall(r"^(\S.*):\n((?:  .*\n)+)", help_page(), re.MULTILINE)
    listed = {title: re.findall(r"^  ([a-z-]+) ", rows, re.MULTILINE) for title, rows in sections}
    return {title: names for title, names in listed.items() if set(names) <= set(cli.commands)}


def pages(name: str) -> list[list[str]]:
    """Return the words of each help page of a command: its own, and those of its subcommands."""
    return [[name], *([name, each] for each in getattr(cli.commands[name], "commands", ()))]


def commands_page() -> str:
    """Return commands.md: the program's help, and that of each command."""
    listed = groups()
    links = [
        f"- {title}: " + ", ".join(f"[{name}](#cogauth-{name})" for name in names)
        for title, names in listed.items()
    ]
    parts = [f"## cogauth\n\n```\n{help_page()}```\n"]
    for name in [name for names in listed.values() for name in names]:
        parts += [
            f"## cogauth {' '.join(words)}\n\n```\n{help_page(*words)}```\n"
            for words in pages(name)
        ]
    return "\n".join([f"{INTRODUCTION}{chr(10).join(links)}\n", *parts])


def error_codes() -> str:
    """Return the table of the codes that an error has with ``--json``."""
    rows = [f"| `{code}` | {meaning} |" for code, meaning in errors.CODES.items()]
    return "\n".join(["| code | when |", "|---|---|", *rows, ""])


DEPLOY = (
    *("plan", "up", "status", "down", "recover", "attach", "detach"),
    *("test-login", "token", "call", "curl", "users", "logs"),
)
# A boundary in the account whose number ACCOUNT stands for.
BOUNDED = Settings(permissions_boundary="arn:aws:iam::000000000000:policy/BOUNDARY")


def policies() -> dict[str, str]:
    """Return the policies of ``cogauth policy`` by file name, with words for a stack's values."""
    found = {}
    for name, commands, settings, apis in (
        ("deploy", DEPLOY, Settings(), ()),
        ("deploy-under-a-boundary", DEPLOY, BOUNDED, ()),
        ("verify-explain", ("verify", "explain"), Settings(), ()),
        ("attach", ("attach", "detach"), Settings(), ("API",)),
    ):
        stack = policy.StackNames("aws", "REGION", "ACCOUNT", "STACK", settings, others=apis)
        (document,) = policy.policy(stack, commands)
        text = json.dumps(document, indent=2).replace("000000000000", "ACCOUNT")
        found[f"{name}.json"] = f"{text}\n"
    return found


def sources() -> str:
    """Return the table of the actions that AWS asks for beside those of a call's name."""
    found = set()
    for allows in policy.COMMANDS.values():
        for each in filter(lambda one: one.source, allows(Settings())):
            for action in each.actions:
                # Of API Gateway's actions, which are HTTP methods, only the path says more.
                path = each.resources[0].partition("::")[2] if "apigateway" in action else ""
                found.add((f"`{action}`{f' on `{path}`' if path else ''}", each.source))
    rows = [f"| {action} | <{source}> |" for action, source in sorted(found)]
    return "\n".join(["| action | source |", "|---|---|", *rows, ""])


def between(text: str, name: str, new: str) -> str:
    """Return a page's text with something new between its two markers of a name, if it has them."""
    block = re.compile(rf"(<!-- {name} -->\n).*(<!-- /{name} -->\n)", re.DOTALL)
    return block.sub(lambda match: f"{match[1]}{new}{match[2]}", text)


def with_tables(text: str) -> str:
    """Return a page's text with its generated tables."""
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    text = between(text, "benchmarks", report.summary(results))
    text = between(text, "sources", sources())
    return between(text, "error codes", error_codes())


# With a run on the local AWS


@dataclass
class Terminal:
    """The command line in a folder of its own, on a terminal that nobody sees."""

    folder: Path

    def environment(self) -> dict[str, str]:
        """Return what a command gets: nothing of the user's own but the PATH."""
        return {
            # As in an activated virtual environment, so that printed commands begin with "cogauth".
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state-home"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "COGAUTH_PASSWORD": PASSWORD,
        }

    def screen(self, line: str) -> str:
        """Run a line of shell; return what is on the screen at the end, with its colours."""
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (50, WIDTH))
        with subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", line],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
        ) as process:
            os.close(slave)
            printed = bytearray()
            with suppress(OSError):  # Linux says so when the last one has closed the terminal.
                while chunk := os.read(master, 65536):
                    printed += chunk
        os.close(master)
        text = last_screen(printed.decode())
        if process.returncode not in {0, 1}:
            raise SystemExit(f"{line} ended with {process.returncode}:\n{text}")
        return text

    def shown(self, line: str) -> str:
        """Run a line of shell; return it and what is on the screen at the end, without colours."""
        return f"$ {line}\n{plain(self.screen(line))}"


def last_screen(printed: str) -> str:
    """Return what a terminal shows in the end, of what rich prints: it rewrites whole lines."""
    lines, row = [""], 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", printed):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif up := re.fullmatch(r"\x1b\[(\d*)A", piece):
            row -= int(up[1] or 1)
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif piece.endswith("m") or not piece.startswith(("\x1b", "\r")):
            lines[row] += piece
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"


def plain(text: str) -> str:
    """Return a text without colours, and without spaces at its lines' ends."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


# What differs from run to run: addresses, ids, times.
CHANGING = (
    r"[\w+/-]{43}=",  # before those that a part of it may look like
    r"127\.0\.0\.1:\d+",
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    r"\bus-east-1_\w{9}\b",
    r"\b[A-Za-z0-9]{26}\b",
    r"\b[0-9a-f]{8}\b",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z| \w+|[+-]\d\d:\d\d)?",
    r"(\b\d+(\.\d+)? (ms|s|min|h)\b ?)+",
)


def stable(text: str) -> list[str]:
    """Return a text's lines, sorted, without what differs from run to run."""
    for pattern in CHANGING:
        text = re.sub(pattern, "·", text)
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    return sorted(line for line in lines if not line.startswith("waiting for "))


def picture(screen: str) -> str:
    """Return a screen as SVG in rich's frame, without the fonts that it loads from elsewhere."""
    text = Text.from_ansi(f"$ {UP}\n{screen}".rstrip())
    width = max(cell_len(line) for line in text.plain.splitlines())
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, legacy_windows=False
    )
    console.print(text, soft_wrap=True)
    svg = console.export_svg(title=UP, unique_id="cogauth")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE).rstrip() + "\n"


def words_of(svg: str) -> list[str]:
    """Return what a picture says, each piece with its style, as ``stable`` lines."""
    svg = html.unescape(svg).replace("\N{NO-BREAK SPACE}", " ")
    pieces = re.findall(r'<text class="([\w-]+)"[^>]*>(.*?)</text>', svg, re.DOTALL)
    return stable("\n".join(f"{style}: {words}" for style, words in pieces))


@dataclass(frozen=True)
class Shown:
    """What the program shows in one story: the blocks by name, and the picture."""

    blocks: dict[str, str]
    picture: str


def play(folder: Path) -> Shown:
    """Play a story on a local AWS in an empty folder, and return what it shows."""
    terminal = Terminal(folder)
    try:
        screen = terminal.screen(UP)
        blocks = {"up": f"$ {UP}\n{plain(screen)}"}
        blocks["test-login"] = terminal.shown("cogauth test-login ann")
        blocks["call"] = terminal.shown("cogauth call GET /hello")
        blocks["curl"] = terminal.shown("cogauth curl GET /hello")
        blocks["token"] = terminal.shown("cogauth token --decode")
        blocks["users"] = terminal.shown("cogauth users")
        blocks["verify"] = terminal.shown("cogauth verify")
        blocks["plan"] = terminal.shown(
            "cogauth plan --password-min-length 12 --cors-origin https://app.example"
        )
        blocks["status"] = terminal.shown("cogauth status")
        url = plain(terminal.screen("cogauth outputs protected_url")).strip()
        blocks["explain"] = terminal.shown(f"cogauth explain {url} --no-token")
        _create_orders(terminal)
        blocks["attach"] = terminal.shown("cogauth attach --api orders --path /orders --yes")
        blocks["detach"] = terminal.shown("cogauth detach --yes")
    finally:
        down = terminal.shown("cogauth down --yes")
    return Shown({**blocks, "down": down}, picture(screen))


def _create_orders(terminal: Terminal) -> None:
    """Create somebody's REST API on the local AWS, deployed to the stage prod."""
    line = 'eval "$(cogauth outputs --format env)" && env'
    values = dict(each.split("=", 1) for each in plain(terminal.screen(line)).splitlines())
    gateway = boto3.client(
        "apigateway",
        endpoint_url=values["AWS_ENDPOINT_URL"],
        region_name=values["AWS_REGION"],
        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
    )
    api = gateway.create_rest_api(name="orders")
    resource = gateway.create_resource(
        restApiId=api["id"], parentId=api["rootResourceId"], pathPart="orders"
    )
    for verb in ("GET", "POST"):
        place = {"restApiId": api["id"], "resourceId": resource["id"], "httpMethod": verb}
        gateway.put_method(**place, authorizationType="NONE", apiKeyRequired=verb == "POST")
        gateway.put_integration(
            **place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
        )
        gateway.put_method_response(**place, statusCode="200")
        gateway.put_integration_response(**place, statusCode="200")
    gateway.create_deployment(restApiId=api["id"], stageName="prod")


def with_shown(text: str, blocks: dict[str, str]) -> str:
    """Return a page's text with what the program shows, where it differs by more than ids."""

    def block(match: re.Match[str]) -> str:
        new = blocks[match[2]]
        same = stable(match[3]) == stable(new)
        return match[0] if same else f"{match[1]}{new}{match[4]}"

    return SHOWN.sub(block, text)


def main() -> None:
    """Write all of it."""
    COMMANDS.write_text(commands_page())
    for name, text in policies().items():
        (DOCS / "policies" / name).write_text(text)
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
    if "--quick" in sys.argv[1:]:
        return
    with tempfile.TemporaryDirectory(prefix="cogauth-docs-") as folder:
        shown = play(Path(folder))
    for page in PAGES:
        page.write_text(with_shown(page.read_text(), shown.blocks))
    if not PICTURE.exists() or words_of(PICTURE.read_text()) != words_of(shown.picture):
        PICTURE.write_text(shown.picture)


if __name__ == "__main__":
    main()
