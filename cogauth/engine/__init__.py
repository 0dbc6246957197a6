"""Up, down and recover: the only code that knows the journal's protocol and the graph.

Up, for each resource as soon as what it needs stands: write the intent; look for it if an earlier
run left an intent; create it; write the fact; then make whatever calls bring its configuration to
what the stack wants. A crash at any place leaves either an intent or a fact, and both are enough to
go on or to clean up.

Down: the same graph, transposed. What is inside something else goes with it. Then it looks again
for all that is the stack's.
"""

from cogauth.engine.down import DOWN_CLIENTS, DownResult, down, standing
from cogauth.engine.journal import Finding, check_names, is_complete, survey
from cogauth.engine.recover import recover
from cogauth.engine.up import UP_CLIENTS, Reporter, StepResult, up

__all__ = [
    "DOWN_CLIENTS",
    "UP_CLIENTS",
    "DownResult",
    "Finding",
    "Reporter",
    "StepResult",
    "check_names",
    "down",
    "is_complete",
    "recover",
    "standing",
    "survey",
    "up",
]
