"""Finds variables that a library has, but does not pass to the callbacks that it calls."""

import inspect
from collections.abc import Mapping
from typing import Any

__all__ = ["caller_variables"]


def caller_variables(module: str, name: str) -> Mapping[str, Any]:
    """Returns the local variables of a function that is running in this call stack, by name.

    The function is the nearest caller that is in the given module and has the given variable.
    Returns an empty dict if there is no such function.

    Args:
        module: A part of the module's name, such as `xgboost.training`.
        name: The name of a variable of the function.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if module in frame.f_globals.get("__name__", "") and name in frame.f_code.co_varnames:
            return dict(frame.f_locals)
        frame = frame.f_back
    return {}
