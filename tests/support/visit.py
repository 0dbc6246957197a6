"""A person's browser on a page of a stack."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

from support.commands import command_line
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.page import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, BrowserType, Locator, Page

    from support.page import OpenPage

CHROMIUM = shutil.which("chromium")
# axe-core's script, of the npm package axe-core.
AXE = os.environ.get("COGAUTH_TEST_AXE")
SEE_S = 20
expect.set_options(SEE_S * 1000)
# With it a browser can reach only this machine.
ONLY_HERE = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


def launched(by: BrowserType, resolver_rules: str = ONLY_HERE) -> Browser:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    flags.append(f"--host-resolver-rules={resolver_rules}")
    return by.launch(executable_path=CHROMIUM, args=flags)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser. Only one at a time; ``launched`` starts another one by its type."""
    with sync_playwright() as playwright:
        browser = launched(playwright.chromium)
        yield browser
        browser.close()


@contextmanager
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """Return a new person's tabs."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SEE_S * 1000)
    yield context
    context.close()


class Visit:
    """A person's browser on a page."""

    def __init__(self, page: Page, opened: OpenPage) -> None:
        self.page = page
        self.opened = opened
        self.problems: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.goto(opened.url)
        self.is_complete()

    def _note(self, message: Any) -> None:
        # A browser reports each answer with an error's status by itself. Those of the interface are
        # part of what is tested; a missing file is a problem.
        is_answer = "Failed to load resource" in message.text and "/api/" in message.location["url"]
        if message.type in {"error", "warning"} and not is_answer:
            self.problems.append(f"{message.text} {message.location['url']}")

    def region(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=name, exact=True)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        self.page.get_by_label("Username", exact=True).fill(name)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.button("Sign in").click()

    def is_complete(self) -> None:
        """Wait until the page says so; a hidden text doesn't count."""
        expect(self.page.locator("#condition:visible")).to_have_text("✓ complete")

    def is_signed_in(self, name: str) -> None:
        """Sign in, and wait for it. Another test may have signed this user in, too."""
        self.sign_in(name)
        expect(self.region("Sign in")).to_contain_text(f"{name} is signed in")

    def send(self, method: str, token: str) -> Locator:
        self.page.get_by_label("Method", exact=True).select_option(label=method)
        tokens = self.page.get_by_role("radiogroup", name="Token", exact=True)
        tokens.get_by_role("radio", name=token, exact=True).check()
        self.button("Send").click()
        return self.region("Response")

    def audit(self) -> list[str]:
        """Return what axe-core finds."""
        if AXE is None:
            pytest.skip("COGAUTH_TEST_AXE names no axe.min.js")
        self.page.evaluate(Path(AXE).read_text())
        found = self.page.evaluate("axe.run()")
        return [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    words = ("--local", "--region", REGION)
    folder = tmp_path_factory.mktemp("page")
    with command_line(folder, COGAUTH_STACK="page") as cli, LocalStack.made(cli, *words) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with profile(browser) as context:
        yield context


@pytest.fixture
def visit(stack: LocalStack, context: BrowserContext) -> Iterator[Visit]:
    with opened(stack.cli) as page:
        visit = Visit(context.new_page(), page)
        yield visit
        assert visit.problems == []
