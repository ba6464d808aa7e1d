"""The measured figures of the benchmarks, and the table that shows them."""

from dataclasses import dataclass

__all__ = ["Figure", "table"]


@dataclass(frozen=True)
class Figure:
    """A measured figure: its description, value and target.

    `met` is whether the value meets the target, or None if there is no target.
    """

    what: str
    seen: str
    target: str
    met: bool | None


def table(figures: list[Figure]) -> str:
    """Returns the figures as a Markdown table, aligned for a terminal."""
    rows = [("figure", "seen", "target", "met")]
    rows += [
        (f.what, f.seen, f.target, {True: "yes", False: "NO", None: ""}[f.met]) for f in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
