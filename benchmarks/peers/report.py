"""Makes the table of `make bench-peers`: a row for each figure, a column for each tool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["FIGURES", "NONE", "Figure", "Seen", "table"]

NONE = "\N{EN DASH}"
_OURS = "podium"

Seen = Mapping[tuple[str, str], Sequence[float] | str]
"""The results by figure and tool: a number for each round, or a string, such as an error."""


@dataclass(frozen=True)
class Figure:
    """A figure: the key of its result, its label, and the factor from the result to its unit."""

    key: str
    what: str
    factor: float = 1.0
    more_is_better: bool = False


FIGURES = (
    Figure("read", "read one result, ms", 1e3),
    Figure("top", "top 10 of 300, ms", 1e3),
    Figure("matrix", "matrix 300 x 31, ms", 1e3),
    Figure("fill", "record 300 runs with 31 metrics, s"),
    Figure("batch", "batch of 10,000 rows, s"),
    Figure("write", "write one row, ms", 1e3),
    Figure("writers", "32 writers, rows/s", more_is_better=True),
    Figure("log", "one log call of a training run, µs", 1e6),
    Figure("start", "cold start, s"),
    Figure("memory", "memory, MiB"),
    Figure("disk", "disk, MiB"),
    Figure("durable", "one written row: on disk after the answer?"),
    Figure("lost_write", "written rows lost after kill -9"),
    Figure("durable_log", "one log call: on disk after it returns?"),
    Figure("lost_log", "log calls lost after kill -9"),
)


def table(tools: Sequence[str], seen: Seen) -> str:
    """Returns the figures as a Markdown table, aligned for a terminal."""
    rows = [["median (range)", *tools, "Podium is"]]
    for figure in FIGURES:
        cells = [_cell(figure, seen.get((figure.key, tool), NONE)) for tool in tools]
        rows.append([figure.what, *cells, _place(figure, tools, seen)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cell(figure: Figure, seen: Sequence[float] | str) -> str:
    if isinstance(seen, str):
        return seen.replace("|", "/").replace("\n", " ")
    numbers = [number * figure.factor for number in seen]
    if len(numbers) == 1:
        return _short(numbers[0])
    return f"{_short(median(numbers))} ({_short(min(numbers))} to {_short(max(numbers))})"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _place(figure: Figure, tools: Sequence[str], seen: Seen) -> str:
    """Returns how Podium compares with the best of the other tools, by the medians."""
    medians = {
        tool: median(numbers)
        for tool in tools
        if not isinstance(numbers := seen.get((figure.key, tool), NONE), str)
    }
    ours = medians.pop(_OURS, None)
    if ours is None or not medians:
        return ""
    choose = max if figure.more_is_better else min
    best = choose(medians, key=lambda tool: medians[tool])
    ratio = ours / medians[best] if figure.more_is_better else medians[best] / ours
    if ratio >= 1:
        return f"first: {ratio:.3g}x ahead of {best}"
    return f"behind {best}: {1 / ratio:.3g}x"
