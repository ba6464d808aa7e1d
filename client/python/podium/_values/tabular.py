"""The base of results that are shown as tables: as text, in notebooks and as DataFrames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from html import escape
from typing import TYPE_CHECKING, Any

from podium._values.shorten_names import shorten_names
from podium._values.shorten_text import shorten
from podium._values.text_width import character_width, padded, width_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

__all__ = ["SHOWN_ROWS", "Tabular", "data_frame", "import_pandas", "without_configs"]

SHOWN_ROWS = 20
"""The most rows of a table that `repr()` and notebooks show."""
_CELL, _WIDTH = 48, 120


class Tabular(ABC):
    """A base class that adds a repr of one screen, an HTML table for notebooks, and `to_pandas`."""

    __slots__ = ()

    @abstractmethod
    def _heading(self) -> str:
        """Returns one line that names the result."""

    @abstractmethod
    def _records(self) -> Sequence[Mapping[str, Any]]:
        """Returns the rows of the table, as values by column name."""

    def _shown(self) -> Sequence[Mapping[str, Any]]:
        """Returns the rows that `repr()` and notebooks show. A DataFrame may have other rows."""
        return self._records()

    def _shown_count(self, shown: Sequence[Mapping[str, Any]]) -> int:
        """Returns the number of all rows, of which `shown` may have only the first ones."""
        return len(shown)

    def __repr__(self) -> str:
        kind, heading, names, rows, rest = self._texts()
        widths = [max(map(width_of, column)) for column in zip(names, *rows, strict=True)]
        table = ["  ".join(map(padded, row, widths)) for row in ([names, *rows] if names else [])]
        lines = [f"{kind}: {heading}", *table, *rest]
        return "\n".join(shorten(line.rstrip(), _WIDTH, character_width) for line in lines)

    def _repr_html_(self) -> str:
        kind, heading, names, rows, rest = self._texts()
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        text = escape(" ".join([heading, *rest]))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div><p><b>{kind}</b>: {text}</p>{table if names else ''}</div>"

    def _texts(self) -> tuple[str, str, list[str], list[list[str]], list[str]]:
        """Returns the class name, heading, column names, cells, and a line about omitted rows."""
        records = self._shown()
        more = self._shown_count(records) - SHOWN_ROWS
        rest = [f"… and {more:,} more"] if more > 0 else []
        return type(self).__name__, _text(self._heading()), *_cells(records[:SHOWN_ROWS]), rest

    def to_pandas(self) -> pd.DataFrame:
        """Returns all rows of the table as a DataFrame. A missing number becomes NaN.

        Raises:
            ImportError: pandas is not installed.
        """
        return data_frame(self._records())


def data_frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Returns rows as a DataFrame, with the columns in the order in which they first occur."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    frame: pd.DataFrame = import_pandas().DataFrame(records, columns=columns)
    return frame


def without_configs(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns rows of arms without the columns of their configurations."""
    return [
        {name: value for name, value in record.items() if not name.startswith("config.")}
        for record in records
    ]


def import_pandas() -> Any:
    """Imports pandas. If it is missing, raises an ImportError with the command to install it."""
    try:
        import pandas as pd  # noqa: PLC0415 - optional, and slow to load
    except ModuleNotFoundError as error:
        raise ImportError("to_pandas() needs pandas: pip install 'podium[pandas]'") from error
    return pd


def _cells(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Returns column names and texts of rows. Leaves out columns that are empty in all rows."""
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [_text(record.get(name)) for record in records] for name in names}
    filled = {name: shorten_names(cells, _CELL) for name, cells in columns.items() if any(cells)}
    titles = shorten_names([_text(name) for name in filled], _CELL)
    return titles, list(map(list, zip(*filled.values(), strict=True)))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    # A name must not send control characters to the terminal.
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in " ".join(text.split()))
