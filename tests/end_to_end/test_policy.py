"""A user of the local AWS with only the minimal policy: IAM checks each call there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cogauth.checks import policy as checks
from cogauth.settings import Settings
from support.commands import KEYS, command_line
from support.drift import drift
from support.iam import as_list
from support.local_aws import client, somebodys_api
from support.local_stack import LocalStack
from support.names import PASSWORD, REGION
from support.stacks import tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.commands import Cli

pytestmark = pytest.mark.local

ACCOUNT, STACK, USER = "000000000000", "limited", "has-only-the-policy"
# Actions that ministack never checks with IAM; see the sources in the declarations.
NEVER_ASKED = {
    "cognito-idp:TagResource",
    "iam:PassRole",
    "iam:TagRole",
    "lambda:ListTags",
    "lambda:TagResource",
    "logs:TagResource",
}


# Without it `down` waits until IAM no longer refuses the deletion: see tests/checks/test_policy.py.
LOOKS_FOR_OBSTACLES = "iam:ListRolePolicies"
# Ministack asks about all functions here: it ignores the name in the request's body.
ON_ANY_FUNCTION = {"Effect": "Allow", "Action": ["lambda:CreateFunction"], "Resource": ["*"]}


# Other commands need what these leave. The rest run only if they need the missing action.
ALWAYS = {"up", "test-login", "down"}


def actions(*commands: str) -> set[str]:
    """The actions of the commands' policy, except those that ministack never checks."""
    stack = checks.StackNames("aws", REGION, ACCOUNT, STACK, Settings())
    return {
        action
        for document in checks.policy(stack, commands)
        for statement in document["Statement"]
        for action in statement["Action"]
    } - NEVER_ASKED


class LessDoneError(AssertionError):
    """A command did less than it does for the root."""


@dataclass
class Journey:
    """A user who may do only what a policy allows, and all commands in turn.

    Attributes:
        without: an action to remove from the policy; then only commands that need it are run.
        exact: whether to use the policy with the stack's ids as soon as the stack exists.
    """

    cli: Cli
    url: str
    without: str = ""
    exact: bool = False
    keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = partial(client, url=self.url)
        self.local = LocalStack(self.cli, STACK, self.url)

    def begin(self) -> None:
        iam = self.root("iam")
        iam.create_user(UserName=USER)
        key = iam.create_access_key(UserName=USER)["AccessKey"]
        self.keys = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        self.take_policy("--account", ACCOUNT)

    def take_policy(self, *words: str) -> None:
        """Give the user the policy that the command prints, and no other."""
        iam, printed = self.root("iam"), self.cli.run("policy", *words).must().document
        self.leave_policies()
        for number, document in enumerate(as_list(printed)):
            document["Statement"].append(dict(ON_ANY_FUNCTION))
            for statement in document["Statement"]:
                kept = [action for action in statement["Action"] if action != self.without]
                # A statement without an action is invalid.
                statement["Action"] = kept or ["none:None"]
            name = f"{USER}-{number}"
            made = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))
            iam.attach_user_policy(UserName=USER, PolicyArn=made["Policy"]["Arn"])

    def leave_policies(self) -> None:
        iam = self.root("iam")
        for one in iam.list_attached_user_policies(UserName=USER)["AttachedPolicies"]:
            iam.detach_user_policy(UserName=USER, PolicyArn=one["PolicyArn"])
            iam.delete_policy(PolicyArn=one["PolicyArn"])

    def do(self, *words: str, code: int = 0, says: str = "", typed: str = "") -> None:
        """Run a command as the user; raise LessDoneError if it does less than for the root."""
        if words[0] not in ALWAYS and self.without and self.without not in actions(words[0]):
            return
        done = self.cli.run(*words, typed=typed, **self.keys)
        said = done.out + done.err
        if done.code != code or "AccessDenied" in said or says not in said:
            raise LessDoneError(f"{words}: {done.code}\n{said}")

    def play(self) -> None:
        """Run every command that makes a call, in situations that make it do everything it can."""
        self.do("plan")
        self.do("up", "--cors-origin", "https://a.example")
        if self.exact:
            self.take_policy("--api", self.theirs)
        self._use()
        self._guard()
        drift(self.root, self.local.state)
        if not self.exact:
            self._twins()
        self.do("plan")
        self.do("up", "--cors-origin", "none", "--yes")
        self._adopt()
        self._recover()
        self._down()

    def _use(self) -> None:
        protected, sign_in = map(self.local.context().url, ("/hello", "/signin"))
        self.do("test-login", "ann")
        self.do("call", "GET", "/hello")
        self.do("curl", "GET", "/hello")
        self.do("token", "-u", "ann")
        self.do("verify")
        self.do("explain", protected, "-u", "ann", "--json")
        self.do("explain", sign_in, "--method", "POST", "--no-token", "--json")
        self.do("status")
        self.do("logs")
        self.do("users")
        given = ("--permanent", "--password-stdin", "--yes")
        self.do("users", "create", "bob", *given, typed=f"{PASSWORD}\n")
        for command in ("disable", "enable", "sign-out", "delete"):
            self.do("users", command, "ann", "--yes")

    def _guard(self) -> None:
        self.do("attach", "--api", self.theirs, "--path", "/", "--yes")
        self.do("verify", "--api", self.theirs)
        self.do("detach", "--yes")
        # Attach a second time, so that there is a deployment to delete.
        self.do("attach", "--api", self.theirs, "--path", "/", "--yes")
        self.do("detach", "--yes")

    def _twins(self) -> None:
        """Make a second pool and a second client, as a late create does."""
        cognito, state = self.root("cognito-idp"), self.local.state
        cognito.create_user_pool(PoolName=STACK, UserPoolTags=tags_of(state))
        cognito.create_user_pool_client(
            UserPoolId=state.fact("user_pool", "id"), ClientName=f"{STACK}-{state.stack_id}"
        )

    def _adopt(self) -> None:
        gateway, state = self.root("apigateway"), self.local.state
        arn, api = state.fact("rest_api", "arn"), state.fact("rest_api", "id")
        gateway.untag_resource(resourceArn=arn, tagKeys=["cogauth:stack"])
        self.do("up", "--adopt", api, "--yes")

    def _recover(self) -> None:
        self.do("recover", "--state", "recovered.json")

    def _down(self) -> None:
        iam, role = self.root("iam"), self.local.state.fact("role", "id")
        nothing = {"Effect": "Deny", "Action": "*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [nothing]})
        iam.put_role_policy(RoleName=role, PolicyName="theirs", PolicyDocument=document)
        says = "has the inline policy theirs"
        self.do("down", "--yes", code=1, says=says)
        iam.delete_role_policy(RoleName=role, PolicyName="theirs")
        self.do("down", "--yes")

    @property
    def theirs(self) -> str:
        """Someone else's API."""
        gateway = self.root("apigateway")
        for api in gateway.get_rest_apis()["items"]:
            if api["name"] == "theirs":
                return str(api["id"])
        return somebodys_api(gateway)

    def end(self) -> None:
        """Let the root delete what is left."""
        for command in ("detach", "down"):
            if self.local.path.exists():
                self.cli.run(command, "--yes")
        iam, gateway = self.root("iam"), self.root("apigateway")
        self.leave_policies()
        iam.delete_access_key(UserName=USER, AccessKeyId=self.keys["AWS_ACCESS_KEY_ID"])
        iam.delete_user(UserName=USER)
        gateway.delete_rest_api(restApiId=self.theirs)


@pytest.fixture
def journey(endpoint: str, tmp_path: Path) -> Iterator[Journey]:
    environment = {
        **KEYS,
        "AWS_REGION": REGION,
        "COGAUTH_ENDPOINT_URL": endpoint,
        "COGAUTH_STACK": STACK,
        "COGAUTH_PASSWORD": PASSWORD,
        "COGAUTH_SETTLE": "1",
    }
    with command_line(tmp_path, **environment) as cli:
        made = Journey(cli, endpoint)
        yield made
        made.end()


@pytest.mark.long
@pytest.mark.parametrize("exact", [False, True], ids=["before it exists", "with its ids"])
def test_whoever_has_the_policy_can_do_everything(journey: Journey, *, exact: bool) -> None:
    journey.exact = exact
    journey.begin()
    journey.play()
    assert not journey.local.path.exists()


@pytest.mark.parametrize("action", sorted(actions() - {LOOKS_FOR_OBSTACLES}))
@pytest.mark.sample(64)
def test_without_any_one_action_something_fails(journey: Journey, action: str) -> None:
    journey.without = action
    journey.begin()
    # 'explain' continues, and names what it could not read.
    with pytest.raises(LessDoneError, match=rf"{action}|Unknown: [^\"]+: AccessDenied"):
        journey.play()
