"""How short a run could have been: the longest chain of its calls, each as long as it took.

A resource's calls follow one another, and the first one follows all that the resource needs: those
exist when they are created and set, whether or not a function among them is Active yet. What AWS
makes one wait for is a need too: a function can be created only so long after its role, and is
Active only so long after its creation. Refused calls don't count, nor do looks at what was Pending.

This bound is on the low side: it lets writes to one API overlap, which API Gateway refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from benchmarks.conditions import NOT_WHILE_PENDING
from cogauth.engine.down_plan import deletion_needs
from cogauth.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.conditions import Conditions
    from benchmarks.proxy import Call

Needs = dict[str, set[str]]
BEFORE, AFTER = "before", "after"
RESOURCES = {resource.key: resource for step in STEPS for resource in step.resources}


@dataclass(frozen=True)
class Link:
    """A link of the chain: a resource, and when it could have been done, in seconds."""

    what: str
    at: float


@dataclass(frozen=True)
class Path:
    """The chain that takes longest, from the first link to the last."""

    seconds: float
    chain: tuple[Link, ...]


def needs_of_up() -> Needs:
    """Return what each resource needs to stand before it is made."""
    return {key: set(resource.prerequisites) for key, resource in RESOURCES.items()}


def needs_of_down() -> Needs:
    """Return what must be gone before a resource is deleted: the same graph, transposed.

    What is inside of another resource goes with that one, and has no say.
    """
    return {key: set(others) for key, others in deletion_needs().items()}


def phases(calls: Sequence[Call], needs: Mapping[str, object]) -> dict[str, list[Call]]:
    """Return the calls of each resource, and those before and after all of these, in order."""
    ordered = sorted(calls, key=lambda call: call.begin)
    mine = [call for call in ordered if call.resource in needs]
    last = max((call.end for call in mine), default=0.0)
    found: dict[str, list[Call]] = {BEFORE: [], AFTER: []}
    for call in ordered:
        if call.resource in needs:
            found.setdefault(call.resource, []).append(call)
        else:
            found[AFTER if mine and call.begin >= last else BEFORE].append(call)
    return found


def critical_path(calls: Sequence[Call], needs: Needs, conditions: Conditions) -> Path:
    """Return the chain of calls that takes longest.

    Args:
        calls: of one run; each says for which resource it was made.
        needs: by resource, what must be done before.
        conditions: what is played.
    """
    found = phases([call for call in calls if call.awaits is None], needs)
    schedule = _Schedule(conditions)
    done = {BEFORE: Link(BEFORE, _before(found[BEFORE]))}
    stands = dict(done)
    came_from: dict[str, str] = {}
    for key in TopologicalSorter(needs).static_order():
        last = max((*sorted(needs[key]), BEFORE), key=lambda need: stands[need].at)
        came_from[key] = last
        at = stood = stands[last].at
        for call in found.get(key, []):
            if role := schedule.role_waited_for(call, at):
                came_from[key] = role
            at = schedule.end(call, at)
            if not schedule.is_look(call):
                stood = at
        stands[key], done[key] = Link(key, stood), Link(key, at)
    chain = [max(done.values(), key=lambda link: link.at)]
    while chain[-1].what != BEFORE:
        chain.append(stands[came_from[chain[-1].what]])
    chain = [link for link in reversed(chain) if link.what == BEFORE or link.what in found]
    if found[AFTER]:
        chain.append(Link(AFTER, chain[-1].at + max(call.seconds for call in found[AFTER])))
    return Path(chain[-1].at, tuple(chain))


class _Schedule:
    """When each call could have ended, by the conditions."""

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions
        # By the role's name: since when, and which resource it is.
        self.assumable: dict[str, tuple[float, str]] = {}
        # By the function's name: since when.
        self.active: dict[str, float] = {}

    def is_look(self, call: Call) -> bool:
        """Say whether a call only looks whether a function that was just made is Active."""
        return call.operation.name in LOOKS and _function(call) in self.active

    def role_waited_for(self, call: Call, begin: float) -> str | None:
        """Return the resource that is the role which a function's making has to wait for."""
        since, resource = self._role_of(call)
        return resource if begin < since else None

    def end(self, call: Call, begin: float) -> float:
        """Return when a call ends that could begin at a time, but for the conditions."""
        name = call.operation.name
        begin = max(begin, self._role_of(call)[0])
        if name in {*LOOKS, *NOT_WHILE_PENDING}:
            begin = max(begin, self.active.get(_function(call), begin))
        end = begin + call.seconds
        if name == "CreateRole":
            since = end + self.conditions.role_assumable_s
            self.assumable[call.operation.about["RoleName"]] = (since, call.resource)
        if name == "CreateFunction":
            self.active[_function(call)] = end + self.conditions.function_pending_s
        return end

    def _role_of(self, call: Call) -> tuple[float, str]:
        role = call.operation.about.get("Role", "").rpartition("/")[2]
        makes = call.operation.name == "CreateFunction"
        return self.assumable.get(role, (0.0, "")) if makes else (0.0, "")


LOOKS = ("GetFunction", "GetFunctionConfiguration")


def _function(call: Call) -> str:
    return call.operation.about.get("FunctionName", "").rpartition(":")[2]


def _before(calls: list[Call]) -> float:
    """Who is calling comes first; then all else may be asked at once."""
    identity = [call.seconds for call in calls if call.operation.service == "sts"]
    others = [call.seconds for call in calls if call.operation.service != "sts"]
    return sum(identity) + max(others, default=0.0)
