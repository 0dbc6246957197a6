"""The story that ``cogauth demo`` tells: its chapters' colours, width and margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogauth.cli.demo import MARGIN, Story
from cogauth.cli.progress import Progress
from cogauth.engine import StepResult
from cogauth.steps import STEPS
from support.screen import Screen, on

if TYPE_CHECKING:
    import pytest

# For the fixtures.
pytest_plugins = ["support.screen"]

SENTENCE = "COGNITO_USER_POOLS of the stack cogauth, which also accepts tokens of another user pool"


def test_a_chapter_of_the_demo_ends_green_or_red(width: pytest.MonkeyPatch) -> None:
    def told(columns: int | None, **environment: str) -> Screen:
        for name, value in environment.items():
            width.setenv(name, value)
        screen = on(width, columns or 80)
        width.setattr(screen, "isatty", lambda: columns is not None)
        for got in (200, 401):
            story = Story(silent=False)
            story.tell("Login", "The same name.", "cogauth test-login ann")
            story.expect(200, got)
        return screen

    colours = [told(80).colour(line) for line in ("✓ 200", "✗ 401; expected 200")]
    assert colours == ["32", "31"]
    assert "\x1b" not in told(None).getvalue()
    assert "\x1b" not in told(80, NO_COLOR="1").getvalue()


def test_a_chapter_of_the_demo_is_wrapped_and_indented_on_a_pipe_too(
    width: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del width
    Story(silent=False).tell("Login", SENTENCE, "cogauth test-login ann")
    title, *lines, command = capsys.readouterr().out.strip().splitlines()
    assert (title, command) == ("1. Login", "   $ cogauth test-login ann")
    assert " ".join(" ".join(lines).split()) == SENTENCE
    assert len(lines) == 2
    assert all(len(line) <= 80 and line.startswith("   ") for line in lines)
    progress = Progress(STEPS, margin=MARGIN)
    progress.waiting(STEPS[2], "a role that is new", 30)
    progress.end(StepResult("role", "created", "cogauth-LambdaAuthRole", 0.14))
    assert capsys.readouterr().err.splitlines() == [
        "   waiting for a role that is new, up to 30 s",
        "   Role                   created    cogauth-LambdaAuthRole  0.1 s",
    ]
