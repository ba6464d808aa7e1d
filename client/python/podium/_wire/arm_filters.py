"""Converts filters of arms to the fields of requests in podium.v1."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from podium._values import coerce
from podium._values.arguments import ArmStatuses, ConfigFilters, Strings
from podium._wire.values import arm_status_to_proto, value_to_proto
from podium.v1.config_filter_pb2 import ConfigFilter, NumberRange

__all__ = ["arm_filters", "one_or_more"]


def arm_filters(
    *,
    status: ArmStatuses | None = None,
    group_name: str | None = None,
    name_prefix: str | None = None,
    tags: Strings = (),
    config: ConfigFilters | None = None,
) -> dict[str, Any]:
    """Returns the values of a request's filter fields, by the names of the fields."""
    return {
        "statuses": map(arm_status_to_proto, one_or_more(status)),
        "group_name": coerce.optional(coerce.text, group_name, "group_name"),
        "name_prefix": coerce.optional(coerce.text, name_prefix, "name_prefix"),
        "tags": coerce.texts(tags, "tags"),
        "config": _config_filters(config),
    }


def one_or_more(given: str | Iterable[str] | None) -> Iterable[str]:
    """Returns the values of an argument that can be one value, several values, or None."""
    return (given,) if isinstance(given, str) else given or ()


def _config_filters(given: ConfigFilters | None) -> Iterator[ConfigFilter]:
    """Converts conditions on a run_config to messages.

    Raises a TypeError or ValueError if one of them is invalid.
    """
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"config must be a mapping, not {coerce.kind_of(given)}")
    for path, value in (given or {}).items():
        name = coerce.text(path, "a path of config")
        if isinstance(value, tuple):
            yield ConfigFilter(path=name, range=_range(value, name))
        else:
            equals = coerce.value(value, f"config[{name!r}]")
            yield ConfigFilter(path=name, equals=value_to_proto(equals))


def _range(bounds: tuple[float | None, ...], path: str) -> NumberRange:
    if len(bounds) != 2:  # noqa: PLR2004 - a range has two ends
        raise ValueError(
            f"config[{path!r}] must be a pair of limits, "
            f"(least, greatest), not {len(bounds)} values"
        )
    least, most = (coerce.optional(coerce.number, bound, f"config[{path!r}]") for bound in bounds)
    if least is not None and most is not None and least > most:
        raise ValueError(
            f"config[{path!r}] is the range from {least:g} to {most:g}, which is reversed; give "
            "the smaller number first"
        )
    return NumberRange(min=least, max=most)
