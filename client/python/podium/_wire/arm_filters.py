"""Converts conditions on configurations to podium.v1."""

from collections.abc import Iterator, Mapping

from podium._values import coerce
from podium._values.arguments import ConfigFilters
from podium._wire.values import value_to_proto
from podium.v1.config_filter_pb2 import ConfigFilter, NumberRange

__all__ = ["config_filters_to_proto"]


def config_filters_to_proto(given: ConfigFilters | None) -> Iterator[ConfigFilter]:
    """Yields the message of each condition. Raises a TypeError or ValueError for invalid ones."""
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
