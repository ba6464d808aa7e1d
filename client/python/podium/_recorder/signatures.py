"""Makes functions accept calls whose arguments do not fit the signature.

The arguments that fit are used. A warning names the others.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from podium._recorder.problems import Problems, Target
from podium._recorder.warnings import RecorderWarnings
from podium._values.suggest import near_names

__all__ = ["forgiving", "forgiving_with"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def forgiving(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Makes a recording method accept any arguments, unless its recorder is strict.

    Arguments that do not fit its signature are left out, and a warning names them.
    """
    return forgiving_with(lambda given, _: given[0].notices)(method)


def forgiving_with(
    notices_of: Callable[[tuple[Any, ...], dict[str, Any]], RecorderWarnings],
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Returns a decorator like `forgiving`, for functions that are not methods of a recorder.

    `notices_of` returns the RecorderWarnings to use, from the function's positional and named
    arguments.
    """

    def decorate(method: Callable[_P, _R]) -> Callable[_P, _R]:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def call(*given: Any, **named: Any) -> Any:
            try:
                return cast("Any", method)(*given, **named)
            except TypeError as error:
                notices = notices_of(given, named)
                if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                    raise  # the method itself raised the error
                if notices.is_strict:
                    raise
            problems = Problems()
            fitting = _fitting(signature, given, named, problems)
            notices.report(method.__name__, _target_of(given), problems)
            notices.incomplete += problems.lose_something
            return cast("Any", method)(**fitting)

        return cast("Callable[_P, _R]", call)

    return decorate


def _target_of(given: tuple[Any, ...]) -> Target:
    keeper = getattr(given[0], "_keeper", None) if given else None
    return Target() if keeper is None else keeper.target


def _fitting(
    signature: inspect.Signature,
    given: tuple[Any, ...],
    named: dict[str, Any],
    problems: Problems,
) -> dict[str, Any]:
    """Returns the arguments that fit a signature, by name. Missing required arguments are None."""
    names = list(signature.parameters)
    positional = [name for name in names if signature.parameters[name].kind in _POSITIONAL]
    fitting: dict[str, Any] = dict(zip(positional, given, strict=False))
    # Further positional arguments become the values of the keyword-only parameters, in order.
    keywords = iter(name for name in names if name not in positional and name not in named)
    for extra in given[len(positional) :]:
        name = next(keywords, None)
        if name is None:
            problems.lost("arguments", f"the call takes at most {len(names) - 1} arguments", extra)
        else:
            problems.taken(name, f"{name} must be given by its name, as {name}=")
            fitting[name] = extra
    for name, item in named.items():
        if name in fitting:
            problems.lost(name, f"{name} is given twice", item)
        elif name in names:
            fitting[name] = item
        else:
            near = " or ".join(map(repr, near_names(name, names[1:])))
            hint = f" (did you mean {near}?)" if near else ""
            problems.lost(name, f"there is no argument {name!r}{hint}", item)
    for name in names:
        if signature.parameters[name].default is inspect.Parameter.empty and name not in fitting:
            problems.changed(name, f"the argument {name!r} is missing")
            fitting[name] = None
    return fitting
