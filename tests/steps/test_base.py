"""What every resource and every step says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from cogauth.record.records import CREATING
from cogauth.settings import Settings
from cogauth.steps import RESOURCES, STEPS
from support.state_files import POOL_ID
from support.status import stack_in

if TYPE_CHECKING:
    from pathlib import Path

    from cogauth.steps.base import Step

HOSTS = {
    "aws": ("eu-central-1", "console.aws.amazon.com"),
    "aws-cn": ("cn-north-1", "console.amazonaws.cn"),
    "aws-us-gov": ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    "aws-eusc": ("eusc-de-east-1", "console.amazonaws-eusc.eu"),
}
POOL = f"cognito/v2/idp/user-pools/{POOL_ID}"
API = "apigateway/main/apis/rest_api"
# The part of the console's address after the host; REGION is the stack's region.
PAGES = {
    "user_pool": f"{POOL}?region=REGION",
    "app_client": f"{POOL}/applications/app-clients/app_client/quick-setup-guide?region=REGION",
    "role": "iam/home#/roles/details/cogauth-LambdaAuthRole",
    "sign_in_function": "lambda/home?region=REGION#/functions/sign_in_function",
    "auto_confirm_role": "iam/home#/roles/details/auto_confirm_role",
    "auto_confirm_function": "lambda/home?region=REGION#/functions/auto_confirm_function",
    "trigger": f"{POOL}?region=REGION",
    "rest_api": f"{API}/resources?api=rest_api&region=REGION",
    "authorizer": f"{API}/authorizers?api=rest_api&region=REGION",
    "protected_method": f"{API}/resources?api=rest_api&region=REGION",
    "deployment": f"{API}/stages?api=rest_api&region=REGION",
}


@pytest.mark.parametrize("partition", HOSTS)
def test_each_step_has_its_page_in_the_partitions_console(partition: str, tmp_path: Path) -> None:
    region, host = HOSTS[partition]
    ctx = stack_in(partition, tmp_path, region)
    urls = {step.name: step.console_url(ctx) for step in STEPS}
    pages = {name: page.replace("REGION", region) for name, page in PAGES.items()}
    assert urls == {name: f"https://{host}/{page}" for name, page in pages.items()}


def test_what_a_name_contains_stays_a_name_in_the_url(tmp_path: Path) -> None:
    ctx = stack_in("aws", tmp_path)
    ctx.state.resources["role"]["id"] = "a+b=c,d.e@f-g_h/?#&%"
    (step,) = (step for step in STEPS if step.name == "role")
    url = step.console_url(ctx)
    assert url
    shown = urlsplit(url)
    assert (shown.query, shown.fragment.count("/")) == ("", 3)
    assert url.endswith("/a%2Bb%3Dc%2Cd.e%40f-g_h%2F%3F%23%26%25")


@pytest.mark.parametrize("url", ["http://127.0.0.1:4566", "https://aws.example"])
def test_what_is_not_on_aws_has_no_page(url: str, tmp_path: Path) -> None:
    ctx = stack_in("aws", tmp_path, endpoint_url=url)
    assert {step.console_url(ctx) for step in STEPS} == {None}


def test_a_partition_without_a_known_console_has_no_page(tmp_path: Path) -> None:
    ctx = stack_in("aws-iso", tmp_path, "us-iso-east-1")
    assert {step.console_url(ctx) for step in STEPS} == {None}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_what_has_no_id_yet_has_no_page(step: Step, tmp_path: Path) -> None:
    """Neither for a step without a record, nor for one whose creation was interrupted."""
    ctx = stack_in("aws", tmp_path)
    for key in filter(None, (step.main.key, step.main.parent)):
        kept = ctx.state.resources.pop(key)
        assert step.console_url(ctx) is None
        ctx.state.resources[key] = {"status": CREATING, "since": "2026-11-27T12:00:00+00:00"}
        assert step.console_url(ctx) is None
        ctx.state.resources[key] = kept
    assert step.console_url(ctx)


@pytest.mark.parametrize(
    ("settings", "unneeded"),
    [
        (Settings(power_user=True, cors_origins=("https://a.example",)), set()),
        (Settings(cors_origins=("*",)), {"power_user_attachment"}),
        (
            Settings(power_user=True, cors_origins=("https://a.example", "https://b.example")),
            {f"{name}_response" for name in ("unauthorized", "access_denied")}
            | {"default_4xx_response", "default_5xx_response"},
        ),
        (
            Settings(power_user=True),
            {f"{name}_response" for name in ("unauthorized", "access_denied")}
            | {"default_4xx_response", "default_5xx_response"}
            | {"sign_in_preflight", "hello_preflight"},
        ),
    ],
)
def test_the_settings_say_which_resources_a_stack_has(
    settings: Settings, unneeded: set[str], tmp_path: Path
) -> None:
    ctx = stack_in("aws", tmp_path)
    ctx.state.settings = settings
    assert {key for key, each in RESOURCES.items() if not each.wanted(ctx)} == unneeded
