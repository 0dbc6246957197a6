"""Up, down, attach and recover: the only code that knows the journal's protocol and the graph.

Up, for each resource as soon as what it needs stands: write the intent; look for it if an earlier
run left an intent; create it; write the fact; then make whatever calls bring its configuration to
what the stack wants. A crash at any place leaves either an intent or a fact, and both are enough to
go on or to clean up.

Down: first it finds what goes. Then the same graph, transposed; what is inside something else goes
with it. Then it looks again for all that is the stack's.

Attach and detach, for methods of any API: what each had before is on disk before it is touched.
"""

from cogauth.engine.attach import ATTACH_CLIENTS, Attached, Detached, attach, detach
from cogauth.engine.attach_plan import (
    Api,
    Plan,
    Row,
    Wanted,
    attached_apis,
    choose,
    plan_attach,
    plan_detach,
    read_api,
)
from cogauth.engine.down import DownResult, down
from cogauth.engine.down_plan import DOWN_CLIENTS, DownPlan, plan_down
from cogauth.engine.journal import Finding, check_names, is_complete, survey
from cogauth.engine.recover import recover
from cogauth.engine.up import UP_CLIENTS, Reporter, StepResult, up

__all__ = [
    "ATTACH_CLIENTS",
    "DOWN_CLIENTS",
    "UP_CLIENTS",
    "Api",
    "Attached",
    "Detached",
    "DownPlan",
    "DownResult",
    "Finding",
    "Plan",
    "Reporter",
    "Row",
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
