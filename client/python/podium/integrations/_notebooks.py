"""Calls functions after each cell of a notebook."""

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["after_each_cell"]


def after_each_cell(function: Callable[[object], None]) -> None:
    """Makes IPython call a function with the result of each cell. Without IPython, does nothing.

    Further calls with the same function have no effect.
    """
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is not None:
        shell.events.register("post_run_cell", function)
