"""`cogauth page` in a real browser where something is against it: its end, others, hostile text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from cogauth.client import token_store
from support.commands import command_line, until
from support.local_aws import somebodys_api
from support.names import PASSWORD
from support.page import opened
from support.servers import Answer, Fixed
from support.visit import CHROMIUM, Visit, launched, profile

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

    from support.local_stack import LocalStack

# For the fixtures.
pytest_plugins = ["support.visit"]
pytestmark = [
    pytest.mark.local,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH"),
]
HOSTILE = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"


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


def test_a_damaged_state_file_is_told(stack: LocalStack, visit: Visit) -> None:
    kept = stack.path.read_bytes()
    stack.path.write_text("{")
    try:
        visit.page.reload()
        for name in ("Stack", "Sign in", "Call", "Users"):
            expect(visit.region(name).get_by_role("alert")).to_contain_text("state file")
        expect(visit.page.get_by_label("Method", exact=True)).not_to_contain_text("Reading")
    finally:
        stack.path.write_bytes(kept)
    visit.page.reload()
    visit.is_complete()


def test_a_server_that_has_ended_is_told(stack: LocalStack, context: BrowserContext) -> None:
    with opened(stack.cli) as page:
        visit = Visit(context.new_page(), page)
    # At once, for the log was followed.
    alert = visit.page.get_by_role("alert")
    expect(alert).to_contain_text("The page's server has ended.", timeout=2000)
    expect(alert).to_contain_text("cogauth page")
    # No region says it again.
    visit.button("Run checks").click()
    visit.sign_in("ann")
    visit.button("Create user").click()
    expect(alert).to_have_count(2)
    expect(alert.nth(1)).to_contain_text("The name of the new user is empty.")


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
            visit.is_signed_in("ann")
            visit.sign_in("ann", f"{PASSWORD}x")
            logs = visit.region("Logs")
            expect(logs).to_contain_text("wrong_credentials")
            cli.run("down", "--yes").must()
            visit.sign_in("ann")
            alert = visit.page.get_by_role("alert")
            expect(alert).to_have_count(1)
            expect(alert).to_contain_text("no stack", ignore_case=True)
            expect(alert.get_by_role("button", name="Copy the command")).to_have_count(1)
            expect(alert.locator(".command")).to_contain_text("cogauth up")
            expect(visit.region("Stack")).to_contain_text("The status could not be read.")
            cli.run("up", "--local").must()
            expect(alert).to_have_count(0)
            visit.is_complete()
            # The lines were another stack's.
            expect(logs).not_to_contain_text("wrong_credentials")
            visit.is_signed_in("ann")
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


def test_the_page_is_for_one_tab(stack: LocalStack, context: BrowserContext) -> None:
    with opened(stack.cli) as page:
        visit = Visit(context.new_page(), page)
        visit.page.reload()
        visit.is_complete()
        visit.page.goto("about:blank")
        visit.page.go_back()
        visit.is_complete()
        visit.is_signed_in("ann")
        other = context.new_page()
        other.goto(page.origin)
        alert = other.get_by_role("alert")
        expect(alert).to_contain_text("works only in the tab that opened its URL")
        expect(alert.locator(".command")).to_contain_text("cogauth page")
        context.clear_cookies()
        visit.button("Renew").click()
        alert = visit.page.get_by_role("alert")
        expect(alert).to_contain_text("session is over")
        assert alert.inner_text().count("cogauth page") == 1
        assert visit.problems == []


def test_a_rebound_host_is_refused(stack: LocalStack, browser: Browser) -> None:
    rebound = launched(browser.browser_type, "MAP rebound.example 127.0.0.1")
    with opened(stack.cli) as page, profile(rebound) as context:
        tab = context.new_page()
        answer = tab.goto(f"http://rebound.example:{page.port}{page.key_path}")
        assert answer is not None
        assert answer.status == 403
        expect(tab.get_by_text("This is not the address of the page")).to_be_visible()
        assert context.cookies() == []
        # The key is still good.
        assert Visit(context.new_page(), page).problems == []
    rebound.close()
