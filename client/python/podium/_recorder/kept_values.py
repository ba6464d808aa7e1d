"""Makes valid values, strings and numbers from invalid ones, if possible.

Each function accepts any object, and returns the part of it that can be recorded. Each part that is
left out or changed is added to `problems`, under the name `where`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any, TypeVar

from podium._limits.limits import Limits
from podium._recorder.problems import Problems, shown
from podium._values import coerce
from podium._values.shorten_text import shorten_middle

__all__ = [
    "LIMITS",
    "encodable",
    "experiment_name",
    "flag",
    "integer",
    "metrics",
    "name",
    "name_or",
    "optional_name",
    "seconds",
    "step",
    "tags",
    "text",
    "value_map",
]

LIMITS = Limits()
"""The default limits of a server. A recorder cannot ask its server for other limits."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DEEP_TEXT = 4_096
"""The most bytes of the JSON text that replaces a value that is nested too deeply."""
_HASH = 8

_T = TypeVar("_T")


def _tried(
    convert: Callable[[Any, str], _T], given: Any, where: str, problems: Problems
) -> _T | None:
    try:
        return convert(given, where)
    except Exception as error:  # noqa: BLE001 - any class may raise anything when it is converted
        problems.lost(where, error, given)
        return None


# ---- Texts -------------------------------------------------------------------------------


def encodable(given: str) -> str:
    """Returns a string in which escapes replace the characters that UTF-8 cannot encode."""
    return given.encode("utf-8", "backslashreplace").decode()


def _as_text(given: Any, where: str) -> str:
    """Converts a string, a number, a path or a similar object to a plain string.

    Raises an error for other objects.
    """
    if isinstance(given, str):
        return encodable(str.__str__(given))
    if given is None or isinstance(given, Mapping | list | tuple | set):
        return coerce.text(given, where)
    plain = coerce.settings_list([given], where)[0]
    if isinstance(plain, str | int | float):
        return str(plain)
    return coerce.text(given, where)


def text(given: Any, where: str, problems: Problems, most: int = LIMITS.text_bytes) -> str | None:
    """Converts a value to a string, and shortens it to `most` bytes.

    Returns None for None, and for a value that cannot be converted.
    """
    if given is None:
        return None
    found = _tried(_as_text, given, where, problems)
    if found is None:
        return None
    if found != given:
        problems.taken(where, f"{where} is {shown(given)}, and recorded as {shown(found)}")
    kept = shorten_middle(found.replace("\0", ""), most)
    if kept != found:
        why = "NUL characters" if "\0" in found else f"over {most:,} bytes"
        problems.changed(where, f"{where} has {why}; it is shortened")
    return kept


def name(given: Any, where: str, problems: Problems) -> str | None:
    """Returns a valid name, or None if no character of the given name is valid.

    A name that is too long is shortened and gets a hash at its end, so that different names stay
    different.
    """
    found = _tried(_as_text, given, where, problems)
    if found is None:
        return None
    kept = _CONTROL.sub("", found)
    if not kept:
        problems.lost(where, f"{where} is empty")
        return None
    data = kept.encode()
    if len(data) > LIMITS.name_bytes:
        end = "…" + sha256(data).hexdigest()[:_HASH]
        kept = data[: LIMITS.name_bytes - len(end.encode())].decode(errors="ignore") + end
        problems.changed(
            where,
            f"{where} has {len(data):,} bytes, but a name has at most {LIMITS.name_bytes}; "
            f"it is shortened to {shown(kept)}",
        )
    elif kept != given:
        problems.taken(where, f"{where} is {shown(given)}, and recorded as {shown(kept)}")
    return kept


def name_or(default: str, given: Any, where: str, problems: Problems) -> str:
    """Returns a valid name, or the default if no character of the given name is valid."""
    found = Problems()
    kept = name(given, where, found)
    if kept is None:
        problems.taken(where, f"{where} is {shown(given)}; it is recorded as {shown(default)}")
        return default
    problems += found
    return kept


def optional_name(given: Any, where: str, problems: Problems) -> str | None:
    """Returns a valid name, as `name` does. None stays None."""
    return None if given is None else name(given, where, problems)


def experiment_name(given: Any, where: str, problems: Problems) -> str | None:
    """Returns a valid experiment name, or None if no segment of the given name is valid.

    Segments that are empty, `.` or `..` are left out.
    """
    found = optional_name(given, where, problems)
    if found is None:
        return None
    kept = "/".join(part for part in found.split("/") if part not in {"", ".", ".."})
    if kept != found:
        problems.taken(
            where,
            f"{where} {shown(found)} has a segment that is empty, '.' or '..'; "
            f"it is recorded as {shown(kept)}",
        )
    return kept or None


def tags(given: Any, where: str, problems: Problems) -> list[str]:
    """Returns the valid tags of a list. A string instead of a list becomes one tag."""
    if isinstance(given, str):
        problems.taken(where, f"{where} is a string, not a list of strings; it is used as one tag")
        given = [given]
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        if given is None:
            problems.taken(where, f"{where} is None; no tags are recorded")
        else:
            problems.lost(
                where, f"{where} must be a list of strings, not {coerce.kind_of(given)}", given
            )
        return []
    found = (name(tag, f"{where}[{index}]", problems) for index, tag in enumerate(given))
    kept = [tag for tag in found if tag is not None]
    if len(kept) > LIMITS.map_keys:
        problems.changed(
            where, f"{where} has {len(kept):,} tags; the first {LIMITS.map_keys:,} are kept"
        )
    return kept[: LIMITS.map_keys]


# ---- Numbers -----------------------------------------------------------------------------


def seconds(given: Any, where: str, problems: Problems) -> float | None:
    """Returns a number of seconds that is finite and at least 0, or None for any other value."""
    found = None if given is None else _tried(coerce.seconds, given, where, problems)
    if found is not None and not 0 <= found < float("inf"):
        problems.lost(where, f"{where} must be a finite number of seconds, 0 or more", given)
        return None
    return found


def integer(given: Any, where: str, problems: Problems) -> int | None:
    """Returns a 64-bit integer, or None for any other value."""
    return None if given is None else _tried(coerce.integer, given, where, problems)


def step(given: Any, where: str, problems: Problems) -> int | None:
    """Returns a step, or None for a value that is not a number.

    Rounds a number with a fraction down, because an eval row without its step would count as a
    post-training row.
    """
    found = given
    if isinstance(given, str):
        try:
            found = float(given)
        except ValueError:
            return integer(given, where, problems)
    if isinstance(found, float) and abs(found) < 2**53:
        rounded = int(found // 1)
        if rounded != given:
            problems.changed(
                where, f"{where} must be an integer, not {given!r}; it is recorded as {rounded}"
            )
        return rounded
    return integer(given, where, problems)


def flag(given: Any, where: str, problems: Problems) -> bool:
    """Returns a bool, or False for any object that is not a bool."""
    if given is None:
        problems.taken(where, f"{where} is None; it is used as False")
        return False
    return bool(_tried(coerce.boolean, given, where, problems))


def metrics(given: Any, where: str, problems: Problems) -> dict[str, float]:
    """Returns the metrics that have numbers as values. Makes their keys valid."""
    if not isinstance(given, Mapping):
        problems.lost(where, f"{where} must be a mapping, not {coerce.kind_of(given)}", given)
        return {}
    result: dict[str, float] = {}
    for key, item in given.items():
        at = f"{where}[{shown(key)}]"
        number = _tried(coerce.number, item, at, problems)
        kept = None if number is None else name(key, f"the key {at}", problems)
        if number is not None and kept is not None:
            result[kept] = number
    return result


# ---- Values ------------------------------------------------------------------------------


def value_map(given: Any, where: str, problems: Problems, most: int) -> dict[str, Any]:
    """Returns the values of a mapping that can be recorded, shortened to `most` bytes in total.

    Returns an empty dict for any object that is not a mapping.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        problems.lost(where, f"{where} must be a mapping, not {coerce.kind_of(given)}", given)
        return {}
    kept: dict[str, Any] = _valid_map(given, where, problems, 1)
    kept = _within(kept, where, problems, LIMITS.value_nodes, _nodes, "values")
    return _within(kept, where, problems, most, _bytes, "bytes")


def _valid_map(given: Mapping[Any, Any], where: str, problems: Problems, depth: int) -> Any:
    result: dict[str, Any] = {}
    for key, item in given.items():
        at = f"{where}[{shown(key)}]"
        kept = name(str(key) if not isinstance(key, str) else key, f"the key {at}", problems)
        if kept is None:
            continue
        if kept in result:
            problems.lost(at, f"two keys of {where} become the same text {kept!r}", item)
        elif len(result) == LIMITS.map_keys:
            problems.changed(
                where, f"{where} has {len(given):,} keys; the first {len(result):,} are kept"
            )
            break
        else:
            _add_valid(result, kept, item, at, problems, depth)
    return result


def _add_valid(
    result: dict[str, Any], key: str, item: Any, where: str, problems: Problems, depth: int
) -> None:
    try:
        result[key] = _valid(item, where, problems, depth)
    except Exception as error:  # noqa: BLE001 - any class may raise anything when it is converted
        problems.lost(where, error, item)


def _valid(given: Any, where: str, problems: Problems, depth: int) -> Any:
    """Returns the given value, cut to the limits of nesting depth and of keys per mapping.

    Levels that are nested too deeply become a JSON string.
    """
    if isinstance(given, str):
        return encodable(given)
    is_container = isinstance(given, Mapping | list | tuple)
    if is_container and depth >= LIMITS.value_depth:
        problems.changed(
            where,
            f"{where} is nested more than {LIMITS.value_depth} levels deep; it is kept as text",
        )
        plain = coerce.settings_list([given], where)[0]
        return shorten_middle(json.dumps(plain), _DEEP_TEXT)
    if isinstance(given, Mapping):
        return _valid_map(given, where, problems, depth + 1)
    if is_container:
        valid: dict[str, Any] = {}
        for index, item in enumerate(given):
            _add_valid(valid, str(index), item, f"{where}[{index}]", problems, depth + 1)
        return list(valid.values())
    plain = coerce.settings_list([given], where)[0]
    if isinstance(plain, str | int | float | None):
        return plain
    return _valid(plain, where, problems, depth)


def _nodes(value: Any) -> int:
    if isinstance(value, Mapping):
        return 1 + sum(map(_nodes, value.values()))
    return 1 + sum(map(_nodes, value)) if isinstance(value, list) else 1


def _bytes(value: Any) -> int:
    """Returns an upper bound of the bytes that a value takes in a message."""
    if isinstance(value, str):
        return len(value.encode()) + 16
    if isinstance(value, Mapping):
        return 16 + sum(len(key.encode()) + 24 + _bytes(item) for key, item in value.items())
    return 16 + sum(map(_bytes, value)) if isinstance(value, list) else 16


def _within(
    given: dict[str, Any],
    where: str,
    problems: Problems,
    most: int,
    size_of: Callable[[Any], int],
    what: str,
) -> dict[str, Any]:
    """Shortens the largest values of a dict so that the sizes of all are at most `most` in total.

    `size_of` returns the size of a value, and `what` is the unit of sizes.
    """
    sizes = {key: size_of(item) + len(key.encode()) + 24 for key, item in given.items()}
    if size_of is _nodes:
        sizes = {key: size_of(item) for key, item in given.items()}
    left, result = most, dict(given)
    for count, key in enumerate(sorted(sizes, key=sizes.__getitem__)):
        share = left // (len(sizes) - count)
        if sizes[key] > share:
            problems.changed(
                f"{where}[{key!r}]",
                f"{where}[{key!r}] has {sizes[key]:,} {what}, but the field has at most {most:,}; "
                "it is shortened",
            )
            overhead = sizes[key] - size_of(given[key])
            result[key] = _cut(given[key], share - overhead, size_of)
        left -= min(sizes[key], share)
    return result


def _cut(value: Any, room: int, size_of: Callable[[Any], int]) -> Any:
    """Shortens a value to the size `room`: a string in its middle, a list or dict at its end."""
    if isinstance(value, str):
        return shorten_middle(value, max(room - 16, 0))
    if not isinstance(value, list | dict):
        return value
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    room -= size_of([])
    kept: dict[Any, Any] = {}
    for key, item in pairs:
        size = size_of({key: item} if isinstance(value, dict) else [item]) - size_of([])
        if size > room:
            if not kept and room > _HASH:
                kept[key] = _cut(item, room - (size - size_of(item)), size_of)
            break
        kept[key] = item
        room -= size
    return kept if isinstance(value, dict) else list(kept.values())
