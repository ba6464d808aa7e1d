"""What a check of `podium doctor` finds."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["Finding", "Level", "failed", "ok", "warning"]


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    """The result of one check."""

    level: Level
    check: str
    """What was checked, in one word."""
    text: str
    """What was found. It contains no secret."""
    remedy: str = ""
    """What to do; empty if all is well."""


def ok(check: str, text: str) -> Finding:
    """Returns the result of a check that found no problem."""
    return Finding(Level.OK, check, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Returns a problem that may become worse."""
    return Finding(Level.WARNING, check, text, remedy)


def failed(check: str, text: str, remedy: str) -> Finding:
    """Returns a problem that has to be solved."""
    return Finding(Level.FAILED, check, text, remedy)
