"""CSV, TSV or JSON lines of any program, with a mapping from fields to columns."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from podium._model.results import ArmResult, ArmStatus, Component, EvalResult, RunConfig
from podium._values.suggest import did_you_mean
from podium.importing._configs import kept_values, plain, seed_from, step_from
from podium.importing._found import Found, FoundArm, NotImported
from podium.importing._identities import digest_of
from podium.importing._rows import Logged, eval_and_metric, with_last_rows
from podium.importing._tables import columns_of, is_table, stem_of, table_rows
from podium.importing._values import number

__all__ = ["ColumnMapping", "CsvImporter", "mapping_from_texts"]

_FIELDS = ("arm", "config", "eval", "experiment", "group", "metric", "seed", "step", "value")
_SEVERAL = ("config", "metric")
_EMPTY = ("", "na", "n/a", "none", "null", "-")
_EVAL = "eval"
_MAX_LINES = 5_000_000
_MAX_ARMS = 100_000
_MOST_SHOWN = 30


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """The columns of a table.

    Attributes:
        metric: The columns with metrics. If `value` is given, the column with the name of the
            metric.
        value: The column with the value. The column `metric` then has the name of the metric.
        arm: The column with the arm's name. Without it, each file is an arm.
        step: The column with the step. A row without a step is a post-training row.
        eval: The column with the name of the eval.
        experiment: The column with the experiment's name. Without it, the experiment has the name
            of the file.
        group: The column with the group's name.
        seed: The column with the seed.
        config: The columns with other settings of the arm.
    """

    metric: tuple[str, ...]
    value: str | None = None
    arm: str | None = None
    step: str | None = None
    eval: str | None = None
    experiment: str | None = None
    group: str | None = None
    seed: str | None = None
    config: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, str | Sequence[str]]) -> Self:
        """Returns the mapping for the given fields and names of columns.

        Raises:
            ValueError: A field is unknown, missing, or has several columns but needs one.
        """
        fields: dict[str, Any] = {}
        for name, columns in given.items():
            if name not in _FIELDS:
                near = did_you_mean(name, _FIELDS)
                raise ValueError(
                    f"{name!r} is not a field of a mapping: {', '.join(_FIELDS)}{near}"
                )
            listed = (columns,) if isinstance(columns, str) else tuple(columns)
            if name not in _SEVERAL and len(listed) != 1:
                raise ValueError(f"the field {name} of a mapping needs one column")
            fields[name] = listed if name in _SEVERAL else listed[0]
        if not fields.get("metric"):
            raise ValueError("the mapping lacks a metric; name its column: metric=COLUMN")
        if "value" in fields and len(fields["metric"]) != 1:
            raise ValueError(
                "with value=COLUMN, name one metric=COLUMN, which has the metric's name"
            )
        return cls(**fields)

    def columns(self) -> dict[str, str]:
        """Returns the field of each column."""
        single = {name: getattr(self, name) for name in _FIELDS if name not in _SEVERAL}
        found = {column: name for name, column in single.items() if column is not None}
        return found | dict.fromkeys(self.metric, "metric") | dict.fromkeys(self.config, "config")


def mapping_from_texts(texts: Sequence[str]) -> dict[str, list[str]]:
    """Returns the columns by field from texts like `arm=model,metric=acc,metric=f1`.

    Raises:
        ValueError: A part is not FIELD=COLUMN.
    """
    found: dict[str, list[str]] = {}
    for part in (part for text in texts for part in text.split(",")):
        name, sign, column = part.partition("=")
        if not (sign and column):
            raise ValueError(f"{part!r} is not FIELD=COLUMN, such as arm=model")
        found.setdefault(name.strip(), []).append(column)
    return found


@dataclass(slots=True)
class _Arm:
    """The values in the rows of an arm."""

    source: str
    logged: Logged = field(default_factory=Logged)
    results: dict[str, EvalResult] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    group: str | None = None
    seed: int | None = None
    run_id: str | None = None


class CsvImporter:
    """Imports tables. It claims files only with a mapping, because any program can write tables."""

    kind = "csv"
    summary = "any CSV, TSV or JSON lines file, with --map"

    def __init__(self, mapping: ColumnMapping | None = None) -> None:
        self._mapping = mapping

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the tables under a path, which are read together."""
        if self._mapping is None:
            return []
        if path.is_file():
            return [path] if is_table(path) else []
        return [file for file in sorted(path.rglob("*")) if is_table(file) and file.is_file()]

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the arms of all tables under a path. An arm can have rows in several tables."""
        if self._mapping is None:
            raise ValueError(
                "this kind needs the meaning of columns, such as --map arm=model,metric=acc; "
                + _listing(columns_of(path) if path.is_file() else [])
            )
        tables = _Tables(self._mapping, stem_of(path))
        for file in [path] if path.is_file() else self.claims(path):
            try:
                yield from tables.read(file)
            except (ValueError, OSError) as error:
                yield NotImported(str(file), str(error))
        yield from tables.arms()


def _listing(columns: Sequence[str]) -> str:
    more = len(columns) - _MOST_SHOWN
    shown = ", ".join(columns[:_MOST_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
    return f"the columns are: {shown}" if columns else "it has no columns"


class _Tables:
    """Collects the arms of several tables."""

    def __init__(self, mapping: ColumnMapping, experiment: str) -> None:
        self._mapping = mapping
        self._experiment = experiment
        self._arms: dict[tuple[str, str], _Arm] = {}

    def read(self, file: Path) -> Iterator[NotImported]:
        """Adds the rows of a file."""
        self._check_columns(columns_of(file))
        not_numbers: Counter[str] = Counter()
        for line, row in table_rows(file):
            if line > _MAX_LINES:
                raise ValueError(f"the file has over {_MAX_LINES:,} lines, which is the limit")
            try:
                not_numbers.update(self._take(row, file))
            except ValueError as error:
                yield NotImported(f"{file}:{line}", str(error))
        for column, count in not_numbers.items():
            why = f"{column!r} is not a number in {count:,} lines"
            yield NotImported(str(file), why, is_wrong=False)

    def _check_columns(self, columns: Sequence[str]) -> None:
        for column, name in self._mapping.columns().items():
            if column not in columns:
                near = did_you_mean(column, columns)
                raise ValueError(f"it has no column {column!r} ({name}); {_listing(columns)}{near}")

    def _take(self, row: dict[str, Any] | ValueError, file: Path) -> list[str]:
        """Adds a row. Returns the columns whose values are not numbers."""
        if isinstance(row, ValueError):
            raise row
        mapping = self._mapping
        arm = self._arm(row, file)
        step = step_from(_cell(row, mapping.step))
        if mapping.value is None:
            values = {name: row.get(name) for name in mapping.metric}
        else:
            values = {self._text(row, mapping.metric[0], "metric"): row.get(mapping.value)}
        not_numbers = []
        for name, value in values.items():
            found = None if _is_empty(value) else number(value)
            if found is not None:
                _add(arm, _text(_cell(row, mapping.eval)), name, step, found)
            elif not _is_empty(value):
                not_numbers.append(name)
        return not_numbers

    def _arm(self, row: dict[str, Any], file: Path) -> _Arm:
        """Returns the arm of a row. Adds the settings in the row to it."""
        mapping = self._mapping
        experiment = self._experiment
        if mapping.experiment:
            experiment = self._text(row, mapping.experiment, "experiment")
        name = self._text(row, mapping.arm, "arm") if mapping.arm else stem_of(file)
        arm = self._arms.get((experiment, name))
        if arm is None:
            if len(self._arms) >= _MAX_ARMS:
                raise ValueError(f"the tables have over {_MAX_ARMS:,} arms, which is the limit")
            arm = self._arms[experiment, name] = _Arm(str(file))
            arm.run_id = None if mapping.arm else digest_of("csv", row)
        for column in mapping.config:
            if not _is_empty(row.get(column)):
                self._set_config(arm, column, row[column])
        arm.group = _text(_cell(row, mapping.group)) or arm.group
        seed = seed_from(_cell(row, mapping.seed))
        arm.seed = arm.seed if seed is None else seed
        return arm

    def _set_config(self, arm: _Arm, column: str, cell: Any) -> None:
        value = plain(cell) if isinstance(cell, str) else cell
        before = arm.config.setdefault(column, value)
        if before != value:
            raise ValueError(f"{column!r} is {value!r} here, and {before!r} before for this arm")

    def _text(self, row: dict[str, Any], column: str, name: str) -> str:
        found = _text(row.get(column))
        if found is None:
            raise ValueError(f"the line has no {name}: {column!r} is empty")
        return found

    def arms(self) -> Iterator[Found]:
        """Yields the arms."""
        for (experiment, name), arm in self._arms.items():
            result = ArmResult(
                name,
                RunConfig(
                    name,
                    algorithm=Component("csv", kept_values(arm.config)) if arm.config else None,
                    seed=arm.seed,
                ),
                ArmStatus.COMPLETED,
                arm.logged.latest,
                evals=with_last_rows([*arm.logged.rows(), *arm.results.values()]),
                run_id=arm.run_id,
                group_name=arm.group,
            )
            yield FoundArm(experiment, result, arm.source, arm.logged.series())
            for key, count in arm.logged.replaced.items():
                yield NotImported(
                    arm.source,
                    f"{count:,} values of {key!r} of arm {name!r}, because later lines have others "
                    "for the same steps; if these are other runs, map a column that tells them "
                    "apart to arm",
                    is_wrong=False,
                )


def _add(arm: _Arm, eval_name: str | None, name: str, step: int | None, value: float) -> None:
    """Adds a value to a post-training row, an in-loop row or a training series."""
    of_eval = (eval_name, name) if eval_name else eval_and_metric(name)
    if step is None:
        result_of, metric = of_eval or (_EVAL, name)
        row = arm.results.setdefault(result_of, EvalResult(result_of, tags=["test"]))
        before = row.metrics.setdefault(metric, value)
        if before != value and not (before != before and value != value):  # noqa: PLR0124 - NaN
            raise ValueError(
                f"{metric!r} of {result_of!r} is {value!r} "
                f"here, but {before!r} in an earlier row of "
                "this arm; map a column with the step, or give the rows different arms"
            )
    elif of_eval:
        arm.logged.add_to_eval(*of_eval, step, value)
    else:
        arm.logged.add(name, step, value)


def _cell(row: dict[str, Any], column: str | None) -> Any:
    value = row.get(column) if column else None
    return None if _is_empty(value) else value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in _EMPTY)


def _text(value: Any) -> str | None:
    return None if _is_empty(value) else str(value).strip()
