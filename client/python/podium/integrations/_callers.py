"""Finds arguments of a running function of a library that callbacks do not get."""

import inspect
from collections.abc import Mapping
from typing import Any

__all__ = ["caller_variables"]


def caller_variables(module: str, name: str) -> Mapping[str, Any]:
    """Returns the local variables of the nearest caller in a module that has a certain variable.

    Args:
        module: A part of the module's name, such as `xgboost.training`.
        name: The name of the variable.

    Returns:
        The variables by name; an empty dict if there is no such caller.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if module in frame.f_globals.get("__name__", "") and name in frame.f_code.co_varnames:
            return dict(frame.f_locals)
        frame = frame.f_back
    return {}
