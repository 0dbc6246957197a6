r"""The program's one way out: every line for a person is printed here.

API, stage and user names, claims, AWS's messages and a state file are other people's words. This
module alone escapes what a terminal would act on, so no caller can forget it. A caller passes each
line by itself: a line end inside one is somebody else's, and is shown as ``\n``. On a terminal this
module wraps the line, and writes commands in it so that they run in this shell.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import time
from contextlib import contextmanager
from itertools import compress
from typing import IO, TYPE_CHECKING

import click

from cogauth.cli.help import GROUPS
from cogauth.printable import column_width, json_text, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console, OverflowMethod
    from rich.text import Text
    from rich.tree import Tree

    from cogauth.errors import CogauthError

# A text, or a text with its style.
Cell = str | tuple[str, str]

# Our commands: in quotes, at the start of a line, after a colon or a pipe.
_COMMANDS = "|".join(name for names in GROUPS.values() for name in names)
_OURS = re.compile(
    rf"(?:(?<=['|] )|(?<=')|(?<=: )|(?<=^)|(?<=  )|(?<=\$ ))cogauth(?= (?:{_COMMANDS})\b)"
)
_AWS = re.compile(r"(?<=')aws [a-z-]+ [a-z-]+")
_COMMAND = rf"\S*(?:cogauth|python[\d.]* -P -m cogauth) (?:{_COMMANDS})\b.*"
# Units that are never broken: a command in quotes or up to the end of its line, a URL with the HTTP
# method before it, and a word.
# The length is bounded, because others' words may be full of quotes.
_UNIT = re.compile(
    r"'(?=\S{0,500}(?:cogauth|aws|python[\d.]*) ).{1,1000}?'(?=[\s.,;:)]|$)[.,;:)]*"
    rf"|(?<=: ){_COMMAND}$|\b[A-Z]{{3,7}} {{1,2}}https?://\S+|\S+"
)
# What a line begins with, before its text: spaces, and the mark of a plan.
_MARGIN = re.compile(r" *(?:(?:-/\+|[-+~✗]  ) )?")
_COMMAND_LINE = re.compile(rf"\s*(?:\$ )?(?!'){_COMMAND}")


class ThisRun:
    """What printed commands and times need to know about this run."""

    endpoint_url: str | None = None
    # How long the user took to answer questions, in seconds.
    thinking = 0.0
    # Whether ``print_json_list`` has begun a document.
    in_list = False


def program() -> str:
    """Return the command that starts this cogauth from this shell."""
    typed, found = sys.argv[0], shutil.which("cogauth")
    # Not by pathlib, which takes as long to import as all of this module.
    is_script = os.path.basename(typed) == "cogauth" and os.sep in typed  # noqa: PTH119
    is_there = is_script and os.path.exists(typed)  # noqa: PTH110
    if found and not (is_there and not os.path.samefile(typed, found)):  # noqa: PTH121
        return "cogauth"
    if is_script:
        return shlex.quote(typed)
    # -P: Python imports nothing from the current folder, which may be anyone's.
    return shlex.join([sys.executable, "-P", "-m", "cogauth"])


def runnable(text: str) -> str:
    """Return a text with its commands written so that they run in this shell."""
    text = _OURS.sub(lambda _: program(), text)
    if ThisRun.endpoint_url and "--endpoint-url" not in text:
        # After the service and the operation, where any option may be.
        option = f" --endpoint-url {shlex.quote(ThisRun.endpoint_url)}"
        text = _AWS.sub(lambda found: found[0] + option, text)
    return text


def wrapped(text: str, width: int) -> list[str]:
    """Break a line between words into lines of at most ``width`` columns.

    Commands and URLs are not broken: one that is too long gets a line of its own. Lines after the
    first are indented two columns more than the text of the first, or less if a word needs that.
    """
    if column_width(text) <= width or _COMMAND_LINE.fullmatch(text):
        return [text]
    first = text[: len(text) - len(text.lstrip())]
    begun = _MARGIN.match(text)
    margin = " " * len(begun[0] if begun else first)
    lines, line, at = [], first, len(first)
    for unit in _UNIT.finditer(text):
        gap, word = text[at : unit.start()], unit[0]
        at = unit.end()
        if not line.strip():
            line = _fitting((line, ""), word, width)
        elif column_width(line + gap + word) <= width:
            line += gap + word
        else:
            lines.append(line)
            line = _fitting((f"{margin}  ", margin, first, ""), word, width)
    return [*lines, line]


def _fitting(margins: tuple[str, ...], word: str, width: int) -> str:
    """Return a word after the first margin with which it fits.

    If it never does, the terminal breaks it: a command begins the line, to be copied with it.
    """
    fitting = (margin for margin in margins if column_width(margin + word) <= width)
    return next(fitting, margins[-1 if " " in word else 0]) + word


def columns(stream: IO[str]) -> int | None:
    """Return the width of a stream's terminal, in columns; None if it isn't a terminal."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _echo(line: str, *, err: bool) -> None:
    text = runnable(one_line(line))
    width = columns(sys.stderr if err else sys.stdout)
    for each in [text] if width is None else wrapped(text, width):
        click.echo(_coloured(each) if width else each, err=err)


def _coloured(line: str) -> str:
    """Colour the mark at the start of a line, if there is one."""
    if "NO_COLOR" in os.environ:
        return line
    for mark, colour in _MARKS.items():
        if line.lstrip().startswith(mark):
            return line.replace(mark, click.style(mark, fg=colour, bold=True), 1)
    return line


_MARKS = {"Error:": "red", "Warning:": "yellow", "✓": "green", "✗": "red"}


def say(*lines: str) -> None:
    """Print lines of the result, on stdout; without one, an empty line."""
    for line in lines or ("",):
        _echo(line, err=False)


def notice(*lines: str) -> None:
    """Print lines that are not the result, on stderr."""
    for line in lines:
        _echo(line, err=True)


def say_others(*lines: str) -> None:
    """Print others' lines, on stdout: escaped, and without our own commands."""
    width = columns(sys.stdout)
    for line in map(one_line, lines):
        for each in [line] if width is None else wrapped(line, width):
            click.echo(each)


def show_table(
    rows: Iterable[Sequence[Cell]],
    header: Sequence[str] = (),
    *,
    indent: int = 0,
    err: bool = False,
) -> None:
    """Print a table with rich if it fits on a terminal, else as plain lines in columns."""
    listed = [[(cell, "") if isinstance(cell, str) else cell for cell in row] for row in rows]
    stream = sys.stderr if err else sys.stdout
    texts = [list(header)] * bool(header) + [[one_line(text) for text, _ in row] for row in listed]
    if not texts:
        return
    used = [any(cells) for cells in zip(*texts, strict=True)]
    texts = [list(compress(cells, used)) for cells in texts]
    sizes = [max(map(column_width, cells)) for cells in zip(*texts, strict=True)]
    width = columns(stream)
    least = [
        max(column_width(word) for cell in cells for word in cell.split() or [""])
        for cells in zip(*texts, strict=True)
    ]
    spare = (width or 0) - indent - sum(least) - 2 * len(sizes)
    if width is None or spare < 0:
        for cells in texts:
            padded = [
                cell + " " * (size - column_width(cell))
                for cell, size in zip(cells, sizes, strict=True)
            ]
            _echo(" " * indent + "  ".join(padded).rstrip(), err=err)
        return
    from rich.padding import Padding
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(header))
    names = list(compress(header, used)) or [""] * len(sizes)
    for name, wide in zip(names, _shared(spare, least, sizes), strict=True):
        # Each word fits: "fold" only keeps rich from cutting a line for the space at its end.
        table.add_column(name, width=wide, overflow="fold")
    for row in listed:
        table.add_row(*(styled(text, style) for text, style in compress(row, used)))
    console(stderr=err).print(Padding(table, (0, 0, 0, indent), expand=False))


def show_styled(lines: Iterable[tuple[str, str]]) -> None:
    """Print lines of the result; on a terminal each line's mark, its first word, has its style."""
    width = columns(sys.stdout)
    for line, style in lines:
        if width is None:
            say(line)
            continue
        first, *others = wrapped(runnable(one_line(line)), width)
        mark = first.split()[0] if style else ""
        start, text = first.partition(mark)[::2] if mark else ("", first)
        console().print(
            stacked(joined(styled(start), styled(mark, style), styled(text)), *map(styled, others)),
            soft_wrap=True,
        )


def _shared(spare: int, least: list[int], sizes: list[int]) -> list[int]:
    """Return the columns' widths: the least of each, and an even share of the spare columns."""
    widths = least.copy()
    ascending = sorted(range(len(sizes)), key=lambda nth: sizes[nth] - least[nth])
    for done, nth in enumerate(ascending):
        more = min(sizes[nth] - least[nth], spare // (len(sizes) - done))
        widths[nth] += more
        spare -= more
    return widths


def print_error(code: str, error: CogauthError) -> None:
    """Print an error as a JSON document, or as the last field of one that has begun."""
    document = {"error": error_json(code, error)}
    if ThisRun.in_list:
        ThisRun.in_list = False
        click.echo(f"\n  ],\n{_json(document, 2)[2:]}")
    else:
        print_json(document)


def error_json(code: str, error: CogauthError) -> dict[str, str | None]:
    """Return an error in the form of ``--json``."""
    message, hint = runnable("\n".join(error.args)), error.hint and runnable(error.hint)
    return {"code": code, "message": message, "hint": hint}


def tell_error(error: CogauthError) -> None:
    """Print what failed."""
    first, *others = error.lines
    notice(f"Error: {first}", *others)


@contextmanager
def _asking(question: str) -> Iterator[str]:
    """Print a question but for its last line, which is returned; don't count the time in here."""
    *lines, last = wrapped(runnable(one_line(question)), (columns(sys.stderr) or 10_000) - 8)
    for line in lines:
        click.echo(line, err=True)
    begun = time.monotonic()
    try:
        yield last
    finally:
        ThisRun.thinking += time.monotonic() - begun


def confirm(question: str) -> bool:
    """Ask a question on the terminal; return whether the answer is yes. The default is no."""
    with _asking(question) as last:
        return click.confirm(last, err=True)


def ask(question: str, *, hidden: bool = False, twice: bool = False) -> str:
    """Ask for a text on the terminal; a ``hidden`` one must not be empty.

    With ``twice`` it must be repeated, and is asked for again until both are the same.
    """
    default = None if hidden else ""
    with _asking(question) as last:
        answer = click.prompt(
            last,
            default=default,
            hide_input=hidden,
            confirmation_prompt="The same again" if twice else False,
            show_default=False,
            err=True,
        )
    return str(answer)


def print_json(document: object, *, highlighted: bool = False) -> None:
    """Print a JSON document on stdout; with ``highlighted`` a terminal gets colours."""
    if highlighted and sys.stdout.isatty():
        from rich.highlighter import JSONHighlighter

        console().print(JSONHighlighter()(json_text(document)), soft_wrap=True)
        return
    click.echo(_json(document, indent=2))


def print_json_list(head: Mapping[str, object], name: str, items: Iterable[object]) -> None:
    """Print a document of JSON with the fields of ``head`` and a list, as its items come.

    After an error it has what came before; then ``print_error`` ends it.
    """
    begun = f"{_json(head, 2)[:-2]},\n  {_json(name, None)}: ["
    for item in items:
        # In a list in a document, so that it is indented as there.
        text = _json({"": [item]}, 2).partition("[")[2].removesuffix("\n  ]\n}")
        click.echo(("," if ThisRun.in_list else begun) + text, nl=False)
        ThisRun.in_list = True
    click.echo("\n  ]\n}" if ThisRun.in_list else f"{begun}]\n}}")
    ThisRun.in_list = False


def print_json_line(document: object) -> None:
    """Print a JSON document on one line of stdout, at once: one of many."""
    click.echo(_json(document, indent=None))


def _json(document: object, indent: int | None) -> str:
    text = json_text(document, indent)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # The output's encoding lacks a character, which JSON can escape.
        text = json.dumps(document, indent=indent)
    return text


def print_data(data: str | bytes) -> None:
    """Print data for another program unchanged; on a terminal, escape all but line ends."""
    if not sys.stdout.isatty():
        click.echo(data, nl=isinstance(data, str))
        return
    text = data if isinstance(data, str) else data.decode(errors="replace")
    for line in re.split(r"\r?\n", text.removesuffix("\n")):
        click.echo("\t".join(map(one_line, line.split("\t"))))


def print_tree(shown: Tree) -> None:
    """Print a tree of ``styled`` lines; without a terminal it is plain, and no line is broken."""
    console(width=None if sys.stdout.isatty() else 10_000).print(shown)


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return rich's console, for ``styled`` texts; by default it is as wide as the terminal."""
    from rich.console import Console

    return Console(stderr=stderr, width=width)


def styled(text: str, style: str = "", *, cut: bool = False) -> Text:
    """Return an escaped line for rich; with ``cut`` it is shortened where there is no room.

    Yellow is too weak on a white terminal to be read: only a mark has it, and words are bold.
    """
    from rich.text import Text

    overflow: OverflowMethod | None = "ellipsis" if cut else None
    is_weak = style.endswith("yellow")
    line = Text(one_line(text), style, no_wrap=cut or None, overflow=overflow)
    if is_weak:
        line.style = "bold"
        mark = re.match(r"\W*", line.plain)
        line.stylize(style, 0, mark.end() if mark else 0)
    return line


def show_lines(shown: Console, line: str) -> None:
    """Print a line above the live display of a console, wrapped as all others are."""
    lines = wrapped(runnable(one_line(line)), shown.width)
    shown.print(stacked(*map(styled, lines)), soft_wrap=True)


def joined(*parts: Text, cut: bool = True) -> Text:
    """Return one line of ``styled`` parts; with ``cut`` it is shortened where there is no room."""
    from rich.text import Text

    line = Text(no_wrap=cut or None, overflow="ellipsis" if cut else None)
    for part in parts:
        line.append_text(part)
    return line


def stacked(*lines: Text) -> Text:
    """Return one text of ``styled`` lines."""
    from rich.text import Text

    return Text("\n").join(lines)
