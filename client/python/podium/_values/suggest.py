"""Suggests known names that are similar to an unknown one."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

__all__ = ["did_you_mean", "near_names"]

_MOST_SHOWN = 3
_MOST_COMPARED = 2000
"""The most names that are compared, to limit the time."""
_SIMILARITY = 0.65
_SHORTEST_PART = 3


def near_names(unknown: str, known: Iterable[str]) -> list[str]:
    """Returns up to three known names that are similar to the unknown one, the most similar first.

    Names are similar if they are spelled alike, ignoring case, or if one contains the other. If
    there are more than 2,000 known names, only the first 2,000 are compared.
    """
    by_lower_case: dict[str, str] = {}
    for name in islice(known, _MOST_COMPARED):
        by_lower_case.setdefault(name.lower(), name)
    asked = unknown.lower()
    alike = get_close_matches(asked, by_lower_case, _MOST_SHOWN, _SIMILARITY)
    parts = [name for name in by_lower_case if _contains(name, asked) or _contains(asked, name)]
    return [by_lower_case[name] for name in dict.fromkeys([*alike, *parts])][:_MOST_SHOWN]


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """Returns the end of an error message, such as `; did you mean 'val.acc'?`.

    Returns "" if no known name is similar.
    """
    near = [repr(name) for name in near_names(unknown, known)]
    if not near:
        return ""
    *others, last = near
    return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def _contains(whole: str, part: str) -> bool:
    return len(part) >= _SHORTEST_PART and part in whole
