"""`cogauth page` in a real browser, used as a person uses it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect, sync_playwright

from cogauth.client import token_store
from support.commands import command_line, until
from support.local_aws import somebodys_api
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.page import opened
from support.servers import Answer, Fixed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Locator, Page

    from support.page import OpenPage

CHROMIUM = shutil.which("chromium")
# axe-core's script, of the npm package axe-core.
AXE = os.environ.get("COGAUTH_TEST_AXE")
pytestmark = [
    pytest.mark.local,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH"),
]
SEE_S = 20
expect.set_options(SEE_S * 1000)
HOSTILE = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"


class Visit:
    """A person's browser on a page."""

    def __init__(self, page: Page, opened: OpenPage) -> None:
        self.page = page
        self.opened = opened
        self.problems: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.goto(opened.url)
        expect(self.region("Stack")).to_contain_text("complete")

    def _note(self, message: Any) -> None:
        # A browser reports each answer with an error's status by itself.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def region(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=name, exact=True)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        self.page.get_by_label("Username", exact=True).fill(name)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.button("Sign in").click()

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
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        # It can reach only this machine.
        flags.append("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SEE_S * 1000)
    yield context
    context.close()


@pytest.fixture
def visit(stack: LocalStack, context: BrowserContext) -> Iterator[Visit]:
    with opened(stack.cli) as page:
        visit = Visit(context.new_page(), page)
        yield visit
        assert visit.problems == []


def test_a_user_signs_up_signs_in_again_and_sees_the_claims(visit: Visit) -> None:
    visit.sign_in("ann")
    region = visit.region("Sign in")
    expect(region).to_contain_text("new user", ignore_case=True)
    # Without a click.
    expect(region.get_by_text("cognito:username")).to_be_visible()
    expect(region.get_by_text("token_use").first).to_be_visible()
    expect(region).to_contain_text(re.compile(r"expires in 59:\d\d"))
    visit.sign_in("ann")
    expect(region).to_contain_text("existed before")
    visit.sign_in("ann", f"{PASSWORD}x")
    expect(region).to_contain_text("wrong_credentials")
    expect(region).to_contain_text("401")


def test_a_call_is_answered_with_a_token_and_explained_without(visit: Visit) -> None:
    visit.is_signed_in("ann")
    answer = visit.send("GET /hello", "ID token")
    expect(answer).to_contain_text("200")
    expect(answer).to_contain_text("Hello! Your token was accepted.")
    call = visit.region("Call")
    for token, why in (
        ("None", "no token"),
        ("Tampered", "signature"),
        ("Access token", "access token"),
    ):
        answer = visit.send("GET /hello", token)
        expect(answer).to_contain_text("401")
        expect(call).to_contain_text("Fix:")
        expect(call).to_contain_text(re.compile(why, re.IGNORECASE))
    visit.button("Copy as curl").click()
    command = visit.page.get_by_label("Command for the terminal")
    expect(command).to_have_value(re.compile("curl -sS"))
    assert "eyJ" not in command.input_value()


def test_two_users_are_switched_between(visit: Visit) -> None:
    for name in ("ann", "ben"):
        visit.is_signed_in(name)
    chosen = visit.page.get_by_label("Signed in as")
    chosen.select_option(label="ann")
    expect(visit.region("Call")).to_contain_text("ann")
    claims = visit.region("Sign in").get_by_text("ben", exact=True)
    expect(claims.and_(visit.page.locator("dd"))).to_have_count(0)


def test_the_checks_are_run(visit: Visit) -> None:
    visit.button("Run checks").click()
    guard = visit.region("Guard")
    expect(guard).to_contain_text("7 passed, 0 failed")
    expect(guard.get_by_role("row", name="tampered token")).to_contain_text("401")


def test_a_user_is_created_found_and_deleted(stack: LocalStack, visit: Visit) -> None:
    users = visit.region("Users")
    visit.page.get_by_label("Name of the new user").fill("zoe")
    visit.button("Create user").click()
    expect(users).to_contain_text("password", ignore_case=True)
    visit.page.get_by_label("Search users").fill("zo")
    visit.button("Disable zoe").click()
    expect(visit.button("Enable zoe")).to_be_visible()
    visit.button("Delete zoe").click()
    dialog = visit.page.get_by_role("dialog")
    expect(dialog).to_contain_text("zoe")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    visit.button("Delete zoe").click()
    dialog.get_by_role("button", name=re.compile("Delete")).click()
    expect(visit.button("Delete zoe")).to_have_count(0)
    pool = stack.state.fact("user_pool", "id")
    found = stack.cognito.list_users(UserPoolId=pool, Filter='username = "zoe"')["Users"]
    assert found == []


def test_the_log_follows_a_sign_in(visit: Visit) -> None:
    visit.sign_in("ann", f"{PASSWORD}x")
    expect(visit.region("Logs")).to_contain_text("wrong_credentials")


def test_a_step_shows_its_ids_settings_and_what_was_changed(
    stack: LocalStack, visit: Visit
) -> None:
    step = visit.region("Stack").get_by_role("button", name=re.compile("Lambda: sign-in"))
    step.focus()
    visit.page.keyboard.press("Enter")
    expect(visit.region("Stack")).to_contain_text("--sign-in-memory")
    client = stack.client("lambda")
    function = f"{stack.stack}-signInFunction"
    client.update_function_configuration(FunctionName=function, MemorySize=256)
    try:
        visit.page.reload()
        expect(visit.region("Stack")).to_contain_text("drifted")
        step.click()
        expect(visit.region("Stack")).to_contain_text("MemorySize")
    finally:
        client.update_function_configuration(FunctionName=function, MemorySize=512)


def test_an_expired_session_says_what_to_do(stack: LocalStack, visit: Visit) -> None:
    visit.is_signed_in("ann")
    kept = token_store.stored(stack.state)["ann"]
    ended = {**dict.fromkeys(kept, "e30.e30.AA"), "refresh_token": "over"}
    token_store.store(stack.state, "ann", ended)
    visit.button("Renew").click()
    expect(visit.region("Sign in")).to_contain_text("The stored session of ann is over")
    visit.button("Send").click()
    expect(visit.region("Call")).to_contain_text("Sign in again")


def test_hostile_names_and_bodies_are_shown_as_text(
    stack: LocalStack, context: BrowserContext
) -> None:
    api = somebodys_api(stack.gateway, HOSTILE, json.dumps({HOSTILE: HOSTILE}))
    pool = stack.state.fact("user_pool", "id")
    stack.cognito.admin_create_user(UserPoolId=pool, Username="<b>bold</b>")
    try:
        stack.cli.run("attach", "--api", api, "--path", "/", "--yes").must()
        with opened(stack.cli) as page:
            visit = Visit(context.new_page(), page)
            expect(visit.region("Users")).to_contain_text("<b>bold</b>")
            visit.sign_in("<script>document.title='run'</script>")
            expect(visit.region("Sign in")).to_contain_text("cognito:username")
            expect(visit.region("Stack")).to_contain_text(HOSTILE)
            answer = visit.send("GET /", "ID token")
            expect(answer).to_contain_text("200")
            expect(answer).to_contain_text(HOSTILE)
            assert visit.page.title() != "run"
            assert visit.page.locator("img, b, script:not([src])").count() == 0
            assert visit.problems == []
    finally:
        stack.cli.run("detach", "--yes").must()
        stack.gateway.delete_rest_api(restApiId=api)


def test_a_server_that_has_ended_is_told(stack: LocalStack, context: BrowserContext) -> None:
    with opened(stack.cli) as page:
        visit = Visit(context.new_page(), page)
    visit.button("Run checks").click()
    alert = visit.page.get_by_role("alert").filter(has_text="cogauth page")
    expect(alert.first).to_be_visible()


def test_a_program_that_takes_the_port_gets_no_password(
    stack: LocalStack, context: BrowserContext
) -> None:
    with opened(stack.cli) as page:
        visit = Visit(context.new_page(), page)
    thief = Fixed(
        lambda _request: Answer(200, "{}", {"Content-Type": "application/json"}), port=page.port
    )
    with thief:
        visit.sign_in("ann")
        expect(visit.page.get_by_role("alert").first).to_be_visible()
        # It answers what the page asks all the time, and the page doesn't believe it.
        assert until(lambda: len(thief.requests) > 2)
        expect(visit.page.get_by_role("alert").first).to_be_visible()
    assert not [each for each in thief.requests if PASSWORD.encode() in each.body]


def test_a_stack_that_was_taken_down_is_told(
    tmp_path_factory: pytest.TempPathFactory, context: BrowserContext
) -> None:
    with command_line(tmp_path_factory.mktemp("down")) as cli:
        cli.run("up", "--local").must()
        with opened(cli) as page:
            visit = Visit(context.new_page(), page)
            cli.run("down", "--yes").must()
            visit.sign_in("ann")
            expect(visit.page.get_by_role("alert").first).to_contain_text(
                "no stack", ignore_case=True
            )
            assert visit.problems == []


def test_who_has_no_cookie_sees_nothing(stack: LocalStack, context: BrowserContext) -> None:
    with opened(stack.cli) as page:
        other = context.new_page()
        other.goto(page.origin)
        expect(other.get_by_text("Run 'cogauth page' again")).to_be_visible()
        # The key is still good, for the one who has it; then it isn't.
        Visit(context.new_page(), page)
        context.clear_cookies()
        other.goto(page.url)
        expect(other.get_by_text("Run 'cogauth page' again")).to_be_visible()


def test_another_site_can_neither_read_nor_change_anything(
    stack: LocalStack, context: BrowserContext
) -> None:
    text = Answer(200, "<!doctype html><title>foreign</title>", {"Content-Type": "text/html"})
    with opened(stack.cli) as page, Fixed(lambda _request: text) as site:
        Visit(context.new_page(), page)
        foreign = context.new_page()
        foreign.goto(site.url)
        asked = """async ([url, method]) => {
          try {
            const sent = {method, credentials: "include", body: method === "POST" ? "{}" : null};
            return (await fetch(url, sent)).status;
          } catch (error) { return error.name; }
        }"""
        for path, method in (("/api/sessions", "GET"), ("/api/users/delete", "POST")):
            assert foreign.evaluate(asked, [page.origin + path, method]) == "TypeError"
        framed = """url => new Promise((done) => {
          const frame = document.createElement("iframe");
          frame.src = url;
          frame.onload = () => { try { done(frame.contentDocument?.title ?? null); }
                                 catch (error) { done(error.name); } };
          document.body.append(frame);
        })"""
        assert foreign.evaluate(framed, page.origin) in {None, "", "SecurityError"}


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_use_it(
    stack: LocalStack, context: BrowserContext, scheme: Any, width: int
) -> None:
    with opened(stack.cli) as page:
        tab = context.new_page()
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 800})
        visit = Visit(tab, page)
        assert visit.audit() == []
        visit.is_signed_in("ann")
        visit.send("GET /hello", "Tampered")
        expect(visit.region("Call")).to_contain_text("Fix:")
        visit.button("Run checks").click()
        expect(visit.region("Guard")).to_contain_text("passed")
        assert visit.audit() == []
        # Nothing is cut off at the side.
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.problems == []
