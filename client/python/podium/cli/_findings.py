"""The results of the checks of `podium doctor`."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["Finding", "Level", "failed", "ok", "warning"]


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    """The result of one check."""

    level: Level
    check: str
    """The name of the check, in one word."""
    text: str
    """A description of the result. It contains no secret."""
    remedy: str = ""
    """How to fix the problem. Empty if there is no problem."""


def ok(check: str, text: str) -> Finding:
    """Returns the result of a check that found no problem."""
    return Finding(Level.OK, check, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Returns the result of a check that found a problem which may become worse."""
    return Finding(Level.WARNING, check, text, remedy)


def failed(check: str, text: str, remedy: str) -> Finding:
    """Returns the result of a check that found a problem which has to be solved."""
    return Finding(Level.FAILED, check, text, remedy)
