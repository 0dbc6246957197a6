"""How short a run could have been: the longest chain of its calls, with their measured times.

A resource's calls are sequential, and the first one follows the resource's prerequisites. Those are
complete when created and configured, even if a function among them isn't Active yet. AWS's own
delays count too: a role can be used some time after its creation, and a function is Active some
time after its own. Refused calls, and polls of a Pending function, don't count.

The bound is low, because it lets writes to one API overlap, which API Gateway refuses.
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
    """A link of the chain: a resource, and when it could have been complete, in seconds."""

    what: str
    at: float


@dataclass(frozen=True)
class Path:
    """The longest chain, from the first link to the last."""

    seconds: float
    chain: tuple[Link, ...]


def needs_of_up() -> Needs:
    """Return the prerequisites of each resource's creation."""
    return {key: set(resource.prerequisites) for key, resource in RESOURCES.items()}


def needs_of_down() -> Needs:
    """Return what must be deleted before each resource: the same graph, transposed.

    It leaves out resources that are deleted with their parent.
    """
    return {key: set(others) for key, others in deletion_needs().items()}


def phases(calls: Sequence[Call], needs: Mapping[str, object]) -> dict[str, list[Call]]:
    """Return the calls of each resource, and those before and after them, in order."""
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
    """Return the longest chain of calls.

    Args:
        calls: the calls of one run, each with its resource.
        needs: the prerequisites of each resource.
        conditions: the simulated conditions.
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
    """When each call could have ended under the conditions."""

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions
        # By role name: the time from which it can be assumed, and its resource.
        self.assumable: dict[str, tuple[float, str]] = {}
        # By function name: the time from which it is Active.
        self.active: dict[str, float] = {}

    def is_look(self, call: Call) -> bool:
        """Return whether a call only polls whether a new function is Active."""
        return call.operation.name in LOOKS and _function(call) in self.active

    def role_waited_for(self, call: Call, begin: float) -> str | None:
        """Return the role (as a resource) that a function's creation has to wait for."""
        since, resource = self._role_of(call)
        return resource if begin < since else None

    def end(self, call: Call, begin: float) -> float:
        """Return when a call could end; ``begin`` is its earliest start without the conditions."""
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
    """Return the time of the first reads: the caller's identity, then all others at once."""
    identity = [call.seconds for call in calls if call.operation.service == "sts"]
    others = [call.seconds for call in calls if call.operation.service != "sts"]
    return sum(identity) + max(others, default=0.0)
