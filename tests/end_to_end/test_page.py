"""`cogauth page` in a real browser, used as a person uses it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from support.commands import command_line
from support.local_aws import MOCK, somebodys_api
from support.names import PASSWORD
from support.page import opened
from support.visit import CHROMIUM, Visit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator

    from support.local_stack import LocalStack

# For the fixtures.
pytest_plugins = ["support.visit"]
pytestmark = [
    pytest.mark.local,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH"),
]


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
    # Once, not in two sentences.
    assert region.inner_text().count("wrong_credentials") == 1


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
    sent = call.get_by_role("listitem").filter(has_text="GET /hello")
    expect(sent.first).to_contain_text("ann, access token")
    visit.page.get_by_label("Headers", exact=True).fill("nocolon")
    visit.button("Send").click()
    expect(call.get_by_role("alert")).to_contain_text("'nocolon' has no colon")


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


def test_the_checks_say_what_a_closed_sign_up_keeps_from_them(
    tmp_path_factory: pytest.TempPathFactory, context: BrowserContext
) -> None:
    with command_line(tmp_path_factory.mktemp("closed")) as cli:
        cli.run("up", "--local", "--sign-up", "closed").must()
        with opened(cli) as page:
            visit = Visit(context.new_page(), page)
            visit.button("Run checks").click()
            guard = visit.region("Guard")
            expect(guard).to_contain_text("Sign-up is closed")
            expect(guard).to_contain_text("cogauth test-login NAME")
            expect(guard).not_to_contain_text("The guard does what it must")
            assert visit.problems == []


def test_any_method_stands_beside_the_methods_of_its_path(
    stack: LocalStack, context: BrowserContext
) -> None:
    gateway = stack.gateway
    api = somebodys_api(gateway)
    (root,) = (each["id"] for each in gateway.get_resources(restApiId=api)["items"])
    for path, verbs in (("both", ("GET", "ANY")), ("{item}", ("ANY",))):
        made = gateway.create_resource(restApiId=api, parentId=root, pathPart=path)
        for verb in verbs:
            place = {"restApiId": api, "resourceId": made["id"], "httpMethod": verb}
            gateway.put_method(**place, authorizationType="NONE")
            gateway.put_integration(**place, **MOCK)
            gateway.put_integration_response(**place, statusCode="200")
    gateway.create_deployment(restApiId=api, stageName="prod")
    try:
        stack.cli.run("attach", "--api", api, "--path", "/", "--yes").must()
        with opened(stack.cli) as page:
            visit = Visit(context.new_page(), page)
            method = visit.page.get_by_label("Method", exact=True)
            verbs = visit.page.get_by_label("Verb", exact=True)
            open_to_all = method.locator(
                'optgroup[label^="theirs"][label*="open to anyone"] option'
            )
            expect(open_to_all).to_have_text(["ANY /both", "GET /both", "GET /{item}"])
            method.select_option(label="GET /both")
            expect(verbs).to_be_hidden()
            method.select_option(label="ANY /both")
            expect(verbs.locator("option", has_text=re.compile("^GET$"))).to_have_count(0)
            verbs.select_option(label="POST")
            method.select_option(label="GET /{item}")
            verbs.select_option(label="GET")
            visit.page.get_by_label("item", exact=True).fill("a/b")
            visit.send("GET /{item}", "None")
            sent = visit.region("Call").get_by_role("listitem").filter(has_text="no token")
            expect(sent.first).to_contain_text("GET /a%2Fb")
            assert visit.problems == []
    finally:
        stack.cli.run("detach", "--yes").must()
        gateway.delete_rest_api(restApiId=api)


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


def test_a_temporary_password_is_replaced(visit: Visit) -> None:
    visit.page.get_by_label("Name of the new user").fill("tom")
    visit.button("Create user").click()
    shown = visit.region("Users").locator("code")
    visit.sign_in("tom", shown.inner_text())
    fresh = visit.page.get_by_label("New password")
    expect(fresh).to_be_focused()
    fresh.fill(PASSWORD)
    fresh.press("Enter")
    expect(visit.region("Sign in")).to_contain_text("tom is signed in")
    expect(fresh).to_have_count(0)
    # The field is gone, and whoever uses the keyboard is where the answer is.
    expect(visit.page.locator(":focus")).to_contain_text("tom is signed in")


def test_the_keyboard_alone_does_it_all(visit: Visit) -> None:
    visit.is_signed_in("ann")
    visit.page.reload()
    expect(visit.region("Stack")).to_contain_text("complete")
    press, focused = visit.page.keyboard.press, visit.page.locator(":focus")

    def tab_to(wanted: Locator) -> None:
        for _ in range(60):
            press("Tab")
            if wanted.evaluate("one => one === document.activeElement"):
                return
        pytest.fail(f"Tab doesn't lead to {wanted}")

    press("Tab")
    expect(focused).to_have_text("Skip to the content")
    press("Enter")
    tab_to(visit.region("Stack").get_by_role("button", name=re.compile("Lambda: sign-in")))
    opener = focused.get_attribute("id")
    press("Enter")
    details = visit.region("Stack").get_by_role("dialog")
    expect(details.get_by_role("heading").first).to_be_focused()
    press("Escape")
    expect(details).to_have_count(0)
    expect(focused).to_have_attribute("id", opener or "")
    tab_to(visit.page.get_by_label("Username", exact=True))
    visit.page.keyboard.type("kim")
    press("Tab")
    expect(visit.page.get_by_label("Password", exact=True)).to_be_focused()
    visit.page.keyboard.type(PASSWORD)
    press("Enter")
    expect(visit.region("Sign in")).to_contain_text("kim is signed in")
    tab_to(visit.page.get_by_label("Method", exact=True))
    tab_to(visit.page.get_by_role("radio", name="ID token"))
    for name in ("Access token", "None"):
        press("ArrowRight")
        expect(visit.page.get_by_role("radio", name=name)).to_be_checked()
    for key, token, status in (("Enter", None, "401"), ("Space", "ArrowLeft", "401")):
        if token:
            visit.page.get_by_role("radio", name="None").focus()
            press(token)
        press("Tab")
        expect(visit.button("Send")).to_be_focused()
        press(key)
        expect(visit.region("Response")).to_contain_text(status)
        expect(visit.button("Send")).to_be_focused()
    expect(visit.region("Response")).to_contain_text("kim, access token")


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
        # What is open is kept up to date, and so is the place in it.
        expect(visit.region("Stack")).to_contain_text("drifted")
        details = visit.region("Stack").get_by_role("dialog")
        expect(details).to_contain_text("MemorySize")
        expect(details.get_by_role("heading").first).to_be_focused()
    finally:
        client.update_function_configuration(FunctionName=function, MemorySize=512)


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
