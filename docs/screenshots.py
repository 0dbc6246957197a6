"""Make ``page-light.png`` and ``page-dark.png``: the page of a stack on the local AWS, in Chromium.

    python docs/screenshots.py

It needs what the tests need (``pip install '.[dev]'``), and Chromium on the PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect, sync_playwright

DOCS = Path(__file__).parent
# Commands are shown as they run in the user's shell, so cogauth is on its PATH.
BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
PASSWORD = "Correct-Horse-1"  # noqa: S105 of a user who is deleted a moment later
WIDTH, HEIGHT = 1280, 1620


def use(page: Page) -> None:
    """Bring the page to what the pictures show: a user, an answered call and a refused one."""

    def region(name: str) -> Locator:
        return page.get_by_role("region", name=name, exact=True)

    def click(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).click()

    expect(region("Stack")).to_contain_text("complete")
    page.get_by_label("Username", exact=True).fill("ann")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    click("Sign in")
    expect(region("Sign in")).to_contain_text("ann is signed in")
    page.get_by_label("Method", exact=True).select_option(label="GET /hello")
    click("Send")
    expect(region("Response")).to_contain_text("200")
    page.get_by_role("radio", name="Tampered", exact=True).check()
    click("Send")
    expect(region("Response")).to_contain_text("401")
    expect(region("Call")).to_contain_text("Fix:")
    page.evaluate("window.scrollTo(0, 0)")


def main() -> None:
    """Make a stack, take both pictures, and delete it."""
    chromium = shutil.which("chromium") or sys.exit("There is no chromium on the PATH.")
    with tempfile.TemporaryDirectory() as folder:
        place: dict[str, Any] = {"cwd": folder, "env": ENVIRONMENT}

        def run(*words: str) -> None:
            command = ["cogauth", *words]
            subprocess.run(command, **place, check=True, capture_output=True)  # noqa: S603

        run("up", "--local")
        command = ["cogauth", "page", "--no-browser", "--json"]
        with subprocess.Popen(command, **place, stdout=subprocess.PIPE) as server:  # noqa: S603
            assert server.stdout is not None  # noqa: S101 it is a pipe
            url = json.loads(server.stdout.readline())["url"]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
                )
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
                page.goto(url)
                use(page)
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    page.screenshot(path=DOCS / f"page-{scheme}.png")
                browser.close()
            server.terminate()
        run("down", "--yes")


if __name__ == "__main__":
    main()
