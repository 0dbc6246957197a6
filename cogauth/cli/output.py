r"""Where lines leave the program: every line for a person goes through here, and is one line.

API, stage and user names, claims, AWS's messages and a state file are others' words. What a
terminal would act on is escaped here and nowhere else, so no caller can forget it. A caller passes
each line by itself: a line end inside one is somebody else's, and is shown as ``\n``.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import click

from cogauth.printable import json_text, one_line

if TYPE_CHECKING:
    from rich.console import Console, OverflowMethod
    from rich.text import Text

    from cogauth.errors import CogauthError


def say(*lines: str) -> None:
    """Print lines of the result, on stdout; without one, an empty line."""
    for line in lines or ("",):
        click.echo(one_line(line))


def notice(*lines: str) -> None:
    """Tell the user something that is not the result: on stderr."""
    for line in lines:
        click.echo(one_line(line), err=True)


def tell_error(error: CogauthError) -> None:
    """Tell the user what failed."""
    first, *others = error.lines
    notice(f"Error: {first}", *others)


def confirm(question: str) -> bool:
    """Ask a question on the terminal, and say whether the answer is yes; no is the default."""
    return click.confirm(one_line(question), err=True)


def ask(question: str, *, hidden: bool = False) -> str:
    """Ask for a text on the terminal; ``hidden`` ones must not be empty."""
    default = None if hidden else ""
    return str(
        click.prompt(
            one_line(question), default=default, hide_input=hidden, show_default=False, err=True
        )
    )


def print_json(document: object, *, highlighted: bool = False) -> None:
    """Print a document of JSON on stdout; ``highlighted`` ones are coloured on a terminal."""
    text = json_text(document)
    if highlighted and sys.stdout.isatty():
        from rich.highlighter import JSONHighlighter

        console().print(JSONHighlighter()(text), soft_wrap=True)
        return
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # The output's encoding lacks a character, which JSON can spell.
        text = json.dumps(document, indent=2)
    click.echo(text)


def print_data(data: str | bytes) -> None:
    """Print what is made for another program, as it is; on a terminal it may only be lines."""
    if not sys.stdout.isatty():
        click.echo(data, nl=isinstance(data, str))
        return
    text = data if isinstance(data, str) else data.decode(errors="replace")
    for line in re.split(r"\r?\n", text.removesuffix("\n")):
        click.echo("\t".join(map(one_line, line.split("\t"))))


def console(*, stderr: bool = False) -> Console:
    """Return rich's console, for what is shown by ``styled`` texts."""
    from rich.console import Console

    return Console(stderr=stderr)


def styled(text: str, style: str = "", *, cut: bool = False) -> Text:
    """Return a line for a table of rich's; ``cut`` short where there is no room for it."""
    from rich.text import Text

    overflow: OverflowMethod | None = "ellipsis" if cut else None
    return Text(one_line(text), style, no_wrap=cut or None, overflow=overflow)


def stacked(*lines: Text) -> Text:
    """Return ``styled`` lines below one another."""
    from rich.text import Text

    return Text("\n").join(lines)
