"""Reads and writes exports as Parquet files.

The columns are those of `exports.Number`, and `item`. There are two kinds of table rows. A row with
the source `record` has no number: its `item` is the JSON of an experiment, arm or event, as `podium
export` writes it. Imports read only these rows. Each other row has one number and no `item`, for
use in a data frame.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from podium._files import exports, json_form
from podium._model.results import ArmResult
from podium.curves import Series

__all__ = ["ParquetWriter", "is_export", "read_items"]

_RECORD = "record"
_ITEM = "item"
_LINES = 10_000
"""The number of table rows in a row group."""
_COLUMNS = (*exports.Number._fields, _ITEM)
_TYPES = {"seed": "int64", "step": "int64", "value": "float64"}


class ParquetWriter:
    """Writes an export to a Parquet file. Raises a ValueError if pyarrow is not installed."""

    def __init__(self, path: Path) -> None:
        self._pa, self._pq = _libraries()
        self._schema = _schema(self._pa)
        self._writer = self._pq.ParquetWriter(path, self._schema, compression="zstd")
        self._lines: list[tuple[Any, ...]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def item(self, item: dict[str, Any]) -> None:
        """Writes an event in the form of `_files.event_json`."""
        self._record(item["experiment"], None, item)

    def arm(self, arm: ArmResult, series: Mapping[str, Series]) -> None:
        """Writes an arm with its training series: as JSON, and as one row for each number."""
        for item in (json_form.to_json(arm), *exports.series_items(arm, series)):
            self._record(arm.experiment, arm.name, item)
        for number in exports.numbers(arm, series):
            self._add((*number, None))

    def _record(self, experiment: str, arm: str | None, item: dict[str, Any]) -> None:
        values = {"experiment": experiment, "arm": arm, "source": _RECORD}
        text = json.dumps(item, allow_nan=False, ensure_ascii=False)
        self._add((*(values.get(name) for name in _COLUMNS[:-1]), text))

    def _add(self, line: tuple[Any, ...]) -> None:
        self._lines.append(line)
        if len(self._lines) >= _LINES:
            self._flush()

    def _flush(self) -> None:
        columns = list(zip(*self._lines, strict=True)) or [()] * len(_COLUMNS)
        arrays = [
            self._pa.array(column, type=field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))
        self._lines.clear()


def is_export(path: Path) -> bool:
    """Returns whether a Parquet file is an export of Podium; False if pyarrow is not installed."""
    try:
        names = _libraries()[1].read_schema(path).names
    except (ValueError, OSError):  # the base classes of pyarrow's errors
        return False
    return set(_COLUMNS) <= set(names)


def read_items(path: Path) -> Iterator[Any]:
    """Yields the parsed JSON of each `item` in an export.

    Raises a ValueError if the file is damaged, or if pyarrow is not installed.
    """
    _pa, parquet = _libraries()
    file = parquet.ParquetFile(path)
    for batch in file.iter_batches(columns=[_ITEM]):
        for text in batch.column(0).to_pylist():
            if text is not None:
                yield json.loads(text)


def _libraries() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: ICN001, PLC0415 - large and optional
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise ValueError("Parquet needs another package: pip install 'podium[parquet]'") from error
    return pyarrow, pyarrow.parquet


def _schema(pa: Any) -> Any:
    types = {"event_time": pa.timestamp("us", tz="UTC")}
    types |= {name: getattr(pa, kind)() for name, kind in _TYPES.items()}
    return pa.schema([(name, types.get(name, pa.string())) for name in _COLUMNS])
