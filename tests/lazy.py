"""Modules that are imported when a test first uses them."""

from importlib import import_module
from typing import Any

__all__ = ["Lazy"]


class Lazy:
    """A module that takes long to import, so it is imported when a test first uses it.

    Otherwise, each pytest worker would import it, because each worker imports all test files.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Returns an attribute of the module."""
        if attribute.startswith("_"):  # pytest looks for private attributes of each object
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)
