"""CSV, TSV or JSON lines of any program, with a mapping from fields to columns."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

from podium._model.results import ArmResult, ArmStatus, Component, EvalResult, RunConfig
from podium._values.base import same
from podium._values.shorten_text import first_names
from podium._values.suggest import did_you_mean
from podium.importing._configs import kept_values, plain, seed_from, step_from
from podium.importing._found import Found, FoundArm, NotImported
from podium.importing._identities import digest_of, name_with_seed
from podium.importing._rows import Logged, eval_and_metric, tags_of, with_last_rows
from podium.importing._tables import columns_of, is_table, stem_of, table_rows
from podium.importing._values import number

__all__ = ["ColumnMapping", "CsvImporter", "mapping_from_texts"]

_FIELDS = ("arm", "config", "eval", "experiment", "group", "metric", "seed", "step", "value")
_SEVERAL = ("arm", "config", "metric")
_EMPTY = ("", "na", "n/a", "none", "null", "-")
_EVAL = "eval"
_MAX_LINES = 5_000_000
_MAX_ARMS = 100_000
_MOST_SHOWN = 30
_MOST_LINES = 20
"""The most lines of a file that are listed with a problem. Further lines are only counted."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """The column, or columns, for each field of a table.

    Attributes:
        metric: The columns with values of metrics. Or, if `value` is given, the one column with the
            name of the metric.
        value: The column with the value of the metric that the column `metric` names.
        arm: The columns whose cells form the arm's name, joined with `-`. Without them, each file
            is an arm.
        step: The column with the step. A row without a step is a post-training row.
        eval: The column with the name of the eval.
        experiment: The column with the experiment's name. Without it, the experiment has the name
            of the file.
        group: The column with the group's name.
        seed: The column with the seed. Each seed becomes an arm of its own, such as `NAME-seed0`.
            These arms are in the group `NAME`, unless `group` is given.
        config: The columns with other settings of the arm.
    """

    metric: tuple[str, ...]
    value: str | None = None
    arm: tuple[str, ...] = ()
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
            ValueError: A field is unknown or missing, or has several columns but can have only one.
        """
        fields: dict[str, Any] = {}
        for name, columns in given.items():
            if name not in _FIELDS:
                near = did_you_mean(name, _FIELDS)
                raise ValueError(
                    f"{name!r} is not a field of a mapping; give {', '.join(_FIELDS)}{near}"
                )
            listed = (columns,) if isinstance(columns, str) else tuple(columns)
            if name not in _SEVERAL and len(listed) != 1:
                raise ValueError(
                    f"the mapping has {len(listed)} columns for {name}; give exactly one"
                )
            fields[name] = listed if name in _SEVERAL else listed[0]
        if not fields.get("metric"):
            raise ValueError(
                "the mapping has no field 'metric'; name the column with the metric's values, "
                "such as metric=accuracy"
            )
        if "value" in fields and len(fields["metric"]) != 1:
            raise ValueError(
                "with value=COLUMN, give exactly one metric=COLUMN: the column with metric names"
            )
        return cls(**fields)

    def columns(self) -> dict[str, str]:
        """Returns the field of each mapped column, by the column's name."""
        single = {name: getattr(self, name) for name in _FIELDS if name not in _SEVERAL}
        found = {column: name for name, column in single.items() if column is not None}
        several = {column: name for name in _SEVERAL for column in getattr(self, name)}
        return several | found


def mapping_from_texts(texts: Sequence[str]) -> dict[str, list[str]]:
    """Returns the columns by field, from strings like `arm=model,metric=acc,metric=f1`."""
    found: dict[str, list[str]] = {}
    for part in (part for text in texts for part in text.split(",")):
        name, sign, column = part.partition("=")
        if not (sign and column):
            raise ValueError(f"{part!r} is not FIELD=COLUMN, such as arm=model")
        found.setdefault(name.strip(), []).append(column)
    return found


@dataclass(slots=True)
class _Arm:
    name: str
    source: str
    logged: Logged = field(default_factory=Logged)
    results: dict[str, EvalResult] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    group: str | None = None
    seed: int | None = None
    run_id: str | None = None


class _Value(NamedTuple):
    """A number in a row of a table, with the metric that it is a value of."""

    place: tuple[str | None, str]
    """The eval and the metric. The eval of a training metric is None."""
    step: int | None
    value: float


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
            raise ValueError(_needs_mapping(path))
        tables = _Tables(self._mapping, stem_of(path))
        for file in [path] if path.is_file() else self.claims(path):
            try:
                yield from _at_most(_MOST_LINES, tables.read(file), file)
            except (ValueError, OSError) as error:
                yield NotImported(str(file), str(error))
        yield from tables.arms()


def _needs_mapping(path: Path) -> str:
    example = "needs --map, such as --map arm=model,metric=acc"
    if path.is_dir():
        return f"a folder of tables {example}"
    columns = _listing(columns_of(path))
    return f"a {path.suffix} file {example}; {columns}"


def _listing(columns: Sequence[str]) -> str:
    shown = first_names(columns, _MOST_SHOWN)
    return f"its columns are: {shown}" if columns else "it has no columns"


def _at_most(most: int, found: Iterator[NotImported], file: Path) -> Iterator[NotImported]:
    """Yields the first `most` items, and then one item with the number of further items."""
    yield from islice(found, most)
    if more := sum(1 for _ in found):
        lines = "line has a problem" if more == 1 else "lines have problems"
        yield NotImported(str(file), f"{more:,} more {lines}", count=more)


class _Tables:
    def __init__(self, mapping: ColumnMapping, experiment: str) -> None:
        self._mapping = mapping
        self._experiment = experiment
        self._arms: dict[tuple[str, str, int | None], _Arm] = {}

    def read(self, file: Path) -> Iterator[NotImported]:
        """Adds the rows of a file. Yields a `NotImported` for each line that has a problem."""
        self._check_columns(columns_of(file))
        for line, row in table_rows(file):
            if line > _MAX_LINES:
                raise ValueError(f"the file has over {_MAX_LINES:,} lines, which is the limit")
            try:
                self._take(row, file)
            except ValueError as error:
                yield NotImported(f"{file}:{line}", str(error))

    def _check_columns(self, columns: Sequence[str]) -> None:
        for column, name in self._mapping.columns().items():
            if column not in columns:
                near = did_you_mean(column, columns)
                raise ValueError(
                    f"there is no column {column!r} for {name}; {_listing(columns)}{near}"
                )

    def _take(self, row: dict[str, Any] | ValueError, file: Path) -> None:
        """Adds the cells of a row.

        Raises:
            ValueError: The row contradicts an earlier row, and no cell is added. Or a cell is not a
                number, and only the other cells are added.
        """
        if isinstance(row, ValueError):
            raise row
        mapping = self._mapping
        step = step_from(_cell(row, mapping.step))
        if mapping.value is None:
            cells = {name: row.get(name) for name in mapping.metric}
        else:
            cells = {self._text(row, mapping.metric[0], "metric"): row.get(mapping.value)}
        cells = {name: cell for name, cell in cells.items() if not _is_empty(cell)}
        arm = self._arm(row, file)
        eval_name = _text(_cell(row, mapping.eval))
        values = [
            _Value(_place(eval_name, name, step), step, found)
            for name, cell in cells.items()
            if (found := number(cell)) is not None
        ]
        for value in values:
            self._check_same(arm, value)
        for value in values:
            self._check_same(arm, value)  # `val_acc` and `val/acc` are the same metric
            _add(arm, value)
        wrong = [f"{name} is {cell!r}" for name, cell in cells.items() if number(cell) is None]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}, which is not a number")

    def _check_same(self, arm: _Arm, value: _Value) -> None:
        """Raises a ValueError if an earlier row has another value for the same metric and step."""
        before = _value_before(arm, value)
        if before is None or same(before, value.value):
            return
        ways = [
            "" if self._mapping.seed else "seed=COLUMN",
            "" if value.step is not None else "step=COLUMN",
            "one more arm=COLUMN",
        ]
        eval_name, metric = value.place
        of_eval = f" of {eval_name!r}" if eval_name else ""
        at_step = "" if value.step is None else f" at step {value.step}"
        raise ValueError(
            f"{metric!r}{of_eval}{at_step} is {value.value!r} here, but {before!r} in an earlier "
            f"row of arm {arm.name!r}; if these are different results, name the column that tells "
            f"them apart: {' or '.join(filter(None, ways))}"
        )

    def _arm(self, row: dict[str, Any], file: Path) -> _Arm:
        """Returns the arm of a row. Adds the settings in the row to it."""
        mapping = self._mapping
        experiment = self._experiment
        if mapping.experiment:
            experiment = self._text(row, mapping.experiment, "experiment")
        name = "-".join(self._text(row, column, "arm") for column in mapping.arm) or stem_of(file)
        seed = _seed(_cell(row, mapping.seed))
        arm = self._arms.get((experiment, name, seed))
        if arm is None:
            if len(self._arms) >= _MAX_ARMS:
                raise ValueError(f"the tables have over {_MAX_ARMS:,} arms, which is the limit")
            arm = self._arms[experiment, name, seed] = _Arm(name_with_seed(name, seed), str(file))
            arm.seed = seed
            arm.run_id = None if mapping.arm else digest_of("csv", row)
        self._set_settings(arm, row)
        if arm.group is None and arm.name != name and not mapping.group:
            arm.group = name
        return arm

    def _set_settings(self, arm: _Arm, row: dict[str, Any]) -> None:
        """Adds the settings of a row to its arm.

        Raises:
            ValueError: An earlier row of the arm has another value for a setting.
        """
        given = {name: row[name] for name in self._mapping.config if not _is_empty(row.get(name))}
        config = {
            name: plain(cell) if isinstance(cell, str) else cell for name, cell in given.items()
        }
        for column, value in config.items():
            _check_setting(column, value, arm.config.get(column, value))
        group = _text(_cell(row, self._mapping.group))
        if group is not None:
            _check_setting("group", group, arm.group or group)
            arm.group = group
        arm.config |= config

    def _text(self, row: dict[str, Any], column: str, name: str) -> str:
        found = _text(row.get(column))
        if found is None:
            raise ValueError(f"the column {column!r}, which names the {name}, is empty")
        return found

    def arms(self) -> Iterator[Found]:
        """Yields the arms, and a `NotImported` for each arm without a value."""
        for (experiment, _, _), arm in self._arms.items():
            evals = with_last_rows([*arm.logged.rows(), *arm.results.values()])
            if not (evals or arm.logged.latest):
                why = f"arm {arm.name!r} is not imported, because no line of it has a value"
                yield NotImported(arm.source, why)
                continue
            result = ArmResult(
                arm.name,
                RunConfig(
                    arm.name,
                    algorithm=Component("csv", kept_values(arm.config)) if arm.config else None,
                    seed=arm.seed,
                ),
                ArmStatus.COMPLETED,
                arm.logged.latest,
                evals=evals,
                run_id=arm.run_id,
                group_name=arm.group,
            )
            yield FoundArm(experiment, result, arm.source, arm.logged.series())


def _check_setting(name: str, value: Any, before: Any) -> None:
    if before != value:
        raise ValueError(
            f"{name!r} is {value!r} here, but {before!r} in an earlier row of this arm; "
            "name the column that tells the arms apart, as one more arm=COLUMN"
        )


def _seed(cell: Any) -> int | None:
    seed = seed_from(cell)
    if seed is None and cell is not None:
        raise ValueError(f"{cell!r} is not a valid seed: a seed is a 64-bit integer")
    return seed


def _place(eval_name: str | None, name: str, step: int | None) -> tuple[str | None, str]:
    """Returns the eval and the metric of a value. The eval of a training metric is None."""
    of_eval = (eval_name, name) if eval_name else eval_and_metric(name)
    return of_eval or (_EVAL if step is None else None, name)


def _value_before(arm: _Arm, value: _Value) -> float | None:
    """Returns the value that an earlier row has for the same eval, metric and step, or None."""
    eval_name, metric = value.place
    if value.step is not None:
        return arm.logged.value_of(eval_name, metric, value.step)
    row = arm.results.get(eval_name or _EVAL)
    return None if row is None else row.metrics.get(metric)


def _add(arm: _Arm, value: _Value) -> None:
    """Adds a value to a post-training row, an in-loop row or a training series."""
    eval_name, metric = value.place
    if eval_name is None and value.step is not None:
        arm.logged.add(metric, value.step, value.value)
    elif eval_name is not None and value.step is not None:
        arm.logged.add_to_eval(eval_name, metric, value.step, value.value)
    else:
        name = eval_name or _EVAL
        row = arm.results.setdefault(name, EvalResult(name, tags=tags_of(name)))
        row.metrics[metric] = value.value


def _cell(row: dict[str, Any], column: str | None) -> Any:
    value = row.get(column) if column else None
    return None if _is_empty(value) else value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in _EMPTY)


def _text(value: Any) -> str | None:
    return None if _is_empty(value) else str(value).strip()
