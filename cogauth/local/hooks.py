"""Puts functions of ours around ministack's, where it answers unlike AWS.

What is wrapped or called is looked for by its name and its parameters, so that a ministack that has
changed is noticed when it starts and not when an answer is wrong: by a ``HookError``.

A ``name`` is one of ministack's with its module's before it, as ``services.cognito._sign_up``;
``parameters`` are the names of all that a function takes, separated by spaces.
"""

import inspect
from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

Function = Callable[..., Any]

_needed: list[Callable[[], object]] = []


class HookError(Exception):
    """Ministack hasn't got what we would replace or call."""


def module(name: str) -> ModuleType:
    """Return a module of ministack's, as ``services.cognito``. Raises HookError."""
    try:
        return import_module(f"ministack.{name}")
    except ModuleNotFoundError as error:
        raise _gone(f"module {name}") from error


def function(name: str, parameters: str) -> Function:
    """Return a function or class of ministack's, which must look as it did once."""
    found = _find(name)
    if not inspect.isfunction(found) and not inspect.isclass(found):
        raise _gone(f"function {name}")
    takes = " ".join(inspect.signature(found).parameters)
    if takes != parameters:
        raise _gone(f"function {name} that takes ({parameters}): it takes ({takes})")
    return found


def called(name: str, parameters: str) -> Function:
    """Return a function that calls one of ministack's as it is then; ``check`` looks for it."""
    _needed.append(lambda: function(name, parameters))

    def call(*given: Any, **named: Any) -> Any:
        return _find(name)(*given, **named)

    return call


def kept(name: str, kind: str | type) -> Callable[[], Any]:
    """Return a function that gets what ministack keeps under a name; ``check`` looks for it.

    ``kind`` is the class that it must be of, or the name of one of ministack's.
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
    """See that ministack has all that is called or read here. Raises HookError."""
    for look_for in _needed:
        look_for()


def wrap(name: str, parameters: str, around: Function) -> None:
    """Put ``around`` in the place of a function of ministack's; that is its first argument."""
    own = function(name, parameters)

    @wraps(own)
    def wrapped(*given: Any, **named: Any) -> Any:
        return around(own, *given, **named)

    put(name, wrapped)


def put(name: str, new: object) -> None:
    """Put something in the place of what ministack keeps under a name."""
    place, _, attribute = name.rpartition(".")
    setattr(module(place), attribute, new)


def _find(name: str) -> Any:
    place, _, attribute = name.rpartition(".")
    return getattr(module(place), attribute, None)


def _gone(what: str) -> HookError:
    return HookError(
        f"The ministack {version('ministack')} that is installed has no {what}. cogauth's local "
        "AWS needs the version that its extra 'local' pins: install cogauth with it again."
    )
