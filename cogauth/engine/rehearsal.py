"""A first ``up``, rehearsed: the resources make their calls, but nothing is sent to AWS.

The answers consist of what was sent, and of shell variables for what only AWS knows.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse

from cogauth.aws.answers import READS
from cogauth.aws.clients import ONCE, Aws
from cogauth.aws.environment import Keys
from cogauth.context import Context
from cogauth.steps import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.config import Config
    from botocore.model import OperationModel

    from cogauth.steps.base import Resource

Sent = dict[str, Any]
# The variable with the account.
ACCOUNT = "ACCOUNT"
# Where a call's context keeps its parameters.
SENT = "cogauth_sent"
# What only AWS knows: by operation, a suffix for a variable's name and the place in the answer, as
# a JMESPath expression.
TOLD = {
    "CreateUserPool": {"ID": "UserPool.Id", "ARN": "UserPool.Arn"},
    "CreateUserPoolClient": {"ID": "UserPoolClient.ClientId"},
    "CreateRole": {"ARN": "Role.Arn"},
    "CreateFunction": {"ARN": "FunctionArn"},
    "CreateRestApi": {"ID": "id", "ROOT": "rootResourceId"},
    "CreateResource": {"ID": "id"},
    "CreateAuthorizer": {"ID": "id"},
    "CreateDeployment": {"ID": "id"},
}
# What AWS derives from the parameters, or calls otherwise in its answer.
DERIVED: dict[str, Callable[[Sent], Sent]] = {
    "CreateUserPool": lambda sent: {"Name": sent["PoolName"]},
    "CreateFunction": lambda sent: {
        "CodeSha256": base64.b64encode(hashlib.sha256(sent["Code"]["ZipFile"]).digest()).decode(),
        "State": "Pending",
    },
    "AddPermission": lambda sent: {"Statement": json.dumps(_statement(sent))},
    # Its parent is the root.
    "CreateResource": lambda sent: {"path": f"/{sent['pathPart']}"},
    "PutIntegration": lambda sent: {"httpMethod": sent.get("integrationHttpMethod")},
}


@dataclass(frozen=True)
class RehearsedCall:
    """One call of a first ``up``.

    Attributes:
        resource: whose call it is.
        what: what it changes; empty if it creates the resource.
        sent: the parameters; ``${NAME}`` in them stands for a variable.
        told: the variables that its answer sets, each with the place in the answer (JMESPath).
        once: whether a repetition after a lost answer could create a second resource.
    """

    resource: Resource
    what: str
    service: str
    operation: str
    sent: Sent
    told: dict[str, str]
    once: bool


def rehearse(ctx: Context) -> tuple[Context, list[RehearsedCall]]:
    """Return the calls of a first ``up`` with the stack's settings, in the console's order.

    Nothing is sent, nothing is written to disk, and no credentials are needed. The only reading
    calls among them are those that wait for a resource.

    Returns:
        The context of the rehearsed stack, which has a stack id of its own and variables for ids;
        and the calls.
    """
    aws = _Rehearsal(ctx.aws.region)
    new: dict[str, Any] = {"resources": {}, "attachments": {}, "throwaway_users": {}}
    state = replace(ctx.state, stack_id=str(uuid.uuid4()), **new)
    there = Context(aws, state, aws.waiter())
    for resource in RESOURCES.values():
        if not resource.wanted(there):
            continue
        aws.about = resource, ""
        live = resource.create(there)
        # Not by the journal, which writes the state file.
        state.resources[resource.key] = resource.facts(there, live)
        changes = list(resource.changes(there, live))
        resource.wait_until_ready(there, live)
        for change in changes:
            differs = ", ".join(each.path for each in change.fields)
            aws.about = resource, change.what or f"set {differs}"
            change.call()
    return there, aws.calls


class _Rehearsal(Aws):
    """An account that notes each call and answers it in AWS's place."""

    about: tuple[Resource, str]

    def __init__(self, region: str) -> None:
        # Keys of nobody: they sign nothing.
        super().__init__(region=region, local=Keys("none", "none"))
        self.calls: list[RehearsedCall] = []
        self._pool: Sent = {}

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The account's variable, and the region's partition."""
        return variable(ACCOUNT), self.regions_partition

    def _client(self, service: str, config: Config) -> Any:
        client = super()._client(service, config)
        client.meta.events.register("before-parameter-build", _keep)
        # botocore takes what such a handler returns for the answer, and sends nothing.
        # https://docs.aws.amazon.com/boto3/latest/guide/events.html
        client.meta.events.register("before-call", partial(self._answer, once=config is ONCE))
        return client

    def _answer(
        self,
        model: OperationModel,
        context: dict[str, Any],
        *,
        once: bool,
        **_call: Any,
    ) -> tuple[AWSResponse, dict[str, Any]]:
        sent = context[SENT]
        if model.name.startswith(READS):
            parsed = self._read(model, sent)
        else:
            parsed = self._written(model, sent, once=once)
        headers: Any = {}
        return AWSResponse("https://aws.invalid/", 200, headers, None), parsed

    def _read(self, model: OperationModel, sent: Sent) -> Sent:
        if model.name == "DescribeUserPool":
            # AWS describes defaults besides. UpdateUserPool sets what it isn't given to the same.
            return {"UserPool": deepcopy(self._pool)}
        if model.name == "GetFunctionConfiguration":
            # What is asked for the state of a new function waits for it.
            self._note(model, sent)
            return {"State": "Active"}
        if model.name == "GetGatewayResponse":
            return {"defaultResponse": True}
        raise NotImplementedError(f"{model.name}: what AWS answers for a new stack isn't known.")

    def _written(self, model: OperationModel, sent: Sent, *, once: bool) -> Sent:
        told = TOLD.get(model.name, {})
        names = {f"{self.about[0].key.upper()}_{suffix}": at for suffix, at in told.items()}
        self._note(model, sent, names, once=once)
        outer = next((at.partition(".")[0] for at in told.values() if "." in at), None)
        shape: Any = model.output_shape
        members = shape.members[outer].members if outer else shape.members if shape else {}
        answer = {
            **{name: sent[name] for name in members if name in sent},
            **(DERIVED[model.name](sent) if model.name in DERIVED else {}),
            **{at.rpartition(".")[2]: variable(name) for name, at in names.items()},
        }
        if model.name == "CreateUserPool":
            self._pool = deepcopy(answer)
        return {outer: answer} if outer else answer

    def _note(
        self,
        model: OperationModel,
        sent: Sent,
        told: dict[str, str] | None = None,
        *,
        once: bool = False,
    ) -> None:
        service = model.service_model.service_name
        self.calls.append(RehearsedCall(*self.about, service, model.name, sent, told or {}, once))


def variable(name: str) -> str:
    """Return a shell variable as it stands in parameters."""
    return f"${{{name}}}"


def _statement(sent: Sent) -> Sent:
    """Return the statement that AddPermission adds to a function's policy."""
    condition = {"ArnLike": {"AWS:SourceArn": sent["SourceArn"]}}
    if "SourceAccount" in sent:
        condition["StringEquals"] = {"AWS:SourceAccount": sent["SourceAccount"]}
    return {
        "Sid": sent["StatementId"],
        "Effect": "Allow",
        "Principal": {"Service": sent["Principal"]},
        "Action": sent["Action"],
        "Condition": condition,
    }


def _keep(params: Sent, context: dict[str, Any], **_call: Any) -> None:
    """Keep a call's parameters: ``before-call`` gets only the request that they become."""
    context[SENT] = deepcopy(params)
