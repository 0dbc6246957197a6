"""Puts functions of ours in the place of ministack's, where it answers unlike AWS.

Each is looked for by its name and its parameters, so that a ministack that has changed is noticed
when it starts and not when an answer is wrong: each function here raises ``HookError`` then.

A ``name`` is one of ministack's with its module's before it, as ``services.cognito._sign_up``;
``parameters`` are the names of all that a function takes, separated by spaces.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any, TypeVar

_Kind = TypeVar("_Kind")


class HookError(Exception):
    """Ministack hasn't got what we would replace or call."""


def module(name: str) -> ModuleType:
    """Return a module of ministack's, as ``services.cognito``."""
    try:
        return import_module(f"ministack.{name}")
    except ModuleNotFoundError as error:
        raise _gone(f"module {name}") from error


def function(name: str, parameters: str) -> Callable[..., Any]:
    """Return a function or class of ministack's, which must look as it did once."""
    place, _, attribute = name.rpartition(".")
    found = getattr(module(place), attribute, None)
    if not inspect.isfunction(found) and not inspect.isclass(found):
        raise _gone(f"function {name}")
    takes = " ".join(inspect.signature(found).parameters)
    if takes != parameters:
        raise _gone(f"function {name} that takes ({parameters}): it takes ({takes})")
    return found


def replace(
    name: str, parameters: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Put a function in the place of one of ministack's.

    ``make`` is given ministack's own, to call it, and returns the one that takes its place.
    """
    place, _, attribute = name.rpartition(".")
    setattr(module(place), attribute, make(function(name, parameters)))


def value(name: str, kind: type[_Kind]) -> _Kind:
    """Return what ministack keeps under a name; ``kind`` is what it must be."""
    place, _, attribute = name.rpartition(".")
    found = getattr(module(place), attribute, None)
    if not isinstance(found, kind):
        raise _gone(f"{kind.__name__} {name}")
    return found


def replace_value(name: str, kind: type[_Kind], make: Callable[[_Kind], _Kind]) -> None:
    """Put something in the place of what ministack keeps under a name.

    ``kind`` is what it must be; ``make`` is given ministack's own, and returns what replaces it.
    """
    place, _, attribute = name.rpartition(".")
    setattr(module(place), attribute, make(value(name, kind)))


def _gone(what: str) -> HookError:
    return HookError(
        f"The ministack {version('ministack')} that is installed has no {what}. cogauth's local "
        "AWS needs the version that its extra 'local' pins: install cogauth with it again."
    )
