"""Up, down, attach and recover: the only code that knows the journal's protocol and the graph.

Up, for each resource as soon as what it needs stands: write the intent; look for it if an earlier
run left an intent; create it; write the fact; then make whatever calls bring its configuration to
what the stack wants. A crash at any place leaves either an intent or a fact, and both are enough to
go on or to clean up.

Down: first it finds what goes. Then the same graph, transposed; what is inside something else goes
with it. Then it looks again for all that is the stack's.

Attach and detach, for methods of any API: what each had before is on disk before it is touched.
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
