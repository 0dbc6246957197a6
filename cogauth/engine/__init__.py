"""Up, down and recover: the graph, and the journal of the stack's resources.

Up, for each resource as soon as its prerequisites exist: look for what its record names, or what an
interrupted create may have left. If there is nothing, write the intent, create it, write the
outcome. Then make the calls that bring it to what the stack wants. A crash at any place leaves an
intent or an outcome, and both are enough to go on or to clean up.

Down: first find what is to be deleted. Then take the same graph, transposed; parts are deleted with
their parent. Then look again for all that is the stack's.

``attach`` keeps a journal of its own, of methods of any API. It is exported here too.
"""

from cogauth.attach.attach import Attached, Wanted, attach, plan_attach
from cogauth.attach.detach import Detached, attached_apis, detach, plan_detach
from cogauth.attach.model import Api, Change, Plan, Skip, choose, read_api
from cogauth.attach.work import ATTACH_CLIENTS
from cogauth.engine.down import DownResult, down
from cogauth.engine.down_plan import DOWN_CLIENTS, DownPlan, plan_down
from cogauth.engine.recover import recover
from cogauth.engine.reporting import Reporter, StepResult
from cogauth.engine.up import UP_CLIENTS, up
from cogauth.steps.lookup import Finding, check_names, is_complete, survey

__all__ = [
    "ATTACH_CLIENTS",
    "DOWN_CLIENTS",
    "UP_CLIENTS",
    "Api",
    "Attached",
    "Change",
    "Detached",
    "DownPlan",
    "DownResult",
    "Finding",
    "Plan",
    "Reporter",
    "Skip",
    "StepResult",
    "Wanted",
    "attach",
    "attached_apis",
    "check_names",
    "choose",
    "detach",
    "down",
    "is_complete",
    "plan_attach",
    "plan_detach",
    "plan_down",
    "read_api",
    "recover",
    "survey",
    "up",
]
