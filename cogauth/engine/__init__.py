"""Up, down and recover: the only code that knows the journal's protocol and the order of the steps.

Up, for each resource: write the intent; look for it if an earlier run left an intent; create it;
write the fact; then make whatever calls bring its configuration to what the stack wants. A crash
at any place leaves either an intent or a fact, and both are enough to go on or to clean up.

Down: the same steps in reverse. What is inside something else goes with it; log groups go last,
for a function's late lines would bring them back. Then it looks again for all that is the stack's.
"""

from cogauth.engine.down import DownResult, down, standing
from cogauth.engine.journal import Finding, check_names, is_complete, survey
from cogauth.engine.recover import recover
from cogauth.engine.up import Reporter, StepResult, up

__all__ = [
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
