"""Finds arguments of a library's running function that the library does not pass to callbacks."""

import inspect
from collections.abc import Mapping
from typing import Any

__all__ = ["caller_variables"]


def caller_variables(module: str, name: str) -> Mapping[str, Any]:
    """Returns the local variables of a library's function that is running in this call stack.

    The function is the nearest caller that has the variable, in a module with the given name.

    Args:
        module: A part of the module's name, such as `xgboost.training`.
        name: The name of a variable of the function.

    Returns:
        All local variables of the function, by name; an empty dict if there is no such function.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if module in frame.f_globals.get("__name__", "") and name in frame.f_code.co_varnames:
            return dict(frame.f_locals)
        frame = frame.f_back
    return {}
