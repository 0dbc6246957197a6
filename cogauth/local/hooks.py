"""Wrap functions of ministack where it doesn't answer like AWS.

Each function is looked up by name and parameters. So if ministack has changed, a ``HookError`` says
so at the start, instead of wrong answers later.

A ``name`` starts with its module's, such as ``services.cognito._sign_up``; ``parameters`` are the
names of all of a function's parameters, separated by spaces.
"""

import inspect
from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

AnyFunction = Callable[..., Any]

_needed: list[Callable[[], object]] = []


class HookError(Exception):
    """Ministack lacks something that we replace or call."""


def module(name: str) -> ModuleType:
    """Return a module of ministack, such as ``services.cognito``. Raises HookError."""
    try:
        return import_module(f"ministack.{name}")
    except ModuleNotFoundError as error:
        raise _gone(f"module {name}") from error


def function(name: str, parameters: str) -> AnyFunction:
    """Return a function or class of ministack. Raises HookError if its parameters differ."""
    found = _find(name)
    if not inspect.isfunction(found) and not inspect.isclass(found):
        raise _gone(f"function {name}")
    takes = " ".join(inspect.signature(found).parameters)
    if takes != parameters:
        raise _gone(f"function {name} that takes ({parameters}): it takes ({takes})")
    return found


def called(name: str, parameters: str) -> AnyFunction:
    """Return a function that looks up and calls one of ministack's; ``check`` verifies it."""
    _needed.append(lambda: function(name, parameters))

    def call(*given: Any, **named: Any) -> Any:
        return _find(name)(*given, **named)

    return call


def kept(name: str, kind: str | type) -> Callable[[], Any]:
    """Return a function that gets a value of ministack by its name; ``check`` verifies it.

    ``kind`` is its required class, or the name of a class of ministack.
    """

    def check_kind() -> None:
        of = _find(kind) if isinstance(kind, str) else kind
        if not inspect.isclass(of):
            raise _gone(f"class {kind}")
        if not isinstance(_find(name), of):
            raise _gone(f"{of.__name__} {name}")

    _needed.append(check_kind)
    return partial(_find, name)


def check() -> None:
    """Raise HookError unless ministack has everything that we call or read."""
    for look_for in _needed:
        look_for()


def wrap(name: str, parameters: str, around: AnyFunction) -> None:
    """Replace a function of ministack by ``around``, which gets the original as first argument."""
    own = function(name, parameters)

    @wraps(own)
    def wrapped(*given: Any, **named: Any) -> Any:
        return around(own, *given, **named)

    put(name, wrapped)


def put(name: str, new: object) -> None:
    """Replace a value of ministack by its name."""
    place, _, attribute = name.rpartition(".")
    setattr(module(place), attribute, new)


def _find(name: str) -> Any:
    place, _, attribute = name.rpartition(".")
    return getattr(module(place), attribute, None)


def _gone(what: str) -> HookError:
    return HookError(
        f"The installed ministack {version('ministack')} has no {what}. cogauth's local AWS needs "
        "the version that its extra 'local' pins: install cogauth with that extra again."
    )
